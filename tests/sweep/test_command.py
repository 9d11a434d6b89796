"""`hwsim sweep`, `pareto` and `best`: the same numbers as `simulate`, resumed, with bad points in their rows."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import hwsim
from hwsim.cli import app
from hwsim.sweep import rows
from hwsim.trace.reader import Trace

runner = CliRunner()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, rate_trace: Trace) -> Path:
    found = tmp_path_factory.mktemp("sweep") / "rate.h5"
    rate_trace.save(found)
    return found


def run(*words: object) -> Result:
    return runner.invoke(app, list(map(str, words)))


def sweep(path: Path, out: Path, *more: object) -> Result:
    return run("sweep", path, "--arch", "event_core_16", "--set", "core.lanes=8,0,16", "--samples", 1, "--workers", 1, "-o", out,
               *more)


def test_a_sweep_says_why_points_were_refused_and_not_only_that_they_were(path: Path, tmp_path: Path) -> None:
    made = run("sweep", path, "--arch", "event_core_16", "--schedule", "pipelined", "--samples", 1, "--workers", 1, "-o",
               tmp_path)
    assert made.exit_code == 1
    assert "under pipelined: pipelined runs on chips with a network of links only; give the architecture `network`" in made.output


def test_a_sweep_gives_the_numbers_of_single_runs_and_goes_on_where_it_stopped(path: Path, tmp_path: Path) -> None:
    made = sweep(path, tmp_path)
    assert made.exit_code == 0, made.output
    assert "3 points, 1 failed" in made.output
    table = pd.read_csv(tmp_path / "rows.csv").set_index("core.lanes")
    assert "core.lanes: found 0" in table.loc[0, "error"]
    for lanes in (8, 16):
        design = hwsim.load_architecture("event_core_16").with_core(lanes=lanes)
        result = hwsim.simulate(path, design, samples=1)
        row = table.loc[lanes]
        assert row["cycles"] == result.cycles.mean()
        assert row["energy_uj"] == pytest.approx(result.energy_pj["system"] / 1e6)
        assert row["latency_ms"] == pytest.approx(result.latency_s * 1e3)
        assert row["run_id"] == result.run_id
    before = (tmp_path / "rows.jsonl").read_bytes()
    again = sweep(path, tmp_path, "--json")
    assert [row["labels"]["core.lanes"] for row in json.loads(again.stdout)] == [8, 0, 16]
    added = (tmp_path / "rows.jsonl").read_bytes().removeprefix(before)
    assert [json.loads(line).get("error", "")[:17] for line in added.splitlines()] == ["ArchitectureError"]


def test_a_table_has_the_rows_that_another_sweep_added_while_it_was_written(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, mine = rows._places, tmp_path / "mine"
    assert run("sweep", path, "--arch", "event_core_16", "--set", "core.lanes=4", "--samples", 1, "--workers", 1, "-o",
               tmp_path / "other").exit_code == 0
    theirs = [(tmp_path / "other" / "rows.jsonl").read_bytes()]

    def places(folder: Path) -> list[int]:
        found = real(folder)
        if theirs:
            with (mine / "rows.jsonl").open("ab") as file:
                file.write(theirs.pop())
        return found

    monkeypatch.setattr(rows, "_places", places)
    assert sweep(path, mine).exit_code == 0
    assert len(pd.read_csv(mine / "rows.csv")) == 4


def test_the_front_and_the_best_of_a_sweep_are_rows_of_it(path: Path, tmp_path: Path) -> None:
    sweep(path, tmp_path)
    front = json.loads(run("pareto", tmp_path, "--minimise", "cycles", "--minimise", "area_mm2", "--json").stdout)
    assert [row["cycles"] for row in front] == sorted(row["cycles"] for row in front)
    [least] = json.loads(run("best", tmp_path, "--minimise", "cycles", "-n", 1, "--json").stdout)
    assert least == front[0]
    assert "core.lanes" in run("best", tmp_path).stdout
    refused = run("best", tmp_path, "--where", "cycles < 1")
    assert refused.exit_code != 0


@pytest.mark.parametrize(("words", "expected"), [
    (["--set", "core.lanez=3"], "unknown field"), (["--set", "core.lanes=4"], "more than one axis"),
    (["--set", "clock={from: 1 Hz, to: 2000 Hz, step: 1}", "--set", "core.fifo_depth={from: 1, to: 500, step: 1}"],
     "3,000,000 points"),
])
def test_what_is_no_sweep_is_one_error_before_anything_runs(path: Path, tmp_path: Path, words: list[str], expected: str) -> None:
    refused = sweep(path, tmp_path / "none", *words)
    assert refused.exit_code != 0
    assert expected in str(refused.exception)
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_an_old_failure_is_gone_from_the_table_when_its_point_succeeds(path: Path, tmp_path: Path) -> None:
    study, trace = tmp_path / "study.yaml", tmp_path / "later.h5"
    study.write_text("trace: later.h5\narch: event_core_16\nsamples: 1\n")
    failed = run("sweep", study, "-o", tmp_path / "rows", "--workers", 1)
    assert "1 point, 1 failed" in failed.output
    assert failed.exit_code == 1, "nothing was found"
    assert "all 1 points failed; the column error says why" in str(run("best", tmp_path / "rows").exception)
    trace.write_bytes(path.read_bytes())
    assert "0 failed" in run("sweep", study, "-o", tmp_path / "rows", "--workers", 1).output
    table = pd.read_csv(tmp_path / "rows" / "rows.csv")
    assert list(table["error"].isna()) == [True]


def test_parquet_holds_the_table(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    assert sweep(path, tmp_path, "--set", "core.bypass=true,false", "--parquet").exit_code == 0
    held, table = pd.read_parquet(tmp_path / "rows.parquet"), pd.read_csv(tmp_path / "rows.csv")
    assert list(held) == list(table)
    assert len(held) == 6
    numbers = [name for name in table if table[name].dtype.kind == "f"]
    assert {"energy_uj", "latency_ms"} <= set(numbers)
    pd.testing.assert_frame_equal(held[numbers].astype(float), table[numbers])
    assert held["error"].fillna("").tolist() == table["error"].fillna("").tolist()
