"""Accuracy and spikes of an integer Network on a whole test set: hwsim.snn.forward for a batch, sums by torch.

The same integers as hwsim.snn.forward, and the same neuron models (`Neuron.emit`): a batch lies side by side along the
width of a layer. Convolutions go through floats in which no partial sum can round (2**24 in single, 2**53 in double
precision), so every number is exact. Nothing saturates here; what a narrow core does is simulated with the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from hwsim.snn.forward import sees_sum
from hwsim.snn.network import INPUT, Connection, Layer, Network, NetworkError

IntArray = NDArray[np.int64]
Planes = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Evaluation:
    """What a network did on `images` images.

    accuracy   share of images whose largest logit is the label's (the first of equal ones).
    spikes     by layer, spikes (for an ANN: non-zero values) an image.   neurons   by layer.
    """

    images: int
    accuracy: float
    spikes: dict[str, float]
    neurons: dict[str, int]

    @property
    def spikes_per_neuron(self) -> float:
        """Mean over all neurons that send anything, over all timesteps."""
        return sum(self.spikes.values()) / sum(self.neurons.values())


def evaluate(
    network: Network, inputs: NDArray[Any], labels: NDArray[Any], batch: int = 100,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Run `network` on inputs (N, planes, H, W, C) as a Sample holds them; labels (N,)."""
    right, sent = 0, {layer.name: 0 for layer in network if layer.coding != "readout"}
    for first in range(0, len(inputs), batch):
        planes, logits = run_batch(network, inputs[first : first + batch])
        right += int((logits.argmax(axis=1) == labels[first : first + batch]).sum())
        for name in sent:
            sent[name] += int(np.count_nonzero(planes[name]))
        if progress:
            progress(min(first + batch, len(inputs)), len(inputs))
    neurons = {name: network.layer(name).neurons for name in sent}
    return Evaluation(len(inputs), right / len(inputs), {n: s / len(inputs) for n, s in sent.items()}, neurons)


def run_batch(network: Network, inputs: NDArray[Any]) -> tuple[Planes, IntArray]:
    """Outputs (N, T, C, H, W) of every layer that sends any, and the last layer's potentials (N, K)."""
    planes: Planes = {INPUT: np.ascontiguousarray(np.asarray(inputs).transpose(0, 1, 4, 2, 3))}
    potentials: IntArray = np.zeros((len(inputs), 0), np.int64)
    for layer in network:
        outputs, potentials = _emit(layer, _sums(network, layer, planes))
        if outputs.shape[1]:
            planes[layer.name] = outputs.astype(np.uint8 if outputs.max(initial=0) < 256 else np.int32)
    del planes[INPUT]
    return planes, potentials.reshape(len(inputs), -1)


def _emit(layer: Layer, sums: IntArray) -> tuple[IntArray, IntArray]:
    """The neuron model on sums (N, planes, C, H, W): the batch side by side, as one wide layer."""
    n, planes, c, h, w = sums.shape
    wide = np.ascontiguousarray(sums.transpose(1, 2, 3, 0, 4)).reshape(planes, c, h, n * w)
    widened = replace(
        layer, shape=(c, h, n * w), bias=_wide(layer.bias, n, w), initial_potential=_wide(layer.initial_potential, n, w))
    outputs, potentials = layer.neuron.emit(wide, widened)
    back = outputs.reshape(len(outputs), c, h, n, w).transpose(3, 0, 1, 2, 4)
    return back, potentials.reshape(c, h, n, w).transpose(2, 0, 1, 3)


def _wide(values: IntArray | None, n: int, w: int) -> Any:
    """A bias or initial potential by column, repeated for every image."""
    return values if values is None or values.shape[2] == 1 else np.tile(values, (1, 1, n))


def _sums(network: Network, layer: Layer, planes: Planes) -> IntArray:
    """Weighted input (N, planes, C, H, W) of a layer, as hwsim.snn.forward.layer_sums gives it for one sample."""
    at_once = sees_sum(layer)
    total: Any = 0
    for connection in layer.connections:
        source, coding = planes[connection.source], network.source_coding(connection)
        weighed = _weighed(source, coding, network.input.spike_shift) if coding in ("bit_serial", "hybrid") else source
        # One convolution does for all planes where only their sum is asked for.
        grid = weighed.sum(axis=1, keepdims=True, dtype=np.int64) if at_once and connection.pool_mode != "max" else weighed
        sums = _connection(connection, grid, layer)
        sums = sums.sum(axis=1, keepdims=True) if at_once else sums
        total = total + sums
    steps = 1 if at_once else layer.timesteps
    return np.broadcast_to(total, (len(total), steps, *layer.shape))


def _weighed(source: NDArray[Any], coding: str, spike_shift: int) -> IntArray:
    """Planes times what they weigh."""
    bits = range(source.shape[1] - 1, -1, -1) if coding == "bit_serial" else [0] + [spike_shift] * (source.shape[1] - 1)
    return source.astype(np.int64) << np.array(list(bits), np.int64)[:, None, None, None]


def _connection(connection: Connection, grid: NDArray[Any], layer: Layer) -> IntArray:
    """Sums (N, planes, C, H, W) of one connection."""
    weights = connection.weights
    if weights is None:
        raise NetworkError(f"the connection from {connection.source!r} has no weights; nothing can be computed with it")
    n, t = grid.shape[:2]
    flat = grid.reshape(n * t, *grid.shape[2:])
    if connection.pool > 1:
        flat = _pool(connection, flat)
    if connection.operator == "identity":
        return _identity(connection, flat, layer).reshape(n, t, *layer.shape)
    dtype = _exact_dtype(weights, flat)
    x, w = torch.from_numpy(flat.astype(dtype)), torch.from_numpy(weights.astype(dtype))
    with torch.no_grad():
        if connection.operator == "linear":
            out = x.flatten(1) @ w.T
        else:
            out = functional.conv2d(x, w, None, connection.stride, connection.padding, 1, connection.groups)
    return out.numpy().round().astype(np.int64).reshape(n, t, *layer.shape)


def _pool(connection: Connection, flat: NDArray[Any]) -> NDArray[Any]:
    k, (c, h, w) = connection.pool, connection.pooled_shape
    windows = flat[:, :, : h * k, : w * k].reshape(len(flat), c, h, k, w, k)
    return windows.max(axis=(3, 5)) if connection.pool_mode == "max" else windows.sum(axis=(3, 5), dtype=np.int64)


def _identity(connection: Connection, flat: NDArray[Any], layer: Layer) -> IntArray:
    assert connection.weights is not None
    c_in, d, s = connection.source_shape[0], connection.channel_offset, connection.stride
    first, last = max(0, -d), min(c_in, layer.shape[0] - d)
    out = np.zeros((len(flat), *layer.shape), np.int64)
    out[:, first + d : last + d] = flat[:, first:last, ::s, ::s].astype(np.int64) * connection.weights[first:last, None, None]
    return out


def _exact_dtype(weights: NDArray[Any], flat: NDArray[Any]) -> type[np.floating]:
    """The narrowest float in which no partial sum can round."""
    rows = np.abs(weights.astype(np.int64)).reshape(len(weights), -1).sum(axis=1).max()
    bound = int(rows) * max(int(flat.max(initial=0)), -int(flat.min(initial=0)))
    if bound >= 1 << 53:
        raise NetworkError(f"sums can reach {bound}, beyond exact 2**53")
    return np.float32 if bound < 1 << 24 else np.float64
