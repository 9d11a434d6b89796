"""Whether an order of two energies stands: the ratio at nominal prices, its tornado, and how often drawn prices turn it round.

A ratio is the rival's energy over the own one's at the same prices, so above 1 the own one takes less. The probability that
the order flips is the share of draws on the other side of 1, with a 95 % interval: Student's over the replicates, or where all of
them agree, that of Clopper and Pearson over all draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from hwsim.accounts.sensitivity.bill import Priced
from hwsim.accounts.sensitivity.draws import REPLICATES, Prices, Step
from hwsim.accounts.sensitivity.ranges import Ranges
from hwsim.activity import SCOPES

CONFIDENCE = 0.95
STANDS = 0.05
"""An order stands if the upper end of its probability to flip is below this."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two results at the same prices: `own` takes less than `rival`, or not."""

    title: str
    own: Priced
    rival: Priced
    own_name: str = "SNN"
    rival_name: str = "ANN"


@dataclass(frozen=True)
class Bar:
    """One thing moved alone: the ratios that it gives, by its value in words."""

    name: str
    title: str
    ratios: tuple[tuple[str, float], ...]
    nominal: float

    @property
    def low(self) -> float:
        return min([self.nominal, *(ratio for _, ratio in self.ratios)])

    @property
    def high(self) -> float:
        return max([self.nominal, *(ratio for _, ratio in self.ratios)])

    @property
    def width(self) -> float:
        """How far it moves the ratio's logarithm."""
        return float(np.log(self.high / self.low))


@dataclass(frozen=True)
class Finding:
    """One comparison in one scope.

    ratio      the rival's energy over the own one's at nominal prices.     low, high   5 and 95 % of its draws.
    flips      probability that the order flips, with its interval.         tornado     the widest bar first.
    """

    title: str
    scope: str
    own_name: str
    rival_name: str
    ratio: float
    low: float
    high: float
    flips: float
    flips_low: float
    flips_high: float
    tornado: tuple[Bar, ...]

    @property
    def winner(self) -> str:
        """Which side takes less at nominal prices."""
        return self.own_name if self.ratio > 1 else self.rival_name

    @property
    def stands(self) -> bool:
        """Whether the order survives the ranges of prices."""
        return self.flips_high < STANDS


def energies(priced: Priced, prices: Prices, scope: str) -> Floats:
    """(draws,) pJ in a scope at drawn prices."""
    counted = ("core", "system") if scope == "system" else (scope,)
    found = np.zeros(prices.draws)
    for place, setting in enumerate(prices.settings):
        mine = prices.chosen == place
        bill = priced.bill(priced.plain(setting))
        terms = [(key, pj) for (where, key), pj in bill.items() if where in counted]
        keys = [key for key, _ in terms]
        found[mine] = prices.factors(keys)[mine] @ np.array([pj for _, pj in terms])
    return found


def unranged(priced: Priced, nominal: Prices, ranges: Ranges) -> dict[str, float]:
    """The price keys of a machine that no range names, each with its share of the system's energy at nominal prices."""
    (setting,) = nominal.settings
    bill = priced.bill(priced.plain(setting))
    system = [(key, pj) for (scope, key), pj in bill.items() if scope in ("core", "system")]
    whole, patterns = sum(pj for _, pj in system), ranges.patterns()
    # A read of one port is what profiles of memory cells are of, and links are a choice.
    return {key: pj / whole for key, pj in system
            if pj and not (key.startswith("memory.1rw") or key == "link" or any(fnmatchcase(key, p) for p in patterns))}


def ratios(comparison: Comparison, prices: Prices, scope: str) -> Floats:
    """(draws,) the rival's energy over the own one's."""
    return energies(comparison.rival, prices, scope) / energies(comparison.own, prices, scope)


def found(comparison: Comparison, prices: Prices, alone: list[Step], nominal: Prices) -> Iterator[Finding]:
    """A finding for each scope. `alone`: everything that moves, one at a time; `nominal`: one draw."""
    for scope in SCOPES:
        every, at = ratios(comparison, prices, scope), float(ratios(comparison, nominal, scope)[0])
        chance, at_least, at_most = probability((every > 1) != (at > 1))
        low, high = (float(end) for end in np.quantile(every, (0.05, 0.95)))
        yield Finding(comparison.title, scope, comparison.own_name, comparison.rival_name, at, low, high, chance, at_least,
                      at_most, tornado(comparison, alone, at, scope))


def tornado(comparison: Comparison, alone: list[Step], at: float, scope: str) -> tuple[Bar, ...]:
    """A bar for everything that moves the ratio, the widest first."""
    moved: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for step in alone:
        moved.setdefault((step.name, step.what), []).append((step.value, float(ratios(comparison, step.prices, scope)[0])))
    bars = [Bar(name, what, tuple(values), at) for (name, what), values in moved.items()]
    return tuple(sorted((bar for bar in bars if bar.width > 1e-12), key=lambda bar: -bar.width))


def probability(flipped: NDArray[np.bool_]) -> tuple[float, float, float]:
    """The share of true draws, and its 95 % interval; draws stand in REPLICATES equal parts."""
    # Loaded only where it is asked for: it takes as long to load as all of hwsim.
    from scipy.stats import binomtest, t

    parts = flipped.reshape(REPLICATES, -1).mean(axis=1)
    mean = float(parts.mean())
    if not np.ptp(parts):
        exact = binomtest(int(flipped.sum()), flipped.size).proportion_ci(CONFIDENCE, "exact")
        return mean, float(exact.low), float(exact.high)
    half = float(t.ppf(0.5 + CONFIDENCE / 2, REPLICATES - 1) * parts.std(ddof=1) / REPLICATES**0.5)
    return mean, max(0.0, mean - half), min(1.0, mean + half)
