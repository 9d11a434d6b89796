"""Every number that a person sees is per sample, a total that says so, or once: a walk over all of them.

The law: replaying samples 0 and 1 together gives the mean of replaying each alone, in every number per sample; the sum, in
every number with `total` in its name; the same, in what is done or built once.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import hwsim
from hwsim.cli import app
from hwsim.compare import comparison_row
from hwsim.cost.explanation import explain_rows
from hwsim.result import Result
from hwsim.trace.reader import Trace
from hwsim.view.segments import energy_by_layer, energy_by_unit, scope_totals, time_by_cause, time_by_layer
from tests.conftest import ROOT

CASES = [
    ("rate", "event_core_64", "layer_by_layer"), ("rate", "event_core_16", "step_by_step"),
    ("bit_serial", "event_core_64", "layer_by_layer"), ("quantised", "mac_core_64", "layer_by_layer"),
    ("quantised", "systolic_8x8", "layer_by_layer"), ("rate", "event_core_64_x4", "pipelined"),
]

PER_SAMPLE = {"phase_energy_pj", "phase_s", "core_at_rate_nj", "system_at_rate_nj",
              "cycles", "latency_s", "latency_us", "synaptic_operations", "energy_pj", "energy_delay_js", "compute_nj",
              "core_nj", "system_nj", "edp_njs", "cycles_free_links", "latency_us_free_links", "core_nj_free_links"}
ONCE = {"setup_cycles", "setup_energy_pj", "area_mm2", "memories_off", "memories_used", "meets_clock", "clock_problems",
        "used", "leak_unused", "rate_hz"}
RATIOS = {"highest_rate_hz", "rows_per_cycle",
          "pj_per_synaptic_operation", "core_pj_per_sop", "power_w", "power_mw", "utilisation", "utilisation_percent"}
MANY = {"at_rate", "shown_rate", "free_links"}
"""Mappings from such names to numbers; None where there is nothing to say."""
CHECKS = {"late_samples", "mismatches", "saturations"}
WORDS = {"trace", "coding", "timesteps", "T", "arch", "schedule", "engine", "spikes", "check", "samples", "accuracy",
         "accuracy_interval",
         "accuracy_test_set", "accuracy_percent", "accuracy_flag", "sim_id", "run_id", "price_id", "reason"}


@pytest.fixture(scope="module")
def runs(rate_trace: Trace, bit_serial_trace: Trace, quantised_trace: Trace) -> dict[tuple[str, str, str], list[Result]]:
    """By case: sample 0 alone, sample 1 alone, both."""
    traces = {"rate": rate_trace, "bit_serial": bit_serial_trace, "quantised": quantised_trace}
    return {case: [hwsim.simulate(traces[case[0]], case[1], schedule=case[2], samples=which) for which in ([0], [1], [0, 1])]
            for case in CASES}


def flat(name: str, value: Any) -> dict[str, float]:
    """A number, or each number of a mapping by scope, by name."""
    values = value if isinstance(value, dict) else {"": value}
    return {f"{name} {key}".strip(): v for key, v in values.items()}


def check(name: str, first: Any, second: Any, both: Any) -> None:
    """The law for one named number or mapping of numbers. A name of no class fails: say what it is, above."""
    if name in WORDS:
        return
    if name in MANY:
        assert (both is None) == (first is None) == (second is None), name
        for key in both or ():
            check(key, first[key], second[key], both[key])
        return
    if name.endswith("_free_links") and both is None:
        assert first is None, name
        assert second is None, name
        return
    if name in ONCE:
        assert both == first == second, name
        return
    a, b, ab = flat(name, first), flat(name, second), flat(name, both)
    for key in ab:
        if "spread" in name:
            assert a[key] is None, key
            assert b[key] is None, key
            continue
        if "total" in name or name in CHECKS:
            assert ab[key] == pytest.approx(a[key] + b[key], rel=1e-12), key
        elif name in RATIOS:
            low, high = sorted((a[key], b[key]))
            assert low * (1 - 1e-12) <= ab[key] <= high * (1 + 1e-12), key
        else:
            assert name in PER_SAMPLE, f"{name}: is it per sample, a total, a ratio, or once?"
            assert ab[key] == pytest.approx((a[key] + b[key]) / 2, rel=1e-12), key


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_every_number_of_a_summary(runs: dict[Any, list[Result]], case: tuple[str, str, str]) -> None:
    first, second, both = (r.summary() for r in runs[case])
    assert first["cycles"] != second["cycles"] or case[1] == "systolic_8x8", "two equal samples would prove nothing"
    for name in both:
        check(name, first[name], second[name], both[name])


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_every_number_that_a_result_offers(runs: dict[Any, list[Result]], case: tuple[str, str, str]) -> None:
    seen = set()
    for name in dir(Result):
        if name.startswith("_") or name in ("spread", "sample_energy_pj") or callable(getattr(Result, name)):
            continue
        values = [getattr(r, name) for r in runs[case]]
        if not isinstance(values[2], pd.DataFrame):
            check(name, *values)
            seen.add(name)
    assert seen >= {"energy_pj", "total_energy_pj", "latency_s", "synaptic_operations", "total_cycles", "power_w"}


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_every_number_of_a_row_of_the_table(runs: dict[Any, list[Result]], case: tuple[str, str, str]) -> None:
    first, second, both = (comparison_row(r, "") for r in runs[case])
    for name in both:
        check(name, first[name], second[name], both[name])


@pytest.mark.parametrize("case", CASES, ids=" ".join)
@pytest.mark.parametrize("frame", ["activity", "energy", "cycles_frame"])
def test_every_number_of_a_frame(runs: dict[Any, list[Result]], case: tuple[str, str, str], frame: str) -> None:
    keys = ["layer", "timestep", "unit", "component", "event", "cause"]
    tables = []
    for result in runs[case]:
        table = getattr(result, frame)
        tables.append(table.set_index([k for k in keys if k in table]).select_dtypes("number"))
    first, second = (t.reindex(tables[2].index) for t in tables[:2])
    for column in tables[2]:
        one, two, both = first[column].fillna(0), second[column].fillna(0), tables[2][column]
        if column == "price_pj":
            assert both.to_numpy() == pytest.approx(first[column].fillna(second[column]).to_numpy())
        else:
            sum_or_mean = one + two if "total" in column else (one + two) / 2
            assert both.to_numpy() == pytest.approx(sum_or_mean.to_numpy(), rel=1e-12), column
    assert not set(tables[0].index.union(tables[1].index)) - set(tables[2].index)


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_every_bar_of_a_figure(runs: dict[Any, list[Result]], case: tuple[str, str, str]) -> None:
    for bars in (energy_by_unit, energy_by_layer, time_by_cause, time_by_layer):
        for segment in bars(runs[case]):
            assert segment.values[2] == pytest.approx(segment.values[:2].mean(), rel=1e-12), segment.key
    for scope, values in scope_totals(runs[case]).items():
        assert values == pytest.approx([1e-12 * r.energy_pj[scope] for r in runs[case]])


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_samples_add_up_to_the_means_and_spread_around_them(
    runs: dict[Any, list[Result]], case: tuple[str, str, str]
) -> None:
    first, second, both = runs[case]
    for scope, values in both.sample_energy_pj.items():
        assert values == pytest.approx([first.energy_pj[scope], second.energy_pj[scope]], rel=1e-12)
        assert both.spread["energy_pj"][scope] == pytest.approx(abs(values[0] - values[1]) / np.sqrt(2), abs=1e-6)
    cycles = both.cycles.astype(float)
    assert both.spread["cycles"] == pytest.approx(abs(cycles[0] - cycles[1]) / np.sqrt(2))
    assert both.spread["latency_s"] == pytest.approx(both.spread["cycles"] / both.architecture.clock)


def test_samples_that_are_alike_do_not_spread(runs: dict[Any, list[Result]]) -> None:
    """An array's cycles and counts are the same for every sample."""
    spread = runs["quantised", "systolic_8x8", "layer_by_layer"][2].spread
    assert flat("", spread | spread.pop("energy_pj")) == dict.fromkeys(
        ("cycles", "latency_s", "synaptic_operations", "compute", "core", "system"), 0.0)


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_setup_is_done_once_however_many_samples_follow(
    runs: dict[Any, list[Result]], case: tuple[str, str, str], rate_trace: Trace
) -> None:
    first, _, both = runs[case]
    assert first.setup_energy_pj > 0
    assert both.setup_energy_pj == first.setup_energy_pj
    pd.testing.assert_frame_equal(both.setup_activity, first.setup_activity)
    reference = hwsim.simulate(rate_trace, "event_core_64", engine="reference", samples=3)
    assert reference.setup_energy_pj == hwsim.simulate(rate_trace, "event_core_64", samples=1).setup_energy_pj


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_a_unit_means_the_same_in_frames_figures_and_explanations(
    runs: dict[Any, list[Result]], case: tuple[str, str, str]
) -> None:
    both = runs[case][2]
    frame = both.energy.groupby("unit")["energy_pj"].sum() * 1e-12
    figure = {segment.key: float(segment.values[0]) for segment in energy_by_unit([both])}
    assert frame[frame > 0].to_dict() == pytest.approx({k: v for k, v in figure.items() if v})
    explained = pd.DataFrame(explain_rows(both.energy)).groupby("unit")["energy_pj"].sum() * 1e-12
    assert explained.to_dict() == pytest.approx(frame.to_dict())
    leaks = both.energy[both.energy["event"] == "leakage"]
    assert set(leaks["unit"]) == {"leakage"} != set(leaks["component"])
    by_component = both.energy.groupby("component")["energy_pj"].sum()
    assert by_component.sum() == pytest.approx(both.energy_pj["system"])
    assert by_component["membrane_memory"] > 1e12 * frame["membrane_memory"], "work and leakage"


