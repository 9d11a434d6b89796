"""What a network did on the samples of a trace, counted from the trace alone: events, synaptic operations, spikes, shapes.

No engine, no design and no price is used, so these counts check the engines' as well. Counts are exact integers over all
samples; `Work` divides them by the samples where an account asks. Which synapses an event reaches is that of docs/cycle-model.md,
"An event's words".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError
from hwsim.snn.forward import pool
from hwsim.snn.network import INPUT, Axis, Connection, Layer, Network, by_axis
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace

Ints = NDArray[np.int64]


class WorkError(HwsimError):
    """Samples that cannot be counted, or two traces that are not of one network; the text says what was expected."""


@dataclass(eq=False)
class ConnectionWork:
    """One connection and what went through it, over all samples.

    layer, source     names; `number` is the place among the layer's connections.
    shape             (C, H, W) of the layer that it feeds.       grid   (C, H, W) that the operator sees, after pooling.
    dense_macs        multiply-accumulates of the ANN's operator for one sample, padding included: C_out H W (C_in / groups) k k.
    synapses          those of them that are no padding: what one event of every token would add up to.
    weights           how many.       nonzero_weights   how many are not zero; None where the trace has no weights.
    tokens            places of its source that can send an event in one plane.
    planes            planes that the source sends, and `value_planes`, those of them whose tokens carry values.
    from_input        whether the source is the network's input.
    events            by kind (`values`, `spikes`), non-zero tokens.
    operations        by kind, synapses of those events: the synaptic operations.
    products          multiply-accumulates of non-zero values by a machine that adds a folded window's values up first, as an ANN
                      does; `operations` has one for each value of the window, as a core of events makes them.
    effective         by kind, products and synaptic operations over non-zero weights; None where the trace has no weights.
    """

    layer: str
    number: int
    source: str
    connection: Connection
    shape: tuple[int, int, int]
    planes: int
    value_planes: int
    from_input: bool
    events: dict[str, float] = field(default_factory=lambda: {"values": 0, "spikes": 0})
    operations: dict[str, float] = field(default_factory=lambda: {"values": 0, "spikes": 0})
    products: float = 0
    effective: dict[str, float] | None = None

    def __post_init__(self) -> None:
        self._taps = _Taps(self.connection, self.shape)
        if self.connection.weights is not None:
            self.effective = {"values": 0, "spikes": 0}

    @property
    def grid(self) -> tuple[int, int, int]:
        return self.connection.pooled_shape

    @property
    def is_identity(self) -> bool:
        return self.connection.operator == "identity"

    @property
    def tokens(self) -> int:
        return prod(self.connection.token_shape)

    @property
    def weights(self) -> int:
        return prod(self.connection.weight_shape(self.shape))

    @property
    def nonzero_weights(self) -> int | None:
        return None if self.connection.weights is None else int(np.count_nonzero(self.connection.weights))

    @property
    def dense_macs(self) -> int:
        if self.is_identity:
            return self.synapses
        return self.shape[1] * self.shape[2] * self.weights

    @property
    def value_macs(self) -> int:
        """Multiply-accumulates of one sample by a machine that does planes of values densely, once each."""
        return self.dense_macs * self.value_planes

    @property
    def synapses(self) -> int:
        """Of a plane on the operator's grid: folded windows count once, as the ANN adds their values up before it multiplies."""
        return self._taps.operations(np.ones((*self.grid[1:], self.grid[0]), np.int64))

    def add(self, planes: NDArray[np.integer], values: NDArray[np.bool_]) -> None:
        """Count one sample: the source's planes (T, H, W, C), and for each plane whether its tokens are values."""
        folded = self.connection.pool_mode == "folded"
        grid = planes if folded else pool(self.connection, planes)
        for kind, chosen in (("values", values), ("spikes", ~values)):
            if not chosen.any():
                continue
            places = (grid[chosen] != 0).sum(axis=0, dtype=np.int64)
            self.events[kind] += int(places.sum())
            if folded:
                places = pool(self.connection, places[None])[0]
            self.operations[kind] += self._taps.operations(places)
            if kind == "values":
                places = (pool(self.connection, planes[chosen]) != 0).sum(axis=0, dtype=np.int64)
                self.products += self._taps.operations(places)
            if self.effective is not None:
                self.effective[kind] += self._taps.effective(places)


