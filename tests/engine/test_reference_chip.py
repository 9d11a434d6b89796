"""Programs on the reference engine: order of operations (C1), states (C5), spikes and mismatches (C6), transfers (A4).

Networks of a few neurons, programs written out here by hand; what should come out is worked out without an engine, by
dense sums and the neuron models' own `emit`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwsim.activity import INDEX
from hwsim.engine.reference import ReferenceEngine
from hwsim.passes import PassTable
from hwsim.program import CHANNEL, ChannelSpec, CoreRun, CoreSpec, Feed, Operation, Program, ProgramError, Run, Transfer
from hwsim.record import SampleRecord
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network, PoolMode
from hwsim.snn.neurons import BitSerial, Context, IntegrateAndFire, ReadOut, Requantise
from hwsim.snn.sample import Sample

ENGINE = ReferenceEngine()


# -- what should come out, without an engine --------------------------------------------------------------------------


def dense_sum(plane: np.ndarray, wire: Connection, shape: tuple[int, int, int]) -> np.ndarray:
    """What one (H, W, C) plane adds to a layer of `shape`, as (C, H, W): plain loops over output neurons."""
    assert wire.weights is not None
    k = wire.pool
    x = np.moveaxis(np.asarray(plane, np.int64), 2, 0)[:, : plane.shape[0] // k * k, : plane.shape[1] // k * k]
    windows = x.reshape(x.shape[0], x.shape[1] // k, k, x.shape[2] // k, k)
    x = np.asarray(windows.any(axis=(2, 4)) if wire.pool_mode == "max" else windows.sum(axis=(2, 4)), np.int64)
    total = np.zeros(shape, np.int64)
    if wire.operator == "linear":
        total[:, 0, 0] = wire.weights @ x.reshape(-1)
    elif wire.operator == "identity":
        part = (x * wire.weights[:, None, None])[:, :: wire.stride, :: wire.stride]
        total[wire.channel_offset : wire.channel_offset + len(part)] = part
    else:
        per_in, per_out = x.shape[0] // wire.groups, shape[0] // wire.groups
        padded = np.pad(x, ((0, 0), (wire.padding,) * 2, (wire.padding,) * 2))
        for c, oy, ox in np.ndindex(shape):
            q = c // per_out
            patch = padded[q * per_in : (q + 1) * per_in, oy * wire.stride :, ox * wire.stride :]
            total[c, oy, ox] = (patch[:, : wire.kernel, : wire.kernel] * wire.weights[c]).sum()
    return total


def expected(network: Network, inputs: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Outputs (T, H, W, C) and final potentials (C, H, W) of every layer, from the models' own arithmetic."""
    outputs: dict[str, np.ndarray] = {INPUT: inputs}
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


def direct_of(network: Network, layer: Layer) -> bool:
    return any(network.source_coding(wire) == "direct" for wire in layer.connections)


# -- programs by hand -------------------------------------------------------------------------------------------------


def core_spec(**changes: Any) -> CoreSpec:
    numbers: dict[str, Any] = {
        "lanes": 4, "potential_bits": 20, "current_bits": 20, "fifo_depth": 3, "bypass": False, "shift_at": "weight",
        "buffer": "aer", "scan_bits": 5,
    }
    return CoreSpec(**(numbers | changes))


def table_of(network: Network, layer: Layer, core: CoreSpec) -> PassTable:
    wires = layer.connections
    bits = any(network.source_coding(wire) == "bit_serial" for wire in wires)
    planes = max(network.source_timesteps(wire) for wire in wires)
    return layer.neuron.lower(layer, Context(planes, direct_of(network, layer), bits, core.shift_at))


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


# -- small networks ---------------------------------------------------------------------------------------------------

POOL_MODES: tuple[PoolMode, ...] = ("folded", "unit", "max", "none")


