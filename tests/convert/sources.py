"""Small random sources, and what they and their SNNs compute, written a second time in float64 matrices and plain loops.

An `exact` source has dyadic numbers only, chosen so that every weight of an 8-bit conversion is its real value times a
power of two: then the integer network and the real one must agree to the last bit, at any T up to 7.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from hwsim.convert.folded import FoldedSource, SourceConnection, SourceLayer
from hwsim.snn.network import INPUT, Connection, Network, by_axis
from hwsim.sources.networks import ConnectionSpec, LayerSpec, SourceNetwork

Rng = np.random.Generator
# With these, the largest normalised pixel is 127/128 and one step of an 8-bit payload 1/128.
MEAN, STD = 0.5, 64 / 127
PIXEL = 1 / 128


def wires(rng: Rng, norm: bool) -> list[LayerSpec]:
    """Three firing layers and a read-out on 8 x 8 or 6 x 10 images: stride, groups, two kinds of join, pooling twice."""
    stride = bool(rng.random() < 0.5)
    second = (ConnectionSpec("conv1", kernel=3, stride=2, padding=1, norm=norm) if stride
              else ConnectionSpec("conv1", kernel=3, padding=1, groups=2, pool=2, norm=norm))
    shortcuts = [
        ConnectionSpec("conv2", "identity", norm=False, channel_offset=1),
        ConnectionSpec("conv1", "identity", stride=2 if stride else 1, pool=1 if stride else 2, norm=False),
        ConnectionSpec("conv2", kernel=1, norm=norm),
    ]
    return [
        LayerSpec("conv1", 4, (ConnectionSpec(INPUT, kernel=3, padding=1, norm=norm),)),
        LayerSpec("conv2", 4, (second,)),
        LayerSpec("conv3", 6, (ConnectionSpec("conv2", kernel=3, padding=1, norm=norm), shortcuts[rng.integers(3)])),
        LayerSpec("out", 5, (ConnectionSpec("conv3", "linear", pool=int(rng.integers(1, 3)), norm=False),), activation=False),
    ]


def image_shape(rng: Rng) -> tuple[int, int, int]:
    return (2, 8, 8) if rng.random() < 0.5 else (2, 6, 10)


def random_source(rng: Rng, exact: bool = False, levels: int = 16, top: int | None = None) -> FoldedSource:
    """A source as dataclasses, thresholds near a high percentile of what occurs."""
    shape = image_shape(rng)
    network = SourceNetwork("random", shape, wires(rng, norm=False), lambda: torch.nn.Identity(), {})
    source = FoldedSource("random", shape, np.full(2, MEAN), np.full(2, STD), ())
    found = {INPUT: payload_grid(rng, source, 8) * PIXEL}
    for name, layer in network.layers.items():
        thresholds = {x.name: x.threshold for x in source.layers}
        wanted = [c.geometry for c in layer.connections]
        # One step of a full-scale source; what one 2**-6 of a weight on the first connection is worth.
        scale = thresholds.get(wanted[0].source, 128 * PIXEL)
        drawn = tuple(
            SourceConnection(c, _weights(rng, c, layer.shape, scale / thresholds.get(c.source, 128 * PIXEL), exact, k == 0))
            for k, c in enumerate(wanted))
        bias = rng.integers(-16, 17, layer.shape[0]) / 64 * scale if exact else rng.normal(0, scale / 3, layer.shape[0])
        bare = SourceLayer(name, layer.shape, drawn, bias)
        if layer.activation is not None:
            current = float_current(bare, found)
            high = max(float(np.quantile(current, 0.85)), scale / 4)
            threshold = 2.0 ** round(np.log2(high)) if exact else high
            bare = replace(bare, threshold=threshold, levels=levels, top=levels - 1 if top is None else top)
            found[name] = qcfs(current, bare)
        source = replace(source, layers=(*source.layers, bare))
    return source


def _weights(rng: Rng, c: Connection, shape: tuple[int, int, int], unit: float, exact: bool, first: bool) -> np.ndarray:
    wanted = c.weight_shape(shape)
    if c.operator == "identity":
        return np.full(wanted, float(2.0 ** rng.integers(-2, 1)) * unit if exact else 1 / c.pool**2)
    if not exact:
        return rng.normal(0, 1, wanted) / c.pool**2
    steps = rng.integers(-64, 65, wanted)
    if first:
        steps.flat[rng.integers(steps.size)] = 127  # the scale of the layer is then a power of two
    return steps / 64 * unit


def payload_grid(rng: Rng, source: FoldedSource, count: int, bits: int = 8) -> np.ndarray:
    """Random payloads (N, C, H, W) of a signed direct input."""
    top = (1 << (bits - 1)) - 1
    return rng.integers(-top, top + 1, (count, *source.input_shape))


def as_inputs(payloads: np.ndarray) -> np.ndarray:
    """Payloads (N, C, H, W) as a network's inputs (N, 1, H, W, C)."""
    return payloads.transpose(0, 2, 3, 1)[:, None].astype(np.int16)


