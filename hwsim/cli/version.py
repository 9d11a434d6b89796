"""`hwsim version`: the version, and what it runs on."""

from __future__ import annotations

import typer

from hwsim.cli.common import JsonOption, print_json
from hwsim.versions import versions

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def version_command(as_json: JsonOption = False) -> None:
    """Print the version, and those of Python and of the libraries that results can depend on."""
    found = versions()
    if as_json:
        print_json(found)
        return
    for name, text in found.items():
        typer.echo(f"{name:<8} {text or 'not installed'}")
