"""Potential widths: how many bits a layer needs whatever its input, from its weights alone.

The bound is the sum of the magnitudes that every plane could add (weight bits + log2(fan-in * A) + 1, with the
weights that are there instead of the largest possible). It holds for every input and every order of events; traces
stay far below it, and a narrower width can be tried on the simulated hardware (`core.potential_bits` of an architecture, with
`hwsim run --spikes computed`).

`needed_bits` is the other answer: what given inputs need, in whatever order their events come.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsim.snn.forward import safe_potential_bits
from hwsim.snn.network import Connection, Layer, Network
from hwsim.snn.neurons.base import spread


def worst_case_bits(network: Network) -> dict[str, int]:
    """Smallest width of each layer at which no input can saturate it."""
    return {layer.name: 1 + worst_case(network, layer).bit_length() for layer in network}


def worst_case(network: Network, layer: Layer) -> int:
    """Largest magnitude that a potential of the layer can reach.

    Firing only ever takes away from a potential that is at or above its threshold, so what was added bounds it, and what a model
    takes below it.
    """
    added = sum(_largest_sum(network, connection, layer) for connection in layer.connections)
    start = int(np.abs(layer.initial_potential).max(initial=0))
    bias = 0 if layer.bias is None else int(np.abs(layer.bias).max(initial=0))
    every_step = layer.neuron.adds_each_step
    if every_step and any(network.is_direct(c) for c in layer.connections):
        added *= layer.timesteps
    return start + bias * (layer.timesteps if every_step else 1) + added + layer.neuron.takes(layer)


def needed_bits(network: Network, samples: Iterable[NDArray[np.integer]]) -> dict[str, int]:
    """Smallest width of each layer at which none of `samples`, inputs as a Sample holds them, can saturate it.

    In whatever order the events of a sum come; a bias that counts once and an initial potential are one number, which comes
    before them or after them.
    """
    once = (layer if layer.neuron.adds_each_step else replace(
        layer, bias=spread(layer.bias, layer) + spread(layer.initial_potential, layer),
        initial_potential=np.zeros((1, 1, 1), np.int64)) for layer in network)
    return safe_potential_bits(Network(network.input, tuple(once)), samples)


def _largest_sum(network: Network, connection: Connection, layer: Layer) -> int:
    """Largest magnitude of what all planes of one connection add to one neuron."""
    assert connection.weights is not None
    weights = np.abs(connection.weights.astype(np.int64)).reshape(len(connection.weights), -1)
    window = 1 if connection.pool_mode == "max" else connection.pool**2
    return int(weights.sum(axis=1).max()) * window * network.largest_output(connection)
