"""The spike FIFO and the feeder that fills it from the spike buffer (R2). Unit: cycles."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from hwsim.engine.reference.clock import FEED, Clock, Signal, Steps
from hwsim.engine.reference.shared import Shared
from hwsim.engine.reference.tokens import Token


class Slot(NamedTuple):
    """A token in the FIFO, and the first cycle in which the sequencer can see it."""

    token: Token
    visible: int


class SpikeFifo:
    """`depth` tokens, first-word fall-through. A freed slot can be filled in the cycle after its pop."""

    def __init__(self, clock: Clock, depth: int) -> None:
        self.depth = depth
        self.slots: deque[Slot] = deque()
        self.arrived, self.freed = Signal(clock), Signal(clock)

    @property
    def full(self) -> bool:
        return len(self.slots) >= self.depth

    def push(self, token: Token, cycle: int) -> None:
        self.slots.append(Slot(token, cycle + 1))
        self.arrived.pulse()

    def pop(self) -> None:
        self.slots.popleft()
        self.freed.pulse()


class TokenFeeder:
    """Reads the run's tokens out of the spike buffer, each `gap` cycles after the last, and pushes them (R2)."""

    def __init__(self, core: Shared, fifo: SpikeFifo) -> None:
        self.core, self.fifo = core, fifo

    def process(self) -> Steps:
        core, clock, fifo = self.core, self.core.clock, self.fifo
        counts_tokens = core.run.core.buffer == "aer"
        last, room_from, marks = core.start - 1, core.start, 0
        for token, gap, earliest, rows in core.stream:
            if fifo.full:
                yield fifo.freed.wait()
                room_from = clock.now + 1
            yield clock.at(max(last + gap, core.start + earliest, room_from), FEED)
            last = clock.now
            fifo.push(token, last)
            core.log.push.append(last - core.start)
            activity = core.plane_activity(core.plane_of(marks))
            activity["fifo_push"] += 1
            # An AER list holds one row an event; a bitmap's rows are known to its scanner only.
            activity["buffer_read"] += int(not token.is_eot) if counts_tokens else rows
            if token.is_eot:
                marks = (marks + 1) % max(1, core.stream.eots)
