"""What the units of a core do in every cycle of a run: busy, stalled or idle, and why; what lies in its FIFO, what it has sent.

A unit's cycles are stretches: [start, end) in one state. Those of a unit cover the run from cycle 0 to `done` without a gap, and
the states of ISSUE add up to what the engine counted (Counted.cycles_frame). Cycles from the start of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.program import CoreRun
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.timeline.slots import HAZARD, PORT, Ints, Slots

What = Literal["busy", "stall", "idle"]


class State(NamedTuple):
    """A state of a unit. `cause` is the one of Counted.cycles_frame that its cycles of ISSUE count under."""

    name: str
    what: What
    cause: str


_WORDS = {"acc": "accumulate", "eot": "end of timestep", "skip": "event that adds nothing", "fire": "fire pass",
          "shift": "shift pass", "readout": "read-out pass", "requant": "requantise pass", "mask": "mask pass",
          "reinitialise": "reinitialise pass", "count": "count pass",
          "load": "load a word", "store": "store a word"}
BUSY = tuple(State(_WORDS.get(kind, kind), "busy", "busy") for kind in ISSUE_KINDS)
STARTS, NO_EVENT, DRAINS, HAZARD_STALL, PORT_STALL, WRITER_STALL = range(len(BUSY), len(BUSY) + 6)
ISSUE = (*BUSY, State("starts", "idle", "idle"), State("no event yet", "idle", "idle"), State("drains", "idle", "idle"),
         State("read-after-write stall", "stall", "stall_hazard"), State("port stall", "stall", "stall_port"),
         State("serialiser stall", "stall", "stall_serialiser"))
"""First what issues, by its place in ISSUE_KINDS."""
EXECUTE = (State("works", "busy", "busy"), State("serialiser is full", "stall", "stall_serialiser"),
           State("nothing to do", "idle", "idle"))
WRITER = (State("sends", "busy", "busy"), State("a word without spikes", "busy", "busy"),
          State("nothing to send", "idle", "idle"))
READER = (State("pushes", "busy", "busy"), State("FIFO is full", "stall", "stall"), State("reads rows", "busy", "busy"),
          State("all is read", "idle", "idle"))


class Stretches(NamedTuple):
    """Cycles of one unit: [start, end) in state `states[code]`, (n,) each, in order and without gaps."""

    start: Ints
    end: Ints
    code: NDArray[np.integer]
    states: tuple[State, ...]


@dataclass(frozen=True, eq=False)
class UnitTimes:
    """All units of a core during one run.

    reader   reads tokens out of the spike buffer and pushes them into the FIFO.      issue   the sequencer and its ISSUE stage.
    execute  the lanes.      writer   the serialiser, or the word writer.
    fill     (n, 2) from which cycle on so many tokens lie in the FIFO.
    sent     (n, 2) from which cycle on so many spikes or values have been sent.
    """

    reader: Stretches
    issue: Stretches
    execute: Stretches
    writer: Stretches
    fill: Ints
    sent: Ints


def unit_times(run: CoreRun, log: CoreLog, slots: Slots) -> UnitTimes:
    """The units of a core during a run. A run of D cycles takes about 10 D bytes while it is looked at."""
    return UnitTimes(
        _reader(run, log), _issue(slots, log.done), _execute(slots, log.done), _writer(run, slots, log.done), _fill(log),
        _running(log.spikes[:, 0] + 1))


def stretches(cells: NDArray[np.integer], states: tuple[State, ...]) -> Stretches:
    """Neighbouring cycles of one state as one stretch. cells: (cycles,) the state of each cycle."""
    edges = np.flatnonzero(np.diff(cells)) + 1
    start = np.concatenate([[0] if len(cells) else [], edges]).astype(np.int64)
    return Stretches(start, np.append(start[1:], len(cells))[: len(start)], cells[start], states)


def _fill_in(cells: NDArray[np.int8], start: Ints, length: Ints, code: NDArray[np.integer] | int) -> None:
    """Cycles [start, start + length) of each get its code; what lies at or beyond the end of the run is left out."""
    start, length = np.broadcast_arrays(start, length)
    codes = np.repeat(np.broadcast_to(code, start.shape), length)
    at = np.repeat(start, length) + np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    inside = at < len(cells)
    cells[at[inside]] = codes[inside]


def _issue(slots: Slots, done: int) -> Stretches:
    cells = np.full(done, NO_EVENT, np.int8)
    cells[0] = STARTS
    cells[int(slots.end.max(initial=1)) :] = DRAINS
    waits = slots.sends & (slots.done > slots.cycle + 1)
    _fill_in(cells, slots.cycle[waits] + 1, (slots.done - slots.cycle - 1)[waits], WRITER_STALL)
    for held, code in ((HAZARD, HAZARD_STALL), (PORT, PORT_STALL)):
        cells[slots.cycle[slots.held == held] - 1] = code
    _fill_in(cells, slots.cycle, slots.cycles, slots.kind)
    return stretches(cells, ISSUE)


def _execute(slots: Slots, done: int) -> Stretches:
    cells = np.full(done, 2, np.int8)
    there = slots.executes
    spent = (slots.done - slots.cycle)[there]
    _fill_in(cells, slots.cycle[there] + 1, spent, 1)
    _fill_in(cells, (slots.done - slots.cycles + 1)[there], slots.cycles[there], 0)
    return stretches(cells, EXECUTE)


def _writer(run: CoreRun, slots: Slots, done: int) -> Stretches:
    cells = np.full(done, 2, np.int8)
    end, sent = slots.done[slots.sends], slots.sent[slots.sends]
    if run.core.writer == "serial":
        _fill_in(cells, end[sent == 0] + 1, np.ones(int((sent == 0).sum()), np.int64), 1)
        _fill_in(cells, end + 1, sent, 0)
    else:
        _fill_in(cells, end[sent > 0] + 1, np.ones(int((sent > 0).sum()), np.int64), 0)
    return stretches(cells, WRITER)


def _reader(run: CoreRun, log: CoreLog) -> Stretches:
    """R2: a token is pushed when it has been found and there was room for it."""
    cells = np.full(log.done, 2, np.int8)
    if len(log.push):
        cells[int(log.push[-1]) + 1 :] = 3
    else:
        cells[:] = 3
    full = log.pop[: -run.core.fifo_depth] if len(log.pop) > run.core.fifo_depth else log.pop[:0]
    # Token k finds room once token k - depth has gone: until then, from the last push on, the FIFO is full.
    after = log.push[run.core.fifo_depth - 1 : run.core.fifo_depth - 1 + len(full)] + 1
    _fill_in(cells, after, np.maximum(0, full + 1 - after), 1)
    cells[log.push] = 0
    return stretches(cells, READER)


def _fill(log: CoreLog) -> Ints:
    """Tokens that lie in the FIFO at the begin of a cycle, where that changes."""
    cycle = np.concatenate([log.push, log.pop]) + 1
    step = np.repeat([1, -1], len(log.push))
    return _totals(cycle, step)


def _running(cycle: Ints) -> Ints:
    return _totals(cycle, np.ones(len(cycle), np.int64))


def _totals(cycle: Ints, step: Ints) -> Ints:
    """(n, 2) cycle and running sum, one row a cycle."""
    order = np.argsort(cycle, kind="stable")
    cycle, total = cycle[order], np.cumsum(step[order])
    last = np.append(cycle[1:] != cycle[:-1], True)[: len(cycle)]
    return np.stack([cycle[last], total[last]], axis=1).astype(np.int64)
