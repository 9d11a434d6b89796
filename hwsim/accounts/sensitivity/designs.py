"""The same comparison over design choices: dataflow, lanes, ports; and which decides more, the prices or the design.

The logarithm of the ratio is known for every design at every drawn price. Its variance, all designs and draws equally likely, is
split exactly: what is left of it when prices are averaged out is the designs', when designs are averaged out the prices'; the
rest is of both together (an analysis of variance, first-order Sobol indices).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.accounts.ours import Runs, our_data
from hwsim.accounts.sensitivity.bill import Priced
from hwsim.accounts.sensitivity.draws import Prices
from hwsim.accounts.sensitivity.flips import Comparison, ratios
from hwsim.arch import load_architecture
from hwsim.result import Result
from hwsim.trace.reader import Trace

LANES = (8, 16, 32, 64)
PORTS = ("1r1w", "1rw")
CHOICES = ("dataflow", "lanes", "ports")


@dataclass(frozen=True)
class Shares:
    """Parts of the variance of a ratio's logarithm, which add up to 1; `deviation` is the root of the whole.

    by_choice   of the designs' part, what each choice alone makes (the rest is of choices together).
    """

    scope: str
    prices: float
    designs: float
    both: float
    deviation: float
    by_choice: Mapping[str, float]
    ratios: Mapping[str, float]

    @property
    def decides(self) -> str:
        return "designs" if self.designs > self.prices else "prices"

    @property
    def won(self) -> int:
        """Designs on which the SNN takes less at nominal prices."""
        return sum(ratio > 1 for ratio in self.ratios.values())


@dataclass(frozen=True)
class Alternative:
    """One design of both sides, by its choices."""

    choices: tuple[str, ...]
    comparison: Comparison

    @property
    def title(self) -> str:
        dataflow, lanes, ports = self.choices
        return f"{dataflow}, {lanes} lanes, {ports}"


def alternatives(
    snn: Trace, ann: Trace, samples: int | None, technology: Mapping[str, Any], lacks: list[tuple[str, str]],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Alternative]:
    """Both traces on every design that both run on; `lacks` gets the others with the reason.

    An array has as many rows and columns as the core that it stands against has lanes, and no ports to choose.
    """
    runs = Runs(samples)
    points = [(d, lanes, ports) for d in our_data().designs.values() for lanes in LANES for ports in PORTS]
    for done, (design, lanes, ports) in enumerate(points):
        core = {**design.fields, "core.lanes": lanes, "memories.membrane_ports": ports}
        array = {**design.fields, "core.rows": lanes, "core.columns": lanes}
        own, rival = runs.of(snn, design.snn, core), runs.of(ann, design.ann, core if _has_lanes(design.ann) else array)
        if isinstance(own, Result) and isinstance(rival, Result):
            yield Alternative((design.title, str(lanes), ports),
                              Comparison(design.title, Priced(own, technology), Priced(rival, technology)))
        else:
            why = "; ".join(dict.fromkeys(x for x in (own, rival) if isinstance(x, str)))
            lacks.append((f"design {design.title}, {lanes} lanes, {ports}", why))
        if progress:
            progress(done + 1, len(points))


def _has_lanes(name: str) -> bool:
    return hasattr(load_architecture(name).core, "lanes")


def shares(found: list[Alternative], prices: Prices, nominal: Prices, scope: str) -> Shares:
    """What of a ratio's variance the prices, the designs and both together make."""
    logs = np.log(np.stack([ratios(one.comparison, prices, scope) for one in found]))
    whole = float(logs.var())
    of_designs, of_prices = float(logs.mean(axis=1).var()), float(logs.mean(axis=0).var())
    at = {one.title: float(ratios(one.comparison, nominal, scope)[0]) for one in found}
    means = logs.mean(axis=1)
    by_choice = {name: _explained(means, [one.choices[n] for one in found]) / whole for n, name in enumerate(CHOICES)}
    return Shares(scope, of_prices / whole, of_designs / whole, 1 - (of_prices + of_designs) / whole, whole**0.5, by_choice, at)


def _explained(means: NDArray[np.float64], values: list[str]) -> float:
    """The variance between the means of designs that share a value."""
    at = np.array(values)
    between = [(float(means[at == value].mean()), int((at == value).sum())) for value in dict.fromkeys(values)]
    return sum(count * (mean - float(means.mean())) ** 2 for mean, count in between) / len(values)
