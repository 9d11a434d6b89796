"""Random small networks that are sound, and the functional model written a second time as naive loops.

The loops follow docs/cycle-model.md, "An event's words", event by event, synapse by synapse, in plain Python integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network, Side, by_axis
from hwsim.snn.neurons import BitSerial, IntegrateAndFire, Neuron, ReadOut, Requantise, SingleSpike, TwoStage

Rng = np.random.Generator
# What random_network draws: a coding, but for the two-stage neuron, which is rate coded like the first.
CODINGS = ("rate", "bit_serial", "quantised", "single_spike", "two_stage")
IN_TIME = ("rate", "single_spike", "two_stage")


def random_network(rng: Rng, coding: str, direct: bool | None = None) -> Network:
    """Two or three layers of one coding, with residual joins, and mostly a read-out; every rule of validation kept."""
    timesteps = int(rng.integers(2 if coding == "two_stage" else 1, 6 if coding == "two_stage" else 5))
    stages = (0, int(rng.integers(1, timesteps)), timesteps) if coding == "two_stage" else ()
    direct = bool(coding == "quantised" or rng.random() < 0.5) if direct is None else direct
    c, h, w = int(rng.integers(1, 4)), int(rng.integers(2, 6)), int(rng.integers(2, 6))
    spec = InputSpec((c, h, w), "direct" if direct else "spikes", 1 if direct else timesteps,
                     int(rng.integers(1, 7)), bool(direct and rng.random() < 0.3),
                     "bit_serial" if coding == "bit_serial" else "rate")
    if coding in IN_TIME and rng.random() < 0.3:
        spec = InputSpec(spec.shape, "hybrid", timesteps, int(rng.integers(2, 7)), bool(rng.random() < 0.5),
                         spike_shift=int(rng.integers(0, 4)))
    layers: list[Layer] = []
    for k in range(int(rng.integers(1, 4))):
        source, shape = (layers[-1].name, layers[-1].shape) if layers else (INPUT, spec.shape)
        binary = coding in IN_TIME and (bool(layers) or spec.encoding == "spikes")
        first = random_connection(rng, source, shape, binary)
        if not layers and spec.encoding == "hybrid" and first.pool > 1:
            first = replace(first, pool_mode="folded")
        out = first.natural_shape(shape[0] if first.operator == "identity" else len(first.weights))
        connections = (first, *joins(rng, layers, out))
        layers.append(replace(random_layer(rng, f"l{k}", out, connections, coding, timesteps), stages=stages))
    if rng.random() < 0.8:
        last = layers[-1]
        wire = random_connection(rng, last.name, last.shape, coding in IN_TIME, "linear")
        layers.append(Layer("out", wire.natural_shape(len(wire.weights)), (wire,), ReadOut(), last.timesteps,
                            bias=rng.integers(-9, 9, (1, 1, 1)), stages=stages))
    return Network(spec, tuple(layers))


def random_connection(
    rng: Rng, source: str, shape: tuple[int, int, int], binary: bool, operator: str | None = None
) -> Connection:
    """Any operator and pooling that leaves at least one output position."""
    c, h, w = shape
    pool, mode = 1, "none"
    if min(h, w) >= 2 and rng.random() < 0.4:
        pool, mode = 2, str(rng.choice(("folded", "unit", "max") if binary else ("folded", "unit")))
    h, w = h // pool, w // pool
    operator = operator or str(rng.choice(("conv2d", "conv2d", "linear", "identity")))
    if operator == "linear":
        return Connection(source, "linear", shape, rng.integers(-7, 8, (3, c * h * w)), pool=pool, pool_mode=mode)
    if operator == "identity":
        return Connection(source, "identity", shape, rng.integers(1, 9, c), stride=side(rng, 1, 3), pool=pool,
                          pool_mode=mode)
    groups = int(rng.choice([g for g in range(1, c + 1) if c % g == 0]))
    kernel, stride = side(rng, 1, min(3, h, w) + 1), side(rng, 1, 3)
    weights = rng.integers(-7, 8, (groups * int(rng.integers(1, 4)), c // groups, *by_axis(kernel)))
    padding = side(rng, 0, min(by_axis(kernel)))
    return Connection(source, "conv2d", shape, weights, kernel, stride, padding, groups, pool, mode)


def side(rng: Rng, low: int, high: int) -> Side:
    """A kernel, stride or padding in [low, high): the same along both axes, or one for each."""
    y, x = (int(n) for n in rng.integers(low, high, 2))
    return (y, x) if rng.random() < 0.3 else y


def joins(rng: Rng, layers: list[Layer], out: tuple[int, int, int]) -> Iterator[Connection]:
    """An identity from an earlier layer where its strided grid fits, with a channel offset that may lose channels."""
    for layer in layers[:-1]:
        for stride in (1, 2):
            c, h, w = layer.shape
            if (-(-h // stride), -(-w // stride)) == out[1:]:
                yield Connection(layer.name, "identity", layer.shape, rng.integers(1, 9, c), stride=stride,
                                 channel_offset=int(rng.integers(1 - c, out[0])))
                return


def random_layer(
    rng: Rng, name: str, shape: tuple[int, int, int], connections: tuple[Connection, ...], coding: str, timesteps: int
) -> Layer:
    """A layer of `coding` with thresholds that make it spike now and then."""
    bias = None if rng.random() < 0.4 else rng.integers(-6, 7, shape if rng.random() < 0.5 else (1, 1, 1))
    initial = rng.integers(-5, 6, (shape[0], 1, 1))
    neuron: Neuron = Requantise()
    thresholds, payload_bits = rng.integers(2, 12, 1), timesteps
    if coding in IN_TIME:
        leak = None if rng.random() < 0.7 else int(rng.integers(1, 4))
        neuron, payload_bits = IntegrateAndFire("soft" if rng.random() < 0.6 else "hard", leak), 0
        thresholds = rng.integers(1, 30, timesteps)
        if coding != "rate":
            neuron = TwoStage() if coding == "two_stage" else SingleSpike(leak)
    elif coding == "bit_serial":
        neuron, payload_bits = BitSerial(), 0
        thresholds = np.full(timesteps, int(rng.integers(2, 12)) << timesteps)
    planes = 1 if coding == "quantised" else timesteps
    return Layer(name, shape, connections, neuron, planes, thresholds, bias, initial, payload_bits=payload_bits)


def random_input(rng: Rng, spec: InputSpec) -> np.ndarray:
    """Planes (T, H, W, C) of an input."""
    c, h, w = spec.shape
    if spec.encoding == "spikes":
        return (rng.random((spec.timesteps, h, w, c)) < 0.4).astype(np.uint8)
    low = -(1 << (spec.payload_bits - 1)) if spec.signed else 0
    values = rng.integers(low, low + (1 << spec.payload_bits), (1, h, w, c)).astype(np.int16)
    return np.concatenate([values, rng.random((spec.timesteps - 1, h, w, c)) < 0.4]).astype(np.int16)


# -- the model again, one synapse at a time -----------------------------------------------------------------------


def naive_forward(network: Network, inputs: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What hwsim.snn.forward.forward computes, by loops."""
    planes = {INPUT: inputs}
    potentials = {}
    for layer in network:
        c_out, h, w = layer.shape
        in_time = layer.coding in ("rate", "single_spike") or len(layer.stages) > 2
        rows = layer.timesteps if in_time else 1
        sums = [[[[0] * w for _ in range(h)] for _ in range(c_out)] for _ in range(rows)]
        for wire in layer.connections:
            source, coding = planes[wire.source], network.source_coding(wire)
            for t in range(len(source)):
                for (c, y, x), amount in synapses(wire, source[t], layer.shape):
                    if coding == "bit_serial":
                        amount *= 2 ** (len(source) - 1 - t)
                    if coding == "hybrid" and t > 0:
                        amount *= 2**network.input.spike_shift
                    direct = coding == "direct" and in_time
                    for row in range(rows) if direct else [t if in_time else 0]:
                        sums[row][c][y][x] += amount
        planes[layer.name], potentials[layer.name] = naive_neurons(layer, sums)
    del planes[INPUT]
    return {name: array for name, array in planes.items() if len(array)}, potentials


