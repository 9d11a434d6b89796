"""What the pins of the chip see: input events with the sender's delays, and the delays of whoever takes the output.

An event's address has 17 bits (O5). Units: cycles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.cores.odin.errors import OdinError, refuse
from hwsim.cores.odin.fields import NEURONS

Ints = NDArray[np.int64]
ADDRESS_BITS = 17
EARLIEST, ADDRESS, DOWN, UP = range(4)


@dataclass(frozen=True, eq=False)
class OdinStimulus:
    """Arrays are copied and checked. Raises OdinError with every mistake (the first of its kind).

    events (n, 4)     earliest cycle of the request, 17-bit address, cycles from the acknowledge to the request's fall (down),
                      cycles from the acknowledge's fall to the next request (up, of this event)
    receiver (m, 2)   cycles to acknowledge (d) and to release (f) output k, at row k % m
    """

    events: Ints
    receiver: Ints

    def __post_init__(self) -> None:
        events, receiver = (_table(getattr(self, name), name, columns) for name, columns in (("events", 4), ("receiver", 2)))
        object.__setattr__(self, "events", events)
        object.__setattr__(self, "receiver", receiver)
        refuse([*_event_mistakes(events), *_receiver_mistakes(receiver)])

    @classmethod
    def at_full_rate(cls, addresses: ArrayLike) -> OdinStimulus:
        """Events whose sender, and a receiver that, never let the chip wait."""
        listed = np.asarray(addresses, np.int64).reshape(-1)
        events = np.zeros((len(listed), 4), np.int64)
        events[:, ADDRESS] = listed
        return cls(events, np.zeros((1, 2), np.int64))


def synapse_event(source: int, neuron: int) -> int:
    """Adds one synapse's weight to one neuron."""
    return 1 << 16 | _number(source, "source") << 8 | _number(neuron, "neuron")


def neuron_event(source: int) -> int:
    """Adds all synapses of a source, through the scheduler."""
    return _number(source, "source") << 8 | 0x07


def virtual_event(neuron: int, weight: int = 0, inhibitory: bool = False, leak: bool = False) -> int:
    """Adds a given weight to one neuron, or leaks it, through the scheduler. Raises OdinError where that is a neuron event."""
    if not 0 <= weight <= 7:
        raise OdinError(f"weight: found {weight}, expected 0 to 7; a virtual event carries 3 bits and a sign")
    if not (weight or inhibitory or leak):
        raise OdinError("weight: found 0 without sign and leak; the chip would take this virtual event for a neuron event (O6)")
    return _number(neuron, "neuron") << 8 | weight << 5 | int(inhibitory) << 4 | int(leak) << 3 | 0x01


def time_reference(neuron: int | None = None) -> int:
    """Leaks one neuron, or all of them."""
    return 0x7F if neuron is None else _number(neuron, "neuron") << 8 | 0xFF


def bistability(source: int | None = None) -> int:
    """Moves the weights of one source, or of all of them, away from the middle."""
    return 0x00 if source is None else _number(source, "source") << 8 | 0x80


def _number(value: int, name: str) -> int:
    if not 0 <= value < NEURONS:
        raise OdinError(f"{name}: found {value}, expected 0 to {NEURONS - 1}")
    return int(value)


def _table(given: ArrayLike, name: str, columns: int) -> Ints:
    array = np.asarray(given)
    if array.size == 0:
        array = np.zeros((0, columns), np.int64)
    if array.ndim != 2 or array.shape[1] != columns or array.dtype.kind not in "iu":
        raise OdinError(f"{name}: found {array.dtype} of shape {array.shape}, expected integers of shape (n, {columns})")
    copy = np.array(array, np.int64)
    copy.flags.writeable = False
    return copy


def _event_mistakes(events: Ints) -> Iterator[str]:
    addresses = events[:, ADDRESS]
    for j in np.flatnonzero((addresses < 0) | (addresses >= 1 << ADDRESS_BITS))[:1]:
        yield f"event {j}: found address {addresses[j]}, expected 0 to {(1 << ADDRESS_BITS) - 1} ({ADDRESS_BITS} bits)"
    for column, name in ((EARLIEST, "earliest"), (DOWN, "down"), (UP, "up")):
        for j in np.flatnonzero(events[:, column] < 0)[:1]:
            yield (
                f"event {j}: found {name} {events[j, column]}, expected 0 or more: a phase of the handshake cannot begin "
                "before the one that it answers"
            )
    for j in np.flatnonzero(np.diff(events[:, EARLIEST]) < 0)[:1]:
        yield (
            f"event {j + 1}: found earliest {events[j + 1, EARLIEST]} after {events[j, EARLIEST]} of event {j}, expected them in "
            "order: a four-phase link sends one event after the other; sort the events"
        )


def _receiver_mistakes(receiver: Ints) -> Iterator[str]:
    if not len(receiver):
        yield "receiver: found no row, expected the cycles to acknowledge and to release, at least one row"
    for k in np.flatnonzero((receiver < 0).any(axis=1))[:1]:
        yield f"receiver: found {receiver[k].tolist()} in row {k}, expected cycles of 0 or more"
