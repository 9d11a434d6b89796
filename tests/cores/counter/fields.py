"""What a YAML file says of a counter core (kind: counter)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from hwsim.cores.base import CoreDesign, CoreFields
from hwsim.fields import Bits, Fields


class CounterFields(CoreFields):
    """The fields under `core:`."""

    kind: Literal["counter"]
    """Counts the spikes of every layer, one per cycle and counter."""
    counters: int = Field(default=1, ge=1, le=64)
    """Spikes counted in one cycle."""
    count_bits: int = Field(default=16, ge=1, le=32)
    """Width of a count."""


class CounterMemories(Fields):
    """Its one memory."""

    spike: Bits
    """Rows of 32 bits, one spike each."""


class CounterDesign(CoreDesign):
    """A counter core."""

    core: CounterFields
    memories: CounterMemories

    timing_fields = ("count", "core.counters", "memories.spike")
    price_fields = ("core.count_bits",)

    @property
    def pe_count(self) -> int:
        return self.core.counters

    @property
    def row_bits(self) -> Mapping[str, int]:
        return {"spike": 32}

    @property
    def capacities(self) -> Mapping[str, int]:
        return {"spike": self.memories.spike}


DESIGN = CounterDesign
