"""Samples back to back: the period, its bound, the energy in the steady state, and what cannot be streamed."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import hwsim
from hwsim.cli import app
from hwsim.cost.energy import LEAKAGE
from hwsim.simulation import simulate
from hwsim.stream import StreamError, back_to_back, lead_of
from hwsim.trace.reader import Trace
from tests.chip.test_placement import by_hand, chip
from tests.conftest import ROOT


@pytest.mark.parametrize("schedule", ["layer_by_layer", "step_by_step", "pipelined"])
def test_no_period_is_shorter_than_what_the_busiest_resource_works(rate_trace: Trace, schedule: str) -> None:
    arch = chip(4, placement=by_hand(rate_trace.network, "core0", "core1", "core2"))
    found = back_to_back(rate_trace, arch, 3, schedule=schedule)
    name, cycles = found.bound
    assert name in arch.core_names
    assert found.period_cycles >= cycles
    assert max(found.utilisation().values()) <= 1
    latency = sum(found.alone) / 3
    assert found.period_cycles <= latency
    if schedule == "pipelined":
        assert found.period_cycles < 0.75 * latency
    assert all(free <= alone for free, alone in zip(found.free, found.alone, strict=True))


def test_samples_that_were_replayed_are_those_that_are_streamed(rate_trace: Trace) -> None:
    arch = chip(4)
    result = simulate(rate_trace, arch, schedule="pipelined", samples=3)
    found = back_to_back(rate_trace, arch, 3)
    assert list(found.alone) == result.cycles.tolist(), "timing only or not, a sample takes what it takes"
    busy = result.busy_frame.set_index("resource")["cycles"]
    for name, cycles in found.busy.items():
        assert cycles == pytest.approx(busy[name])


def test_free_links_are_those_of_a_chip_whose_links_are_free(rate_trace: Trace) -> None:
    placement = by_hand(rate_trace.network, "core0", "core1", "core2")
    dear = back_to_back(rate_trace, chip(4, placement=placement, hop_cycles=9, flit_bits=2), 2)
    free = back_to_back(rate_trace, chip(4, placement=placement, hop_cycles=0, flit_bits=None), 2)
    assert dear.free == free.alone == free.free
    assert dear.free_period_cycles == free.period_cycles == free.free_period_cycles
    assert dear.period_cycles > dear.free_period_cycles
    assert sum(dear.alone) > sum(dear.free)


def test_in_the_steady_state_leakage_is_that_of_a_period(rate_trace: Trace) -> None:
    arch = chip(4)
    result, found = simulate(rate_trace, arch, schedule="pipelined", samples=3), back_to_back(rate_trace, arch, 3)
    leaks = float(result.energy.loc[result.energy["unit"] == LEAKAGE, "energy_pj"].sum())
    steady = found.energy_pj(result)
    assert steady["compute"] == result.energy_pj["compute"]
    per_cycle = leaks / result.cycles.mean()
    for scope in ("core", "system"):
        assert steady[scope] == pytest.approx(result.energy_pj[scope] - leaks + per_cycle * found.period_cycles)


def test_what_cannot_be_streamed_is_told(rate_trace: Trace) -> None:
    with pytest.raises(StreamError, match="found 1 samples, expected 2 to 3, which the trace holds"):
        back_to_back(rate_trace, chip(4), 1)
    with pytest.raises(StreamError, match="event_core_64: .* streams no samples; use event cores on a network of links"):
        back_to_back(rate_trace, "event_core_64", 2, schedule="layer_by_layer")


def test_the_command_line_prints_periods_placements_and_what_is_busy(trace_files: dict[str, str], tmp_path) -> None:  # noqa: ANN001
    import yaml

    from hwsim.arch import dump_architecture

    path = tmp_path / "mesh.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(dump_architecture(chip(4))))))
    runner, trace = CliRunner(), str(trace_files["rate"])
    shown = runner.invoke(app, ["run", trace, "--arch", str(path), "--schedule", "pipelined", "--back-to-back", "2"])
    assert shown.exit_code == 0, shown.output
    for word in ("back to back", "bound", "links", "busy", "in the steady state"):
        assert word in shown.output
    body = json.loads(runner.invoke(app, ["run", trace, "--arch", str(path), "--schedule", "pipelined", "--back-to-back", "2",
                                          "--json"]).stdout)
    assert body["back_to_back"]["bound_cycles"] <= body["back_to_back"]["period_cycles"]
    placed = runner.invoke(app, ["arch", "place", str(path), "--trace", trace])
    assert placed.exit_code == 0, placed.output
    assert all(layer.name in placed.output for layer in Trace.open(trace).network)
    assert set(json.loads(runner.invoke(app, ["arch", "place", str(path), "--trace", trace, "--json"]).stdout)) == {
        "placement", "shares"}
    assert hwsim.load_architecture(str(path)).network is not None


def test_a_deep_pipeline_is_filled_before_its_period_is_taken(rate_trace: Trace) -> None:
    """On one core, which has all the work, no period is shorter than the work, however few samples a round has."""
    found = back_to_back(rate_trace, chip(1), 2)
    name, work = found.bound
    assert name == "core"
    assert found.period_cycles >= work
    deep = Trace.open(ROOT / "traces" / "methods" / "cifar10_resnet20_bit_serial_t4.h5")
    with deep:
        assert lead_of(deep.network, "pipelined", 2) == 10, "19 layers behind each other, an item per sample: 20 under way"
        assert lead_of(deep.network, "layer_by_layer", 2) == 1
    with Trace.open(ROOT / "traces" / "methods" / "cifar10_resnet20_rate_t4.h5") as rate:
        assert lead_of(rate.network, "pipelined", 2) == 3, "4 items per sample: 6 under way"
        assert lead_of(rate.network, "pipelined", 32) == 1
