"""`hwsim best`: the points of a study with the least of one column."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from hwsim.cli.common import JsonOption, print_json, print_table, print_undecided
from hwsim.links import undecided
from hwsim.sweep.front import best
from hwsim.sweep.rows import set_by_points, study_frame

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(add_completion=False, rich_markup_mode=None)

WhereOption = Annotated[list[str] | None, typer.Option(help="Condition such as 'latency_ms < 1'; repeatable.")]
SHOWN = ("energy_uj", "latency_ms", "area_mm2", "cycles", "accuracy_test_set")
"""Numbers of a row that are printed besides those asked for."""
FREE = "_free_links"
"""How columns end that say what a number would be if links cost nothing."""


@app.command()
def best_command(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of a study.")],
    minimise: Annotated[str, typer.Option(help="Column to make small.")] = "energy_uj",
    where: WhereOption = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many.")] = 5,
    as_json: JsonOption = False,
) -> None:
    """Print the best points of a study."""
    show_rows(best(study_frame(folder), minimise, where or [], count), [minimise], as_json)


def show_rows(rows: pd.DataFrame, asked: list[str], as_json: bool) -> None:
    """Rows as a table: what differs between points, then the columns asked for and the usual ones."""
    if as_json:
        print_json(json.loads(rows.to_json(orient="records")))
        return
    labels = set_by_points(rows)
    varied = [name for name in labels if rows[name].map(str).nunique() > 1] or labels[:2]
    numbers = list(dict.fromkeys([*asked, *SHOWN]))
    if "cycles" in numbers and "latency_ms" in rows:
        rows = rows.assign(**{f"latency_ms{FREE}": rows["latency_ms"] * rows[f"cycles{FREE}"] / rows["cycles"]})
    numbers += [f"{name}{FREE}" for name in numbers if f"{name}{FREE}" in rows and rows[f"{name}{FREE}"].notna().any()]
    found = [{name: _short(row[name]) for name in [*varied, *(n for n in numbers if n not in varied)]}
             for row in rows.to_dict(orient="records")]
    print_table(found, left=varied)
    orders = [f"{name}: {one} before {other}" for name in numbers if f"{name}{FREE}" in numbers
              for one, other in _undecided(rows, name, varied)]
    print_undecided(orders)


def _undecided(rows: pd.DataFrame, name: str, varied: list[str]) -> list[tuple[str, str]]:
    """Orders of rows by a column that would be others if links cost nothing."""
    free = rows[f"{name}{FREE}"].fillna(rows[name])
    labels = [", ".join(_short(row[label]) for label in varied) for row in rows.to_dict(orient="records")]
    return undecided(dict(zip(labels, zip(rows[name], free, strict=True), strict=True)))


def _short(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return "-" if value is None else str(value).rpartition("/")[2] if str(value).endswith(".h5") else str(value)
