"""Studies and shards: identity before the run, rows that resume, merged shards that equal the whole run."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hwsim
from hwsim.arch import dump_architecture, rebuild_architecture
from hwsim.result import Result, ResultError
from hwsim.simulation import make_task
from hwsim.study import ROWS, Point, StudyError, identify, read_rows, run_study
from hwsim.task import Task, TaskError
from hwsim.trace.reader import Trace

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
    for nothing in ([], iter(())):
        with pytest.raises(TaskError, match="nothing to merge"):
            Result.merge(nothing)
    with pytest.raises(ResultError, match="found 5 among the results"):
        Result.merge([one, 5])  # type: ignore[list-item]
    named = hwsim.load_architecture(ARCH).model_copy(update={"name": "other"})
    alike = hwsim.simulate(rate_trace, named, samples=[1])
    with pytest.raises(ResultError, match=rf"different names \({ARCH}, other\)"):
        Result.merge([one, alike])
    assert Result.merge(r for r in (one, alike.priced(one.architecture))).facts.samples == 2
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
    monkeypatch.setattr("hwsim.study.work.simulate", None)  # nothing is left to run
    again = run_study(points[::-1], tmp_path, executor=ThreadPoolExecutor(1))
    assert again == json.loads(json.dumps(rows[::-1]))
    assert len(read_rows(tmp_path)) == 4


def test_a_timing_only_point_is_another_point_with_the_same_numbers(path: Path, tmp_path: Path) -> None:
    points = [Point.of(path, ARCH, check=check) for check in (True, False)]
    assert len({identify(point) for point in points}) == 2
    rows = run_study(points, tmp_path, executor=ThreadPoolExecutor(1))
    assert [row["check"] for row in rows] == [True, False]
    assert [row["mismatches"] for row in rows] == [0, None]
    assert rows[0]["energy_pj"] == rows[1]["energy_pj"]
    refused = run_study([Point.of(path, ARCH, check=0)], tmp_path, executor=ThreadPoolExecutor(1))
    assert "check is 0, expected True or False" in refused[0]["error"]


def test_points_have_a_rate_and_are_told_apart_by_what_is_on_between_samples(path: Path, tmp_path: Path) -> None:
    design = hwsim.load_architecture(ARCH)
    gated = rebuild_architecture({**dump_architecture(design), "power": {"idle": {"logic": "off"}}})
    points = [Point.of(path, design), Point.of(path, design, rate_hz=30), Point.of(path, design, rate_hz=100.0),
              Point.of(path, gated)]
    assert len({identify(point) for point in points}) == 3
    rows = run_study(points[1:], tmp_path, executor=ThreadPoolExecutor(1))
    assert [row["at_rate"]["rate_hz"] for row in rows] == [30, 100, 30]
    systems = [row["at_rate"]["energy_pj"]["system"] for row in rows]
    assert systems[0] > systems[2] > systems[1] > rows[0]["energy_pj"]["system"]
    assert "expected samples per second" in run_study([Point.of(path, ARCH, rate_hz=-1)], tmp_path,
                                                      executor=ThreadPoolExecutor(1))[0]["error"]


def test_points_of_other_prices_are_simulated_once(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hwsim.study import work

    ran = []
    monkeypatch.setattr(work, "simulate", lambda *a, **k: ran.append(a) or hwsim.simulate(*a, **k))
    design = hwsim.load_architecture(ARCH)
    others = [design.model_copy(update={"clock": 2 * 10**8, "name": "slow"}), design]
    rows = run_study([Point.of(path, one) for one in others], tmp_path, executor=ThreadPoolExecutor(1))
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
        for row, text in zip(rows, ("no such design", "sideways", "none.h5", "weight memory", "no such event"), strict=False):
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
    key = identify(point)
    monkeypatch.setattr("hwsim.simulation.Task", lambda **fields: Task(**fields, model_version="0"))
    assert identify(point) != key


def test_a_file_that_is_no_studys_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / ROWS).write_text('{"a": 1}\n')
    with pytest.raises(StudyError, match=r"rows.jsonl:1: .*expected a row of a study"):
        run_study([Point.of(path, ARCH)], tmp_path)


NO_POINTS: list[tuple[dict[str, Any], str]] = [
    ({"arch": {"name": "x", "clock": "1 MHz", "core": {"lanes": 0}}}, "ArchitectureError: x: core.lanes: found 0"),
    ({"arch": {}}, "ArchitectureError: architecture: name: missing"), ({"arch": 5}, "StudyError: arch is 5"),
    ({"trace": 5}, "StudyError: trace is 5"), ({"schedule": ["a"]}, r"SimulationError: unknown schedule ['a']"),
    ({"engine": ["a"]}, "SimulationError: unknown engine ['a']"), ({"spikes": None}, "SimulationError: unknown spikes None"),
    ({"samples": ["a"]}, "SimulationError: samples holds 'a'"), ({"samples": [0, 1.5]}, "SimulationError: samples holds 1.5"),
    ({"samples": object()}, "SimulationError: samples is"), ({"samples": b"1"}, "SimulationError: samples is"),
    ({"overrides": 5}, "StudyError: overrides is 5"),
    ({"overrides": {"acc_add": 1e308}}, "EnergyError: overrides: acc_add: found 1e+308"),
    ({"overrides": {"acc_add": float("nan")}}, "EnergyError: overrides: acc_add: found nan"),
    ({"leak_unused": "no"}, "StudyError: leak_unused is 'no'"), ({"labels": 5}, "StudyError: labels is 5"),
    ({"labels": {"a": float("nan")}}, "StudyError: labels is {'a': nan}"), ({"labels": {"a": object()}}, "StudyError: labels is"),
]


@pytest.mark.parametrize(("what", "expected"), NO_POINTS)
def test_no_mistake_in_a_point_ends_the_study_or_costs_a_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: dict[str, Any], expected: str,
) -> None:
    monkeypatch.setattr("hwsim.study.work.simulate", None)  # nothing runs
    bad = replace(Point.of(path, ARCH), **what)
    rows = run_study([bad, bad], tmp_path, executor=ThreadPoolExecutor(1))
    assert [row["error"][:len(expected)] for row in rows] == [expected] * 2
    assert read_rows(tmp_path) == rows


def test_whatever_goes_wrong_in_a_run_is_its_rows_error(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*what: object, **more: object) -> Result:
        raise ZeroDivisionError("no reason")

    monkeypatch.setattr("hwsim.study.work.simulate", fails)
    (row,) = run_study([Point.of(path, ARCH)], tmp_path, executor=ThreadPoolExecutor(1))
    assert row["error"] == "ZeroDivisionError: no reason"


def test_a_number_that_is_not_finite_is_its_rows_error(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = Result.summary
    strange = {"power_w": float("inf"), "energy_pj": {"core": float("nan")}}
    monkeypatch.setattr(Result, "summary", lambda self: summary(self) | strange)
    (row,) = run_study([Point.of(path, ARCH)], tmp_path, executor=ThreadPoolExecutor(1))
    assert row["error"].startswith("StudyError: numbers that are not finite: energy_pj is nan, power_w is inf")


def test_prices_may_be_a_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text("acc_add: 0.2\n")
    points = [Point.of(path, ARCH, overrides=given) for given in ({"acc_add": 0.2}, str(tmp_path / "prices.yaml"))]
    assert identify(points[0]) == identify(points[1])
    one, other = run_study(points, tmp_path, executor=ThreadPoolExecutor(1))
    assert one == other
    assert "error" not in one


def test_what_is_no_point_is_refused_before_anything_runs(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"points\[1\] is 'x', expected a hwsim.Point"):
        run_study([Point.of(path, ARCH), "x"], tmp_path)  # type: ignore[list-item]
    assert not (tmp_path / ROWS).exists()


@pytest.mark.parametrize(("content", "told"), [
    (b"my diary\nsecond\n", ":1: found 'my diary'"), (b"no line's end", ":1: found"), (b"\xff\xfe\x00\x01\n", ":1: found"),
    (b"[1, 2]\n", r":1: found '\[1, 2\]'"), (b'{"key": "a"}\n', ":1: .* with an error, or with task, samples, cycles"),
    (b'{"key": "a", "error": "b"}\ndiary\n', ":2: found 'diary'"), (b'{"key": "a", "error": 1}\n', ":1: .*with an error"),
])
def test_a_file_of_something_else_is_refused_with_its_line(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / ROWS).write_bytes(content)
    with pytest.raises(StudyError, match=rf"{ROWS}{told}"):
        read_rows(tmp_path)
    assert (tmp_path / ROWS).read_bytes() == content


def test_a_first_row_that_was_cut_off_and_gone_on_after_is_none(tmp_path: Path) -> None:
    for cut in (b"{", b'{"key": "ab'):
        (tmp_path / ROWS).write_bytes(cut + b'\n{"key": "a", "error": "b"}\n')
        assert [row["key"] for row in read_rows(tmp_path)] == ["a"]


def test_rows_that_are_a_folder_and_folders_that_are_a_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / ROWS).mkdir()
    for folder in (tmp_path, path):
        with pytest.raises(StudyError, match=f"{ROWS}: cannot be read as rows of a study"):
            run_study([Point.of(path, ARCH)], folder)


def test_a_design_of_other_cycles_is_not_priced_as_this_one(rate_trace: Trace) -> None:
    result = hwsim.simulate(rate_trace, ARCH, samples=1)
    with pytest.raises(hwsim.HwsimError, match="decide cycles or counts"):
        result.priced(hwsim.load_architecture(ARCH).with_core(fifo_depth=2))
    assert replace(result).priced(hwsim.load_architecture(ARCH)).run_id == result.run_id
