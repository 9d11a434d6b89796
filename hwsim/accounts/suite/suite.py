"""A suite: what a card is made with, by name, and the hash of each of its parts.

A released suite holds the hashes of its machines, prices, ranges, accounts and models. Loading it computes them again and refuses
a suite of which any part is not what was released. So two cards of one suite are comparable, and another price is another suite.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import Field

from hwsim.accounts.assume import charged
from hwsim.accounts.base import Account, checked, total, variants_of
from hwsim.accounts.registry import ACCOUNTS
from hwsim.accounts.sensitivity.ranges import Held, Ranges, held, published_ranges
from hwsim.accounts.suite.probe import known_works
from hwsim.accounts.work import Work
from hwsim.arch import Architecture, dump_architecture, load_architecture
from hwsim.cost.technology.sources import FOLDER
from hwsim.errors import HwsimError, shown
from hwsim.fields import Fields
from hwsim.task import MODEL_VERSION
from hwsim.yaml_file import read_yaml

HERE = Path(__file__).parent
DIGITS = 10
"""Of an account's totals, significant: machines agree in them."""


class SuiteError(HwsimError):
    """A suite that is not there, or that is not what was released."""


class Machine(Fields):
    """Two designs, of the SNN and of its ANN."""

    title: str
    snn: str
    ann: str
    schedule: str = "layer_by_layer"
    """Of both."""


class Suite(Fields):
    """A suite's file."""

    name: str
    machines: dict[str, Machine] = Field(min_length=1)
    ranges: str
    """Name of the ranges of prices."""
    held: list[str]
    """Prices that are not drawn."""
    scopes: list[str]
    rates_hz: list[float | None]
    """Samples per second; null: back to back."""
    samples: int
    """The first of each trace that are replayed; fewer where a trace has fewer."""
    draws: int
    seed: int
    accounts: list[str] = Field(min_length=1)
    """Names of the accounts on a card, as in ACCOUNTS of hwsim/accounts/registry.py; others may be there."""
    hashes: dict[str, str] = {}
    """SHA-256 of each part, 64 hexadecimal digits; empty: not released."""

    @property
    def hash(self) -> str:
        """Of the whole."""
        return digest(self.model_dump())

    def charging(self) -> list[Account]:
        """Its accounts, each under each variant. Raises SuiteError for one that is not there."""
        if missing := [name for name in self.accounts if name not in ACCOUNTS]:
            raise SuiteError(f"suite {self.name}: accounts: found {missing[0]}, known are {', '.join(ACCOUNTS)}")
        return [account for name in self.accounts for account in variants_of(name, ACCOUNTS[name])]

    def prices(self) -> tuple[Ranges, Held]:
        """The ranges of prices, and what is held of them."""
        return published_ranges(), held(published_ranges(), self.held)


def digest(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def suites() -> dict[str, Path]:
    """The suites that come with hwsim, by name."""
    found = {}
    for path in sorted(HERE.glob("*.yaml")):
        found[str(read_yaml(path).data["name"])] = path
    return found


def newest() -> str:
    """The name of the suite that is taken where none is named."""
    return list(suites())[-1]


@cache
def load_suite(name: str | None = None) -> Suite:
    """A released suite by name, or the newest; every part of it is looked at.

    Raises SuiteError for one that is not there, was not released, or is not what was released.
    """
    known = suites()
    wanted = name or newest()
    if wanted not in known:
        raise SuiteError(f"{shown(wanted, how=str)}: no such suite; there are {', '.join(known)}")
    suite = checked(Suite, read_yaml(known[wanted]))
    if not suite.hashes:
        raise SuiteError(f"suite {wanted}: was not released; `python -m hwsim.accounts.suite.release {known[wanted].name}` does "
                         "it")
    check_released(suite)
    return suite


def check_released(suite: Suite) -> None:
    """Raises SuiteError with every part that is not what was released."""
    here = parts(suite)
    wrong = [f"{part}: found {here.get(part, '-')[:12]}, released as {suite.hashes.get(part, '-')[:12]}"
             for part in dict.fromkeys((*suite.hashes, *here)) if here.get(part) != suite.hashes.get(part)]
    if wrong:
        raise SuiteError(f"suite {suite.name}: {'; '.join(wrong)}; a released suite never changes: use the hwsim that it was "
                         "released with, or release what is here under a new name (docs/cards.md)")


def parts(suite: Suite) -> dict[str, str]:
    """The hash of each part, as it is here."""
    return {part: digest(content(suite)) for part, content in PARTS.items()}


def _machines(suite: Suite) -> Any:
    """Every field of every design, and which is whose."""
    names = dict.fromkeys(name for m in suite.machines.values() for name in (m.snn, m.ann))
    designs = {name: _fields(load_architecture(name)) for name in names}
    return {"designs": designs, "machines": {name: m.model_dump() for name, m in suite.machines.items()}}


def _fields(arch: Architecture) -> dict[str, Any]:
    """The fields of a design. A field that came later and has its first value is left out, as it is from a run's identity: the
    machine is the same with and without it."""
    data = _plain(dump_architecture(arch))
    for part, design in zip(data.get("cores", [data]), arch.cores, strict=True):
        for name, first in design.first_values.items():
            group, field = name.split(".")
            if part[group].get(field) == first:
                del part[group][field]
    return dict(data)


def _prices(suite: Suite) -> Any:
    """The shipped tables, as data, and the rule of scaling."""
    return _tables()


@cache
def _tables() -> dict[str, Any]:
    tables = {f"{path.parent.name}/{path.stem}": _plain(read_yaml(path).data) for path in sorted(FOLDER.glob("*/*.yaml"))}
    return {**tables, "scaling": (FOLDER / "scaling_stillmaker_baas.csv").read_text()}


def _ranges(suite: Suite) -> Any:
    if published_ranges().name != suite.ranges:
        return {}
    return {"held": suite.held, **published_ranges().model_dump()}


def _accounts(suite: Suite) -> Any:
    """What each account's file says, and what it charges for networks that have all that accounts charge: its equations."""
    return {account.name: {"data": account.data.model_dump(), "bills": {
        name: _bill(account, work, rival) for name, work, rival in _works()}} for account in suite.charging()}


@cache
def _works() -> tuple[tuple[str, Work, Work | None], ...]:
    return tuple(known_works())


def _bill(account: Account, work: Work, ann: Work | None) -> dict[str, str]:
    """Both totals, and what is lacking."""
    row = charged(account, work, ann)
    sides = {side: f"{total(bill):.{DIGITS}g}" for side, bill in (("snn", row.snn), ("ann", row.ann))}
    return {**sides, "lacks": row.lacks}


def _models(suite: Suite) -> Any:
    return {"model_version": MODEL_VERSION}


PARTS: dict[str, Callable[[Suite], Any]] = {
    "machines": _machines, "prices": _prices, "ranges": _ranges, "accounts": _accounts, "models": _models}


def _plain(value: Any) -> Any:
    """With keys of text, as JSON has them."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
