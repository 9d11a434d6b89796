"""Studies and shards: identity before the run, rows that resume, merged shards that equal the whole run."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hwsim
from hwsim.result import Result, ResultError
from hwsim.simulation import make_task
from hwsim.snn.trace import Trace
from hwsim.study import ROWS, Point, StudyError, identify, read_rows, run_study
from hwsim.task import Task, TaskError

ARCH = "event_core_16"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, rate_trace: Trace) -> Path:
    found = tmp_path_factory.mktemp("study") / "rate.h5"
    rate_trace.save(found)
    return found


def assert_equal_results(one: Result, other: Result) -> None:
    assert (one.task, one.facts, one.sim_id, one.run_id) == (other.task, other.facts, other.sim_id, other.run_id)
    for name in ("cycles", "layer_counts", "operation_counts", "spans"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("activity", "activity_by_sample", "energy", "cycles_frame", "timeline", "area"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    assert one.summary() == other.summary()


# --- tasks and merging -------------------------------------------------------------------------------------------------


def test_a_task_is_known_before_the_run_and_is_that_of_the_result(rate_trace: Trace) -> None:
    design = hwsim.load_architecture(ARCH)
    task = make_task(rate_trace, design, samples=[2, 0])
    result = hwsim.simulate(rate_trace, design, samples=[2, 0])
    assert result.task == task
    assert result.sim_id == task.hash[:16]
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


@pytest.mark.parametrize("change", [
    {"samples": [0]}, {"schedule": "step_by_step"}, {"engine": "reference"}, {"spikes": "computed"}])
def test_whatever_decides_cycles_moves_a_task(rate_trace: Trace, change: dict[str, Any]) -> None:
    design = hwsim.load_architecture(ARCH)
    assert make_task(rate_trace, design, **change).hash != make_task(rate_trace, design).hash
    assert make_task(rate_trace, design.with_core(fifo_depth=3)).hash != make_task(rate_trace, design).hash
    named = design.model_copy(update={"name": "other", "clock": 10**8})
    assert make_task(rate_trace, named).hash == make_task(rate_trace, design).hash


@pytest.mark.parametrize("arch", [ARCH, "event_core_64"])
@pytest.mark.parametrize("schedule", ["layer_by_layer", "step_by_step"])
def test_merged_shards_equal_the_whole_run(rate_trace: Trace, arch: str, schedule: str) -> None:
    whole = hwsim.simulate(rate_trace, arch, schedule=schedule)
    shards = [hwsim.simulate(rate_trace, arch, schedule=schedule, samples=part) for part in ([0], [1, 2])]
    assert_equal_results(Result.merge(shards), whole)
    turned = Result.merge(shards[::-1])
    assert turned.task.samples == (1, 2, 0)
    assert_equal_results(turned, hwsim.simulate(rate_trace, arch, schedule=schedule, samples=[1, 2, 0]))
    assert_equal_results(Result.merge([whole]), whole)


def test_saved_shards_merge(rate_trace: Trace, tmp_path: Path) -> None:
    for i in range(3):
        hwsim.simulate(rate_trace, ARCH, samples=[i]).save(tmp_path / str(i))
    loaded = [hwsim.load_result(tmp_path / str(i)) for i in range(3)]
    assert_equal_results(Result.merge(loaded), hwsim.simulate(rate_trace, ARCH))


def test_what_does_not_belong_together_is_not_merged(rate_trace: Trace, bit_serial_trace: Trace) -> None:
    one = hwsim.simulate(rate_trace, ARCH, samples=[0])
    with pytest.raises(TaskError, match=r"samples \[0\] are in more than one"):
        Result.merge([one, one])
    with pytest.raises(TaskError, match="they differ in trace_hash"):
        Result.merge([one, hwsim.simulate(bit_serial_trace, ARCH, samples=[1])])
    with pytest.raises(TaskError, match="they differ in schedule"):
        Result.merge([one, hwsim.simulate(rate_trace, ARCH, samples=[1], schedule="step_by_step")])
    with pytest.raises(ResultError, match="different prices"):
        Result.merge([one, hwsim.simulate(rate_trace, ARCH, samples=[1], overrides={"acc_add": 1.0})])
    with pytest.raises(TaskError, match="nothing to merge"):
        Result.merge([])
    with pytest.raises(TaskError, match="not a Task"):
        Task.from_json({"samples": [1]})


# --- studies -----------------------------------------------------------------------------------------------------------


def points_of(path: Path) -> list[Point]:
    design = hwsim.load_architecture(ARCH)
    return [Point.of(path, design.with_core(fifo_depth=depth), overrides={"acc_add": price}, labels={"depth": depth})
            for depth in (1, 4) for price in (0.1, 0.2)]


def test_rows_are_those_of_single_runs_and_are_made_once(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = points_of(path)
    made = []
    with ThreadPoolExecutor(2) as pool:
        rows = run_study(points, tmp_path, executor=pool, progress=lambda done, of: made.append((done, of)))
    assert made[-1] == (4, 4)
    for point, row in zip(points, rows, strict=True):
        alone = hwsim.simulate(path, point.design(), overrides=point.overrides)
        assert {name: row[name] for name in alone.summary()} == json.loads(json.dumps(alone.summary()))
        assert row["labels"] == point.labels
    monkeypatch.setattr("hwsim.study.run_points", None)  # nothing is left to run
    again = run_study(points[::-1], tmp_path, executor=ThreadPoolExecutor(1))
    assert again == json.loads(json.dumps(rows[::-1]))
    assert len(read_rows(tmp_path)) == 4


def test_points_of_other_prices_are_simulated_once(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hwsim.study as study

    ran = []
    monkeypatch.setattr(study, "simulate", lambda *a, **k: ran.append(a) or hwsim.simulate(*a, **k))
    design = hwsim.load_architecture(ARCH)
    others = [design.model_copy(update={"clock": 2 * 10**8, "name": "slow"}), design]
    rows = study.run_study([Point.of(path, one) for one in others], tmp_path, executor=ThreadPoolExecutor(1))
    assert len(ran) == 1
    assert [row["arch"] for row in rows] == ["slow", ARCH]
    assert rows[0]["sim_id"] == rows[1]["sim_id"]
    assert rows[0]["latency_s"] > rows[1]["latency_s"]


def test_processes_make_the_same_rows(path: Path, tmp_path: Path) -> None:
    rows = run_study(points_of(path)[:3], tmp_path / "two", workers=2)
    with ThreadPoolExecutor(1) as pool:
        assert rows == run_study(points_of(path)[:3], tmp_path / "one", executor=pool)


def test_a_bad_point_fails_alone_and_is_tried_again(path: Path, tmp_path: Path) -> None:
    good = Point.of(path, ARCH)
    bad = [Point.of(path, "no_such_design"), Point.of(path, ARCH, schedule="sideways"), Point.of(tmp_path / "none.h5", ARCH),
           Point.of(path, hwsim.load_architecture(ARCH).with_memories(weight=8)), Point.of(path, ARCH, overrides={"nope": 1})]
    with ThreadPoolExecutor(1) as pool:
        rows = run_study([*bad, good], tmp_path, executor=pool)
        assert ["error" in row for row in rows] == [True] * 5 + [False]
        for row, text in zip(rows, ("no such file", "sideways", "none.h5", "weight memory", "no such event"), strict=False):
            assert text in row["error"], row["error"]
        assert len(run_study([*bad, good], tmp_path, executor=pool)) == 6
    assert sum("error" not in row for row in read_rows(tmp_path)) == 1


def test_a_line_that_a_kill_cut_off_costs_its_own_point_only(path: Path, tmp_path: Path) -> None:
    points = points_of(path)
    with ThreadPoolExecutor(1) as pool:
        rows = run_study(points, tmp_path, executor=pool)
        file = tmp_path / ROWS
        file.write_bytes(file.read_bytes()[:-40])
        assert len(read_rows(tmp_path)) == 3
        assert sorted(map(str, run_study(points, tmp_path, executor=pool))) == sorted(map(str, json.loads(json.dumps(rows))))
    assert {row["key"] for row in read_rows(tmp_path)} == {row["key"] for row in rows}


def test_another_model_version_is_another_row(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = Point.of(path, ARCH)
    key = identify(point).key
    monkeypatch.setattr("hwsim.simulation.Task", lambda **fields: Task(**fields, model_version="0"))
    assert identify(point).key != key


def test_a_file_that_is_no_studys_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / ROWS).write_text('{"a": 1}\n')
    with pytest.raises(StudyError, match=r"rows.jsonl:1: .*expected a row of a study"):
        run_study([Point.of(path, ARCH)], tmp_path)


def die(points: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_leaves_the_rows_made_so_far(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = points_of(path)
    with ThreadPoolExecutor(1) as pool:
        run_study(points[:2], tmp_path, executor=pool)
    monkeypatch.setattr("hwsim.study.run_points", die)
    with pytest.raises(StudyError, match="a worker process died"):
        run_study(points, tmp_path, workers=1)
    assert len(read_rows(tmp_path)) == 2


def test_a_design_of_other_cycles_is_not_priced_as_this_one(rate_trace: Trace) -> None:
    result = hwsim.simulate(rate_trace, ARCH, samples=1)
    with pytest.raises(hwsim.HwsimError, match="decide cycles or counts"):
        result.priced(hwsim.load_architecture(ARCH).with_core(fifo_depth=2))
    assert replace(result).priced(hwsim.load_architecture(ARCH)).run_id == result.run_id
