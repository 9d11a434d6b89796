"""The tables of arithmetic units and of off-chip memory: YAML files, read, checked and looked up here.

units/ prices arithmetic (pJ per operation, um2, nW), dram/ the channel (pJ per bit). A table may borrow from another, by name
and with a reason; nothing is ever borrowed silently, and nothing from a table of another node or supply without a word on why it
is taken as it stands. What every table has is in hwsim/cost/technology/sources.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from hwsim.cores.parts import OperationName
from hwsim.cost.technology.curves import MAX_BITS, evaluate, flaw, printed
from hwsim.cost.technology.sources import (
    Conditions,
    Name,
    Positive,
    SourcedValue,
    Strict,
    Table,
    TechnologyError,
    beside,
    load,
    weakest,
)

Quantity = Literal["energy_pj", "area_um2", "leakage_nw", "path_ns"]


class Point(Strict):
    """A value printed for one width."""

    bits: int = Field(strict=True, ge=1, le=MAX_BITS)
    value: Positive
    source: str


class Curve(Strict):
    """Values at a few widths and the form of the curve between them."""

    form: Literal["affine", "power", "product", "proportional"]
    form_source: str
    points: tuple[Point, ...] = Field(min_length=1)

    @property
    def pairs(self) -> list[tuple[int, float]]:
        return [(p.bits, p.value) for p in self.points]

    @model_validator(mode="after")
    def _rises_and_is_positive(self) -> Curve:
        if wrong := flaw(self.form, self.pairs):
            raise ValueError(wrong)
        return self


class Borrow(Strict):
    """A quantity that another table lends, and why."""

    borrow: Name
    operation: OperationName | None = None
    """OperationPrices of the lender; the same one when it is not given."""
    because: str = Field(min_length=10)
    as_it_stands: str | None = Field(default=None, min_length=10)
    """Why a number of another node or supply is taken without scaling; without it, it is scaled from the lender's conditions."""


def _curve_or_borrow(value: Any) -> str:
    return "borrow" if isinstance(value, Borrow) or (isinstance(value, dict) and "borrow" in value) else "curve"


Lookup = Annotated[Annotated[Curve, Tag("curve")] | Annotated[Borrow, Tag("borrow")], Discriminator(_curve_or_borrow)]


class OperationPrices(Strict):
    """One unit: what an operation, its area and its leakage cost by width."""

    energy_pj: Lookup
    area_um2: Lookup
    leakage_nw: Lookup
    path_ns: Lookup | None = None
    """Longest path through the unit; None where nobody says."""


class Units(Table):
    """Arithmetic units."""

    includes_registers: bool = Field(strict=True)
    """Whether the energies hold the operand registers; if so, registers are not charged again."""
    includes_registers_source: str
    operations: dict[OperationName, OperationPrices]


class Dram(Table):
    """Off-chip memory."""

    energy_pj_per_bit: SourcedValue


@lru_cache(maxsize=64)
def units(name: str) -> Units:
    """The units table of that name (or the path of a YAML file). Raises TechnologyError."""
    return load("units", name, Units)


@lru_cache(maxsize=64)
def dram(name: str) -> Dram:
    """The DRAM table of that name (or the path of a YAML file). Raises TechnologyError."""
    return load("dram", name, Dram)


# --- looking up a unit -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """A number with its formula, the text of its sources, the least sure of them, and the conditions that it holds at."""

    value: float
    formula: str
    source: str
    confidence: str
    conditions: Conditions

    @property
    def citation(self) -> str:
        return f"{self.source} ({self.confidence})"


@lru_cache(maxsize=4096)
def unit_cost(table: str, operation: str, quantity: Quantity, widths: tuple[int, ...]) -> Cost:
    """`quantity` of an operation at `widths` (bits; two for a multiplier), at the conditions of the table that has it.

    Raises TechnologyError naming the table and what to add when it has no such operation.
    """
    wide, lender, reasons = table, operation, ""
    stands: Conditions | None = None  # a number that is taken as it stands holds at its borrower's conditions
    for _ in range(4):
        found = units(wide).operations.get(lender)  # type: ignore[call-overload]
        lookup: Curve | Borrow | None = getattr(found, quantity, None)
        if lookup is None:
            raise TechnologyError(f"units table {wide} has no operation {lender!r}; add operations.{lender}.{quantity} "
                                  "with points and their sources, or borrow it from another table")
        if isinstance(lookup, Curve):
            return _at(units(wide), lookup, widths, reasons, stands or units(wide).conditions)
        name = units(wide).name
        what = "" if lookup.operation in (None, lender) else f"as {lookup.operation}"
        whose = "" if lookup.borrow == name else f"lent by {lookup.borrow} to {name}"
        if lookup.as_it_stands:
            stands = stands or units(wide).conditions
            whose += f", as it stands at {units(beside(lookup.borrow, wide)).conditions}: {lookup.as_it_stands}"
        reasons += f" [{', '.join(filter(None, (what, whose)))}: {lookup.because}]"
        # Its own name means the table itself, also where it was loaded from a path.
        wide, lender = wide if lookup.borrow == name else beside(lookup.borrow, wide), lookup.operation or lender
    raise TechnologyError(f"units table {table}: operations.{operation}.{quantity} borrows in a circle:{reasons}")


def _at(table: Units, curve: Curve, widths: tuple[int, ...], reasons: str, conditions: Conditions) -> Cost:
    value, formula = evaluate(curve.form, curve.pairs, widths)
    keys = list(dict.fromkeys(p.source for p in curve.points))
    text = "; ".join(table.sources[key].text for key in keys)
    sure = [table.sources[key].confidence for key in keys]
    if not printed(curve.form, curve.pairs, widths):
        sure.append("computed")
    return Cost(value, formula, text + reasons, weakest(sure), conditions)
