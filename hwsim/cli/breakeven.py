"""`hwsim breakeven`: the spike rate at which an SNN stops winning, by account in closed form, and simulated on a grid."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from hwsim.accounts.base import variants_of
from hwsim.accounts.breakeven import ALWAYS, BreakEven, break_evens
from hwsim.accounts.crossing.crossings import Crossing
from hwsim.accounts.published.thresholds import Threshold as PublishedThreshold
from hwsim.accounts.work import Work, WorkError, check_twins, count_work
from hwsim.cli import crossings
from hwsim.cli.common import JsonOption, Width, print_json, print_notes, print_table
from hwsim.errors import HwsimError
from hwsim.files import whole_folder
from hwsim.result_file import check_target, writing
from hwsim.trace.reader import Trace
from hwsim.trace.twin import ann_in
from hwsim.view.labels import shortened

app = typer.Typer(add_completion=False, rich_markup_mode=None)

TABLE, FIGURE, SIMULATED = "breakeven.csv", "breakeven.png", "simulated.csv"
STEPS = "1,2,4,8,16"


@app.command()
def breakeven_command(
    trace: Annotated[str, typer.Argument(help="The SNN's trace (HDF5): its shapes, and which neurons spike how often.")],
    ann: Annotated[str | None, typer.Option("--ann", metavar="TRACE", help=(
        "The trace of its ANN (default: the one in a bit-serial trace)."))] = None,
    timesteps: Annotated[str, typer.Option(metavar="T,T,...", help="Numbers of steps.")] = STEPS,
    samples: Annotated[int | None, typer.Option(
        help=f"Count the first N samples (default: all that both traces have; {crossings.SAMPLES} with --simulate).")] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Replay scaled traces on a grid; --study keeps it.")] = False,
    study: Annotated[str | None, typer.Option(metavar="DIR", help="Of --simulate: its rows; a stopped one goes on.")] = None,
    rates: Annotated[str, typer.Option(help="Of --simulate: spikes per neuron and step.")] = crossings.RATES,
    channels: Annotated[str, typer.Option(help="Of --simulate: channels of hidden layers, over those of the trace.")] = "1",
    kernel: Annotated[str, typer.Option(help="Of --simulate: kernels of convolutions, so fan-out (default: own).")] = "",
    design: Annotated[list[str] | None, typer.Option(help="Of --simulate: a pair of `hwsim assume`; repeatable.")] = None,
    memory: Annotated[list[str] | None, typer.Option(help="Of --simulate: a memory profile; repeatable.")] = None,
    at_hz: Annotated[str, typer.Option(help="Of --simulate: samples per second, beside full speed.")] = crossings.AT_HZ,
    workers: Annotated[int | None, typer.Option(min=1, help="Of --simulate: processes.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Of --simulate: a grid that takes long is meant.")] = False,
    point: Annotated[list[str] | None, typer.Option(metavar="TRACE", help="A trace to mark in the figure; repeatable.")] = None,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Where breakeven.csv and breakeven.png go.")] = None,
    width: Annotated[str, typer.Option("--width", metavar="screen|page|column", help=(
        "Of the figure: for a screen (292 mm), a paper's page (182 mm) or its column (89 mm)."))] = "screen",
    as_json: JsonOption = False,
) -> None:
    """Spikes per neuron and step at which SNN and ANN take the same: by account in closed form, and simulated on a grid."""
    steps, wide = _steps(timesteps), _width(width)
    before = out is not None and (Path(out) / TABLE).is_file()
    if out is not None:
        check_target(out, TABLE, "a saved table of break-even rates", {TABLE, FIGURE, SIMULATED})
    asked = crossings.Asked(rates, channels, kernel, design or [], memory or [], at_hz, study, workers, yes)
    if not simulate and (alone := asked.given()):
        raise HwsimError(f"{alone[0]}: is of --simulate; give --simulate as well, or leave {alone[0]} out")
    samples = crossings.SAMPLES if samples is None and simulate else samples
    work, rival = _counted(trace, ann, samples)
    if work.is_ann:
        raise WorkError(f"{trace}: is a quantised ANN, expected an SNN; give the ANN with --ann, and the SNN first")
    if rival is not None:
        check_twins(work, rival)
    found = break_evens(work, rival, steps)
    lines, reasons = crossings.simulated(trace, ann, steps, work.samples, asked) if simulate else ([], {})
    if out is not None:
        _save(found, lines, [work, *(_counted(path, None, samples)[0] for path in point or [])], out, wide)
    if as_json:
        closed = [{name: None if value == ALWAYS else value for name, value in vars(b).items()} for b in found]
        print_json({"closed_form": closed, "simulated": crossings.plain(lines)} if simulate else closed)
        return
    rate = work.spikes_per_neuron / work.timesteps
    typer.echo(f"{work.trace}, {_over(work)}: {100 * rate:.2f} % spikes per neuron and step at T = {work.timesteps}, "
               f"{work.spikes_per_synapse:.3f} per synapse\n")
    if simulate:
        print_table(crossings.table_rows(lines, steps), left=("simulated", "scope", "at"))
        print_notes(crossings.notes(lines, reasons, work.samples))
        typer.echo("")
    print_table(_rows(found, steps), left=("account",))
    once = ", or once where neurons fire once" if any(b.highest < 1 for b in found) else ""
    print_notes([f"percent of neurons that may spike in a step; below it the SNN wins. always: even if all neurons spike in each "
                 f"step{once}; never: even without a spike; -: the account lacks an input", *_lacks(found)])
    if out is not None:
        typer.echo(f"saved in {out}{', in place of an earlier one' if before else ''}: {TABLE}, {FIGURE}"
                   f"{', ' + SIMULATED if simulate else ''}")


def _width(text: str) -> Width:
    if text not in list(Width):
        channels = "; channels of hidden layers are --channels" if text[:1].isdigit() else ""
        raise HwsimError(f"--width: found {text!r}, expected {', '.join(Width)}, the width of the figure{channels}")
    return Width(text)


def _steps(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise HwsimError(f"--timesteps: found {text!r}, expected whole numbers with commas between them, such as {STEPS}")
    return sorted({int(part) for part in parts})


def _counted(path: str, ann: str | None, samples: int | None) -> tuple[Work, Work | None]:
    """Both traces, over as many samples as asked for, or as both have; without an ANN's trace, the ANN in a bit-serial one."""
    with Trace.open(path) as trace, (nullcontext() if ann is None else Trace.open(ann)) as given:
        wanted = min(t.samples for t in (trace, given) if t is not None) if samples is None else samples
        work = count_work(trace, wanted)
        rival = given if given is not None or work.is_ann else ann_in(trace, wanted)
        return work, None if rival is None else count_work(rival, wanted)


