"""Architecture files: shipped ones load, and every mistake in a bad one is told at once, with its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from hwsim.arch import (
    CHIP_PRICE_FIELDS,
    CHIP_TIMING_FIELDS,
    Architecture,
    ArchitectureError,
    config_folders,
    dump_architecture,
    load_architecture,
    rebuild_architecture,
)
from hwsim.cores import KINDS, core_design
from hwsim.cost.energy import price_hash
from hwsim.units import format_bits, parse_bits, parse_hz

SHIPPED = sorted(p.stem for folder in config_folders() for p in folder.glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_designs_load_and_survive_a_round_trip(name: str) -> None:
    design = load_architecture(name)
    assert design.name == name
    again = rebuild_architecture(dump_architecture(design))
    assert again == design
    assert json.dumps(dump_architecture(again)) == json.dumps(dump_architecture(design))


def test_at_least_a_small_core_a_large_core_and_its_twin() -> None:
    cores = [design.core for name in SHIPPED if (design := load_architecture(name)).is_one_core]
    assert {core.kind for core in cores} >= {"event", "multiply_accumulate", "systolic"}
    assert len({core.lanes for core in cores if core.kind == "event"}) >= 2


def test_the_shipped_twin_is_the_one_that_compare_derives() -> None:
    core, twin = load_architecture("event_core_64"), load_architecture("mac_core_64")
    derived = core.with_core(kind="multiply_accumulate")
    assert derived.core == twin.core
    assert derived.memories.model_copy(update={"current": 0}) == twin.memories
    assert (derived.clock, derived.channel, derived.technology) == (twin.clock, twin.channel, twin.technology)


def test_all_mistakes_at_once_each_with_line_and_what_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "name: x\n"
        "clock: 5 lightyears\n"
        "core:\n"
        "  lanes: -3\n"
        "  lannes: 4\n"
        "  lanes: 6\n"
        "spike_buffer:\n"
        "  kind: foo\n"
        "memories:\n"
        "  weight: 12 KB x\n")
    with pytest.raises(ArchitectureError) as error:
        load_architecture(path)
    text = str(error.value)
    for expected in (f"{path}:2: clock", f"{path}:5: core.lannes: unknown field", "lanes: given twice",
                     f"{path}:8: spike_buffer.kind", "'aer' or 'bitmap'", "spike_buffer.capacity: missing",
                     f"{path}:10: memories.weight", "memories.membrane: missing"):
        assert expected in text, expected


@pytest.mark.parametrize(("content", "expected"), [
    ("", "bad.yaml: the file is empty; expected a mapping with name, clock, core"),
    ("# nothing but a comment\n", "bad.yaml: the file is empty; expected a mapping with name, clock, core"),
    ("- a\n- b\n", "bad.yaml: found ['a', 'b'], expected a mapping"),
    ("name: [unclosed\n", "not valid YAML"),
    ("name: x\ncore: {kind: systolic}\nspike_buffer: {capacity: 1 KiB}\nmemories: {weight: 1 KiB, membrane: 1 KiB}\n",
     "core.rows: missing"),
    ("name: x\ncore: 7\nspike_buffer: {capacity: 1 KiB}\nmemories: {weight: 1 KiB, membrane: 1 KiB}\n", "core"),
    ("name: x\nclock: .nan\nspike_buffer: {capacity: 1 KiB}\nmemories: {weight: 1 KiB, membrane: 1 KiB}\n", "clock"),
    ("name: x\ncore: {lanes: 1.5}\nspike_buffer: {capacity: -1 KiB}\nmemories: {weight: 1 KiB, membrane: 1 KiB}\n", "lanes"),
])
def test_other_bad_files(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(ArchitectureError, match=str(path)) as error:
        load_architecture(path)
    assert expected in str(error.value)


ENTRY = """
  - {core: %s, bogus: 1, spike_buffer: {kind: bitmap, capacity: 1 MiB}, memories: {weight: 1 KiB, membrane: 1 KiB}}
