"""The neurons: their memory, one word per neuron, and the operation that reads, adds or leaks, compares and writes (O1, O2)."""

from __future__ import annotations

from hwsim.cores.odin.configuration import OdinConfiguration
from hwsim.cores.odin.fields import SYNAPSES_PER_WORD
from hwsim.cores.odin.reference.clock import DATAPATH, Clock, Steps
from hwsim.cores.odin.reference.journal import Journal
from hwsim.cores.odin.reference.output import OutputLink
from hwsim.cores.odin.reference.scheduler import Scheduler
from hwsim.cores.odin.reference.synapses import SynapseMemory, word_of
from hwsim.cores.odin.reference.work import EventWork

HIGHEST = 255


class Neurons:
    """One operation after the other. The memory has one port, so that each takes a cycle to read and a cycle to write (O2)."""

    def __init__(
        self, clock: Clock, journal: Journal, configuration: OdinConfiguration, synapses: SynapseMemory, link: OutputLink,
        scheduler: Scheduler, sends_spikes: bool, feedback: bool,
    ) -> None:
        self.clock, self.journal = clock, journal
        self.synapses, self.link, self.scheduler = synapses, link, scheduler
        self.sends_spikes, self.feedback = sends_spikes, feedback
        self.monitor = configuration.monitor
        self.potentials: list[int] = configuration.potentials.tolist()
        self.thresholds: list[int] = configuration.thresholds.tolist()
        self.leaks: list[int] = configuration.leaks.tolist()
        self.leak_enabled: list[int] = configuration.leak_enabled.tolist()
        self.disabled: list[int] = configuration.disabled.tolist()
        self.operation: EventWork | None = None
        self.finished_at = -1

    def process(self) -> Steps:
        while True:
            yield self.clock.next_cycle(DATAPATH)
            operation = self.operation
            if operation is None:
                continue
            for neuron in operation.neurons:
                if neuron > operation.neurons.start:
                    yield self.clock.next_cycle(DATAPATH)
                self._read(operation, neuron)
                while self.is_held():
                    yield self.clock.next_cycle(DATAPATH)
                    self._read(operation, neuron)
                yield self.clock.next_cycle(DATAPATH)
                self._write(operation, neuron)
            self.finished_at, self.operation = self.clock.now_cycle, None

    def is_held(self) -> bool:
        """O2: an operation issues only while the output link is free; until then its words are read again."""
        return self.link.busy.now

    def _read(self, operation: EventWork, neuron: int) -> None:
        self.journal.counts["membrane_read"] += 1
        self.journal.note("R", neuron)
        if self.needs_word(operation, neuron):
            assert operation.source is not None
            self.synapses.read(word_of(operation.source, neuron))

    def needs_word(self, operation: EventWork, neuron: int) -> bool:
        """O8: a synapse word is read and written with the first of the eight operations that use it."""
        return operation.source is not None and (neuron % SYNAPSES_PER_WORD == 0 or operation.kind == "synapse")

    def _write(self, operation: EventWork, neuron: int) -> None:
        potential = self.updated(operation, neuron)
        fires = self.fires(potential, neuron)
        spikes = fires and self.sends(neuron)
        self.potentials[neuron] = self.reset() if fires else potential
        self.journal.counts["membrane_write"] += 1
        self.journal.note("W", neuron, self.potentials[neuron], int(spikes))
        if self.needs_word(operation, neuron):
            assert operation.source is not None
            address = word_of(operation.source, neuron)
            self.synapses.write(address, self.synapses.words[address])
        if spikes:
            self._spike(neuron)
        if not self.sends_spikes and self.passes_on(operation, neuron):
            self.link.send(operation.entry & 0xFF)

    def passes_on(self, operation: EventWork, neuron: int) -> bool:
        """O7: where the controller is the source, popped neuron events leave with the write of the monitored neuron."""
        return operation.kind == "pop_neuron" and neuron == self.monitor

    def updated(self, operation: EventWork, neuron: int) -> int:
        """O1: the potential after a leak, or after a weight."""
        if operation.leak:
            return self.leaked(neuron)
        weight = operation.weight
        if operation.source is not None:
            word = self.synapses.words[word_of(operation.source, neuron)]
            weight = self.synapses.weight(word[neuron % SYNAPSES_PER_WORD], operation.source)
        return self.clipped(self.potentials[neuron] + weight)

    def leaked(self, neuron: int) -> int:
        """O1: a constant is subtracted where leaking is enabled."""
        return max(0, self.potentials[neuron] - self.leaks[neuron]) if self.leak_enabled[neuron] else self.potentials[neuron]

    def clipped(self, value: int) -> int:
        """O1: potentials are unsigned and saturate."""
        return min(HIGHEST, max(0, value))

    def fires(self, potential: int, neuron: int) -> bool:
        """O1: every operation compares."""
        return potential >= self.thresholds[neuron]

    def reset(self) -> int:
        """O1: what is written when a neuron fires, whether or not it is disabled."""
        return 0

    def sends(self, neuron: int) -> bool:
        """O1: a disabled neuron sends no spike."""
        return not self.disabled[neuron]

    def _spike(self, neuron: int) -> None:
        self.journal.spikes.append([self.clock.now_cycle, neuron])
        if self.sends_spikes:
            self.link.send(neuron)
        if self.feedback:
            self.scheduler.push(neuron)
