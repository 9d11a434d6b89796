"""A network of hwsim as modules of PyTorch that are given the planes of a recorded sample, for counters of other packages.

A folded pooling and its operator are one operator with a larger kernel, whose weights repeat: its input is then spikes, and not
means of them. An ANN's, whose input is values, is a pooling and an operator (`pooled`). Identities are left out: no package
counts them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based.neuron import IFNode
from torch import nn

from hwsim.snn.forward import pool
from hwsim.snn.network import INPUT, Connection, Layer, Network, by_axis
from hwsim.snn.sample import Sample


class Recorded(IFNode):
    """An integrate-and-fire neuron that computes as always, on a constant, and sends what was recorded.

    On a constant, since SpikingJelly counts an addition of two tensors of zeros and ones by their ones.
    """

    def __init__(self) -> None:
        super().__init__(v_threshold=1.0, v_reset=None)

    def forward(self, x: torch.Tensor, spikes: torch.Tensor) -> torch.Tensor:
        super().forward(torch.full_like(x, 0.37))
        return spikes


class Replay(nn.Module):
    """All synaptic connections of a network, each called once for each plane of its source, and a neuron for each step."""

    def __init__(self, network: Network, neurons: bool = True) -> None:
        super().__init__()
        self.network, self.neurons = network, neurons
        self.wires = nn.ModuleDict({
            f"{layer.name}_{n}": module(c, layer, n == 0)
            for layer in network for n, c in enumerate(w for w in layer.connections if w.operator != "identity")})
        self.nodes = nn.ModuleDict({layer.name: Recorded() for layer in network if layer.sends and neurons})

    def forward(self, sample: Sample) -> None:
        planes = {INPUT: sample.inputs, **sample.recorded}
        for layer in self.network:
            sums: list[torch.Tensor] = []
            for n, c in enumerate(w for w in layer.connections if w.operator != "identity"):
                out = [self.wires[f"{layer.name}_{n}"](tensor) for tensor in tensors(c, planes[c.source])]
                sums = sums or out
            if layer.name in self.nodes and sums:
                for t, spikes in enumerate(sample.recorded[layer.name]):
                    self.nodes[layer.name](sums[min(t, len(sums) - 1)], torch.tensor(spikes, dtype=torch.float32))


def module(connection: Connection, layer: Layer, first: bool, pooled: bool = False) -> nn.Module:
    """The connection's operator on the grid of its tokens; the layer's bias is its first connection's."""
    weights = torch.tensor(np.asarray(connection.weights), dtype=torch.float32)
    bias = first and layer.bias is not None
    k = connection.pool if connection.pool_mode == "folded" and not pooled else 1
    if connection.operator == "linear":
        c, h, w = connection.pooled_shape
        weights = weights.reshape(-1, c, h, w).repeat_interleave(k, 2).repeat_interleave(k, 3).reshape(len(weights), -1)
        made: Any = nn.Linear(weights.shape[1], weights.shape[0], bias=bias)
    else:
        weights = weights.repeat_interleave(k, 2).repeat_interleave(k, 3)
        sides = (tuple(k * n for n in by_axis(side)) for side in (connection.kernel, connection.stride, connection.padding))
        made = nn.Conv2d(weights.shape[1] * connection.groups, weights.shape[0], *sides, groups=connection.groups, bias=bias)
    made.weight.data = weights
    return made.eval()


def tensors(connection: Connection, planes: np.ndarray, pooled: bool = False) -> list[torch.Tensor]:
    """The planes as the module takes them, one batch of one each; incomplete windows of a folded pooling are cut off."""
    if connection.pool_mode == "folded" and not pooled:
        k, (_, h, w) = connection.pool, connection.pooled_shape
        planes = planes[:, : h * k, : w * k]
    else:
        planes = pool(connection, planes)
    rows = torch.tensor(np.ascontiguousarray(planes.transpose(0, 3, 1, 2)), dtype=torch.float32)[:, None]
    return [row.flatten(1) if connection.operator == "linear" else row for row in rows]
