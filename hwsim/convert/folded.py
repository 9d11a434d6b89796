"""The source ANN in numbers: what every conversion starts from, BatchNorm folded, without torch's modules.

A connection's weights act on the sum of a pooling window, so an average pool of k x k has divided them by k**2 already; on
the maximum they act as they are.
Values are real: an activation of level n is n * step, a full-scale one `threshold`. Inputs are normalised pixels,
(pixel / 255 - mean) / std by channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwsim.snn.network import Connection, Shape
from hwsim.sources.activations import Lsq, Qcfs, ThresholdRelu
from hwsim.sources.networks import Neurons, SourceError, SourceNetwork, Synapses
from hwsim.sources.surrogate import AlphaBeta

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SourceConnection:
    """Synapses with real weights, shaped as those of `geometry` (hwsim.snn.network.Connection), which holds none.

    step   value of an integer weight of one, where the weights were trained as integers; else 0, and a conversion chooses.
    """

    geometry: Connection
    weights: FloatArray
    step: float = 0.0

    @property
    def window(self) -> int:
        """How many times larger a sum over the pooling window is than the average that it stands for."""
        return 1 if self.geometry.pool_mode == "max" else self.geometry.pool**2


@dataclass(frozen=True, eq=False)
class SourceLayer:
    """A layer with its BatchNorms folded.

    bias        (C,) sum of the biases of its connections.
    threshold   value of a full-scale activation: lambda of QCFS, mu of a threshold ReLU, p * s of LSQ; V of neurons that were
                trained as such; 0 for a read-out.
    levels      steps that the threshold is divided into; 0 when it was trained without levels.
    top         highest level that the activation gives.
    """

    name: str
    shape: Shape
    connections: tuple[SourceConnection, ...]
    bias: FloatArray
    threshold: float = 0.0
    levels: int = 0
    top: int = 0

    @property
    def fires(self) -> bool:
        """Whether it has an activation; a read-out has none."""
        return self.threshold > 0

    @property
    def rounded(self) -> bool:
        """Whether its weights were trained as integers."""
        return any(c.step for c in self.connections)

    @property
    def window(self) -> int:
        """How many times larger its whole sum is for pooling windows that are summed, not averaged."""
        return min(c.window for c in self.connections)


@dataclass(frozen=True, eq=False)
class FoldedSource:
    """A trained ANN.

    mean, std   (C,) normalisation of its inputs: (image / pixel - mean) / std.
    pixel       what a value of an image is divided by: 255 for bytes.
    lowest, highest   ends of the range of image / pixel.
    """

    name: str
    input_shape: Shape
    mean: FloatArray
    std: FloatArray
    layers: tuple[SourceLayer, ...]
    pixel: float = 255.0
    lowest: float = 0.0
    highest: float = 1.0

    @property
    def signed_input(self) -> bool:
        """Whether a normalised pixel can be negative: black is, where a mean is taken out."""
        return bool(self._ends.min() < 0)

    @property
    def largest_input(self) -> float:
        """Largest magnitude of a normalised pixel."""
        return float(np.abs(self._ends).max())

    @property
    def _ends(self) -> FloatArray:
        """Both ends of the range of every channel, normalised."""
        return np.array([(end - self.mean) / self.std for end in (self.lowest, self.highest)])

    def normalised(self, images: NDArray[Any]) -> FloatArray:
        """What the network sees of images (N, H, W, C)."""
        return (images / self.pixel - self.mean) / self.std


def fold(network: SourceNetwork, mean: Any, std: Any) -> FoldedSource:
    """`network` in evaluation mode, each BatchNorm folded into the weights and biases before it.

    mean, std: a number a channel, in units of pixel / 255. Raises SourceError for NaN or infinite weights, and for an
    activation that no spikes can carry.
    """
    layers = tuple(_fold_layer(name, layer) for name, layer in network.layers.items())
    return FoldedSource(network.name, network.input_shape, np.asarray(mean, np.float64), np.asarray(std, np.float64), layers)


def _fold_layer(name: str, layer: Neurons) -> SourceLayer:
    folded = [_fold_connection(synapses) for synapses in layer.connections]
    bias = np.sum([b for _, b in folded], axis=0)
    threshold, levels, top = _scale_of(name, layer.activation)
    folding = SourceLayer(name, layer.shape, tuple(c for c, _ in folded), bias, threshold, levels, top)
    check_numbers(folding)
    return folding


def check_numbers(layer: SourceLayer) -> None:
    """Refuse NaN and infinity, naming the connection."""
    for connection in layer.connections:
        if not np.isfinite(connection.weights).all() or not np.isfinite(layer.bias).all():
            raise SourceError(f"layer {layer.name}, connection from {connection.geometry.source}: NaN or infinity among its "
                              "weights, expected numbers; the training diverged: take an earlier checkpoint")


def _fold_connection(synapses: Synapses) -> tuple[SourceConnection, FloatArray]:
    """Weights and bias (C,) of operator and BatchNorm: gamma (w - mu) / sigma + beta, divided by an averaged window."""
    bias = np.zeros(synapses.shape[0])
    if synapses.operator is None:
        weights = np.ones(synapses.source_shape[0])
    else:
        weights = _numbers(synapses.operator.weight)
        if synapses.operator.bias is not None:
            bias = _numbers(synapses.operator.bias)
    norm: Any = synapses.norm
    if norm is not None:
        gain = _numbers(norm.weight) / np.sqrt(_numbers(norm.running_var) + norm.eps)
        weights = weights * gain.reshape(-1, *[1] * (weights.ndim - 1))
        bias = gain * (bias - _numbers(norm.running_mean)) + _numbers(norm.bias)
    step = 0.0 if synapses.rounding is None else float(synapses.rounding.weight_step)
    return SourceConnection(synapses.geometry, weights / synapses.divisor, step / synapses.divisor), bias


def _scale_of(name: str, activation: Any) -> tuple[float, int, int]:
    """(threshold, levels, top) of a layer's activation."""
    if activation is None:
        return 0.0, 0, 0
    if isinstance(activation, Qcfs):
        threshold, levels, top = float(activation.step.detach()) * activation.levels, activation.levels, activation.top
    elif isinstance(activation, Lsq):
        threshold, levels, top = float(activation.step.detach()) * activation.top, activation.top, activation.top
    elif isinstance(activation, ThresholdRelu | AlphaBeta):
        threshold, levels, top = float(activation.threshold.detach()), 0, 0
    else:
        raise SourceError(f"layer {name}: its activation is {type(activation).__name__}, expected qcfs, threshold_relu, "
                          "lsq or alpha_beta, whose outputs have a largest value; train with one of them")
    if not np.isfinite(threshold) or threshold <= 0:
        raise SourceError(f"layer {name}: its threshold is {threshold}, expected a positive number; the training diverged")
    return threshold, levels, top


def _numbers(tensor: torch.Tensor) -> FloatArray:
    return tensor.detach().to("cpu", torch.float64).numpy()
