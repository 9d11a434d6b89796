"""Prices that the user gives in place of those of the tables: from a mapping, a small YAML file or a command line.

pJ by event, mW by component. Which names there are is said here; what a design has is checked in hwsim/cost/energy.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.activity import INDEX, SCOPES, VOCABULARY
from hwsim.errors import HwsimError
from hwsim.yaml_file import YamlError, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

PRICED: tuple[str, ...] = tuple(e.name for e in VOCABULARY if e.scope in SCOPES)
"""Events that cost energy; the others count cycles."""


OVERRIDE = "override"
"""The source of a price that the user gave."""
HIGHEST = 1e12
"""pJ and mW: a joule per event, a gigawatt per component. Beyond it sums of energies overflow."""


class EnergyError(HwsimError):
    """A price that is missing, or an override that cannot be; the text names the event, the table and what to do."""


@dataclass(frozen=True)
class Overrides:
    """Prices that replace those of the tables: pJ by event, mW by component."""

    prices: Mapping[str, float] = field(default_factory=dict)
    leakage_mw: Mapping[str, float] = field(default_factory=dict)


def read_overrides(given: Mapping[str, Any] | str | Path | Overrides | None) -> Overrides:
    """Overrides from a mapping {event: pJ, leakage_mw: {component: mW}} or a small YAML file with the same.

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
    prices = {name: value for name, value in given.items() if name != "leakage_mw"}
    leaks = given.get("leakage_mw", {})
    wrong = []
    for name in prices:
        if name not in PRICED:
            reason = "counts cycles, which are no energy" if name in INDEX else "no such event"
            wrong.append(f"{name}: {reason}; allowed are {', '.join(PRICED)} and leakage_mw")
    if not isinstance(leaks, Mapping):
        wrong.append(f"leakage_mw: found {leaks!r}, allowed a mapping of component to mW")
        leaks = {}
    for name, value in [*prices.items(), *((f"leakage_mw.{key}", mw) for key, mw in leaks.items())]:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= HIGHEST:
            wrong.append(f"{name}: found {value!r}, allowed a number of at least 0 and at most {HIGHEST:g}")
    if wrong:
        raise EnergyError("\n".join(f"{where}: {text}" for text in wrong))
    return Overrides({k: float(v) for k, v in prices.items()}, {k: float(v) for k, v in leaks.items()})


def plain_overrides(given: Mapping[str, Any] | str | Path | Overrides | None) -> dict[str, Any]:
    """Overrides of any form as one mapping, JSON-ready, which `read_overrides` reads back. Raises EnergyError."""
    found = read_overrides(given)
    return {**found.prices, **({"leakage_mw": dict(found.leakage_mw)} if found.leakage_mw else {})}


def parse_overrides(path: str | Path | None, items: Iterable[str] = ()) -> dict[str, Any]:
    """Overrides of a command line as one mapping, JSON-ready: those of a YAML file, then the items, the last one wins.

    An item is `event=pJ` or `leakage_mw.component=mW`. Raises EnergyError.
    """
    prices = plain_overrides(path)
    leaks = prices.pop("leakage_mw", {})
    for item in items:
        name, _, value = item.partition("=")
        try:
            number = float(value)
        except ValueError:
            raise EnergyError(f"override {item!r}: found {value!r}, expected a number, as in acc_add=0.05") from None
        component = name.strip().removeprefix("leakage_mw.")
        (leaks if component != name.strip() else prices)[component] = number
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
        wrong = [*wrong, f"{path}: found {type(data).__name__}, expected a mapping such as `acc_add: 0.05`"]
    if wrong:
        raise EnergyError("\n".join(wrong))
    return data
