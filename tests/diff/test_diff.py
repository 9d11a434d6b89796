"""What moved which number between two runs: the split of energy is exact, and each cause is found where it was put."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hwsim
from hwsim.activity import SCOPES
from hwsim.diff import Difference
from hwsim.diff.moved import Moved, Side, moved_lines
from hwsim.diff.numbers import RULES, cycles_by_cause
from hwsim.diff.settings import COUNTS, NOTHING, PRICES, SECONDS, settings_that_differ
from hwsim.trace.synth import synthesise
from hwsim.view.style import CAUSES
from tests.cli.calling import answer, call
from tests.conftest import ROOT

EXACT = {"rel": 1e-12, "abs": 1e-9}


@pytest.fixture(scope="module")
def base() -> hwsim.Result:
    return hwsim.simulate(synthesise("tiny", 4, samples=2), "event_core_16")


@pytest.fixture(scope="module")
def others(base: hwsim.Result) -> dict[str, hwsim.Result]:
    """Runs that differ from `base` in one way each."""
    trace, design = synthesise("tiny", 4, samples=2), base.architecture
    return {
        "price": base.reprice({"acc_add": 0.05}), "table": base.reprice(vdd_v=0.8),
        "leak": base.reprice(leak_unused=True),
        "lanes": hwsim.simulate(trace, design.with_core(lanes=8)),
        "schedule": hwsim.simulate(trace, design, schedule="step_by_step"),
        "both": hwsim.simulate(trace, design.with_core(lanes=4)).reprice({"membrane_*": "x0.5"}, leak_unused=True),
        "trace": hwsim.simulate(synthesise("tiny", 4, density=0.4, samples=2), design),
        "network": hwsim.simulate(_another_network(), design),
    }


def _another_network() -> hwsim.Trace:
    rng = np.random.default_rng(0)
    return hwsim.Trace.from_arrays(rng.random((1, 4, 2, 4, 4)) < 0.4, [
        {"name": "only", "weights": rng.integers(-5, 9, (3, 32)), "thresholds": 9}])


KINDS = ("price", "table", "leak", "lanes", "schedule", "both", "trace", "network")


@pytest.mark.parametrize("kind", KINDS)
def test_what_prices_and_counts_moved_adds_up_to_the_change(
    kind: str, base: hwsim.Result, others: dict[str, hwsim.Result]
) -> None:
    found = Difference(base, others[kind])
    for scope in SCOPES:
        sums = found.scopes[scope]
        assert sums["a_pj"] == pytest.approx(base.energy_pj[scope], **EXACT)
        assert sums["b_pj"] == pytest.approx(others[kind].energy_pj[scope], **EXACT)
        assert sums["price_moved_pj"] + sums["count_moved_pj"] == pytest.approx(sums["b_pj"] - sums["a_pj"], rel=1e-9, abs=1e-6)
    for line in found.lines:
        assert line.price_pj + line.count_pj == pytest.approx(line.change_pj, **EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_the_way_back_is_the_way_there_with_the_other_sign(
    kind: str, base: hwsim.Result, others: dict[str, hwsim.Result]
) -> None:
    there, back = Difference(base, others[kind]), Difference(others[kind], base)
    for scope in SCOPES:
        for part in ("change_pj", "price_moved_pj", "count_moved_pj"):
            assert there.scopes[scope][part] == pytest.approx(-back.scopes[scope][part], rel=1e-9, abs=1e-6)


def test_only_prices_move_what_is_counted_once_and_only_counts_what_has_one_price(
    base: hwsim.Result, others: dict[str, hwsim.Result]
) -> None:
    for kind in ("price", "table", "leak"):
        found = Difference(base, others[kind])
        assert found.same_counts
        assert found.scopes["system"]["change_pj"] != 0
        off = [line for line in found.lines if line.count_pj]
        assert all(line.a is None for line in off), "a memory that leaks now did not before"
        assert not off or kind == "leak"
    found = Difference(base, others["schedule"])
    assert found.scopes["core"]["price_moved_pj"] == 0
    assert found.scopes["core"]["count_moved_pj"] != 0


def test_a_line_of_both_causes_is_split_as_shapley_says() -> None:
    """The mean over both orders: price first, or count first."""
    def side(count: float, price: float) -> Side:
        return Side(count, price, count * price, "", "")

    rng = np.random.default_rng(3)
    for n_a, n_b, p_a, p_b in rng.uniform(0.1, 9, (50, 4)):
        line = Moved("core", "u", "u", "e", "", "", side(n_a, p_a), side(n_b, p_b))
        price_first, price_last = (p_b - p_a) * n_a, (p_b - p_a) * n_b
        assert line.price_pj == pytest.approx((price_first + price_last) / 2)
        assert line.count_pj == pytest.approx(((n_b - n_a) * p_b + (n_b - n_a) * p_a) / 2)


def test_lines_hold_each_count_once_however_many_charges_it_has(base: hwsim.Result) -> None:
    """An event's count is in the lines of each of its components, as it is in the activity."""
    counts = base.activity.groupby(["event", "layer"])["count"].sum()
    lines = [line for line in moved_lines(base.accounts, base.accounts) if (line.event, line.layer) in counts.index]
    assert len(lines) > 50
    doubled = base.accounts.groupby(["scope", "unit", "event", "layer", "timestep"]).size().max() > 1
    assert doubled, "no event has two charges in one component: the law says nothing"
    for line in lines:
        assert line.a is not None
        assert line.a.count == pytest.approx(counts[line.event, line.layer])
        assert line.a.count * line.a.price_pj == pytest.approx(line.a.energy_pj)


