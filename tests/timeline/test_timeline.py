"""A timeline's file says what the counts say: read back, busy + stall + idle of every unit are the cycles that passed.

What a run's log is read into is held against the counts of its engine on random programs. The files of both engines are equal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hwsim
from hwsim.activity import INDEX
from hwsim.arch import Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.counted import WORKING
from hwsim.engine.fast.chip import FastEngine
from hwsim.errors import HwsimError
from hwsim.files import FileError
from hwsim.program import Run
from hwsim.record import CoreLog
from hwsim.result import Result
from hwsim.timeline import window, write
from hwsim.timeline.core_tracks import FILL, ISSUE, LANES, LAYERS, READER, RUNS, SENT, WRITER
from hwsim.timeline.slots import TimelineError, read_slots
from hwsim.timeline.units import UnitTimes, unit_times
from hwsim.timeline.write import write_timeline
from hwsim.trace.reader import Trace
from hwsim.trace.synth import synthesise
from tests.cli.calling import call
from tests.conftest import ROOT
from tests.cores.dense.test_dense import dense
from tests.engine.random_designs import random_sample
from tests.engine.random_programs import draw_design
from tests.engine.test_dataflow_designs import DESIGNS, design
from tests.engine.test_dataflows import in_dataflow
from tests.timeline.reading import Timeline, assert_covered, read
from tests.view.test_chip_pictures import chip

TINY = ROOT / "traces" / "methods" / "fashion_mnist_tiny_rate_t4.h5"
UNITS = (READER, ISSUE, LANES, WRITER)


def caused(log: CoreLog) -> dict[str, int]:
    """Cycles of a run by cause, as Counted.cycles_frame makes them of counts."""
    counts = log.counts.sum(axis=0)
    found = {kind: int(counts[INDEX[f"cycles_{kind}"]]) for kind in ("busy", "stall_hazard", "stall_port", "stall_serialiser")}
    found["stall_serialiser"] -= int(counts[INDEX["cycles_overlapped"]])
    return found | {"idle": log.done - sum(found.values())}


def check_run(op: Run, log: CoreLog, outputs: np.ndarray | None) -> Counter[str]:
    """The law of one run, and the causes that it has."""
    slots = read_slots(op.body, log, outputs)
    units = unit_times(op.body, log, slots)
    found: Counter[str] = Counter()
    for start, end, code in zip(units.issue.start, units.issue.end, units.issue.code, strict=True):
        found[units.issue.states[code].cause] += int(end - start)
    assert {k: n for k, n in found.items() if n} == {k: n for k, n in caused(log).items() if n}
    assert int(slots.sent.sum()) == len(log.spikes)
    for unit in (units.reader, units.issue, units.execute, units.writer):
        assert unit.start[0] == 0
        assert unit.end[-1] == log.done
        assert (unit.start[1:] == unit.end[:-1]).all()
        assert (unit.end > unit.start).all()
    check_reader(op, log, units)
    if len(units.fill):
        assert 0 <= units.fill[:, 1].min() <= units.fill[:, 1].max() <= op.body.core.fifo_depth
        assert units.fill[-1, 1] == 0
    return found


def check_reader(op: Run, log: CoreLog, units: UnitTimes) -> None:
    """Every token is pushed in a cycle of its own; an AER list gives one in each cycle in which the FIFO has room (R2)."""
    spent: Counter[str] = Counter()
    full = np.zeros(log.done, bool)
    for start, end, code in zip(units.reader.start, units.reader.end, units.reader.code, strict=True):
        spent[units.reader.states[code].name] += int(end - start)
        full[start:end] = units.reader.states[code].what == "stall"
    assert spent["pushes"] == log.counts[:, INDEX["fifo_push"]].sum()
    assert op.body.core.buffer != "aer" or not spent["reads rows"]
    held = (np.searchsorted(log.push, np.arange(log.done)) - np.searchsorted(log.pop, np.arange(log.done)))
    assert (held[full] == op.body.core.fifo_depth).all()


OTHERS: list[dict[str, Any]] = [
    {}, {"bypass": False}, {"membrane_ports": "1rw"}, {"passes": "by_word", "bypass": False},
    {"order": "gather", "accumulators": 2},
    {"order": "gather", "planes_per_token": "all", "adders": 2, "writer": "word", "membrane_ports": "1rw"},
    {"planes_per_token": "all", "membrane_ports": "1rw"}, {"mask_first": True, "bypass": False},
    {"mask_first": True, "membrane_ports": "1rw", "bypass": False, "planes_per_token": "all"},
]


def check_program(seed: int, core: dict[str, Any]) -> Counter[str]:
    """All runs of a random program in a dataflow; nothing where there is none of that kind."""
    drawn = draw_design(seed)
    if drawn is None:
        return Counter()
    spec = next(drawn.program.runs).body.core
    if spec.buffer == "aer":
        core = {**core, "order": "scatter", "planes_per_token": "one", "writer": "serial"}
    program = in_dataflow(drawn.program, replace(spec, **core))
    found: Counter[str] = Counter()
    try:
        record = FastEngine().run_sample(program, random_sample(drawn.rng, drawn.network), "computed", record=True)
    except HwsimError:  # the network does not suit the dataflow
        return found
    for op in program.runs:
        found += check_run(op, record.logs[op.id], record.outputs.get(drawn.network.layers[op.layer].name))
    return found


def test_a_log_read_backwards_gives_the_counted_causes_on_random_programs() -> None:
    found = sum((check_program(seed, OTHERS[seed % len(OTHERS)]) for seed in range(18)), Counter())
    assert set(found) == {"busy", "stall_hazard", "stall_port", "stall_serialiser", "idle"}, "the draws must have every cause"


@pytest.mark.slow
def test_a_log_read_backwards_gives_the_counted_causes_on_hundreds_of_programs() -> None:
    for seed in range(600):
        check_program(seed, OTHERS[seed % len(OTHERS)])


def test_a_log_that_no_rule_explains_is_refused() -> None:
    drawn = draw_design(0)
    assert drawn is not None
    record = FastEngine().run_sample(drawn.program, random_sample(drawn.rng, drawn.network), "computed", record=True)
    op = next(op for op in drawn.program.runs if len(record.logs[op.id].issue) > 3)
    log = record.logs[op.id]
    log.issue[-1, 0] += 5
    with pytest.raises(TimelineError, match="no rule"):
        read_slots(op.body, log, record.outputs.get(drawn.network.layers[op.layer].name))


# --- files ------------------------------------------------------------------------------------------------------------------


def without_bypass() -> Architecture:
    data = dump_architecture(load_architecture("event_core_64"))
    data["core"] |= {"bypass": False, "fifo_depth": 2}
    return rebuild_architecture(data)


def synthetic(coding: str) -> Trace:
    return synthesise("tiny", timesteps=3, density=0.2, samples=2, seed=0, coding=coding)


CASES: dict[str, tuple[str, Any, str]] = {
    "scatter": ("rate", without_bypass, "step_by_step"),
    "bit serial": ("bit_serial", lambda: "event_core_64", "layer_by_layer"),
    "gather merged": ("bit_serial", lambda: design(DESIGNS["gather merged"], "bit_serial", "1rw"), "layer_by_layer"),
    "chip": ("rate", lambda: chip(4), "pipelined"),
    "dense": ("quantised", dense, "layer_by_layer"),
    "systolic": ("quantised", lambda: "systolic_8x8", "layer_by_layer"),
}


SLOW = ("bit serial", "dense", "gather merged")


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in CASES])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Trace, Timeline]:
    coding, arch, schedule = CASES[request.param]
    trace = synthetic(coding)
    result = hwsim.simulate(trace, arch(), schedule=schedule)
    path = write_timeline(result, trace, tmp_path_factory.mktemp("timeline") / "run.json")
    return result, trace, read(path)


def resources(result: Result, timeline: Timeline) -> dict[str, str]:
    """By resource of cycles_frame the track that has its causes."""
    first = result.architecture.core_names[0]
    track = ISSUE if (first, ISSUE) in timeline.slices else RUNS
    return {name: track for name in result.architecture.core_names} | {"channel": write.TRANSFERS}


def test_busy_and_stall_and_idle_of_every_track_are_the_cycles_that_passed(case: tuple[Result, Trace, Timeline]) -> None:
    result, _, timeline = case
    for (process, track), slices in timeline.slices.items():
        if track != LAYERS:
            assert_covered(slices, 0, result.total_cycles)
            if process != write.CHIP:
                assert sum(timeline.spent(process, track).values()) == result.total_cycles
                assert set(timeline.spent(process, track)) <= {"busy", "stall", "idle"}


def as_slots(frame: pd.DataFrame) -> pd.DataFrame:
    """Cycles by cause as a timeline has them: whatever issues in a slot, the slot is busy."""
    return frame.assign(cause=frame["cause"].where(~frame["cause"].isin(WORKING), "busy"))


def test_causes_are_those_that_were_counted(case: tuple[Result, Trace, Timeline]) -> None:
    result, _, timeline = case
    for name, track in resources(result, timeline).items():
        frame = result.cycles_frame[result.cycles_frame["resource"] == name]
        counted = as_slots(frame).groupby("cause")["total_cycles"].sum().to_dict()
        if track == RUNS:  # nobody knows what happens within a run
            counted = {"run": sum(n for cause, n in counted.items() if cause != "wait"), "wait": counted["wait"]}
        found = timeline.spent(name, track, "cause") if (name, track) in timeline.slices else {"wait": result.total_cycles}
        assert {k: n for k, n in found.items() if n} == {k: n for k, n in counted.items() if n}


def test_causes_of_each_layer_are_those_that_were_counted(case: tuple[Result, Trace, Timeline]) -> None:
    """The issue track lies below the layers: what lies within a layer's runs is what the layer costs."""
    result, _, timeline = case
    for name, track in resources(result, timeline).items():
        if track != ISSUE:
            continue
        runs = sorted(s for s in timeline.slices[name, LAYERS] if s.what == "run")
        found: Counter[tuple[str, str]] = Counter()
        starts = [run.start for run in runs]
        for one in timeline.slices[name, track]:
            if one.args["cause"] != "wait":
                run = runs[int(np.searchsorted(starts, one.start, side="right")) - 1]
                assert run.start <= one.start < one.end <= run.end
                found[run.args["layer"], one.args["cause"]] += one.end - one.start
        frame = result.cycles_frame
        frame = as_slots(frame[(frame["resource"] == name) & (frame["cause"] != "wait") & (frame["total_cycles"] > 0)])
        assert dict(found) == frame.groupby(["layer", "cause"])["total_cycles"].sum().to_dict()


