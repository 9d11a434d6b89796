"""Accuracy and spikes of an integer Network on a whole test set: hwsim.snn.forward for a batch, sums by torch.

The same integers as hwsim.snn.forward. Convolutions go through floats in which no partial sum can round (2**24 in single,
2**53 in double precision), so every number is exact; neurons are those of hwsim.convert.firing. Arrays are (planes, N, H, W, C)
throughout, the order that convolutions run fastest in. Nothing saturates here; what a narrow core does is simulated with
the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hwsim.convert.firing import fire
from hwsim.snn.forward import sees_sum
from hwsim.snn.network import INPUT, Connection, Layer, Network, NetworkError, Shape, by_axis

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
    answers: IntArray = field(repr=False, compare=False)

    @property
    def spikes_per_neuron(self) -> float:
        """Mean over all neurons that send anything, over all timesteps."""
        return sum(self.spikes.values()) / sum(self.neurons.values())


def evaluate(
    network: Network, inputs: NDArray[Any], labels: NDArray[Any], batch: int = 50,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Run `network` on inputs (N, planes, H, W, C) as a Sample holds them; labels (N,)."""
    answers, sent = [], {layer.name: 0 for layer in network if layer.sends}
    for first in range(0, len(inputs), batch):
        planes, logits = run_batch(network, inputs[first : first + batch])
        answers.append(logits.argmax(axis=1))
        for name in sent:
            sent[name] += int(np.count_nonzero(planes[name]))
        if progress:
            progress(min(first + batch, len(inputs)), len(inputs))
    neurons = {name: network.layer(name).neurons for name in sent}
    given = np.concatenate(answers)
    right = float((given == labels).mean())
    return Evaluation(len(inputs), right, {n: s / len(inputs) for n, s in sent.items()}, neurons, given)


@torch.no_grad()
def run_batch(network: Network, inputs: NDArray[Any]) -> tuple[Planes, IntArray]:
    """Outputs (N, T, C, H, W) of every layer that sends any, and the last layer's potentials (N, K)."""
    images = np.asarray(inputs).swapaxes(0, 1)
    sent: dict[str, Tensor] = {INPUT: torch.from_numpy(np.ascontiguousarray(images if images.dtype != np.uint16 else
                                                                            images.astype(np.int32)))}
    potentials: NDArray[Any] = np.zeros((len(inputs), 0, 0, 0))
    for layer in network:
        spikes, potentials = fire(layer, _sums(network, layer, sent).numpy())
        if len(spikes):
            sent[layer.name] = torch.from_numpy(spikes)
    del sent[INPUT]
    planes = {name: spikes.numpy().transpose(1, 0, 4, 2, 3) for name, spikes in sent.items()}
    return planes, potentials.transpose(0, 3, 1, 2).reshape(len(inputs), -1).astype(np.int64)


def _sums(network: Network, layer: Layer, sent: dict[str, Tensor]) -> Tensor:
    """Weighted input (S, N, H, W, C) of a layer, as hwsim.snn.forward.layer_sums gives it for one sample; S is 1 where every
    timestep gets the same."""
    at_once = sees_sum(layer)
    grids = []
    for connection in layer.connections:
        bits, grid = network.weighs_planes(connection), sent[connection.source]
        # One convolution does for all planes where only their sum is asked for.
        summed = at_once and connection.pool_mode != "max"
        if summed and bits:
            grid = _read(grid)
        elif bits:
            grid = _weighed(grid)
        elif network.is_hybrid(connection):
            grid = torch.cat([grid[:1].long(), grid[1:].long() << network.input.spike_shift])
        if summed and len(grid) > 1:
            grid = grid.sum(0, keepdim=True, dtype=torch.int64)
        grids.append(pooled(connection, grid))
    dtype = _exact_dtype(layer, grids, at_once)
    total: Tensor | None = None
    # The largest first, so that the others are added in place.
    for connection, grid in sorted(zip(layer.connections, grids, strict=True), key=lambda pair: -len(pair[1])):
        assert connection.weights is not None
        sums = connection_sums(connection, connection.weights, grid.to(dtype), layer.shape)
        sums = sums.sum(0, keepdim=True) if at_once and len(sums) > 1 else sums
        total = sums if total is None else total.add_(sums)
    assert total is not None
    return total.contiguous()


def _read(planes: Tensor) -> Tensor:
    """The numbers (1, N, H, W, C) that bit planes write, the most significant bit first."""
    if len(planes) > 31:
        return _weighed(planes).sum(0, keepdim=True)
    number = planes[0].int()
    for plane in planes[1:]:
        number.mul_(2).add_(plane)
    return number[None]


def _weighed(planes: Tensor) -> Tensor:
    """Bit planes times what they weigh, the most significant bit first."""
    return planes.long() << torch.arange(len(planes) - 1, -1, -1).reshape(-1, 1, 1, 1, 1)


def pooled(connection: Connection, grid: Tensor) -> Tensor:
    """Sums of windows, or their OR; incomplete windows are dropped. Integers are summed as such."""
    if connection.pool <= 1:
        return grid
    k, (c, h, w) = connection.pool, connection.pooled_shape
    windows = grid[:, :, : h * k, : w * k].reshape(*grid.shape[:2], h, k, w, k, c)
    if connection.pool_mode == "max":
        return windows.amax((3, 5))
    return windows.sum((3, 5), dtype=grid.dtype if grid.is_floating_point() else torch.int64)


def connection_sums(connection: Connection, weights_of: NDArray[Any], x: Tensor, shape: Shape) -> Tensor:
    """Sums (S, N, H, W, C) of one connection to a layer of `shape`, with these weights, for values x (S, N, H, W, C) on the grid
    that its operator sees."""
    c, h, w = shape
    weights = torch.from_numpy(weights_of).to(x.dtype)
    if connection.operator == "identity":
        return _identity(connection, x, weights, shape)
    if connection.operator == "linear":
        return (x.permute(0, 1, 4, 2, 3).flatten(2) @ weights.T).reshape(*x.shape[:2], h, w, c)
    out = functional.conv2d(x.flatten(0, 1).permute(0, 3, 1, 2), weights.contiguous(memory_format=torch.channels_last), None,
                            by_axis(connection.stride), by_axis(connection.padding), 1, connection.groups)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:2], h, w, c)


def _identity(connection: Connection, x: Tensor, weights: Tensor, shape: Shape) -> Tensor:
    d, (y_step, x_step), (c, h, w) = connection.channel_offset, by_axis(connection.stride), shape
    first, last = max(0, -d), min(connection.source_shape[0], c - d)
    out = x.new_zeros((*x.shape[:2], h, w, c))
    out[..., first + d : last + d] = x[:, :, ::y_step, ::x_step, first:last] * weights[first:last]
    return out


def _exact_dtype(layer: Layer, grids: list[Tensor], summed: bool) -> torch.dtype:
    """The narrowest float in which no partial sum of a layer's connections can round; `summed`: of all planes too."""
    bound = 0
    for connection, grid in zip(layer.connections, grids, strict=True):
        weights = connection.weights
        if weights is None:
            raise NetworkError(f"the connection from {connection.source!r} has no weights; nothing can be computed with it")
        rows = np.abs(weights.astype(np.int64)).reshape(len(weights), -1).sum(axis=1).max()
        planes = len(grid) if summed else 1
        bound += planes * int(rows) * max(int(grid.max()), -int(grid.min())) if grid.numel() else 0
    if bound >= 1 << 53:
        raise NetworkError(f"sums can reach {bound}, beyond exact 2**53")
    return torch.float32 if bound < 1 << 24 else torch.float64