def rate_network(seed: int, direct: bool, **neuron: Any) -> tuple[Network, np.ndarray]:
    """A convolution, a strided pooled layer with a residual path, a read-out; T = 3."""
    rng, steps = np.random.default_rng(seed), 3
    spec = InputSpec((2, 5, 5), "direct" if direct else "spikes", 1 if direct else steps, 4, signed=True)
    first = Layer(
        "a", (6, 5, 5), (Connection(INPUT, "conv2d", (2, 5, 5), rng.integers(-5, 9, (6, 1, 3, 3)), 3, 1, 1, groups=2),),
        IntegrateAndFire(**neuron), steps, rng.integers(8, 20, steps), bias=rng.integers(-2, 4, (6, 1, 1)),
        initial_potential=rng.integers(-3, 4, (6, 5, 5)),
    )
    mode = POOL_MODES[seed % 4]
    pool, size, stride = (1, 3, 2) if mode == "none" else (2, 2, 1)
    shape = (9, size, size)
    wires = (
        Connection("a", "conv2d", (6, 5, 5), rng.integers(-5, 9, (9, 6, 3, 3)), 3, stride, 1, pool=pool,
                   pool_mode=mode),
        Connection("a", "identity", (6, 5, 5), rng.integers(-5, 9, 6), stride=stride, pool=pool, pool_mode=mode,
                   channel_offset=3),
    )
    second = Layer("b", shape, wires, IntegrateAndFire(), steps, np.full(steps, 15))
    answer = Connection("b", "linear", shape, rng.integers(-5, 9, (5, 9 * size**2)))
    last = Layer("out", (5, 1, 1), (answer,), ReadOut(), steps, bias=rng.integers(-9, 9, (5, 1, 1)))
    inputs = rng.integers(-8, 8, (1, 5, 5, 2)) if direct else rng.random((steps, 5, 5, 2)) < 0.4
    return Network(spec, (first, second, last)), np.asarray(inputs, np.int16)


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


def sample_of(network: Network, inputs: np.ndarray) -> Sample:
    outputs, _ = expected(network, inputs)
    return Sample(inputs, {layer.name: outputs[layer.name] for layer in network if layer.coding != "readout"})


def check(network: Network, inputs: np.ndarray, record: SampleRecord) -> None:
    outputs, potentials = expected(network, inputs)
    assert set(record.outputs) == {layer.name for layer in network if layer.coding != "readout"}
    for layer in network:
        np.testing.assert_array_equal(record.potentials[layer.name], potentials[layer.name])
        if layer.coding != "readout":
            np.testing.assert_array_equal(record.outputs[layer.name], outputs[layer.name])
            assert outputs[layer.name].any()
            assert record.outputs[layer.name].dtype == np.uint8
    assert record.mismatches.tolist() == [-1 if layer.coding == "readout" else 0 for layer in network]
    assert not record.saturations.any()


@pytest.mark.parametrize("spikes", ["computed", "trace"])
@pytest.mark.parametrize("buffer", ["aer", "bitmap"])
@pytest.mark.parametrize("schedule", ["layer_by_layer", "step_by_step"])
@pytest.mark.parametrize("direct", [False, True], ids=["spikes", "direct"])
@pytest.mark.parametrize("seed", range(4))
def test_a_rate_network_computes_what_its_models_say(
    seed: int, direct: bool, schedule: str, buffer: str, spikes: str
) -> None:
    neuron = {"reset": "hard", "leak_shift": 3} if seed % 2 else {}
    network, inputs = rate_network(seed, direct, **neuron)
    record = ENGINE.run_sample(program_of(network, core_spec(buffer=buffer), schedule), sample_of(network, inputs),
                               spikes)
    check(network, inputs, record)


@pytest.mark.parametrize("shift_at", ["weight", "membrane"])
@pytest.mark.parametrize("buffer", ["aer", "bitmap"])
@pytest.mark.parametrize("seed", range(3))
def test_a_bit_serial_network_computes_what_its_models_say(seed: int, buffer: str, shift_at: str) -> None:
    network, inputs = bit_serial_network(seed)
    program = program_of(network, core_spec(buffer=buffer, shift_at=shift_at), "layer_by_layer")
    check(network, inputs, ENGINE.run_sample(program, sample_of(network, inputs), "computed"))


