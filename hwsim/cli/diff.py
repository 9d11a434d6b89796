"""`hwsim diff`: which rule, price or setting moved which number between two saved runs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.activity import SCOPES
from hwsim.cli.common import JsonOption, print_json, print_table, terminal_columns
from hwsim.diff import difference
from hwsim.diff.numbers import counts_by_event, cycles_by_cause
from hwsim.units import format_si

if TYPE_CHECKING:
    from hwsim.diff import Difference
    from hwsim.diff.moved import Moved
    from hwsim.diff.settings import Setting

app = typer.Typer(add_completion=False, rich_markup_mode=None)

FIRST_LINES = 10
UNITS = {"_s": (1.0, "s"), "_js": (1.0, "Js"), "_pj": (1e-12, "J"), "_w": (1.0, "W"), "_hz": (1.0, "Hz")}
"""By the end of a number's name: factor and unit that people read."""


@app.command()
def diff_command(
    a: Annotated[str, typer.Argument(help="Folder that `hwsim run --out` wrote: the run to start from.")],
    b: Annotated[str, typer.Argument(help="Another such folder. Every change is B minus A.")],
    whole: Annotated[bool, typer.Option("--all", help="Every number and every line, not only the largest changes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the settings and the numbers that differ, and how much of each energy prices moved and how much counts moved."""
    found = difference(a, b)
    if as_json:
        print_json(found.to_json())
        return
    for name, folder, result in (("A", a, found.a), ("B", b, found.b)):
        f = result.facts
        typer.echo(_wrapped(f"{name}  {folder}: run {result.run_id}, {f.trace} on {f.arch}, {f.schedule}", 3))
    for note in found.notes():
        typer.echo(_wrapped(note, 0))
    most = None if whole else FIRST_LINES
    _print_settings(found.settings)
    _print_energy(found)
    _print_alone(found)
    _print_lines(found.lines, most)
    _print_cycles(found, most)
    _print_events(found, most)
    _print_numbers(found, most)
    _print_only_in(found)


def _wrapped(text: str, indent: int) -> str:
    return textwrap.fill(text, min(118, (terminal_columns() or 120) - 2), subsequent_indent=" " * indent,
                         break_long_words=False, break_on_hyphens=False)


def _heading(text: str) -> None:
    typer.echo(f"\n{_wrapped(text, 0)}\n")


def _rest(rows: Sequence[Any], most: int | None) -> None:
    if most is not None and len(rows) > most:
        typer.echo(f"and {len(rows) - most} more: --all")


def _print_settings(settings: Sequence[Setting]) -> None:
    if not settings:
        _heading("settings: none differ")
        return
    _heading("settings that differ, and what each can move")
    # What the names and the last column leave, for two values.
    taken = max(len(row.name) for row in settings) + max(len(row.moves) for row in [*settings]) + 6
    most = min(28, max(10, ((terminal_columns() or 120) - taken) // 2))
    print_table([{"setting": row.name, "A": _value(row.a, most), "B": _value(row.b, most), "can move": row.moves}
                 for row in settings], left=("setting", "A", "B", "can move"))


def _value(value: Any, most: int) -> str:
    if value is None:
        return "-"
    if isinstance(value, list) and len(value) > 1 and value == list(range(value[0], value[0] + len(value))):
        return f"{value[0]} to {value[-1]}"
    text = str(value)
    return text if len(text) <= most else f"{text[:(most - 2) // 2]}...{text[len(text) - (most - 3) // 2:]}"


def _print_energy(found: Difference) -> None:
    _heading("energy per sample: its change is what prices moved and what counts moved, exactly")
    rows = [{"scope": scope, **_energies(found.scopes[scope])} for scope in SCOPES]
    print_table(rows, left=("scope",))


def _energies(sums: Mapping[str, float]) -> dict[str, str]:
    names = {"A": "a_pj", "B": "b_pj", "change": "change_pj", "prices moved": "price_moved_pj", "counts moved": "count_moved_pj"}
    cells = {name: _signed(sums[key] * 1e-12, "J", signed=name not in "AB") for name, key in names.items()}
    return cells | {"change %": _percent(sums["a_pj"], sums["b_pj"])}


def _signed(value: float, unit: str, signed: bool = True) -> str:
    text = format_si(value, unit, 4)
    return f"+{text}" if signed and value > 0 else text


def _percent(a: float | None, b: float | None) -> str:
    return "-" if not a or b is None else f"{100 * (b - a) / a:+.2f}"


def _print_alone(found: Difference) -> None:
    if not found.alone:
        return
    _heading("settings of prices, each moved alone to B's value on A's counts")
    rows = []
    for row in found.alone:
        cells = {scope: "-" if row.change_pj is None else _signed(row.change_pj[scope] * 1e-12, "J") for scope in SCOPES}
        rows.append({"setting": row.name, **cells})
    print_table(rows, left=("setting",))
    for row in found.alone:
        if row.change_pj is None:
            typer.echo(_wrapped(f"{row.name} cannot be moved alone: {row.why_not}", 2))
    if len(found.alone) > 1:
        typer.echo("They need not add up: prices multiply each other.")


def _print_lines(lines: Sequence[Moved], most: int | None) -> None:
    moved = [line for line in lines if line.change_pj]
    if not moved:
        return
    _heading("lines of energy, the largest change first (core and system lines add up; compute is the papers' account)")
    rows = []
    for line in moved[:most]:
        name = f"{line.event} {line.state}".strip()
        rows.append({"scope": line.scope, "component": line.component, "event": name, "layer": line.layer or "-",
                     "change": _signed(line.change_pj * 1e-12, "J"), "by price": _signed(line.price_pj * 1e-12, "J"),
                     "by count": _signed(line.count_pj * 1e-12, "J"), "only in": line.row()["only_in"] or "-"})
    print_table(rows, left=("scope", "component", "event", "layer"), spare=("only in", "scope", "component", "layer"))
    _rest(moved, most)


def _print_cycles(found: Difference, most: int | None) -> None:
    rows = cycles_by_cause(found.a, found.b, found.same_network)
    rows.sort(key=lambda row: -abs(row["change"]))
    if rows:
        _heading("cycles per sample, by cause")
        cells = [{"resource": r["resource"], "layer": r["layer"] or "-", "cause": r["cause"], "rule": r["rule"] or "-",
                  **_counts(r)} for r in rows[:most]]
        print_table(cells, left=("resource", "layer", "cause", "rule"), spare=("resource",))
        typer.echo("rules: docs/cycle-model.md")
        _rest(rows, most)


def _print_events(found: Difference, most: int | None) -> None:
    rows = counts_by_event(found.a, found.b, False)
    rows.sort(key=lambda row: -abs(row["change"]))
    if rows:
        _heading("events per sample, all layers")
        print_table([{"event": r["event"], "unit": r["unit"], **_counts(r)} for r in rows[:most]], left=("event", "unit"),
                    spare=("unit",))
        _rest(rows, most)


def _counts(row: Mapping[str, Any]) -> dict[str, str]:
    return {"A": f"{row['a']:,.1f}", "B": f"{row['b']:,.1f}", "change": f"{row['change']:+,.1f}",
            "change %": _percent(row["a"], row["b"])}


def _print_numbers(found: Difference, most: int | None) -> None:
    if not found.numbers:
        _heading("numbers: none differ")
        return
    _heading("numbers that differ, by their names in --json")
    rows = [{"number": n.name, "A": _measure(n.name, n.a), "B": _measure(n.name, n.b), "change %": _percent(n.a, n.b)}
            for n in found.numbers[:most]]
    print_table(rows, left=("number",))
    _rest(found.numbers, most)


def _measure(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    first = name.split(".")[0 if not name.startswith("at_rate") else 1]
    for end, (factor, unit) in UNITS.items():
        if first.endswith(end):
            return format_si(value * factor, unit, 4)
    return f"{value:,.6g}" if abs(value) < 1000 else f"{value:,.1f}"


def _print_only_in(found: Difference) -> None:
    for which in ("A", "B"):
        for kind, names in found.only_in(which).items():
            if names:
                typer.echo("\n" + _wrapped(f"only in {which}, {kind}: {', '.join(names)}", 2))
