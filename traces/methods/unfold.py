"""A checkpoint of a network whose trace is in the tree and whose own is not: `hwsim train --from` goes on from it.

    python traces/methods/unfold.py TRACE --data FOLDER --out CHECKPOINT

TRACE is a bit-serial one that `hwsim convert` made of a network by name in which each layer reads the one before it (VGG-16). Its
integers are taken as they are, each layer at a scale of its own, which changes no answer: thresholds are 1, weights as large as
those of a fresh network, and the read-out's scale is the one that gives training images their lowest loss. BatchNorms
get back the statistics of training images, which the conversion had folded into weights and biases. The checkpoint is
converted again and must give the integers of the trace; a difference is an error.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hwsim.convert.folded import fold
from hwsim.convert.integers import USUAL_WIDTHS, Widths, input_unit
from hwsim.convert.methods import Request, convert
from hwsim.errors import HwsimError
from hwsim.sources.activations import ActivationSpec
from hwsim.sources.checkpoint import Checkpoint, Description, save_checkpoint
from hwsim.sources.data import Dataset, load_dataset
from hwsim.sources.networks import SourceNetwork, Synapses
from hwsim.sources.normaliser import Normaliser
from hwsim.sources.zoo import USUAL, Variant
from hwsim.trace.reader import Trace

IMAGES = 2000
"""Training images whose statistics BatchNorms get."""
THRESHOLD = 1.0
"""Of every layer."""
NUDGE = 1 - 1e-6
"""A conversion takes the largest whole level that fits, and floats may fall short of the one that was."""


@torch.no_grad()
def unfold(trace: Trace, name: str, dataset: Dataset, variant: Variant = USUAL) -> Checkpoint:
    """The checkpoint of `trace`, a bit-serial one of the network `name` on `dataset`. HwsimError where it is of another."""
    if trace.coding != "bit_serial":
        raise HwsimError(f"{trace.path}: is {trace.coding}, expected a bit-serial trace, whose spikes say every level")
    if not trace.has_weights:
        raise HwsimError(f"{trace.path}: has no weights, so there is no network in it; give a trace that `hwsim convert` made")
    if trace.provenance.get("below", "refire") != "refire":
        raise HwsimError(f"{trace.path}: was converted with --below truncate, which drops levels; give one of all levels")
    levels = 1 << trace.timesteps
    described = Description(
        name, ActivationSpec("qcfs", levels, threshold=THRESHOLD), len(dataset.classes), dataset.image_shape, None, dataset.name,
        dataset.mean, dataset.std, 1, 0, 0, trace.provenance.get("accuracy_source_network"), variant=variant)
    network = described.build().eval()
    assert isinstance(network, SourceNetwork)
    if (wanted := list(network.layers)) != (found := [layer.name for layer in trace.network]):
        raise HwsimError(f"{trace.path}: has the layers {', '.join(found)}, and {name} has {', '.join(wanted)}; give --network")
    if joins := [layer.name for layer in trace.network if len(layer.connections) > 1]:
        raise HwsimError(f"{trace.path}: layer {joins[0]} reads several layers; only networks without shortcuts are taken")
    seen = Normaliser(dataset.mean, dataset.std, torch.device("cpu"))(torch.tensor(dataset.train_images[:IMAGES]))
    labels = torch.tensor(dataset.train_labels[:IMAGES])
    unit, level = input_unit(fold(network, dataset.mean, dataset.std), widths_of(trace)), THRESHOLD / levels
    for layer in trace.network:
        mine, (connection,) = network.layers[layer.name], layer.connections
        synapses = mine.connections[0]
        if connection.weights.shape != (fits := tuple(synapses.operator.weight.shape)):
            raise HwsimError(f"{trace.path}: layer {layer.name} has weights of shape {connection.weights.shape}, and {name} has "
                             f"{fits}; only networks of the usual width and head are taken")
        weights = torch.from_numpy(connection.weights.astype(np.float32))
        weights *= synapses.divisor / unit
        bias = torch.from_numpy(np.broadcast_to(layer.bias, (layer.shape[0], 1, 1)).astype(np.float32)).flatten()
        if layer.sends:
            worth = NUDGE * THRESHOLD / int(layer.thresholds[0])
            _give(synapses, weights * worth, bias * worth, seen)
            seen, unit = mine({synapses.spec.source: seen}), level
        else:
            _give_read_out(synapses, weights, bias, seen, labels)
    return Checkpoint(Path(trace.name), described, dict(network.state_dict()), None)


def widths_of(trace: Trace) -> Widths:
    """What the trace was converted with; one without a note of its weights' width has the usual one."""
    return Widths(int(trace.provenance.get("weight_bits", USUAL_WIDTHS.weight_bits)), trace.network.input.payload_bits)


def _give(synapses: Any, weights: Tensor, bias: Tensor, seen: Tensor) -> None:
    """Weights and BatchNorm that fold into `weights` and `bias`, the statistics those of the inputs `seen`."""
    norm, gain = synapses.norm, float(weights.std()) / math.sqrt(2 / weights[0].numel())
    synapses.operator.weight.copy_(weights / gain)
    sums = synapses.weighed(seen)
    norm.running_mean.copy_(sums.mean((0, 2, 3)))
    norm.running_var.copy_(sums.var((0, 2, 3)))
    norm.weight.copy_(gain * (norm.running_var.double() + norm.eps).sqrt())
    norm.bias.copy_(bias + gain * norm.running_mean)


def _give_read_out(synapses: Synapses, weights: Tensor, bias: Tensor, seen: Tensor, labels: Tensor) -> None:
    """Weights and bias at the scale at which the cross entropy of the labels is lowest."""
    operator: Any = synapses.operator
    operator.weight.copy_(weights)
    operator.bias.copy_(bias)
    logits = synapses(seen).flatten(1).double()
    scale = min(torch.logspace(-6, 1, 141).tolist(), key=lambda s: float(functional.cross_entropy(s * logits, labels)))
    operator.weight.mul_(scale)
    operator.bias.mul_(scale)


def differences(trace: Trace, checkpoint: Checkpoint, dataset: Dataset) -> list[str]:
    """Layers to which converting the checkpoint gives other integers than the trace has."""
    again = convert(checkpoint, Request("bit_serial", trace.timesteps, widths=widths_of(trace)), dataset).network
    return [was.name for was, now in zip(trace.network, again, strict=True) if not (
        np.array_equal(was.connections[0].weights, now.connections[0].weights) and np.array_equal(was.bias, now.bias)
        and np.array_equal(was.thresholds, now.thresholds) and np.array_equal(was.initial_potential, now.initial_potential))]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("trace", type=Path)
    parser.add_argument("--network", default="vgg16", help="its name (default: vgg16)")
    parser.add_argument("--dataset", default="cifar10", help="its name (default: cifar10)")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True, metavar="CHECKPOINT")
    args = parser.parse_args()
    dataset = load_dataset(args.dataset, args.data)
    with Trace.open(args.trace) as trace:
        found = unfold(trace, args.network, dataset)
        if other := differences(trace, found, dataset):
            sys.exit(f"unfold.py: {args.trace}: converted again, the checkpoint gives other integers to {', '.join(other)}; "
                     "nothing is written. Was the trace converted with other options, or its network trained with others?")
    save_checkpoint(args.out, found.description, found.weights)


if __name__ == "__main__":
    try:
        main()
    except HwsimError as error:
        sys.exit(f"unfold.py: {error}")
