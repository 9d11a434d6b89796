"""From the conditions of a table to those of a design: every number is scaled by a declared rule, or refused.

A design has one node, one supply and one family of transistors (`technology: {node_nm, vdd_v, family}`). Arithmetic and logic
follow Stillmaker and Baas. SRAM follows its profile's own law of supply and CACTI's ratios by node. Leakage goes with a power of
the supply; across nodes no law of it is usable, so the design gives a number (`leakage_over_table`) or is refused. A factor says
what it did and where that comes from, so that prices can repeat it. Where table and design agree, it is 1 and says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hwsim.cost.technology import scaling
from hwsim.cost.technology.scaling import Point, ScalingError

if TYPE_CHECKING:
    from hwsim.arch import Technology
    from hwsim.cost.technology.memory_tables import MemoryProfile, SupplyQuantity
    from hwsim.cost.technology.sources import Conditions, Confidence

Logic = Literal["energy", "delay", "area", "leakage"]
Sram = Literal["read", "write", "access", "area", "subthreshold", "gate"]

LEAKAGE_POWER = 5
"""Leakage of logic goes with the fifth power of the supply: (0.9 / 1.1)^5 = 0.37."""
LEAKAGE_RULE = "leakage of logic with the fifth power of the supply [McPAT technology.cc, the fit of its I_off]"


@dataclass(frozen=True)
class Factor:
    """What a number is multiplied by. `text`: the step in words, `source`: its rule; both empty for 1."""

    value: float = 1.0
    text: str = ""
    source: str = ""
    confidence: Confidence = "read in the paper"

    def __bool__(self) -> bool:
        return bool(self.text)

    def after(self, formula: str) -> str:
        """A formula with this factor behind it."""
        return f"({formula}) x {self.value:.4g} ({self.text})" if self else formula

    def cited(self, source: str) -> str:
        return f"{source}; {self.source}" if self else source


NOTHING = Factor()


def point_of(technology: Technology) -> Point:
    """Where a design works."""
    return Point(technology.node_nm, technology.vdd_v)


def logic_factor(technology: Technology, conditions: Conditions, quantity: Logic, what: str) -> Factor:
    """From a table of arithmetic or logic to the design. `what` names the table in errors. Raises ScalingError."""
    start, end = _ends(technology, conditions, what)
    if start == end:
        return NOTHING
    family, step = technology.family, f"{start} to {end}"
    if quantity == "leakage":
        factor, says = _leakage_over_nodes(technology, start, what)
        return Factor((end.vdd_v / start.vdd_v) ** LEAKAGE_POWER * factor, f"{step}: V^{LEAKAGE_POWER}{says}", LEAKAGE_RULE,
                      "assumption")
    if quantity == "area":
        if start.node_nm == end.node_nm:
            return NOTHING
        return Factor(scaling.area_ratio(family, start.node_nm, end.node_nm), step, scaling.RULE, "read in a file")
    ratio = scaling.energy_ratio if quantity == "energy" else scaling.delay_ratio
    return Factor(ratio(family, start, end), f"{step}, {family.upper()}", scaling.RULE, "read in a file")


def sram_factor(technology: Technology, profile: MemoryProfile, quantity: Sram) -> Factor:
    """From a memory profile to the design: its own law of supply, then CACTI's ratio by node. Raises ScalingError."""
    what = f"memory profile {profile.name}"
    start, end = _ends(technology, profile.conditions, what)
    if start == end:
        return NOTHING
    value, texts, sources = 1.0, [], []
    if start.vdd_v != end.vdd_v and quantity != "area":
        power, source = _supply_power(profile, quantity, start, end, what)
        value *= (end.vdd_v / start.vdd_v) ** power
        texts.append(f"{start.vdd_v:g} to {end.vdd_v:g} V: V^{power:g}")
        sources.append(source)
    if start.node_nm != end.node_nm:
        ratio, text, source = _sram_over_nodes(technology, start, end, quantity, what)
        value *= ratio
        texts.append(text)
        sources.append(source)
    return Factor(value, "; ".join(texts), "; ".join(sources), "assumption") if texts else NOTHING


def _supply_power(profile: MemoryProfile, quantity: SupplyQuantity, start: Point, end: Point, what: str) -> tuple[float, str]:
    """The exponent of the supply and its source. Raises ScalingError without a law, or beyond its range."""
    law = profile.supply_scaling
    if law is None:
        raise ScalingError(
            f"{what} holds at {start} and the design works at {end}: it declares no supply_scaling, and numbers of two supplies "
            f"are not mixed; set technology.vdd_v: {start.vdd_v:g}, or declare supply_scaling in the table with its source")
    for volts in (start.vdd_v, end.vdd_v):
        if not law.vdd_low <= volts <= law.vdd_high:
            raise ScalingError(
                f"technology.vdd_v: {volts:g} V lies beyond the supply_scaling of {what}, which holds from {law.vdd_low:g} to "
                f"{law.vdd_high:g} V; choose a supply in this range, or another memory profile")
    power, source = profile.supply_power(quantity)
    return power, source.text


def _sram_over_nodes(technology: Technology, start: Point, end: Point, quantity: Sram, what: str) -> tuple[float, str, str]:
    step = f"{start.node_nm:g} to {end.node_nm:g} nm"
    if quantity in ("read", "write"):
        return scaling.sram_energy_ratio(start.node_nm, end.node_nm), step, scaling.SRAM_RULE
    if quantity == "area":
        return scaling.sram_area_ratio(start.node_nm, end.node_nm), step, scaling.SRAM_RULE
    if quantity == "access":
        here = Point(start.node_nm, end.vdd_v)
        return scaling.delay_ratio(technology.family, here, end), f"{step}, as logic", scaling.RULE
    ratio, says = _leakage_over_nodes(technology, start, what)
    return ratio, step + says, "technology.leakage_over_table of the design"


def _leakage_over_nodes(technology: Technology, start: Point, what: str) -> tuple[float, str]:
    """The number that the design gives, because no law does."""
    if start.node_nm == technology.node_nm:
        return 1.0, ""
    given = technology.leakage_over_table
    if given is None:
        raise ScalingError(
            f"technology.node_nm: {technology.node_nm:g} nm: there is no usable law of leakage across nodes (CACTI's low-power "
            f"cells leak nine times as much at 32 nm as at 45), and {what} holds at {start.node_nm:g} nm; give "
            f"technology.leakage_over_table, the leakage of a circuit at {technology.node_nm:g} nm over that at "
            f"{start.node_nm:g} nm, at one supply")
    return given, f" x {given:g} of the design"


def _ends(technology: Technology, conditions: Conditions, what: str) -> tuple[Point, Point]:
    if conditions.node_nm is None or conditions.vdd_v is None:
        raise ScalingError(f"{what} does not say at which node and supply it holds, so it cannot be used on a chip; state its "
                           "conditions with a source")
    return Point(conditions.node_nm, conditions.vdd_v), point_of(technology)