def exact_torch_network(rng: Rng, levels: int, activation: Callable[[float], torch.nn.Module]) -> SourceNetwork:
    """A SourceNetwork in double precision whose BatchNorms (variances, means, negative gains) fold to dyadic weights.

    activation   makes a layer's activation from its threshold, which is 4 everywhere.
    """
    threshold = 4.0
    network = SourceNetwork("random", image_shape(rng), wires(rng, norm=True), lambda: activation(threshold), {})
    for layer in network.layers.values():
        for k, synapses in enumerate(layer.connections):
            _set_exact(rng, synapses, PIXEL * 128 if synapses.spec.source == INPUT else threshold, k == 0)
    return network.double().eval()


@torch.no_grad()
def _set_exact(rng: Rng, synapses: torch.nn.Module, scale: float, first: bool) -> None:
    if synapses.operator is None:
        return
    weight = synapses.operator.weight
    channels = len(weight)
    # Hidden layers drive neurons to their threshold and back, whatever their fan-in.
    steps = rng.integers(-64, 65, tuple(weight.shape)) // 8
    steps.flat[rng.integers(steps.size)] = 127
    if not first:
        steps = np.clip(steps, -64, 64)
    folded = steps / 64 * synapses.spec.pool**2
    shift = rng.integers(-32, 33, channels) / 128 * scale
    if synapses.norm is None:
        weight.copy_(torch.from_numpy(folded))
        synapses.operator.bias.copy_(torch.from_numpy(shift))
        return
    norm, sigma = synapses.norm, 2.0 ** rng.integers(-1, 2, channels)
    gamma = 2.0 ** rng.integers(-1, 2, channels) * rng.choice((-1, 1), channels)
    mean = rng.integers(-32, 33, channels) / 128 * scale * sigma / gamma
    weight.copy_(torch.from_numpy(folded * (sigma / gamma).reshape(-1, *[1] * (folded.ndim - 1))))
    for target, value in ((norm.weight, gamma), (norm.bias, shift), (norm.running_mean, mean),
                          (norm.running_var, sigma**2)):
        target.copy_(torch.from_numpy(value))
    norm.eps = 0.0


# -- what a source computes -----------------------------------------------------------------------------------------


