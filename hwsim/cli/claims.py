"""`hwsim claims`: what the five papers claim, computed again, with a verdict that follows from the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwsim.accounts.claims.measured import OnTraces, on_traces
from hwsim.accounts.claims.page import claim_ratios, numbers, page, verdict_sentence
from hwsim.accounts.claims.verdicts import Checked, check_claims
from hwsim.cli.common import JsonOption, print_json, print_notes, print_table, progress
from hwsim.errors import HwsimError
from hwsim.files import whole_file, whole_folder
from hwsim.result_file import check_target, writing

app = typer.Typer(add_completion=False, rich_markup_mode=None)

PAGE, FIGURE = "claims.md", "claims.png"


@app.command()
def claims_command(
    claim: Annotated[list[str] | None, typer.Argument(help="Names of claims (default: all).")] = None,
    traces: Annotated[str | None, typer.Option(metavar="DIR", help="The shipped traces: measure the claims on them.")] = None,
    simulate: Annotated[bool, typer.Option(help="With --traces: replay them as well; --no-simulate: counts only.")] = True,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Where claims.md goes.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Each claim of the five papers: printed, computed by the same formula, and whether it is reproduced."""
    if out is not None:
        check_target(out, PAGE, "a saved page of claims", {PAGE, FIGURE})
    chosen = _chosen(check_claims(), claim or [])
    measured = None
    if traces is not None:
        with progress("traces") as report:
            measured = on_traces(chosen, Path(traces), simulate, report)
    if out is not None:
        _save(chosen, measured, out)
    if as_json:
        print_json([{"claim": c.name, **c.claim.model_dump(), "ours": c.ours,
                     "on_traces": {trace: ratios for (name, trace), ratios in measured.ratios.items() if name == c.name}
                     if measured else None} for c in chosen])
        return
    print_table([{"claim": c.name, "paper": c.claim.paper, "printed": _brief(numbers(c, "printed")),
                  "ours": _brief(numbers(c, "ours", implied=False)), "verdict": c.verdict} for c in chosen],
                left=("claim", "paper", "verdict"), spare=("printed", "ours", "paper"))
    notes = [(c.name, text) for c in chosen for text in (*c.claim.assumes, *(f"not published: {n}" for n in c.claim.needs))]
    print_notes([f"{name}: {text}" for name, text in notes])
    for (name, trace), ratios in (measured.ratios.items() if measured else ()):
        typer.echo(f"{name} on {trace}: " + ", ".join(f"{a} {r:.2f}" if r is not None else f"{a} -" for a, r in ratios.items()))
    typer.echo(f"\n{verdict_sentence(chosen)}")
    if out is not None:
        typer.echo(f"saved in {out}: {PAGE}{f', {FIGURE}' if measured and claim_ratios(chosen, measured) else ''}")


def _brief(text: str, room: int = 20) -> str:
    """As many of the numbers as have room, and dots for the others."""
    kept = text.split(", ")
    while len(", ".join(kept)) > room - 5 * (len(", ".join(kept)) < len(text)):
        kept.pop()
    return text if ", ".join(kept) == text else ", ".join([*kept, "..."])


def _save(chosen: tuple[Checked, ...], measured: OnTraces | None, out: str) -> None:
    rows = [] if measured is None else claim_ratios(chosen, measured)
    with writing(out), whole_folder(out) as made:
        with whole_file(made / PAGE) as part:
            part.write_text(page(chosen, measured))
        if rows:
            # matplotlib is not loaded before there is something to draw.
            from hwsim.view.claims import ClaimRow, save_claims_figure

            save_claims_figure([ClaimRow(*row) for row in rows], "Claims of compute energy, and what is simulated", made / FIGURE)


def _chosen(claims: tuple[Checked, ...], names: list[str]) -> tuple[Checked, ...]:
    known = [c.name for c in claims]
    if unknown := [name for name in names if name not in known]:
        raise HwsimError(f"{unknown[0]}: no such claim; there are {', '.join(known)}")
    return tuple(c for c in claims if not names or c.name in names)
