"""Laws of a network on the systolic array: what layers count, what moves, what comes out, what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from hwsim.activity import EVENTS, INDEX
from hwsim.arch import Architecture, load_architecture
from hwsim.cores.systolic.replay import SystolicReplay, systolic_replay
from hwsim.mapping import MappingError
from hwsim.snn.forward import forward, layer_sums, pool
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network, by_axis
from hwsim.snn.sample import Sample
from tests.baseline import array_simulator
from tests.baseline.networks import DATAFLOWS, convolution, quantised, read_out, systolic, vgg16_cifar
from tests.engine.random_designs import random_network, random_sample

VGG16_MACS = 313_201_664
COUNTED = ("cycles", "acc_add", "buffer_read", "weight_read", "reg_bits", "partial")


def total(replay: SystolicReplay, event: str, kind: str | None = None) -> int:
    chosen = [op.id for op in replay.program.operations if kind in (None, op.kind)]
    return int(replay.counts[chosen, 0, INDEX[event]].sum())


def runs(replay: SystolicReplay, layer: int) -> list[int]:
    return [op.id for op in replay.program.operations if op.kind == "run" and op.layer == layer]


def random_array(rng: np.random.Generator, **changes: object) -> Architecture:
    return systolic(int(rng.integers(1, 6)), int(rng.integers(1, 6)), str(rng.choice(DATAFLOWS)),
                    scan_bits=int(rng.choice([12, 16, 40, 128])), **changes)


# --- each layer, moved cycle by cycle --------------------------------------------------------------------------------


def image_column(connection: Connection, plane: np.ndarray, y: int, x: int, q: int) -> list[tuple[int, int | None]]:
    """(value, address) of every product of one output position and group, in order; padding has no address."""
    channels, h, w = connection.pooled_shape
    width = channels // connection.groups
    found = []
    if connection.operator == "linear":
        taps = list(product(range(h), range(w)))
    else:
        (ys, xs), (yp, xp) = by_axis(connection.stride), by_axis(connection.padding)
        taps = [(y * ys - yp + ky, x * xs - xp + kx) for ky, kx in product(*(range(k) for k in by_axis(connection.kernel)))]
    for (sy, sx), c in product(taps, range(q * width, (q + 1) * width)):
        inside = 0 <= sy < h and 0 <= sx < w
        found.append((int(plane[sy, sx, c]), (sy * w + sx) * channels + c) if inside else (0, None))
    return found


def weight_column(connection: Connection, channel: int) -> list[int]:
    """The weights of one output channel in the same order."""
    _, h, w = connection.pooled_shape
    if connection.operator == "linear":
        return connection.weights[channel].reshape(-1, h, w).transpose(1, 2, 0).reshape(-1).tolist()
    return connection.weights[channel].transpose(1, 2, 0).reshape(-1).tolist()


def expected_products(
    network: Network, layer: Layer, arch: Architecture, planes: dict[str, np.ndarray]
) -> tuple[dict[str, int], np.ndarray]:
    """Cycles, events and sums of a layer's dense connections on the moved array, channel block by channel block."""
    core, (channels, height, width) = arch.core, layer.shape
    dense = [c for c in layer.connections if c.operator != "identity"]
    grids = [pool(c, planes[c.source])[0] for c in dense]
    cuts = {0, channels, *(n for c in dense for n in range(0, channels, channels // c.groups))}
    order, counts = sorted(cuts), dict.fromkeys(COUNTED, 0)
    sums = np.zeros(layer.shape, np.int64)
    positions = list(product(range(height), range(width)))
    for lo, hi in zip(order, order[1:], strict=False):
        columns = [[(n, *item) for n, (c, g) in enumerate(zip(dense, grids, strict=True))
                    for item in image_column(c, g, y, x, lo // (channels // c.groups))] for y, x in positions]
        inputs = np.array([[value for _, value, _ in column] for column in columns])
        weights = np.array([sum((weight_column(c, n) for c in dense), []) for n in range(lo, hi)]).T
        log = array_simulator.run(core.rows, core.columns, core.dataflow, inputs, weights, np.zeros(hi - lo, np.int64))
        sums[lo:hi] = log.product.T.reshape(hi - lo, height, width)
        span = len(columns[0]) if core.dataflow == "output_stationary" else core.rows
        per_row = [arch.spike_buffer.scan_bits // network.pooled_bits(c) for c in dense]
        rows = sum(len({(n, a // per_row[n]) for n, _, a in column[k : k + span] if a is not None})
                   for column in columns for k in range(0, len(column), span))
        # Every operand of a row of `columns` weights is used, so rows are reads by channel times words of channels.
        counts["weight_read"] += log.weight_reads // (hi - lo) * -(-(hi - lo) // core.columns)
        counts["cycles"] += log.cycles
        counts["acc_add"] += log.macs
        counts["buffer_read"] += rows * (1 if core.dataflow == "input_stationary" else -(-(hi - lo) // core.columns))
        counts["reg_bits"] += (log.input_registers * max(network.pooled_bits(c) for c in dense)
                               + log.weight_registers * core.weight_bits
                               + log.sum_registers * min(layer.potential_bits, core.potential_bits))
        counts["partial"] += log.partial_words
    return counts, sums


def joined_paths(rng: np.random.Generator) -> Network:
    """Two convolutions of different widths and groups, and two residuals with offsets to either side, in one layer."""
    shape, stride = (int(rng.integers(1, 3)) * 2, 5, 4), int(rng.integers(1, 3))
    first, middle = convolution(INPUT, shape, int(rng.integers(2, 8)))
    channels = 2 * int(rng.integers(1, 7))
    main, out = convolution("a", middle, channels, kernel=1, stride=stride)
    shortcut, _ = convolution(INPUT, shape, channels, stride=stride, groups=2)
    skips = [Connection(source, "identity", grid, rng.integers(-9, 9, grid[0]), stride=stride,
                        channel_offset=int(rng.integers(1 - grid[0], channels)))
             for source, grid in (("a", middle), (INPUT, shape))]
    first, main, shortcut = (replace(c, weights=rng.integers(-9, 9, c.weight_shape(s)))
                             for c, s in ((first, middle), (main, out), (shortcut, out)))
    return Network(InputSpec(shape), (quantised("a", middle, first), quantised("b", out, main, *skips, shortcut)))


@pytest.mark.parametrize("seed", range(60))
def test_layers_take_the_cycles_rows_and_registers_of_the_moved_array(seed: int) -> None:
    """Whole layers: convolutions with stride, padding and groups, linear connections, residuals, pools."""
    rng = np.random.default_rng(seed)
    network = joined_paths(rng) if seed % 4 == 3 else random_network(rng, "quantised", apart=seed % 4 == 2)
    arch = random_array(rng)
    sample = random_sample(rng, network)
    replay = systolic_replay(network, arch)
    planes = {INPUT: sample.inputs, **sample.recorded}
    for index, layer in enumerate(network):
        (run,) = runs(replay, index)
        counts = {name: int(n) for name, n in zip(EVENTS, replay.counts[run, 0], strict=True)}
        skips = [c for c in layer.connections if c.operator == "identity"]
        dense = tuple(c for c in layer.connections if c.operator != "identity")
        expected, sums = expected_products(network, layer, arch, planes) if dense else (
            dict.fromkeys(COUNTED, 0), np.zeros(layer.shape, np.int64))
        if dense:
            assert np.array_equal(sums, layer_sums(network, replace(layer, connections=dense), planes)[0])
        extra = [residual_pass(network, layer, c, dense, arch) for c in skips]
        extra += [pool_pass(network, c, arch) for c in layer.connections if c.pool > 1]
        expected["buffer_write"] = output_rows(layer, dense, arch)
        expected["pool_update"] = 0
        for name in ("cycles", "acc_add", "buffer_read", "buffer_write", "reg_bits", "weight_read", "pool_update"):
            found = counts[name] if name != "cycles" else int(replay.end[run] - replay.start[run])
            assert found == expected[name] + sum(e.get(name, 0) for e in extra), name
        assert counts["mult"] == counts["acc_add"]
        assert counts["cycles_busy"] == replay.end[run] - replay.start[run]
        passes, kept = len(skips), bool(skips) or layer.coding == "readout"
        words = membrane_words(layer, dense, arch)
        from_array = words if dense and kept else 0
        written = expected["partial"] + from_array + words * (passes - (layer.coding != "readout") if passes else 0)
        read = expected["partial"] + words * (passes if dense else max(0, passes - 1))
        assert counts["membrane_write_accumulate"] == written
        assert counts["membrane_read_accumulate"] == read
        assert counts["membrane_read_readout"] == (words if layer.coding == "readout" else 0)
        assert counts["addr_gen"] == written + read + counts["membrane_read_readout"]


def spans_of(layer: Layer, dense: tuple[Connection, ...], arch: Architecture) -> list[tuple[int, int]]:
    """Channel ranges of the words in which sums leave, found by walking the channels."""
    channels = layer.shape[0]
    if arch.core.dataflow == "input_stationary":
        return [(0, channels)]
    found, lo = [], 0
    for c in range(1, channels + 1):
        ends_group = any(c % (channels // d.groups) == 0 for d in dense)
        if c == channels or ends_group or c - lo == arch.core.columns:
            found.append((lo, c))
            lo = c
    return found


def membrane_words(layer: Layer, dense: tuple[Connection, ...], arch: Architecture) -> int:
    positions = layer.shape[1] * layer.shape[2]
    if arch.core.dataflow == "input_stationary":
        return layer.shape[0] * -(-positions // arch.core.columns)
    return positions * len(spans_of(layer, dense, arch))


def output_rows(layer: Layer, dense: tuple[Connection, ...], arch: Architecture) -> int:
    """Buffer rows that a layer's activations are written to, position by position, word by word."""
    if layer.coding == "readout":
        return 0
    channels, height, width = layer.shape
    per_row = arch.spike_buffer.scan_bits // layer.payload_bits
    return sum(rows_of([position * channels + c for c in range(lo, hi)], per_row)
               for position in range(height * width) for lo, hi in spans_of(layer, dense, arch))


def rows_of(addresses: list[int], per_row: int) -> int:
    return len({a // per_row for a in addresses})


def residual_pass(
    network: Network, layer: Layer, skip: Connection, dense: tuple[Connection, ...], arch: Architecture
) -> dict[str, int]:
    """A residual, channel by channel and position by position."""
    channels, height, width = skip.pooled_shape
    per_row = arch.spike_buffer.scan_bits // network.pooled_bits(skip)
    synapses = rows = scales = 0
    by_channel = arch.core.dataflow == "input_stationary"
    ys, xs = by_axis(skip.stride)
    for n, (y, x) in enumerate(product(range(layer.shape[1]), range(layer.shape[2]))):
        for lo, hi in spans_of(layer, dense, arch):
            real = [c - skip.channel_offset for c in range(lo, hi) if 0 <= c - skip.channel_offset < channels]
            synapses += len(real)
            if n % arch.core.columns == 0 if by_channel else n == 0:
                scales += -(-len(real) // arch.core.columns)
            rows += rows_of([(y * ys * width + x * xs) * channels + c for c in real], per_row)
    return {"cycles": membrane_words(layer, dense, arch), "acc_add": synapses, "buffer_read": rows,
            "weight_read": scales, "reg_bits": synapses * min(layer.potential_bits, arch.core.potential_bits)}


def pool_pass(network: Network, connection: Connection, arch: Architecture) -> dict[str, int]:
    """A pool, position by position of the source, `columns` channels a cycle."""
    (channels, height, width), k = connection.pooled_shape, connection.pool
    bits = network.pooled_bits(replace(connection, pool=1, pool_mode="none"))
    per_row, step = arch.spike_buffer.scan_bits // bits, arch.core.columns
    pooled_per_row = arch.spike_buffer.scan_bits // network.pooled_bits(connection)
    cycles = rows = written = values = 0
    for y, x, lo in product(range(height * k), range(width * k), range(0, channels, step)):
        cycles += 1
        word = range(lo, min(lo + step, channels))
        values += len(word)
        rows += rows_of([(y * connection.source_shape[2] + x) * channels + c for c in word], per_row)
        if y % k == x % k == k - 1:
            base = (y // k * width + x // k) * channels
            written += rows_of([base + c for c in word], pooled_per_row)
    return {"cycles": cycles, "buffer_read": rows, "buffer_write": written, "pool_update": values}


# --- conservation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "window", "signed"), list(product(range(1, 12), (1, 2, 3, 7), (False, True))))
def test_a_pooled_value_just_fits_its_bits(bits: int, window: int, signed: bool) -> None:
    shape = (1, 7, 7)
    connection = Connection(INPUT, "linear", shape, pool=window, pool_mode="folded" if window > 1 else "none")
    network = Network(InputSpec(shape, payload_bits=bits, signed=signed), (read_out("head", 1, connection),))
    extremes = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    low, high = (window**2 * value for value in extremes)
    width = network.pooled_bits(connection)
    if signed:
        assert -(1 << (width - 1)) <= low
        assert high < 1 << (width - 1)
        assert 2 * low < -(1 << (width - 1)), "one bit less would not do"
    else:
        assert high.bit_length() == width


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_vgg16_has_the_published_multiply_accumulates(dataflow: str) -> None:
    """13 convolutions and 512 -> 10 are 313.2 M multiply-accumulates."""
    replay = systolic_replay(vgg16_cifar(), systolic(dataflow=dataflow))
    assert replay.macs.sum() == total(replay, "acc_add") == total(replay, "mult") == VGG16_MACS
    assert 0 < replay.utilisation <= 1
    assert replay.cycles * 64 >= VGG16_MACS
    assert total(replay, "requant") == sum(layer.neurons for layer in vgg16_cifar() if layer.coding == "quantised")


def test_vgg16_on_the_shipped_array_streams_its_weights_behind_the_work() -> None:
    """14.7 M weights do not fit 512 KiB: each sample loads all of them once, and convolutions hide most of it."""
    replay = systolic_replay(vgg16_cifar(), load_architecture("systolic_8x8"))
    loads = [op for op in replay.program.operations if op.kind == "load" and getattr(op, "memory", "") == "weight"]
    assert not any(op.setup for op in loads)
    assert sum(op.bits for op in loads) == 8 * 14_715_584
    assert total(replay, "channel_write_bits") == 10 * 24
    assert total(replay, "channel_read_bits") == 8 * (14_715_584 + 3 * 32 * 32)
    busy = total(replay, "cycles_busy")
    moved = sum(replay.program.channel.cycles(getattr(op, "bits", 0)) for op in replay.program.operations if not op.setup)
    assert 0 <= replay.cycles - max(busy, moved) < 0.1 * min(busy, moved)


@pytest.mark.parametrize("seed", range(20))
def test_tiles_share_the_work_and_load_every_weight_once(seed: int) -> None:
    """Less weight memory: more tiles, the same multiply-accumulates, weights and outputs."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, "quantised")
    roomy = random_array(rng)
    whole = systolic_replay(network, roomy)
    row = roomy.row_bits["weight"]
    needs = [op.rows for op in whole.program.operations if getattr(op, "memory", "") == "weight"]
    for rows in np.unique(np.linspace(max(1, max(needs) // 3), sum(needs), 25, dtype=int)).tolist():
        tight = roomy.with_memories(weight=rows * row)
        if rows < smallest_tile(network, roomy):
            with pytest.raises(MappingError, match="weight memory"):
                systolic_replay(network, tight)
            continue
        cut = systolic_replay(network, tight)
        assert (rows < sum(needs)) == any(getattr(op, "memory", "") == "weight" and not op.setup for op in cut.program.operations)
        assert cut.macs.sum() == whole.macs.sum()
        for event in ("mult", "requant", "channel_read_bits", "channel_write_bits", "pool_update"):
            assert total(cut, event) == total(whole, event), event
        assert total(cut, "weight_write") >= sum(needs)
        assert all(op.rows * row >= op.bits for op in cut.program.operations if getattr(op, "memory", "") == "weight")
        check_chip(cut, tight)


def smallest_tile(network: Network, arch: Architecture) -> int:
    """Weight rows of the largest group of `columns` output channels, counted synapse by synapse."""
    columns, largest = arch.core.columns, 0
    for layer in network:
        for lo in range(0, layer.shape[0], columns):
            rows = set()
            for n, c in enumerate(layer.connections):
                span = range(lo, min(lo + columns, layer.shape[0]))
                if c.operator == "identity":
                    # A row of scales for each word of sums; a word ends where a dense connection's group ends.
                    cuts = spans_of(layer, tuple(d for d in layer.connections if d.operator != "identity"), arch)
                    rows |= {(n, next((k for k, (a, b) in enumerate(cuts) if a <= ch < b), 0)) for ch in span
                             if 0 <= ch - c.channel_offset < c.pooled_shape[0]}
                else:
                    size = layer.shape[0] // c.groups
                    taps = c.weights[0].size
                    rows |= {(n, ch // size, k) for ch in span for k in range(taps)}
            largest = max(largest, len(rows))
    return largest


def check_chip(replay: SystolicReplay, arch: Architecture) -> None:
    """Rule C1, and that nothing is overwritten before its last reader has ended."""
    operations = [op for op in replay.program.operations if not op.setup]
    free = {"core": 0, "channel": 0}
    for op in operations:
        ready = max([0, *(int(replay.end[d]) for d in op.deps)])
        assert replay.start[op.id] == max(ready, free[op.resource])
        free[op.resource] = int(replay.end[op.id])
    held: list[tuple[int, int, int]] = []
    for op in operations:
        if getattr(op, "memory", "") == "weight":
            assert op.region[1] <= arch.memories.weight
            reader = next(r for r in operations if r.kind == "run" and (r.layer, r.tile) == (op.layer, op.tile))
            assert replay.end[op.id] <= replay.start[reader.id]
            for lo, hi, other in held:
                if lo < op.region[1] and op.region[0] < hi:
                    assert replay.end[other] <= replay.start[op.id]
            held.append((*op.region, reader.id))


def test_two_half_tiles_overlap_and_one_large_tile_does_not() -> None:
    shape = (16, 8, 8)
    first, out = convolution(INPUT, shape, 32)
    network = Network(InputSpec(shape), (quantised("only", out, first),))
    rows = 16 * 9
    overlapped = systolic_replay(network, systolic(weight=f"{2 * rows * 64} bit"))
    serial = systolic_replay(network, systolic(weight=f"{(2 * rows - 1) * 64} bit"))
    resident = systolic_replay(network, systolic(weight=f"{4 * rows * 64} bit"))
    assert (len(runs(overlapped, 0)), len(runs(serial, 0)), len(runs(resident, 0))) == (4, 4, 1)
    assert total(overlapped, "cycles_busy") == total(serial, "cycles_busy") == total(resident, "cycles_busy")
    load, store = overlapped.program.channel.cycles(rows * 64), overlapped.program.channel.cycles(32 * 64 * 4)
    image = resident.program.channel.cycles(16 * 64 * 8)
    assert resident.cycles == image + total(resident, "cycles_busy") + store
    assert overlapped.cycles == resident.cycles + load
    assert serial.cycles == resident.cycles + 4 * load


def test_depthwise_uses_one_column() -> None:
    """A group of one channel fills one column: utilisation cannot exceed 1 / columns."""
    shape = (16, 8, 8)
    connection, out = convolution(INPUT, shape, 16, groups=16)
    network = Network(InputSpec(shape), (quantised("depthwise", out, connection),))
    for dataflow in DATAFLOWS[:2]:
        replay = systolic_replay(network, systolic(dataflow=dataflow))
        assert replay.macs.sum() == 16 * 64 * 9
        assert replay.macs.sum() / (64 * total(replay, "cycles_busy")) <= 1 / 8
    assert total(replay, "weight_read") == 16 * 9


def test_two_dense_connections_are_one_product() -> None:
    """A block's convolution and its shortcut's share the registers: K is their sum, no partial sum leaves the array."""
    shape = (8, 6, 6)
    main, out = convolution(INPUT, shape, 16)
    shortcut, _ = convolution(INPUT, shape, 16, kernel=1)
    both = systolic_replay(Network(InputSpec(shape), (quantised("join", out, main, shortcut),)), systolic())
    folds = -(-36 // 8) * 2
    assert total(both, "cycles_busy") == folds * (2 * 8 + 8 + 8 * 9 + 8 - 2)
    assert total(both, "membrane_write_accumulate") == 0


def test_bias_is_read_once_a_fold_and_a_uniform_start_never() -> None:
    shape = (4, 6, 6)
    connection, out = convolution(INPUT, shape, 20)
    bias = np.arange(20).reshape(-1, 1, 1)
    folds = {"output_stationary": 3 * -(-36 // 5), "weight_stationary": 3, "input_stationary": 3 * -(-36 // 8)}
    for dataflow in DATAFLOWS:
        arch = systolic(rows=5, columns=8, dataflow=dataflow)
        with_bias = Network(InputSpec(shape), (quantised("a", out, connection, bias=bias),))
        assert total(systolic_replay(with_bias, arch), "bias_read") == folds[dataflow]
        assert total(systolic_replay(with_bias, arch), "bias_write") == 3
        uniform = Network(InputSpec(shape), (quantised("a", out, connection, bias=np.full((1, 1, 1), 3)),))
        assert total(systolic_replay(uniform, arch), "bias_read") == 0


def test_a_residual_alone_starts_from_the_bias() -> None:
    shape = (20, 6, 6)
    alone = Connection(INPUT, "identity", shape)
    network = Network(InputSpec(shape), (quantised("a", shape, alone, bias=np.arange(20).reshape(-1, 1, 1)),))
    for dataflow, words in (("weight_stationary", 36 * 3), ("input_stationary", 20 * 5)):
        replay = systolic_replay(network, systolic(rows=5, dataflow=dataflow))
        assert total(replay, "cycles_busy") == words
        assert total(replay, "membrane_read_accumulate") == total(replay, "membrane_write_accumulate") == 0
        assert total(replay, "bias_read") == (3 if dataflow == "weight_stationary" else 3 * 5)


# --- arithmetic ------------------------------------------------------------------------------------------------------


def true_sample(rng: np.random.Generator, network: Network) -> Sample:
    """A random input and the activations that the network itself gives."""
    inputs = random_sample(rng, network).inputs
    return Sample(inputs, forward(network, inputs)[0])


@pytest.mark.parametrize("seed", range(15))
def test_the_replay_gives_the_networks_own_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, "quantised")
    network = replace(network, layers=tuple(replace(layer, potential_bits=24) for layer in network))
    sample, replay = true_sample(rng, network), systolic_replay(network, random_array(rng))
    outputs, potentials = forward(network, sample.inputs)
    for spikes in ("trace", "computed"):
        record = replay.record(sample, spikes)
        assert record.saturations.sum() == 0
        for i, layer in enumerate(network):
            assert record.mismatches[i] == (0 if layer.coding == "quantised" else -1)
            assert np.array_equal(record.potentials[layer.name], potentials[layer.name])
        assert all(np.array_equal(record.outputs[name], plane) for name, plane in outputs.items())


def test_a_changed_record_is_found_and_stays_where_it_is() -> None:
    rng = np.random.default_rng(3)
    shape = (2, 5, 5)
    connection, out = convolution(INPUT, shape, 4, weights=rng.integers(-9, 9, (4, 2, 3, 3)))
    last = Connection("a", "linear", out, rng.integers(-9, 9, (3, 100)))
    network = Network(InputSpec(shape), (quantised("a", out, connection), read_out("head", 3, last)))
    sample, replay = true_sample(rng, network), systolic_replay(network, systolic())
    sample.recorded["a"] = sample.recorded["a"].copy()
    sample.recorded["a"][0, 1, 2, 3] ^= 1
    assert replay.record(sample).mismatches.tolist() == [1, -1]
    clean = forward(network, sample.inputs)[1]["head"]
    assert np.array_equal(replay.record(sample, "computed").potentials["head"], clean)
    assert not np.array_equal(replay.record(sample, "trace").potentials["head"], clean)


def test_sums_beyond_the_width_are_clipped_and_counted() -> None:
    weights = np.array([[100, 100], [1, 1], [-100, -100]])
    head = Connection(INPUT, "linear", (2, 1, 1), weights)
    network = Network(InputSpec((2, 1, 1)), (read_out("head", 3, head),))
    sample = Sample(np.full((1, 1, 1, 2), 255, np.int16), {})
    record = systolic_replay(network, systolic(potential_bits=16)).record(sample)
    assert record.saturations.tolist() == [2]
    assert record.potentials["head"].reshape(-1).tolist() == [32767, 510, -32768]


def test_without_weights_there_is_timing_and_no_check() -> None:
    network = vgg16_cifar()
    replay = systolic_replay(network, systolic())
    rng = np.random.default_rng(0)
    record = replay.record(random_sample(rng, network))
    assert (record.mismatches == -1).all()
    assert not record.potentials
    assert record.end.max() == replay.cycles


# --- refusals --------------------------------------------------------------------------------------------------------


def test_an_event_list_buffer_is_used_as_plain_rows_of_its_width() -> None:
    """The twin of a design with event lists keeps its memory: rows of address and payload bits, full of activations."""
    lists = systolic(kind="aer", payload_bits=8)
    assert lists.row_bits["spike"] == 28
    as_list, as_rows = (systolic_replay(small(), arch) for arch in (lists, systolic(scan_bits=28, payload_bits=8)))
    assert np.array_equal(as_list.counts, as_rows.counts)


def pooled() -> Network:
    """16 pooled 10-bit sums, in rows of 12, beside the 64 pixels that they come from and the 4 bits that they give."""
    connection = Connection(INPUT, "linear", (1, 8, 8), pool=2, pool_mode="folded")
    return Network(InputSpec((1, 8, 8)), (quantised("p", (1, 1, 1), connection),))


def joined() -> Network:
    """A convolution and a residual: the array's sums must be kept."""
    connection, out = convolution(INPUT, (3, 8, 8), 16)
    return Network(InputSpec((3, 8, 8)), (quantised("j", out, connection, Connection(INPUT, "identity", (3, 8, 8))),))


def small(weights: int = 1, **changes: object) -> Network:
    connection, out = convolution(INPUT, (3, 8, 8), 16, weights=np.full((16, 3, 3, 3), weights))
    return Network(InputSpec((3, 8, 8)), (replace(quantised("conv", out, connection), **changes),))


@pytest.mark.parametrize(("network", "arch", "words"), [
    (small(), "mac_core_64", "core.kind is multiply_accumulate, expected systolic"),
    (replace(small(), input=InputSpec((3, 8, 8), "spikes", 4)), systolic(), "takes the multi-bit activations"),
    (small(), systolic(payload_bits=7), "activations from input take 8 bits, core.payload_bits is 7"),
    (small(), systolic(scan_bits=5), "a buffer row 5 bits"),
    (small(weights=200), systolic(), "weights 200 to 200 do not fit core.weight_bits 8"),
    (small(), systolic(buffer=f"{704 * 8 - 1} bit"), "activation buffer: 704 B needed while layer conv runs"),
    (pooled(), systolic(buffer=f"{7 * 128 - 1} bit"), "activation buffer: 112 B needed while layer p runs"),
    (small(), systolic(weight=f"{27 * 64 - 1} bit"), "a tile of 8 output channels needs 27 rows of weight memory"),
    (small(), systolic(dataflow="weight_stationary", membrane=f"{64 * 192 - 1} bit"), "64 rows of membrane memory"),
    (joined(), systolic(membrane=f"{64 * 192 - 1} bit"), "needs 64 rows of membrane memory"),
    (small(bias=np.arange(16).reshape(-1, 1, 1)), systolic(bias="200 bit"), "bias memory: 2 words needed, 1 there"),
    (small(bias=np.arange(64).reshape(1, 8, 8)), systolic(), "the bias differs between positions"),
])
def test_what_does_not_fit_is_refused_with_its_reason(network: Network, arch: Architecture | str, words: str) -> None:
    with pytest.raises(MappingError) as refusal:
        systolic_replay(network, load_architecture(arch))
    assert words in str(refusal.value)


def test_what_just_fits_is_allowed() -> None:
    """One row, word or bit less is refused in the test above."""
    systolic_replay(small(), systolic(buffer=f"{704 * 8} bit", weight=f"{27 * 64} bit", payload_bits=8))
    systolic_replay(small(), systolic(dataflow="weight_stationary", membrane=f"{64 * 192} bit"))
    systolic_replay(small(), systolic(rows=27, dataflow="weight_stationary", membrane="0"))
    systolic_replay(small(), systolic(membrane="0"))
    systolic_replay(pooled(), systolic(buffer=f"{(4 + 2 + 1) * 128} bit"))
    cut = systolic_replay(joined(), systolic(membrane=f"{64 * 192} bit"))
    assert len(runs(cut, 0)) == 2, "too few words for all sums: a tile for each group of columns"
