"""`hwsim convert --model`: a user's own ANN, quantised, and its spiking twins."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hwsim.cli.common import print_json, print_table, progress
from hwsim.cli.train import need_torch
from hwsim.cli.user_model import load_model
from hwsim.errors import HwsimError
from hwsim.sources.npz import read_npz
from hwsim.units import format_bits, percent

if TYPE_CHECKING:
    from hwsim.convert.own import Accuracies, Quantised

CODINGS = {"float": "as trained", "ann": "quantised ANN", "bit_serial": "bit-serial", "rate": "rate"}


@dataclass(frozen=True)
class OwnNetwork:
    """What the command line says of a user's network; None where nothing was said."""

    model: str
    calibrate: str
    test: str | None
    levels: int
    timesteps: int | None
    mean: str | None
    std: str | None
    weight_bits: int
    payload_bits: int


def convert_own(
    own: OwnNetwork, out: str | None, samples: int, images: int | None, skip_accuracy: bool, force: bool, as_json: bool
) -> None:
    """Quantise, measure, say what was lost, write the traces."""
    folder = None if out is None else _folder_to_write(out, force)
    if folder is None and skip_accuracy:
        raise HwsimError("nothing to do: give --out for traces, or leave --skip-accuracy out")
    mean, std = _numbers("--mean", own.mean), _numbers("--std", own.std)
    given = read_npz(own.calibrate)
    test = None if own.test is None else read_npz(own.test)
    need_torch()
    # PyTorch is an extra, and `--help` works without it.
    from hwsim.convert.own import quantise

    with redirect_stdout(sys.stderr):  # what the user's code prints must not mix with the answer
        model: Any = own.model if own.model.endswith(".onnx") else load_model(own.model)
        with progress("layers") as report:
            made = quantise(
                model, given.images, given.labels, test=None if test is None else (test.images, test.labels), levels=own.levels,
                weight_bits=own.weight_bits, payload_bits=own.payload_bits, rate_timesteps=own.timesteps, mean=mean, std=std,
                name=_name(own.model), progress=report)
    body: dict[str, Any] = {**made.notes, "images": Path(own.test or own.calibrate).name,
                            "timesteps": {twin: driven.notes["timesteps"] for twin, driven in made.twins.items()}}
    found = None
    if not skip_accuracy:
        with progress("accuracy") as report:
            found = made.measure(images, progress=report)
        body |= {"accuracy_images": found.images, "agreement": {k: 100 * v for k, v in found.agreement.items()},
                 "accuracy": None if found.accuracy is None else {k: 100 * v for k, v in found.accuracy.items()},
                 "events_per_neuron": dict(found.spikes)}
    losses = made.losses(images)
    body["layers"] = [asdict(loss) for loss in losses]
    if folder is not None:
        count = min(samples, len(made.data.images))
        with progress("samples") as report:
            paths = made.record(folder, count, {"images": body["images"]}, found, report)
        body["traces"] = {twin: str(path) for twin, path in paths.items()}
    if as_json:
        print_json(body)
        return
    _print(made, body, found)
    if folder is None:
        typer.echo("\nno traces were written; --out FOLDER writes one of each network")
        return
    fewer = f", not {samples}: there are no more images" if count < samples else ""
    for path in paths.values():
        typer.echo(f"wrote {path}: {count} samples{fewer}, {format_bits(8 * path.stat().st_size)}")
    typer.echo(f"try: hwsim compare {folder}/*.h5 --arch event_core_64")


def _print(made: Quantised, body: dict[str, Any], found: Accuracies | None) -> None:
    layers = len(made.calibrated.ann.layers)
    typer.echo(f"{made.name}: {layers} layers, {body['levels']} levels, {body['weight_bits']}-bit weights, calibrated on "
               f"{body['calibration_images']} images")
    for note in body["notes"]:
        typer.echo(f"  note: {note}")
    if found is not None:
        typer.echo(f"\nof {found.images} images of {body['images']}:")
        print_table([{
            "network": CODINGS[name], "T": body["timesteps"].get(name, "-") if name in ("bit_serial", "rate") else "-",
            "accuracy": percent(None if found.accuracy is None else 100 * found.accuracy[name]),
            "as trained": "-" if name == "float" else percent(100 * found.agreement[name]),
            "events per neuron": "-" if name == "float" else f"{found.spikes[name]:.3f}",
        } for name in CODINGS], left=("network",))
    typer.echo("\nwhat quantisation changed, by layer (root mean square, of the activations' own):")
    print_table([{
        "layer": loss["layer"], "highest level": f"{loss['highest']:.4g}", "clipped": percent(100 * loss["clipped"]),
        "by its levels": percent(100 * loss["own"]), "in all": percent(100 * loss["total"]),
    } for loss in body["layers"]], left=("layer",))


def _folder_to_write(out: str, force: bool) -> Path:
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise HwsimError(f"{folder}: is a file; with --model, --out is the folder of the traces; give another name")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise HwsimError(f"{folder}: exists and is not empty; give another name or --force")
    return folder


def _numbers(option: str, text: str | None) -> list[float] | None:
    """Numbers with commas between them."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise HwsimError(f"{option} is {text!r}, expected numbers with commas between them, one per channel; e.g. "
                         "0.4914,0.4822,0.4465") from None


def _name(model: str) -> str:
    """What the network is called: the function, or the file."""
    return Path(model).stem if model.endswith(".onnx") else model.rpartition(":")[2]