def _over(work: Work) -> str:
    """How many samples were counted, in words."""
    return "one sample" if work.samples == 1 else f"mean of {work.samples} samples"


def _cell(found: BreakEven) -> str:
    if found.rate is None:
        return "-"
    return "never" if found.rate == 0 else "always" if found.rate >= found.highest else f"{100 * found.rate:.2f}"


def _rows(found: tuple[BreakEven, ...], steps: list[int]) -> list[dict[str, str]]:
    titles = dict.fromkeys(b.title for b in found)
    cells = {(b.title, b.timesteps): _cell(b) for b in found}
    return [{"account": title, **{f"T = {t}, %": cells[title, t] for t in steps}} for title in titles]


def _lacks(found: tuple[BreakEven, ...]) -> list[str]:
    return list(dict.fromkeys(f"{b.title} lacks: {b.lacks}" for b in found if b.lacks))


def _save(found: tuple[BreakEven, ...], lines: list[Crossing], works: list[Work], out: str, width: Width) -> None:
    # pandas and matplotlib are not loaded before there is something to save.
    import pandas as pd

    from hwsim.view.breakeven import Curve, Threshold, breakeven_figure
    from hwsim.view.figure_file import write_figure

    work = works[0]
    rows: list[dict[str, Any]] = [vars(b) for b in found]
    curves = [Curve(title, points) for title, points in crossings.curve_points(lines).items()]
    curves += [Curve(title, [(b.timesteps, b.rate) for b in found if b.title == title and b.rate is not None])
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
        if lines:
            pd.DataFrame(crossings.plain(lines)).to_csv(made / SIMULATED, index=False)
        points = [(one.trace, one.timesteps, one.spikes_per_neuron / one.timesteps) for one in works]
        title = f"{shortened(work.trace, 40)}, {_over(work)}: below which rate the SNN wins, by account"
        figure = breakeven_figure([c for c in curves if c.points], points, marks, title, width.value)
        write_figure(figure, Path(made) / FIGURE)
