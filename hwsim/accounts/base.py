"""What an account of energy is: a published way of counting, as equations in a small class and numbers in a small data file.

An account says what it charges an SNN and its ANN, line by line: what, how many per sample, and how much each. Its data file says
what the numbers are, where each comes from, where the equations stand, and what the account leaves out. Energies are in pJ.
docs/recipes.md says how to add an account.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field, ValidationError

from hwsim.accounts.work import Work
from hwsim.errors import HwsimError
from hwsim.fields import Fields
from hwsim.yaml_file import Document, parse_yaml, read_yaml

AnyFields = TypeVar("AnyFields", bound=Fields)


class AccountError(HwsimError):
    """A data file of an account that cannot be; the text names the file, the place, what was found and expected."""


class LacksInputError(HwsimError):
    """What an account needs and a trace does not have; the text says which."""


class Number(Fields):
    """A number of an account with its unit and where it comes from."""

    value: float
    """The number, in `unit`."""
    unit: str = Field(min_length=1)
    """pJ, pJ/bit, spikes, ...; 1 for a ratio."""
    source: str = Field(min_length=8)
    """Where it was read, or how it was computed."""


class Variant(Fields):
    """One set of numbers under which the equations are evaluated."""

    title: str = Field(min_length=3)
    """Short, for a table."""
    numbers: dict[str, Number] = {}
    """Those that differ from the account's own."""
    choices: dict[str, str] = {}
    """What the equations are to assume where the source leaves it open, or where readers differ."""


class AccountData(Fields):
    """A data file."""

    paper: str = Field(min_length=8)
    """Authors, year, title."""
    equations: str = Field(min_length=3)
    """Where the equations stand in it, or that none could be read."""
    reading: str = ""
    """Where the source is silent or wrong: what is computed here instead."""
    counts: Literal["energy", "operations", "relative", "threshold"] = "energy"
    """What the lines add up to: pJ; operations; a number relative to the ANN's; or one measure against a threshold."""
    leaves_out: list[str]
    """What the account does not charge."""
    numbers: dict[str, Number] = {}
    variants: dict[str, Variant] = Field(min_length=1)


@dataclass(frozen=True)
class Line:
    """One line of a bill: `count` things of one sample at `each`."""

    what: str
    count: float
    each: float

    @property
    def amount(self) -> float:
        return self.count * self.each


Bill = tuple[Line, ...]


def total(bill: Bill) -> float:
    return sum(line.amount for line in bill)


class Account:
    """One account under one of its variants. A subclass writes `snn` and `ann`.

    text   the data file's content, where it does not stand beside the module as NAME.yaml.
    """

    text: ClassVar[str] = ""

    def __init__(self, family: str, variant: str, data: AccountData) -> None:
        chosen = data.variants[variant]
        self.name = family if variant == "default" else f"{family}_{variant}"
        self.title, self.data, self.choices = chosen.title, data, chosen.choices
        self.numbers: Mapping[str, Number] = {**data.numbers, **chosen.numbers}

    def snn(self, work: Work) -> Bill:
        """What the SNN is charged for one sample. Raises LacksInputError."""
        raise NotImplementedError

    def ann(self, work: Work, ann: Work | None) -> Bill:
        """What its ANN is charged; `ann` is what the ANN did, where its trace was given. Raises LacksInputError."""
        raise NotImplementedError

    def number(self, name: str) -> float:
        """The value of a number of the data file. Raises AccountError where it is not there."""
        if name not in self.numbers:
            raise AccountError(f"{self.name}: numbers.{name}: found nothing, expected a number with unit and source; add it")
        return self.numbers[name].value

    @property
    def unit(self) -> str:
        return {"energy": "pJ", "operations": "operations", "relative": "1"}.get(self.data.counts, "1")


def activities(ann: Work | None) -> Work:
    """The ANN's own activations. Raises LacksInputError where its trace was not given."""
    if ann is None:
        raise LacksInputError("needs the ANN's activations: give its trace with --ann")
    return ann


def variants_of(family: str, kind: type[Account]) -> Iterator[Account]:
    """The accounts of one class, one for each variant of its data file. Raises AccountError."""
    data = read_data(kind)
    return (kind(family, variant, data) for variant in data.variants)


def read_data(kind: type[Account]) -> AccountData:
    """The data of an account: its own text, or the file NAME.yaml beside its module. Raises AccountError."""
    module = sys.modules[kind.__module__]
    path = Path(str(module.__file__)).with_suffix(".yaml")
    document = parse_yaml(kind.text, f"{kind.__name__}.text") if kind.text else read_yaml(path)
    return checked(AccountData, document)


def checked(fields: type[AnyFields], document: Document) -> AnyFields:
    """The fields of a document. Raises AccountError with every mistake, each with file and line."""
    if document.mistakes:
        raise AccountError("\n".join(document.mistakes))
    try:
        return fields.model_validate(document.data)
    except ValidationError as error:
        raise AccountError("\n".join(_explained(document, each) for each in error.errors())) from None


def _explained(document: Document, error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"]) or "file"
    return (f"{document.where}:{document.line_of(error['loc'])}: {place}: found {error['input']!r:.60}, "
            f"expected: {error['msg'][0].lower()}{error['msg'][1:]}")
