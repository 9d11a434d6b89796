"""Small networks as Programs written out here, and what they come to: dense sums and the neuron models' own `emit`, no engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from hwsim.passes import PassTable
from hwsim.program import ChannelSpec, CoreRun, CoreSpec, Feed, Operation, Program, Run
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network, PoolMode, by_axis
from hwsim.snn.neurons import BitSerial, Context, IntegrateAndFire, ReadOut, SingleSpike, TwoStage
from hwsim.snn.sample import Sample
from tests.laws.runs import spec

Outputs = dict[str, np.ndarray]

# -- what should come out ---------------------------------------------------------------------------------------------


def dense_sum(plane: np.ndarray, wire: Connection, shape: tuple[int, int, int]) -> np.ndarray:
    """What one (H, W, C) plane adds to a layer of `shape`, as (C, H, W): plain loops over output neurons."""
    assert wire.weights is not None
    k = wire.pool
    x = np.moveaxis(np.asarray(plane, np.int64), 2, 0)[:, : plane.shape[0] // k * k, : plane.shape[1] // k * k]
    windows = x.reshape(x.shape[0], x.shape[1] // k, k, x.shape[2] // k, k)
    x = np.asarray(windows.any(axis=(2, 4)) if wire.pool_mode == "max" else windows.sum(axis=(2, 4)), np.int64)
    total = np.zeros(shape, np.int64)
    (ky, kx), (sy, sx), (py, px) = (by_axis(side) for side in (wire.kernel, wire.stride, wire.padding))
    if wire.operator == "linear":
        total[:, 0, 0] = wire.weights @ x.reshape(-1)
    elif wire.operator == "identity":
        part = (x * wire.weights[:, None, None])[:, ::sy, ::sx]
        total[wire.channel_offset : wire.channel_offset + len(part)] = part
    else:
        per_in, per_out = x.shape[0] // wire.groups, shape[0] // wire.groups
        padded = np.pad(x, ((0, 0), (py, py), (px, px)))
        for c, oy, ox in np.ndindex(shape):
            q = c // per_out
            patch = padded[q * per_in : (q + 1) * per_in, oy * sy :, ox * sx :]
            total[c, oy, ox] = (patch[:, :ky, :kx] * wire.weights[c]).sum()
    return total


def expected(network: Network, inputs: np.ndarray) -> tuple[Outputs, Outputs]:
    """Outputs (T, H, W, C) and final potentials (C, H, W) of every layer, from the models' own arithmetic."""
    outputs: Outputs = {INPUT: inputs.astype(np.int64)}
    outputs[INPUT][1:] <<= network.input.spike_shift
    potentials = {}
    for layer in network:
        planes = max(network.source_timesteps(c) for c in layer.connections)
        planes = layer.timesteps if layer.coding == "rate" else planes
        sums = np.zeros((planes, *layer.shape), np.int64)
        for wire in layer.connections:
            coding, steps = network.source_coding(wire), network.source_timesteps(wire)
            for t in range(steps):
                weight = 2 ** (steps - 1 - t) if coding == "bit_serial" else 1
                # An image stays a current in every timestep of a rate-coded layer.
                at = slice(None) if coding == "direct" and layer.coding == "rate" else t
                sums[at] += weight * dense_sum(outputs[wire.source][t], wire, layer.shape)
        made, potentials[layer.name] = layer.neuron.emit(sums, layer)
        outputs[layer.name] = np.moveaxis(made, 1, 3).astype(np.uint8)
    return outputs, potentials


def sample_of(network: Network, inputs: np.ndarray) -> Sample:
    outputs, _ = expected(network, inputs)
    return Sample(inputs, {layer.name: outputs[layer.name] for layer in network if layer.coding != "readout"})


# -- programs ---------------------------------------------------------------------------------------------------------


def chip_spec(**changes: Any) -> CoreSpec:
    numbers: dict[str, Any] = {"potential_bits": 20, "current_bits": 20, "fifo_depth": 3, "bypass": False, "scan_bits": 5}
    return spec(**(numbers | changes))


