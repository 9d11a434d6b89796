"""A neuron model, a schedule, a core model, a conversion method and an account are one file beside a line of a registry, a memory
technology is one file: each is added to the running package, used, and taken away again. What runs is replayed by both engines.

The table of docs/recipes.md says which file and which registry; the tests read it from there.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest

import hwsim
from hwsim.activity import INDEX
from hwsim.arch import dump_architecture, rebuild_architecture
from hwsim.cost.technology.memory_tables import memory
from hwsim.kept import forget
from hwsim.result import Result
from hwsim.trace.reader import Trace
from hwsim.trace.synth import SynthError, synthesise
from tests.conftest import ROOT
from tests.docs.pages import LINK
from tests.extending.adding import Entry, added, state

RECIPES = ROOT / "docs" / "recipes.md"
ENTRIES: dict[str, Entry] = {
    "neuron model": lambda module: (module.Halving.model, module.Halving),
    "schedule": lambda module: (module.IN_TURN.name, module.IN_TURN),
    "core model": lambda module: ("counter", module.__name__),
    "conversion method": lambda module: (module.CLIPPED_RATE.name, module.CLIPPED_RATE),
    "published account": lambda module: ("weight_reads", module.WeightReads),
}
"""By extension: what its line says, the key and the value of a registry."""


class Row(NamedTuple):
    """A row of the table: what it is, where its file goes, the registry and the file that it stands in, the example."""

    what: str
    place: str
    registry: str
    home: str
    example: Path


def rows() -> dict[str, Row]:
    text = LINK.sub(r"\1", RECIPES.read_text().split("## What an extension touches")[1].split("\n## ")[0])
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| a ")]
    found = {}
    for what, place, line, example in lines:
        registry, home = (re.findall(r"`([^`]+)`", line) + ["", ""])[:2]
        row = Row(what.removeprefix("a "), place.strip("`"), registry, home, ROOT / example.strip("`"))
        found[row.what] = row
    return found


ROWS = rows()


@contextmanager
def extended(what: str, folder: Path) -> Iterator[ModuleType]:
    """The running package with the example of `what`; afterwards all is as it was before."""
    row = ROWS[what]
    package = row.place.removesuffix("/NAME.py").replace("/", ".")
    home = importlib.import_module(row.home.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    registry = getattr(home, row.registry)
    before = state(row.example, package, registry)
    assert not before["module"]
    with added(row.example, package, folder, registry, ENTRIES[what]) as module:
        assert module.__name__ == f"{package}.{row.example.stem}"
        during = state(row.example, package, registry)
        assert during["files"] == before["files"], "no other file changes"
        assert during["registry"][:-1] == before["registry"], "one line more"
        yield module
    assert state(row.example, package, registry) == before


def replayed(
    trace: Trace, arch: str | hwsim.Architecture, schedule: str = "layer_by_layer", mismatches: int | None = 0
) -> Result:
    """The result of the fast engine, after the reference engine gave the same cycles, counts, checks and picojoules."""
    fast, reference = (hwsim.simulate(trace, arch, schedule=schedule, engine=engine) for engine in ("fast", "reference"))
    np.testing.assert_array_equal(fast.spans, reference.spans)
    np.testing.assert_array_equal(fast.operation_counts, reference.operation_counts)
    assert fast.mismatches == reference.mismatches == mismatches
    assert fast.energy_pj == pytest.approx(reference.energy_pj, rel=1e-12)
    assert fast.total_cycles > 0
    return priced(fast)


def priced(result: Result) -> Result:
    """Every counted event has a price, and energy is count times price."""
    rows = result.energy[result.energy["event"] != "leakage"]
    assert (rows["count"] * rows["price_pj"]).to_numpy() == pytest.approx(rows["energy_pj"].to_numpy())
    assert result.energy["energy_pj"].sum() == pytest.approx(result.energy_pj["system"])
    assert 0 < result.energy_pj["compute"] < result.energy_pj["core"] < result.energy_pj["system"]
    return result


def test_the_table_has_a_row_for_each_and_names_what_there_is() -> None:
    assert set(ROWS) == {*ENTRIES, "memory technology"}
    for row in ROWS.values():
        assert row.example.is_file(), row
        assert not row.home or (ROOT / row.home).is_file(), row
        assert not row.place.startswith("hwsim/") or (ROOT / row.place).parent.is_dir(), row
    assert [row.what for row in ROWS.values() if not row.registry] == ["memory technology"]


def test_a_neuron_model(tmp_path: Path) -> None:
    with pytest.raises(SynthError, match="coding 'halving'"):
        synthesise("tiny", timesteps=3, coding="halving")
    with extended("neuron model", tmp_path) as module:
        trace = synthesise("tiny", timesteps=3, density=0.25, samples=2, seed=3, coding="halving")
        assert {type(layer.neuron) for layer in trace.network if layer.sends} == {module.Halving}
        for schedule in ("layer_by_layer", "step_by_step"):
            result = replayed(trace, "event_core_16", schedule)
            assert result.facts.coding == "halving"
        trace.save(tmp_path / "halving.h5")
        with Trace.open(tmp_path / "halving.h5") as again:
            assert again.content_hash == trace.content_hash
    with pytest.raises(hwsim.TraceError, match="halving_threshold"):
        Trace.open(tmp_path / "halving.h5")


def streaming(cores: int) -> hwsim.Architecture:
    """A chip whose weights do not fit together, so that loads overlap with runs."""
    data = dump_architecture(hwsim.load_architecture("event_core_16"))
    core = {name: data.pop(name) for name in ("core", "spike_buffer", "memories")}
    core["memories"]["weight"] = "4 KiB"
    return rebuild_architecture({**data, "cores": [{**core, "count": cores}]})


@pytest.mark.parametrize("cores", [1, 2])
def test_a_schedule(cores: int, tmp_path: Path, rate_trace: Trace, bit_serial_trace: Trace) -> None:
    """Its law: nothing overlaps, so a sample takes the sum of all durations; what is counted does not depend on the order."""
    arch = streaming(cores)
    for trace in (rate_trace, bit_serial_trace):
        usual = hwsim.simulate(trace, arch)
        with extended("schedule", tmp_path):
            result = replayed(trace, arch, "in_turn")
        durations = (result.spans[:, :, 1] - result.spans[:, :, 0]) * ~result.operations["setup"].to_numpy()
        np.testing.assert_array_equal(result.cycles, durations.sum(axis=1))
        assert (result.cycles > usual.cycles).all()
        np.testing.assert_array_equal(result.operation_counts, usual.operation_counts)
        assert result.energy_pj["compute"] == pytest.approx(usual.energy_pj["compute"])
    with pytest.raises(hwsim.ProgramError, match="unknown schedule 'in_turn', allowed are layer_by_layer, step_by_step"):
        hwsim.simulate(rate_trace, arch, schedule="in_turn")


def test_a_core_model(tmp_path: Path, rate_trace: Trace) -> None:
    """Its cycles are a closed form, whichever engine is asked for; it computes no spikes, so nothing is compared."""
    design = tmp_path / "third.yaml"
    design.write_text("name: third\nclock: 100 MHz\ncore: {kind: counter, counters: 2}\nmemories: {spike: 4 KiB}\n")
    (tmp_path / "package").mkdir()
    with extended("core model", tmp_path / "package"):
        arch = hwsim.load_architecture(design)
        result = replayed(rate_trace, arch, mismatches=None)
        spikes = [[int(np.count_nonzero(planes)) for planes in rate_trace.sample(i).recorded.values()] for i in range(3)]
        load = arch.channel_spec().cycles(64)
        assert result.cycles.tolist() == [load + sum(-(-n // 2) for n in layers) for layers in spikes]
        assert result.area_mm2 > 0
    with pytest.raises(hwsim.ArchitectureError, match="core.kind: found 'counter', allowed 'event'"):
        hwsim.load_architecture(design)


def test_a_memory_technology(tmp_path: Path, rate_trace: Trace) -> None:
    """One file by its path: a run with it, and an older run at its prices, cost the same, and a write costs five reads."""
    table = tmp_path / "slow_writes.yaml"
    table.write_text(ROWS["memory technology"].example.read_text())
    usual = hwsim.load_architecture("event_core_64")
    arch = usual.model_copy(update={"technology": usual.technology.model_copy(update={"memory": str(table)})})
    result = replayed(rate_trace, arch)
    prices = result.energy.groupby("event")["price_pj"].first()
    assert prices["membrane_write_accumulate"] == pytest.approx(5 * prices["membrane_read_accumulate"])
    before = hwsim.simulate(rate_trace, usual)
    np.testing.assert_array_equal(before.operation_counts, result.operation_counts)
    assert before.reprice(memory=str(table)).energy_pj == pytest.approx(result.energy_pj, rel=1e-12)
    written = result.operation_counts[:, :, INDEX["membrane_write_accumulate"]].sum() / result.facts.samples
    energy = result.energy[result.energy["event"] == "membrane_write_accumulate"]["energy_pj"].sum()
    assert energy == pytest.approx(written * prices["membrane_write_accumulate"])
    table.unlink()
    memory.cache_clear()
    forget()
    with pytest.raises(hwsim.HwsimError, match=r"no table named '.*slow_writes\.yaml'; allowed are cacti_hp, cacti_lop"):
        hwsim.simulate(rate_trace, arch)


def test_a_conversion_method(tmp_path: Path) -> None:
    """From a checkpoint to a replayed trace. Its law: with the same input in every timestep, floor(T d / theta) spikes."""
    pytest.importorskip("torch")
    from hwsim.convert.integers import ConversionError
    from hwsim.convert.methods import Request, convert, measure, record
    from hwsim.snn.forward import layer_sums
    from tests.convert.test_methods import checkpoint
    from tests.convert.tiny_set import tiny_set

    data = tiny_set(20, 6)
    trained, request = checkpoint("threshold_relu"), Request("clipped_rate", 6)
    trained = replace(trained, description=replace(trained.description, mean=data.mean, std=data.std))
    (tmp_path / "package").mkdir()
    with extended("conversion method", tmp_path / "package"):
        made = convert(trained, request, data)
        first = made.network.layers[0]
        with record(made, data, tmp_path / "rate.h5", 3, "rate", {}) as trace:
            for i in range(3):
                sample = trace.sample(i)
                drive = layer_sums(made.network, first, {"input": sample.inputs})[0] + first.bias
                expected = np.clip(first.timesteps * drive // int(first.thresholds[0]), 0, first.timesteps)
                assert len(np.unique(expected)) > 3
                np.testing.assert_array_equal(sample.recorded[first.name].sum(axis=0), expected.transpose(1, 2, 0))
            result = replayed(trace, "event_core_64")
            assert result.facts.coding == "rate"
            assert result.facts.judged == 3
        assert 0 <= measure(made, data).accuracy <= 1
        with pytest.raises(ConversionError, match="was trained with qcfs activations, and clipped_rate takes threshold_relu"):
            convert(checkpoint("qcfs"), request, data)
    with pytest.raises(ConversionError, match="method 'clipped_rate' is not known"):
        convert(trained, request, data)




def test_a_published_account(tmp_path: Path, rate_trace: Trace) -> None:
    """It is a row of the table. Its law: both sides are counts times one price, so their ratio is that of the counts."""
    from hwsim.accounts.assume import assume

    usual = [row.account for row in assume(rate_trace, simulated=False).rows]
    with extended("published account", tmp_path):
        found = assume(rate_trace, simulated=False)
        assert [row.account for row in found.rows] == [*usual, "weight_reads"]
        row = found.row("weight_reads")
        assert row.ratio == pytest.approx(found.snn.dense_macs / found.snn.operations(identities=False))
        assert row.leaves_out == ("everything but weights",)
    assert [row.account for row in assume(rate_trace, simulated=False).rows] == usual
