"""`hwsim best`: the points of a study with the least of one column."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from hwsim.cli.common import JsonOption, print_json, print_table
from hwsim.sweep.front import best
from hwsim.sweep.rows import set_by_points, study_frame

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(add_completion=False, rich_markup_mode=None)

WhereOption = Annotated[list[str] | None, typer.Option(help="Condition such as 'latency_ms < 1'; repeatable.")]
SHOWN = ("energy_uj", "latency_ms", "area_mm2", "cycles", "accuracy_test_set")
"""Numbers of a row that are printed besides those asked for."""


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
    found = [{name: _short(row[name]) for name in [*varied, *(n for n in numbers if n not in varied)]}
             for row in rows.to_dict(orient="records")]
    print_table(found, left=varied)


def _short(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return "-" if value is None else str(value).rpartition("/")[2] if str(value).endswith(".h5") else str(value)
