"""One programmed chip: its synapses, its neurons' parameters, its registers, and the potentials that it starts from.

A synapse is four bits, as the chip stores it: bit 3 says whether it is mapped, bits 2 to 0 are its weight. The sign of a
weight belongs to its source. Units: potentials, thresholds and leaks are the chip's own integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.cores.odin.errors import refuse
from hwsim.cores.odin.fields import NEURONS

MAPPED = 8  # bit 3 of a synapse
Ints = NDArray[np.int64]

# Largest value of each array; the smallest is 0.
LARGEST = {
    "synapses": 15, "inhibitory": 1, "thresholds": 255, "leak_enabled": 1, "leaks": 127, "disabled": 1, "potentials": 255,
}
HINTS = {
    "synapses": "a synapse has 4 bits, the mapping bit and a 3-bit weight; the sign is its source's",
    "thresholds": "a threshold has 8 bits",
    "leaks": "a leak has 7 bits",
    "potentials": "a potential has 8 bits and is never negative",
}


@dataclass(frozen=True, eq=False)
class OdinConfiguration:
    """Arrays are copied and checked. Raises OdinError with every mistake.

    synapses (256, 256)   [source, neuron], 0 to 15: 8 if mapped, plus the weight 0 to 7
    inhibitory (256,)     1 where a source's weights are subtracted
    thresholds (256,)     0 to 255; a neuron fires at or above it
    leak_enabled, leaks   (256,) whether a time reference event leaks, and by how much (0 to 127)
    disabled (256,)       1 where a neuron is reset but sends no spike
    potentials (256,)     0 to 255, at cycle 0
    """

    synapses: Ints
    inhibitory: Ints
    thresholds: Ints
    leak_enabled: Ints
    leaks: Ints
    disabled: Ints
    potentials: Ints
    propagate_unmapped: bool = False
    """Unmapped synapses add their weight, too."""
    update_unmapped: bool = False
    """Bistability events change unmapped synapses, too."""
    monitor: int = 0
    """Neuron at whose write a popped neuron event is sent (output source `controller`)."""

    def __post_init__(self) -> None:
        mistakes: list[str] = []
        for name in LARGEST:
            array, found = _whole_numbers(getattr(self, name))
            mistakes += [f"{name}: {text}" for text in (found or _mistakes(name, array))]
            object.__setattr__(self, name, array)
        if not 0 <= self.monitor < NEURONS:
            mistakes.append(f"monitor: found neuron {self.monitor}, expected 0 to {NEURONS - 1}")
        refuse(mistakes)

    @classmethod
    def blank(cls, **given: Any) -> OdinConfiguration:
        """A chip without synapses, thresholds 255, no leak, all potentials 0; `given` replaces single fields."""
        zeros = np.zeros(NEURONS, np.int64)
        start: dict[str, Any] = {name: zeros for name in LARGEST}
        start |= {"synapses": np.zeros((NEURONS, NEURONS), np.int64), "thresholds": np.full(NEURONS, 255)}
        unknown = given.keys() - {field.name for field in fields(cls)}
        refuse(f"{name}: no such field of a configuration" for name in sorted(unknown))
        return cls(**(start | given))


def synapses_of(weights: ArrayLike, mapped: ArrayLike) -> Ints:
    """The 4-bit synapses of weights 0 to 7 and mapping bits, both (256, 256) [source, neuron]. Raises OdinError beyond 3 bits."""
    values, found = _whole_numbers(weights)
    if not found and values.size and not (0 <= values.min() and values.max() <= 7):
        place = tuple(int(i) for i in np.argwhere((values < 0) | (values > 7))[0])
        found = [f"found {values[place]} at {place}, expected 0 to 7: a weight has 3 bits, and its sign is its source's"]
    refuse(f"weights: {text}" for text in found)
    return values + MAPPED * (np.asarray(mapped) != 0)


def _whole_numbers(given: Any) -> tuple[Ints, list[str]]:
    """An int64 copy, and what is wrong with it."""
    array = np.asarray(given)
    if array.dtype.kind not in "iub" and not (array.dtype.kind == "f" and (array == np.floor(array)).all()):
        return np.zeros(0, np.int64), [f"found values of type {array.dtype}, expected whole numbers"]
    copy = np.array(array, np.int64)
    copy.flags.writeable = False
    return copy, []


def _mistakes(name: str, array: Ints) -> Iterator[str]:
    shape = (NEURONS, NEURONS) if name == "synapses" else (NEURONS,)
    if array.shape != shape:
        too_many = max(array.shape, default=0) > NEURONS
        yield f"found shape {array.shape}, expected {shape}" + (
            f": ODIN has {NEURONS} neurons; split a larger network over several cores" if too_many else ""
        )
        return
    wrong = np.argwhere((array < 0) | (array > LARGEST[name]))
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        hint = f"; {HINTS[name]}" if name in HINTS else ""
        where = f"[source {place[0]}, neuron {place[1]}]" if name == "synapses" else f"[{place[0]}]"
        yield f"found {array[place]} at {where}, expected 0 to {LARGEST[name]}{hint}"
