"""Published rules for other nodes and supplies: Stillmaker and Baas 2017 for logic, CACTI's own ratios for SRAM by node.

    energy(V) = e2 V^2 + e1 V + e0        delay(V) = d3 V^3 + d2 V^2 + d1 V + d0        (V in volts, one row per node and family)

Their coefficients are scaling_stillmaker_baas.csv beside this file; HP and LP are two families of transistors and never mixed.
Between the nodes of a family everything is linear in the node, as the figures of 28 and 22 nm that circulate are. A ratio is that
of two points of one function, so scaling by nothing is 1, and two scalings in a row are the one from the first point to the last.
Outside the range of a row a rule says nothing and ScalingError is raised. Units: nm, V; ratios have none.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log
from pathlib import Path
from typing import Literal, NamedTuple

from hwsim.errors import HwsimError

_FILE = Path(__file__).with_name("scaling_stillmaker_baas.csv")

Family = Literal["lp", "hp"]

RULE = "Stillmaker and Baas 2017 (scaling_stillmaker_baas.csv)"
SRAM_RULE = "CACTI at equal supply, 65 / 32 / 22 nm over 45 nm: energy 1.47 / 0.69 / 0.46, area 2.1 / 0.51 / 0.24"

BORROWED_HP_32 = 0.95
"""HP 32 nm is given to 0.85 V. Up to the range of its neighbours its energy may stand between them, but not for itself."""


class ScalingError(HwsimError):
    """A node or a supply beyond a published rule; the text names the rule, its range and what to do."""


class Point(NamedTuple):
    """Where a circuit works."""

    node_nm: float
    vdd_v: float

    def __str__(self) -> str:
        return f"{self.node_nm:g} nm, {self.vdd_v:g} V"


@dataclass(frozen=True)
class _Row:
    """One node of one family. `energy` and `delay` hold coefficients, the highest power first."""

    node_nm: float
    vdd_low: float
    vdd_high: float
    delay: tuple[float, ...]
    energy: tuple[float, ...]
    area: float


@lru_cache(maxsize=2)
def _rows(family: Family) -> tuple[_Row, ...]:
    """The rows of a family by falling node.

    The row of 65 nm belongs to neither and is left out: it would be three times as fast as LP 45 nm.
    """
    with _FILE.open(newline="", encoding="utf-8") as lines:
        found = [r for r in csv.DictReader(lines) if r["node"].startswith(family.upper())]
    return tuple(
        _Row(float(r["node"][2:]), float(r["vdd_low"]), float(r["vdd_high"]), tuple(float(r[f"d{i}"]) for i in (3, 2, 1, 0)),
             tuple(float(r[f"e{i}"]) for i in (2, 1, 0)), float(r["area_vs_45nm"]))
        for r in found)


def energy_ratio(family: Family, start: Point, end: Point) -> float:
    """Energy of a circuit's operation at `end` over that at `start`. Raises ScalingError."""
    return 1.0 if start == end else _energy(family, end) / _energy(family, start)


def delay_ratio(family: Family, start: Point, end: Point) -> float:
    """Delay at `end` over that at `start`. Raises ScalingError."""
    return 1.0 if start == end else _delay(family, end) / _delay(family, start)


def area_ratio(family: Family, start_nm: float, end_nm: float) -> float:
    """Area of logic at one node over that at another. Raises ScalingError."""
    return 1.0 if start_nm == end_nm else _area(family, end_nm) / _area(family, start_nm)


def _energy(family: Family, at: Point) -> float:
    return _between(at.node_nm, [
        (row.node_nm, _polynomial(row.energy, at.vdd_v)) for row in _around(family, at, may_borrow=True)])


def _delay(family: Family, at: Point) -> float:
    return _between(at.node_nm, [
        (row.node_nm, _polynomial(row.delay, at.vdd_v)) for row in _around(family, at, may_borrow=False)])


def _area(family: Family, node_nm: float) -> float:
    return _between(node_nm, [(row.node_nm, row.area) for row in _neighbours(family, node_nm)])


def _polynomial(coefficients: tuple[float, ...], x: float) -> float:
    value = 0.0
    for coefficient in coefficients:
        value = value * x + coefficient
    return value


def _between(x: float, points: list[tuple[float, float]]) -> float:
    """Linear between one or two points."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    return y0 if x0 == x1 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def _neighbours(family: Family, node_nm: float) -> list[_Row]:
    """The row of a node, or the two that it lies between."""
    rows = _rows(family)
    if exact := [row for row in rows if row.node_nm == node_nm]:
        return exact
    above, below = [r for r in rows if r.node_nm > node_nm], [r for r in rows if r.node_nm < node_nm]
    if not above or not below:
        raise ScalingError(
            f"technology.node_nm: {node_nm:g} nm lies beyond {RULE}, whose {family.upper()} rows go from {rows[0].node_nm:g} to "
            f"{rows[-1].node_nm:g} nm; give a table that was made for this node (conditions.node_nm)")
    return [above[-1], below[0]]


def _around(family: Family, at: Point, may_borrow: bool) -> list[_Row]:
    """The rows that say something of a point; each must hold at its supply. `may_borrow`: see BORROWED_HP_32."""
    rows = _neighbours(family, at.node_nm)
    for row in rows:
        high = row.vdd_high
        if may_borrow and len(rows) == 2 and family == "hp" and row.node_nm == 32:
            high = BORROWED_HP_32
        if not row.vdd_low <= at.vdd_v <= high:
            what = "energy" if may_borrow else "delay"
            raise ScalingError(
                f"technology.vdd_v: {at.vdd_v:g} V lies beyond {RULE}: {what} of {family.upper()} {row.node_nm:g} nm holds from "
                f"{row.vdd_low:g} to {high:g} V; choose a supply in this range, or give tables of this supply")
    return rows


# --- SRAM ------------------------------------------------------------------------------------------------------------

_SRAM_ENERGY = ((65.0, 1.47), (45.0, 1.0), (32.0, 0.69), (22.0, 0.46))
_SRAM_AREA = ((65.0, 2.1), (45.0, 1.0), (32.0, 0.51), (22.0, 0.24))


def sram_energy_ratio(start_nm: float, end_nm: float) -> float:
    """Energy of an access at one node over that at another, at one supply. Raises ScalingError."""
    return 1.0 if start_nm == end_nm else _sram(_SRAM_ENERGY, end_nm) / _sram(_SRAM_ENERGY, start_nm)


def sram_area_ratio(start_nm: float, end_nm: float) -> float:
    """Area of a memory at one node over that at another. Raises ScalingError."""
    return 1.0 if start_nm == end_nm else _sram(_SRAM_AREA, end_nm) / _sram(_SRAM_AREA, start_nm)


def _sram(points: tuple[tuple[float, float], ...], node_nm: float) -> float:
    """A power law between neighbouring nodes."""
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        if x1 <= node_nm <= x0:
            return y0 * exp(log(node_nm / x0) * log(y1 / y0) / log(x1 / x0))
    raise ScalingError(
        f"technology.node_nm: {node_nm:g} nm lies beyond {SRAM_RULE}; give a memory profile that was made for this node "
        "(conditions.node_nm)")
