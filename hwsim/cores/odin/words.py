"""A configuration as the words of the chip's two memories, and back. Source: ODIN documentation 0.1 (2019), 3.1, 3.2 and 3.3.2.

A neuron's word has 128 bits; here it is a Python integer, bit 0 lowest. A synapse word has 32: eight synapses of 4 bits, that of
the lowest neuron lowest; word `32 * source + neuron // 8`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwsim.cores.odin.configuration import OdinConfiguration
from hwsim.cores.odin.errors import refuse
from hwsim.cores.odin.fields import NEURONS, SYNAPSE_WORDS, SYNAPSES_PER_WORD

Words = NDArray[np.uint32]

# First bit and width, by the field of a configuration.
FIELDS = {"leaks": (1, 7), "leak_enabled": (8, 1), "thresholds": (9, 8), "potentials": (70, 8), "disabled": (127, 1)}
LEAKY_INTEGRATE_AND_FIRE, LEARNS = 0, 17  # bits of their own


def neuron_words(configuration: OdinConfiguration) -> list[int]:
    """The 256 words of the neuron memory: leaky integrate-and-fire neurons that do not learn."""
    return [
        1 << LEAKY_INTEGRATE_AND_FIRE
        | sum(int(getattr(configuration, name)[neuron]) << first for name, (first, _) in FIELDS.items())
        for neuron in range(NEURONS)
    ]


def synapse_words(configuration: OdinConfiguration) -> Words:
    """The (8192,) words of the synapse memory."""
    shifts = 4 * np.arange(SYNAPSES_PER_WORD)
    return (configuration.synapses.reshape(-1, SYNAPSES_PER_WORD) << shifts).sum(axis=1).astype(np.uint32)


def configuration_of(
    neurons: Sequence[int], synapses: Words, inhibitory: Sequence[int], propagate_unmapped: bool = False,
    update_unmapped: bool = False, monitor: int = 0,
) -> OdinConfiguration:
    """The configuration of a programmed chip, from its memories and its registers.

    Raises OdinError for a neuron that is not leaky integrate-and-fire or that learns, and for too many or too few words.
    """
    refuse(_mistakes(neurons, synapses))
    shifts = 4 * np.arange(SYNAPSES_PER_WORD)
    return OdinConfiguration(
        synapses=(synapses.astype(np.int64)[:, None] >> shifts & 15).reshape(NEURONS, NEURONS),
        inhibitory=np.array(inhibitory), propagate_unmapped=propagate_unmapped, update_unmapped=update_unmapped, monitor=monitor,
        **{name: np.array([word >> first & (1 << width) - 1 for word in neurons]) for name, (first, width) in FIELDS.items()},
    )


def _mistakes(neurons: Sequence[int], synapses: Words) -> list[str]:
    mistakes = []
    if len(neurons) != NEURONS:
        mistakes.append(f"neuron memory: found {len(neurons)} words, expected {NEURONS}")
    if synapses.shape != (SYNAPSE_WORDS,):
        mistakes.append(f"synapse memory: found words of shape {synapses.shape}, expected ({SYNAPSE_WORDS},)")
    for neuron, word in enumerate(neurons):
        if not 0 <= word < 1 << 128:
            mistakes.append(f"neuron {neuron}: found a word of {word.bit_length()} bits, expected 128")
        elif not word >> LEAKY_INTEGRATE_AND_FIRE & 1:
            mistakes.append(
                f"neuron {neuron}: bit {LEAKY_INTEGRATE_AND_FIRE} is 0, an Izhikevich neuron, expected 1: Izhikevich neurons are "
                "not modelled; use leaky integrate-and-fire")
        elif word >> LEARNS & 1:
            mistakes.append(
                f"neuron {neuron}: bit {LEARNS} is 1, calcium and online learning, expected 0: learning (SDSP) is not modelled")
    return mistakes
