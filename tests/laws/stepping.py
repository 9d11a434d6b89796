"""R5 to R7 one operation at a time: the cycles in which the operations of a log must have issued."""

from __future__ import annotations

import numpy as np

from hwsim.activity import INDEX
from hwsim.program import CoreRun
from hwsim.record import ISSUE_KINDS, CoreLog

SENDING = ("fire", "requant")


def step_through(run: CoreRun, log: CoreLog) -> tuple[list[int], dict[str, int]]:
    """Issue cycles of a run of one period, and what A5 counts.

    `visible` is the only thing taken from the log's times; the rest follows from kinds, words and spikes.
    """
    direct = run.table.direct
    senders, pops = iter(sent_by_word(run, log)), set(log.pop.tolist())
    free, done, serialiser, word, written = 1, 0, 0, -1, {""}
    token, hazards, waits, overlapped, cycles = 0, 0, 0, 0, list[int]()
    for cycle, kind, this in log.issue.tolist():
        name = ISSUE_KINDS[kind]
        visible = 0
        if name in ("acc", "eot", "skip"):
            visible = int(log.push[token]) + 1
            token += cycle in pops
        if name in ("eot", "skip"):
            cycles.append(max(free, visible))
            free = cycles[-1] + 1
            overlapped += cycles[-1] < done
            continue
        issue = max(free, visible, done)
        memory = "current" if name == "acc" and direct else "membrane"
        if name not in ("clear", "reinitialise") and not run.core.bypass and (issue, this) == (done, word) and memory in written:
            issue, hazards = issue + 1, hazards + 1
        done = issue + 1
        if name in SENDING:
            done = max(done, serialiser)
            waits += done - issue - 1
            serialiser = done + max(1, next(senders))
        free, word, written = issue + 1, this, {"membrane", "current"} if name == "clear" else {memory}
        cycles.append(issue)
    counted = {"cycles_busy": len(cycles), "cycles_stall_hazard": hazards, "cycles_stall_serialiser": waits,
               "cycles_overlapped": overlapped}
    return cycles, counted


def sent_by_word(run: CoreRun, log: CoreLog) -> list[int]:
    """Spikes of each word of each pass that sends, in order; each such pass has a row of counts of its own."""
    sending = [p for p in run.table.passes if p.kind in SENDING]
    assert len({p.timestep for p in sending}) == len(sending), "two passes count in one row"
    _, height, width = run.shape
    groups = run.groups[1] - run.groups[0]
    channel, position = np.divmod(log.spikes[:, 2], height * width)
    words = position * groups + channel // run.core.lanes - run.groups[0]
    totals = [log.counts[p.timestep, INDEX["spike_out"]] for p in sending]
    parts = np.split(words, np.cumsum(totals)[:-1])
    return [n for part in parts for n in np.bincount(part, minlength=run.words).tolist()]
