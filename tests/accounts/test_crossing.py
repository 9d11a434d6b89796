"""Simulated break-even: crossings by closed form, a grid that goes on, and one that would take long."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hwsim.accounts.crossing.grid as grids
from hwsim.accounts.crossing.crossings import bend, crossings, straight, where
from hwsim.accounts.crossing.grid import Grid, GridError, estimate, foresee, points, refuse_long, run_grid, said
from hwsim.accounts.ours import our_data
from hwsim.cli import app
from hwsim.cli.crossings import _straightness
from hwsim.errors import HwsimError
from hwsim.simulation import simulate
from hwsim.study import ROWS
from hwsim.trace.reader import Trace
from hwsim.trace.scaled import Shape, scaled
from tests.conftest import ROOT


def test_a_straight_line_crosses_where_algebra_says() -> None:
    rates = [0.1, 0.2, 0.4]
    own = [10 + 50 * r for r in rates]
    assert where(rates, own, 22.5) == (pytest.approx(0.25), (0.2, 0.4))
    assert straight(rates, own, 22.5) == pytest.approx(0.25)
    assert where(rates, own, 12) == (0.0, None)
    assert where(rates, own, 99) == (None, None)
    assert straight(rates, [3, 3, 3], 4) is None
    bent = [10, 20, 22]
    assert where(rates, bent, 21)[0] == pytest.approx(0.3)
    assert straight(rates, bent, 21) == pytest.approx(0.1 + 0.3 * 11 / 12)


def row(side: str, rate: float | None, pj: float | None, error: str = "") -> dict:
    """A row of a study at 1,000 samples per second, `pj` None: out of reach."""
    labels = {"side": side, "design": "output_stationary", "width": 1, "kernel": None, "memory": "cacti_lop", "rate_hz": 1000.0}
    if side == "snn":
        labels |= {"rate": rate, "timesteps": 4}
    energy = None if pj is None else dict.fromkeys(("compute", "core", "system"), pj)
    return {"labels": labels, "energy_pj": energy, "at_rate": {"energy_pj": energy, "highest_rate_hz": 900.0}} | (
        {"error": error} if error else {})


def test_what_is_out_of_reach_ends_a_line() -> None:
    line = [row("snn", 0.1, 10), row("snn", 0.2, 20), row("snn", 0.4, None)]
    assert [c.rate for c in crossings([*line, row("ann", None, 15)])] == pytest.approx([0.15] * 3)
    (says,) = {c.lacks for c in crossings([*line, row("ann", None, 25)])}
    assert says == "takes less up to 0.2 spikes per neuron and step; above, 1000 samples per second are out of reach"
    (says,) = {c.lacks for c in crossings([*line, row("ann", None, None)])}
    assert says == "1000 samples per second are out of reach of its ANN; the highest are 900"
    (says,) = {c.lacks for c in crossings([*line[1:], row("ann", None, 5)])}
    assert "out of reach of its SNN" in says
    (says,) = {c.lacks for c in crossings([*line, row("ann", None, 5, "it does not fit")])}
    assert says == "it does not fit"


def test_beyond_the_grid_a_line_names_the_grids_end_or_what_the_straight_line_says() -> None:
    """10 pJ at 0.1 and 20 at 0.2: nothing without a spike, 100 with all."""
    line = [row("snn", 0.1, 10), row("snn", 0.2, 20)]
    for ann, says in ((5, "< 10"), (15, "15.00"), (99, "> 20"), (101, "always")):
        assert {c.said for c in crossings([*line, row("ann", None, ann)])} == {says}
    flat = [row("snn", 0.1, 19), row("snn", 0.2, 20)]
    assert {c.said for c in crossings([*flat, row("ann", None, 5)])} == {"never"}


def test_the_closed_forms_error_is_that_of_energies_between_the_ends() -> None:
    """A line that is straight has none; one that is 10 % off in the middle has that."""
    assert bend([0.1, 0.2, 0.4], [10, 15, 25]) == 0
    assert bend([0.1, 0.2, 0.4], [10, 15 / 1.1, 25]) == pytest.approx(0.1)
    assert bend([0.1, 0.4], [10, 25]) is None
    bent = [row("snn", rate, pj) for rate, pj in ((0.1, 10), (0.2, 12), (0.4, 30))]
    found = crossings([*bent, row("ann", None, 12)])
    assert {c.rate for c in found} == {0.2}
    assert [c.bend for c in found] == pytest.approx([(50 / 3 - 12) / 12] * 3)
    (text,) = _straightness(found)
    assert "simulated energies lie within 38.9 % of it" in text
    assert "crosses within 35.0 % of the rates above" in text  # at 0.13


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, rate_trace: Trace, quantised_trace: Trace) -> tuple[Path, list, list]:
    folder = tmp_path_factory.mktemp("grid")
    grid = Grid([0.02, 0.6], [4], designs=["output_stationary"], memories=["cacti_lop", "cacti_hp"], rates_hz=[None, 30])
    every = points(rate_trace, quantised_trace, grid, folder, 1)
    with ThreadPoolExecutor(1) as pool:
        return folder, every, run_grid(every, folder, executor=pool)


def test_a_crossing_is_between_two_simulations(
    made: tuple[Path, list, list], rate_trace: Trace, quantised_trace: Trace
) -> None:
    """On both sides of it the simulated SNN takes less, and more, than the simulated ANN, at what is said."""
    design = our_data().designs["output_stationary"]
    found = crossings(made[2])
    assert len(found) == 2 * 2 * 3
    seen = [c for c in found if c.between and c.memory == "cacti_hp" and c.scope == "core" and c.rate_hz is None]
    assert seen
    for c in seen:
        low, high = c.between
        assert low <= c.rate <= high
        ann = simulate(quantised_trace, design.ann, samples=1, check=False).reprice(memory="cacti_hp").energy_pj["core"]
        assert c.ann_pj == pytest.approx(ann)
        less, more = (simulate(scaled(rate_trace, Shape(r, c.timesteps), samples=1), design.snn, samples=1, check=False)
                      .reprice(memory="cacti_hp").energy_pj["core"] for r in (low, high))
        assert less < ann <= more


def test_a_grid_goes_on(made: tuple[Path, list, list]) -> None:
    folder, every, rows = made
    before = (folder / ROWS).read_text()
    assert len(before.splitlines()) == len(every) == 2 * 2 * (2 + 1)
    assert estimate(every, folder) == 0
    with ThreadPoolExecutor(1) as pool:
        assert [row["key"] for row in run_grid(every, folder, executor=pool)] == [row["key"] for row in rows]
    assert (folder / ROWS).read_text() == before


def test_a_grid_that_would_take_hours_says_how_long(
    made: tuple[Path, list, list], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = made[1]
    monkeypatch.setattr(grids, "FEW", 1)
    assert estimate(every, tmp_path) > 0
    monkeypatch.setattr(grids, "estimate", lambda *_: 9000.0)
    with pytest.raises(GridError, match="would take about 2.5 hours; give --yes, or fewer values"):
        run_grid(every, tmp_path)
    assert said(600) == "10 minutes"
    assert not (tmp_path / ROWS).exists()


def test_a_grid_that_would_take_hours_asks_before_it_makes_a_trace(rate_trace: Trace, tmp_path: Path) -> None:
    small = Grid([0.1, 0.2], [2], designs=["output_stationary"])
    assert foresee(rate_trace, small, tmp_path, 1) == 0
    large = replace(small, timesteps=[16, 64], widths=[1, 16], kernels=[3, 11], rates=[0.1, 0.5])
    longer = replace(large, widths=[16], kernels=[11])
    seconds = foresee(rate_trace, large, tmp_path, 1)
    assert 0 < seconds
    assert foresee(rate_trace, longer, tmp_path, 1) > seconds / 20  # the widest and deepest are what takes long
    assert not list(tmp_path.iterdir())
    refuse_long(1e9, tmp_path, long_is_meant=True)
    with pytest.raises(GridError, match="this grid would take about 2.8 hours; give --yes"):
        refuse_long(1e4, tmp_path, long_is_meant=False)


@pytest.mark.parametrize(("name", "why"), [
    ("single_spike_t5", "its input is hybrid"), ("two_stage_tau4_t4", "its neurons have stages")])
def test_codes_without_a_simulated_break_even_are_refused_by_name(name: str, why: str) -> None:
    with Trace.open(ROOT / "traces" / "methods" / f"fashion_mnist_tiny_{name}.h5") as trace:
        with pytest.raises(GridError, match=f"fashion_mnist_tiny_{name}: --simulate: {why}.*leave --simulate out"):
            Grid([0.1, 0.2]).fitting(trace)


def test_designs_that_merge_planes_run_bit_planes_and_no_rate_code(rate_trace: Trace) -> None:
    with pytest.raises(GridError, match="--design output_stationary_merged: .* [(]rate[)] does not run on it: .*sums"):
        Grid([0.1, 0.2], designs=["output_stationary_merged"]).fitting(rate_trace)
    grid, reasons = Grid([0.1, 0.2]).fitting(rate_trace)
    assert set(reasons) == {"event_driven_merged", "output_stationary_merged"}
    assert set(grid.designs) == set(our_data().designs) - set(reasons)


def test_grids_that_cannot_be() -> None:
    with pytest.raises(HwsimError, match="no table named 'foo'; allowed are cacti_hp"):
        Grid([0.1, 0.2], memories=["foo"]).check()
    with pytest.raises(HwsimError, match="rate: found -5, expected samples per second"):
        Grid([0.1, 0.2], rates_hz=[None, -5]).check()
    with pytest.raises(GridError, match="rates: found 0.1, expected at least two, rising"):
        Grid([0.1]).check()
    with pytest.raises(GridError, match="--design: found 'mine', allowed are event_driven"):
        Grid([0.1, 0.2], designs=["mine"]).check()


def test_the_command(trace_files: dict[str, Path], tmp_path: Path) -> None:
    arguments = ["breakeven", str(trace_files["rate"]), "--ann", str(trace_files["quantised"]), "--simulate"]
    lacking = CliRunner().invoke(app, arguments)
    assert "--study DIR is missing" in str(lacking.exception)
    alone = CliRunner().invoke(app, [*arguments[:2], "--simulate", "--study", str(tmp_path)])
    assert "a trace of coding rate holds no ANN" in str(alone.exception)
    for options, problem in ((["--kernel", "2.5"], "--kernel: found 2.5, expected odd whole numbers"),):
        wrong = CliRunner().invoke(app, [*arguments, "--study", str(tmp_path), *options])
        assert problem in str(wrong.exception)
    idle = CliRunner().invoke(app, [*arguments[:4], "--rates", "0.1,0.2"])
    assert "--rates: is of --simulate; give --simulate as well" in str(idle.exception)
    wrong = CliRunner().invoke(app, [*arguments, "--study", str(tmp_path), "--rates", "0.1,x"])
    assert "--rates: found '0.1,x', expected numbers" in str(wrong.exception)


@pytest.mark.slow
def test_the_whole_command(trace_files: dict[str, Path], tmp_path: Path) -> None:
    arguments = ["breakeven", str(trace_files["rate"]), "--ann", str(trace_files["quantised"]), "--simulate", "--study",
                 str(tmp_path / "study"), "--timesteps", "2,4", "--rates", "0.02,0.4", "--samples", "1", "--workers", "1"]
    shown = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.exception
    assert max(map(len, shown.stdout.splitlines())) <= 120
    assert (tmp_path / "out" / "simulated.csv").is_file()
    body = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert {c["scope"] for c in body["simulated"]} == {"compute", "core", "system"}
