"""`hwsim breakeven`: the spike rate at which an SNN stops winning, under each published account, over the number of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwsim.accounts.base import variants_of
from hwsim.accounts.breakeven import ALWAYS, BreakEven, break_evens
from hwsim.accounts.published.thresholds import Threshold as PublishedThreshold
from hwsim.accounts.work import Work, WorkError, check_twins, count_work
from hwsim.cli.common import JsonOption, print_json, print_notes, print_table
from hwsim.errors import HwsimError
from hwsim.files import whole_folder
from hwsim.result_file import check_target, writing
from hwsim.trace.reader import Trace
from hwsim.view.labels import shortened

app = typer.Typer(add_completion=False, rich_markup_mode=None)

TABLE, FIGURE = "breakeven.csv", "breakeven.png"
STEPS = "1,2,4,8,16"


@app.command()
def breakeven_command(
    trace: Annotated[str, typer.Argument(help="The SNN's trace (HDF5): its shapes, and which neurons spike how often.")],
    ann: Annotated[str | None, typer.Option("--ann", metavar="TRACE", help="The trace of its ANN.")] = None,
    timesteps: Annotated[str, typer.Option(metavar="T,T,...", help="Numbers of steps.")] = STEPS,
    samples: Annotated[int, typer.Option(help="Count the first N samples.")] = 8,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Where breakeven.csv and breakeven.png go.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Spikes per neuron and step at which SNN and ANN take the same, under each account; in closed form, nothing is simulated."""
    steps = _steps(timesteps)
    if out is not None:
        check_target(out, TABLE, "a saved table of break-even rates", {TABLE, FIGURE})
    work, rival = _counted(trace, samples), None if ann is None else _counted(ann, samples)
    if work.is_ann:
        raise WorkError(f"{trace}: is a quantised ANN, expected an SNN; give the ANN with --ann, and the SNN first")
    if rival is not None:
        check_twins(work, rival)
    found = break_evens(work, rival, steps)
    if out is not None:
        _save(found, work, out)
    if as_json:
        print_json([{name: None if value == ALWAYS else value for name, value in vars(b).items()} for b in found])
        return
    rate = work.spikes_per_neuron / work.timesteps
    typer.echo(f"{work.trace}, {_over(work)}: {100 * rate:.2f} % spikes per neuron and step at T = {work.timesteps}, "
               f"{work.spikes_per_synapse:.3f} per synapse\n")
    rows = _rows(found, steps)
    print_table(rows, left=("account",))
    print_notes(["percent of neurons that may spike in a step; below it the SNN wins. always: even if all neurons spike in each "
                 "step; never: even without a spike; -: the account lacks an input", *_lacks(found)])
    if out is not None:
        typer.echo(f"saved in {out}: {TABLE}, {FIGURE}")


def _steps(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise HwsimError(f"--timesteps: found {text!r}, expected whole numbers with commas between them, such as {STEPS}")
    return sorted({int(part) for part in parts})


def _counted(path: str, samples: int) -> Work:
    with Trace.open(path) as trace:
        return count_work(trace, min(samples, trace.samples))


def _over(work: Work) -> str:
    """How many samples were counted, in words."""
    return "one sample" if work.samples == 1 else f"mean of {work.samples} samples"


def _cell(found: BreakEven) -> str:
    if found.rate is None:
        return "-"
    return "never" if found.rate == 0 else "always" if found.rate >= 1 else f"{100 * found.rate:.2f}"


def _rows(found: tuple[BreakEven, ...], steps: list[int]) -> list[dict[str, str]]:
    titles = dict.fromkeys(b.title for b in found)
    cells = {(b.title, b.timesteps): _cell(b) for b in found}
    return [{"account": title, **{f"T = {t}, %": cells[title, t] for t in steps}} for title in titles]


def _lacks(found: tuple[BreakEven, ...]) -> list[str]:
    return list(dict.fromkeys(f"{b.title} lacks: {b.lacks}" for b in found if b.lacks))


def _save(found: tuple[BreakEven, ...], work: Work, out: str) -> None:
    # pandas and matplotlib are not loaded before there is something to save.
    import pandas as pd

    from hwsim.view.breakeven import Curve, Threshold, save_breakeven_figure

    rows: list[dict[str, Any]] = [vars(b) for b in found]
    curves = [Curve(title, [(b.timesteps, b.rate) for b in found if b.title == title and b.rate is not None])
              for title in dict.fromkeys(b.title for b in found)]
    synapses = work.spikes_per_synapse / work.spikes_per_neuron
    marks = []
    for account in variants_of("threshold", PublishedThreshold):
        low, high = (line.amount for line in account.ann(work, None))
        per_step = account.choices["measure"] != "spikes per synapse"
        t = int(account.number("timesteps")) if per_step else None
        factor = float(t) if t else 1 / synapses
        marks.append(Threshold(account.title, low * factor, high * factor, t))
    with writing(out), whole_folder(out) as made:
        pd.DataFrame(rows).to_csv(made / TABLE, index=False)
        point = (f"{work.trace}", work.timesteps, work.spikes_per_neuron / work.timesteps)
        save_breakeven_figure([c for c in curves if c.points], [point], marks,
                              f"{shortened(work.trace, 40)}, {_over(work)}: below which rate the SNN wins, by account",
                              Path(made) / FIGURE)
