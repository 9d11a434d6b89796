"""`hwsim trace`: look at, check and make spike traces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.common import JsonOption, file_to_write, print_json, print_table, progress
from hwsim.trace.reader import Trace
from hwsim.trace.synth import synthesise
from hwsim.trace.twin import twin
from hwsim.units import format_bits

if TYPE_CHECKING:
    from hwsim.trace.reader import Trace

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  help="Look at, check and make spike traces.")


@app.command("info")
def info(
    trace: Annotated[str, typer.Argument(help="Trace file (HDF5).")],
    samples: Annotated[int, typer.Option(help="Samples over which the density is measured.", min=1)] = 8,
    as_json: JsonOption = False,
) -> None:
    """Print what a trace holds: network, coding, samples, spike density by layer, where it came from."""
    with Trace.open(trace) as opened:
        measured = min(samples, opened.samples)
        body: dict[str, Any] = {
            "trace": opened.name, "coding": opened.coding, "timesteps": opened.timesteps, "samples": opened.samples,
            "has_weights": opened.has_weights, "content_hash": opened.content_hash,
            "provenance": opened.provenance, "density_over_samples": measured, "layers": _layer_rows(opened, measured),
        }
    if as_json:
        print_json(body)
        return
    weights = "with weights" if body["has_weights"] else "spikes only, no weights"
    typer.echo(f"{body['trace']}: {body['coding']}, T = {body['timesteps']}, {body['samples']} samples, {weights}")
    for key, value in ((key, value) for key, value in opened.provenance.items() if value is not None):
        typer.echo(f"  {key}: {value}")
    typer.echo(f"  content hash: {body['content_hash']}\n")
    rows = [{**r, "from": ", ".join(r["from"]), "density": "-" if r["density"] is None else f"{r['density']:.4f}"}
            for r in body["layers"]]
    print_table(rows, left=("layer", "shape", "neuron", "from"))
    typer.echo(f"\ndensity: non-zero outputs a neuron and timestep, over {measured} samples")


def _layer_rows(opened: Trace, samples: int) -> list[dict[str, Any]]:
    totals = {layer.name: 0 for layer in opened.network}
    for index in range(samples):
        for name, planes in opened.sample(index).recorded.items():
            totals[name] += int((planes != 0).sum())
    rows = []
    for layer in opened.network:
        places = samples * layer.neurons * layer.timesteps
        weights = sum(c.weights.size for c in layer.connections if c.weights is not None)
        rows.append({
            "layer": layer.name, "shape": "x".join(map(str, layer.shape)), "neuron": layer.neuron.model,
            "from": [f"{c.operator} {c.source}" for c in layer.connections], "T": layer.timesteps,
            "neurons": layer.neurons, "weights": weights, "potential bits": layer.potential_bits,
            "density": totals[layer.name] / places if layer.sends else None,
        })
    return rows


@app.command("check")
def check(
    traces: Annotated[list[str], typer.Argument(help="Trace files (HDF5).")],
    as_json: JsonOption = False,
) -> None:
    """Read everything, verify every checksum and hash. Exit status 2 and one clear text at the first broken file."""
    checked: list[dict[str, Any]] = []
    for path in traces:
        with Trace.open(path) as opened, progress(Path(path).name) as report:
            opened.check(deep=True, progress=report)
            checked.append({"trace": opened.name, "samples": opened.samples, "content_hash": opened.content_hash})
        if not as_json:
            typer.echo(f"{path}: ok, {checked[-1]['samples']} samples, content {checked[-1]['content_hash'][:16]}")
    if as_json:
        print_json(checked)


@app.command("synth")
def synth(
    out: Annotated[str, typer.Option("-o", "--out", metavar="FILE", help="Where to write the trace.")],
    network: Annotated[str, typer.Option(help="vgg16-cifar10, resnet20-cifar10, tiny or event-camera.")] = "vgg16-cifar10",
    timesteps: Annotated[int, typer.Option(help="T, timesteps or bit planes.")] = 4,
    density: Annotated[float, typer.Option(help="Spikes a neuron and timestep that thresholds are tuned to.")] = 0.2,
    samples: Annotated[int, typer.Option(help="Number of samples.")] = 8,
    seed: Annotated[int, typer.Option(help="Same seed, same trace.")] = 0,
    coding: Annotated[str, typer.Option(help="rate, bit_serial or quantised.")] = "rate",
    head: Annotated[int | None, typer.Option(help="Width of VGG's classifier (4096: as the papers count it).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a synthetic trace: random weights, and the spikes that its own arithmetic produces, so a replay checks."""
    target = file_to_write(out, force)
    with progress("samples") as report:
        made = synthesise(network=network, timesteps=timesteps, density=density, samples=samples, seed=seed,
                          coding=coding, head=head, progress=report)
    made.save(target)
    body = {"trace": made.name, "file": str(target), "samples": made.samples, "content_hash": made.content_hash,
            "bytes": target.stat().st_size}
    if as_json:
        print_json(body)
    else:
        typer.echo(f"wrote {target}: {made.name}, {made.samples} samples, {format_bits(8 * target.stat().st_size)}")


@app.command("twin")
def twin_command(
    trace: Annotated[str, typer.Argument(help="Trace of a bit-serial network or of a quantised ANN (HDF5).")],
    out: Annotated[str, typer.Option("-o", "--out", metavar="FILE", help="Where to write the twin's trace.")],
    samples: Annotated[int | None, typer.Option(min=1, help="The first N samples (default: all).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the ANN's trace of a bit-serial one, or the other way round: both compute the same numbers, exactly."""
    target = file_to_write(out, force)
    with Trace.open(trace) as given, progress("samples") as report:
        made = twin(given, target, samples, report)
    with made:
        body = {"trace": made.name, "coding": made.coding, "file": str(target), "samples": made.samples,
                "content_hash": made.content_hash, "bytes": target.stat().st_size}
    if as_json:
        print_json(body)
    else:
        typer.echo(f"wrote {target}: {body['coding']}, {body['samples']} samples, {format_bits(8 * int(str(body['bytes'])))}")
