"""Memories that a network does not use are off: one rule, for spiking cores, their ANN twins and arrays, in every report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import hwsim
from hwsim.activity import UNIT_OF, VOCABULARY
from hwsim.arch import Architecture
from hwsim.baseline.twins import Unbuilt, twins
from hwsim.chip.model import memories_used
from hwsim.cli import app
from hwsim.compare import compare
from hwsim.cost.area import area_mm2
from hwsim.cost.energy import NotProvisionedError, leakage, price_list
from hwsim.cost.memory import macros
from hwsim.engine.fast.chip import FastEngine
from hwsim.mapping import MappingError
from hwsim.simulation import make_program
from hwsim.snn.network import Network
from hwsim.trace.reader import Trace
from tests.conftest import ROOT
from tests.engine.random_designs import random_architecture, random_network, random_sample

DESIGN = hwsim.load_architecture("event_core_64")
FLAGS = hwsim.load_architecture("event_core_64_flags").with_core(shift_at="weight")
"""Weights are shifted: potentials that are doubled take their first value from the bias memory at the end, not in a clear."""
CODINGS = ("rate", "bit_serial", "quantised", "two_stage", "single_spike", "hybrid")

LEAN = """
name: lean
clock: 600 MHz
core: {kind: event, lanes: 32, weight_bits: 8, potential_bits: 20, payload_bits: 8, fifo_depth: 16}
spike_buffer: {kind: bitmap, capacity: 16 KiB, scan_bits: 128}
memories: {weight: 56 KiB, membrane: {capacity: 12 KiB, ports: 1rw}, bias: 4 KiB, banks: {weight: 6, spike: 2}}
"""
"""Its memories are so small that one row of a systolic array with wider rows is larger than all of it."""


def without(arch: Architecture, *names: str) -> Architecture:
    return arch.with_memories(**dict.fromkeys(names, 0))


def counted(counts: np.ndarray) -> set[str]:
    seen = counts.reshape(-1, len(VOCABULARY)).sum(axis=0) > 0
    units = {event.unit for event, there in zip(VOCABULARY, seen, strict=True) if there}
    return {name for name, unit in UNIT_OF.items() if unit in units}


@pytest.mark.parametrize("coding", CODINGS)
def test_a_memory_is_used_exactly_where_something_touches_it(coding: str) -> None:
    """Whatever the data: samples here are silent to dense."""
    seen: set[str] = set()
    for seed in range(25):
        rng = np.random.default_rng(seed)
        network = random_network(rng, coding)
        arch = random_architecture(rng, network, coding)
        try:
            program = make_program(network, arch)
        except MappingError:
            continue
        record = FastEngine().run_sample(program, random_sample(rng, network), "computed")
        used = set(memories_used(network, arch))
        assert counted(record.counts) == used, seed
        seen |= used
    assert seen >= {"weight", "membrane", "spike"}
    assert ("mask" in seen) == (coding in ("two_stage", "single_spike"))


@pytest.mark.parametrize("flow", ["output", "weight", "input"])
def test_an_array_uses_the_memories_that_it_counts(quantised_trace: Trace, flow: str) -> None:
    arch = hwsim.load_architecture("systolic_8x8").with_core(dataflow=f"{flow}_stationary")
    result = hwsim.simulate(quantised_trace, arch, samples=1)
    assert counted(result.operation_counts) == set(result.facts.memories_used)


def test_what_the_codings_use(rate_trace: Trace, bit_serial_trace: Trace, quantised_trace: Trace) -> None:
    """Only the direct input of several timesteps keeps a current; these networks have no biases."""
    always = {"weight", "membrane", "spike"}
    assert set(memories_used(rate_trace.network, FLAGS)) == always | {"current"}
    assert set(memories_used(bit_serial_trace.network, FLAGS)) == always
    assert set(memories_used(quantised_trace.network, FLAGS)) == always
    last = bit_serial_trace.network.layers[-1]
    biased = replace(last, bias=np.arange(last.shape[0], dtype=np.int64)[:, None, None])  # one for all sits in a register
    network = Network(bit_serial_trace.network.input, (*bit_serial_trace.network.layers[:-1], biased))
    assert set(memories_used(network, FLAGS)) == always | {"bias"}


# -- off in every report ----------------------------------------------------------------------------------------------


def test_what_is_off_neither_leaks_nor_takes_area_and_an_option_makes_it(bit_serial_trace: Trace) -> None:
    off, on = (hwsim.simulate(bit_serial_trace, FLAGS, leak_unused=leaks) for leaks in (False, True))
    spared = hwsim.simulate(bit_serial_trace, without(FLAGS, "current", "bias", "mask"))
    assert off.memories_off == ["current", "bias", "mask"]
    assert on.memories_off == spared.memories_off == []
    assert off.energy_pj == spared.energy_pj
    assert off.area_mm2 == spared.area_mm2
    assert off.setup_energy_pj == spared.setup_energy_pj
    unused = [macros(FLAGS)[name] for name in off.memories_off]
    milliwatts = sum(m.leakage_mw for m in unused)
    wires = [one.energy.loc[one.energy["unit"] == "wires", "energy_pj"].sum() for one in (off, on)]
    assert wires[0] < wires[1], "wires lead past memories that are on"
    assert on.energy_pj["core"] - off.energy_pj["core"] == pytest.approx(
        milliwatts * FLAGS.period_ns * float(off.cycles.mean()) + wires[1] - wires[0])
    assert on.area_mm2 - off.area_mm2 == pytest.approx(sum(m.area_um2 for m in unused) / 1e6)
    components = {UNIT_OF[name] for name in off.memories_off}
    assert not components & {*off.area["component"]}
    assert components <= {*on.energy["component"]} & {*on.area["component"]}
    rows = off.energy[off.energy["component"].isin(components)]
    assert {*rows["component"]} == components, "what is off is told, and costs nothing"
    assert ({*rows["state"]}, {*rows["event"]}, rows["energy_pj"].sum()) == ({"off"}, {"leakage"}, 0)
    assert {*on.energy.loc[on.energy["event"] == "leakage", "state"]} == {"on"}


def test_it_is_a_matter_of_price_alone(bit_serial_trace: Trace, tmp_path: Path) -> None:
    off, on = (hwsim.simulate(bit_serial_trace, DESIGN, leak_unused=leaks) for leaks in (False, True))
    assert off.sim_id == on.sim_id
    assert off.run_id != on.run_id
    again = off.reprice(leak_unused=True)
    assert (again.energy_pj, again.run_id) == (on.energy_pj, on.run_id)
    assert on.reprice({}).run_id == on.run_id, "repricing leaves it as it is"
    loaded = hwsim.load_result(on.save(tmp_path / "run"))
    assert (loaded.summary(), loaded.memories_off) == (on.summary(), [])


def test_a_memory_that_is_off_has_no_price_and_cannot_be_too_slow(bit_serial_trace: Trace) -> None:
    used = memories_used(bit_serial_trace.network, DESIGN)
    with pytest.raises(NotProvisionedError, match="current memory of event_core_64 is off, the trace does not use it"):
        price_list(DESIGN, None, used).price("current_read")
    slow = DESIGN.with_memories(current="6 MiB", banks={"weight": 32}).model_copy(update={"clock": 500_000_000})
    off, on = (hwsim.simulate(bit_serial_trace, slow, samples=1, leak_unused=leaks) for leaks in (False, True))
    assert not any("current" in problem for problem in off.clock_problems)
    assert any("current memory" in problem for problem in on.clock_problems)
    dearer = off.reprice({"leakage_mw": {"current_memory": 100.0}})
    assert dearer.energy_pj == off.energy_pj, "off is off"
    assert "current_memory" not in set(leakage(DESIGN, None, used)["component"])


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_terminal_names_what_is_off(trace_files: dict[str, Path], tmp_path: Path) -> None:
    arguments = (trace_files["bit_serial"], "--arch", "event_core_64_flags", "--samples", 1)
    shown = call("run", *arguments, "--out", tmp_path / "run").stdout
    assert "off           current memory, mask memory. The trace does not use them" in shown
    assert "off" not in call("run", *arguments, "--leak-unused").stdout.split()
    explained = call("energy", "explain", tmp_path / "run").stdout
    assert "off: current memory, mask memory." in explained
    assert "leakage mask_memory, off" in explained
    assert "leakage mask_memory, on" in call("energy", "explain", tmp_path / "run", "--leak-unused").stdout
    table = call("compare", *arguments, "--out", tmp_path / "table").stdout
    assert "(--leak-unused counts them): c current, m mask" in table
    assert (tmp_path / "table" / "compare.csv").read_text().splitlines()[1].count("current mask") == 1
    rows = json.loads(call("compare", *arguments, "--out", tmp_path / "table", "--leak-unused", "--json").stdout)
    assert rows[0]["memories_off"] == []


# -- equal area -------------------------------------------------------------------------------------------------------


def sizes(made: list[Architecture | Unbuilt]) -> dict[str, int]:
    return {arch.name.split("+")[-1]: arch.pe_count for arch in made if isinstance(arch, Architecture)}


def test_a_memory_that_nobody_uses_buys_nobody_a_larger_rival(bit_serial_trace: Trace, quantised_trace: Trace) -> None:
    ann, serial = quantised_trace.network, [bit_serial_trace.network]
    lean = without(DESIGN, "current")
    assert sizes(twins(DESIGN, ann, serial)) == sizes(twins(lean, ann, serial))
    assert sizes(twins(DESIGN, ann, serial, leak_unused=True)) != sizes(twins(lean, ann, serial, leak_unused=True))


def test_each_area_of_a_core_has_its_rivals(rate_trace: Trace, bit_serial_trace: Trace, quantised_trace: Trace) -> None:
    """A rate-coded trace keeps the current memory on, a bit-serial one does not."""
    networks = [rate_trace.network, bit_serial_trace.network, rate_trace.network]
    found = [t for t in twins(DESIGN, quantised_trace.network, networks) if isinstance(t, Architecture) and "@area" in t.name]
    areas = sorted({area_mm2(DESIGN, memories_used(n, DESIGN)) for n in networks})
    assert [t.name.split("@")[-1] for t in found] == ["area"] * 2 + [f"area_{areas[1]:.3g}mm2"] * 2
    ann = quantised_trace.network
    for twin, target in zip(found, np.repeat(areas, 2), strict=True):
        assert area_mm2(twin, memories_used(ann, twin)) <= target
        one_more = twin.with_core(rows=twin.core.rows + 1) if twin.core.kind == "systolic" else None
        assert one_more is None or area_mm2(one_more, memories_used(ann, one_more)) > target


@pytest.mark.parametrize(("trace", "rows"), [("fashion_mnist_bit_serial_t4", 28), ("fashion_mnist_rate_t4", 225)])
def test_the_sizes_that_the_page_names(trace: str, rows: int) -> None:
    with Trace.open(ROOT / "traces" / f"{trace}.h5") as opened, Trace.open(ROOT / "traces" / "fashion_mnist_ann.h5") as ann:
        assert sizes(twins(DESIGN, ann.network, [opened.network]))["systolic_output@area"] == rows * 8
    assert f"{rows} x 8 elements" in (ROOT / "docs" / "baselines.md").read_text()


def test_a_baseline_that_cannot_be_built_is_a_line_of_the_table(trace_files: dict[str, Path], tmp_path: Path) -> None:
    lean = tmp_path / "lean.yaml"
    lean.write_text(LEAN)
    found = compare([trace_files["bit_serial"], trace_files["quantised"]], [lean], samples=1)
    assert [m.arch for m in found.missing] == ["lean+systolic_output@area"]
    assert "more than the target" in found.missing[0].reason
    assert {r.facts.arch for r in found.results} >= {"lean", "lean+mac", "lean+systolic_output"}
    assert len(found.table) == len(found.results) + 1
    arguments = (trace_files["bit_serial"], trace_files["quantised"], "--arch", lean, "--samples", 1, "--out", tmp_path / "out")
    shown = call("compare", *arguments)
    assert shown.exit_code == 0, shown.output
    assert "[1] cannot be built: with rows 1, memories included, it takes" in shown.stdout
    rows = json.loads(call("compare", *arguments, "--json").stdout)
    missing = next(row for row in rows if row["arch"] == "lean+systolic_output@area")
    assert set(missing) == set(rows[0])
    assert missing["energy_pj"] is None
    assert "more than the target" in missing["reason"]


def test_a_comparison_never_writes_over_a_saved_run(trace_files: dict[str, Path], tmp_path: Path) -> None:
    arguments = (trace_files["rate"], "--arch", "event_core_64", "--samples", 1)
    assert call("run", *arguments, "--out", tmp_path / "run1").exit_code == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "run1").iterdir()}
    refused = call("compare", *arguments, "--out", tmp_path / "run1")
    assert "holds a saved run" in str(refused.exception)
    assert {p.name: p.read_bytes() for p in (tmp_path / "run1").iterdir()} == before
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.tex").write_text("years of work")
    assert "is not a saved comparison" in str(call("compare", *arguments, "--out", tmp_path / "papers").exception)
    assert call("compare", *arguments, "--out", tmp_path / "table").exit_code == 0
    assert call("compare", *arguments, "--out", tmp_path / "table").exit_code == 0, "an earlier comparison is replaced"
    assert "is not a saved result" in str(call("run", *arguments, "--out", tmp_path / "table").exception)


def test_a_design_without_a_price_is_refused_before_a_comparison_starts(
    rate_trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwsim.engine.fast.chip.FastEngine.run_sample", None)
    vast = DESIGN.with_memories(weight=2**30).model_copy(update={"name": "vast"})
    with pytest.raises(hwsim.HwsimError, match="weight memory: a bank of .* lies beyond"):
        compare([rate_trace], [DESIGN, vast])
