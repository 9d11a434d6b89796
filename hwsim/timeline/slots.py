"""The slots of one run, read out of its log: what issued when, for how many cycles, and when EXEC was done with it.

A CoreLog lists cycles and no causes. Here the rules that decide them (docs/cycle-model.md) are read backwards: from when
something issued follows what it had waited for. Nothing is taken from an engine but its log, so the counts of the same run can
be held against what is found. Cycles from the start of the run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError
from hwsim.passes import Pass
from hwsim.program import CoreRun
from hwsim.record import ISSUE_KINDS, CoreLog

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
KIND = {kind: number for number, kind in enumerate(ISSUE_KINDS)}
ACC, EOT, SKIP = KIND["acc"], KIND["eot"], KIND["skip"]
PASSES = tuple(KIND[kind] for kind in ("shift", "fire", "readout", "requant", "mask", "reinitialise", "count"))
NOTHING, HAZARD, PORT = 0, 1, 2
"""What held an issue up for the one cycle before it."""


class TimelineError(HwsimError):
    """A timeline that cannot be made; the text says what was found and what would do."""


@dataclass(frozen=True, eq=False)
class Slots:
    """The slots of a run in the order of their cycles, (slots,) each.

    cycle, kind, word   as CoreLog.issue has them.      cycles   that it takes, more than one for merged tokens only.
    done     the cycle in which EXEC completes it; -1 for what does not go there (EOTs, events without a word, skipped ones).
    held     NOTHING, or HAZARD or PORT in the cycle before.
    marks    EOTs before it.                 timestep   of a pass, the layer's timestep that it makes; else -1.
    sent     spikes or values that it sends; 0 of what sends nothing.       sends   whether it goes to the writer at all.
    """

    cycle: Ints
    kind: Ints
    word: Ints
    cycles: Ints
    done: Ints
    held: Ints
    marks: Ints
    timestep: Ints
    sent: Ints
    sends: Flags

    @property
    def end(self) -> Ints:
        """The cycle after the last that it takes."""
        return self.cycle + self.cycles

    @property
    def executes(self) -> Flags:
        """Whether it goes to EXEC."""
        return self.done >= 0


def read_slots(run: CoreRun, log: CoreLog, outputs: NDArray[np.integer] | None) -> Slots:
    """What a run's log says. outputs: (T, H, W, C) of its layer; None for a layer that sends nothing.

    Raises TimelineError where the log is not one of the rules.
    """
    issue = log.issue[np.argsort(log.issue[:, 0], kind="stable")]
    cycle, kind, word = issue.T
    marks = np.cumsum(kind == EOT) - (kind == EOT)
    token = np.where(np.isin(kind, (ACC, EOT, SKIP)), np.searchsorted(log.pop, cycle), -1)
    cycles = _cycles(run, cycle, kind, token, log.pop)
    pass_of = _pass_of(run, kind, word, marks)
    table = run.table.passes
    timestep = np.array([p.timestep for p in table] + [-1], np.int64)[pass_of]
    sends = np.array([p.sends for p in table] + [False], bool)[pass_of]
    sent = np.zeros(len(cycle), np.int64)
    if outputs is not None:
        sent[sends] = _sent_by_word(run, outputs)[timestep[sends], word[sends]]
    executes = (kind != EOT) & (kind != SKIP)
    done = np.where(executes, cycle + cycles, -1)
    if run.core.writer == "serial":
        done[sends] = _completed(cycle[sends], sent[sends])
    held = _held(run, (cycle, kind, word, cycles, done), np.where(token >= 0, log.push[token] + 1, 0), pass_of)
    return Slots(cycle, kind, word, cycles, done, held, marks, timestep, sent, sends)


def _cycles(run: CoreRun, cycle: Ints, kind: Ints, token: Ints, pop: Ints) -> Ints:
    """R21: an operation of a merged token takes its slots; the event is popped in the last slot of its last word.

    All words of an event take equally many, but those that are skipped (R25), which take one.
    """
    found = np.ones(len(cycle), np.int64)
    if not run.merged or not len(cycle):
        return found
    last = np.append(token[1:] != token[:-1], True)
    following = np.append(cycle[1:], 0)
    known = (kind == ACC) & (last | (np.append(kind[1:], EOT) == SKIP))
    of_token = np.ones(len(pop), np.int64)
    of_token[token[known]] = np.where(last, pop[token] + 1, following)[known] - cycle[known]
    return np.where(kind == ACC, of_token[token], 1)


def _pass_of(run: CoreRun, kind: Ints, word: Ints, marks: Ints) -> Ints:
    """Which pass of the table each operation belongs to; -1 for what is no pass.

    After an EOT each word takes the passes that follow it, in their order, whatever the order of words is (R9, R24).
    """
    found = np.full(len(kind), -1, np.int64)
    passes = np.flatnonzero(np.isin(kind, PASSES))
    order = passes[np.lexsort((passes, word[passes], marks[passes]))]
    if not len(order):
        return found
    first = np.append(True, (word[order][1:] != word[order][:-1]) | (marks[order][1:] != marks[order][:-1]))
    at = np.arange(len(order))
    rank = at - np.maximum.accumulate(np.where(first, at, 0))
    table = run.table.passes
    following = [[i for i, p in enumerate(table) if run.merged or p.after_eot == n] for n in range(run.table.planes + 1)]
    if run.merged:
        following = [sorted(every, key=lambda i: table[i].after_eot) for every in following]
    place = np.full((len(following), max(map(len, following)) + 1), -1, np.int64)
    for n, every in enumerate(following):
        place[n, : len(every)] = every
    found[order] = place[(marks[order] - 1) % run.table.planes + 1, rank]
    return found


def _sent_by_word(run: CoreRun, outputs: NDArray[np.integer]) -> Ints:
    """(T, words): neurons of each word that send anything."""
    (first, end), (top, bottom), lanes = run.channels, run.row_span, run.core.lanes
    groups = run.groups[1] - run.groups[0]
    sent = np.zeros((len(outputs), bottom - top + run.spare_rows, run.shape[2], groups * lanes), np.int64)
    sent[:, : bottom - top, :, : end - first] = outputs[:, top:bottom, :, first:end] != 0
    return sent.reshape(len(outputs), -1, lanes).sum(axis=2)


def _completed(cycle: Ints, sent: Ints) -> Ints:
    """R7: EXEC waits until the serialiser has taken the word before."""
    done = np.empty(len(cycle), np.int64)
    free = 0
    for i, (issued, spikes) in enumerate(zip(cycle.tolist(), sent.tolist(), strict=True)):
        done[i] = free = max(issued + 1, free)
        free += max(1, spikes)
    return done


def _held(run: CoreRun, slot: tuple[Ints, ...], visible: Ints, pass_of: Ints) -> Ints:
    """R5, R6, R23 and R25: what issues a cycle later than it could have was held up, by a word or by a port."""
    cycle, kind, word, cycles, done = slot
    found = np.zeros(len(cycle), np.int64)
    if not len(cycle):
        return found
    before = np.maximum.accumulate(np.where(done >= 0, np.arange(len(cycle)), -1))
    ahead = np.append(-1, before[:-1])  # the last operation that went to EXEC
    free = np.append(1, (cycle + cycles)[:-1])
    waits = word >= 0
    earliest = np.maximum(np.maximum(free, visible), np.where(waits & (ahead >= 0), done[ahead], 0))
    late = cycle - earliest
    if late.min() < 0 or late.max() > 1 or (late[~waits] != 0).any():
        raise TimelineError("the log of a run has a slot that no rule of docs/cycle-model.md explains; please report it")
    flags = np.array([_sets_flags(p) for p in run.table.passes] + [False], bool)[pass_of] | (kind == KIND["clear"])
    by_flags = (run.masks_first & np.isin(kind, (ACC, SKIP)) & (ahead >= 0) & flags[ahead] & (word == word[ahead])
                & (not run.core.bypass))
    single = run.core.membrane_ports == "1rw"
    found[late == 1] = PORT if single else HAZARD
    found[(late == 1) & by_flags] = HAZARD
    return found


def _sets_flags(one: Pass) -> bool:
    return one.kind == "mask" or one.flags == "fire_once"
