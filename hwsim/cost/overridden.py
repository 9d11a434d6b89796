"""What a user's overrides did to a design: each price and leakage that they moved, from what, and overrides that moved nothing.

pJ by event, mW by component.
"""

from __future__ import annotations

from collections.abc import Collection
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from hwsim.cost.area import leakage_figures
from hwsim.cost.energy import Given, NotProvisionedError, core_prices
from hwsim.cost.leakage import working_leaks
from hwsim.cost.overrides import PRICED, meeting, read_overrides
from hwsim.errors import HwsimError

if TYPE_CHECKING:
    from hwsim.arch import Architecture
    from hwsim.cost.energy import PriceList

PJ, MW = "pJ", "mW"


def overridden(arch: Architecture, overrides: Given = None, used: Collection[str] | None = None) -> list[dict[str, Any]]:
    """One row per price and leakage of the design that an override meets: name, unit, value, was (None where no table has it), by
    (the override, with those that it replaces), core (its entry of `cores` where there are several, else "").

    Raises what the prices raise.
    """
    given = read_overrides(overrides)
    rows = [row for where, one in arch.entries() for row in _prices(core_prices(one, given, used), where)]
    was: dict[str, float] = {}
    for figure in leakage_figures(arch, used):
        was[figure.component] = was.get(figure.component, 0.0) + figure.amount
    now = dict.fromkeys(was, 0.0)
    for leak in working_leaks(arch, given, used):
        if leak.component in was:
            now[leak.component] += leak.mw
    for name, milliwatts in was.items():
        change, instead = meeting(given.leakage_mw, name)
        if change is not None:
            rows.append({"name": f"leakage_mw.{name}", "unit": MW, "value": now[name], "was": milliwatts,
                         "by": f"leakage_mw.{change}{instead}", "core": ""})
    return rows


def _prices(prices: PriceList, where: str) -> list[dict[str, Any]]:
    rows = []
    for event in PRICED:
        change, instead = meeting(prices.overrides.prices, event)
        if change is None:
            continue
        try:
            value, was = prices.price(event).pj, _own(prices, event)
        except NotProvisionedError:
            continue
        rows.append({"name": event, "unit": PJ, "value": value, "was": was, "by": f"{change}{instead}", "core": where})
    return rows


def _own(prices: PriceList, event: str) -> float | None:
    try:
        return prices.own(event).pj
    except HwsimError:
        return None


def without_effect(arch: Architecture, overrides: Given = None, used: Collection[str] | None = None) -> list[str]:
    """Overrides, as they are written, that move no price of the design: it lacks the hardware, or the memory is off, or a later
    one meets all that they meet."""
    given = read_overrides(overrides)
    names = {row["name"] for row in overridden(arch, given, used)}
    found = []
    for prefix, changes in (("", given.prices), ("leakage_mw.", given.leakage_mw)):
        mine = [name.removeprefix(prefix) for name in names if name.startswith("leakage_mw.") == bool(prefix)]
        holding = {meeting(changes, name)[0] for name in mine}
        found += [f"{prefix}{change}" for change in changes if change not in holding]
    return found


def overridden_text(arch: Architecture, overrides: Given = None, used: Collection[str] | None = None) -> str:
    """`overridden` and `without_effect` as text of at most 120 columns; empty without overrides."""
    lines = []
    for row in overridden(arch, overrides, used):
        was = "no table has it" if row["was"] is None else f"was {row['was']:.5g}"
        core = f" of {row['core']}" if row["core"] else ""
        lines += wrap(f"{row['name']}{core}: {row['value']:.5g} {row['unit']}, {was}: {row['by']}", 120, initial_indent="  ",
                      subsequent_indent="      ")
    if nothing := without_effect(arch, overrides, used):
        lines += wrap(f"without effect here: {', '.join(nothing)}", 120, initial_indent="  ", subsequent_indent="      ")
    return "\n".join(["overridden", *lines]) if lines else ""