def test_counters_hold_the_spikes_and_never_more_tokens_than_the_fifo(case: tuple[Result, Trace, Timeline]) -> None:
    result, _, timeline = case
    if (result.architecture.core_names[0], ISSUE) not in timeline.slices:
        assert not timeline.counters
        return
    for core, design_of in zip(result.architecture.core_names, result.architecture.cores * 9, strict=False):
        values = timeline.counters[core, FILL]
        assert max(value for _, value in values) <= design_of.core.fifo_depth
        spikes = [max(v for c, v in timeline.counters[core, SENT] if low <= c <= low + n) for low, n in zip(
            np.cumsum(result.cycles) - result.cycles, result.cycles, strict=True)]
        frame = result.activity[(result.activity["event"] == "spike_out") & (result.activity["core"] == core)]
        assert sum(spikes) == frame["total_count"].sum()


def test_links_are_held_for_as_long_as_the_result_says(case: tuple[Result, Trace, Timeline]) -> None:
    result, _, timeline = case
    held = {track: timeline.spent("links", track).get("busy", 0) for process, track in timeline.slices if process == "links"}
    busy = dict(zip(result.busy_frame["resource"], result.busy_frame["cycles"], strict=True))
    assert held == {name: round(busy[name] * result.facts.samples) for name in busy if ">" in name}
    assert bool(held) == (result.architecture.network is not None)


