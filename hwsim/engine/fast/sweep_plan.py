"""Which passes follow each EOT of a run, which memories each of them reads and writes, and how often (R9, R14 to R17, R24).

Everything here depends on the CoreRun and its number of EOTs only. Memories are bits: 1 membrane, 2 current, 4 flags.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX
from hwsim.engine.fast.counting import banks_of_all
from hwsim.passes import Pass
from hwsim.program import CoreRun

MEMBRANE, CURRENT, FLAGS = 1, 2, 4
READ = {"shift": "membrane_read_shift", "fire": "membrane_read_fire", "requant": "membrane_read_fire",
        "readout": "membrane_read_readout", "mask": "membrane_read_mask", "count": "membrane_read_fire"}
WRITTEN = {"shift": "membrane_write_shift", "fire": "membrane_write_fire", "requant": "membrane_write_fire",
           "readout": "membrane_write_readout", "mask": "membrane_write_mask", "reinitialise": "membrane_write_clear",
           "count": "membrane_write_fire"}


@dataclass(frozen=True)
class Sweep:
    """One pass after one EOT.

    index, number   place in the pass table; fire and requant passes before it since the EOT.
    place           place among all sweeps of the run.
    reads, writes, claims   memories; `claims` is what R6 looks at.
    flaggers        places of the `fire_once` sweeps, R28's among them, that decide whether its write of the flags happens; None:
                    it always does.
    """

    index: int
    number: int
    place: int
    reads: int
    writes: int
    claims: int
    flaggers: tuple[int, ...] | None


@dataclass(frozen=True, eq=False)
class SweepPlan:
    """after[n]: the sweeps that follow EOT n. steps, steps_at: the same for kernels.dataflow. accesses (rows, EVENTS)."""

    after: tuple[tuple[Sweep, ...], ...]
    steps: NDArray[np.int64]
    steps_at: NDArray[np.int64]
    accesses: NDArray[np.int64]

    @property
    def number(self) -> int:
        return len(self.steps)


def plan_sweeps(run: CoreRun, eots: int, rows: int) -> SweepPlan:
    """The sweeps of a run that receives `eots` EOTs (a gather run: in each visit)."""
    table = run.table
    order = sorted(range(len(table.passes)), key=lambda i: table.passes[i].after_eot)
    after: list[tuple[Sweep, ...]] = []
    accesses = np.zeros((rows, len(EVENTS)), np.int64)
    place = 0
    for n in range(eots):
        following = order if run.merged else [
            i for i, p in enumerate(table.passes) if p.after_eot == n % table.planes + 1]
        sweeps = _sweeps(run, following, place, needed=run.keep or n + 1 < eots)
        for sweep in sweeps:
            _count(run, sweep, accesses[table.passes[sweep.index].timestep])
        after.append(tuple(sweeps))
        place += len(sweeps)
    steps = [
        (s.reads, s.writes, s.claims, table.passes[s.index].sends, table.passes[s.index].timestep, s.place)
        for sweeps in after for s in sweeps]
    return SweepPlan(
        after=tuple(after), steps=np.array(steps, np.int64).reshape(-1, 6),
        steps_at=np.cumsum([0, *(len(sweeps) for sweeps in after)]).astype(np.int64), accesses=accesses)


def _sweeps(run: CoreRun, following: list[int], place: int, needed: bool) -> list[Sweep]:
    """The sweeps of one EOT. A word's passes share its reads and writes if they are made back to back."""
    passes = [run.table.passes[i] for i in following]
    direct, by_word = run.table.direct, run.core.passes == "by_word"
    decays = run.table.current_decay > 0
    made = []
    for k, (index, p) in enumerate(zip(following, passes, strict=True)):
        earlier = passes[:k] if by_word else []
        group = passes[: k + 1] if by_word else [p]
        last = not by_word or k + 1 == len(passes)
        held = 0
        for before in earlier:
            held |= _used(before, direct) | _set(before, decays)
        reads = _used(p, direct) & ~held
        writes = 0
        if last and (needed or not by_word):
            for member in group:
                writes |= _set(member, decays)
        claims = writes | (MEMBRANE if last and p.kind in ("readout", "requant") else 0)
        if run.core.order == "gather":
            reads = writes = claims = 0
        flaggers = None if any(member.kind == "mask" for member in group) else tuple(
            place + k + 1 - len(group) + i for i, member in enumerate(group) if member.flags == "fire_once")
        number = sum(before.sends for before in passes[:k])
        # Only events that look at flags can meet a mask word by itself; it is written together with its membrane word (R16).
        claims = claims if run.masks_first else claims & ~FLAGS
        made.append(Sweep(index, number, place + k, reads, writes, claims, flaggers))
    return made


def _used(p: Pass, direct: bool) -> int:
    """Memories whose word a pass starts from."""
    membrane = 0 if p.kind == "reinitialise" else MEMBRANE
    return membrane | (CURRENT if p.add and direct else 0) | (0 if p.flags == "ignore" else FLAGS)


def _set(p: Pass, decays: bool) -> int:
    """Memories whose word a pass makes new; `decays`: the current is one of them where it fires."""
    membrane = 0 if p.kind == "requant" or (p.kind == "readout" and not p.add) else MEMBRANE
    membrane |= CURRENT if decays and p.kind == "fire" else 0
    return membrane | (FLAGS if p.kind == "mask" or p.flags == "fire_once" else 0)


def _count(run: CoreRun, sweep: Sweep, row: NDArray[np.int64]) -> None:
    """Memory words of a sweep; flags that only some words write are counted when it is known which."""
    kind, words = run.table.passes[sweep.index].kind, run.words
    if sweep.reads & MEMBRANE:
        row[INDEX[READ[kind]]] += words
        row[INDEX["membrane_read_banks"]] += banks_of_all(run, "membrane")
    if sweep.reads & CURRENT:
        row[INDEX["current_read"]] += words
        row[INDEX["current_read_banks"]] += banks_of_all(run, "current")
    if sweep.reads & FLAGS:
        row[INDEX["mask_read"]] += words
    if sweep.writes & MEMBRANE:
        row[INDEX[WRITTEN[kind]]] += words
        row[INDEX["membrane_write_banks"]] += banks_of_all(run, "membrane")
    if sweep.writes & CURRENT:
        row[INDEX["current_write"]] += words
        row[INDEX["current_write_banks"]] += banks_of_all(run, "current")
    if sweep.writes & FLAGS and sweep.flaggers is None:
        row[INDEX["mask_write"]] += words
