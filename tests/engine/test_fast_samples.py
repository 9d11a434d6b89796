"""Whole samples on the fast engine: a Program worked out by hand, tokens against rules C2 to C4, and equal ways.

The token lists here are made event by event from the rules; run through `run_core` they must give the log that
`run_sample` gives from planes. A layer cut into tiles, stepped through or run twice must give the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from hwsim.activity import EVENTS, INDEX
from hwsim.engine.fast.chip import FastEngine
from hwsim.mapping import MappingError
from hwsim.program import CHANNEL, ChannelSpec, CoreRun, CoreSpec, Feed, Program, ProgramError, Run, Transfer
from hwsim.record import CoreLog, SampleRecord
from hwsim.simulation import make_program
from hwsim.snn.forward import forward
from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import IntegrateAndFire, ReadOut
from hwsim.snn.neurons.base import Context
from hwsim.snn.sample import Sample
from tests.engine.random_designs import random_architecture, random_network, random_sample

SPEC = CoreSpec(lanes=2, potential_bits=8, current_bits=8, fifo_depth=4, bypass=True, shift_at="weight", buffer="aer")


def two_layers(core: CoreSpec = SPEC) -> Program:
    """Three inputs, a hidden layer of three neurons (two words), one read-out; weights loaded before each run."""
    weights = np.array([[5, 1, 0], [2, -9, 4], [100, 100, 3]])
    hidden = Layer(
        "hidden", (3, 1, 1), (Connection("input", "linear", (3, 1, 1), weights),),
        IntegrateAndFire(), 2, thresholds=np.array([6, 6]), potential_bits=8)
    out = Layer(
        "out", (1, 1, 1), (Connection("hidden", "linear", (3, 1, 1), np.array([[10, 20, 40]])),), ReadOut(), 2,
        bias=np.array([[[7]]]), potential_bits=8)
    network = Network(InputSpec((3, 1, 1), "spikes", 2), (hidden, out))
    runs = []
    for layer in network:
        table = layer.neuron.lower(layer, Context(2, False, False, "weight"))
        groups = (0, -(-layer.shape[0] // core.lanes))
        runs.append(CoreRun(core, layer.shape, groups, layer.connections, table, 8, 8, clear=True))
    feed = Feed(0, (0, 1), ((0, 3),))
    load = partial(Transfer, source=CHANNEL, targets=("core",))
    run = partial(Run, on="core", timesteps=(0, 2), feeds=(feed,), eots=2)
    return Program(network, ("core",), ChannelSpec(8, 3), "by hand", (
        load(id=0, layer=0, memory="weight", rows=6, bits=48, once=True),
        load(id=1, layer=1, memory="weight", rows=3, bits=24),
        load(id=2, layer=1, memory="bias", rows=1, bits=1),
        run(id=3, deps=(0,), layer=0, body=runs[0]),
        run(id=4, deps=(1, 3), layer=1, body=runs[1]),
        Transfer(id=5, deps=(4,), layer=1, timesteps=(1, 2), source="core", targets=(CHANNEL,), memory="output", bits=9),
    ))


def sample_of_two_layers() -> Sample:
    inputs = np.array([[1, 1, 0], [0, 1, 1]], np.uint8).reshape(2, 1, 1, 3)
    return Sample(inputs, {"hidden": np.array([[1, 0, 1], [0, 0, 1]], np.uint8).reshape(2, 1, 1, 3)})


def test_two_layers_by_hand() -> None:
    """Hidden, V of (n0, n1, n2): events of step 0 give (6, -7, 127), one addition clipped; n0 and n2 fire, which leaves
    (0, -7, 121). Step 1 gives (1, -12, 127), clipped twice (221, then 130); n2 fires and keeps 121.

    Its cycles: clear issues at 1, 2; events at 3-4, 5-6; EOT 7; fire 8, 9 (e 9, 10; spikes at 10 and 11); then events
    at 10-11 and 12-13, EOT 14, fire 15, 16 (e 16, 17; spike at 18). The last spike leaves at 18: done 19.
    Read-out, V starts at the bias 7: +10 +40 in step 0, +40 in step 1: 97. Clear 1, events 2, 3, EOT 4, event 5, EOT 6,
    read-out 7, e 8: done 9.
    """
    record = FastEngine().run_sample(two_layers(), sample_of_two_layers(), "computed", record=True)
    assert record.outputs["hidden"].reshape(2, 3).tolist() == [[1, 0, 1], [0, 0, 1]]
    assert record.potentials["hidden"].ravel().tolist() == [1, -12, 121]
    assert record.potentials["out"].ravel().tolist() == [97]
    assert record.saturations.tolist() == [3, 0]
    assert record.mismatches.tolist() == [0, -1]
    assert record.logs[3].spikes.tolist() == [[10, 0, 0], [11, 0, 2], [18, 0, 2]]
    # The loads take 3 + 24 / 8 and 3 + 1 cycles, one after the other; the store waits for the read-out: 3 + 2.
    assert record.start.tolist() == [0, 0, 6, 0, 19, 28]
    assert record.end.tolist() == [0, 6, 10, 19, 28, 33]


def test_two_layers_are_counted() -> None:
    record = FastEngine().run_sample(two_layers(), sample_of_two_layers(), "trace")
    counts = {name: record.counts[:, :, INDEX[name]].tolist() for name in EVENTS}
    load, loads, biases, hidden, out, store = range(6)

    def rows(found: dict[int, list[int]]) -> list[list[int]]:
        return [found.get(i, [0, 0]) for i in range(6)]

    assert counts["acc_add"] == rows({hidden: [6, 6], out: [2, 1]})
    assert counts["weight_write"] == rows({load: [6, 0], loads: [3, 0]})
    assert counts["bias_write"] == rows({biases: [1, 0]})
    assert counts["channel_read_bits"] == rows({load: [48, 0], loads: [24, 0], biases: [1, 0]})
    assert counts["channel_write_bits"] == rows({store: [0, 9]})
    assert counts["membrane_write_clear"] == rows({hidden: [2, 0], out: [1, 0]})
    assert counts["membrane_read_readout"] == rows({out: [0, 1]})
    assert counts["spike_out"] == rows({hidden: [2, 1]})
    assert counts["reg_bits"] == rows({hidden: [8 * 9, 8 * 9], out: [8 * 2, 8 * 2]})
    assert counts["cycles_busy"] == rows({hidden: [9, 7], out: [4, 3]})


def test_a_sample_leaves_nothing_behind() -> None:
    program = two_layers()
    operations = tuple(
        op if not isinstance(op, Run) else replace(op, body=replace(op.body, clear=False)) for op in program.operations)
    program, engine = replace(program, operations=operations), FastEngine()
    first, second = (engine.run_sample(program, sample_of_two_layers(), "trace") for _ in range(2))
    assert_same(second, first)
    assert first.potentials["out"].ravel().tolist() == [90], "no clear, no bias"


def test_feeds_read_the_recording_or_what_was_produced() -> None:
    sample = sample_of_two_layers()
    sample.recorded["hidden"][1, 0, 0] = [1, 1, 0]
    traced, computed = (FastEngine().run_sample(two_layers(), sample, spikes) for spikes in ("trace", "computed"))
    assert traced.mismatches.tolist() == computed.mismatches.tolist() == [3, -1]
    assert traced.potentials["out"].ravel().tolist() == [87]
    assert computed.potentials["out"].ravel().tolist() == [97]


def test_without_weights_the_recording_decides_the_time() -> None:
    program, sample = two_layers(), sample_of_two_layers()
    layers = tuple(
        replace(layer, connections=tuple(replace(c, weights=None) for c in layer.connections))
        for layer in program.network)
    operations = tuple(
        op if not isinstance(op, Run) else replace(op, body=replace(op.body, connections=layers[op.layer].connections))
        for op in program.operations)
    bare = replace(program, network=replace(program.network, layers=layers), operations=operations)
    expected = FastEngine().run_sample(program, sample, "trace", record=True)
    found = FastEngine().run_sample(bare, sample, "trace", record=True)
    np.testing.assert_array_equal(found.end, expected.end)
    np.testing.assert_array_equal(found.counts, expected.counts)
    for op, log in expected.logs.items():
        np.testing.assert_array_equal(found.logs[op].spikes, log.spikes)
    assert found.mismatches.tolist() == [-1, -1]
    with pytest.raises(ProgramError, match="no weights"):
        FastEngine().run_sample(bare, sample, "computed")


def draw(seed: int) -> tuple[Program, np.random.Generator] | None:
    """A random Program of any coding and schedule, or None when it does not fit its memories."""
    rng = np.random.default_rng(seed)
    coding = ("rate", "bit_serial", "quantised")[seed % 3]
    network = random_network(rng, coding)
    arch = random_architecture(rng, network, coding)
    schedule = "layer_by_layer" if coding == "bit_serial" or rng.random() < 0.5 else "step_by_step"
    try:
        return make_program(network, arch, schedule), rng
    except MappingError:
        return None


def tokens_of(program: Program, op: Run, sources: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """C2 to C4, event by event: tokens (n, 6) and gaps of a run."""
    tokens, gaps, rows, reached = [], [], 0, -1
    core = op.body.core

    def push(row: int, *token: int) -> None:
        nonlocal reached
        tokens.append(token)
        gaps.append(max(1, row - reached) if core.buffer == "bitmap" else 1)
        reached = max(reached, row)

    for n in range(op.eots):
        for feed in op.feeds:
            if n < len(feed.planes):
                connection = op.body.connections[feed.connection]
                plane = sources[connection.source][feed.planes[n]]
                payload = program.network.carries_payload(connection) > 0
                if connection.source == "input" and program.network.input.encoding == "hybrid":
                    payload = feed.planes[n] == 0
                read = rows_read(op.body, connection)
                for index, y, x, c, value in plane_events(connection, plane, feed, core.buffer):
                    if y in rows_seen(op.body, connection):
                        row = read.index(index // core.scan_bits) if core.buffer == "bitmap" else 0
                        push(rows + row, feed.connection, c, y, x, value if payload else 0, payload)
                rows += len(read)
        push(rows - 1, -1, 0, 0, 0, 0, 0)
    return np.array(tokens, np.int64), np.array(gaps, np.int64)


def rows_seen(run: CoreRun, connection: Connection) -> list[int]:
    """Rows of the grid of events (folded: of the source) that an output of the tile sees; all rows for all outputs."""
    folds = connection.pool if connection.pool_mode == "folded" else 1
    height = connection.source_shape[1] if folds > 1 else connection.token_shape[1]
    if run.rows is None or run.rows == (0, run.shape[1]):
        return list(range(height))
    _, pooled, _ = connection.pooled_shape
    kernel, stride, padding = (pooled, 1, 0) if connection.operator == "linear" else (
        (1, connection.stride, 0) if connection.operator == "identity" else
        (connection.kernel, connection.stride, connection.padding))
    return [y for y in range(height) if y // folds < pooled and any(
        0 <= y // folds + padding - stride * out < kernel for out in range(*run.rows))]


def rows_read(run: CoreRun, connection: Connection) -> list[int]:
    """Rows of the bitmap that hold a bit of a row that is seen."""
    shape = connection.source_shape if connection.pool_mode == "folded" else connection.token_shape
    line, scan_bits = shape[0] * shape[2], run.core.scan_bits
    return sorted({row for y in rows_seen(run, connection)
                   for row in range(y * line // scan_bits, ((y + 1) * line - 1) // scan_bits + 1)})


def plane_events(
    connection: Connection, plane: np.ndarray, feed: Feed, buffer: str
) -> Iterator[tuple[int, int, int, int, int]]:
    """(place in the plane, y, x, c, value) of the tokens of one plane."""
    mode, k = connection.pool_mode, connection.pool
    channels, height, width = connection.token_shape
    if mode in ("unit", "max"):
        windows = plane[: height * k, : width * k].reshape(height, k, width, k, channels).astype(np.int64)
        pooled = windows.sum(axis=(1, 3)) if mode == "unit" else (windows != 0).any(axis=(1, 3)).astype(np.int64)
    if mode == "unit" or buffer == "bitmap":
        grid, tiles = pooled if mode in ("unit", "max") else plane, ((0, channels, 0, plane.shape[0]),)
    else:
        grid, tiles = plane, feed.regions(plane.shape[0])
    seen = set()
    for low, high, first, end in tiles:
        for y, x, c in np.argwhere(grid):
            if not (low <= c < high and first <= y < end):
                continue
            place, value = (y * grid.shape[1] + x) * channels + c, grid[y, x, c]
            if mode == "max" and buffer == "aer":
                y, x, value = y // k, x // k, 1
                if y >= height or x >= width or (y, x, c) in seen:
                    continue
                seen.add((y, x, c))
            yield int(place), int(y), int(x), int(c), int(value)


def assert_same(found: SampleRecord, expected: SampleRecord) -> None:
    for name in ("start", "end", "counts", "saturations", "mismatches"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    for name in ("outputs", "potentials"):
        assert getattr(found, name).keys() == getattr(expected, name).keys()
        for layer, value in getattr(expected, name).items():
            np.testing.assert_array_equal(getattr(found, name)[layer], value, err_msg=layer)


SEEDS = [seed for seed in range(60) if draw(seed) is not None]


@pytest.mark.parametrize("seed", SEEDS)
def test_planes_become_the_tokens_of_the_rules(seed: int) -> None:
    """Runs of `run_sample` against `run_core` on tokens listed here, states handed from run to run."""
    program, rng = draw(seed)
    sample = random_sample(rng, program.network)
    record = FastEngine().run_sample(program, sample, "trace", record=True)
    states = {i: np.zeros((2, *layer.shape), np.int64) for i, layer in enumerate(program.network)}
    for op in program.operations:
        if not isinstance(op, Run):
            continue
        tokens, gaps = tokens_of(program, op, {**sample.recorded, "input": sample.inputs})
        log, expected = FastEngine().run_core(op.body, tokens, gaps, 0 * gaps, *states[op.layer]), record.logs[op.id]
        states[op.layer] = np.stack([log.potentials, log.currents])
        for name in ("push", "pop", "issue", "spikes", "potentials", "currents", "done", "saturations"):
            np.testing.assert_array_equal(getattr(expected, name), getattr(log, name), err_msg=f"{op.id} {name}")
        # What a run by itself cannot know: rows that were scanned, spikes that a pooling unit took in.
        known = [i for i, name in enumerate(EVENTS) if name not in ("buffer_read", "pool_update", "payload_read_bits")]
        np.testing.assert_array_equal(expected.counts[:, known], log.counts[:, known], err_msg=str(op.id))
        check_pushes(op.body, gaps, expected)
        check_counts(op, program.network, tokens, sample, expected)


def check_pushes(run: CoreRun, gaps: np.ndarray, log: CoreLog) -> None:
    """R2, from the gaps and the pops."""
    pushed = -1
    for k, gap in enumerate(gaps.tolist()):
        freed = int(log.pop[k - run.core.fifo_depth]) + 1 if k >= run.core.fifo_depth else 0
        pushed = max(pushed + gap, freed)
        assert log.push[k] == pushed


def check_counts(op: Run, network: Network, tokens: np.ndarray, sample: Sample, log: CoreLog) -> None:
    """A1 to A4 from the operations of a log: each count as a sum over what was issued."""
    run, table, issued = op.body, op.body.table, np.bincount(log.issue[:, 1], minlength=8)
    clear, acc, shift, fire, _, _, readout, requant = issued
    low, high = run.groups[0] * run.core.lanes, min(run.groups[1] * run.core.lanes, run.shape[0])
    first, end = run.rows or (0, run.shape[1])
    neurons = (high - low) * (end - first) * run.shape[2]
    plane_rows = -(-neurons // run.core.scan_bits)
    bitmap, sweeps = run.core.buffer == "bitmap", lambda operations: operations // run.words
    marks = [p for p in table.passes if p.after_eot <= op.eots]
    adding = sum(p.add for p in marks)
    added = adding * (table.addend is not None)
    reading = sum(p.add for p in marks if p.kind == "readout")
    found = dict(zip(EVENTS, log.counts.sum(axis=0).tolist(), strict=True))
    scanned = pooled = value_bits = 0
    for feed in op.feeds:
        connection = run.connections[feed.connection]
        planes = {**sample.recorded, "input": sample.inputs}[connection.source][list(feed.planes)]
        scanned += len(planes) * len(rows_read(run, connection))
        if connection.pool_mode in ("unit", "max") and op.tile == 0:
            _, height, width = connection.pooled_shape
            pooled += np.count_nonzero(planes[:, : height * connection.pool, : width * connection.pool])
        bits = network.value_bits(connection)
        if connection.pool_mode != "unit":
            value_bits += bits * int(np.count_nonzero(planes[:, rows_seen(run, connection)]))
        elif op.tile == 0:  # a pooling unit reads what lies inside complete windows, once
            _, height, width = connection.pooled_shape
            value_bits += bits * int(np.count_nonzero(planes[:, : height * connection.pool, : width * connection.pool]))
    width = run.current_bits if table.direct else run.potential_bits
    expected = {
        "fifo_push": len(tokens), "fifo_pop": len(tokens), "addr_gen": clear + acc + shift + fire + readout + requant,
        "weight_read": acc, "membrane_write_clear": clear, "membrane_read_accumulate": 0 if table.direct else acc,
        "membrane_write_accumulate": 0 if table.direct else acc, "membrane_read_shift": shift,
        "membrane_write_shift": shift, "membrane_read_fire": fire + requant, "membrane_write_fire": fire,
        "membrane_read_readout": readout, "membrane_write_readout": reading * run.words,
        "current_read": (acc + adding * run.words) * table.direct, "current_write": (acc + clear) * table.direct,
        "bias_read": clear * table.clear_reads_bias + added * run.words,
        "bias_add": (added + adding * table.direct) * neurons,
        "buffer_read": scanned if bitmap else (tokens[:, 0] >= 0).sum(), "pool_update": pooled,
        "payload_read_bits": value_bits,
        "buffer_write": len(log.spikes) + bitmap * plane_rows * sweeps(fire + requant), "spike_out": len(log.spikes),
        "cmp": sweeps(fire) * neurons, "membrane_shift": sweeps(shift) * neurons, "requant": sweeps(requant) * neurons,
        "leak": sweeps(fire) * neurons * (table.leak_shift is not None),
        "reset_sub": len(log.spikes) * (table.reset == "soft" and fire > 0),
        "reset_zero": len(log.spikes) * (table.reset == "hard" and fire > 0),
        "threshold_shift": sum(p.kind == "fire" and p.shift > 0 for p in marks),
        "reg_bits": found["acc_add"] * width + sweeps(shift + fire + readout + requant) * neurons * run.potential_bits,
    }
    assert {name: found[name] for name in expected} == expected, op.id


@pytest.mark.parametrize("seed", SEEDS)
def test_spikes_and_potentials_are_the_networks_own(seed: int) -> None:
    """With potentials that never meet a limit the core computes what the network computes without hardware."""
    program, rng = draw(seed)
    operations = tuple(
        op if not isinstance(op, Run) else replace(op, body=replace(op.body, potential_bits=30, current_bits=30))
        for op in program.operations)
    sample = random_sample(rng, program.network)
    outputs, potentials = forward(program.network, sample.inputs)
    program, sample = replace(program, operations=operations), Sample(sample.inputs, outputs)
    record = FastEngine().run_sample(program, sample, "computed")
    assert not record.saturations.any()
    assert record.mismatches.max() == 0 or not outputs
    for name, expected in outputs.items():
        np.testing.assert_array_equal(record.outputs[name], expected, err_msg=name)
    for name, values in potentials.items():
        np.testing.assert_array_equal(record.potentials[name], values, err_msg=name)


@pytest.mark.parametrize("seed", SEEDS[:20])
def test_recording_and_order_change_nothing(seed: int) -> None:
    program, rng = draw(seed)
    samples = [random_sample(rng, program.network) for _ in range(2)]
    engine = FastEngine()
    for spikes in ("trace", "computed"):
        recorded = [engine.run_sample(program, sample, spikes, record=True) for sample in samples]
        for sample, expected in zip(samples[::-1], recorded[::-1], strict=True):
            quick = engine.run_sample(program, sample, spikes)
            assert not quick.logs
            assert_same(quick, expected)
        for i, op in enumerate(program.operations):
            if isinstance(op, Run):
                log = recorded[0].logs[op.id]
                assert log.done == recorded[0].end[i] - recorded[0].start[i]
                np.testing.assert_array_equal(recorded[0].counts[i].sum(axis=0), log.counts.sum(axis=0))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_layer_in_tiles_computes_what_it_computes_whole(seed: int) -> None:
    """Same network on a core with memories for everything and lanes for all: other cycles, the same spikes and sums."""
    program, rng = draw(seed)
    sample = random_sample(rng, program.network)
    cut = FastEngine().run_sample(program, sample, "computed")
    lanes = max(layer.shape[0] for layer in program.network)
    aer_order = any(len(feed.tiles) > 1 for op in program.runs for feed in op.feeds)
    runs = []
    for op in program.runs:
        if op.tile == 0:
            run = replace(op.body, core=replace(op.body.core, lanes=lanes), groups=(0, 1), last_channel=None, rows=None)
            feeds = tuple(replace(f, tiles=((0, op.body.connections[f.connection].source_shape[0]),), rows=()) for f in op.feeds)
            runs.append(replace(op, id=len(runs), deps=(), body=run, feeds=feeds))
    whole = FastEngine().run_sample(replace(program, operations=tuple(runs)), sample, "computed")
    if aer_order and whole.saturations.any():
        return  # additions that meet a limit depend on their order, and tiles change the order of an AER list
    np.testing.assert_array_equal(cut.saturations, whole.saturations)
    np.testing.assert_array_equal(cut.mismatches, whole.mismatches)
    for name, potentials in whole.potentials.items():
        np.testing.assert_array_equal(cut.potentials[name], potentials, err_msg=name)


def test_refusals() -> None:
    program, sample = two_layers(), sample_of_two_layers()
    with pytest.raises(ProgramError, match="allowed are trace, computed"):
        FastEngine().run_sample(program, sample, "recorded")
    with pytest.raises(ProgramError, match="operation 4 is fed by 'hidden'"):
        FastEngine().run_sample(program, Sample(sample.inputs, {}), "trace")
    wrong = replace(program, operations=(replace(program.operations[0], memory="plans"), *program.operations[1:]))
    with pytest.raises(ProgramError, match="a transfer of memory 'plans'"):
        FastEngine().run_sample(wrong, sample, "trace")
