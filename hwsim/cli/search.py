"""`hwsim search`: reference designs by search; chosen on some traces, reported on others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwsim.cli.common import JsonOption, print_json, print_table, progress
from hwsim.cost.clock import check_timing
from hwsim.errors import HwsimError
from hwsim.files import whole_file
from hwsim.simulation import simulate
from hwsim.sweep.search import Found, Outcome, Places, Searcher
from hwsim.sweep.search_file import read_search, winner_file

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SHOWN = 12
"""Designs of a front that are printed."""


@app.command()
def search_command(
    study: Annotated[str, typer.Argument(metavar="SEARCH.yaml", help="A search file (docs/sweeps.md).")],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Where rows and designs go; a stopped search goes on.")],
    workers: Annotated[int | None, typer.Option(min=1, help="Processes (default: 1, this one).")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Search each machine's space, print the front of each trace, and write DIR/NAME.yaml, the best design of each machine."""
    search = read_search(study)
    with progress("designs") as report:
        found = Searcher(search, out, report, workers).run()
    written = []
    for name, design in found.winners:
        text = winner_file(design, search, study)
        written.append(Path(out) / f"{name}.yaml")
        with whole_file(written[-1]) as part:
            part.write_text(text, encoding="utf-8")
    rows = [row for trace in _traces(found) for row in _front(found, trace)]
    reported = list(_reported(found))
    if as_json:
        print_json({"front": rows, "report": reported, "designs": [str(path) for path in written],
                    "searched": [_searched(f) for f in found.found]})
        return
    print_table([_searched(f) for f in found.found], left=("machine", "side"))
    for trace in _traces(found):
        front = _front(found, trace)
        typer.echo(f"\nfront of {Path(trace).stem}, {len(front)} designs; *: its knee, the least product of "
                   f"{', '.join(search.minimise)}")
        print_table([_short(row) for row in front[:SHOWN]], left=("machine", "design"))
        if len(front) > SHOWN:
            typer.echo(f"and {len(front) - SHOWN} more: {out}/rows.jsonl")
    typer.echo("\nthe best design of each machine on traces that it was not chosen on")
    print_table([_short(row) for row in reported], left=("trace", "machine", "problem"))
    typer.echo(f"\nwritten: {', '.join(map(str, written))}")


def _traces(found: Outcome) -> list[str]:
    return [trace for side in found.search.choose.values() for trace in side]


def _searched(found: Found) -> dict[str, Any]:
    size = 1
    for axis in found.machine.axes:
        size *= len(axis.values)
    return {"machine": found.machine.name, "side": found.machine.side, "grid": size, "looked at": len(found.holding),
            "simulated": len(found.rows)}


def _front(found: Outcome, trace: str) -> list[dict[str, Any]]:
    best = found.best(trace)
    return [{"trace": Path(trace).stem, "machine": f.machine.name, "knee": "*" if best == (f, places) else "",
             **dict(zip(found.search.minimise, costs, strict=True)), "core_uj": _core(f, places, trace),
             "design": _design(f, places)}
            for f, places, costs in found.front(trace)]


def _core(found: Found, places: Places, trace: str) -> float:
    return float(found.rows[places][trace]["energy_pj"]["core"]) / 1e6


def _design(found: Found, places: Places) -> str:
    return ", ".join(f"{axis.field.rpartition('.')[2]} {axis.values[at]}"
                     for axis, at in zip(found.machine.axes, places, strict=True))


def _reported(found: Outcome) -> list[dict[str, Any]]:
    """The best designs on the other traces; every sample is computed and compared."""
    rows = []
    sides = {machine.name: machine.side for machine in found.search.machines}
    for name, design in found.winners:
        problems = check_timing(design)
        for trace in found.search.report[sides[name]]:
            row: dict[str, Any] = {"trace": Path(trace).stem, "machine": name, "latency_ms": None, "core_uj": None,
                                   "energy_uj": None, "area_mm2": None, "mismatches": None, "problem": "; ".join(problems)}
            try:
                result = simulate(trace, design)
                row |= {"latency_ms": result.latency_s * 1e3, "core_uj": result.energy_pj["core"] / 1e6,
                        "energy_uj": result.energy_pj["system"] / 1e6, "area_mm2": result.area_mm2,
                        "mismatches": result.facts.mismatches}
            except HwsimError as error:  # it does not run, or something that it counts has no price
                row["problem"] = str(error).splitlines()[-1].strip(" -")
            rows.append(row)
    return rows


def _short(row: dict[str, Any]) -> dict[str, str]:
    return {name: f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)
            for name, value in row.items() if name != "trace" or "problem" in row}
