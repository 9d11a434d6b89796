"""A checkpoint of a network whose trace is in the tree and whose own is not: `hwsim train --from` goes on from it.

    python traces/methods/unfold.py TRACE --data FOLDER --out CHECKPOINT

TRACE is a bit-serial one of `hwsim convert`, of a network by name in which each layer reads the one before it (VGG-16). Its
integers are taken as they are, each layer at a scale of its own choice, which changes no answer: thresholds are 1, weights
those of a fresh network in size, and the read-out's scale is the one that gives training images their lowest loss. BatchNorms
get back the statistics of training images that a conversion folded into weights and biases. The checkpoint is converted
again and must give the trace's integers; a difference is an error.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hwsim.convert.integers import USUAL_WIDTHS
from hwsim.convert.methods import Request, convert
from hwsim.sources.activations import ActivationSpec
from hwsim.sources.checkpoint import Checkpoint, Description, save_checkpoint
from hwsim.sources.data import Dataset, load_dataset
from hwsim.sources.networks import Neurons, SourceNetwork
from hwsim.sources.normaliser import Normaliser
from hwsim.trace.reader import Trace

IMAGES = 2000
"""Training images whose statistics BatchNorms get."""
HIGHEST = 1.0
"""Threshold of every layer."""


@torch.no_grad()
def unfold(trace: Trace, name: str, dataset: Dataset) -> Checkpoint:
    """The checkpoint of `trace`, a bit-serial one of the network `name` on `dataset`."""
    bits = trace.timesteps
    accuracy = float(trace.provenance["accuracy_source_network"])
    about = Description(name, ActivationSpec("qcfs", 1 << bits, threshold=HIGHEST), len(dataset.classes), dataset.image_shape,
                        None, dataset.name, dataset.mean, dataset.std, 1, 0, 0, accuracy)
    network = about.build().eval()
    assert isinstance(network, SourceNetwork)
    normalise = Normaliser(dataset.mean, dataset.std, torch.device("cpu"))
    images, labels = (torch.tensor(a[:IMAGES]) for a in (dataset.train_images, dataset.train_labels))
    seen = normalise(images)
    worth = _payload(dataset)
    level = HIGHEST / (1 << bits)
    for layer in trace.network:
        mine = network.layers[layer.name]
        synapses, connection = mine.connections[0], layer.connections[0]
        weights = torch.from_numpy(connection.weights.astype(np.float32)).reshape(synapses.operator.weight.shape)
        bias = torch.from_numpy(layer.bias.astype(np.float32)).flatten()
        weights = weights * (synapses.divisor / worth)
        if layer.thresholds.size:
            # A conversion takes the largest whole level that fits, and floats may fall short of the one that was.
            value = level * (1 << bits) / float(layer.thresholds.flatten()[0]) * (1 - 1e-6)
            _give(mine, weights * value, bias * value, seen)
            seen, worth = mine({synapses.spec.source: seen}), level
        else:
            value = _scale(synapses, weights, bias, seen, labels)
            synapses.operator.weight.copy_(weights * value)
            synapses.operator.bias.copy_(bias * value)
    return Checkpoint(Path("unfolded"), about, dict(network.state_dict()), None)


def _payload(dataset: Dataset) -> float:
    """The real value of one step of the input's payloads."""
    mean, std = (np.asarray(v) for v in (dataset.mean, dataset.std))
    return float(np.maximum(mean, 1 - mean).__truediv__(std).max()) / ((1 << (USUAL_WIDTHS.payload_bits - 1)) - 1)


def _give(layer: Neurons, weights: Tensor, bias: Tensor, seen: Tensor) -> None:
    """Weights and BatchNorm that fold into `weights` and `bias`, the statistics those of the inputs `seen`."""
    synapses = layer.connections[0]
    operator, norm = synapses.operator, synapses.norm
    fresh = math.sqrt(2 / weights[0].numel())
    factor = fresh / float(weights.std())
    operator.weight.copy_(weights * factor)
    sums = synapses.weighed(seen)
    norm.running_mean.copy_(sums.mean((0, 2, 3)))
    norm.running_var.copy_(sums.var((0, 2, 3)))
    gain = 1 / factor
    norm.weight.copy_(gain * (norm.running_var.double() + norm.eps).sqrt())
    norm.bias.copy_(bias + gain * norm.running_mean)


def _scale(synapses: torch.nn.Module, weights: Tensor, bias: Tensor, seen: Tensor, labels: Tensor) -> float:
    """The factor of the logits at which the cross entropy of the labels is lowest."""
    synapses.operator.weight.copy_(weights)
    synapses.operator.bias.copy_(bias)
    logits = synapses(seen).flatten(1).double()
    factors = torch.logspace(-6, 1, 141, dtype=torch.float64)
    return float(min(factors, key=lambda f: float(functional.cross_entropy(f * logits, labels))))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("trace", type=Path)
    parser.add_argument("--network", default="vgg16", help="its name (default: vgg16)")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True, metavar="CHECKPOINT")
    args = parser.parse_args()
    dataset = load_dataset(args.dataset, args.data)
    with Trace.open(args.trace) as trace:
        found = unfold(trace, args.network, dataset)
        again = convert(found, Request("bit_serial", trace.timesteps), dataset).network
        for was, now in zip(trace.network, again, strict=True):
            same = (np.array_equal(was.connections[0].weights, now.connections[0].weights)
                    and np.array_equal(was.thresholds, now.thresholds) and np.array_equal(was.bias, now.bias))
            if not same:
                sys.exit(f"unfold.py: {args.trace}: layer {was.name}: the checkpoint gives other integers; nothing is written")
    save_checkpoint(args.out, found.description, found.weights)


if __name__ == "__main__":
    main()
