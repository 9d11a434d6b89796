"""`hwsim convert`: from a trained checkpoint to a spiking network and its trace, by a published method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.common import JsonOption, file_to_write, print_json, progress
from hwsim.cli.train import need_torch
from hwsim.errors import HwsimError
from hwsim.sources.data import load_dataset
from hwsim.units import format_bits, percent

if TYPE_CHECKING:
    from hwsim.convert.methods import Converted

app = typer.Typer(add_completion=False, rich_markup_mode=None)

METHOD_HELP = ("bit_serial (paper 000), alpha_beta (001), two_stage (002, SRP), noise_adaptor (003), single_spike (004), rate "
               "(QCFS), or ann: the quantised ANN as a baseline.")

TESTED = "tested"
"""--potential-bits: as wide as the test images need."""


@app.command()
def convert_command(
    checkpoint: Annotated[str, typer.Argument(help="Checkpoint that `hwsim train` wrote.")],
    data: Annotated[str, typer.Option(metavar="FOLDER", help="Folder of the data set that it was trained on.")],
    method: Annotated[str, typer.Option(help=METHOD_HELP)] = "bit_serial",
    timesteps: Annotated[int, typer.Option("--timesteps", "-t", help="T, timesteps or bit planes; of ann, bits.")] = 4,
    tau: Annotated[int, typer.Option(help="two_stage: timesteps of the first stage.")] = 4,
    out: Annotated[str | None, typer.Option("-o", "--out", metavar="FILE", help="Trace to write (HDF5).")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Test images in the trace, the first ones.")] = 32,
    images: Annotated[int | None, typer.Option(min=1, help="Test images for the accuracy and widths; all by default.")] = None,
    skip_accuracy: Annotated[bool, typer.Option("--skip-accuracy", help="Write the trace only.")] = False,
    weight_bits: Annotated[int, typer.Option(help="Width of weights.")] = 8,
    payload_bits: Annotated[int, typer.Option(help="Width of the input pixels.")] = 8,
    potential_bits: Annotated[str | None, typer.Option(
        metavar="BITS", help="Width of potentials; by default the worst case. tested: what each layer needs for the test images."
    )] = None,
    pool: Annotated[str, typer.Option(help="Average pooling: folded into events, or by a pooling unit.")] = "folded",
    below: Annotated[str, typer.Option(help="bit_serial with fewer bits than trained: refire or truncate.")] = "refire",
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    unverified: Annotated[bool, typer.Option("--unverified", help="Take a subset, or images of one's own.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Convert a trained ANN by a paper's method: integers out, accuracy on the test set, and a trace to replay."""
    target = None if out is None else file_to_write(out, force)
    if target is None and skip_accuracy:
        raise HwsimError("nothing to do: give --out for a trace, or leave --skip-accuracy out")
    for name, value, allowed in (("--pool", pool, ("folded", "unit")), ("--below", below, ("refire", "truncate"))):
        if value not in allowed:
            raise HwsimError(f"{name} is {value!r}, allowed are {' and '.join(allowed)}")
    width = _potential_width(potential_bits)
    need_torch()
    # PyTorch is an extra, and `--help` works without it.
    from hwsim.convert.integers import Widths
    from hwsim.convert.methods import Request, convert, measure, record, with_tested_widths
    from hwsim.sources.checkpoint import load_checkpoint

    loaded = load_checkpoint(checkpoint)
    dataset = load_dataset(loaded.description.dataset, data, verify=not unverified)
    widths = Widths(weight_bits, payload_bits, width, pool)  # type: ignore[arg-type]
    request = Request(method, timesteps, tau, widths, below)  # type: ignore[arg-type]
    converted = convert(loaded, request, dataset)
    if potential_bits == TESTED:
        with progress("widths") as report:
            converted = with_tested_widths(converted, dataset, images, report)
    body = describe(converted)
    if not skip_accuracy:
        with progress("accuracy") as report:
            found = measure(converted, dataset, images, report)
        # Tables quote accuracy_test_set, so a part of the test set must not pass for it.
        whole = found.images == len(dataset.test_images)
        body |= {"accuracy_test_set" if whole else "accuracy": 100 * found.accuracy, "accuracy_images": found.images,
                 "spikes_per_neuron": found.spikes_per_neuron}
    if target is not None:
        with progress("samples") as report:
            made = record(converted, dataset, target, samples, target.stem, body, report)
        body |= {"trace": str(target), "samples": made.samples, "content_hash": made.content_hash,
                 "bytes": target.stat().st_size}
        made.close()
    if as_json:
        print_json(body)
        return
    typer.echo(f"{body['network']} by {body['method']}, T = {body['timesteps']}: {len(converted.network.layers)} layers")
    typer.echo(f"  source network   {percent(body['ann_accuracy'])} of the test set, {body['activation']}")
    if not skip_accuracy:
        measured = body.get("accuracy_test_set", body.get("accuracy"))
        typer.echo(f"  converted        {percent(measured)} of {body['accuracy_images']} test images, "
                   f"{body['spikes_per_neuron']:.3f} spikes a neuron")
        if width is not None:
            typer.echo(f"                   with potentials that never saturate; with {width} bits, on the simulated "
                       f"core: hwsim run FILE --arch ARCH --spikes computed")
    if target is not None:
        typer.echo(f"  wrote {target}: {body['samples']} samples, {format_bits(8 * body['bytes'])}")


def _potential_width(asked: str | None) -> int | None:
    """--potential-bits as one width for all layers, None where each has its own."""
    if asked is None or asked == TESTED:
        return None
    try:
        return int(asked)
    except ValueError:
        raise HwsimError(f"--potential-bits is {asked!r}, allowed are a number of bits and {TESTED}") from None


def describe(converted: Converted) -> dict[str, Any]:
    """What a trace's provenance says of a conversion."""
    says, request = converted.checkpoint.description, converted.request
    activation = says.activation.kind
    if activation in ("qcfs", "lsq"):
        activation += f", {says.activation.levels} levels"
    return {
        "network": says.network, "dataset": says.dataset, "method": request.method, "timesteps": request.timesteps,
        "ann_accuracy": says.accuracy, "activation": activation + (", noise adaptor" if says.activation.noise else ""),
        "weight_bits": request.widths.weight_bits, "payload_bits": request.widths.payload_bits,
        "pooling": request.widths.pool_mode, "epochs": says.epoch, "seed": says.seed, **converted.notes,
    }