def table_of(network: Network, layer: Layer, core: CoreSpec) -> PassTable:
    wires = layer.connections
    codings = {network.source_coding(wire) for wire in wires}
    shift = network.input.spike_shift if any(wire.source == INPUT for wire in wires) else 0
    planes = max(network.source_timesteps(wire) for wire in wires)
    return layer.neuron.lower(layer, Context(planes, "direct" in codings, "bit_serial" in codings, core.shift_at, shift))


def tiles_of(layer: Layer, core: CoreSpec) -> list[tuple[int, int]]:
    """One group a tile: the smallest there are."""
    return [(g, g + 1) for g in range(-(-layer.shape[0] // core.lanes))]


def channels_of(network: Network, wire: Connection, core: CoreSpec) -> tuple[tuple[int, int], ...]:
    if wire.source == INPUT:
        return ((0, wire.source_shape[0]),)
    layer = network.layer(wire.source)
    return tuple((g * core.lanes, min(h * core.lanes, layer.shape[0])) for g, h in tiles_of(layer, core))


def program_of(network: Network, core: CoreSpec, schedule: str) -> Program:
    """Every layer in tiles of one group: with all its timesteps at once, or one timestep of every layer at a time."""
    operations: list[Operation] = []
    tables = [table_of(network, layer, core) for layer in network]
    steps = [None] if schedule == "layer_by_layer" else range(max(table.planes for table in tables))
    for step in steps:
        for index, layer in enumerate(network):
            table = tables[index] if step is None else tables[index].at(step)
            feeds = tuple(_feed(network, layer, n, core, table, step) for n in range(len(layer.connections)))
            for number, groups in enumerate(tiles_of(layer, core)):
                run = CoreRun(
                    core=core, shape=layer.shape, groups=groups, connections=layer.connections, table=table,
                    potential_bits=min(core.potential_bits, layer.potential_bits), current_bits=core.current_bits,
                    clear=not step, first_plane=step or 0,
                )
                span = (0, layer.timesteps) if step is None else (step, step + 1)
                operations.append(Run(
                    id=len(operations), on="core", layer=index, tile=number, timesteps=span, body=run, feeds=feeds,
                    eots=table.planes, pools=number == 0,
                ))
    return Program(network, ("core",), ChannelSpec(8, 2), schedule, tuple(operations))


def _feed(network: Network, layer: Layer, n: int, core: CoreSpec, table: PassTable, step: int | None) -> Feed:
    wire = layer.connections[n]
    planes: Iterable[int] = range(network.source_timesteps(wire))
    if step is not None:
        planes = [t for t in planes if t == step]
    elif table.weigh_planes:
        planes = reversed(list(planes))
    return Feed(n, tuple(planes), channels_of(network, wire, core))


def without_weights(network: Network) -> Network:
    return Network(network.input, tuple(
        replace(layer, connections=tuple(replace(c, weights=None) for c in layer.connections)) for layer in network
    ))


# -- networks ---------------------------------------------------------------------------------------------------------

POOL_MODES: tuple[PoolMode, ...] = ("folded", "unit", "max", "none")


def rate_network(seed: int, direct: bool, **neuron: Any) -> tuple[Network, np.ndarray]:
    """A convolution, a strided pooled layer with a residual path, a read-out; T = 3."""
    rng, steps = np.random.default_rng(seed), 3
    given = InputSpec((2, 5, 5), "direct" if direct else "spikes", 1 if direct else steps, 4, signed=True)
    first = Layer(
        "a", (6, 5, 5), (Connection(INPUT, "conv2d", (2, 5, 5), rng.integers(-5, 9, (6, 1, 3, 3)), 3, 1, 1, groups=2),),
        IntegrateAndFire(**neuron), steps, rng.integers(8, 20, steps), bias=rng.integers(-2, 4, (6, 1, 1)),
        initial_potential=rng.integers(-3, 4, (6, 5, 5)),
    )
    mode = POOL_MODES[seed % 4]
    pool, size, stride = (1, 3, 2) if mode == "none" else (2, 2, 1)
    shape = (9, size, size)
    wires = (
        Connection("a", "conv2d", (6, 5, 5), rng.integers(-5, 9, (9, 6, 3, 3)), 3, stride, 1, pool=pool, pool_mode=mode),
        Connection("a", "identity", (6, 5, 5), rng.integers(-5, 9, 6), stride=stride, pool=pool, pool_mode=mode,
                   channel_offset=3),
    )
    second = Layer("b", shape, wires, IntegrateAndFire(), steps, np.full(steps, 15))
    answer = Connection("b", "linear", shape, rng.integers(-5, 9, (5, 9 * size**2)))
    last = Layer("out", (5, 1, 1), (answer,), ReadOut(), steps, bias=rng.integers(-9, 9, (5, 1, 1)))
    inputs = rng.integers(-8, 8, (1, 5, 5, 2)) if direct else rng.random((steps, 5, 5, 2)) < 0.4
    return Network(given, (first, second, last)), np.asarray(inputs, np.int16)


def bit_serial_network(seed: int) -> tuple[Network, np.ndarray]:
    """A direct image into a bit-serial layer, a second one on its planes, a read-out on theirs; T = 3."""
    rng = np.random.default_rng(seed)
    first = Layer("a", (5, 4, 4), (Connection(INPUT, "conv2d", (2, 4, 4), rng.integers(-5, 9, (5, 2, 3, 3)), 3, 1, 1),),
                  BitSerial(), 3, np.array([160] * 3), bias=rng.integers(-5, 9, (5, 1, 1)),
                  initial_potential=np.full((1, 1, 1), 10))
    second = Layer("b", (6, 2, 2), (Connection("a", "conv2d", (5, 4, 4), rng.integers(-4, 6, (6, 5, 3, 3)), 3, 2, 1),),
                   BitSerial(), 3, np.array([240] * 3), bias=rng.integers(-30, 30, (6, 1, 1)),
                   initial_potential=np.full((1, 1, 1), 15))
    last = Layer("out", (3, 1, 1), (Connection("b", "linear", (6, 2, 2), rng.integers(-5, 6, (3, 24))),), ReadOut(), 3,
                 bias=rng.integers(-9, 9, (3, 1, 1)))
    return Network(InputSpec((2, 4, 4), "direct", 1, 4), (first, second, last)), rng.integers(0, 16, (1, 4, 4, 2))


Hidden = Literal["single spike", "two stages"]


def staged_network(hidden: Hidden) -> tuple[Network, np.ndarray]:
    """A hybrid input, a hidden layer whose neurons are switched off, a read-out of stage two; T = 4."""
    rng, steps = np.random.default_rng(11), 4
    inputs = np.asarray(rng.random((steps, 1, 1, 6)) < 0.5, np.int16)
    inputs[0] = rng.integers(-9, 10, (1, 1, 6))
    wires = (Connection(INPUT, "linear", (6, 1, 1), rng.integers(-4, 6, (7, 6))),)
    rest: dict[str, Any] = {
        "timesteps": steps, "bias": rng.integers(-2, 3, (7, 1, 1)), "initial_potential": rng.integers(0, 9, (7, 1, 1)),
    }
    if hidden == "single spike":
        first = Layer("a", (7, 1, 1), wires, SingleSpike(leak_shift=3), thresholds=np.array([40, 50, 20, 60]), **rest)
    else:
        first = Layer("a", (7, 1, 1), wires, TwoStage(), thresholds=np.full(steps, 25), stages=(0, 2, 4), **rest)
    out = Connection("a", "linear", (7, 1, 1), rng.integers(-5, 9, (3, 7)))
    last = Layer("out", (3, 1, 1), (out,), ReadOut(), steps, bias=rng.integers(1, 9, (3, 1, 1)), stages=(0, 2, 4))
    return Network(InputSpec((6, 1, 1), "hybrid", steps, 5, signed=True, spike_shift=3), (first, last)), inputs
