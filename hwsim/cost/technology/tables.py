"""The technology tables: YAML files whose every number names its source, read, checked and looked up here.

units/ prices arithmetic (pJ an operation, um2, nW), memory/ on-chip memories, dram/ the channel (pJ a bit). A file
lists its `sources` (a text, and how sure the number is); a number without a source, or with one that is not listed, is
refused. A table may borrow from another, by name and with a reason; nothing is ever borrowed silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from hwsim.cores.parts import OperationName
from hwsim.cost.technology.curves import MAX_BITS, evaluate, flaw, printed
from hwsim.errors import HwsimError

FOLDER = Path(__file__).resolve().parent
CONFIDENCES = ("read in the paper", "read in a file", "secondary copy", "computed", "assumption", "unconfirmed")
"""How sure a number is, the surest first."""

Confidence = Literal["read in the paper", "read in a file", "secondary copy", "computed", "assumption", "unconfirmed"]
Quantity = Literal["energy_pj", "area_um2", "leakage_nw"]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]


class TechnologyError(HwsimError):
    """A table that cannot be used; the text names the file, the field, what was found and what is allowed."""


def weakest(confidences: Iterable[str]) -> str:
    """The least sure of several confidences."""
    return max(confidences, key=CONFIDENCES.index)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Citation(_Strict):
    """Where numbers come from."""

    text: str = Field(min_length=10)
    """Paper and table, or file."""
    confidence: Confidence
    """How sure it is."""


class SourcedValue(_Strict):
    """One number and the name of its source."""

    value: Positive
    source: str


class Point(_Strict):
    """A value printed for one width."""

    bits: int = Field(strict=True, ge=1, le=MAX_BITS)
    value: Positive
    source: str


class Curve(_Strict):
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


class Borrow(_Strict):
    """A quantity that another table lends, and why."""

    borrow: Name
    operation: OperationName | None = None
    """OperationPrices of the lender; the same one when it is not given."""
    because: str = Field(min_length=10)


def _curve_or_borrow(value: Any) -> str:
    return "borrow" if isinstance(value, Borrow) or (isinstance(value, dict) and "borrow" in value) else "curve"


Lookup = Annotated[Annotated[Curve, Tag("curve")] | Annotated[Borrow, Tag("borrow")], Discriminator(_curve_or_borrow)]


class OperationPrices(_Strict):
    """One unit: what an operation, its area and its leakage cost by width."""

    energy_pj: Lookup
    area_um2: Lookup
    leakage_nw: Lookup


class _Table(_Strict):
    """What every table has. Each `source` and `form_source` in it is a key of `sources`."""

    name: Name
    description: str
    sources: dict[str, Citation]

    @model_validator(mode="after")
    def _cites_only_listed_sources(self) -> _Table:
        for field, cited in _citations(self, ""):
            if cited not in self.sources:
                known = ", ".join(self.sources) or "none"
                raise ValueError(f"{field} cites {cited!r}, which is not one of the listed sources: {known}")
        return self


class Units(_Table):
    """Arithmetic units."""

    includes_registers: bool = Field(strict=True)
    """Whether the energies hold the operand registers; if so, registers are not charged again."""
    includes_registers_source: str
    operations: dict[OperationName, OperationPrices]


class CactiTable(_Strict):
    """Rows of a CACTI csv: one kind of cell."""

    file: Name
    cell: str
    source: str


class AccessPoint(_Strict):
    """Energy of one access of a memory of one capacity."""

    capacity_bytes: int = Field(strict=True, gt=0)
    pj: Positive
    source: str


class TableMemory(_Table):
    """A memory profile read from a CACTI sweep."""

    kind: Literal["table"]
    table: CactiTable
    write_over_read: SourcedValue


class AccessMemory(_Table):
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


class Dram(_Table):
    """Off-chip memory."""

    energy_pj_per_bit: SourcedValue


MemoryProfile = TableMemory | AccessMemory
AnyTable = TypeVar("AnyTable", Units, Dram, TableMemory, AccessMemory)


def _citations(node: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every (field, key of sources) of a table."""
    if isinstance(node, BaseModel):
        for name in type(node).model_fields:
            value, here = getattr(node, name), f"{path}.{name}".lstrip(".")
            if name == "source" or name.endswith("_source"):
                yield here, value
            elif not isinstance(node, Citation):
                yield from _citations(value, here)
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _citations(value, f"{path}.{key}")
    elif isinstance(node, tuple):
        for i, value in enumerate(node):
            yield from _citations(value, f"{path}.{i}")


# --- reading ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def units(name: str) -> Units:
    """The units table of that name (or the path of a YAML file). Raises TechnologyError."""
    return _load("units", name, Units)