def test_what_a_chip_would_take_if_links_cost_nothing_is_what_the_result_says(case: tuple[Result, Trace, Timeline]) -> None:
    result, _, timeline = case
    found = [s.end - s.start for s in timeline.slices.get((write.CHIP, write.FREE), []) if s.name == "everything else"]
    assert sum(found) == (result.facts.total_cycles_free_links or 0)
    assert len(found) == (result.facts.samples if result.architecture.network is not None else 0)


def test_layers_hold_runs_and_runs_hold_timesteps(case: tuple[Result, Trace, Timeline]) -> None:
    result, _, timeline = case
    frame = result.timeline
    for core in result.architecture.core_names:
        runs = [(s.start, s.end, s.args["layer"]) for s in timeline.slices[core, LAYERS] if s.what == "run"]
        mine = frame[frame["resource"] == core]
        places = {index: place for place, index in enumerate(result.facts.sample_indices)}
        offset = (np.cumsum(result.cycles) - result.cycles)[mine["sample"].map(places)]
        assert sorted(runs) == sorted(zip(mine["start_cycle"] + offset, mine["end_cycle"] + offset, mine["layer"], strict=True))


def test_both_engines_write_the_same_file(tmp_path: Path) -> None:
    trace = synthetic("rate")
    texts = set()
    for engine in ("fast", "reference"):
        result = hwsim.simulate(trace, without_bypass(), engine=engine, samples=1)
        text = write_timeline(result, trace, tmp_path / f"{engine}.json").read_text()
        texts.add(text.replace(result.sim_id, ""))
    assert len(texts) == 1


