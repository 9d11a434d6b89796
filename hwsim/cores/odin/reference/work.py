"""What the controller hands to the datapath: operations, and how addresses and entries of the scheduler are read (O5, O6)."""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.cores.odin.fields import NEURONS

ALL_ONES, ALL_ZEROS = 0x7F, 0x00


@dataclass(frozen=True)
class EventWork:
    """kind       as in the record
    neurons    those it touches, in order (a bistability event: none)
    source     row of the crossbar whose synapses are added, or None
    sources    rows of a bistability event
    weight     what a virtual event adds, signed
    leak       whether neurons leak instead
    entry      what it pushes into the scheduler, or has popped
    """

    kind: str
    neurons: range = range(0)
    source: int | None = None
    sources: range = range(0)
    weight: int = 0
    leak: bool = False
    entry: int = 0


def is_bistability(address: int) -> bool:
    """O5: bits 6 to 0 are all zero, and it is no synapse event."""
    return not address >> 16 and address & 0x7F == ALL_ZEROS


def decoded(address: int) -> EventWork:
    """O5: the operation that an input address asks for."""
    high, low = address >> 8 & 0xFF, address & 0xFF
    one = bool(low & 0x80)
    if address >> 16:
        return EventWork("synapse", neurons=range(low, low + 1), source=high)
    if low & 0x7F == ALL_ONES:
        return EventWork("tref", neurons=range(high, high + 1) if one else range(NEURONS), leak=True)
    if is_bistability(address):
        return EventWork("bist", sources=range(high, high + 1) if one else range(NEURONS))
    return EventWork("push", entry=pushed(address))


def pushed(address: int) -> int:
    """O5: bits 7 to 3 of the address, then its upper eight bits."""
    return (address >> 3 & 0x1F) << 8 | address >> 8 & 0xFF


def popped(entry: int) -> EventWork:
    """O6: an entry whose upper five bits are all zero is a neuron event, any other a virtual one."""
    virtual, address = entry >> 8, entry & 0xFF
    if not is_virtual(entry):
        return EventWork("pop_neuron", neurons=range(NEURONS), source=address, entry=entry)
    weight, inhibitory, leak = virtual >> 2, virtual >> 1 & 1, virtual & 1
    return EventWork(
        "pop_virtual", neurons=range(address, address + 1), weight=-weight if inhibitory else weight, leak=bool(leak), entry=entry
    )


def is_virtual(entry: int) -> bool:
    """O6: weight, sign and leak bit are not all zero."""
    return entry >> 8 != 0
