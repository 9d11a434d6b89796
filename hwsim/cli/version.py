"""`hwsim version`: the version, and what it runs on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import typer

from hwsim import __version__
from hwsim.cli.common import JsonOption, print_json

LIBRARIES = ("numpy", "numba", "h5py", "pandas", "torch")

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def version_command(as_json: JsonOption = False) -> None:
    """Print the version, and those of Python and of the libraries that results can depend on."""
    found = {"hwsim": __version__, "python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}}
    if as_json:
        print_json(found)
        return
    for name, text in found.items():
        typer.echo(f"{name:<8} {text or 'not installed'}")


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
