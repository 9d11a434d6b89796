"""`hwsim train`: a source network, from images to a checkpoint that `hwsim convert` reads. Needs the extra `hwsim[torch]`."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.common import JsonOption, print_json, progress
from hwsim.errors import HwsimError
from hwsim.sources.data import load_dataset
from hwsim.units import percent

if TYPE_CHECKING:
    from hwsim.sources.activations import ActivationSpec
    from hwsim.sources.checkpoint import Checkpoint
    from hwsim.training.train import Epoch

app = typer.Typer(add_completion=False, rich_markup_mode=None)

RATE, FINE_RATE = 0.2, 0.02
"""Highest learning rate from random weights, and from trained ones."""
_ONLY_FOR = {"levels": ("qcfs", "lsq"), "coding": ("qcfs", "lsq"), "timesteps": ("single_spike", "alpha_beta"),
             "threshold": ("qcfs", "lsq", "threshold_relu")}

_HIGHEST: dict[str | None, Callable[[int], int | None]] = {
    None: lambda levels: None, "bit_serial": lambda levels: None, "rate": lambda levels: levels}
"""By --coding, the highest level of `levels`; None is what the activation does by itself, levels - 1."""


def need_torch() -> Any:
    """The module torch. Raises HwsimError with the command that installs it when it is missing or does not load."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise HwsimError(f"this command needs PyTorch, which does not load here ({error}); install it with: "
                         f"pip install 'hwsim[torch]'") from None