def matrix(connection: Connection, weights: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """One connection as a dense matrix (neurons of `shape`, neurons of the source), both (C, H, W) in that order."""
    c_in, h_src, w_src = connection.source_shape
    h_in, w_in = h_src // connection.pool, w_src // connection.pool
    dense = np.zeros((*shape, c_in, h_src, w_src))

    def add(o: int, oy: int, ox: int, c: int, y: int, x: int, weight: float) -> None:
        """The synapse from one position of the pooled grid: from each position of its window."""
        k = connection.pool
        dense[o, oy, ox, c, y * k : (y + 1) * k, x * k : (x + 1) * k] += weight

    c_out, h_out, w_out = shape
    strides = by_axis(connection.stride)
    for o, oy, ox in np.ndindex(shape):
        if connection.operator == "linear":
            for c, y, x in np.ndindex(c_in, h_in, w_in):
                add(o, oy, ox, c, y, x, weights[o, (c * h_in + y) * w_in + x])
        elif connection.operator == "identity":
            c = o - connection.channel_offset
            if 0 <= c < c_in:
                add(o, oy, ox, c, oy * strides[0], ox * strides[1], weights[c])
        else:
            per_group = c_in // connection.groups
            first = o // (c_out // connection.groups) * per_group
            for i, ky, kx in np.ndindex(per_group, *by_axis(connection.kernel)):
                y, x = (p * stride + d - padding for p, d, stride, padding in zip(
                    (oy, ox), (ky, kx), strides, by_axis(connection.padding), strict=True))
                if 0 <= y < h_in and 0 <= x < w_in:
                    add(o, oy, ox, first + i, y, x, weights[o, i, ky, kx])
    return dense.reshape(c_out * h_out * w_out, -1)


def float_ann(
    source: FoldedSource, values: np.ndarray,
    activation: Callable[[np.ndarray, SourceLayer], np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Real outputs (N, C, H, W) of every layer for real inputs (N, C, H, W). activation: QCFS unless given."""
    found = {INPUT: values}
    for layer in source.layers:
        current = float_current(layer, found)
        found[layer.name] = (activation or qcfs)(current, layer) if layer.fires else current
    return found


def float_current(layer: SourceLayer, found: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the layer's activation sees (N, C, H, W), from the real outputs of earlier layers."""
    total = sum(found[c.geometry.source].reshape(len(found[INPUT]), -1) @ matrix(c.geometry, c.weights, layer.shape).T
                for c in layer.connections)
    return total.reshape(-1, *layer.shape) + layer.bias[:, None, None]


def qcfs(current: np.ndarray, layer: SourceLayer) -> np.ndarray:
    """lambda / Q * clip(floor(z Q / lambda + 1/2), 0, top): paper 000, Eq. 2, with the factors that are meant."""
    step = layer.threshold / layer.levels
    return step * np.clip(np.floor(current / step + 0.5), 0, layer.top)


# -- what an SNN computes, timestep by timestep ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Population:
    """Integrate-and-fire neurons in float64: threshold 0 for a read-out. A spike is worth `scale` to those it reaches.

    strict   fires at U > V instead of U >= V.
    """

    name: str
    shape: tuple[int, int, int]
    wires: tuple[tuple[str, np.ndarray], ...]
    bias: np.ndarray
    start: float
    threshold: float
    scale: float = 1.0
    strict: bool = False


def populations_of(network: Network) -> list[Population]:
    """The integer network as it is, in floats."""
    return [Population(
        layer.name, layer.shape, tuple((c.source, matrix(c, c.weights, layer.shape)) for c in layer.connections),
        np.asarray(layer.bias, float), float(np.asarray(layer.initial_potential).item()),
        float(layer.thresholds[0]) if len(layer.thresholds) else 0.0,
    ) for layer in network]


def real_populations(source: FoldedSource) -> list[Population]:
    """The SNN of the source's real numbers: threshold lambda, V(0) = lambda / 2, a spike worth lambda."""
    return [Population(
        layer.name, layer.shape,
        tuple((c.geometry.source, matrix(c.geometry, c.weights, layer.shape)) for c in layer.connections),
        layer.bias[:, None, None], layer.threshold / 2, layer.threshold, layer.threshold,
    ) for layer in source.layers]


@dataclass(frozen=True, eq=False)
class Run:
    """spikes by layer (N, T, C, H, W), 0 or 1; potentials by layer (N, C, H, W), after the last timestep."""

    spikes: dict[str, np.ndarray]
    potentials: dict[str, np.ndarray]


def float_snn(
    populations: list[Population], inputs: np.ndarray, steps: int, on: Mapping[str, np.ndarray] | None = None
) -> Run:
    """All layers in each timestep, the same inputs (N, C, H, W) every time; the bias is added every timestep.

    on   by layer, the neurons whose spikes pass (paper 002's mask); all without one.
    """
    count = len(inputs)
    v = {p.name: np.full((count, *p.shape), p.start) for p in populations}
    spikes = {p.name: np.zeros((count, steps, *p.shape)) for p in populations if p.threshold}
    for t in range(steps):
        sent = {INPUT: inputs.astype(float)}
        for p in populations:
            current = sum(sent[source].reshape(count, -1) @ dense.T for source, dense in p.wires)
            u = v[p.name] + current.reshape(v[p.name].shape) + p.bias
            fires = (u > p.threshold if p.strict else u >= p.threshold) if p.threshold else np.zeros_like(u)
            v[p.name] = u - fires * p.threshold
            if p.threshold:
                spikes[p.name][:, t] = fires * (1.0 if on is None else on[p.name])
                sent[p.name] = spikes[p.name][:, t] * p.scale
    return Run(spikes, v)


def one_neuron(levels: int, threshold: float = 1.0, top: int | None = None) -> FoldedSource:
    """A neuron that gets its input as it is."""
    shape = (1, 1, 1)
    wire = SourceConnection(Connection(INPUT, "identity", shape), np.ones(1))
    layer = SourceLayer("relay", shape, (wire,), np.zeros(1), threshold, levels, levels - 1 if top is None else top)
    return FoldedSource("one", shape, np.zeros(1), np.ones(1), (layer,))


def worth_of_logits(source: FoldedSource, unit: Mapping[str, float]) -> float:
    """Real value of one step of the read-out's potentials; unit: what an event of each source is worth."""
    wires = source.layers[-1].connections
    return max(np.abs(c.weights).max() * unit[c.geometry.source] for c in wires) / 127