@dataclass(frozen=True, eq=False)
class _Taps:
    """How often each weight of a connection is used by events at given places: one product for all operators."""

    connection: Connection
    shape: tuple[int, int, int]

    def operations(self, places: Ints) -> int:
        """Synapses of events, `places` (H, W, C) saying how many there were at each token of the operator's grid."""
        channels = self.shape[0] // self.connection.groups if self.connection.operator == "conv2d" else (
            self.shape[0] if self.connection.operator == "linear" else 1)
        return int(self._uses(places).sum()) * channels

    def effective(self, places: Ints) -> int:
        """The same, over weights that are not zero."""
        weights = self.connection.weights
        assert weights is not None
        uses, there = self._uses(places), np.asarray(weights != 0, np.int64)
        if self.connection.operator == "identity":
            return int((uses * there).sum())
        if self.connection.operator == "linear":
            return int(uses @ there.sum(axis=0))
        groups = self.connection.groups
        per_group = there.reshape(groups, -1, *there.shape[1:]).sum(axis=1)
        return int((uses.reshape(per_group.shape) * per_group).sum())

    def _uses(self, places: Ints) -> Ints:
        """Events that reach one output channel through each weight: (C, K_y, K_x), (C H W,) or, for an identity, (C,)."""
        c = self.connection
        if c.operator == "linear":
            return places.transpose(2, 0, 1).reshape(-1)
        if c.operator == "identity":
            inside = np.zeros(places.shape[2], np.int64)
            inside[max(0, -c.channel_offset) : max(0, self.shape[0] - c.channel_offset)] = 1
            y, x = by_axis(c.stride)
            return places[::y, ::x].sum(axis=(0, 1)) * inside
        rows, columns = (_reach(*sizes) for sizes in zip(places.shape, self.shape[1:], c.axes, strict=False))
        return np.einsum("ky,yxc,lx->ckl", rows, places, columns, optimize=True)


def _reach(size: int, outputs: int, axis: Axis) -> Ints:
    """(K, size): 1 where the token at a place reaches an output through kernel row (or column) k, else 0."""
    found = np.zeros((axis.kernel, size), np.int64)
    for k in range(axis.kernel):
        at = np.arange(outputs) * axis.stride + k - axis.padding
        found[k, at[(at >= 0) & (at < size)]] = 1
    return found


@dataclass(eq=False)
class LayerWork:
    """One layer and what it did, over all samples: `spikes` are its non-zero outputs (spikes, set bits, or activations)."""

    layer: Layer
    connections: tuple[ConnectionWork, ...]
    spikes: float = 0

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def neurons(self) -> int:
        return self.layer.neurons

    @property
    def timesteps(self) -> int:
        return self.layer.timesteps

    @property
    def has_bias(self) -> bool:
        return self.layer.bias is not None and bool(np.any(self.layer.bias))

    @property
    def weights(self) -> int:
        return sum(c.weights for c in self.connections)

    @property
    def dense_macs(self) -> int:
        return sum(c.dense_macs for c in self.connections if not c.is_identity)