@pytest.mark.parametrize(("kind", "expected"), [
    ("price", {"overrides.acc_add": PRICES}), ("leak", {"leak_unused": PRICES}), ("schedule", {"schedule": COUNTS}),
    ("lanes", {"core.lanes": f"{COUNTS}, {PRICES}"}), ("table", {"technology.vdd_v": PRICES}),
    ("both", {"core.lanes": f"{COUNTS}, {PRICES}", "overrides.membrane_*": PRICES, "leak_unused": PRICES}),
])
def test_settings_that_differ_are_those_that_were_changed(
    kind: str, expected: dict[str, str], base: hwsim.Result, others: dict[str, hwsim.Result]
) -> None:
    assert {row.name: row.moves for row in settings_that_differ(base, others[kind])} == expected


def test_a_clock_moves_seconds_and_a_name_moves_nothing(base: hwsim.Result) -> None:
    faster = base.priced(base.architecture.model_copy(update={"clock": 2 * base.architecture.clock, "name": "faster"}))
    found = Difference(base, faster)
    assert {row.name: row.moves for row in found.settings} == {"name": NOTHING, "clock": SECONDS}
    assert found.scopes["core"]["change_pj"] < 0, "leakage of half the time"
    assert {n.name for n in found.numbers} >= {"latency_s", "energy_pj.core"}
    assert "cycles" not in {n.name for n in found.numbers}


def test_a_price_setting_moved_alone_is_the_whole_change_where_it_is_the_only_one(
    base: hwsim.Result, others: dict[str, hwsim.Result]
) -> None:
    for kind in ("price", "table", "leak"):
        found = Difference(base, others[kind])
        assert len(found.alone) == 1
        assert found.alone[0].change_pj == pytest.approx({s: found.scopes[s]["change_pj"] for s in SCOPES}, **EXACT)
    both = Difference(others["both"], base).alone  # the same settings in the other direction: overrides are taken away
    assert {row.name for row in both} == {"overrides.membrane_*", "leak_unused"}
    assert all(row.change_pj is not None and row.change_pj["core"] for row in both)


def test_every_cause_names_a_rule_that_is_in_the_cycle_model(base: hwsim.Result, others: dict[str, hwsim.Result]) -> None:
    assert set(RULES) == set(CAUSES)
    page = (ROOT / "docs" / "cycle-model.md").read_text()
    assert all(f"* **{rule} " in page for rule in RULES.values())
    rows = cycles_by_cause(base, others["lanes"])
    assert {row["rule"] for row in rows} >= {"R5"}
    busy = sum(row["change"] for row in rows if row["resource"] == "cores")
    assert busy == pytest.approx(others["lanes"].cycles.mean() - base.cycles.mean()), "the causes add up to the elapsed cycles"


def test_other_networks_are_told_and_compared_in_totals(base: hwsim.Result, others: dict[str, hwsim.Result]) -> None:
    found = Difference(base, others["network"])
    assert "networks are not the same" in found.notes()[0]
    assert {line.layer for line in found.lines} == {""}
    assert found.to_json()["energy_by_layer"] == []
    assert set(found.only_in("B")["layers"]) == set(others["network"].facts.layers) - set(base.facts.layers)
    traces = Difference(base, others["trace"])
    assert traces.same_network
    assert "traces differ" in traces.notes()[0]


def test_the_command_says_it_all_in_text_and_json(
    base: hwsim.Result, others: dict[str, hwsim.Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base.save(tmp_path / "a")
    others["both"].save(tmp_path / "b")
    body = answer("diff", tmp_path / "a", tmp_path / "b")
    assert set(body) == set(Difference(base, base).to_json())
    assert len(body["lines"]) > 50
    assert body["energy"]["core"]["change_pj"] == pytest.approx(others["both"].energy_pj["core"] - base.energy_pj["core"])
    monkeypatch.setenv("COLUMNS", "80")
    text = call("diff", tmp_path / "a", tmp_path / "b").stdout
    assert max(map(len, text.splitlines())) <= 80
    for words in ("core.lanes", "prices moved", "counts moved", "membrane_*", "R5", "leak_unused"):
        assert words in text
    same = call("diff", tmp_path / "a", base.save(tmp_path / "again")).stdout
    assert "settings: none differ" in same
    assert "numbers: none differ" in same


def test_bad_input_is_one_text(base: hwsim.Result, tmp_path: Path) -> None:
    folder = base.save(tmp_path / "a")
    other = base.save(tmp_path / "b")
    body = json.loads((other / "result.json").read_text())
    (other / "result.json").write_text(json.dumps(body | {"format": "hwsim-result-2"}))
    (tmp_path / "empty").mkdir()
    cases: list[tuple[tuple[Any, ...], str]] = [
        ((folder, folder), "one folder twice"), ((folder, tmp_path / "empty" / ".." / "a"), "one folder twice"),
        ((folder, tmp_path / "empty"), "a folder that `hwsim run --out` wrote"), ((tmp_path / "none", folder), "result.json"),
        ((folder, other), "expected 'hwsim-result-3'"), ((folder, folder / "result.json"), "result.json"),
    ]
    for arguments, text in cases:
        done = call("diff", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert text in done.stderr
        assert "Traceback" not in done.stderr


def test_energy_that_is_not_there_is_no_division(base: hwsim.Result) -> None:
    nothing = base.accounts.assign(energy_pj=0.0, count=0.0, price_pj=pd.Series(0.0, index=base.accounts.index))
    lines = moved_lines(nothing, base.accounts)
    assert sum(line.change_pj for line in lines if line.scope != "compute") == pytest.approx(base.energy_pj["system"])
    assert replace(lines[0], b=None).count_pj == 0
