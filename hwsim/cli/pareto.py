"""`hwsim pareto`: the points of a study that no other beats."""

from __future__ import annotations

from typing import Annotated

import typer

from hwsim.cli.best import WhereOption, show_rows
from hwsim.cli.common import JsonOption
from hwsim.sweep.front import pareto
from hwsim.sweep.rows import study_frame

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def pareto_command(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of a study.")],
    minimise: Annotated[list[str] | None, typer.Option(
        help="Column to make small; repeatable (default: energy_uj, latency_ms, area_mm2).")] = None,
    maximise: Annotated[list[str] | None, typer.Option(help="Column to make large; repeatable.")] = None,
    where: WhereOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the Pareto front of a study."""
    columns = minimise or ([] if maximise else ["energy_uj", "latency_ms", "area_mm2"])
    show_rows(pareto(study_frame(folder), columns, maximise or [], where or []), [*columns, *(maximise or [])], as_json)
