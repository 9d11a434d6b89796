"""An energy frame line by line: count x price = energy, with formulas and numbered sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from hwsim.activity import SCOPES, VOCABULARY
from hwsim.cost.energy import NOT_MODELLED, scopes
from hwsim.units import format_si

if TYPE_CHECKING:
    import pandas as pd


def explain_rows(energy: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per event, component, power state and price, by scope and falling energy: scope, unit, component, event, state
    (of what leaks, else ""), count, price_pj, energy_pj, share (of the system's energy), formula, source, cores: those that the
    row is of where it is not of all that have the event, else "". The rows of core and system add up to the system's energy,
    those of compute are the papers' account; counts and energies are per sample where those of `energy` are."""
    keys = ["scope", "unit", "component", "event", "state", "price_pj", "formula", "source"]
    grouped = energy.groupby(keys, as_index=False, sort=False)[["count", "energy_pj"]].sum()
    grouped["cores"] = _cores(energy, keys)
    whole = scopes(energy)["system"]
    grouped["share"] = grouped["energy_pj"] / whole if whole else 0.0
    grouped["order"] = grouped["scope"].map({scope: i for i, scope in enumerate(SCOPES)})
    ordered = grouped.sort_values(["order", "energy_pj"], ascending=[True, False], kind="stable")
    names = ["scope", "unit", "component", "event", "state", "count", "price_pj", "energy_pj", "share", "formula", "source",
             "cores"]
    return [{str(k): v for k, v in row.items()} for row in ordered[names].to_dict("records")]


def _cores(energy: pd.DataFrame, keys: list[str]) -> list[str]:
    """For each group of `keys`, in the order of their appearance, the cores it is of, "" where these are all of its event."""
    if "core" not in energy:
        return [""] * energy.groupby(keys, sort=False).ngroups
    event = keys[:4]
    mine = [(tuple(group[event].iloc[0]), list(group["core"].unique())) for _, group in energy.groupby(keys, sort=False)]
    every: dict[tuple[str, ...], set[str]] = {}
    for key, names in mine:
        every.setdefault(key, set()).update(names)
    return [_ranges(names) if set(names) != every[key] else "" for key, names in mine]


def _ranges(names: Sequence[str]) -> str:
    """`core0 to core2, core5`: cores in their order, neighbours as a range."""
    numbers = sorted(int(name.removeprefix("core")) for name in names)
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    return ", ".join(f"core{a}" if a == b else f"core{a} to core{b}" for a, b in zip(starts, ends, strict=True))


def explain(energy: pd.DataFrame, off: Sequence[str] = ()) -> str:
    """`explain_rows` as text of at most 120 columns: count x price = energy, its formula, and numbered sources.

    off   memories that the design has and the trace does not use: named, as they are in no line.
    """
    rows, totals = explain_rows(energy), scopes(energy)
    numbers = {source: i for i, source in enumerate(dict.fromkeys(r["source"] for r in rows), 1)}
    lines: list[str] = []
    for scope in SCOPES:
        lines += ["", f"{scope}: {format_si(totals[scope] * 1e-12, 'J', 4)}, {_HOLDS[scope]}"]
        for row in (r for r in rows if r["scope"] == scope):
            name = _name(row)
            joules = format_si(row["energy_pj"] * 1e-12, "J", 4)
            lines.append(f"  {name:<36}{_count(row['count']):>17} x {row['price_pj']:>10.5g} pJ = {joules:>9} "
                         f"{100 * row['share']:>6.2f}%  [{numbers[row['source']]}]")
            of = f"{row['cores']}: " if row["cores"] else ""
            lines += wrap(of + row["formula"], 120, initial_indent=" " * 6, subsequent_indent=" " * 8)
    if off:
        lines += ["", *wrap(off_text(off), 120, subsequent_indent="  ")]
    lines += ["", "sources"]
    for source, number in numbers.items():
        lines += wrap(source, 120, initial_indent=f"  [{number}] ".ljust(7), subsequent_indent=" " * 7)
    lines += ["", *wrap(f"not modelled: {', '.join(NOT_MODELLED)}", 120, subsequent_indent="  ")]
    return "\n".join(lines[1:])


_HOLDS = {"compute": "the papers' account of arithmetic, in no other scope", "core": "the chip, its arithmetic by its gates",
          "system": "with core"}


def _name(row: Mapping[str, Any]) -> str:
    """The event, and who works at it where that is not the event's own unit."""
    if row["state"]:
        return f"{row['event']} {row['component']}, {row['state']}"
    own = {event.name: event.unit for event in VOCABULARY}
    return str(row["event"]) if own.get(row["event"]) == row["component"] else f"{row['event']} {row['component']}"


def off_text(off: Sequence[str]) -> str:
    """Memories that are off, as a sentence."""
    names = ", ".join(f"{name} memory" for name in off)
    return f"off: {names}. The trace does not use {'it' if len(off) == 1 else 'them'}: no leakage, no area (--leak-unused)"


def _count(count: float) -> str:
    """A count, or the mean of one: whole where it is, else to a tenth; to four digits where a tenth says little."""
    if float(count).is_integer():
        return f"{count:,.0f}"
    return f"{count:,.1f}" if count >= 1000 else f"{count:.4g}"
