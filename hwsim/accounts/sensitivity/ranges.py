"""The published ranges of prices: ranges.yaml, read and checked, and prices that somebody holds at a value of their own.

A range says by how much the price keys (hwsim/accounts/sensitivity/bill.py) that it names go with it: a price of `value` is
value / nominal times what the shipped tables say. Units are each range's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from hwsim.accounts.base import checked
from hwsim.errors import HwsimError
from hwsim.fields import Fields
from hwsim.yaml_file import read_yaml

DATA = Path(__file__).with_name("ranges.yaml")
MEMORY, SUPPLY = "memory", "supply"
"""Names of what is drawn besides ranges and choices: a memory profile, and one of its supplies."""


class RangeError(HwsimError):
    """A price outside every published range; the text names the range and its sources."""


class End(Fields):
    """A published number."""

    value: float = Field(gt=0)
    source: str


class Range(Fields):
    """One price: the lowest and the highest that is published, and the one that hwsim's tables have."""

    title: str
    unit: str
    low: End
    nominal: End
    high: End
    keys: list[str] = Field(min_length=1)
    """Price keys that go with it, as patterns."""

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low.value <= self.nominal.value <= self.high.value:
            raise ValueError(f"found {self.low.value:g}, {self.nominal.value:g} and {self.high.value:g}, expected low <= nominal "
                             "<= high")
        return self

    def factor(self, value: float) -> float:
        """What the prices of its keys are multiplied by."""
        return value / self.nominal.value


class Choice(Fields):
    """A setting of which several are published; the first is nominal."""

    title: str
    options: list[str] = Field(min_length=2)
    source: str


class Profile(Fields):
    """Memory cells: their supplies, the nominal one first, and ranges that hold for them alone."""

    title: str
    supplies_v: list[float] = Field(min_length=1)
    source: str
    ranges: dict[str, Range] = {}


class Ranges(Fields):
    """The file. The first profile is nominal."""

    name: str
    technology: dict[str, Any]
    """Settings of every price, beside profile, supply and choices."""
    sources: dict[str, str]
    ranges: dict[str, Range] = Field(min_length=1)
    choices: dict[str, Choice]
    profiles: dict[str, Profile] = Field(min_length=1)

    @model_validator(mode="after")
    def _sourced(self) -> Ranges:
        used = [end.source for r in self.every().values() for one in r for end in (one.low, one.nominal, one.high)]
        used += [choice.source for choice in self.choices.values()] + [profile.source for profile in self.profiles.values()]
        if unknown := sorted(set(used) - set(self.sources)):
            raise ValueError(f"source {unknown[0]!r} is not listed under sources")
        return self

    def every(self) -> dict[str, list[Range]]:
        """Each range by name: one, or one for each profile that has it."""
        found = {name: [one] for name, one in self.ranges.items()}
        for profile in self.profiles.values():
            for name, one in profile.ranges.items():
                found.setdefault(name, []).append(one)
        return found

    def of(self, profile: str) -> dict[str, Range]:
        """The ranges that hold for a profile of memories."""
        return {**self.ranges, **self.profiles[profile].ranges}

    def patterns(self) -> list[str]:
        """Of all price keys that some range names."""
        return [pattern for known in self.every().values() for one in known for pattern in one.keys]

    def names(self) -> list[str]:
        """Everything that is drawn."""
        return [MEMORY, SUPPLY, *self.choices, *self.every()]


@cache
def published_ranges() -> Ranges:
    """What ranges.yaml says. Raises AccountError."""
    return checked(Ranges, read_yaml(DATA))


def read_ranges(path: str | Path | None) -> Ranges:
    """Ranges of a file of one's own, which may narrow the published ones; the published ones for None.

    Raises AccountError for a file that cannot be, RangeError for an end outside every published range.
    """
    if path is None:
        return published_ranges()
    found, known = checked(Ranges, read_yaml(path)), published_ranges()
    for what, mine, theirs in (("choices", found.choices, known.choices), ("profiles", found.profiles, known.profiles)):
        if unknown := [name for name in mine if name not in theirs]:
            raise RangeError(f"{path}: {what}: found {unknown[0]}, published are {', '.join(theirs)}")
    if lacks := [name for name in known.choices if name not in found.choices]:
        raise RangeError(f"{path}: choices.{lacks[0]}: missing; give it with the options that are drawn, the nominal one first")
    for name, ranges in found.every().items():
        if name not in known.every():
            raise RangeError(f"{path}: ranges.{name}: no published range has this name; there are {', '.join(known.every())}")
        for end in (end for one in ranges for end in (one.low, one.nominal, one.high)):
            _check(name, end.value, known, f"{path}: ")
    return found


@dataclass(frozen=True)
class Held:
    """What is not drawn: ranges at a value, and settings at an option, both by name."""

    values: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


def held(ranges: Ranges, given: Iterable[str]) -> Held:
    """Prices that the user holds, `wires=0.2` or `memory=cacti_hp`. Raises RangeError for one outside every published range."""
    values: dict[str, float] = {}
    options: dict[str, str] = {}
    for text in given:
        name, _, value = (part.strip() for part in text.partition("="))
        if name in (MEMORY, SUPPLY) or name in ranges.choices:
            allowed = _options(ranges, name)
            if value not in allowed:
                raise RangeError(f"{name}: found {value!r}, published are {', '.join(allowed)}")
            options[name] = value
        elif name in ranges.every():
            values[name] = _number(name, value)
            _check(name, values[name], ranges)
        else:
            raise RangeError(f"{name or text!r}: no price of this name has a published range; there are "
                             f"{', '.join(ranges.names())}")
    profiles = [options[MEMORY]] if MEMORY in options else list(ranges.profiles)
    if SUPPLY in options and not all(float(options[SUPPLY]) in ranges.profiles[p].supplies_v for p in profiles):
        holds = _with_supply(ranges, options[SUPPLY])
        advice = (f"hold the memory profile as well, memory={holds[0]}" if MEMORY not in options else
                  f"memory={options[MEMORY]} is published at "
                  f"{', '.join(f'{v:g}' for v in ranges.profiles[options[MEMORY]].supplies_v)} V")
        raise RangeError(f"supply: found {options[SUPPLY]} V, which holds for {', '.join(holds)} only; {advice}")
    return Held(values, options)


def _options(ranges: Ranges, name: str) -> list[str]:
    if name == MEMORY:
        return list(ranges.profiles)
    if name == SUPPLY:
        return [f"{v:g}" for v in sorted({v for p in ranges.profiles.values() for v in p.supplies_v})]
    return list(ranges.choices[name].options)


def _with_supply(ranges: Ranges, volts: str) -> list[str]:
    return [name for name, profile in ranges.profiles.items() if float(volts) in profile.supplies_v]


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RangeError(f"{name}: found {text!r}, expected a number, as in {name}=0.2") from None


def _check(name: str, value: float, published: Ranges, where: str = "") -> None:
    known, texts = published.every()[name], published.sources
    if not any(one.low.value <= value <= one.high.value for one in known):
        said = "; ".join(dict.fromkeys(
            f"{one.low.value:g} ({texts[one.low.source]}) to {one.high.value:g} {one.unit} ({texts[one.high.source]})"
            for one in known))
        raise RangeError(f"{where}{name}: found {value:g}, published is {said}; `hwsim sensitivity --ranges` lists the sources")