@dataclass(eq=False)
class Work:
    """What a network did, layer by layer. `per_sample` divides a count by the samples; shapes are of one sample anyhow."""

    trace: str
    coding: str
    timesteps: int
    samples: int
    network: Network
    layers: tuple[LayerWork, ...]

    @property
    def is_ann(self) -> bool:
        return self.network.is_ann

    @property
    def connections(self) -> tuple[ConnectionWork, ...]:
        return tuple(c for layer in self.layers for c in layer.connections)

    @property
    def synaptic(self) -> tuple[ConnectionWork, ...]:
        """Convolutions and linear connections: those that the papers count. Identities (residuals) are left out."""
        return tuple(c for c in self.connections if not c.is_identity)

    @property
    def senders(self) -> tuple[LayerWork, ...]:
        """The layers that send spikes or values: all but read-outs."""
        return tuple(layer for layer in self.layers if layer.layer.sends)

    def per_sample(self, count: float) -> float:
        return count / self.samples

    def operations(self, *kinds: str, identities: bool = True) -> float:
        """Synaptic operations of one sample; all, or those of `values` or of `spikes`."""
        chosen = self.connections if identities else self.synaptic
        return self.per_sample(sum(c.operations[kind] for c in chosen for kind in kinds or ("values", "spikes")))

    @property
    def products(self) -> float:
        """Multiply-accumulates of non-zero values of one sample, identities left out."""
        return self.per_sample(sum(c.products for c in self.synaptic))

    @property
    def spikes(self) -> float:
        """Non-zero outputs of one sample, all layers."""
        return self.per_sample(sum(layer.spikes for layer in self.layers))

    @property
    def neurons(self) -> int:
        """Neurons that send."""
        return sum(layer.neurons for layer in self.senders)

    @property
    def dense_macs(self) -> int:
        """Multiply-accumulates of the ANN of this shape for one sample, padding included, identities left out."""
        return sum(c.dense_macs for c in self.synaptic)

    @property
    def spikes_per_neuron(self) -> float:
        """Spikes of one sample over neurons: the spiking activity of papers 001 and 004, all timesteps together."""
        return self.spikes / self.neurons

    @property
    def spikes_per_synapse(self) -> float:
        """Spikes that one synapse behind the first layer passes on for one sample: the mean over these synapses."""
        behind = [c for c in self.synaptic if not c.from_input]
        synapses = sum(c.synapses for c in behind)
        return self.per_sample(sum(sum(c.operations.values()) for c in behind)) / synapses if synapses else 0.0

    @property
    def first(self) -> tuple[ConnectionWork, ...]:
        """The connections that read the input."""
        return tuple(c for c in self.synaptic if c.from_input)


def count_work(trace: Trace, samples: int | None = None) -> Work:
    """Count the first `samples` samples of a trace (all by default). Raises WorkError for a number that is not there."""
    wanted = trace.samples if samples is None else samples
    if not 1 <= wanted <= trace.samples:
        raise WorkError(f"{trace.name}: samples is {wanted}, allowed are 1 to {trace.samples}")
    return count_network(trace.network, (trace.sample(i) for i in range(wanted)), name=trace.name, coding=trace.coding)


def count_network(network: Network, samples: Iterable[Sample], name: str = "network", coding: str = "") -> Work:
    """Count samples of a network."""
    layers = tuple(LayerWork(layer, tuple(
        ConnectionWork(layer.name, n, c.source, c, layer.shape, planes := network.source_timesteps(c),
                       int(carries_values(network, c, planes).sum()), c.source == INPUT)
        for n, c in enumerate(layer.connections))) for layer in network)
    total = 0
    for sample in samples:
        total += 1
        sent = {INPUT: sample.inputs, **sample.recorded}
        for layer in layers:
            for found in layer.connections:
                found.add(sent[found.source], carries_values(network, found.connection, len(sent[found.source])))
            if layer.layer.sends:
                layer.spikes += int(np.count_nonzero(sent[layer.name]))
    hidden = [layer.timesteps for layer in network if layer.sends]
    return Work(name, coding, max(hidden, default=network.input.timesteps), total, network, layers)


def carries_values(network: Network, connection: Connection, planes: int) -> NDArray[np.bool_]:
    """(planes,): whether the tokens of each plane carry values, to be multiplied, or are spikes, to be added."""
    if connection.pool_mode == "unit":
        return np.ones(planes, bool)
    if connection.source == INPUT:
        return np.array([network.input.carries_values(t) for t in range(planes)])
    return np.full(planes, network.layer(connection.source).sends_values)


def check_twins(snn: Work, ann: Work) -> None:
    """Raise WorkError unless the second trace is of the ANN that the first one's network was converted from, by its shapes."""
    if not ann.is_ann:
        raise WorkError(f"{ann.trace}: is {ann.coding}, expected a quantised ANN (coding quantised); give the trace of the ANN")
    found = [[{"layer": c.layer, "source": c.source, "operator": c.connection.operator, "shape": c.shape, "input shape": c.grid,
               "number of weights": c.weights} for c in w.synaptic] for w in (snn, ann)]
    if found[0] != found[1]:
        wrong = next((f"layer {a['layer']}: {name} is {a[name]} in the SNN and {b[name]} in the ANN"
                      for a, b in zip(*found, strict=False) for name in a if a[name] != b[name]),
                     f"{len(found[0])} connections in the SNN and {len(found[1])} in the ANN")
        raise WorkError(f"{ann.trace}: is not the ANN of {snn.trace}: {wrong}; give the trace of the same network")
