"""Leakage is component x state x time: what each component leaks in each of its power states, mW.

While a sample runs, everything that the network uses is on, and a memory that it does not use is off for good: it is not there,
it leaks nothing and takes no area. Between samples the design's `power` decides (hwsim/cores/power.py). Figures of what is on are
those of hwsim/cost/area.py, or the user's. What retention leaks comes from the memory table's law of supply, or from the design.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hwsim.activity import UNIT_OF
from hwsim.cores.power import MEMORY_OF, OFF, ON, RETENTION, State
from hwsim.cost.area import ComponentAmount, leakage_figures, leaking_components
from hwsim.cost.memory import bank_counts, lender, macros
from hwsim.cost.overrides import OVERRIDE, EnergyError, Overrides, meeting, nearest
from hwsim.cost.technology.scaling import ScalingError
from hwsim.kept import kept

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.arch import Architecture

LEAKAGE = "leakage"
"""Event and unit of what leaks: energy that no event causes is in no other unit's."""

NOT_USED = "the network does not use this memory, so it is not supplied (hwsim/cores/provision.py)"


@dataclass(frozen=True)
class Leak:
    """What all `count` units or banks of a component leak in a state, mW."""

    component: str
    state: State
    count: int
    mw: float
    source: str


@kept
def working_leaks(arch: Architecture, overrides: Overrides, used: Collection[str] | None) -> list[Leak]:
    """What leaks while a sample runs; memories that the network does not use stand at the end, off.

    Raises EnergyError for an override of a component that the design lacks; what the tables raise.
    """
    on = [Leak(f.component, ON, f.count, f.amount, f.source) for f in _figures(arch, overrides, used)]
    return on + [Leak(UNIT_OF[name], OFF, banks, 0.0, NOT_USED) for name, banks in _unused(arch, used).items()]


@kept
def waiting_leaks(arch: Architecture, overrides: Overrides, used: Collection[str] | None) -> list[Leak]:
    """What leaks between samples, each component in the state that the design's `power` says; the same components in the same
    order. An override is of what is on; other states leak their part of it.

    Raises what `working_leaks` raises, and ScalingError for a retention voltage that the memory table's law does not reach.
    """
    found = []
    for leak in working_leaks(arch, overrides, used):
        state = arch.power.between_samples(MEMORY_OF.get(leak.component))
        if leak.state == OFF or state == ON:
            found.append(leak)
        elif state == OFF:
            rest = arch.power.off_over_on
            found.append(replace(leak, state=OFF, mw=leak.mw * rest, source=f"power.off_over_on {rest:g} of: {leak.source}"))
        else:
            ratio, how = _retained(arch, MEMORY_OF[leak.component], used)
            found.append(replace(leak, state=RETENTION, mw=leak.mw * ratio, source=f"{how} of: {leak.source}"))
    return found


def _figures(arch: Architecture, overrides: Overrides, used: Collection[str] | None) -> list[ComponentAmount]:
    """What is on, with the user's numbers. An override of a memory that is off has no effect: it is off."""
    names = leaking_components(arch)
    for given in overrides.leakage_mw:
        if not any(map(given.meets, names)):
            raise EnergyError(f"overrides: leakage_mw.{given.pattern}: {arch.name} has no such component; allowed are "
                              f"{', '.join(names)}; nearest: {nearest(given.pattern, names)}")
    found: list[ComponentAmount] = []
    figures = leakage_figures(arch, used)
    for figure in figures:
        change, instead = meeting(overrides.leakage_mw, figure.component)
        if change is None:
            found.append(figure)
        elif change.factor:
            source = f"{OVERRIDE} {change}{instead} of {figure.amount:.4g} mW: {figure.source}"
            found.append(replace(figure, amount=change.number * figure.amount, source=source))
        elif figure.component not in {f.component for f in found}:  # its figures of several sources are one number of the user
            count = sum(f.count for f in figures if f.component == figure.component)
            found.append(replace(figure, count=count, amount=change.number, source=OVERRIDE))
    return found


def _unused(arch: Architecture, used: Collection[str] | None) -> Mapping[str, int]:
    """Banks of the memories that the design has and the network does not use."""
    found: dict[str, int] = {}
    for one, count in arch.kinds():
        least = one.only.least_banks
        for name, bits in one.capacities.items():
            if bits and used is not None and name not in used:
                banks, _ = bank_counts(one.row_bits[name], least.get(name, 1))
                found[name] = found.get(name, 0) + count * banks
    return found


def _retained(arch: Architecture, name: str, used: Collection[str] | None) -> tuple[float, str]:
    """Leakage of a memory in retention over that when on, and how it was found."""
    power, tech = arch.power, arch.technology
    if power.retention_over_on is not None:
        return power.retention_over_on, f"power.retention_over_on {power.retention_over_on:g}"
    assert power.retention_v is not None  # Power refuses retention without a price
    if power.retention_v > tech.vdd_v:
        raise ScalingError(f"power.retention_v: {power.retention_v:g} V is above the supply of the chip; give at most "
                           f"technology.vdd_v, {tech.vdd_v:g} V")
    profile = lender(tech.memory)
    law = profile.supply_scaling
    if law is None:
        raise ScalingError(f"power.retention_v: memory profile {profile.name} declares no supply_scaling, so nothing says what a "
                           "memory leaks at another supply; give power.retention_over_on, a number of your own")
    if not law.vdd_low <= power.retention_v <= law.vdd_high:
        raise ScalingError(
            f"power.retention_v: {power.retention_v:g} V lies beyond the supply_scaling of memory profile {profile.name}, which "
            f"holds from {law.vdd_low:g} to {law.vdd_high:g} V; choose a voltage in this range, or give power.retention_over_on")
    (below, source), (gate, _) = profile.supply_power("subthreshold"), profile.supply_power("gate")
    step = power.retention_v / tech.vdd_v
    on = kept = 0.0
    for one, count in arch.kinds():
        if (m := macros(one, used).get(name)) is not None:
            on += count * m.leakage_mw
            kept += count * m.banks * (m.bank_subthreshold_mw * step**below + m.bank_gate_mw * step**gate)
    how = (f"retention at {power.retention_v:g} V: subthreshold leakage with V^{below:g}, gate leakage with V^{gate:g} "
           f"[{source.text}]")
    return kept / on, how


def leakage(arch: Architecture, overrides: Overrides, used: Collection[str] | None) -> pd.DataFrame:
    """What everything that is on leaks while a sample runs: component, leakage_mw, source."""
    import pandas as pd

    rows = [(f.component, f.amount, f.source) for f in _figures(arch, overrides, used)]
    return pd.DataFrame(rows, columns=["component", "leakage_mw", "source"])


def leakage_rows(arch: Architecture, leaks: list[Leak], cycles: float, keys: Collection[str]) -> pd.DataFrame:
    """Leaks over some cycles as rows of an energy frame; `keys` are its columns that name no unit, event or price."""
    import pandas as pd

    period = arch.period_ns
    frame = pd.DataFrame({
        "unit": LEAKAGE, "component": [leak.component for leak in leaks], "event": LEAKAGE,
        "state": [leak.state for leak in leaks], "scope": "core", "count": cycles,
        "price_pj": [leak.mw * period for leak in leaks],
        "formula": [f"{leak.state}: {leak.mw:.4g} mW x {period:.4g} ns per cycle" for leak in leaks],
        "source": [leak.source for leak in leaks],
    })
    frame["energy_pj"] = frame["count"] * frame["price_pj"]
    return frame.assign(**{key: "" if key in ("layer", "core") else -1 for key in keys})
