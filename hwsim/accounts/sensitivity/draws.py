"""Prices drawn from their ranges: scrambled Sobol points, seeded, in replicates that are independent of each other.

A point has one coordinate for each thing that is drawn (`Ranges.names`). Ranges are log-uniform, options equally likely: a memory
profile first, then one of its supplies. Replicates give the confidence interval that one low-discrepancy sequence does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.accounts.sensitivity.bill import Setting
from hwsim.accounts.sensitivity.ranges import MEMORY, SUPPLY, Held, Range, Ranges
from hwsim.errors import HwsimError

REPLICATES = 16
LEAST, MOST = REPLICATES * 8, REPLICATES * 8192


class DrawError(HwsimError):
    """A number of draws or a seed that cannot be."""


@dataclass(frozen=True, eq=False)
class Prices:
    """Drawn prices.

    settings   the settings that were drawn, and `chosen`, (draws,), the place in them of each draw.
    values     by range, (draws,): what was drawn, over the nominal value.
    """

    settings: tuple[Setting, ...]
    chosen: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]]
    ranges: Ranges

    @property
    def draws(self) -> int:
        return len(self.chosen)

    def factors(self, keys: list[str]) -> NDArray[np.float64]:
        """(draws, keys): what the price of each key is multiplied by."""
        found = np.ones((self.draws, len(keys)))
        for name, values in self.values.items():
            patterns = self.ranges.every()[name][0].keys
            met = [n for n, key in enumerate(keys) if any(fnmatchcase(key, pattern) for pattern in patterns)]
            found[:, met] *= values[:, None]
        return found


def drawn(ranges: Ranges, held: Held, draws: int, seed: int) -> Prices:
    """`draws` prices, in REPLICATES equal parts one after another. Raises DrawError."""
    # Loaded only where it is asked for: it takes as long to load as all of hwsim.
    from scipy.stats import qmc

    if not LEAST <= draws <= MOST or draws & (draws - 1):
        raise DrawError(f"draws: found {draws}, allowed are powers of two from {LEAST} to {MOST}")
    if seed < 0:
        raise DrawError(f"seed: found {seed}, allowed are whole numbers of at least 0")
    names = ranges.names()
    parts = [qmc.Sobol(len(names), rng=np.random.default_rng((seed, n))).random(draws // REPLICATES) for n in range(REPLICATES)]
    return _prices(ranges, held, dict(zip(names, np.concatenate(parts).T, strict=True)))


def _prices(ranges: Ranges, held: Held, shares: dict[str, NDArray[np.float64]]) -> Prices:
    profiles = _allowed(list(ranges.profiles), held.options.get(MEMORY))
    if SUPPLY in held.options and MEMORY not in held.options:
        profiles = [p for p in profiles if float(held.options[SUPPLY]) in ranges.profiles[p].supplies_v]
    memory = [profiles[n] for n in _place(shares[MEMORY], len(profiles))]
    settings: list[Setting] = []
    gating, links = (_options(ranges, held, name, shares[name]) for name in ("clock_gating", "links"))
    for n, profile in enumerate(memory):
        supplies = _allowed(ranges.profiles[profile].supplies_v, held.options.get(SUPPLY))
        volts = supplies[int(shares[SUPPLY][n] * len(supplies))]
        settings.append(Setting(profile, volts, gating[n], links[n]))
    every = tuple(dict.fromkeys(settings))
    chosen = np.array([every.index(s) for s in settings])
    values = {}
    for name, known in ranges.every().items():
        if name in held.values:
            values[name] = np.full(len(memory), known[0].factor(held.values[name]))
            continue
        values[name] = np.array([_at((ranges.of(p))[name], share) if name in ranges.of(p) else 1.0
                                 for p, share in zip(memory, shares[name], strict=True)])
    return Prices(every, chosen, values, ranges)


def _at(one: Range, share: float) -> float:
    """The factor at a share of the range's logarithm."""
    low, high = log(one.low.value), log(one.high.value)
    return float(np.exp(low + share * (high - low))) / one.nominal.value


def _place(shares: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    return np.minimum((shares * count).astype(np.int64), count - 1)


def _options(ranges: Ranges, held: Held, name: str, shares: NDArray[np.float64]) -> list[str]:
    options = _allowed(ranges.choices[name].options, held.options.get(name))
    return [options[n] for n in _place(shares, len(options))]


def _allowed(options: list[Any], wanted: str | None) -> list[Any]:
    if wanted is None:
        return options
    return [option for option in options if option == wanted or (isinstance(option, float) and option == float(wanted))]


# --- one at a time --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """All prices nominal but one: `what` was moved, and to which `value`, in words."""

    name: str
    what: str
    value: str
    prices: Prices


def nominal(ranges: Ranges, held: Held) -> Prices:
    """One draw: the nominal value of everything that is not held."""
    return _one(ranges, held, nominal_setting(ranges, held), {})


def nominal_setting(ranges: Ranges, held: Held) -> Setting:
    """The setting of nominal prices, with what is held."""
    profiles = _allowed(list(ranges.profiles), held.options.get(MEMORY))
    if SUPPLY in held.options:
        profiles = [p for p in profiles if float(held.options[SUPPLY]) in ranges.profiles[p].supplies_v]
    volts = _allowed(ranges.profiles[profiles[0]].supplies_v, held.options.get(SUPPLY))[0]
    gating, links = (held.options.get(name, ranges.choices[name].options[0]) for name in ("clock_gating", "links"))
    return Setting(profiles[0], volts, gating, links)


def steps(ranges: Ranges, held: Held) -> list[Step]:
    """Every end of every range, and every option, alone."""
    base = nominal_setting(ranges, held)
    found: list[Step] = []
    for name, one in ranges.of(base.memory).items():
        if name not in held.values:
            found += [Step(name, one.title, f"{end.value:g} {one.unit}",
                           _one(ranges, held, base, {name: one.factor(end.value)})) for end in (one.low, one.high)]
    for name, choice in ranges.choices.items():
        if name not in held.options:
            found += [Step(name, choice.title, option, _one(ranges, held, Setting(**{**base._asdict(), name: option}), {}))
                      for option in choice.options[1:]]
    cells = [(p, v) for p, profile in ranges.profiles.items() for v in profile.supplies_v
             if held.options.get(MEMORY, p) == p and float(held.options.get(SUPPLY, v)) == v]
    return found + [Step(MEMORY, "memory cells and supply", f"{p}, {v:g} V",
                         _one(ranges, held, base._replace(memory=p, vdd_v=v), {}))
                    for p, v in cells if (p, v) != (base.memory, base.vdd_v)]


def _one(ranges: Ranges, held: Held, setting: Setting, factors: dict[str, float]) -> Prices:
    values = {name: np.array([factors.get(name, known[0].factor(held.values[name]) if name in held.values else 1.0)])
              for name, known in ranges.every().items()}
    return Prices((setting,), np.zeros(1, np.int64), values, ranges)