def test_the_page_shows_the_numbers_of_the_figure() -> None:
    result = hwsim.simulate(ROOT / "traces" / "fashion_mnist_bit_serial_t4.h5", "event_core_64")
    figure = {segment.key: 1e9 * float(segment.values[0]) for segment in energy_by_unit([result])}
    whole = result.energy.groupby("component")["energy_pj"].sum() / 1e3
    page = (ROOT / "docs" / "energy-model.md").read_text()
    for unit in ("membrane_memory", "weight_memory"):
        assert f"| {unit.replace('_', ' ')} | {figure[unit]:,.0f} | {whole[unit]:,.0f} |" in page
    assert f"| leakage | {figure['leakage']:,.0f} | |" in page


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_an_explanation_is_count_times_price_and_adds_up_to_what_is_printed(
    runs: dict[Any, list[Result]], case: tuple[str, str, str]
) -> None:
    both = runs[case][2]
    rows = explain_rows(both.energy)
    for row in rows:
        assert row["energy_pj"] == pytest.approx(row["count"] * row["price_pj"])
    assert sum(row["energy_pj"] for row in rows) == pytest.approx(both.energy_pj["system"])


# -- the same numbers at the terminal ----------------------------------------------------------------------------------


def call(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


SI = {"p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0}


def said(text: str, pattern: str) -> float:
    """A printed quantity in joules or seconds: `pattern` has the groups number and prefix."""
    found = re.search(pattern, text)
    assert found, (pattern, text)
    return float(found["number"]) * SI[found["prefix"]]


def test_run_explain_and_compare_print_the_same_numbers(
    trace_files: dict[str, Path], runs: dict[Any, list[Result]], tmp_path: Path
) -> None:
    both = runs["rate", "event_core_64", "layer_by_layer"][2]
    arguments = (trace_files["rate"], "--arch", "event_core_64", "--samples", 2)
    body = json.loads(call("run", *arguments, "--out", tmp_path / "run", "--json"))
    assert body == json.loads(json.dumps(both.summary()))
    explained = json.loads(call("energy", "explain", tmp_path / "run", "--json"))
    for name in ("energy_pj", "total_energy_pj", "energy_spread_pj"):
        assert explained[name] == pytest.approx(body[name])
    table = json.loads(call("compare", trace_files["rate"], "--arch", "event_core_64", "--samples", 2, "--out",
                            tmp_path / "table", "--json"))
    assert {name: value for name, value in table[0].items() if name not in ("accuracy_flag", "reason")} == body
    text, lines = call("run", *arguments), call("energy", "explain", tmp_path / "run")
    for scope in ("compute", "core", "system"):
        joules = 1e-12 * both.energy_pj[scope]
        assert said(text, rf"(?P<number>[\d.]+) ± [\d.]+ (?P<prefix>[pnum]?)J {scope}") == pytest.approx(joules, rel=0.005)
        assert said(lines, rf"(?m)^{scope}: (?P<number>[\d.]+) (?P<prefix>[pnum]?)J") == pytest.approx(joules, rel=5e-4)
    core = both.energy[both.energy["scope"] != "system"]
    leaks = core["unit"] == "leakage"
    for rows, pattern in ((~leaks, r"without leakage: (?P<number>[\d.]+) (?P<prefix>[pnum]?)J"),
                          (leaks, r"Leakage,\n(?P<number>[\d.]+) (?P<prefix>[pnum]?)J")):
        assert said(text, pattern) == pytest.approx(1e-12 * core.loc[rows, "energy_pj"].sum(), rel=5e-4)


def test_saved_frames_hold_the_numbers_of_the_result(runs: dict[Any, list[Result]], tmp_path: Path) -> None:
    both = runs["bit_serial", "event_core_64", "layer_by_layer"][2]
    folder = both.save(tmp_path / "run")
    for name, frame in (("activity", both.activity), ("cycles", both.cycles_frame), ("energy", both.energy)):
        saved = pd.read_csv(folder / f"{name}.csv", keep_default_na=False)
        for column in frame.select_dtypes("number"):
            assert saved[column].to_numpy() == pytest.approx(frame[column].to_numpy()), (name, column)
    loaded = hwsim.load_result(folder)
    assert (loaded.energy_pj, loaded.setup_energy_pj) == (both.energy_pj, both.setup_energy_pj)


def test_results_of_the_first_format_are_told_to_be_run_again(runs: dict[Any, list[Result]], tmp_path: Path) -> None:
    folder = runs["rate", "event_core_64", "layer_by_layer"][0].save(tmp_path / "run")
    body = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(body | {"format": "hwsim-result-1"}))
    with pytest.raises(hwsim.ResultError, match="repeat the run"):
        hwsim.load_result(folder)


# -- prices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "expected"), [
    ({"voltage": 0.8}, "voltage=0.8: there is no such setting; allowed are units, memory, logic, clock_gating, dram, links, "
                       "temperature_k"),
    ({"scale": 0.5}, "scale=0.5: there is no such setting"),
    ({"technology": "22nm"}, "technology='22nm': there is no such setting"),
    ({"temperature_k": 350}, "temperature_k=350: allowed is 300 or 360"),
    ({"memory": 3}, "memory=3: allowed is the name of a memory profile"),
    ({"units": "7nm"}, "no table named '7nm'"),
    ({"overrides": {"cmpp": 1}}, "cmpp: no such event"),
])
def test_repricing_refuses_what_it_does_not_know(
    runs: dict[Any, list[Result]], arguments: dict[str, Any], expected: str
) -> None:
    result = runs["rate", "event_core_64", "layer_by_layer"][0]
    with pytest.raises(hwsim.HwsimError, match=expected):
        result.reprice(**arguments)


