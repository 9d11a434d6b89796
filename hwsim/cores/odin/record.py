"""What a run did, as both engines report it. Units: cycles from cycle 0, the first in which the chip is idle and its
neighbours are let loose. A cycle that lies at or beyond the end of the run is `NOT_YET`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwsim.cores.odin.configuration import OdinConfiguration
from hwsim.cores.odin.errors import OdinError
from hwsim.cores.odin.fields import OdinFields
from hwsim.cores.odin.stimulus import OdinStimulus

Ints = NDArray[np.int64]
LogEntry = tuple[str | int, ...]
NOT_YET = -1

KINDS = ("synapse", "tref", "bist", "push", "pop_neuron", "pop_virtual")
"""Kinds of operations; a record holds their places in this list."""
COUNTS = ("membrane_read", "membrane_write", "weight_read", "weight_write")
"""Counted events (O8), one per cycle in which a memory reads or writes a word."""
LETTERS = {
    "Q": "the input's request rises: address", "q": "it falls",
    "K": "the input's acknowledge rises", "k": "it falls",
    "X": "the output's request rises: address", "x": "it falls",
    "Y": "the output's acknowledge rises", "y": "it falls",
    "B": "the output link is busy from here on", "b": "it is free from here on",
    "R": "a neuron's word is read: neuron", "W": "it is written: neuron, potential, 1 if a spike leaves",
    "r": "a synapse word is read: word", "w": "it is written: word, 32 bits",
    "P": "an entry is pushed: entry", "D": "a pushed entry is lost: entry", "O": "an entry is popped: entry",
    "S": "a state of the controller begins: its number", "E": "the chip is at rest",
}
"""What an entry of the log says of its cycle."""


@dataclass(frozen=True, eq=False)
class OdinRecord:
    """One run up to a cycle, or to rest. Rows are in the order of their first cycle.

    operations (n, 3)   kind, cycle of the decision, last cycle
    inputs (n, 5)       address, then the cycles in which the request rises, the acknowledge rises, the request falls, the
                        acknowledge falls
    push, lost, pop     (n, 2) cycle, entry of the scheduler (5 bits of a virtual event, 8 bits of address)
    spikes (n, 2)       cycle of the write, neuron
    outputs (n, 6)      address, then the cycles of the request, the acknowledge, the request's fall, the acknowledge's fall, and
                        the first in which the link is free again
    counts (4,)         in the order of COUNTS
    potentials (256,)   at the end
    synapses (256, 256) at the end: bistability events change them
    done                first cycle of rest
    log                 every change of every cycle, if it was asked for: (letter, cycle, fields of LETTERS), in any order
    """

    operations: Ints
    inputs: Ints
    push: Ints
    lost: Ints
    pop: Ints
    spikes: Ints
    outputs: Ints
    counts: Ints
    potentials: Ints
    synapses: Ints
    done: int
    log: list[LogEntry] | None = None


def refuse_no_cycles(until_cycles: int) -> None:
    """Raise OdinError for a run that would have no cycle."""
    if until_cycles < 1:
        raise OdinError(f"until_cycles: found {until_cycles}, expected 1 or more: a run has at least cycle 0")


class OdinEngine(Protocol):
    """An engine. Its `run` stops at rest or before cycle `until_cycles`, whichever comes first.

    Raises OdinError when `until_cycles` is below 1.
    """

    def run(
        self, core: OdinFields, configuration: OdinConfiguration, stimulus: OdinStimulus, until_cycles: int, log: bool = False
    ) -> OdinRecord: ...
