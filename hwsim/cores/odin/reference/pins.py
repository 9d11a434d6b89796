"""The world outside the chip: the sender of input events and the receiver of output events, four phases each (O4, O7)."""

from __future__ import annotations

from hwsim.cores.odin.record import NOT_YET
from hwsim.cores.odin.reference.clock import PINS, Clock, Register, Steps, Wire
from hwsim.cores.odin.reference.journal import Journal
from hwsim.cores.odin.stimulus import OdinStimulus


class Sender:
    """Puts one event after the other on the input link.

    request, address   what the chip sees
    acknowledge        the chip's answer
    """

    def __init__(self, clock: Clock, journal: Journal, stimulus: OdinStimulus, acknowledge: Register) -> None:
        self.clock, self.journal = clock, journal
        self.events: list[list[int]] = stimulus.events.tolist()
        self.acknowledge = acknowledge
        self.request = Wire()
        self.address = 0
        self.released = 0
        self.all_sent = not self.events

    def rises_at(self, earliest: int, up: int) -> int:
        """O4: the cycle in which an event's request rises."""
        return max(earliest, self.released + up)

    def process(self) -> Steps:
        for earliest, address, down, up in self.events:
            yield self.clock.at(self.rises_at(earliest, up), PINS)
            row = [address, self.clock.now_cycle, NOT_YET, NOT_YET, NOT_YET]
            self.journal.inputs.append(row)
            self.address, self.request.high = address, True
            self.journal.note("Q", address)
            while not self.acknowledge.now:
                yield self.clock.next_cycle(PINS)
            row[2] = self.clock.now_cycle
            self.journal.note("K")
            yield self.clock.at(self.clock.now_cycle + down, PINS)
            row[3] = self.clock.now_cycle
            self.request.high = False
            self.journal.note("q")
            while self.acknowledge.now:
                yield self.clock.next_cycle(PINS)
            row[4] = self.released = self.clock.now_cycle
            self.journal.note("k")
        self.all_sent = True


class Receiver:
    """Takes one output event after the other. request: the chip's; acknowledge: what the chip sees."""

    def __init__(self, clock: Clock, journal: Journal, stimulus: OdinStimulus, request: Register) -> None:
        self.clock, self.journal = clock, journal
        self.delays: list[list[int]] = stimulus.receiver.tolist()
        self.request = request
        self.acknowledge = Wire()

    def process(self) -> Steps:
        taken = 0
        yield self.clock.at(0, PINS)
        while True:
            while not self.request.now:
                yield self.clock.next_cycle(PINS)
            acknowledge_after, release_after = self.delays[taken % len(self.delays)]
            row = self.journal.outputs[taken]
            taken += 1
            yield self.clock.at(self.clock.now_cycle + acknowledge_after, PINS)
            row[2] = self.clock.now_cycle
            self.acknowledge.high = True
            self.journal.note("Y")
            while self.request.now:
                yield self.clock.next_cycle(PINS)
            yield self.clock.at(self.clock.now_cycle + release_after, PINS)
            row[4] = self.clock.now_cycle
            self.acknowledge.high = False
            self.journal.note("y")