def test_a_quantised_network_sends_values() -> None:
    rng = np.random.default_rng(5)
    first = Layer("a", (6, 4, 4), (Connection(INPUT, "conv2d", (2, 4, 4), rng.integers(-5, 9, (6, 2, 3, 3)), 3, 1, 1),),
                  Requantise(), 1, np.array([13]), bias=rng.integers(-5, 9, (6, 1, 1)), payload_bits=3)
    last = Layer("out", (3, 1, 1), (Connection("a", "linear", (6, 4, 4), rng.integers(-5, 6, (3, 96))),), ReadOut(), 1)
    network, inputs = Network(InputSpec((2, 4, 4)), (first, last)), rng.integers(0, 16, (1, 4, 4, 2))
    program = program_of(network, core_spec(), "layer_by_layer")
    record = ENGINE.run_sample(program, sample_of(network, inputs), "computed")
    check(network, inputs, record)
    assert record.outputs["a"].max() == 7


def test_values_of_sixteen_bits_need_no_recording() -> None:
    wire = Connection(INPUT, "conv2d", (1, 2, 2), np.full((1, 1, 1, 1), 1 << 12), 1)
    first = Layer("a", (1, 2, 2), (wire,), Requantise(), 1, np.array([1]), payload_bits=16)
    last = Layer("out", (1, 1, 1), (Connection("a", "linear", (1, 2, 2), np.ones((1, 4), int)),), ReadOut(), 1)
    network, inputs = Network(InputSpec((1, 2, 2)), (first, last)), np.array([0, 1, 8, 15]).reshape(1, 2, 2, 1)
    record = ENGINE.run_sample(program_of(network, core_spec(lanes=1), "layer_by_layer"), Sample(inputs, {}), "computed")
    assert record.outputs["a"].ravel().tolist() == [0, 1 << 12, 1 << 15, 15 << 12]


# -- C6 ---------------------------------------------------------------------------------------------------------------


def test_mismatches_count_the_outputs_that_differ() -> None:
    network, inputs = rate_network(3, False)
    sample = sample_of(network, inputs)
    program = program_of(network, core_spec(), "step_by_step")
    good = ENGINE.run_sample(program, sample, "computed")
    for t, y, x, c in ((0, 0, 0, 0), (0, 1, 2, 3), (2, 4, 4, 5)):
        sample.recorded["a"][t, y, x, c] ^= 1
    closed = ENGINE.run_sample(program, sample, "computed")
    assert closed.mismatches.tolist() == [3, 0, -1]
    np.testing.assert_array_equal(closed.end, good.end)
    fed = ENGINE.run_sample(program, sample, "trace")
    assert fed.mismatches[0] == 3
    assert fed.mismatches[1] > 0, "layer b is fed the wrong recording"


@pytest.mark.parametrize("buffer", ["aer", "bitmap"])
@pytest.mark.parametrize("schedule", ["layer_by_layer", "step_by_step"])
def test_a_trace_without_weights_takes_the_same_cycles(schedule: str, buffer: str) -> None:
    network, inputs = rate_network(1, False)
    sample = sample_of(network, inputs)
    layers = tuple(replace(layer, connections=tuple(replace(c, weights=None) for c in layer.connections))
                   for layer in network)
    blind = Network(network.input, layers)
    seeing = ENGINE.run_sample(program_of(network, core_spec(buffer=buffer), schedule), sample, "trace")
    program = program_of(blind, core_spec(buffer=buffer), schedule)
    record = ENGINE.run_sample(program, sample, "trace")
    for name in ("start", "end", "counts"):
        np.testing.assert_array_equal(getattr(record, name), getattr(seeing, name))
    assert record.mismatches.tolist() == [-1, -1, -1]
    assert not record.saturations.any()
    np.testing.assert_array_equal(record.outputs["b"], sample.recorded["b"])
    with pytest.raises(ProgramError, match="no weights"):
        ENGINE.run_sample(program, sample, "computed")


def test_what_is_missing_is_named() -> None:
    network, inputs = rate_network(1, False)
    program = program_of(network, core_spec(), "layer_by_layer")
    with pytest.raises(ProgramError, match="no recorded outputs of layer 'a', found .'b'."):
        ENGINE.run_sample(program, Sample(inputs, {"b": sample_of(network, inputs).recorded["b"]}), "trace")
    with pytest.raises(ValueError, match="spikes is 'replay'"):
        ENGINE.run_sample(program, Sample(inputs, {}), "replay")


# -- C1: two layers, by hand ------------------------------------------------------------------------------------------


