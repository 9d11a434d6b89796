"""What every technology table has: a name, the conditions that its numbers hold at, and a source for each number.

A file lists its `sources` (a text, and how sure the number is); a number without a source, or with one that is not listed, is
refused. Its `conditions` are node (nm), supply (V) and temperature (K); numbers of different conditions are never mixed without
a scaling that somebody declared (hwsim/cost/operating_point.py). Reading and checking of the YAML files is here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from os.path import isfile  # that of pathlib raises for a name that is too long
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hwsim.errors import HwsimError, shown
from hwsim.yaml_file import YamlError, no_mapping, read_yaml

FOLDER = Path(__file__).resolve().parent
CONFIDENCES = ("read in the paper", "read in a file", "secondary copy", "computed", "assumption", "unconfirmed")
"""How sure a number is, the surest first."""

Confidence = Literal["read in the paper", "read in a file", "secondary copy", "computed", "assumption", "unconfirmed"]
Kind = Literal["units", "memory", "dram", "logic", "links"]
"""The folders of tables."""
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]


class TechnologyError(HwsimError):
    """A table that cannot be used; the text names the file, the field, what was found and what is allowed."""


def weakest(confidences: Iterable[str]) -> str:
    """The least sure of several confidences."""
    return max(confidences, key=CONFIDENCES.index)


class Strict(BaseModel):
    """Fields that are all known by name; instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Citation(Strict):
    """Where numbers come from."""

    text: str = Field(min_length=10)
    """Paper and table, or file."""
    confidence: Confidence
    """How sure it is."""

    def __str__(self) -> str:
        return f"{self.text} ({self.confidence})"


class SourcedValue(Strict):
    """One number and the name of its source."""

    value: Positive
    source: str


class Conditions(Strict):
    """What the numbers of a table hold at. None: the source does not say; such a table is of another chip and never scaled."""

    node_nm: Positive | None
    """Technology node, nm."""
    vdd_v: Positive | None
    """Supply, V."""
    temperatures_k: tuple[Positive, ...]
    """Temperatures of the leakages, K; empty where the table has none of its own."""
    source: str

    def __str__(self) -> str:
        node = "node not said" if self.node_nm is None else f"{self.node_nm:g} nm"
        supply = "supply not said" if self.vdd_v is None else f"{self.vdd_v:g} V"
        heat = f", {' and '.join(f'{k:g}' for k in self.temperatures_k)} K" if self.temperatures_k else ""
        return f"{node}, {supply}{heat}"

    def same_silicon(self, other: Conditions) -> bool:
        """Whether numbers of both hold at one node and one supply."""
        return (self.node_nm, self.vdd_v) == (other.node_nm, other.vdd_v)


class Table(Strict):
    """What every table has. Each `source` and `form_source` in it is a key of `sources`."""

    name: Name
    description: str
    conditions: Conditions
    sources: dict[str, Citation]

    @model_validator(mode="after")
    def _cites_only_listed_sources(self) -> Table:
        for field, cited in citations(self, ""):
            if cited not in self.sources:
                known = ", ".join(self.sources) or "none"
                raise ValueError(f"{field} cites {cited!r}, which is not one of the listed sources: {known}")
        return self


AnyTable = TypeVar("AnyTable", bound=Table)


def citations(node: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every (field, key of sources) of a table."""
    if isinstance(node, BaseModel):
        for name in type(node).model_fields:
            value, here = getattr(node, name), f"{path}.{name}".lstrip(".")
            if name == "source" or name.endswith("_source"):
                yield here, value
            elif not isinstance(node, Citation):
                yield from citations(value, here)
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from citations(value, f"{path}.{key}")
    elif isinstance(node, tuple):
        for i, value in enumerate(node):
            yield from citations(value, f"{path}.{i}")


# --- reading ---------------------------------------------------------------------------------------------------------


def shipped(kind: Kind) -> list[str]:
    """Names of the tables that come with hwsim."""
    return sorted(path.stem for path in (FOLDER / kind).glob("*.yaml"))


def load(kind: Kind, name: str, model: type[AnyTable]) -> AnyTable:
    """The table of that name (or the path of a YAML file), checked. Raises TechnologyError."""
    return check(*read(kind, name), model)


def read(kind: Kind, name: str) -> tuple[Path, dict[str, Any]]:
    """The file of a table and what it holds, unchecked. Raises TechnologyError."""
    path = Path(name) if name.endswith(".yaml") else FOLDER / kind / f"{name}.yaml"
    if not isfile(path) or (not name.endswith(".yaml") and path.parent != FOLDER / kind):
        raise TechnologyError(f"technology.{kind}: no table named {shown(name, 300, repr)}; allowed "
                              f"are {', '.join(shipped(kind))}, or "
                              "the path of a YAML file, relative to the file that names it")
    try:
        document = read_yaml(path)
    except (OSError, YamlError) as error:
        raise TechnologyError(str(error)) from None
    data, wrong = document.data, document.mistakes
    if not isinstance(data, dict):
        wrong = [*wrong, no_mapping(path, data, "with name, sources ...")]
    if wrong:
        raise TechnologyError("\n".join(wrong))
    return path, data


def beside(table: str, named_in: str) -> str:
    """A table as another one names it: the path of a YAML file is relative to the folder of the file that names it."""
    if table.endswith(".yaml") and named_in.endswith(".yaml"):
        return str(Path(named_in).parent / table)
    return table


def check(path: Path, data: dict[str, Any], model: type[AnyTable]) -> AnyTable:
    """What a file holds as a table. Raises TechnologyError with every mistake."""
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
    if error["type"] == "missing" and last == "conditions":
        return (f"{path}: conditions: missing; every table states node, supply and temperature: "
                "conditions: {node_nm: 45, vdd_v: 0.9, temperatures_k: [300], source: ...}")
    if error["type"] == "missing":
        return f"{path}: {where}: missing, it must be given"
    if error["type"] == "extra_forbidden":
        return f"{path}: {where}: unknown field"
    if error["type"] == "value_error":
        return f"{path}: {where}: {error['msg'].removeprefix('Value error, ')}"
    return f"{path}: {where}: found {shown(error['input'])}, allowed {error['msg'].removeprefix('Input should be ')}"