def test_a_window_is_the_same_timeline_cut_at_its_ends(tmp_path: Path) -> None:
    trace = synthetic("rate")
    result = hwsim.simulate(trace, without_bypass())
    whole = read(write_timeline(result, trace, tmp_path / "whole.json"))
    first, end = 300, int(result.cycles[0]) + 200
    part = read(write_timeline(result, trace, tmp_path / "part.json", cycles=(first, end)))
    for where, slices in whole.slices.items():
        cut = [(max(s.start, first), min(s.end, end), s.name) for s in slices if s.start < end and s.end > first]
        assert sorted(cut) == sorted((s.start, s.end, s.name) for s in part.slices[where]), where
        held = [value for cycle, value in whole.counters[where[0], FILL] if cycle <= first] or [0]
        assert (part.counters[where[0], FILL] or [(0, held[-1])])[0][1] == held[-1]


def test_samples_are_chosen_by_their_place(tmp_path: Path) -> None:
    trace = synthetic("rate")
    result = hwsim.simulate(trace, "event_core_64")
    second = read(write_timeline(result, trace, tmp_path / "second.json", samples=(1, 2)))
    assert second.about["samples"] == [1]
    assert [s.name for s in second.slices["chip", "samples"]] == ["sample 1"]
    assert second.slices["chip", "samples"][0].end == result.cycles[1]


