"""Memories that several kinds of core have: the spike buffer and the on-chip memories of a core with lanes. Sizes in bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from hwsim.cores.base import CoreDesign
from hwsim.fields import Bits, Fields


class SpikeBuffer(Fields):
    """Where a layer's spikes wait for the layers that read them."""

    kind: Literal["aer", "bitmap"] = "aer"
    """aer: a list of addresses. bitmap: one bit per neuron and plane, scanned row by row."""
    capacity: Bits
    """Bits in all; sized for the worst case or the mapping is refused."""
    address_bits: int = Field(default=20, ge=4, le=32)
    """aer: width of one entry's address."""
    scan_bits: int = Field(default=64, ge=1, le=1024)
    """bitmap: bits of a row, all scanned in one cycle."""


class Memories(Fields):
    """On-chip memories; a capacity is what is provisioned, and what leaks."""

    weight: Bits
    """Rows of lanes x weight_bits."""
    membrane: Bits
    """Words of lanes x potential_bits."""
    current: Bits = 0
    """Words of lanes x current_bits."""
    bias: Bits = 0
    """Words of lanes x potential_bits."""
    mask: Bits = 0
    """Words of lanes x 1 bit: flags of single-spike and two-stage neurons."""
    banks: dict[Literal["weight", "membrane", "current", "bias", "mask", "spike"],
                Annotated[int, Field(strict=True, ge=1, le=4096)]] = {}
    """Banks that a memory has at least; by default as few as a row needs, ceil(bits / 128). Smaller banks are faster."""


CAPACITIES = ("memories.weight", "memories.membrane", "memories.current", "memories.bias", "memories.mask",
              "spike_buffer.capacity")
MEMORY_FIELDS = (*CAPACITIES, "memories.banks", "spike_buffer.kind", "spike_buffer.address_bits", "spike_buffer.scan_bits")
"""Fields of both that decide cycles or counts: all of them. Banks decide which of them an access touches."""


class BufferedDesign(CoreDesign):
    """A core with a spike buffer, and memories whose rows hold a number for each of its lanes."""

    spike_buffer: SpikeBuffer
    memories: Memories

    def rows_of(self, lanes: int, weight_bits: int, potential_bits: int, current_bits: int, value_bits: int) -> dict[str, int]:
        """Bits of one row of each memory. `value_bits` stand beside an event's address in a list."""
        buffer = self.spike_buffer
        return {
            "weight": lanes * weight_bits, "membrane": lanes * potential_bits, "current": lanes * current_bits,
            "bias": lanes * potential_bits, "mask": lanes,
            "spike": buffer.address_bits + value_bits if buffer.kind == "aer" else buffer.scan_bits,
        }

    @property
    def capacities(self) -> Mapping[str, int]:
        held = self.memories
        return {"weight": held.weight, "membrane": held.membrane, "current": held.current, "bias": held.bias,
                "mask": held.mask, "spike": self.spike_buffer.capacity}

    @property
    def least_banks(self) -> Mapping[str, int]:
        return {str(name): banks for name, banks in self.memories.banks.items()}
