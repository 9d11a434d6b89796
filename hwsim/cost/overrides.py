"""Prices that the user gives in place of those of the tables: from a mapping, a small YAML file or a command line.

    acc_add: 0.05           this price, pJ
    membrane_*: x0.5        half of every price whose name the pattern meets
    leakage_mw:
      weight_memory: 0.5    this leakage, mW
      "*_memory": x0.1      a tenth of every such leakage

pJ by event, mW by component; patterns as in file names (*, ?, [abc]). A factor is of the table's price, never of another
override: where several meet one price, the later wins. Which names there are is said here; what a design has is checked in
hwsim/cost/energy.py and hwsim/cost/leakage.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from os import PathLike
from pathlib import Path
from typing import Any

from hwsim.activity import INDEX, SCOPES, VOCABULARY
from hwsim.errors import HwsimError
from hwsim.yaml_file import YamlError, no_mapping, read_yaml

PRICED: tuple[str, ...] = tuple(e.name for e in VOCABULARY if e.scope in SCOPES)
"""Events that cost energy; the others count cycles."""

OVERRIDE = "override"
"""The source of a price that the user gave."""
HIGHEST = 1e12
"""pJ and mW: a joule per event, a gigawatt per component. Beyond it sums of energies overflow. It also limits factors."""

_FACTOR = re.compile(r"^x\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)$")


class EnergyError(HwsimError):
    """A price that is missing, or an override that cannot be; the text names the event, the table and what to do."""


@dataclass(frozen=True)
class Change:
    """One override: a name or a pattern of names, and a number that replaces the price, or a factor of it."""

    pattern: str
    number: float
    factor: bool = False

    @property
    def exact(self) -> bool:
        """Whether it is of one name."""
        return not set("*?[") & set(self.pattern)

    @property
    def written(self) -> float | str:
        """Its number as a file has it."""
        return f"x{self.number!r}" if self.factor else self.number

    def meets(self, name: str) -> bool:
        return name == self.pattern or fnmatchcase(name, self.pattern)

    def __str__(self) -> str:
        return f"{self.pattern}={'x' if self.factor else ''}{self.number:g}"


@dataclass(frozen=True)
class Overrides:
    """Changes in their order: of prices (pJ by event) and of leakages (mW by component)."""

    prices: tuple[Change, ...] = ()
    leakage_mw: tuple[Change, ...] = ()


def meeting(changes: Sequence[Change], name: str) -> tuple[Change | None, str]:
    """The change that holds for a name, the last that meets it, and words on those that it replaces."""
    met = [change for change in changes if change.meets(name)]
    if not met:
        return None, ""
    return met[-1], f" (not {', '.join(map(str, met[:-1]))}: the later wins)" if met[:-1] else ""


def nearest(pattern: str, names: Iterable[str]) -> str:
    """Names that somebody may have meant, for an error."""
    plain = re.sub(r"[*?\[\]]", "", pattern)
    listed = list(names)
    inside = [name for name in listed if len(plain) > 2 and (plain in name or plain.strip("_") in name)]
    close = inside or get_close_matches(plain, listed, 4, 0.5) or ["none is like it"]
    return ", ".join(close[:6])


def read_overrides(given: Mapping[str, Any] | str | Path | Overrides | None) -> Overrides:
    """Overrides from a mapping {event or pattern: pJ or "xFACTOR", leakage_mw: {component: mW or "xFACTOR"}}, or a small YAML
    file with the same.

    Raises EnergyError, one text with every mistake and the names that are allowed.
    """
    if given is None:
        return Overrides()
    if isinstance(given, Overrides):
        return given
    where = "overrides"
    if isinstance(given, str | PathLike):
        where, given = str(given), _read_yaml(given)
    if not isinstance(given, Mapping):
        raise EnergyError(f"overrides: found {given!r}, expected a mapping such as {{'acc_add': 0.05}}, or the path of a YAML "
                          "file with one")
    wrong: list[str] = []
    leaks = given.get("leakage_mw", {})
    if not isinstance(leaks, Mapping):
        wrong.append(f"leakage_mw: found {leaks!r}, allowed a mapping of component to mW")
        leaks = {}
    prices = {name: value for name, value in given.items() if name != "leakage_mw"}
    found = Overrides(_changes(prices, "", wrong), _changes(leaks, "leakage_mw.", wrong))
    wrong = [text for change in found.prices if (text := _no_event(change))] + wrong
    if wrong:
        raise EnergyError("\n".join(f"{where}: {text}" for text in wrong))
    return found


def _changes(given: Mapping[Any, Any], prefix: str, wrong: list[str]) -> tuple[Change, ...]:
    """The changes of a mapping, in its order; what is no number and no factor goes to `wrong`."""
    found = []
    for name, value in given.items():
        factor = _FACTOR.match(value) if isinstance(value, str) else None
        number: Any = _float(factor.group(1)) if factor else value
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number <= HIGHEST:
            wrong.append(f"{prefix}{name}: found {value!r}, allowed a number of at least 0 and at most {HIGHEST:g}, or a factor "
                         "such as 'x0.5'")
            number = 0.0
        found.append(Change(str(name), float(number), factor is not None))
    return tuple(found)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _no_event(change: Change) -> str:
    """Why a change is of no price at all; empty for one that is."""
    if any(change.meets(name) for name in PRICED):
        return ""
    if change.pattern in INDEX:
        reason = "counts cycles, which are no energy"
    else:
        reason = "no such event" if change.exact else "meets no price"
    return (f"{change.pattern}: {reason}; allowed are {', '.join(PRICED)} and leakage_mw; nearest: "
            f"{nearest(change.pattern, PRICED)}")


def plain_overrides(given: Mapping[str, Any] | str | Path | Overrides | None) -> dict[str, Any]:
    """Overrides of any form as one mapping, JSON-ready, which `read_overrides` reads back. Raises EnergyError."""
    found = read_overrides(given)
    prices: dict[str, Any] = {change.pattern: change.written for change in found.prices}
    leaks = {change.pattern: change.written for change in found.leakage_mw}
    return {**prices, **({"leakage_mw": leaks} if leaks else {})}


def parse_overrides(path: str | Path | None, items: Iterable[str] = ()) -> dict[str, Any]:
    """Overrides of a command line as one mapping, JSON-ready: those of a YAML file, then the items, the last one wins.

    An item is `event=pJ` or `leakage_mw.component=mW`, of a name or a pattern; `=x0.5` is a factor. Raises EnergyError.
    """
    prices = plain_overrides(path)
    leaks = prices.pop("leakage_mw", {})
    for item in items:
        name, _, value = (part.strip() for part in item.partition("="))
        number = value if _FACTOR.match(value) else _float(value)
        if number is None:
            raise EnergyError(f"override {item!r}: found {value!r}, expected a number, as in acc_add=0.05, or a factor, as in "
                              "membrane_*=x0.5")
        component = name.removeprefix("leakage_mw.")
        kept = leaks if component != name else prices
        kept.pop(component, None)  # the last one wins, so it stands last
        kept[component] = number
    if leaks:
        prices["leakage_mw"] = leaks
    read_overrides(prices)
    return prices


def _read_yaml(path: str | Path) -> Mapping[str, Any]:
    try:
        document = read_yaml(path)
    except (OSError, YamlError) as error:
        raise EnergyError(f"{path}: cannot be read as YAML of event: pJ ({error})") from None
    data, wrong = document.data, document.mistakes
    if not isinstance(data, Mapping):
        wrong = [*wrong, no_mapping(path, data, "such as `acc_add: 0.05`")]
    if wrong:
        raise EnergyError("\n".join(wrong))
    return data
