"""`hwsim suite`: the frozen suites that cards are made with, each part looked at."""

from __future__ import annotations

from typing import Annotated

import typer

from hwsim.accounts.suite.suite import load_suite, suites
from hwsim.cli.common import JsonOption, print_json, print_notes, print_table

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def suite_command(
    name: Annotated[str | None, typer.Argument(help="A suite (default: the newest).")] = None, as_json: JsonOption = False,
) -> None:
    """A suite: its machines, scopes, rates and prices, and that it is what was released."""
    suite = load_suite(name)
    if as_json:
        print_json({**suite.model_dump(), "hash": suite.hash})
        return
    typer.echo(f"{suite.name} {suite.hash[:16]}: as released. Suites: {', '.join(suites())}\n")
    print_table([{"machine": m.title, "SNN on": m.snn, "ANN on": m.ann, "schedule": m.schedule} for m in suite.machines.values()],
                left=("machine", "SNN on", "ANN on", "schedule"), spare=("schedule",))
    rates = ", ".join("back to back" if hz is None else f"{hz:g} samples per second" for hz in suite.rates_hz)
    print_notes([f"scopes: {', '.join(suite.scopes)}; rates: {rates}; the first {suite.samples} samples of a trace",
                 f"prices: {suite.ranges}, {suite.draws} draws, seed {suite.seed}, held: {', '.join(suite.held) or 'none'}; "
                 f"accounts: {', '.join(suite.accounts)}",
                 *(f"{part}: {value[:16]}" for part, value in suite.hashes.items())])
