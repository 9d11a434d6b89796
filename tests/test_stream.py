"""Samples back to back: the period, its bound, the energy in the steady state, and what cannot be streamed."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import hwsim
from hwsim.cli import app
from hwsim.cost.energy import CYCLE, LEAKAGE
from hwsim.result import Result
from hwsim.result_reader import load_result
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


@pytest.mark.parametrize("clock_gating", ["gated", "free_running"])
def test_in_the_steady_state_what_goes_with_time_is_that_of_a_period(rate_trace: Trace, clock_gating: str) -> None:
    """Leakage, and the logic of every cycle: the work does not depend on when it is done."""
    arch = chip(4)
    result = simulate(rate_trace, arch, schedule="pipelined", samples=3).reprice(clock_gating=clock_gating)
    found = back_to_back(rate_trace, arch, 3)
    events = result.energy.groupby("event")["energy_pj"].sum()
    timed = events[LEAKAGE] + events[CYCLE]
    steady = found.energy_pj(result)
    assert steady["compute"] == result.energy_pj["compute"]
    per_cycle = timed / result.cycles.mean()
    for scope in ("core", "system"):
        assert steady[scope] == pytest.approx(result.energy_pj[scope] - timed + per_cycle * found.period_cycles)


def test_a_run_says_what_free_links_would_make_of_it(rate_trace: Trace, tmp_path) -> None:  # noqa: ANN001
    """The same numbers as on a chip whose links are free, whatever its own links cost; kept on disk, and by parts."""
    placement = by_hand(rate_trace.network, "core0", "core1", "core2")
    dear = simulate(rate_trace, chip(4, placement=placement, hop_cycles=9, flit_bits=2), schedule="pipelined")
    free = simulate(rate_trace, chip(4, placement=placement, hop_cycles=0, flit_bits=None), schedule="pipelined")
    assert dear.free_links is not None
    assert dear.free_links["cycles"] == free.cycles.mean() < dear.cycles.mean()
    links = free.energy.loc[free.energy["event"].isin(["link_bits", "link_hops"]), "energy_pj"].sum()
    leaks = [one.energy.loc[one.energy["event"] == LEAKAGE, "energy_pj"].sum() / one.cycles.mean() for one in (dear, free)]
    for scope, pj in dear.free_links["energy_pj"].items():
        spared = 0 if scope == "compute" else links + (leaks[1] - leaks[0]) * free.cycles.mean()
        assert pj == pytest.approx(free.energy_pj[scope] - spared)
    assert load_result(dear.save(tmp_path / "run")).free_links == dear.free_links
    parts = [simulate(rate_trace, dear.architecture, schedule="pipelined", samples=[n]) for n in range(3)]
    merged = Result.merge(parts).free_links
    assert merged is not None
    assert merged["cycles"] == dear.free_links["cycles"]
    assert simulate(rate_trace, "event_core_16", samples=1).free_links is None


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
        "placement", "shares", "runs"}
    assert "schedules that run: layer_by_layer, step_by_step, pipelined" in placed.output
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
