"""`hwsim assume`: one trace under every published way of counting energy, its ANN beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwsim.accounts.assume import Assumed, assume, frame_rows
from hwsim.accounts.base import total
from hwsim.accounts.page import LEGEND, amounts, heading, page, ratio_text, verdict
from hwsim.accounts.row import Row
from hwsim.cli.common import JsonOption, Width, WidthOption, print_json, print_notes, print_table, progress
from hwsim.files import whole_file, whole_folder
from hwsim.result_file import check_target, writing
from hwsim.view.labels import shortened

app = typer.Typer(add_completion=False, rich_markup_mode=None)

TABLE, FIGURE, PAGE = "assume.csv", "assume.png", "assume.md"


@app.command()
def assume_command(
    trace: Annotated[str, typer.Argument(help="The SNN's trace (HDF5).")],
    ann: Annotated[
        str | None, typer.Option("--ann", metavar="TRACE", help=(
            "The trace of the ANN that it was converted from (default: the one in a bit-serial trace)."))] = None,
    samples: Annotated[int | None, typer.Option(help="Count the first N samples (default: all that both traces have).")] = None,
    simulate: Annotated[bool, typer.Option(help="Replay on the shipped dataflows as well; --no-simulate: counts only.")] = True,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Where assume.csv, assume.png and assume.md go.")] = None,
    width: WidthOption = Width.screen,
    as_json: JsonOption = False,
) -> None:
    """Who wins under whose assumptions: the SNN's bill and its ANN's under each account, and what each leaves out."""
    if out is not None:
        check_target(out, TABLE, "a saved table of accounts", {TABLE, FIGURE, PAGE})
    with progress("designs") as report:
        found = assume(trace, ann, samples=samples, simulated=simulate, progress=report)
    if out is not None:
        _save(found, out, width)
    if as_json:
        print_json({"trace": found.snn.trace, "ann": found.ann.trace if found.ann else None, "samples": found.snn.samples,
                    "rows": list(frame_rows(found.rows))})
        return
    typer.echo(f"{heading(found)}\n\n{verdict(found.rows)}\n")
    notes: list[str] = []
    print_table([_cells(row, notes) for row in found.rows], left=("account", "wins", "leaves out"))
    print_notes([LEGEND, *notes])
    if out is not None:
        typer.echo(f"saved in {out}: {TABLE}, {FIGURE}, {PAGE}")


def _note(text: str, notes: list[str]) -> str:
    """The number of a footnote, made where it is new."""
    known = [note.split("] ", 1)[1] for note in notes]
    if text not in known:
        notes.append(f"[{len(notes) + 1}] {text}")
        return f"[{len(notes)}]"
    return f"[{known.index(text) + 1}]"


def _cells(row: Row, notes: list[str]) -> dict[str, str]:
    snn, ann = amounts(row)
    lacks = f"lacks {_note(row.lacks, notes)}" if row.lacks else ""
    return {"account": row.title, "SNN": snn, "ANN": ann, "ANN/SNN": ratio_text(row),
            "wins": row.winner or lacks or "-", "leaves out": _note("leaves out " + "; ".join(row.leaves_out), notes)}


def _save(found: Assumed, out: str, width: Width) -> None:
    # pandas and matplotlib are not loaded before there is something to save.
    import pandas as pd

    from hwsim.view.assume import Mark, assume_figure
    from hwsim.view.figure_file import write_figure

    rows: list[dict[str, Any]] = [{**r, "lines": "", "band": str(r["band"] or ""), "leaves_out": "; ".join(r["leaves_out"])}
                                  for r in frame_rows(found.rows)]
    marks = []
    for row in found.rows:
        ends = [end / total(row.snn) for end in row.band] if row.counts == "threshold" and row.ratio else [None, None]
        marks.append(Mark(row.title, row.ratio, row.winner, f"lacks: {row.lacks}", *ends))
    with writing(out), whole_folder(out) as made:
        pd.DataFrame(rows).drop(columns="lines").to_csv(made / TABLE, index=False)
        with whole_file(made / PAGE) as part:
            part.write_text(page(found))
        if any(mark.ratio for mark in marks):
            title = f"{shortened(found.snn.trace, 40)}: who wins, under whose assumptions"
            write_figure(assume_figure(marks, title, width.value), Path(made) / FIGURE)
