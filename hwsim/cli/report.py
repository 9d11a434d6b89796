"""`hwsim report`: saved runs as one page of HTML."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from hwsim.cli.common import JsonOption, file_to_write, print_json
from hwsim.errors import HwsimError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def report_command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Folders that `hwsim run --out` wrote.")],
    out: Annotated[str, typer.Option("-o", "--out", metavar="FILE.html", help="Where to write the page.")] = "report.html",
    title: Annotated[str | None, typer.Option(help="Of the page; left out, the name of the run, or how many there are.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write saved runs as one HTML file that needs no network: numbers with where they come from, figures, how to cite.

    Several runs stand side by side: a table to sort, an SNN beside its ANN, and what moved which number from the first run.
    """
    if not out.lower().endswith((".html", ".htm")):
        raise HwsimError(f"--out {out}: found another ending than .html; rename it")
    target = file_to_write(out, force)
    from hwsim.report import report  # loads matplotlib, once the arguments are known to be good

    made = report(runs, target, title, shlex.join(["hwsim", *sys.argv[1:]]))
    if as_json:
        print_json({"file": str(made), "runs": runs, "bytes": made.stat().st_size})
        return
    typer.echo(f"wrote {made}: {len(runs)} run{'s' if len(runs) > 1 else ''}, {made.stat().st_size / 1e6:.1f} MB; open it in a "
               "browser")
