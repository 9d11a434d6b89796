"""Laws of row tiles (R25): the tiles of a layer do together what one run does, and twice only what they read in common."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwsim.activity import EVENTS, INDEX
from hwsim.arch import Architecture, dump_architecture, rebuild_architecture
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.program import CoreRun, ProgramError, Run
from hwsim.record import CoreLog
from hwsim.simulation import make_program
from hwsim.snn.network import Connection, by_axis
from tests.engine.random_designs import random_sample
from tests.engine.random_programs import Drawn, draw_design
from tests.engine.random_runs import RandomRun, random_run
from tests.engine.test_engines_agree import assert_same, draw_program

FAST, REFERENCE = FastEngine(), ReferenceEngine()
SEEDS = st.integers(0, 2**32 - 1)
quietly = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
PER_TILE = (
    "fifo_push", "fifo_pop", "buffer_read", "buffer_write", "payload_read_bits", "threshold_shift", "pool_update", "cycles_busy",
    "cycles_stall_hazard", "cycles_stall_port", "cycles_stall_serialiser", "cycles_overlapped")
"""Counts that are not those of one run: what tiles read in common, planes that each clears, cycles. (A run by itself counts
its pooling units; of a Program's tiles the first one does.)"""


def drawn(seed: int) -> tuple[RandomRun, list[CoreLog], CoreLog, list[tuple[int, int]]]:
    """A random run that both engines take: the logs of its row tiles, that of one run of all rows, and the cut."""
    for further in range(200):
        rng = np.random.default_rng(seed + further)
        case = random_run(rng)
        case = replace(case, run=replace(case.run, rows=None))
        try:
            whole = FAST.run_planes(*case.arguments)
        except ProgramError:
            continue
        height = case.run.shape[1]
        cut = random_cut(rng, height)
        states, logs = [case.potentials, case.currents, case.flags], []
        for rows in cut:
            logs.append(FAST.run_planes(replace(case.run, rows=rows), case.planes, case.eots, *states))
            states = [logs[-1].potentials, logs[-1].currents, logs[-1].flags]
        return case, logs, whole, cut
    raise AssertionError("no such run")


def random_cut(rng: np.random.Generator, size: int) -> list[tuple[int, int]]:
    """[0, size) in a random number of spans."""
    ends = sorted({0, size, *rng.integers(0, size + 1, int(rng.integers(0, 4))).tolist()})
    return list(pairwise(ends))


@quietly
@given(seed=SEEDS)
def test_row_tiles_do_together_what_one_run_does(seed: int) -> None:
    """Any cut, any dataflow: the same spikes, potentials, saturations and work, bit for bit."""
    _, logs, whole, _ = drawn(seed)
    spikes = sorted(line for log in logs for line in log.spikes[:, 1:].tolist())
    assert spikes == sorted(whole.spikes[:, 1:].tolist())
    for field in ("potentials", "currents", "flags"):
        np.testing.assert_array_equal(getattr(logs[-1], field), getattr(whole, field), err_msg=field)
    assert sum(log.saturations for log in logs) == whole.saturations
    counts = sum(log.counts for log in logs)
    for name in EVENTS:
        if name not in PER_TILE:
            np.testing.assert_array_equal(counts[:, INDEX[name]], whole.counts[:, INDEX[name]], err_msg=name)


@quietly
@given(seed=SEEDS)
def test_a_tile_writes_back_its_own_rows_only(seed: int) -> None:
    case, logs, _, cut = drawn(seed)
    before = [case.potentials, case.currents, case.flags]
    for log, (first, end) in zip(logs, cut, strict=True):
        after = [log.potentials, log.currents, log.flags]
        for old, new in zip(before, after, strict=True):
            np.testing.assert_array_equal(old[:, :first], new[:, :first])
            np.testing.assert_array_equal(old[:, end:], new[:, end:])
        before = after


def seen_rows(run: CoreRun, wire: Connection) -> list[int]:
    """Rows of a source that an output row of the tile sees, as R20 says it: the fields one after the other."""
    folds = wire.pool if wire.pool_mode == "folded" else 1
    height = wire.pooled_shape[1]
    rows: list[int] = []
    kernel, stride, padding = (by_axis(side)[0] for side in (wire.kernel, wire.stride, wire.padding))
    for y in range(*run.row_span):
        if wire.operator == "linear":
            field = range(height)
        elif wire.operator == "identity":
            field = range(stride * y, stride * y + 1)
        else:
            field = range(stride * y - padding, stride * y - padding + kernel)
        rows += [row * folds + k for row in field if 0 <= row < height for k in range(folds)]
    return sorted(set(rows))


def events_in(case: RandomRun, wire: int, rows: list[int]) -> int:
    """Tokens that the planes of a connection are, in some rows of the grid that its events name."""
    connection, planes = case.run.connections[wire], case.planes[wire][: case.run.table.planes]
    k = connection.pool
    if connection.pool_mode in ("unit", "max"):
        _, height, width = connection.pooled_shape
        n, _, _, channels = planes.shape
        blocks = planes[:, : height * k, : width * k].reshape(n, height, k, width, k, channels)
        planes = (blocks != 0).any(axis=(2, 4)).astype(np.int64)
    spikes = planes[:, rows] != 0
    merged = case.run.merged
    return int(spikes.any(axis=0).sum() if merged and len(spikes) else spikes.sum())


@quietly
@given(seed=SEEDS)
def test_what_is_read_twice_is_exactly_the_rows_in_common(seed: int) -> None:
    """Scatter order: a tile's tokens are the events of the rows that its outputs see, and one EOT per plane."""
    case, logs, _, cut = drawn(seed)
    if case.run.core.order == "gather" or len(cut) == 1:
        return
    for log, rows in zip(logs, cut, strict=True):
        tile = replace(case.run, rows=rows)
        events = sum(events_in(case, n, seen_rows(tile, wire)) for n, wire in enumerate(tile.connections))
        assert len(log.push) == log.counts[:, INDEX["fifo_push"]].sum() == events + case.eots
        if case.run.core.buffer == "aer":
            assert log.counts[:, INDEX["buffer_read"]].sum() == events


def test_a_strided_tile_skips_the_rows_between_its_fields() -> None:
    """Rows 2 and 4 of 6 x 1 x 1, 2 positions and channels to a row, 3 bits scanned at a time: rows 0, 1 and 2, 3 are read."""
    plane = np.ones((1, 6, 2, 2), np.int64)
    wire = Connection("a", "identity", (2, 6, 2), np.ones(2, np.int64), stride=2)
    case = next(c for c in map(random_run, map(np.random.default_rng, range(50))) if c.kind == "rate")
    core = replace(case.run.core, order="scatter", planes_per_token="one", buffer="bitmap", scan_bits=3, lanes=2, writer="serial",
                   multiplier="parallel")
    zeros = np.zeros((2, 3, 1), np.int64)
    table = replace(case.run.table, planes=1, passes=case.run.table.passes[:1], initial=zeros, addend=None)
    run = replace(case.run, core=core, shape=(2, 3, 1), groups=(0, 1), connections=(wire,), table=table, payload_bits=(),
                  rows=(1, 3), first_plane=0)
    for engine in (FAST, REFERENCE):
        log = engine.run_planes(run, [plane], 1, zeros, zeros, zeros)
        # Row 2 is bits 8 to 11, in buffer rows 2 and 3; row 4 is bits 16 to 19, in buffer rows 5 and 6.
        assert log.counts[:, INDEX["buffer_read"]].sum() == 4
        assert len(log.push) == 2 * 4 + 1
        # Half of the events, those of column 1, touch no word of the layer and take their slots all the same.
        assert log.counts[:, INDEX["weight_read"]].sum() == 4
        assert log.counts[:, INDEX["cycles_busy"]].sum() == 4 + 4 + 1 + run.words * (run.clear + 1)


# --- whole networks ------------------------------------------------------------------------------------------------------


def roomy(arch: Architecture) -> Architecture:
    """The design with memories for everything."""
    data = dump_architecture(arch)
    data["memories"] |= {name: "1 MiB" for name in ("weight", "membrane", "current", "bias", "mask")}
    return rebuild_architecture(data)


def cut_by_rows(seed: int) -> Drawn | None:
    drawn = draw_design(seed, refusal=ProgramError)
    return drawn if drawn and any(run.body.cut_by_rows for run in drawn.program.runs) else None


CUT = [seed for seed in range(160) if cut_by_rows(seed) is not None]


@pytest.mark.parametrize("seed", CUT)
def test_a_network_that_is_cut_by_rows_computes_what_it_computes_whole(seed: int) -> None:
    drawn_program = cut_by_rows(seed)
    assert drawn_program is not None
    program, network, arch, schedule, rng = drawn_program
    whole = make_program(network, roomy(arch), schedule)
    assert not any(run.body.cut_by_rows for run in whole.runs)
    sample = random_sample(rng, network)
    one, other = (FAST.run_sample(each, sample, "computed") for each in (program, whole))
    if arch.spike_buffer.kind == "aer" and other.saturations.any():
        return  # additions that meet a limit depend on their order, and tiles change the order of an AER list
    for name, values in other.outputs.items():
        np.testing.assert_array_equal(one.outputs[name], values, err_msg=name)
    for name, values in other.potentials.items():
        np.testing.assert_array_equal(one.potentials[name], values, err_msg=name)
    np.testing.assert_array_equal(one.saturations, other.saturations)
    for event in ("acc_add", "weight_shift", "bias_add", "cmp", "leak", "spike_out", "pool_update"):
        assert one.counts[..., INDEX[event]].sum() == other.counts[..., INDEX[event]].sum(), event


def test_enough_random_networks_are_cut_by_rows() -> None:
    programs = [found[0] for found in map(cut_by_rows, CUT) if found is not None]
    assert len(programs) > 10
    assert {program.schedule for program in programs} == {"layer_by_layer", "step_by_step"}
    assert {next(program.runs).body.core.buffer for program in programs} == {"aer", "bitmap"}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_engines_list_events_alike_whatever_the_tiles_of_the_source(seed: int) -> None:
    """Feeds whose tiles are any channels and rows in any order: an AER list follows them, with max pooling as well."""
    found = draw_program(seed)
    if found is None:
        return
    program, rng = found
    operations = []
    for op in program.operations:
        if isinstance(op, Run):
            feeds = []
            for feed in op.feeds:
                channels, height, _ = op.body.connections[feed.connection].source_shape
                regions = [(part, rows) for part in random_cut(rng, channels) for rows in random_cut(rng, height)]
                regions = [regions[k] for k in rng.permutation(len(regions))]
                feeds.append(replace(feed, tiles=tuple(c for c, _ in regions), rows=tuple(r for _, r in regions)))
            op = replace(op, feeds=tuple(feeds))
        operations.append(op)
    program = replace(program, operations=tuple(operations))
    sample = random_sample(rng, program.network)
    assert_same(*(engine.run_sample(program, sample, "trace", record=True) for engine in (FAST, REFERENCE)), program)
