"""Laws of timing-only replays (C6): on a recording that the design makes itself, cycles and every count are the checked ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hwsim
from hwsim.activity import EVENTS
from hwsim.compare import why_not
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.fast.feeds import NO_ARRIVALS
from hwsim.engine.fast.kernels import dataflow as kd
from hwsim.engine.fast.kernels import events as ke
from hwsim.engine.fast.kernels import patterns as kp
from hwsim.engine.fast.kernels import timing as kt
from hwsim.engine.reference import ReferenceEngine
from hwsim.program import Program, ProgramError
from hwsim.record import SampleRecord
from hwsim.schedules import ANYWHERE
from hwsim.simulation import make_program
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from tests.conftest import ROOT
from tests.engine.network_programs import meshed
from tests.engine.random_designs import random_dataflow, random_sample
from tests.engine.test_dataflows import in_dataflow
from tests.engine.test_decay import decaying
from tests.engine.test_engines_agree import draw_program
from tests.engine.test_several_cores import draw as draw_chip

FAST = FastEngine()
SHIPPED = sorted((ROOT / "traces").glob("*.h5")) + sorted((ROOT / "traces" / "methods").glob("fashion*.h5"))
SEEDS = st.integers(0, 2**32 - 1)
quietly = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def own_recording(program: Program, sample: Sample) -> Sample:
    """The sample with what the design sends for its input, so that a checked replay of it finds no mismatch."""
    return Sample(sample.inputs, FAST.run_sample(program, sample, "computed").outputs)


def assert_same_timing(found: SampleRecord, checked: SampleRecord) -> None:
    np.testing.assert_array_equal(found.start, checked.start)
    np.testing.assert_array_equal(found.end, checked.end)
    difference = np.argwhere(found.counts != checked.counts)
    assert not len(difference), [
        (f"op {o}", f"row {t}", EVENTS[e], found.counts[o, t, e], checked.counts[o, t, e]) for o, t, e in difference[:8]]


def check_program(program: Program, sample: Sample) -> SampleRecord:
    """The law for one Program; its checked record."""
    sample = own_recording(program, sample)
    checked = FAST.run_sample(program, sample, "trace", record=True)
    assert (checked.mismatches <= 0).all()
    for record in (False, True):
        # A checked replay in between leaves potentials and flags behind, which must not matter.
        found = FAST.run_sample(program, sample, "trace", record=record, check=False)
        assert_same_timing(found, checked)
        assert (found.mismatches == -1).all()
        for number, log in found.logs.items():
            for field in ("push", "pop", "issue", "spikes"):
                np.testing.assert_array_equal(getattr(log, field), getattr(checked.logs[number], field), err_msg=field)
    valued = {op.layer for op in program.runs if any(p.kind == "mask" for p in op.body.table.passes)}
    for i, layer in enumerate(program.network):
        expected = checked.potentials[layer.name] if i in valued else 0
        assert (found.potentials[layer.name] == expected).all(), f"{layer.name}: which layers are computed"
    return checked


def check_flow(seed: int, mask_first: bool, ports: str) -> SampleRecord | None:
    """The law for a random Program in a random dataflow; None where it is refused."""
    drawn = draw_program(seed)
    if drawn is None:
        return None
    today, rng = drawn
    spec, flow = next(today.runs).body.core, random_dataflow(rng)
    bitmap = spec.buffer == "bitmap"
    order, token = flow["dataflow"], flow["token"]
    assert isinstance(order, dict)
    assert isinstance(token, dict)
    core = replace(
        spec, membrane_ports=ports, passes=str(flow["passes"]), writer=str(flow["writer"]) if bitmap else "serial",
        order="gather" if bitmap and order["type"] == "output_stationary" and not mask_first else "scatter",
        accumulators=int(order.get("accumulators", 1)), adders=int(token.get("adders", 1)),
        planes_per_token="all" if bitmap and token["planes"] == "merged" else "one", mask_first=mask_first)
    try:
        return check_program(in_dataflow(today, core), random_sample(rng, today.network))
    except ProgramError:
        return None


@quietly
@given(seed=SEEDS)
def test_timing_is_the_checked_one_on_random_designs(seed: int) -> None:
    if (drawn := draw_program(seed)) is not None:
        check_program(drawn[0], random_sample(drawn[1], drawn[0].network))


@quietly
@given(seed=SEEDS, mask_first=st.booleans(), ports=st.sampled_from(["1r1w", "1rw"]))
def test_timing_is_the_checked_one_in_every_dataflow(seed: int, mask_first: bool, ports: str) -> None:
    check_flow(seed, mask_first, ports)


@quietly
@given(seed=SEEDS)
def test_timing_is_the_checked_one_on_random_chips(seed: int) -> None:
    if (drawn := draw_chip(seed)) is not None:
        program, network, _, _, rng = drawn
        check_program(program, random_sample(rng, network))


def test_the_law_meets_every_event() -> None:
    """An event that never happens would be one that nothing holds equal."""
    seen, ran = np.zeros(len(EVENTS), np.int64), 0
    trace = decaying(0)  # no other draw decays
    program = make_program(trace.network, hwsim.load_architecture("event_core_16"))
    seen += check_program(program, trace.sample(0)).counts.sum(axis=(0, 1))
    for seed in range(210):
        if ran > 50 and seen.all():
            break
        record = check_flow(seed, mask_first=seed % 2 == 0, ports="1rw" if seed % 3 else "1r1w")
        if record is not None:
            seen, ran = seen + record.counts.sum(axis=(0, 1)), ran + 1
        drawn = draw_program(seed)
        if drawn is not None:
            program = meshed(drawn[0], drawn[1]) if seed % 3 == 0 else drawn[0]
            seen += check_program(program, random_sample(drawn[1], program.network)).counts.sum(axis=(0, 1))
    assert ran > 50
    assert not [name for name, count in zip(EVENTS, seen, strict=True) if not count]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
@pytest.mark.parametrize("schedule", ANYWHERE)
def test_timing_is_the_checked_one_on_shipped_traces(path: Path, schedule: str) -> None:
    with Trace.open(path) as trace:
        name = "mac_core_64" if trace.network.is_ann else "event_core_64_flags"
        design = hwsim.load_architecture(name)
        if why_not(trace, design, schedule) is not None:
            return
        checked, found = (hwsim.simulate(trace, design, schedule=schedule, samples=4, check=c) for c in (True, False))
    assert checked.mismatches == 0
    np.testing.assert_array_equal(found.spans, checked.spans)
    np.testing.assert_array_equal(found.layer_counts, checked.layer_counts)
    np.testing.assert_array_equal(found.operation_counts, checked.operation_counts)
    assert found.energy_pj == checked.energy_pj


def test_most_shipped_traces_run() -> None:
    runs = [path for path in SHIPPED if not Trace.open(path).network.is_ann]
    with_flags = hwsim.load_architecture("event_core_64_flags")
    assert sum(why_not(Trace.open(path), with_flags, "layer_by_layer") is None for path in runs) >= 9


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_events_by_position_leave_the_core_as_events_one_by_one(seed: int) -> None:
    """Not only the cycles: what the rules remember (pushes, pops in the FIFO, hazards to come) is the same after every list."""
    rng = np.random.default_rng(seed)
    height, width, groups, depth = (int(rng.integers(1, top)) for top in (4, 4, 3, 10))
    grid = np.array([height, width, 9, 1, width, groups], np.int64)
    by_row, by_column = (np.stack([np.arange(n), rng.integers(0, 3, n)], axis=1) for n in (height, width))
    by_channel = np.array([[0, int(rng.integers(1, groups + 1)), 5]], np.int64)
    bypass, clear = bool(rng.random() < 0.3), int(rng.integers(0, 6))
    known = [(kt.started(bypass, kt.MEMBRANE, clear), np.full(depth, -1, np.int64), np.zeros(9, np.int64)) for _ in range(2)]
    for _ in range(3):
        counts = rng.integers(0, 10, height * width) * (rng.random(height * width) < 0.7)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)[None]
        late = int(rng.integers(0, 4))  # EXEC may be held up by the serialiser
        returned = []
        for (core, ring, tally), logged in zip(known, (True, False), strict=True):
            core[kt.EXEC] += late
            log = np.zeros((int(counts.sum()) if logged else 0, 2), np.int64)
            returned.append(kt.time_events(
                starts, np.zeros(int(counts.sum()), np.int32), grid, by_row, by_column, by_channel, NO_ARRIVALS, core, ring,
                tally, log))
        assert returned[0] == returned[1]
        for one, other in zip(*known, strict=True):
            np.testing.assert_array_equal(one, other)
        for core, ring, tally in known:
            kt.time_mark(1, 0, core, ring, tally, np.zeros((0, 2), np.int64))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_scanned_events_by_position_leave_the_core_as_events_one_by_one(seed: int) -> None:
    """A bitmap's gaps: those of events that follow closely are only counted, whatever the width of a buffer row."""
    rng = np.random.default_rng(seed)
    height, width, channels, depth = (int(rng.integers(1, top)) for top in (4, 4, 9, 6))
    planes = (rng.random((3, height, width, channels)) < rng.choice([0.05, 0.4, 0.9])).astype(np.uint8)
    scan_bits, bypass, cells = int(rng.integers(1, 10)), bool(rng.random() < 0.3), height * width * channels
    rows, skipped, shape = -(-cells // scan_bits), np.zeros(height, np.int64), (height, width, channels)
    starts, begins = np.empty((3, 1, height * width + 1), np.int32), np.zeros(4, np.int64)
    flat, mark_gaps = np.zeros(planes.size + 1, np.int32), np.zeros(4, np.int64)
    tiles, taken = np.array([[0, channels, 0, height]], np.int64), np.ones(height, np.uint8)
    ke.list_planes(planes, tiles, taken, 1, starts, flat, np.zeros(0, np.int64), begins)
    arrivals = np.zeros((int(begins[-1]), 3), np.int64)
    ke.scan_planes(starts, flat, begins, 1, shape, scan_bits, skipped, rows, arrivals, mark_gaps)
    # The same in NumPy: the row of each spike, and of the last row of each plane.
    n, place = np.divmod(np.flatnonzero(planes), cells)
    reached = np.sort(np.concatenate([n * rows + place // scan_bits, np.arange(1, 4) * rows - 1]), kind="stable")
    every = np.maximum(1, np.diff(reached, prepend=-1))
    marks = np.cumsum(np.bincount(n, minlength=3) + 1) - 1
    assert mark_gaps.tolist() == [*every[marks].tolist(), 1]
    plain = np.zeros_like(arrivals)
    plain[:, 0] = np.delete(every, marks)
    grid = np.array([height, width, channels, 1, width, 2], np.int64)
    by_row, by_column = (np.stack([np.arange(k), rng.integers(0, 3, k)], axis=1) for k in (height, width))
    found = []
    for given_arrivals in (arrivals, plain):
        core, ring, tally = kt.started(bypass, kt.MEMBRANE, 3), np.full(depth, -1, np.int64), np.zeros(9, np.int64)
        for plane in range(3):
            kt.time_events(
                starts[plane], flat[begins[plane] : begins[plane + 1]], grid, by_row, by_column, np.array([[0, 2, 5]], np.int64),
                given_arrivals[begins[plane] : begins[plane + 1]], core, ring, tally, np.zeros((0, 2), np.int64))
            kt.time_mark(int(mark_gaps[plane]), 0, core, ring, tally, np.zeros((0, 2), np.int64))
        found.append(np.concatenate([core, ring, tally]))
    np.testing.assert_array_equal(*found)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_events_of_a_source_row_leave_the_fifo_as_events_one_by_one(seed: int) -> None:
    """R2, R3 and R5 in gather order: a recurrence over each event, and what the kernel does with all that follow closely."""
    rng = np.random.default_rng(seed)
    depth, words, merged = int(rng.integers(1, 7)), int(rng.integers(1, 4)), bool(rng.random() < 0.5)
    number = int(rng.integers(1, 25))
    rows = np.cumsum(rng.choice([0, 1, 2, 5], number, p=[0.6, 0.3, 0.05, 0.05])).astype(np.int32)
    slots = rng.integers(1, 4, number) if merged else np.ones(number, np.int64)
    worked = np.concatenate([[0], np.cumsum(slots)]).astype(np.int64)
    jumps = np.zeros(number, np.int32)
    kp.count_jumps(rows, jumps)
    first = int(rng.integers(0, number))
    end, base, reached = int(rng.integers(first, number + 1)), int(rng.integers(0, 5)), int(rng.integers(-1, 4))
    ring = np.sort(rng.integers(-1, 30, depth)) if rng.random() < 0.8 else np.full(depth, -1)
    ring = (ring + np.arange(depth)).astype(np.int64)  # pops lie at least a cycle apart
    free, pushed = int(ring.max()) + 1 + int(rng.integers(0, 9)), int(rng.integers(-1, 20))
    expected, popped = (free, pushed, reached), ring.tolist()
    for event in range(first, end):
        here, (free_now, push, at) = base + int(rows[event]), expected
        push = max(push + max(1, here - at), popped[-depth] + 1)
        free_now = max(free_now, push + 1) + words * int(slots[event])
        popped.append(free_now - 1)
        expected = free_now, push, here
    found = kd.run_of_events(
        first, end, rows, worked if merged else np.zeros(0, np.int64), jumps, words, base, free, pushed, 0, reached, ring)
    assert (found[0], found[1], found[3]) == expected
    assert np.roll(ring, -found[2]).tolist() == popped[-depth:]


def test_spikes_that_the_design_does_not_send_are_taken_as_they_are() -> None:
    """Where the recording is not what the design computes, cycles are those of the recording."""
    program, sample = next(
        (drawn[0], sample) for seed in range(0, 700, 7) if (drawn := draw_program(seed)) is not None
        for sample in [random_sample(drawn[1], drawn[0].network)]
        if (FAST.run_sample(drawn[0], sample, "trace").mismatches > 0).any())
    found = FAST.run_sample(program, sample, "trace", check=False)
    sent = EVENTS.index("spike_out")
    recorded = sum(int(np.count_nonzero(planes)) for planes in sample.recorded.values())
    assert found.counts[..., sent].sum() == recorded != FAST.run_sample(program, sample, "trace").counts[..., sent].sum()


def test_what_cannot_be_timing_only_is_refused() -> None:
    program, rng = next(drawn for seed in range(0, 70, 7) if (drawn := draw_program(seed)) is not None)
    sample = random_sample(rng, program.network)
    with pytest.raises(ProgramError, match="nothing is computed"):
        FAST.run_sample(program, sample, "computed", check=False)
    with pytest.raises(ProgramError, match="reference engine always computes"):
        ReferenceEngine().run_sample(program, sample, "trace", check=False)
    senders = [layer.name for layer in program.network if layer.sends]
    with pytest.raises(ProgramError, match=f"check=False: layer '{senders[0]}' has no recorded outputs"):
        FAST.run_sample(program, Sample(sample.inputs, {}), "trace", check=False)
