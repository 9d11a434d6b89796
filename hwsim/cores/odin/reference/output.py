"""The output link: sends one address at a time and is busy until the receiver has released it (O7)."""

from __future__ import annotations

from hwsim.cores.odin.record import NOT_YET
from hwsim.cores.odin.reference.clock import CONTROL, PINS, Clock, Latches, Register, Steps, Wire
from hwsim.cores.odin.reference.journal import Journal


class OutputLink:
    """`busy` is high from the cycle after a send until the link is free; `request` until the acknowledge is seen."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self.clock, self.journal = clock, journal
        self.request, self.busy = Register(clock), Register(clock)
        self.acknowledge: Latches | None = None

    def connect(self, acknowledge: Wire, latches: int) -> None:
        self.acknowledge = Latches(self.clock, acknowledge, latches)

    def send(self, address: int) -> None:
        """O7: the request rises in the next cycle."""
        cycle = self.clock.now_cycle + 1
        self.request.next = self.busy.next = True
        self.journal.outputs.append([address, cycle, *[NOT_YET] * 4])
        self.journal.note_at(cycle, "X", address)
        self.journal.note_at(cycle, "B")

    def process(self) -> Steps:
        assert self.acknowledge is not None
        yield self.clock.at(0, CONTROL)
        while True:
            if self.request.now and self.acknowledge.seen:
                self.request.next = False
                self.clock.process(self._note_next(3, "x"))
            elif self.busy.now and not self.request.now and self.is_released():
                self.busy.next = False
                self.clock.process(self._note_next(5, "b"))
            yield self.clock.next_cycle(CONTROL)

    def is_released(self) -> bool:
        """O7: the receiver is seen to have lowered its acknowledge."""
        assert self.acknowledge is not None
        return not self.acknowledge.seen

    def _note_next(self, column: int, letter: str) -> Steps:
        """What a register shows from the next cycle on is written down there: the run may end before."""
        row = self.journal.outputs[-1]
        yield self.clock.next_cycle(PINS)
        row[column] = self.clock.now_cycle
        self.journal.note(letter)
