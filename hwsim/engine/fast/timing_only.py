"""Timing-only replays of a whole run at once: without sums nothing waits for what a plane does, so all planes are listed, then
all scanned, then all timed. The kernels are those of runs plane by plane, and so are cycles and counts. What is saved are the
calls between them, which take most of the time of small planes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwsim.engine.fast.core import FIRED, PAYLOAD_SYNAPSES, ROWS_SCANNED, SHIFTED_SYNAPSES, VALUE_BITS, PlainCore
from hwsim.engine.fast.counting import TALLY
from hwsim.engine.fast.feeds import NO_ARRIVALS, NO_EVENTS, NO_VALUES, EventList
from hwsim.engine.fast.gather_pack import Block, FeedPlanes
from hwsim.engine.fast.kernels import arithmetic as ka
from hwsim.engine.fast.kernels import events as ke
from hwsim.engine.fast.kernels import patterns as kp
from hwsim.engine.fast.kernels import timing as kt
from hwsim.engine.fast.packing import Ints, RunPack

EVENTS, WORDS, SYNAPSES, REGISTERS = (TALLY[name] for name in ("events", "words", "synapses", "register_synapses"))


def is_simple(pack: RunPack) -> bool:
    """Whether a run's passes look at no flags, start no potentials again and write no currents, and no bank is told apart."""
    table = pack.run.table
    return not (pack.last_words or table.current_decay) and all(
        p.flags == "ignore" and p.kind != "reinitialise" for p in table.passes)


def lists_simply(source: FeedPlanes) -> bool:
    """Whether a feed's planes are events as they are, all of one kind, and all of their operations are made."""
    return not (source.feed.pools or source.feed.hybrid or source.synapses.skipping)


def time_run(core: PlainCore, source: FeedPlanes, eots: int) -> None:
    """C2 for a run in event order with one feed that makes no sums: events, EOTs and passes into the core's tally."""
    run, feed, synapses, table = core.run, source.feed, source.synapses, core.run.table
    planes, marks = source.planes[:eots], np.arange(eots) % core.run.table.planes
    rows_of = run.first_plane + marks
    starts, flat, begins, _ = _listed(core, source, planes, run.core.buffer == "aer" and len(synapses.by_channel) == 1)
    mark_gaps, arrivals = np.ones(eots, np.int64), NO_ARRIVALS
    if run.core.buffer == "bitmap":
        plan, number = feed.scan(), int(begins[-1])
        arrivals = core.buffers.get("arrivals", 3 * number, np.int64)[: 3 * number].reshape(-1, 3)
        ke.scan_planes(starts, flat, begins, feed.pool, feed.grid, feed.scan_bits, plan.skipped, plan.rows, arrivals, mark_gaps)
        np.add.at(core.tally[:, ROWS_SCANNED], rows_of[: len(planes)], plan.rows)
    made = [(n, i) for n, mark in enumerate(marks.tolist()) for i, p in enumerate(table.passes) if p.after_eot == mark + 1]
    passes = np.array([(n, table.passes[i].timestep, table.passes[i].sends) for n, i in made], np.int64).reshape(-1, 3)
    geometry = (synapses.grid, synapses.by_row, synapses.by_column, synapses.by_channel)
    sent = sent_by_passes(core, [i for _, i in made])
    kt.time_run(
        starts, flat, begins, geometry, arrivals, mark_gaps, rows_of, passes, sent, core.clock, core.ring, core.tally)
    if feed.payload:
        core.tally[:, PAYLOAD_SYNAPSES] = core.tally[:, kt.SYNAPSES]
        np.add.at(core.tally[:, VALUE_BITS], rows_of[: len(planes)], starts[:, -1, -1].astype(np.int64) * feed.value_bits)
    shifted = rows_of[_shifts(core, feed.payload, marks) > 0]
    core.tally[shifted, SHIFTED_SYNAPSES] = core.tally[shifted, kt.SYNAPSES]