"""
CORE = "{core: {lanes: 64}, spike_buffer: {kind: bitmap, capacity: 1 MiB}, memories: {weight: 1 KiB, membrane: 1 KiB}"


def mistakes(tmp_path: Path, content: str) -> list[str]:
    """What is told of a bad file, line by line, without the file's name."""
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(ArchitectureError) as error:
        load_architecture(path)
    return [text.removeprefix(f"{path}:") for text in str(error.value).splitlines()]


@pytest.mark.parametrize(("given", "found"), [("", "nothing"), ("5", "5"), ("[1]", "[1]"), ("text", "'text'")])
def test_a_core_that_is_no_mapping_is_told_with_all_else_that_is_wrong(tmp_path: Path, given: str, found: str) -> None:
    told = mistakes(tmp_path, "name: x\nclock: 1 MHz\ncores:" + ENTRY % given)
    assert told == [f"4: cores[0].core: found {found}, allowed a mapping of its fields",
                    "4: cores[0].bogus: unknown field, allowed are count, core, spike_buffer, memories"]
    short = mistakes(tmp_path, f"name: x\ncore: {given}\nclock: 1 MHz\nspike_buffer: {{kind: bitmap, capacity: 1 MiB}}\n"
                               "memories: {weight: 1 KiB, membrane: 1 KiB}\nbogus: 1\n")
    assert short[0] == f"2: core: found {found}, allowed a mapping of its fields"
    assert short[1].startswith("6: bogus: unknown field")
    assert len(short) == 2


def test_keys_given_twice_are_found_in_lists_too(tmp_path: Path) -> None:
    told = mistakes(tmp_path, f"name: x\nclock: 1 MHz\ncores:\n  - {CORE}, count: 1,\n     count: 2}}\nname: y\n")
    assert told == ["5: count: given twice, keep one", "6: name: given twice, keep one"]


def test_both_forms_at_once_hide_no_other_mistake(tmp_path: Path) -> None:
    told = mistakes(tmp_path, f"name: x\ncore: {{lanes: 4}}\nclocks: 4\nclock: 1 MHz\ncores:\n  - {CORE}, count: 0}}\n")
    assert [text.split(": ")[0:2] for text in told] == [["5", "cores"], ["6", "cores[0].count"], ["3", "clocks"]]
    assert "cores and core are both given" in told[0]


def test_a_list_of_no_or_of_too_many_cores_is_told_at_its_line(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "name: x\nclock: 1 MHz\ncores: []\n") == [
        "3: cores: the list is empty, a chip has at least one core"]
    every = f"  - {CORE}, count: 4000}}\n"
    assert mistakes(tmp_path, f"name: x\nclock: 1 MHz\ncores:\n{every * 2}") == [
        "3: cores: 8000 cores in all, allowed up to 4096"]
    assert mistakes(tmp_path, f"name: x\nclock: 1 MHz\ncores:\n  - {CORE}, count: 5000}}\n") == [
        "4: cores[0].count: found 5000, allowed less than or equal to 4096"]


def test_a_design_as_data_is_refused_like_a_file() -> None:
    good = dump_architecture(load_architecture("event_core_16"))
    with pytest.raises(ArchitectureError) as error:
        rebuild_architecture({**good, "core": {"lanes": 0, "lannes": 1}, "clock": 5})
    assert [text.split(": ")[:2] for text in str(error.value).splitlines()] == [
        ["event_core_16", "clock"], ["event_core_16", "core.lanes"], ["event_core_16", "core.lannes"]]
    with pytest.raises(ArchitectureError, match="architecture: name: missing"):
        rebuild_architecture({})


def test_cores_listed_one_by_one_are_the_same_machine_as_their_count() -> None:
    data = dump_architecture(load_architecture("event_core_16"))
    entry = {name: data.pop(name) for name in ("core", "spike_buffer", "memories")}
    counted, listed, three = (rebuild_architecture({**data, "cores": cores}) for cores in (
        [entry | {"count": 2}], [entry, entry], [entry | {"count": 3}]))
    assert counted.timing() == listed.timing() != three.timing()
    assert counted.timing_hash() == listed.timing_hash() != three.timing_hash()
    assert price_hash(counted) == price_hash(listed) != price_hash(three)