@app.command()
def train_command(
    network: Annotated[str, typer.Argument(
        help="resnet20, resnet20_wide, resnet18, resnet34, vgg6, vgg9, vgg11, vgg16, mobilenetv2, small or tiny.")],
    data: Annotated[str, typer.Option(metavar="FOLDER", help="Folder with the data set's files, or its archive.")],
    out: Annotated[str, typer.Option("-o", "--out", metavar="DIR", help="Where last.pt and best.pt are kept.")],
    dataset: Annotated[str, typer.Option(help="cifar10, mnist or fashion_mnist.")] = "cifar10",
    activation: Annotated[str, typer.Option(help="qcfs, threshold_relu, lsq, relu, alpha_beta or single_spike.")] = "qcfs",
    levels: Annotated[int | None, typer.Option(help="qcfs, lsq: steps of the threshold (default 16).")] = None,
    coding: Annotated[str | None, typer.Option(
        help="qcfs, lsq: bit_serial, highest level is levels - 1 (default), or rate, it is levels.")] = None,
    noise: Annotated[bool, typer.Option("--noise", help="lsq: train with the noise adaptor's uniform noise.")] = False,
    timesteps: Annotated[int | None, typer.Option(help="single_spike: T (default 5); alpha_beta: T (default 2).")] = None,
    threshold: Annotated[float | None, typer.Option(
        help="qcfs, lsq, threshold_relu: where the highest value starts (default 4); not with --from.")] = None,
    head: Annotated[int | None, typer.Option(help="VGGs: width of two hidden linear layers.")] = None,
    shortcut: Annotated[str | None, typer.Option(
        help="ResNets, where the shape changes: projection, 1x1 convolutions, or pad, zeros (resnet20's default).")] = None,
    norm: Annotated[bool, typer.Option(
        "--norm/--no-norm",
        help="BatchNorm after each convolution; --no-norm --from a network that has it folds it (not for single_spike).")] = True,
    bias: Annotated[bool, typer.Option(
        "--bias/--no-bias",
        help="Biases where there is no BatchNorm; --no-bias --from a network that has them drops them.")] = True,
    dropout: Annotated[float, typer.Option(help="Probability, of hidden layers that are not pooled.")] = 0.0,
    pool: Annotated[str, typer.Option(help="2x2 windows: average, or max (rate and single-spike codes).")] = "average",
    width: Annotated[float, typer.Option(help="Factor of all channels.")] = 1.0,
    weight_bits: Annotated[int | None, typer.Option(
        help="qcfs, lsq, with --from: round weights to integers of so many bits, BatchNorms folded; thresholds stay.")] = None,
    normalise: Annotated[bool, typer.Option(
        "--normalise/--no-normalise", help="Take the data set's mean out of the pixels; without, they are 0 to 1.")] = True,
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 60,
    batch: Annotated[int, typer.Option(help="Images a step.")] = 128,
    rate: Annotated[float | None, typer.Option(help=f"Highest learning rate ({RATE}; with --from {FINE_RATE}).")] = None,
    schedule: Annotated[str, typer.Option(help="one_cycle or cosine.")] = "one_cycle",
    label_smoothing: Annotated[float, typer.Option(help="0 to 1.")] = 0.0,
    regulariser: Annotated[float, typer.Option(help="Coefficient of the bits' l1 norm; qcfs and lsq.")] = 0.0,
    flip: Annotated[bool, typer.Option("--flip/--no-flip", help="Mirror half of the images.")] = True,
    shift: Annotated[int, typer.Option(help="Move images by up to so many pixels each way.", min=0)] = 4,
    cutout: Annotated[int, typer.Option(help="Side of the square that is cut out, 0 for none.", min=0)] = 0,
    autoaugment: Annotated[bool, typer.Option("--autoaugment", help="The policy of Cubuk et al. 2019 for CIFAR-10.")] = False,
    weight_decay: Annotated[float, typer.Option(help="How strongly parameters are pulled to 0.")] = 5e-4,
    decay: Annotated[str, typer.Option(
        help="What decays: all, weights (of synapses only), or auto: all for qcfs and lsq, else weights.")] = "auto",
    seed: Annotated[int, typer.Option(help="Same seed and threads, same weights.")] = 1,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    shrink: Annotated[int, typer.Option(help="Average images over so many pixels squared: a cheap start.", min=1)] = 1,
    kernels: Annotated[str, typer.Option(
        help="torch, or native: faster convolutions and neurons on the CPU, compiled with g++.")] = "torch",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads (default: torch's choice).", min=1, max=256)] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="CHECKPOINT", help="Fine-tune this one.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from DIR/last.pt, with the same settings.")] = False,
    unverified: Annotated[bool, typer.Option("--unverified", help="Take a subset, or images of one's own.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a source network; a checkpoint after every epoch, so a killed run goes on with --resume."""
    torch = need_torch()
    # PyTorch is an extra, and `--help` works without it.
    from hwsim.sources.checkpoint import load_checkpoint
    from hwsim.sources.zoo import Variant, check_network
    from hwsim.training.augment import Augmentation
    from hwsim.training.train import Recipe, train

    if threshold is not None and start is not None:
        raise HwsimError(f"--threshold {threshold} with --from {start}: thresholds go on from the checkpoint's; leave one out")
    variant = Variant(shortcut, norm, bias, dropout, pool, width, weight_bits)  # type: ignore[arg-type]
    check_network(network, head, variant)
    spec = _activation(activation, levels, coding, noise, timesteps, threshold)
    recipe = Recipe(epochs=epochs, batch=batch, rate=rate if rate is not None else FINE_RATE if start else RATE,
                    schedule=schedule, weight_decay=weight_decay, decay=decay, label_smoothing=label_smoothing,
                    augmentation=Augmentation(flip, shift, cutout, autoaugment),
                    regulariser=regulariser, seed=seed, precision=precision, shrink=shrink, kernels=kernels)
    if threads is not None:
        torch.set_num_threads(threads)
    first = None if start is None or resume else load_checkpoint(start)
    images = load_dataset(dataset, data, verify=not unverified)
    images = images if normalise else images.unnormalised()
    done: list[Epoch] = []

    def report(epoch: Epoch) -> None:
        done.append(epoch)
        typer.echo(str(epoch), err=True)

    began = time.monotonic()
    with progress("steps") as bar:
        last = train(images, network, spec, recipe, out, head=head, variant=variant, resume=resume, start=first, device=device,
                     report=report, progress=bar)
    body = _summary(last, done, time.monotonic() - began)
    if as_json:
        print_json(body)
    else:
        _print_summary(body)


def _activation(kind: str, levels: int | None, coding: str | None, noise: bool, timesteps: int | None,
                threshold: float | None) -> ActivationSpec:
    """What the options ask for. Raises HwsimError for one that the activation does not have."""
    # Loads PyTorch, which is there by now.
    from hwsim.sources.activations import ALPHA_BETA, KINDS, ActivationSpec

    given = {"levels": levels, "coding": coding, "timesteps": timesteps, "threshold": threshold}
    for name, kinds in _ONLY_FOR.items():
        if given[name] is not None and kind in KINDS and kind not in kinds:
            raise HwsimError(f"--{name} {given[name]} with --activation {kind}: it belongs to {' and '.join(kinds)}")
    if coding not in _HIGHEST:
        raise HwsimError(f"--coding {coding!r} is not known; choose {' or '.join(filter(None, _HIGHEST))}")
    steps = 16 if levels is None else levels
    top = _HIGHEST[coding](steps)
    usual = 2 if kind == ALPHA_BETA else 5
    return ActivationSpec(kind, steps, top, noise, ActivationSpec.threshold if threshold is None else threshold,
                          usual if timesteps is None else timesteps)


def _summary(last: Checkpoint, done: list[Epoch], seconds: float) -> dict[str, Any]:
    # Loads PyTorch, which is there by now.
    from hwsim.training.train import BEST

    d = last.description
    return {
        "network": d.network, "head": d.head, "variant": asdict(d.variant), "dataset": d.dataset,
        "activation": asdict(d.activation), "epochs": d.epochs,
        "accuracy": d.accuracy, "best_accuracy": (last.training or {}).get("best"), "seconds": seconds,
        "checkpoint": str(last.path), "best_checkpoint": str(Path(last.path).with_name(BEST)),
        "history": [asdict(epoch) for epoch in done],
    }


def _print_summary(body: dict[str, Any]) -> None:
    activation, now = body["activation"], len(body["history"])
    each = f", {body['seconds'] / now:.1f} s each" if now else ", already trained"
    lines = [
        ("network", f"{body['network']}, {activation['kind']}, on {body['dataset']}"),
        ("epochs", f"{body['epochs']}, of them {now} now{each}"),
        ("accuracy", f"{percent(body['accuracy'])} of the test set; best epoch {percent(body['best_accuracy'])}"),
        ("checkpoints", f"{body['checkpoint']}, {body['best_checkpoint']}"),
    ]
    for name, text in lines:
        typer.echo(f"{name:<12} {text}")
