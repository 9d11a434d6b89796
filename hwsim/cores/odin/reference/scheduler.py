"""The scheduler: a FIFO of events that wait to be processed (O6)."""

from __future__ import annotations

from collections import deque

from hwsim.cores.odin.reference.clock import EDGE, Clock, Steps
from hwsim.cores.odin.reference.journal import Journal


class Scheduler:
    """Takes a push and a pop in the same cycle. `entries` is what the last cycle left; changes show in the next cycle."""

    def __init__(self, clock: Clock, journal: Journal, depth: int) -> None:
        self.clock, self.journal, self.depth = clock, journal, depth
        self.entries: deque[int] = deque()
        self.pushed: int | None = None
        self.popped = False

    @property
    def full(self) -> bool:
        return len(self.entries) == self.depth

    @property
    def head(self) -> int:
        """O6: the entry that is popped next."""
        return self.entries[0]

    def push(self, entry: int) -> None:
        self.pushed = entry

    def refuses(self) -> bool:
        """O6: an entry is lost if the scheduler is full, even if one is popped in the same cycle."""
        return self.full

    def pop(self) -> None:
        self.popped = True
        self.journal.pop.append([self.clock.now_cycle, self.head])
        self.journal.note("O", self.head)

    def process(self) -> Steps:
        yield self.clock.at(0, EDGE)
        while True:
            refuses = self.refuses()
            if self.popped:
                self.entries.popleft()
            if self.pushed is not None and refuses:
                self.journal.lost.append([self.clock.now_cycle, self.pushed])
                self.journal.note("D", self.pushed)
            elif self.pushed is not None:
                self.entries.append(self.pushed)
                self.journal.push.append([self.clock.now_cycle, self.pushed])
                self.journal.note("P", self.pushed)
            self.pushed, self.popped = None, False
            yield self.clock.next_cycle(EDGE)
