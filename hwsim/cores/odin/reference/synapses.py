"""The synapse memory: 8,192 words of eight 4-bit synapses, one port; and the sweep of a bistability event (O5, O8)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwsim.cores.odin.configuration import MAPPED, OdinConfiguration
from hwsim.cores.odin.fields import NEURONS, SYNAPSES_PER_WORD, WORDS_PER_SOURCE
from hwsim.cores.odin.record import Ints
from hwsim.cores.odin.reference.clock import DATAPATH, Clock, Steps
from hwsim.cores.odin.reference.journal import Journal
from hwsim.cores.odin.reference.work import EventWork

HIGHEST, MIDDLE = 7, 4


class SynapseMemory:
    """Words are lists of eight synapses; the lowest four bits of a word are the synapse of its lowest neuron."""

    def __init__(self, journal: Journal, configuration: OdinConfiguration) -> None:
        self.journal = journal
        self.words: list[list[int]] = configuration.synapses.reshape(-1, SYNAPSES_PER_WORD).tolist()
        self.inhibitory: list[int] = configuration.inhibitory.tolist()
        self.propagate_unmapped = configuration.propagate_unmapped

    def read(self, address: int) -> list[int]:
        self.journal.counts["weight_read"] += 1
        self.journal.note("r", address)
        return self.words[address]

    def write(self, address: int, word: Sequence[int]) -> None:
        self.journal.counts["weight_write"] += 1
        self.words[address] = list(word)
        self.journal.note("w", address, sum(synapse << 4 * place for place, synapse in enumerate(word)))

    def weight(self, synapse: int, source: int) -> int:
        """O1: what a synapse adds. It counts as 0 where it is not mapped; its sign is the source's."""
        if not (synapse & MAPPED or self.propagate_unmapped):
            return 0
        weight = synapse % MAPPED
        return -weight if self.inhibitory[source] else weight

    def synapses(self) -> Ints:
        return np.array(self.words, np.int64).reshape(NEURONS, NEURONS)


def word_of(source: int, neuron: int) -> int:
    """O5: the word that holds the synapse of a source to a neuron."""
    return source * WORDS_PER_SOURCE + neuron // SYNAPSES_PER_WORD


class Bistability:
    """Reads and writes the words of one source, or of all, two cycles per word; the output link does not hold it up (O5)."""

    def __init__(self, clock: Clock, memory: SynapseMemory, update_unmapped: bool) -> None:
        self.clock, self.memory, self.update_unmapped = clock, memory, update_unmapped
        self.operation: EventWork | None = None
        self.finished_at = -1

    def moved(self, synapse: int) -> int:
        """O5: one step away from the middle, within 0 to 7."""
        if not (synapse & MAPPED or self.update_unmapped):
            return synapse
        weight = synapse % MAPPED
        weight = min(HIGHEST, weight + 1) if weight >= MIDDLE else max(0, weight - 1)
        return synapse & MAPPED | weight

    def process(self) -> Steps:
        while True:
            yield self.clock.next_cycle(DATAPATH)
            if self.operation is None:
                continue
            rows = self.operation.sources
            for address in range(word_of(rows.start, 0), word_of(rows.stop, 0)):
                if address > word_of(rows.start, 0):
                    yield self.clock.next_cycle(DATAPATH)
                word = self.memory.read(address)
                yield self.clock.next_cycle(DATAPATH)
                self.memory.write(address, [self.moved(synapse) for synapse in word])
            self.finished_at, self.operation = self.clock.now_cycle, None
