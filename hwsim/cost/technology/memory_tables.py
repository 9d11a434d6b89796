"""Profiles of on-chip memories: YAML files of hwsim/cost/technology/memory, read and checked.

Energies in pJ, leakage in mW, area in um2, access time in ns. A profile is a CACTI table of one kind of cell, with an array of
numbers for each set of ports, aim of the organisation and word width; or access energies by capacity that borrow the rest from
such a table.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hwsim.cores.parts import ArrayKind
from hwsim.cost.technology.curves import log_log
from hwsim.cost.technology.sources import Citation, Positive, SourcedValue, Strict, Table, check, read

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


Metric = Literal["read_pj", "write_pj", "access_ns", "area_um2", "subthreshold_mw", "gate_mw"]
Column = Annotated[tuple[Positive, ...], Field(min_length=2)]


class CactiArray(Strict):
    """One bank by capacity, for one kind of array and one word width."""

    ports: Literal["1rw", "1r1w"]
    objective: Literal["read", "read_write"]
    word_bits: int = Field(strict=True, ge=1)
    source: str
    capacity_bytes: Column
    read_pj: Column
    write_pj: Column
    access_ns: Column
    area_um2: Column
    subthreshold_mw: dict[int, Column]
    """By temperature, K."""
    gate_mw: dict[int, Column]

    @model_validator(mode="after")
    def _as_long_as_its_capacities(self) -> CactiArray:
        if list(self.capacity_bytes) != sorted(set(self.capacity_bytes)):
            raise ValueError("capacity_bytes must be listed by rising capacity")
        columns = {name: getattr(self, name) for name in ("read_pj", "write_pj", "access_ns", "area_um2")}
        columns |= {f"{name}.{k}": v for name in ("subthreshold_mw", "gate_mw") for k, v in getattr(self, name).items()}
        for name, column in columns.items():
            if len(column) != len(self.capacity_bytes):
                raise ValueError(f"{name} has {len(column)} numbers for {len(self.capacity_bytes)} capacities")
        return self

    def column(self, metric: Metric, temperature_k: int) -> Column:
        """One number for each capacity."""
        found = getattr(self, metric)
        chosen: Column = found[temperature_k] if isinstance(found, dict) else found
        return chosen


class GateLeakage(Strict):
    """A printed gate leakage that is wrong, and what it is multiplied by."""

    repaired_over_printed: dict[int, Positive]
    """By temperature, K."""
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
    """A memory profile made of a CACTI sweep."""

    kind: Literal["table"]
    gate_leakage: GateLeakage | None = None
    arrays: tuple[CactiArray, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_of_each_with_every_temperature(self) -> TableMemory:
        keys = [(a.ports, a.objective, a.word_bits) for a in self.arrays]
        if doubled := {key for key in keys if keys.count(key) > 1}:
            raise ValueError(f"arrays: {sorted(doubled)[0]} is given twice")
        for array in self.arrays:
            for name in ("subthreshold_mw", "gate_mw"):
                if set(getattr(array, name)) != {int(k) for k in self.conditions.temperatures_k}:
                    raise ValueError(f"arrays: {name} of {array.word_bits} bits must have the temperatures of conditions")
        return self

    @property
    def kinds(self) -> list[ArrayKind]:
        """The kinds of arrays that it has."""
        return list(dict.fromkeys(ArrayKind(a.ports, a.objective) for a in self.arrays))

    def of_kind(self, kind: ArrayKind) -> list[CactiArray]:
        """Its arrays of one kind, by rising word width."""
        return sorted((a for a in self.arrays if (a.ports, a.objective) == kind), key=lambda a: a.word_bits)


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

    def accesses(self, size_bytes: float, word_bits: int) -> list[tuple[float, str, list[Citation]]]:
        """A read and a write of a bank, pJ, with what its formula adds and its sources.

        The points' own exponent in capacity, proportional to the bits.
        """
        points, bits, ratio = self.points, self.access_bits.value, self.write_over_read.value
        sizes = tuple(p.capacity_bytes for p in points)
        whole = log_log(sizes, tuple(p.pj for p in points), max(size_bytes, 512))
        cited = [self.sources[k] for k in dict.fromkeys([*(p.source for p in points), self.access_bits.source])]
        how, pj = f", {whole:.4g} x {word_bits} / {bits:g}", whole * word_bits / bits
        return [(pj, how, cited),
                (pj * ratio, f"{how} x {ratio:g} write / read", [*cited, self.sources[self.write_over_read.source]])]


MemoryProfile = TableMemory | AccessMemory


@lru_cache(maxsize=64)
def memory(name: str) -> MemoryProfile:
    """The memory profile of that name (or the path of a YAML file). Raises TechnologyError."""
    path, data = read("memory", name)
    if data.get("kind") == "access":
        return check(path, data, AccessMemory)
    return check(path, data, TableMemory)
