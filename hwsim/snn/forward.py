"""What a Network computes, without hardware: exact integers, no saturation, no cycles.

Planes are (T, H, W, C) as a Sample holds them, sums and potentials (C, H, W). Traces are made and hardware-independent
properties are proved with this model; engines never use it. The geometry is that of docs/cycle-model.md, "An event's
words". Sums go through floating-point matrix products because BLAS is fast, and are exact: the largest possible partial
sum is held below 2**24 (single precision) or 2**53 (double), where every integer has its own float.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsim.snn.network import INPUT, Connection, Layer, Network, NetworkError, Shape, by_axis

IntArray = NDArray[np.int64]
Planes = Mapping[str, NDArray[np.integer]]
# Image columns are built for as many planes at once as fit into 64 MB of single precision.
COLUMN_VALUES = 1 << 24


def forward(
    network: Network, inputs: NDArray[np.integer]
) -> tuple[dict[str, NDArray[np.integer]], dict[str, IntArray]]:
    """Run one sample: outputs (T, H, W, C) of every layer that sends any, and final potentials (C, H, W) of all.

    `inputs` has shape (planes, H, W, C) as `Sample.inputs`. Raises NetworkError when weights are missing.
    """
    planes: dict[str, NDArray[np.integer]] = {INPUT: _checked_input(network, inputs)}
    potentials: dict[str, IntArray] = {}
    for layer in network:
        outputs, potentials[layer.name] = layer.neuron.emit(layer_sums(network, layer, planes), layer)
        if len(outputs):
            planes[layer.name] = to_planes(outputs)
    del planes[INPUT]
    return planes, potentials


def to_planes(outputs: IntArray) -> NDArray[np.integer]:
    """(T, C, H, W) of a neuron model as the (T, H, W, C) of a Sample, in the narrowest of uint8, int16 and int32."""
    top = int(outputs.max(initial=0))
    dtype = np.uint8 if top < 1 << 8 else np.int16 if top < 1 << 15 else np.int32
    return np.ascontiguousarray(outputs.transpose(0, 2, 3, 1).astype(dtype))


def layer_sums(network: Network, layer: Layer, planes: Planes) -> IntArray:
    """Weighted input (planes, C, H, W) of a layer, as Neuron.emit takes it.

    Bit planes are weighed by 2**bit, the first being the most significant. A direct input of a layer that works timestep
    by timestep is a current, present in each. Layers that look at the sum of all planes get one row.
    """
    at_once = sees_sum(layer)
    steps = 1 if at_once else layer.timesteps
    total: IntArray = np.zeros((steps, *layer.shape), np.int64)
    for connection in layer.connections:
        sums = connection_sums(connection, planes[connection.source], layer.shape)
        sums = _weighed(sums, network, connection)
        total = total + (sums.sum(axis=0, keepdims=True) if at_once else sums)
    return total


def sees_sum(layer: Layer) -> bool:
    """Whether the layer looks at the sum of all planes; every other gets its input timestep by timestep."""
    neuron = layer.neuron
    return neuron.sums_planes or (not (layer.sends or neuron.judges_each_step) and len(layer.stages) < 3)


def connection_sums(connection: Connection, events: NDArray[np.integer], shape: Shape) -> IntArray:
    """Sums (planes, C, H, W) that one connection delivers to a layer of `shape`, each plane by itself, unweighed."""
    if connection.weights is None:
        raise NetworkError(f"the connection from {connection.source!r} has no weights; nothing can be computed with it")
    grid = pool(connection, events)
    if connection.operator == "identity":
        return _identity(connection, grid, shape)
    dtype = _exact_float(connection, grid)
    if connection.operator == "linear":
        rows = grid.transpose(0, 3, 1, 2).reshape(len(grid), -1).astype(dtype)
        product = rows @ connection.weights.T.astype(dtype)
        return product.astype(np.int64)[:, :, None, None]
    return _conv2d(connection, grid, shape, dtype)


def pool(connection: Connection, events: NDArray[np.integer]) -> NDArray[np.integer]:
    """Planes (T, H, W, C) on the grid that the operator sees: sums of windows, or their OR for max pooling."""
    if connection.pool_mode == "none":
        return events
    k, (c, h, w) = connection.pool, connection.pooled_shape
    windows = events[:, : h * k, : w * k].reshape(len(events), h, k, w, k, c)
    if connection.pool_mode == "max":
        return windows.max(axis=(2, 4))
    return windows.sum(axis=(2, 4), dtype=np.int64)


def potential_bounds(network: Network, inputs: NDArray[np.integer]) -> dict[str, tuple[int, int]]:
    """Lowest and highest value that a potential (and, between passes, its partial sums) of each layer can take.

    For this sample, whatever the order in which events arrive: positive and negative contributions are summed apart.
    Bias and current are counted at their worst moment, so the bound is safe, not tight. Currents live in a memory of
    their own and are bounded with the potential they are added to.
    """
    planes: dict[str, NDArray[np.integer]] = {INPUT: _checked_input(network, inputs)}
    bounds = {}
    for layer in network:
        sums = layer_sums(network, layer, planes)
        outputs, ends = layer.neuron.emit(sums, layer)
        size = _absolute_sums(network, layer, planes)
        bias = np.zeros((1, 1, 1), np.int64) if layer.bias is None else layer.bias
        start = _potentials_before(layer, sums)
        lows = start + (sums - size) // 2 + np.minimum(bias, 0)
        highs = start + (sums + size) // 2 + np.maximum(bias, 0)
        bounds[layer.name] = (
            min(int(lows.min()), int(start.min()), int(ends.min())) - layer.neuron.takes(layer),
            max(int(highs.max()), int(start.max()), int(ends.max())),
        )
        if len(outputs):
            planes[layer.name] = to_planes(outputs)
    return bounds


def safe_potential_bits(network: Network, samples: Iterable[NDArray[np.integer]]) -> dict[str, int]:
    """Smallest potential width of each layer at which none of `samples` (their inputs) can saturate, in any order."""
    bits = {layer.name: 2 for layer in network}
    for inputs in samples:
        for name, (low, high) in potential_bounds(network, inputs).items():
            # ~n of a negative n has as many bits as n needs beside its sign.
            bits[name] = max(bits[name], *(1 + (n if n >= 0 else ~n).bit_length() for n in (low, high)))
    return bits


def _absolute_sums(network: Network, layer: Layer, planes: Planes) -> IntArray:
    """layer_sums of the absolute weights and absolute inputs: positive plus minus the negative contributions."""
    absolute = replace(layer, connections=tuple(
        replace(c, weights=None if c.weights is None else np.abs(c.weights.astype(np.int64))) for c in layer.connections
    ))
    used = {c.source for c in layer.connections}
    return layer_sums(network, absolute, {name: np.abs(planes[name].astype(np.int64)) for name in used})


def _potentials_before(layer: Layer, sums: IntArray) -> IntArray:
    """Potentials (planes, C, H, W) with which each row of layer_sums begins to accumulate."""
    start = np.broadcast_to(layer.initial_potential, layer.shape).astype(np.int64)
    if sees_sum(layer):
        return start[None]
    if not layer.sends:
        parts = np.split(sums, layer.stages[1:-1])
        return np.concatenate([start[None] + np.cumsum(part, axis=0) - part for part in parts])
    rows = [start]
    for t in range(1, layer.timesteps):
        rows.append(layer.neuron.emit(sums[:t], replace(layer, timesteps=t, thresholds=layer.thresholds[:t]))[1])
    return np.stack(rows)


def _checked_input(network: Network, inputs: NDArray[np.integer]) -> NDArray[np.integer]:
    c, h, w = network.input.shape
    planes = network.input.timesteps
    if np.shape(inputs) != (planes, h, w, c):
        raise NetworkError(f"input: shape is {np.shape(inputs)}, expected (planes, H, W, C) = {(planes, h, w, c)}")
    return np.asarray(inputs)


def _weighed(sums: IntArray, network: Network, connection: Connection) -> IntArray:
    """Sums (planes, C, H, W) of one connection, each plane by what its events weigh."""
    if network.is_hybrid(connection):
        return np.concatenate([sums[:1], sums[1:] << network.input.spike_shift])
    if not network.weighs_planes(connection):
        return sums
    bits = np.arange(len(sums) - 1, -1, -1, dtype=np.int64)
    return sums << bits[:, None, None, None]


def _exact_float(connection: Connection, grid: NDArray[np.integer]) -> type[np.floating]:
    """The narrowest float in which no partial sum of this product can round."""
    assert connection.weights is not None
    weights = connection.weights.reshape(len(connection.weights), -1)
    heaviest = max(int(weights.max()), -int(weights.min()))
    highest = max(int(grid.max(initial=0)), -int(grid.min(initial=0)))
    bound = heaviest * highest * weights.shape[1]
    if bound >= 1 << 24:
        bound = int(np.abs(weights.astype(np.int64)).sum(axis=1).max()) * highest
    if bound >= 1 << 53:
        raise NetworkError(f"the connection from {connection.source!r} can sum to {bound}, beyond exact 2**53")
    return np.float32 if bound < 1 << 24 else np.float64


def _conv2d(connection: Connection, grid: NDArray[np.integer], shape: Shape, dtype: type[np.floating]) -> IntArray:
    """Planes (T, H, W, C) through a convolution: image columns times weights, by group and block of planes."""
    assert connection.weights is not None
    c_out, h, w = shape
    (along_y, along_x), g = connection.axes, connection.groups
    weights = connection.weights.reshape(g, c_out // g, -1).transpose(0, 2, 1).astype(dtype)
    padded = np.pad(grid, ((0, 0), (along_y.padding,) * 2, (along_x.padding,) * 2, (0, 0))).astype(dtype)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (along_y.kernel, along_x.kernel), axis=(1, 2))
    windows = windows[:, :: along_y.stride, :: along_x.stride]
    block = max(1, COLUMN_VALUES // (h * w * along_y.kernel * along_x.kernel * grid.shape[-1]))
    sums = np.empty((len(grid), *shape), np.int64)
    for first in range(0, len(grid), block):
        planes = windows[first : first + block]
        columns = planes.reshape(len(planes) * h * w, g, -1).transpose(1, 0, 2)
        product = np.matmul(columns, weights).reshape(g, len(planes), h, w, c_out // g)
        sums[first : first + block] = product.transpose(1, 0, 4, 2, 3).reshape(len(planes), c_out, h, w)
    return sums


def _identity(connection: Connection, grid: NDArray[np.integer], shape: Shape) -> IntArray:
    """Source channel c at every stride-th position to channel c + channel_offset; what falls outside is lost."""
    assert connection.weights is not None
    c_in, d, (y, x) = connection.source_shape[0], connection.channel_offset, by_axis(connection.stride)
    first, last = max(0, -d), min(c_in, shape[0] - d)
    scaled = grid[:, ::y, ::x, first:last].astype(np.int64) * connection.weights[first:last].astype(np.int64)
    sums = np.zeros((len(grid), *shape), np.int64)
    sums[:, first + d : last + d] = scaled.transpose(0, 3, 1, 2)
    return sums
