"""Where a simulated SNN stops winning: the spike rate at which its energy crosses that of its ANN, by design, scope, steps.

Between two rates of the grid the energy is taken to be a straight line, and a crossing names the two. Beside it stands the rate
that a straight line through the first and the last rate gives (`straight`): the closed form of a machine whose energy is a
constant and so much for each spike. How far the simulated energies lie from that line is its error (`bend`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hwsim.accounts.crossing.grid import ANN, SNN
from hwsim.activity import SCOPES
from hwsim.study import Row

SHAPE = ("design", "width", "kernel", "memory", "rate_hz")
"""What both sides have in common."""


@dataclass(frozen=True)
class Crossing:
    """One line of the grid.

    rate       spikes per neuron and step at which both take the same; 0: the SNN takes more at the lowest rate already; None: it
               takes less at the highest, or a side lacks numbers.
    between    the rates of the grid on both sides of it.     straight   by the straight line through the ends; None without one.
    bend       the largest relative distance of a simulated energy from that line; None for fewer than three rates.
    ends       the lowest and the highest rate of the grid that has numbers.
    lacks      why there are no numbers.                      ann_pj     what the ANN takes.
    """

    design: str
    scope: str
    timesteps: int
    width: float
    kernel: int | None
    memory: str
    rate_hz: float | None
    rate: float | None
    between: tuple[float, float] | None
    straight: float | None
    ann_pj: float | None
    lacks: str = ""
    bend: float | None = None
    ends: tuple[float, float] | None = None

    @property
    def said(self) -> str:
        """For a table, in percent. Beyond the grid it names the grid's end, or what the straight line says: never, or always."""
        if self.lacks or self.ends is None:
            return "-"
        if self.rate is None:
            return "always" if self.straight is None or self.straight >= 1 else f"> {100 * self.ends[1]:g}"
        if self.rate == 0:
            return "never" if self.straight is not None and self.straight <= 0 else f"< {100 * self.ends[0]:g}"
        return f"{100 * self.rate:.2f}"


def crossings(rows: Iterable[Row]) -> list[Crossing]:
    """Every line of a grid's rows in every scope."""
    lines: dict[tuple[Any, ...], list[Row]] = {}
    rivals: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        at = tuple(row["labels"][name] for name in SHAPE)
        if row["labels"]["side"] == ANN:
            rivals[at] = row
        else:
            assert row["labels"]["side"] == SNN
            lines.setdefault((*at, row["labels"]["timesteps"]), []).append(row)
    return [_crossing(key, scope, line, rivals[key[:-1]]) for key, line in lines.items() for scope in SCOPES]


def _crossing(key: tuple[Any, ...], scope: str, line: list[Row], rival: Row) -> Crossing:
    """Rates of the grid at which the SNN does not reach the inference rate are left out; the line ends before them."""
    design, width, kernel, memory, hz, steps = key
    head = (design, scope, steps, width, kernel, memory, hz)
    failed = [str(row["error"]) for row in (*line, rival) if "error" in row]
    if failed:
        return Crossing(*head, None, None, None, None, failed[0])
    ordered = sorted(line, key=lambda row: float(row["labels"]["rate"]))
    reached = [(float(row["labels"]["rate"]), pj) for row in ordered if (pj := _energy(row, scope, hz)) is not None]
    ann = _energy(rival, scope, hz)
    if ann is None or len(reached) < 2:
        slow = rival if ann is None else ordered[-1]
        return Crossing(*head, None, None, None, ann, f"{hz:g} samples per second are out of reach of its "
                        f"{slow['labels']['side'].upper()}; the highest are {slow['at_rate']['highest_rate_hz']:.0f}")
    rates, own = zip(*reached, strict=True)
    rate, between = where(rates, own, ann)
    if rate is None and len(reached) < len(ordered):
        return Crossing(*head, None, None, None, ann, f"takes less up to {rates[-1]:g} spikes per neuron and step; above, "
                        f"{hz:g} samples per second are out of reach")
    return Crossing(*head, rate, between, straight(rates, own, ann), ann, "", bend(rates, own), (rates[0], rates[-1]))


def _energy(row: Row, scope: str, hz: float | None) -> float | None:
    """pJ; None where the rate of samples is out of reach."""
    energy = row["energy_pj"] if hz is None else row["at_rate"]["energy_pj"]
    return None if energy is None else float(energy[scope])


def where(rates: Sequence[float], own: Sequence[float], ann: float) -> tuple[float | None, tuple[float, float] | None]:
    """The first rate at which `own` reaches `ann`, and the two rates that it lies between."""
    if own[0] >= ann:
        return 0.0, None
    for (r0, e0), (r1, e1) in zip(zip(rates, own, strict=True), list(zip(rates, own, strict=True))[1:], strict=False):
        if e1 >= ann:
            return r0 + (r1 - r0) * (ann - e0) / (e1 - e0), (r0, r1)
    return None, None


def bend(rates: Sequence[float], own: Sequence[float]) -> float | None:
    """The largest relative distance of `own` from the straight line through its ends; None for fewer than three rates."""
    if len(rates) < 3:
        return None
    slope = (own[-1] - own[0]) / (rates[-1] - rates[0])
    return max(abs(own[0] + slope * (rate - rates[0]) - pj) / pj for rate, pj in zip(rates[1:-1], own[1:-1], strict=True))


def straight(rates: Sequence[float], own: Sequence[float], ann: float) -> float | None:
    """The rate at which the straight line through the ends reaches `ann`; None where it falls."""
    slope = (own[-1] - own[0]) / (rates[-1] - rates[0])
    return rates[0] + (ann - own[0]) / slope if slope > 0 else None