def test_repricing_tells_all_mistakes_at_once(runs: dict[Any, list[Result]]) -> None:
    result = runs["rate", "event_core_64", "layer_by_layer"][0]
    with pytest.raises(hwsim.RepriceError) as caught:
        result.reprice(voltage=0.8, scale=0.5, temperature_k=350)
    assert [line.split("=")[0] for line in str(caught.value).splitlines()] == [
        "reprice: voltage", "reprice: scale", "reprice: temperature_k"]
    assert "pydantic" not in str(caught.value)
    assert result.reprice(temperature_k=360).energy_pj["core"] > result.energy_pj["core"]


def test_a_memory_beyond_its_table_is_refused_before_anything_is_simulated(
    rate_trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwsim.engine.fast.chip.FastEngine.run_sample", None)
    design = hwsim.load_architecture("event_core_64")
    vast = design.with_memories(weight=2**30)
    for run in (lambda: hwsim.simulate(rate_trace, vast), lambda: hwsim.simulate(rate_trace, vast, overrides={"cmp": 0.1})):
        with pytest.raises(hwsim.HwsimError, match="weight memory: a bank of .* lies beyond cacti_lop"):
            run()


def test_every_error_is_an_hwsim_error() -> None:
    errors = [getattr(hwsim, name) for name in hwsim.__all__ if name.endswith("Error")]
    assert hwsim.HwsimError in errors
    assert all(issubclass(error, hwsim.HwsimError) for error in errors)
