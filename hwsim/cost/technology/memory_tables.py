"""Profiles of on-chip memories: YAML files of hwsim/cost/technology/memory, read and checked.

Energies in pJ, leakage in mW, area in um2, access time in ns. A profile is a CACTI table of one kind of cell, or access energies
by capacity that borrow the rest from such a table.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from pydantic import Field, model_validator

from hwsim.cost.technology.sources import Citation, Name, Positive, SourcedValue, Strict, Table, check, read

SupplyQuantity = Literal["read", "write", "access", "subthreshold", "gate"]


class SupplyLaw(Strict):
    """Exponents of the supply: energies and leakage rise with V^x, the access time falls with V^-x."""

    vdd_low: Positive
    """The law holds from this supply, V,"""
    vdd_high: Positive
    """to this one."""
    read: SourcedValue
    write: SourcedValue
    access: SourcedValue
    subthreshold: SourcedValue
    gate: SourcedValue


class CactiTable(Strict):
    """Rows of a CACTI csv: one kind of cell."""

    file: Name
    cell: str
    source: str


class AccessPoint(Strict):
    """Energy of one access of a memory of one capacity."""

    capacity_bytes: int = Field(strict=True, gt=0)
    pj: Positive
    source: str


class _Profile(Table):
    """What both kinds have."""

    supply_scaling: SupplyLaw | None = None
    """How its numbers go with the supply; None: they hold at their own supply only."""

    def supply_power(self, quantity: SupplyQuantity) -> tuple[float, Citation]:
        """The exponent of the supply, with its source."""
        assert self.supply_scaling is not None
        found: SourcedValue = getattr(self.supply_scaling, quantity)
        return -found.value if quantity == "access" else found.value, self.sources[found.source]


class TableMemory(_Profile):
    """A memory profile read from a CACTI sweep."""

    kind: Literal["table"]
    table: CactiTable
    write_over_read: SourcedValue


class AccessMemory(_Profile):
    """A memory profile of access energies by capacity; the rest is lent by a TableMemory."""

    kind: Literal["access"]
    access_bits: SourcedValue
    points: tuple[AccessPoint, ...] = Field(min_length=2)
    write_over_read: SourcedValue
    borrow: dict[Literal["table", "because"], str]

    @model_validator(mode="after")
    def _ordered_and_lent(self) -> AccessMemory:
        sizes = [p.capacity_bytes for p in self.points]
        if sizes != sorted(set(sizes)):
            raise ValueError("points must be listed by rising capacity_bytes")
        if set(self.borrow) != {"table", "because"}:
            raise ValueError("borrow needs a table and a because")
        return self


MemoryProfile = TableMemory | AccessMemory


@lru_cache(maxsize=64)
def memory(name: str) -> MemoryProfile:
    """The memory profile of that name (or the path of a YAML file). Raises TechnologyError."""
    path, data = read("memory", name)
    if data.get("kind") == "access":
        return check(path, data, AccessMemory)
    return check(path, data, TableMemory)