def list_block(core: PlainCore, source: FeedPlanes, rows_of: Ints) -> Block:
    """The planes of one feed that lists_simply for a gather run, one spike or payload to a token, and what they count.

    rows_of (planes,)   row of the tally of each.
    """
    run, feed, synapses = core.run, source.feed, source.synapses
    planes = source.planes[: len(rows_of)]
    starts, flat, begins, values = _listed(core, source, planes, False)
    number = int(begins[-1])
    rows, channels = np.empty(number, np.int32), np.empty(number, np.int32)
    skipped = np.zeros(feed.grid[0], np.int64)  # visits find their way through the buffer themselves
    kp.place_planes(starts, flat, begins, feed.pool, feed.grid, 1, feed.scan_bits, skipped, rows, channels)
    totals = np.zeros((len(planes), 2), np.int64)
    kp.reach_planes(starts, flat, begins, synapses.grid, synapses.by_row, synapses.by_column, synapses.by_channel, totals)
    words, added = np.zeros((2, len(core.tally)), np.int64)
    np.add.at(words, rows_of, totals[:, 0])
    np.add.at(added, rows_of, totals[:, 1])
    np.add.at(core.tally[:, EVENTS], rows_of, np.diff(begins))
    core.tally[:, WORDS] += words
    for column in (SYNAPSES, REGISTERS, *([PAYLOAD_SYNAPSES] if feed.payload else [])):
        core.tally[:, column] += added
    marks = np.arange(len(rows_of)) % run.table.planes
    np.add.at(core.tally[:, SHIFTED_SYNAPSES], rows_of, totals[:, 1] * (_shifts(core, feed.payload, marks) > 0))
    for n, row in enumerate(rows_of.tolist() if feed.payload else ()):
        # In gather order an event is a token of every visit that it touches, and its value is read with each.
        events = EventList(starts[n], flat[begins[n] : begins[n + 1]], values, int(begins[n + 1] - begins[n]), 1)
        core.tally[row, VALUE_BITS] += source.visits(events, run.core.accumulators) * feed.value_bits
    return Block(starts, begins, rows, channels, NO_VALUES)


def sent_by_passes(core: PlainCore, made: Sequence[int]) -> Ints:
    """(made, words) what each word sends in passes of the table that are made one after the other, and what those count."""
    run, pack, outputs = core.run, core.pack, core.state.outputs
    passes = [run.table.passes[index] for index in made]
    chosen = np.array([p.timestep if p.sends else -1 for p in passes], np.int64)
    sent = np.zeros((len(made), run.words), np.int32)
    if (chosen >= 0).any():
        own = outputs[:, pack.span[0] : pack.span[1], pack.channels[0] : pack.channels[1]]
        ka.count_planes_sent(np.ascontiguousarray(own), chosen, run.core.lanes, sent)
    for index, p, spikes in zip(made, passes, sent.sum(axis=1).tolist(), strict=True):
        core.tally[p.timestep] += pack.pass_tallies[index]
        if p.kind == "fire":
            core.tally[p.timestep, FIRED] += spikes
    return sent


def _listed(core: PlainCore, source: FeedPlanes, planes: Ints, counted: bool) -> tuple[Ints, Ints, Ints, Ints]:
    """starts, flat, begins and values of kernels.events.list_planes; events that are only counted have none of the others."""
    feed = source.feed
    starts = np.empty((len(planes), len(feed.tiles), feed.grid[0] * feed.grid[1] + 1), np.int32)
    begins = np.zeros(len(planes) + 1, np.int64)
    if counted:
        ke.count_planes(planes, feed.tiles, feed.taken, starts)
        return starts, NO_EVENTS, begins, NO_VALUES
    flat = core.buffers.get("flat", planes.size + 1, np.int32)
    values = core.buffers.get("values", planes.size + 1, np.int64) if feed.payload else NO_VALUES
    ke.list_planes(planes, feed.tiles, feed.taken, feed.pool, starts, flat, values, begins)
    return starts, flat, begins, values


def _shifts(core: PlainCore, payload: bool, marks: Ints) -> Ints:
    """R11, of events after so many EOTs of a period."""
    table = core.run.table
    return (marks if table.weigh_planes else 0 * marks) + (0 if payload else table.spike_shift)