@lru_cache(maxsize=64)
def memory(name: str) -> MemoryProfile:
    """The memory profile of that name (or the path of a YAML file). Raises TechnologyError."""
    path, data = _read("memory", name)
    if data.get("kind") == "access":
        return _check(path, data, AccessMemory)
    return _check(path, data, TableMemory)


@lru_cache(maxsize=64)
def dram(name: str) -> Dram:
    """The DRAM table of that name (or the path of a YAML file). Raises TechnologyError."""
    return _load("dram", name, Dram)


def shipped(kind: Literal["units", "memory", "dram"]) -> list[str]:
    """Names of the tables that come with hwsim."""
    return sorted(path.stem for path in (FOLDER / kind).glob("*.yaml"))


def _load(kind: Literal["units", "memory", "dram"], name: str, model: type[AnyTable]) -> AnyTable:
    return _check(*_read(kind, name), model)


def _read(kind: Literal["units", "memory", "dram"], name: str) -> tuple[Path, dict[str, Any]]:
    path = Path(name) if name.endswith(".yaml") else FOLDER / kind / f"{name}.yaml"
    if not path.is_file() or (not name.endswith(".yaml") and path.parent != FOLDER / kind):
        raise TechnologyError(f"technology.{kind}: no table named {name!r}; allowed are {', '.join(shipped(kind))}, or "
                              "the path of a YAML file")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise TechnologyError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise TechnologyError(f"{path}: found {type(data).__name__}, expected a mapping with name, sources ...")
    return path, data


def _check(path: Path, data: dict[str, Any], model: type[AnyTable]) -> AnyTable:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise TechnologyError("\n".join(_explain(path, e) for e in error.errors())) from None


def _explain(path: Path, error: Any) -> str:
    """One pydantic error as `file: field: found ..., allowed ...`."""
    where = ".".join(str(part) for part in error["loc"] if part not in ("curve", "borrow")) or "table"
    last = where.rsplit(".", 1)[-1]
    if error["type"] == "missing" and last.endswith("source"):
        return f"{path}: {where}: missing; every number names its source, a key of the file's `sources`"
    if error["type"] == "missing":
        return f"{path}: {where}: missing, it must be given"
    if error["type"] == "extra_forbidden":
        return f"{path}: {where}: unknown field"
    if error["type"] == "value_error":
        return f"{path}: {where}: {error['msg'].removeprefix('Value error, ')}"
    return f"{path}: {where}: found {error['input']!r}, allowed {error['msg'].removeprefix('Input should be ')}"


# --- looking up a unit -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """A number with its formula, the text of its sources and the least sure of them."""

    value: float
    formula: str
    source: str
    confidence: str

    @property
    def citation(self) -> str:
        return f"{self.source} ({self.confidence})"


@lru_cache(maxsize=4096)
def unit_cost(table: str, operation: str, quantity: Quantity, widths: tuple[int, ...]) -> Cost:
    """`quantity` of an operation at `widths` (bits; two for a multiplier): energy_pj, area_um2 or leakage_nw.

    Raises TechnologyError naming the table and what to add when it has no such operation.
    """
    wide, lender, reasons = table, operation, ""
    for _ in range(4):
        found = units(wide).operations.get(lender)  # type: ignore[call-overload]
        if found is None:
            raise TechnologyError(f"units table {wide} has no operation {lender!r}; add operations.{lender}.{quantity} "
                                  "with points and their sources, or borrow it from another table")
        lookup: Curve | Borrow = getattr(found, quantity)
        if isinstance(lookup, Curve):
            return _at(units(wide), lookup, widths, reasons)
        name = units(wide).name
        what = "" if lookup.operation in (None, lender) else f"as {lookup.operation}"
        whose = "" if lookup.borrow == name else f"lent by {lookup.borrow} to {name}"
        reasons += f" [{', '.join(filter(None, (what, whose)))}: {lookup.because}]"
        # Its own name means the table itself, also where it was loaded from a path.
        wide, lender = wide if lookup.borrow == name else lookup.borrow, lookup.operation or lender
    raise TechnologyError(f"units table {table}: operations.{operation}.{quantity} borrows in a circle:{reasons}")


def _at(table: Units, curve: Curve, widths: tuple[int, ...], reasons: str) -> Cost:
    value, formula = evaluate(curve.form, curve.pairs, widths)
    keys = list(dict.fromkeys(p.source for p in curve.points))
    text = "; ".join(table.sources[key].text for key in keys)
    sure = [table.sources[key].confidence for key in keys]
    if not printed(curve.form, curve.pairs, widths):
        sure.append("computed")
    return Cost(value, formula, text + reasons, weakest(sure))
