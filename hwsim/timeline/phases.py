"""A run from the outside: its timesteps, and in each the events and the passes, as nested stretches of cycles of the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hwsim.program import CoreRun
from hwsim.timeline.slots import EOT, KIND, Slots
from hwsim.timeline.units import BUSY


class Phase(NamedTuple):
    """Cycles [start, end) of a run; those that lie within it follow it."""

    start: int
    end: int
    name: str


def phases(run: CoreRun, slots: Slots) -> Iterator[Phase]:
    """The clear, then for each end-of-timestep mark the timestep, its events and its passes.

    In gather order each visit has its own. A timestep ends with its last slot; what EXEC and the writer still do belongs to none.
    """
    clear = np.flatnonzero(slots.kind == KIND["clear"])
    begin = int(slots.end[clear[-1]]) if len(clear) else 1
    if len(clear):
        yield Phase(int(slots.cycle[clear[0]]), begin, "clear")
    marks = np.flatnonzero(slots.kind == EOT)
    passes = np.flatnonzero(slots.timestep >= 0)
    after = np.searchsorted(slots.marks[passes], np.arange(1, len(marks) + 2))
    planes, eots = run.table.planes, (1 if run.merged else run.table.planes)
    for n, at in enumerate(marks.tolist()):
        mine = passes[after[n] : after[n + 1]]
        events = int(slots.end[at])
        end = int(slots.end[mine[-1]]) if len(mine) else events
        yield Phase(begin, end, _title(run, n // eots, n % planes))
        yield Phase(begin, events, "events")
        yield from _passes(slots, mine)
        begin = end


def _title(run: CoreRun, visit: int, plane: int) -> str:
    step = "all planes" if run.merged else f"timestep {run.first_plane + plane}"
    return f"visit {visit}, {step}" if run.core.order == "gather" else step


def _passes(slots: Slots, mine: np.ndarray) -> Iterator[Phase]:
    """Neighbouring operations of one pass as one; passes by word (R24) together."""
    if not len(mine):
        return
    which = np.stack([slots.kind[mine], slots.timestep[mine]], axis=1)
    edges = np.flatnonzero((which[1:] != which[:-1]).any(axis=1)) + 1
    distinct = len(np.unique(which, axis=0))
    if len(edges) >= distinct:
        yield Phase(int(slots.cycle[mine[0]]), int(slots.end[mine[-1]]), "passes, word by word")
        return
    for part in np.split(mine, edges):
        name = f"{BUSY[int(slots.kind[part[0]])].name}, makes timestep {int(slots.timestep[part[0]])}"
        yield Phase(int(slots.cycle[part[0]]), int(slots.end[part[-1]]), name)
