"""What the units write down while they work: the rows of the record, the counts, and the log if it was asked for."""

from __future__ import annotations

from collections import Counter

import numpy as np

from hwsim.cores.odin.record import COUNTS, KINDS, NOT_YET, Ints, LogEntry
from hwsim.cores.odin.reference.clock import Clock


class Journal:
    def __init__(self, clock: Clock, with_log: bool) -> None:
        self.clock = clock
        self.log: list[LogEntry] | None = [] if with_log else None
        self.counts: Counter[str] = Counter()
        self.operations: list[list[int]] = []
        self.inputs: list[list[int]] = []
        self.outputs: list[list[int]] = []
        self.push: list[list[int]] = []
        self.lost: list[list[int]] = []
        self.pop: list[list[int]] = []
        self.spikes: list[list[int]] = []
        self.done = NOT_YET

    def note(self, letter: str, *fields: int) -> None:
        """An entry of the log: this is so in the present cycle."""
        self.note_at(self.clock.now_cycle, letter, *fields)

    def note_at(self, cycle: int, letter: str, *fields: int) -> None:
        if self.log is not None:
            self.log.append((letter, cycle, *fields))

    def decided(self, kind: str) -> None:
        self.operations.append([KINDS.index(kind), self.clock.now_cycle, NOT_YET])

    def ended(self) -> None:
        """The operation in progress has its last cycle now."""
        self.operations[-1][2] = self.clock.now_cycle

    def counts_array(self) -> Ints:
        return np.array([self.counts[name] for name in COUNTS], np.int64)


def rows(listed: list[list[int]], columns: int) -> Ints:
    return np.array(listed, np.int64).reshape(-1, columns)
