"""The pictures of docs/odin.md say what the model does. No pixel is compared: numbers, words, and what the files were made of."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from docs.figures import odin_core, odin_timing
from docs.figures.odin_timing import NEURON, SOURCE, Timing
from hwsim.cores.odin.fast import OdinFastEngine
from hwsim.cores.odin.fields import OdinDesign, OdinInput, OdinScheduler
from hwsim.rtl.odin_units import PER_WORD, SOURCES, SYNAPSE_BITS, OdinController, OdinLink, OdinNeuron
from hwsim.view.page import inches
from hwsim.view.style import SMALL
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def found() -> dict[str, Timing]:
    return odin_timing.timings()


def said(design: OdinDesign) -> str:
    """All that the block diagram says."""
    return "\n".join([*(line for block in odin_core.blocks(design).values() for line in block.lines),
                      *(wire.text.replace("\n", " ") for wire in odin_core.wires(design))])


def test_widths_are_those_of_the_hardware() -> None:
    """The units that are synthesised were written from the rules, and know nothing of the fields that the picture reads."""
    text = said(odin_core.shipped())
    ports = {name: port.shape for name, port in OdinController().signature.members.items()}
    neuron = {name: port.shape for name, port in OdinNeuron().signature.members.items()}
    for expected in (
        f"request, {ports['address']}-bit address", f"push, {ports['pushed']} bits", f"pop, {ports['head']} bits",
        f"{ports['synapse_word']}-bit word address", f"operation, {ports['neuron']}-bit neuron", f"{neuron['word']}-bit word",
        f"entries of {ports['head']} bits", f"{ports['virtual']} of a virtual event", f"{ports['source']} of a source or neuron",
        f"{PER_WORD} synapses of {SYNAPSE_BITS} bits per word", f"{SOURCES} x 1 bit",
        f"one comparator: {neuron['potential']} bits",
        f"potential {neuron['potential']},", f"threshold {neuron['threshold']}, leak {neuron['leak']} bits",
        f"request, {OdinLink().signature.members['address'].shape}-bit address",
    ):
        assert expected in text, expected


def test_capacities_are_those_of_the_design() -> None:
    design = odin_core.shipped()
    text = said(design)
    for memory, size in ((design.memories.weight, "32 KiB"), (design.memories.membrane, "4 KiB")):
        assert f"{memory.words:,} words of {memory.bits} bits, {size}" in text
    assert "FIFO, 32 entries" in text
    core = design.core.model_copy(update={"scheduler": OdinScheduler(depth=16, feedback=False), "input": OdinInput(latches=3)})
    other = said(design.model_copy(update={"core": core}))
    assert "FIFO, 16 entries" in other
    assert "3 latches on the request" in other
    assert "no feedback" in other


def test_words_stay_in_their_boxes() -> None:
    for block in odin_core.blocks(odin_core.shipped()).values():
        assert max(inches(line, SMALL) for line in block.lines) < block.width - 0.25


def test_cycles_are_those_of_the_rules(found: dict[str, Timing]) -> None:
    neuron, virtual, one, every = (found[name] for name in ("neuron", "virtual", "tref", "tref_all"))
    assert neuron.slots == (1, 2 * 256) * 2
    assert virtual.slots == (1, 2) * 2
    assert (one.slots, every.slots) == ((2, 2), (512, 512))
    periods = [neuron.period("push"), virtual.period("push"), one.period("tref"), every.period("tref")]
    assert periods == [518, 8, 8, 518]
    t = neuron.decided[1]
    writes = [int(entry[1]) for entry in neuron.of("W")]
    assert writes[:256] == [t + 2 * n + 2 for n in range(256)], "O2: one port"
    assert [entry[2] for entry in neuron.of("r")][:32] == list(range(32 * SOURCE, 32 * SOURCE + 32)), "O8: a word for eight"
    assert {entry[2] for entry in virtual.of("RW")} == {NEURON}
    assert not virtual.of("rw")


def test_a_spike_holds_the_walk_as_the_page_says(found: dict[str, Timing]) -> None:
    spike = found["spike"]
    first, second = spike.of("W")[:2]
    assert (first[-1], second[-1]) == (1, 0)
    assert int(second[1]) - int(first[1]) == 2 + 6, "O7"
    reads = sum(entry[2] == 1 for entry in spike.of("R") if int(entry[1]) < int(second[1]))
    assert (first[1], second[1], reads) == (9, 17, 7)
    text = " ".join((ROOT / "docs" / "odin.md").read_text(encoding="utf-8").split())
    assert ("the spike of neuron 0 is written in cycle 9, and neuron 1 would be written in cycle 11. "
            "It is written in cycle 17, after seven reads.") in text
    assert "518, 8, 8 and 518 cycles" in text
    assert [span.text for span in spike.waiting] == [f"source {SOURCE}", f"source {SOURCE}, source 0", "source 0"]
    assert spike.waiting[1].first == int(first[1]) + 1, "O6: seen in the next cycle"


def test_the_other_engine_gives_the_same_panels(found: dict[str, Timing]) -> None:
    """Its log comes in another order; `of` sorts by cycle, and no letter occurs twice in one."""
    letters = sorted({str(entry[0]) for timing in found.values() for entry in timing.log})
    for name, timing in odin_timing.timings(OdinFastEngine()).items():
        assert timing[:-1] == found[name][:-1]
        for letter in letters:
            assert timing.of(letter) == found[name].of(letter), (name, letter)


def arrows(found: dict[str, Timing]) -> list[tuple[int, str]]:
    """The lengths that the picture shows, and what it says of them."""
    return [(last - first + 1, text) for shown, _ in odin_timing.panels(found) for panel in shown
            for first, last, text, _ in panel.arrows]


def test_lengths_are_measured_and_said(found: dict[str, Timing]) -> None:
    assert all(int(text.split()[0]) == length for length, text in arrows(found))
    assert sorted(length for length, _ in arrows(found)) == [1, 1, 2, 2, 8, 8, 8, 512, 512, 518, 518]
    slower = {name: timing._replace(work=tuple(span._replace(last=span.last + 1) for span in timing.work))
              for name, timing in found.items()}
    assert sorted(length for length, _ in arrows(slower)) == [2, 2, 3, 3, 8, 8, 8, 513, 513, 518, 518]


@pytest.mark.parametrize(("name", "module"), [("odin_core", odin_core), ("odin_timing", odin_timing)])
def test_the_file_is_todays(name: str, module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file says of itself is what its command draws today. If not: python docs/figures/NAME.py."""
    monkeypatch.setattr(module, "TARGET", tmp_path / "drawn.png")
    module.main()
    with Image.open(tmp_path / "drawn.png") as today, Image.open(ROOT / "docs" / "figures" / f"{name}.png") as image:
        assert image.info["Description"] == today.info["Description"]
        assert image.size == today.size
        assert "ODIN" in today.info["Description"]
    page = (ROOT / "docs" / "odin.md").read_text(encoding="utf-8")
    assert f"](figures/{name}.png)" in page
    assert f"`python docs/figures/{name}.py`" in page
