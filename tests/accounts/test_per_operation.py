"""Published energies per synaptic operation beside ours: scaled by the declared rules, or not at all; nothing is fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import hwsim
from hwsim.accounts.per_operation import CHIPS, PublishedError, own_row, published_rows
from hwsim.cli.energy import app
from hwsim.cost.technology.sources import CONFIDENCES
from hwsim.result import Result
from hwsim.trace.reader import Trace


@pytest.fixture(scope="module")
def result(rate_trace: Trace) -> Result:
    return hwsim.simulate(rate_trace, "event_core_16", samples=1)


def test_ours_is_the_core_without_leakage_over_synaptic_operations(result: Result) -> None:
    own = own_row(result)
    energy = result.energy
    core = energy[energy["scope"] == "core"]
    parts = {leaks: core.loc[(core["unit"] == "leakage") == leaks, "energy_pj"].sum() for leaks in (False, True)}
    assert own["dynamic_pj"] == pytest.approx(parts[False] / result.synaptic_operations)
    assert own["leakage_pj"] == pytest.approx(parts[True] / result.synaptic_operations)


def test_a_chip_within_the_rules_is_scaled_and_others_say_why(result: Result) -> None:
    rows = {row["chip"]: row for row in published_rows(result)}
    assert len(rows) == len(CHIPS)
    own = own_row(result)
    for chip in CHIPS:
        row = rows[chip.name]
        assert row["ours_leakage_unscaled_pj"] == own["leakage_pj"]
        assert (row["ours_dynamic_pj"] is None) == bool(row["not_scaled"]) == (row["error_percent"] is None)
        if chip.vdd_v is None:
            assert row["not_scaled"] == "our sources name no supply"
    assert rows["ODIN"]["not_scaled"].startswith("technology.vdd_v: 0.55 V lies beyond")
    tianjic = rows["Tianjic"]
    assert tianjic["ours_dynamic_pj"] < own["dynamic_pj"], "the same supply at a smaller node"
    assert tianjic["error_percent"] == pytest.approx(100 * (tianjic["ours_dynamic_pj"] / 1.54 - 1))
    assert rows["TrueNorth, 0.75 V"]["ours_dynamic_pj"] < rows["TrueNorth, 0.775 V"]["ours_dynamic_pj"]


def test_every_figure_has_a_definition_and_a_source() -> None:
    for chip in CHIPS:
        assert chip.pj > 0
        assert chip.operation
        assert chip.source
        assert chip.confidence in CONFIDENCES


def test_a_result_without_operations_is_refused(result: Result) -> None:
    nothing = replace(result, layer_counts=np.zeros_like(result.layer_counts))
    with pytest.raises(PublishedError, match="found no synaptic operation"):
        published_rows(nothing)


def test_the_command_prints_errors_and_reasons(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "run")
    run = CliRunner().invoke(app, ["published", str(tmp_path / "run")])
    assert run.exit_code == 0, run.output
    assert "Tianjic" in run.output
    assert "SNE: not scaled: our sources name no supply" in run.output
    assert "nothing is fitted" in run.output
