"""`hwsim convert`: from a trained checkpoint, or a user's own ANN, to spiking networks and their traces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.common import JsonOption, file_to_write, print_json, progress
from hwsim.cli.convert_own import OwnNetwork, convert_own
from hwsim.cli.train import need_torch
from hwsim.errors import HwsimError
from hwsim.sources.data import load_dataset
from hwsim.units import format_bits, percent

if TYPE_CHECKING:
    from hwsim.convert.methods import Converted

app = typer.Typer(add_completion=False, rich_markup_mode=None)

METHOD_HELP = ("bit_serial (paper 000), alpha_beta (001), two_stage (002, SRP), noise_adaptor (003), single_spike (004), rate "
               "(QCFS), or ann: the quantised ANN as a baseline.")

MODEL_HELP = ("An ANN of your own: a function without arguments that gives a torch.nn.Module, or the module; or an ONNX file. It "
              "is quantised, and written as a quantised ANN, bit-serial and rate-coded (docs/own-network.md).")
CALIBRATE_HELP = "--model: NPZ with a few hundred images and perhaps labels, from which levels are chosen."

TESTED = "tested"
"""--potential-bits: as wide as the test images need."""


@app.command()
def convert_command(
    checkpoint: Annotated[str | None, typer.Argument(help="Checkpoint that `hwsim train` wrote; or give --model.")] = None,
    data: Annotated[str | None, typer.Option(metavar="FOLDER", help="Folder of the data set that it was trained on.")] = None,
    model: Annotated[str | None, typer.Option(metavar="FILE.py:FUNCTION", help=MODEL_HELP)] = None,
    calibrate: Annotated[str | None, typer.Option(metavar="FILE", help=CALIBRATE_HELP)] = None,
    test: Annotated[str | None, typer.Option(
        metavar="FILE", help="--model: images and labels to measure and to record; by default those of --calibrate.")] = None,
    levels: Annotated[int, typer.Option(help="--model: levels of an activation, 2, 4, 8, ..., 256.")] = 16,
    mean: Annotated[str | None, typer.Option(
        metavar="NUMBERS", help="--model: mean that its images had taken off, of values / 255, e.g. 0.49,0.48,0.45.")] = None,
    std: Annotated[str | None, typer.Option(metavar="NUMBERS", help="--model: what they were divided by then.")] = None,
    method: Annotated[str, typer.Option(help=METHOD_HELP)] = "bit_serial",
    timesteps: Annotated[int | None, typer.Option("--timesteps", "-t", help=(
        "T, timesteps or bit planes; of ann, bits (default 4). --model: of the rate-coded twin (default levels - 1)."))] = None,
    tau: Annotated[int, typer.Option(help="two_stage: timesteps of the first stage.")] = 4,
    out: Annotated[str | None, typer.Option("-o", "--out", metavar="FILE", help=(
        "Trace to write (HDF5). --model: the folder of its traces."))] = None,
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
    first_crossing: Annotated[bool, typer.Option("--first-crossing", help=(
        "single_spike: take from each final potential the time in which it first reached the read-out's threshold."))] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    unverified: Annotated[bool, typer.Option("--unverified", help="Take a subset, or images of one's own.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Convert a trained ANN by a paper's method: integers out, accuracy on the test set, and a trace to replay.

    With --model, convert an ANN of your own, from PyTorch or ONNX: quantised on images, as an ANN, bit-serial and rate-coded.
    THIS RUNS THE CODE IN FILE.py: only give files that you trust.
    """
    if model is not None:
        _check_own(checkpoint, data, calibrate, {
            "--tau": tau != 4, "--potential-bits": potential_bits is not None, "--pool": pool != "folded",
            "--below": below != "refire", "--first-crossing": first_crossing,
            "--unverified": unverified, "--method": method != "bit_serial"})
        own = OwnNetwork(model, str(calibrate), test, levels, timesteps, mean, std, weight_bits, payload_bits)
        convert_own(own, out, samples, images, skip_accuracy, force, as_json)
        return
    if checkpoint is None or data is None:
        raise HwsimError("give a checkpoint of `hwsim train` and --data FOLDER, or a network of your own: "
                         "--model FILE.py:FUNCTION --calibrate FILE.npz")
    if calibrate is not None or test is not None or mean is not None or std is not None:
        raise HwsimError("--calibrate, --test, --mean and --std belong to --model, and a checkpoint is given; give one of both")
    timesteps = 4 if timesteps is None else timesteps
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
    request = Request(method, timesteps, tau, widths, below, first_crossing=first_crossing)  # type: ignore[arg-type]
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


def _check_own(checkpoint: str | None, data: str | None, calibrate: str | None, others: dict[str, bool]) -> None:
    """Refuse what does not go with --model."""
    if checkpoint is not None or data is not None:
        raise HwsimError("--model is a network of your own, and a checkpoint or --data is given too; give one of both")
    if calibrate is None:
        raise HwsimError("--model needs --calibrate FILE: an NPZ with a few hundred images, from which levels are chosen")
    for option, given in others.items():
        if given:
            raise HwsimError(f"{option} belongs to checkpoints of `hwsim train`; leave it out with --model")


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
