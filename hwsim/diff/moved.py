"""Energy changes split exactly into what prices moved and what counts moved, line by line. Picojoules per sample.

A line is what one event costs in one component: n counts at p pJ. From line a to line b,

    n_b p_b - n_a p_a  =  (p_b - p_a) (n_a + n_b) / 2  +  (n_b - n_a) (p_a + p_b) / 2
                          price moved                     count moved

which is the Shapley value of both causes: it holds to the last line, and from b to a it is the same with the other sign. A line
that only one run has is a count that moved from or to zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from math import fsum, isclose
from typing import TYPE_CHECKING, Any

from hwsim.activity import SCOPES

if TYPE_CHECKING:
    import pandas as pd

SAME = 1e-9
"""Relative: prices that are nearer than this are one price, whose mean over lines was rounded."""
Key = tuple[str, str, str, str, str, str]
PARTS = {"compute": ("compute",), "core": ("core",), "system": ("core", "system")}
"""Scopes of the lines that add up to each scope's energy."""
KEY = ("scope", "unit", "component", "event", "state", "layer")


@dataclass(frozen=True)
class Side:
    """One run's part of a line: count per sample, mean pJ per count, pJ per sample; the formulas and sources of the price."""

    count: float
    price_pj: float
    energy_pj: float
    formula: str
    source: str


@dataclass(frozen=True)
class Moved:
    """One line of both runs and why its energy moved; a or b is None where only the other run has it.

    layer is "" for what belongs to none (leakage, what every cycle costs), and where layers are not compared.
    """

    scope: str
    unit: str
    component: str
    event: str
    state: str
    layer: str
    a: Side | None
    b: Side | None

    @property
    def change_pj(self) -> float:
        return (self.b.energy_pj if self.b else 0.0) - (self.a.energy_pj if self.a else 0.0)

    @property
    def price_pj(self) -> float:
        """The part of the change that the price made."""
        a, b = self.a, self.b
        if a is None or b is None or isclose(a.price_pj, b.price_pj, rel_tol=SAME):
            return 0.0
        if isclose(a.count, b.count, rel_tol=SAME):
            return self.change_pj
        return (b.price_pj - a.price_pj) * (a.count + b.count) / 2

    @property
    def count_pj(self) -> float:
        """The part of the change that the count made: all that the price did not."""
        return self.change_pj - self.price_pj

    def row(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "change_pj": self.change_pj, "price_moved_pj": self.price_pj, "count_moved_pj": self.count_pj,
                "only_in": "B" if self.a is None else "A" if self.b is None else ""}


def moved_lines(a: pd.DataFrame, b: pd.DataFrame, by_layer: bool = True) -> list[Moved]:
    """The lines of two frames `Result.accounts`, the largest change first.

    by_layer   False: lines of all layers are one, as two networks have no layers in common.
    """
    left, right = _sides(a, by_layer), _sides(b, by_layer)
    lines = [Moved(*key, left.get(key), right.get(key)) for key in dict.fromkeys((*left, *right))]
    return sorted(lines, key=lambda line: -abs(line.change_pj))


def _sides(accounts: pd.DataFrame, by_layer: bool) -> dict[Key, Side]:
    """By KEY: all cores and timesteps together. The charges of one count are its price, however many they are."""
    found: dict[Key, _Line] = {}
    columns = [*KEY, "core", "timestep", "count", "price_pj", "energy_pj", "formula", "source"]
    for *key, layer, core, step, count, price, energy, formula, source in accounts[columns].itertuples(index=False):
        scope, unit, component, event, state = map(str, key)
        line = found.setdefault((scope, unit, component, event, state, str(layer) if by_layer else ""), _Line())
        # Where an event has several charges in one component, each is a row with the whole count of its core, layer and timestep.
        line.counts[core, layer, step] = count
        line.charges.append((price, energy))
        line.formulas[formula] = line.sources[source] = None
    return {key: line.side() for key, line in found.items()}


@dataclass
class _Line:
    """Rows of one line: the count of each core, layer and timestep; price and energy of each row; formulas, sources."""

    counts: dict[tuple[Any, Any, Any], float] = field(default_factory=dict)
    charges: list[tuple[float, float]] = field(default_factory=list)
    formulas: dict[str, None] = field(default_factory=dict)
    sources: dict[str, None] = field(default_factory=dict)

    def side(self) -> Side:
        count, energy = fsum(self.counts.values()), fsum(energy for _, energy in self.charges)
        # One price is taken as it is written: a quotient would be it but for rounding.
        single = len(self.charges) == len(self.counts) and len({price for price, _ in self.charges}) == 1
        price = self.charges[0][0] if single else energy / count if count else 0.0
        return Side(count, price, energy, "; plus ".join(self.formulas), "; ".join(self.sources))


def sums(lines: Iterable[Moved]) -> dict[str, float]:
    """a_pj, b_pj, change_pj, price_moved_pj and count_moved_pj of lines together."""
    lines = list(lines)
    return {
        "a_pj": fsum(x.a.energy_pj for x in lines if x.a), "b_pj": fsum(x.b.energy_pj for x in lines if x.b),
        "change_pj": fsum(x.change_pj for x in lines), "price_moved_pj": fsum(x.price_pj for x in lines),
        "count_moved_pj": fsum(x.count_pj for x in lines)}


def by_scope(lines: Sequence[Moved]) -> dict[str, dict[str, float]]:
    """`sums` in the three scopes: compute (the papers' arithmetic), core (the chip), system (core and channel)."""
    return {scope: sums(x for x in lines if x.scope in PARTS[scope]) for scope in SCOPES}


def grouped(lines: Sequence[Moved], name: str) -> list[dict[str, Any]]:
    """`sums` by unit or by layer within each scope's own lines, the largest change first: scope, name, then the sums."""
    groups = dict.fromkeys((line.scope, str(getattr(line, name))) for line in lines)
    rows = [{"scope": scope, name: value, **sums(x for x in lines if (x.scope, getattr(x, name)) == (scope, value))}
            for scope, value in groups]
    return sorted(rows, key=lambda row: (SCOPES.index(row["scope"]), -abs(row["change_pj"])))
