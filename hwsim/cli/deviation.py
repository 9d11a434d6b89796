"""`hwsim deviation`: what spikes that come unevenly change in each layer, and how far a network is from its source."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.common import JsonOption, print_json, print_notes, print_table, progress
from hwsim.cli.train import need_torch
from hwsim.files import whole_folder
from hwsim.result_file import check_target, writing
from hwsim.snn.evenness import CASES
from hwsim.trace.reader import Trace
from hwsim.trace.unevenness import unevenness

if TYPE_CHECKING:
    from hwsim.convert.deviation import Deviation
    from hwsim.snn.evenness import Unevenness

TABLE, FIGURE = "deviation.csv", "deviation.png"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def deviation_command(
    trace: Annotated[str, typer.Argument(help="Trace with weights (HDF5).")],
    source: Annotated[str | None, typer.Option(metavar="FILE.pt", help="Checkpoint that the trace was converted from.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Count the first N samples.")] = 8,
    out: Annotated[str | None, typer.Option("--out", "-o", metavar="DIR", help=f"Where {TABLE} and {FIGURE} go.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print by layer which neurons fire more or less than they would if their input came evenly; with --source, how far each
    layer is from the network that it was converted from, and why."""
    if out is not None:
        check_target(out, TABLE, "a saved table of deviations", {TABLE, FIGURE})
    with Trace.open(trace) as opened:
        count = min(samples, opened.samples)
        with progress("samples") as report:
            layers = unevenness(opened, count, report)
        causes = [] if source is None else _against_source(opened, source, count)
        body = {"trace": opened.name, "coding": opened.coding, "samples": count, "layers": [asdict(one) for one in layers],
                "source": source, "deviations": [asdict(one) for one in causes]}
    if out is not None:
        _save(str(body["trace"]), layers, causes, out)
    if as_json:
        print_json(body)
        return
    typer.echo(f"{body['trace']}: {body['coding']}, {count} samples\n")
    _print_evenness(layers)
    if causes:
        _print_causes(causes)
    if out is not None:
        typer.echo(f"saved in {out}: {TABLE}, {FIGURE}")


def _against_source(trace: Trace, source: str, samples: int) -> list[Deviation]:
    need_torch()
    # PyTorch is an extra, and a trace alone needs none.
    from hwsim.convert.deviation import deviations
    from hwsim.sources.checkpoint import load_checkpoint

    with progress("source") as report:
        return deviations(trace, load_checkpoint(source), samples, report)


def _print_evenness(layers: list[Unevenness]) -> None:
    rows = []
    for one in layers:
        cases = ["-"] * (len(CASES) + 1) if one.cases is None else [f"{100 * v:.2f}" for v in (*one.cases, one.uneven or 0.0)]
        rows.append({"layer": one.layer, "T": one.timesteps, "sent per neuron": f"{sum(one.activity):.3f}",
                     **dict(zip((*(f"case {n} %" for n in range(1, 5)), "uneven %"), cases, strict=True)),
                     "error %": "-" if one.error is None else f"{100 * one.error:.2f}"})
    even = [one for one in layers if one.cases is not None]
    print_table(rows, left=("layer",))
    if even:
        neurons = sum(one.neurons for one in even)
        shares = [100 * sum(one.cases[case] * one.neurons for one in even if one.cases) / neurons for case in range(len(CASES))]
        typer.echo(f"\nof all {neurons:,} neurons: " + ", ".join(f"case {n} {share:.2f} %" for n, share in enumerate(shares, 1)))
    notes = ["T: timesteps or bits that count. sent per neuron: spikes, bits or values that are not zero, all timesteps together"]
    if any(one.cases is not None for one in layers):
        notes += ["shares of neurons that fire another number of times than if their input came evenly; " + ", ".join(
            f"case {n}: {text}" for n, text in enumerate(CASES, start=1)),
            "error: root mean square of that difference, in percent of T. Errors of earlier layers do not count"]
    if any(one.cases is None for one in layers):
        notes.append("-: the layer looks at all of its input at once, or forgets, so that even arrival says nothing")
    print_notes(notes)


def _print_causes(causes: list[Deviation]) -> None:
    typer.echo("")
    names = {"clipping": "clipping", "quantisation": "quantisation", "rest": "rest", "total": "in all",
             "from_source": "from source"}
    print_table([{"layer": one.layer, **{f"{title} %": f"{100 * getattr(one, name):.2f}" for name, title in names.items()}}
                 for one in causes], left=("layer",))
    print_notes([
        "root mean squares, in percent of that of max(y, 0), where y is what the source's activation sees",
        "clipping: above the highest value. quantisation: between two values. rest: uneven arrival, earlier layers, rounded "
        "weights and inputs. in all: the three together, neuron by neuron. from source: from the source's own "
        "activation, which was trained to clip and to round"])


def _save(name: str, layers: list[Unevenness], causes: list[Deviation], out: str) -> None:
    # pandas and matplotlib are not loaded before there is something to save.
    import pandas as pd

    from hwsim.view.deviation import save_deviation_figure

    by_layer = {one.layer: {name: value for name, value in asdict(one).items() if name != "layer"} for one in causes}
    rows: list[dict[str, Any]] = []
    for one in layers:
        cases = one.cases or (None,) * len(CASES)
        rows.append({"layer": one.layer, "neurons": one.neurons, "timesteps": one.timesteps, "sent_per_neuron": sum(one.activity),
                     **{f"case_{n}": share for n, share in enumerate(cases, start=1)}, "error": one.error,
                     **by_layer.get(one.layer, {})})
    with writing(out), whole_folder(out) as made:
        pd.DataFrame(rows).to_csv(made / TABLE, index=False)
        save_deviation_figure(name, layers, by_layer, Path(made) / FIGURE)