def pair() -> tuple[Network, Sample]:
    """Two neurons that each fire on their own input spike; one read-out neuron; T = 2."""
    spec = InputSpec((2, 1, 1), "spikes", 2)
    first = Layer("a", (2, 1, 1), (Connection(INPUT, "linear", (2, 1, 1), np.array([[4, 0], [0, 4]])),),
                  IntegrateAndFire(), 2, np.array([4, 4]))
    last = Layer("out", (1, 1, 1), (Connection("a", "linear", (2, 1, 1), np.array([[3, 5]])),), ReadOut(), 2)
    inputs = np.array([[1, 1], [0, 1]], np.uint8).reshape(2, 1, 1, 2)
    return Network(spec, (first, last)), Sample(inputs, {"a": inputs.copy()})


def test_two_layers_layer_by_layer_to_the_cycle() -> None:
    network, sample = pair()
    record = ENGINE.run_sample(program_of(network, core_spec(bypass=True), "layer_by_layer"), sample, "computed", True)
    a, out = record.logs[0], record.logs[1]
    # clear 1, two events 2 3, EOT 4, fire 5 (e 6, spikes 7 8), event 6 (e 7), EOT 7, fire 8 (e 9, spike 10)
    assert a.issue[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert a.spikes.tolist() == [[7, 0, 0], [8, 0, 1], [10, 0, 1]]
    # clear 1, two events 2 3, EOT 4, event 5, EOT 6, read-out 7 (e 8)
    assert out.issue[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert record.start.tolist() == [0, 11]
    assert record.end.tolist() == [11, 11 + 9]
    assert record.outputs["a"].reshape(2, 2).tolist() == [[1, 1], [0, 1]]
    assert record.potentials["out"].item() == 3 + 5 + 5
    assert record.potentials["a"].reshape(-1).tolist() == [0, 0]
    assert record.mismatches.tolist() == [0, -1]


def test_two_layers_step_by_step_to_the_cycle() -> None:
    network, sample = pair()
    record = ENGINE.run_sample(program_of(network, core_spec(bypass=True), "step_by_step"), sample, "computed", True)
    # t 0: clear 1, events 2 3, EOT 4, fire 5, e 6, spikes 7 8: done 9; then clear 1, events 2 3, EOT 4: done 5
    # t 1: event 1, EOT 2, fire 3, e 4, spike 5: done 6; then event 1, EOT 2, read-out 3, e 4: done 5
    assert record.start.tolist() == [0, 9, 14, 20]
    assert record.end.tolist() == [9, 14, 20, 25]
    assert record.outputs["a"].reshape(2, 2).tolist() == [[1, 1], [0, 1]]
    assert record.potentials["out"].item() == 13
    cmp = record.counts[:, :, INDEX["cmp"]]
    assert cmp.tolist() == [[2, 0], [0, 0], [0, 2], [0, 0]]
    assert record.counts[:, :, INDEX["acc_add"]].tolist() == [[4, 0], [2, 0], [0, 2], [0, 1]]


def transfer(number: int, kind: str, bits: int, memory: str, deps: tuple[int, ...] = (), **what: Any) -> Transfer:
    ends = {"source": CHANNEL, "targets": ("core",)} if kind == "load" else {"source": "core", "targets": (CHANNEL,)}
    return Transfer(id=number, deps=deps, layer=0, memory=memory, bits=bits, **ends, **what)  # type: ignore[arg-type]


def test_resources_work_in_list_order_and_wait_for_their_dependencies() -> None:
    network, sample = pair()
    runs = program_of(network, core_spec(bypass=True), "step_by_step").operations
    channel = ChannelSpec(bits_per_cycle=8, latency_cycles=3)
    operations = (
        transfer(0, "load", 1000, "weight", rows=7, once=True),
        transfer(1, "load", 17, "weight", rows=4),                                    # 0 .. 3 + 3
        transfer(2, "load", 0, "bias"),                                               # 6 .. 6, nothing to move
        replace(runs[0], id=3, deps=(0, 1)),                                          # 6 .. 15
        transfer(4, "store", 8, "membrane", deps=(3,), rows=1),                       # 15 .. 19
        transfer(5, "load", 64, "spike", rows=2, timesteps=(1, 2)),                   # 19 .. 30, behind 4 in the list
        replace(runs[1], id=6, deps=(3,)),                                            # 15 .. 20
        replace(runs[2], id=7, deps=(5,)),                                            # 30 .. 36
        replace(runs[3], id=8, deps=()),                                              # 36 .. 41
        transfer(9, "store", 24, "output", deps=(8,), rows=3, timesteps=(1, 2)),      # 41 .. 47
    )
    record = ENGINE.run_sample(Program(network, ("core",), channel, "by hand", operations), sample, "trace")
    assert record.start.tolist() == [0, 0, 6, 6, 15, 19, 15, 30, 36, 41]
    assert record.end.tolist() == [0, 6, 6, 15, 19, 30, 20, 36, 41, 47]
    moved = {(o, t, name): int(record.counts[o, t, i]) for name, i in INDEX.items() for o in (0, 1, 2, 4, 5, 9)
             for t in (0, 1) if record.counts[o, t, i]}
    assert moved == {
        (0, 0, "weight_write"): 7, (0, 0, "channel_read_bits"): 1000, (1, 0, "weight_write"): 4,
        (1, 0, "channel_read_bits"): 17, (4, 0, "membrane_read_transfer"): 1, (4, 0, "channel_write_bits"): 8,
        (5, 1, "buffer_write"): 2, (5, 1, "channel_read_bits"): 64, (9, 1, "channel_write_bits"): 24,
    }


def test_an_operation_that_waits_for_a_later_one_is_named() -> None:
    network, sample = pair()
    operations = (transfer(0, "load", 8, "weight", deps=(1,)), transfer(1, "load", 8, "weight"))
    with pytest.raises(ProgramError, match=r"operation 0 depends on \[1\], which do not stand before it"):
        ENGINE.run_sample(Program(network, ("core",), ChannelSpec(8, 0), "by hand", operations), sample, "trace")


# -- A4 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("buffer", ["aer", "bitmap"])
def test_buffers_and_pooling_units_are_counted(buffer: str) -> None:
    network, inputs = rate_network(1, False)  # pool_mode unit
    program = program_of(network, core_spec(buffer=buffer), "layer_by_layer")
    record = ENGINE.run_sample(program, sample_of(network, inputs), "trace", record=True)
    grids = {0: [(5, 5, 2)], 1: [(2, 2, 6)] * 2, 2: [network.layers[1].shape]}
    for operation in program.operations:
        counts = record.counts[operation.id]
        seen = {name: int(counts[:, INDEX[name]].sum()) for name in ("buffer_read", "buffer_write")}
        run, log = operation.body, record.logs[operation.id]
        rows = sum(-(-int(np.prod(grid)) // 5) for grid in grids[operation.layer])
        assert seen["buffer_read"] == (3 * rows if buffer == "bitmap" else len(log.push) - 3)
        real = min(4, run.shape[0] - 4 * run.groups[0]) * run.shape[1] * run.shape[2]
        fires = 0 if operation.layer == 2 else 3
        cleared = -(-real // 5) * fires if buffer == "bitmap" else 0
        assert seen["buffer_write"] == cleared + len(log.spikes)
        # Both connections of the second layer have a pooling unit; the fifth row and column are in no window.
        inside = 2 * np.count_nonzero(record.outputs["a"][:, :4, :4], axis=(1, 2, 3))
        pooled = operation.layer == 1 and operation.tile == 0
        assert counts[:, INDEX["pool_update"]].tolist() == (inside.tolist() if pooled else [0, 0, 0])
        np.testing.assert_array_equal(log.counts, counts[: len(log.counts)])


def test_a_layer_of_fewer_potential_bits_saturates_and_says_so() -> None:
    network, inputs = rate_network(2, True)
    narrow = Network(network.input, tuple(replace(layer, potential_bits=6) for layer in network))
    program = program_of(narrow, core_spec(), "layer_by_layer")
    record = ENGINE.run_sample(program, sample_of(network, inputs), "trace", record=True)
    for index in range(len(network.layers)):
        parts = [record.logs[o.id].saturations for o in program.operations if o.layer == index]
        assert record.saturations[index] == sum(parts) > max(parts[1:])
    assert max(abs(state).max() for state in record.potentials.values()) <= 32