def test_binary_missing_and_unknown_files(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\x80" * 10)
    with pytest.raises(ArchitectureError, match="not a text file"):
        load_architecture(binary)
    with pytest.raises(ArchitectureError, match="a folder"):
        load_architecture(tmp_path)
    with pytest.raises(ArchitectureError, match="event_core_64"):
        load_architecture("no_such_design")


def test_quantities() -> None:
    assert parse_bits("64 KiB") == 64 * 1024 * 8
    assert parse_bits("512 bit") == 512
    assert parse_hz("500 MHz") == 500_000_000
    assert parse_hz("258.9 MHz") == 258_900_000
    assert format_bits(parse_bits("64 KiB")) == "64 KiB"
    for bad in ("64 KiBs", "-1 KiB", "1.3 bit", "ten", None, 5, "1 Hz"):
        with pytest.raises(ValueError, match="quantity|whole"):
            parse_bits(bad)


def leaves(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Dotted names of all fields below a model."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        inner = field.annotation
        is_model = isinstance(inner, type) and issubclass(inner, BaseModel)
        found |= leaves(inner, f"{prefix}{name}.") if is_model else {prefix + name}
    return found


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_is_known_to_decide_cycles_or_prices(kind: str) -> None:
    """A new field belongs to one of the lists, so that nobody forgets it in a design's identity (core.kind always counts)."""
    design = core_design(kind)
    timing, prices = set(design.timing_fields), set(design.price_fields)
    assert not timing & prices
    assert timing | prices == leaves(design) - {"core.kind"}


def test_every_field_of_the_chip_is_known_to_decide_cycles_or_prices() -> None:
    assert not set(CHIP_TIMING_FIELDS) & set(CHIP_PRICE_FIELDS)
    assert {*CHIP_TIMING_FIELDS, *CHIP_PRICE_FIELDS} == leaves(Architecture) - {"cores"}


@pytest.mark.parametrize("name", CHIP_PRICE_FIELDS)
def test_what_decides_prices_only_does_not_move_the_identity_of_cycles(name: str) -> None:
    design = load_architecture("event_core_64")
    other = {"name": "x", "description": "y", "clock": "200 MHz", "channel.energy_pj_per_bit": 3.0, "technology.units":
             "horowitz_45nm", "technology.memory": "cacti_hp", "technology.temperature_k": 360, "technology.dram": "dramsim3",
             "technology.node_nm": 32, "technology.vdd_v": 0.8, "technology.family": "hp",
             "technology.gate_leakage": "printed", "technology.logic": "mine.yaml",
             "technology.clock_gating": "free_running", "technology.leakage_over_table": 2.0, "technology.links": "loihi",
             "power.idle": {"logic": "off"},
             "power.retention_v": 0.7, "power.retention_over_on": 0.3, "power.off_over_on": 0.01}
    data = dump_architecture(design)
    part, _, field = name.rpartition(".")
    (data[part] if part else data)[field] = other[name]
    assert rebuild_architecture(data).timing_hash() == design.timing_hash()


@pytest.mark.parametrize("changed", [
    lambda design: design.with_memories(banks={"weight": 64}), lambda design: design.with_memories(bias="12 KiB"),
    lambda design: design.with_spike_buffer(scan_bits=64), lambda design: design.with_core(weight_bits=7),
    lambda design: rebuild_architecture({**dump_architecture(design), "channel": {"latency_cycles": 7}}),
])
def test_what_decides_cycles_or_counts_moves_their_identity(changed: Callable[[Architecture], Architecture]) -> None:
    design = load_architecture("event_core_64")
    assert changed(design).timing_hash() != design.timing_hash()


@pytest.mark.parametrize("part", ["technology", "channel", "power"])
def test_an_unknown_field_outside_the_core_is_told_with_those_that_there_are(part: str) -> None:
    data = dump_architecture(load_architecture("event_core_64"))
    data[part]["volts"] = 1
    with pytest.raises(ArchitectureError, match=rf"{part}.volts: unknown field, allowed are {next(iter(data[part]))}, "):
        rebuild_architecture(data)
