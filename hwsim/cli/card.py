"""`hwsim card TRACE`, `hwsim card verify CARD`, `hwsim card table CARD...`: one page by a frozen suite, computed again."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hwsim.accounts.suite.card import make_card
from hwsim.accounts.suite.page import account_rows, bibtex, lacking, lines, machine_rows, table_rows
from hwsim.accounts.suite.suite import load_suite
from hwsim.accounts.suite.verify import read_card, verify_card, write_card
from hwsim.cli.common import JsonOption, file_to_write, print_json, print_notes, print_table, progress
from hwsim.errors import HwsimError


class _TraceFirst(TyperGroup):
    """A first word that is no command is the trace of a new card."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["make", *args])


app = typer.Typer(add_completion=False, rich_markup_mode=None, cls=_TraceFirst, no_args_is_help=True,
                  help="One page on who wins, by a frozen suite: hwsim card TRACE --ann TRACE. Cards can be verified and put "
                       "side by side.")
AnnOption = Annotated[str | None, typer.Option(
    "--ann", metavar="TRACE", help="The trace of its ANN (default: the one in a bit-serial trace).")]


@app.command()
def make(
    trace: Annotated[str, typer.Argument(help="The SNN's trace (HDF5).")],
    ann: AnnOption = None,
    suite: Annotated[str | None, typer.Option(help="Name of the suite (default: the newest).")] = None,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Where the card goes, as JSON.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a card (`make` may be left out): who wins on each machine and under each account, and does it survive the prices."""
    target = None if out is None else file_to_write(out, force)
    with progress("machines") as report:
        card = make_card(trace, ann, load_suite(suite), report)
    if target is not None:
        write_card(card, target)
    if as_json:
        print_json(card)
        return
    _print(card)
    if target is not None:
        rival = "" if ann is None else f" --ann {ann}"
        typer.echo(f"\nsaved in {target}; hwsim card verify {target} --trace {trace}{rival} computes it again")


@app.command()
def show(card: Annotated[str, typer.Argument(help="A card.")]) -> None:
    """Print a card that was saved. Nothing is computed again; `verify` does that."""
    _print(read_card(card))
    typer.echo(f"\nas {card} says it; hwsim card verify {card} computes it again")


@app.command()
def verify(
    card: Annotated[str, typer.Argument(help="A card.")],
    trace: Annotated[str | None, typer.Option(metavar="TRACE", help="The SNN's trace (default: beside the card).")] = None,
    ann: Annotated[str | None, typer.Option("--ann", metavar="TRACE", help=(
        "The trace of its ANN (default: beside the card, or the one in a bit-serial trace)."))] = None,
) -> None:
    """Compute a card again and compare every number."""
    given = read_card(card)
    beside = {side: Path(card).parent / f"{given[side]['name']}.h5" for side in ("snn", "ann")}
    if trace is None and not beside["snn"].is_file():
        raise HwsimError(f"--trace: found no {beside['snn'].name} beside the card; give the SNN's trace "
                         f"{given['snn']['hash'][:16]}")
    if ann is None and beside["ann"].is_file():
        ann = str(beside["ann"])
    with progress("machines") as report:
        equal = verify_card(given, trace or beside["snn"], ann, report)
    typer.echo(f"{card}: verified, all {equal} numbers are computed again ({given['suite']} {given['suite_hash'][:16]})")


@app.command()
def table(cards: Annotated[list[str], typer.Argument(help="Cards of one suite.")], as_json: JsonOption = False) -> None:
    """Cards of one suite side by side: on how many machines the SNN wins, by scope and rate, and under how many accounts."""
    rows = table_rows([read_card(card) for card in cards])
    if as_json:
        print_json(rows)
        return
    print_table(rows, left=("SNN", "ANN"), spare=("ANN", "compute at 30/s", "core at 30/s", "compute", "core"))


def _print(card: dict[str, Any]) -> None:
    for line in lines(card):
        typer.echo(textwrap.fill(line, 116, subsequent_indent="     "))
    typer.echo("")
    print_table(machine_rows(card), left=("machine", "at", "wins"), spare=("core", "compute"))
    typer.echo("")
    print_table(account_rows(card), left=("account", "wins"))
    print_notes(["numbers by scope and account: the ANN's energy over the SNN's, above 1 the SNN wins; wins and flips are the "
                 "system's. flips: probability that published prices turn the order round (95 % interval)", *lacking(card)])
    typer.echo(f"\n{bibtex(card)}")
