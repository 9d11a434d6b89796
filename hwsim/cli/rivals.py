"""`hwsim rivals`: a design beside every ANN rival at equal lanes, equal area and equal latency, and the strongest of them."""

from __future__ import annotations

import csv
from typing import Annotated, Any

import typer

from hwsim.cli.common import JsonOption, PriceOption, PricesOption, print_json, print_table, progress, read_overrides
from hwsim.files import whole_file
from hwsim.rivals import EQUAL, Against, against

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def rivals_command(
    trace: Annotated[str, typer.Argument(help="Spiking trace (HDF5).")],
    arch: Annotated[str, typer.Option("--arch", help="Event core: a YAML file or a shipped design.")],
    ann: Annotated[str | None, typer.Argument(
        help="Trace of the quantised ANN that it came from (HDF5); left out, the one in a bit-serial trace.")] = None,
    schedule: Annotated[str, typer.Option(help="Of the spiking trace: layer_by_layer or step_by_step.")] = "layer_by_layer",
    samples: Annotated[int | None, typer.Option(min=1, help="Replay the first N samples of each trace (default: all).")] = None,
    out: Annotated[str | None, typer.Option("--out", "-o", metavar="FILE", help="Write all rows as CSV.")] = None,
    price: PriceOption = None,
    prices: PricesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a design beside every ANN rival, each at its own highest clock, and name the strongest at equal latency."""
    with progress("rivals") as report:
        found = against(trace, ann, arch, schedule=schedule, samples=samples, overrides=read_overrides(price, prices),
                        progress=report)
    if out is not None:
        with whole_file(out) as part, open(part, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(found.rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(found.rows)
    if as_json:
        strongest = found.strongest
        print_json({"rows": found.rows, "strongest": strongest and strongest.rival, "verdict": found.verdict})
        return
    _print(found)


def _print(found: Against) -> None:
    """One line for each rival, the three comparisons side by side."""
    own, *rows = found.rows
    reasons: list[str] = []
    by_rival: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_rival.setdefault(row["rival"], {})[row["equal"]] = row
        if row["reason"] and row["reason"] not in reasons:
            reasons.append(row["reason"])
    typer.echo(f"{own['rival']}: {own['size']}, {own['clock_mhz']:g} MHz, {own['area_mm2']:.2f} mm2, {own['latency_us']:,.1f} "
               f"us, core {own['core_nj'] / 1e3:,.2f} uJ, system {own['system_nj'] / 1e3:,.2f} uJ per sample\n")
    table = []
    for name, equal in by_rival.items():
        line = {"rival": name}
        for column in EQUAL:
            line |= _cells(column, equal[column], reasons)
        table.append(line)
    print_table(table, left=("rival",))
    for number, reason in enumerate(reasons, start=1):
        typer.echo(f"[{number}] {'; '.join(part.strip(' -') for part in reason.splitlines())}")
    typer.echo("\nmeans per sample; uJ: system energy; x: times the design's; lanes, area, latency: what is equal to the\n"
               "design's. A rival runs at its own highest clock. At equal latency its lanes or elements have grown until\n"
               "it is fast enough; one that is faster at equal lanes stays as it is")
    typer.echo(found.verdict)


def _cells(column: str, row: dict[str, Any], reasons: list[str]) -> dict[str, str]:
    names = (f"{column}: size", "MHz", "us", "uJ", "x")
    keys = [names[0], *(f"{name}{' ' * (EQUAL.index(column))}" for name in names[1:])]  # a table's names are different
    if row["reason"]:
        return dict(zip(keys, (f"[{reasons.index(row['reason']) + 1}]", "-", "-", "-", "-"), strict=True))
    values = (row["size"].replace(" lanes", "").replace(" array", ""), f"{row['clock_mhz']:g}", f"{row['latency_us']:,.1f}",
              f"{row['system_nj'] / 1e3:,.2f}", f"{row['over_design']:.2f}" + ("*" if row["strongest"] else ""))
    return dict(zip(keys, values, strict=True))