def events(wire: Connection, plane: np.ndarray) -> Iterator[tuple[int, int, int, int]]:
    """(c, y, x, value) on the token grid: after pooling for `unit` and `max`, before it for `folded`."""
    h, w, channels = plane.shape
    k = wire.pool if wire.pool_mode in ("unit", "max") else 1
    for y in range(h // k):
        for x in range(w // k):
            for c in range(channels):
                window = [int(plane[y * k + i, x * k + j, c]) for i in range(k) for j in range(k)]
                value = max(window) if wire.pool_mode == "max" else sum(window)
                if value:
                    yield c, y, x, value


def synapses(
    wire: Connection, plane: np.ndarray, shape: tuple[int, int, int]
) -> Iterator[tuple[tuple[int, int, int], int]]:
    """((c, y, x) of the target, what it receives) for each in-bounds synapse of each event of a plane."""
    c_out, h, w = shape
    c_in, h_in, w_in = wire.pooled_shape
    (rows, columns), (sy, sx), (py, px) = (by_axis(side) for side in (wire.kernel, wire.stride, wire.padding))
    for c, y, x, value in events(wire, plane):
        if wire.pool_mode == "folded":
            y, x = y // wire.pool, x // wire.pool
            if y >= h_in or x >= w_in:
                continue
        if wire.operator == "linear":
            for o in range(c_out):
                yield (o, 0, 0), value * int(wire.weights[o, (c * h_in + y) * w_in + x])
        elif wire.operator == "identity":
            o = c + wire.channel_offset
            if y % sy == 0 and x % sx == 0 and 0 <= o < c_out:
                yield (o, y // sy, x // sx), value * int(wire.weights[c])
        else:
            group = c // (c_in // wire.groups)
            width = c_out // wire.groups
            for oy in range(h):
                for ox in range(w):
                    ky, kx = y + py - sy * oy, x + px - sx * ox
                    if 0 <= ky < rows and 0 <= kx < columns:
                        for o in range(group * width, (group + 1) * width):
                            yield (o, oy, ox), value * int(wire.weights[o, c - group * (c_in // wire.groups), ky, kx])


def naive_neurons(layer: Layer, sums: list) -> tuple[np.ndarray, np.ndarray]:
    """Outputs (T, H, W, C) and final potentials (C, H, W) of every neuron by itself."""
    c_out, h, w = layer.shape
    bias = np.broadcast_to(0 if layer.bias is None else layer.bias, layer.shape)
    initial = np.broadcast_to(layer.initial_potential, layer.shape)
    outputs = np.zeros((0 if layer.coding == "readout" else layer.timesteps, h, w, c_out), np.int64)
    finals = np.zeros(layer.shape, np.int64)
    for c in range(c_out):
        for y in range(h):
            for x in range(w):
                rows = [plane[c][y][x] for plane in sums]
                out, finals[c, y, x] = naive_neuron(layer, rows, int(bias[c, y, x]), int(initial[c, y, x]))
                outputs[:, y, x, c] = out
    return outputs, finals


def naive_neuron(layer: Layer, rows: list[int], bias: int, v: int) -> tuple[list[int], int]:
    """One neuron: what it sends, and its last potential."""
    theta = [int(n) for n in layer.thresholds]
    if layer.neuron.model == "two_stage":
        return naive_two_stage(theta, layer.stages[1], rows, bias, v)
    if layer.neuron.model == "single_spike":
        return naive_single_spike(theta, layer.neuron.leak_shift, rows, bias, v)
    if layer.coding == "rate":
        sent = []
        for t, row in enumerate(rows):
            v += row + bias
            fires = v >= theta[t]
            sent.append(int(fires))
            if fires:
                v = v - theta[t] if layer.neuron.reset == "soft" else 0
            if layer.neuron.leak_shift is not None:
                v -= v >> layer.neuron.leak_shift
        return sent, v
    v += sum(rows[layer.stages[1] if len(layer.stages) > 2 else 0 :]) + bias
    if layer.coding == "quantised":
        return [min(max(v // theta[0], 0), 2**layer.payload_bits - 1)], v
    if layer.coding == "readout":
        return [], v
    # The bits of clip(V / (theta / 2**T)), most significant first, as the paper means them.
    step = theta[0] >> layer.timesteps
    level = min(max(v // step, 0), 2**layer.timesteps - 1)
    return [level >> (layer.timesteps - 1 - p) & 1 for p in range(layer.timesteps)], v - level * step


def naive_two_stage(theta: list[int], tau: int, rows: list[int], bias: int, start: int) -> tuple[list[int], int]:
    """Paper 002, Algorithm 1: a first run of tau timesteps; a neuron that it leaves negative never fires in the second."""
    def run(first: int, last: int) -> tuple[list[int], int]:
        v, sent = start, []
        for t in range(first, last):
            v += rows[t] + bias
            sent.append(int(v >= theta[t]))
            v -= sent[-1] * theta[t]
        return sent, v

    trial, residual = run(0, tau)
    counted, final = run(tau, len(rows))
    return (trial + counted, final) if residual >= 0 else (trial + [0] * len(counted), 0)


def naive_single_spike(
    theta: list[int], leak: int | None, rows: list[int], bias: int, v: int
) -> tuple[list[int], int]:
    """Paper 004: nothing happens to a neuron after its first spike."""
    sent = [0] * len(rows)
    for t, row in enumerate(rows):
        v += row + bias
        if v >= theta[t]:
            sent[t] = 1
            return sent, 0
        v -= v >> leak if leak is not None else 0
    return sent, v
