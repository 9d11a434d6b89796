"""`hwsim list`: designs, example traces and price tables that come with hwsim."""

from __future__ import annotations

from typing import get_args

import typer

from hwsim.arch import config_folders, load_architecture
from hwsim.cli.common import JsonOption, print_json, print_table, print_wrapped
from hwsim.cost.technology.sources import Kind, shipped
from hwsim.examples import EXAMPLES, example_path
from hwsim.simulation import CHOSEN_DESIGNS, ROOMY_DESIGNS

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def list_command(as_json: JsonOption = False) -> None:
    """Print the designs, example traces and price tables that come with hwsim, by the names that commands take."""
    designs = design_rows()
    examples = [{"example": name, "file": str(example_path(name))} for name in EXAMPLES]
    tables = {kind: shipped(kind) for kind in get_args(Kind)}
    if as_json:
        print_json({"designs": designs, "examples": examples, "tables": tables})
        return
    print_designs()
    typer.echo("")
    print_table(examples, left=("example", "file"))
    typer.echo("Commands take an example by its name: hwsim run bit_serial\n")
    print_table([{"technology": kind, "tables": ", ".join(found)} for kind, found in tables.items()],
                left=("technology", "tables"), wrapped="tables")


def design_rows() -> list[dict[str, str]]:
    """Name and description of each shipped design."""
    found = sorted({path.stem: path for folder in reversed(config_folders()) for path in folder.glob("*.yaml")}.items())
    return [{"design": name, "description": load_architecture(path).description} for name, path in found]


def print_designs() -> None:
    """The table of designs, and which are taken where none is named."""
    print_table(design_rows(), left=("design", "description"), wrapped="description")
    typer.echo("")
    print_wrapped("Where no design is named, a run takes the first of these that keeps the trace's weights on chip and has a "
                  f"price for all that the trace does: {', '.join(CHOSEN_DESIGNS)}. If there is none, it takes the first of "
                  f"these that the trace runs on: {', '.join(ROOMY_DESIGNS)}.")
