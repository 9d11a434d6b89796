"""The controller: decides what comes next, waits for its last cycle, and answers the sender (O3, O4)."""

from __future__ import annotations

from hwsim.cores.odin.reference.clock import CONTROL, Clock, Latches, Register, Steps
from hwsim.cores.odin.reference.journal import Journal
from hwsim.cores.odin.reference.neurons import Neurons
from hwsim.cores.odin.reference.output import OutputLink
from hwsim.cores.odin.reference.pins import Sender
from hwsim.cores.odin.reference.scheduler import Scheduler
from hwsim.cores.odin.reference.synapses import Bistability
from hwsim.cores.odin.reference.work import EventWork, decoded, is_bistability, popped

# States as the chip numbers them, in the log only.
WAITS, REQUEST_FALLS = 0, 12
STATE = {"tref": 5, "bist": 6, "synapse": 7, "push": 8, "pop_neuron": 9, "pop_virtual": 10}


class Controller:
    """One operation at a time. `acknowledge` answers the sender; `at_rest` says that there is nothing left to do."""

    def __init__(
        self, clock: Clock, journal: Journal, sender: Sender, acknowledge: Register, latches: int, scheduler: Scheduler,
        link: OutputLink, neurons: Neurons, bistability: Bistability,
    ) -> None:
        self.clock, self.journal, self.sender, self.acknowledge = clock, journal, sender, acknowledge
        self.request = Latches(clock, sender.request, latches)
        self.scheduler, self.link, self.neurons, self.bistability = scheduler, link, neurons, bistability
        self.at_rest = clock.event()

    def process(self) -> Steps:
        yield self.clock.at(0, CONTROL)
        while True:
            operation = self.decided()
            if operation is None:
                if self._nothing_is_left():
                    self.journal.done = self.clock.now_cycle
                    self.journal.note("E")
                    self.at_rest.succeed()
                yield self.clock.next_cycle(CONTROL)
                continue
            self.journal.decided(operation.kind)
            yield from self._execute(operation)
            self.journal.ended()
            if operation.kind.startswith("pop"):
                self.scheduler.pop()
                yield self.clock.next_cycle(CONTROL)
            else:
                yield from self._acknowledge()
            self.journal.note("S", WAITS)

    def decided(self) -> EventWork | None:
        """O3: what the controller takes in this cycle, if anything."""
        if self.link.busy.now:
            return None
        if self.scheduler.full:
            return popped(self.scheduler.head)
        seen = self.sees_request()
        if seen and not is_bistability(self.sender.address):
            return decoded(self.sender.address)
        if self.scheduler.entries:
            return popped(self.scheduler.head)
        return decoded(self.sender.address) if seen else None

    def sees_request(self) -> bool:
        """O4: the request behind its latches."""
        return self.request.seen

    def _execute(self, operation: EventWork) -> Steps:
        """Ends in the last cycle of the operation; its first slot is the cycle after the decision."""
        unit = None if operation.kind == "push" else self.bistability if operation.kind == "bist" else self.neurons
        if unit is not None:
            unit.operation = operation
        yield self.clock.next_cycle(CONTROL)
        self.journal.note("S", STATE[operation.kind])
        if unit is None:
            self.scheduler.push(operation.entry)
            return
        while unit.finished_at != self.clock.now_cycle:
            yield self.clock.next_cycle(CONTROL)

    def _acknowledge(self) -> Steps:
        """O4: acknowledges in the next cycle, and lets go when the request is seen to have fallen."""
        self.acknowledge.next = True
        yield self.clock.next_cycle(CONTROL)
        self.journal.note("S", REQUEST_FALLS)
        while self.sees_request():
            yield self.clock.next_cycle(CONTROL)
        self.acknowledge.next = False
        yield self.clock.next_cycle(CONTROL)

    def _nothing_is_left(self) -> bool:
        return self.sender.all_sent and not self.scheduler.entries and not self.link.busy.now
