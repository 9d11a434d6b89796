"""A network and its samples with rows and columns exchanged: what is computed stays the same, neuron by neuron.

Row y, column x of every grid becomes row x, column y. Shapes (C, H, W) become (C, W, H), planes (T, H, W, C) become (T, W, H, C).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.snn.network import Connection, Layer, Network, Shape, Side
from hwsim.snn.sample import Sample


def turned_network(network: Network) -> Network:
    """The network with rows and columns of every grid exchanged."""
    return Network(replace(network.input, shape=_shape(network.input.shape)), tuple(_layer(layer) for layer in network))


def turned_sample(sample: Sample) -> Sample:
    """A sample of the turned network."""
    return Sample(sample.inputs.swapaxes(1, 2), turned_planes(sample.recorded))


def turned_planes(planes: Mapping[str, NDArray[np.integer]]) -> dict[str, NDArray[np.integer]]:
    """Planes (T, H, W, C) by layer as (T, W, H, C)."""
    return {name: each.swapaxes(1, 2) for name, each in planes.items()}


def turned_states(states: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """States (C, H, W) by layer as (C, W, H)."""
    return {name: each.swapaxes(1, 2) for name, each in states.items()}


def _shape(shape: Shape) -> Shape:
    channels, height, width = shape
    return channels, width, height


def _side(side: Side) -> Side:
    return side[::-1] if isinstance(side, tuple) else side


def _layer(layer: Layer) -> Layer:
    return replace(layer, shape=_shape(layer.shape), connections=tuple(_connection(wire) for wire in layer.connections),
                   bias=None if layer.bias is None else _values(layer.bias), initial_potential=_values(layer.initial_potential))


def _values(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Values that are broadcast to (C, H, W)."""
    values = np.asarray(values)
    return values.reshape((1,) * (3 - values.ndim) + values.shape).swapaxes(1, 2)


def _connection(wire: Connection) -> Connection:
    return replace(wire, source_shape=_shape(wire.source_shape), weights=_weights(wire), kernel=_side(wire.kernel),
                   stride=_side(wire.stride), padding=_side(wire.padding))


def _weights(wire: Connection) -> NDArray[np.integer] | None:
    weights: NDArray[Any] | None = wire.weights
    if weights is None or wire.operator == "identity":
        return weights
    if wire.operator == "conv2d":
        return np.ascontiguousarray(np.asarray(weights).swapaxes(2, 3))
    by_place = np.asarray(weights).reshape(len(weights), *wire.pooled_shape)
    return np.ascontiguousarray(by_place.swapaxes(2, 3)).reshape(len(weights), -1)