def test_what_is_too_long_is_refused_with_a_window_that_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = synthetic("rate")
    result = hwsim.simulate(trace, "event_core_64")
    monkeypatch.setattr(window, "MOST_CYCLES", int(result.cycles[0]) + 100)
    with pytest.raises(TimelineError, match=r"too long to draw.*--timeline-cycles 0:(\d+) or --timeline-samples 0:1$") as caught:
        write_timeline(result, trace, tmp_path / "run.json")
    assert not list(tmp_path.iterdir())
    fits = int(str(caught.value).split("--timeline-cycles 0:")[1].split()[0])
    write_timeline(result, trace, tmp_path / "run.json", cycles=(0, fits))
    with pytest.raises(TimelineError):
        write_timeline(result, trace, tmp_path / "longer.json", cycles=(0, fits + 200))
    write_timeline(result, trace, tmp_path / "run.json", samples=(0, 1))


def test_runs_that_are_too_long_to_log_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = synthetic("rate")
    result = hwsim.simulate(trace, "event_core_64")
    monkeypatch.setattr(write, "MOST_LOGGED_CYCLES", 10)
    with pytest.raises(TimelineError, match="the longest is .*step_by_step"):
        write_timeline(result, trace, tmp_path / "run.json", cycles=(200, 300))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("chosen", "said"), [
    ({"samples": (0, 3)}, "2 were replayed; give A:B from 0:1 to 0:2"), ({"samples": (1, 1)}, "give A:B"),
    ({"cycles": (5, 5)}, "give A:B from 0 to"), ({"cycles": (-1, 5)}, "give A:B"),
    ({"cycles": (10**9, 10**9 + 1)}, "take .* cycles"),
])
def test_what_is_not_there_is_refused(chosen: dict[str, tuple[int, int]], said: str, tmp_path: Path) -> None:
    trace = synthetic("rate")
    result = hwsim.simulate(trace, "event_core_64")
    with pytest.raises(TimelineError, match=said):
        write_timeline(result, trace, tmp_path / "run.json", **chosen)


def test_another_trace_and_a_place_without_a_folder_are_refused(tmp_path: Path) -> None:
    trace = synthetic("rate")
    result = hwsim.simulate(trace, "event_core_64", samples=1)
    with pytest.raises(TimelineError, match="not the trace of this result"):
        write_timeline(result, TINY, tmp_path / "run.json")
    with pytest.raises(FileError):
        write_timeline(result, trace, tmp_path / "no" / "run.json")


def test_a_timing_only_replay_has_the_timeline_of_the_checked_one(tmp_path: Path) -> None:
    texts = set()
    for check in (True, False):
        result = hwsim.simulate(TINY, "event_core_64", samples=1, check=check)
        texts.add(write_timeline(result, TINY, tmp_path / f"{check}.json").read_text().replace(result.sim_id, ""))
    assert len(texts) == 1


# --- the command ------------------------------------------------------------------------------------------------------------


def test_the_command_writes_a_timeline_and_keeps_the_result_of_a_run_whose_timeline_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace, path, out = tmp_path / "t.h5", tmp_path / "run.json", tmp_path / "out"
    synthetic("rate").save(trace).close()
    run = ("run", trace, "--arch", "event_core_16", "--timeline", path)
    done = call(*run, "--timeline-samples", "1:2", "--timeline-cycles", "10:500")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"saved {path}: open it in ui.perfetto.dev")
    found = read(path)
    assert (found.about["samples"], found.about["cycles"]) == ([1], [10, 500])
    assert "exists" in call(*run).stderr
    monkeypatch.setattr(window, "MOST_CYCLES", 100)
    before = path.read_text()
    done = call(*run, "--out", out, "--force")
    assert done.returncode == 2
    assert "--timeline-cycles 0:" in done.stderr
    assert path.read_text() == before
    assert hwsim.load_result(out).facts.samples == 2


@pytest.mark.parametrize(("options", "said"), [
    (("--timeline-cycles", "0:5"), "give --timeline FILE too"),
    (("--timeline", "run.json", "--timeline-samples", "3"), "expected A:B"),
    (("--timeline", "no/run.json"), "no such folder"),
])
def test_mistakes_are_found_before_anything_is_replayed(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = call("run", TINY, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert not list(tmp_path.iterdir())
