"""The whole chip: units wired together, run to rest or to a given cycle."""

from __future__ import annotations

import numpy as np

from hwsim.cores.odin.configuration import OdinConfiguration
from hwsim.cores.odin.fields import OdinFields
from hwsim.cores.odin.record import OdinRecord, refuse_no_cycles
from hwsim.cores.odin.reference.clock import EDGE, Clock, Register
from hwsim.cores.odin.reference.controller import Controller
from hwsim.cores.odin.reference.journal import Journal, rows
from hwsim.cores.odin.reference.neurons import Neurons
from hwsim.cores.odin.reference.output import OutputLink
from hwsim.cores.odin.reference.pins import Receiver, Sender
from hwsim.cores.odin.reference.scheduler import Scheduler
from hwsim.cores.odin.reference.synapses import Bistability, SynapseMemory
from hwsim.cores.odin.stimulus import OdinStimulus


class OdinReferenceEngine:
    """One clock cycle after the other; slow, and legible."""

    def run(
        self, core: OdinFields, configuration: OdinConfiguration, stimulus: OdinStimulus, until_cycles: int, log: bool = False
    ) -> OdinRecord:
        """The record of cycles 0 to `until_cycles` - 1, or to rest."""
        refuse_no_cycles(until_cycles)
        chip = Chip(core, configuration, stimulus, log)
        # The last phase of the last cycle: what else happens in it belongs to the run.
        chip.clock.run(until=chip.clock.at(until_cycles - 1, EDGE) | chip.controller.at_rest)
        return chip.record(until_cycles)


class Chip:
    def __init__(self, core: OdinFields, configuration: OdinConfiguration, stimulus: OdinStimulus, log: bool) -> None:
        clock = self.clock = Clock()
        journal = self.journal = Journal(clock, log)
        acknowledge = Register(clock)
        sender = Sender(clock, journal, stimulus, acknowledge)
        link = OutputLink(clock, journal)
        receiver = Receiver(clock, journal, stimulus, link.request)
        link.connect(receiver.acknowledge, core.output.latches)
        scheduler = Scheduler(clock, journal, core.scheduler.depth)
        self.synapses = SynapseMemory(journal, configuration)
        self.neurons = Neurons(
            clock, journal, configuration, self.synapses, link, scheduler, core.output.source == "neuron", core.scheduler.feedback
        )
        bistability = Bistability(clock, self.synapses, configuration.update_unmapped)
        self.controller = Controller(
            clock, journal, sender, acknowledge, core.input.latches, scheduler, link, self.neurons, bistability
        )
        for unit in (sender, receiver, link, scheduler, self.neurons, bistability, self.controller):
            clock.process(unit.process())

    def record(self, end: int) -> OdinRecord:
        journal = self.journal
        # The output request of a spike is written down a cycle ahead; beyond the last cycle it is not part of the run.
        outputs = [row for row in journal.outputs if row[1] < end]
        return OdinRecord(
            operations=rows(journal.operations, 3), inputs=rows(journal.inputs, 5), push=rows(journal.push, 2),
            lost=rows(journal.lost, 2), pop=rows(journal.pop, 2), spikes=rows(journal.spikes, 2), outputs=rows(outputs, 6),
            counts=journal.counts_array(), potentials=np.array(self.neurons.potentials, np.int64),
            synapses=self.synapses.synapses(), done=journal.done,
            log=None if journal.log is None else [entry for entry in journal.log if int(entry[1]) < end],
        )
