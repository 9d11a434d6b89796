"""Laws of skipped zeros (R26): an operation whose weights are all zero is not made, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwsim.activity import INDEX
from hwsim.arch import Architecture, ArchitectureError, dump_architecture, load_architecture, rebuild_architecture
from hwsim.checks.run import check_run
from hwsim.cores.event.tiles import connection_rows, stored_rows
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.mapping import MappingError
from hwsim.program import CoreRun, ProgramError, Transfer
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.rtl.coverage import uncovered
from hwsim.simulation import make_program
from hwsim.snn.network import Network
from tests.engine.random_designs import random_network
from tests.engine.random_programs import both_engines, draw_design
from tests.engine.random_runs import RandomRun, random_run, random_skipping_run, with_zeros
from tests.engine.test_engines_agree import assert_same, assert_same_log
from tests.engine.test_timing_only import check_program as assert_timing_is_the_checked_one

FAST, REFERENCE = FastEngine(), ReferenceEngine()
SEEDS = st.integers(0, 2**32 - 1)


def quietly(examples: int) -> Any:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


def drawn(seed: int, share: float | None = None) -> RandomRun:
    return random_skipping_run(np.random.default_rng(seed), share)


def count(log: CoreLog, *names: str) -> int:
    return int(log.counts[:, [INDEX[name] for name in names]].sum())


def issued(log: CoreLog, kind: str) -> list[int]:
    return [int(word) for _, code, word in log.issue if ISSUE_KINDS[code] == kind]


@quietly(25)
@given(seed=SEEDS)
def test_both_engines_make_the_same_operations(seed: int) -> None:
    case = drawn(seed)
    fast, reference = (engine.run_planes(*case.arguments) for engine in (FAST, REFERENCE))
    assert_same_log(fast, reference, "run_planes")
    np.testing.assert_array_equal(fast.counts, reference.counts)


@quietly(20)
@given(seed=SEEDS)
def test_both_engines_make_the_same_operations_of_tokens(seed: int) -> None:
    """Tokens laid out by hand, of connections in any order."""
    case, rng = drawn(seed), np.random.default_rng(seed)
    run = replace(case.run, payload_bits=())
    if run.merged or run.table.weigh_planes:
        return
    marks = [[-1, 0, 0, 0, 0, 0]] * case.eots
    tokens = []
    for _ in range(int(rng.integers(0, 12))):
        position = int(rng.integers(len(run.connections)))
        wire = run.connections[position]
        c, h, w = wire.source_shape if wire.pool_mode == "folded" else wire.token_shape
        if min(c, h, w) > 0:
            tokens.append([position, *(int(rng.integers(n)) for n in (c, h, w)), 0, 0])
    laid = np.array([*tokens, *marks], np.int64)
    late = np.ones(len(laid), np.int64), np.zeros(len(laid), np.int64)
    states = case.potentials, case.currents, case.flags
    fast, reference = (engine.run_core(run, laid, *late, *states) for engine in (FAST, REFERENCE))
    assert_same_log(fast, reference, "run_core")
    np.testing.assert_array_equal(fast.counts, reference.counts)


@quietly(15)
@given(seed=SEEDS)
def test_what_is_skipped_would_have_changed_nothing(seed: int) -> None:
    """The same spikes, potentials and saturations; fewer operations, each with its weight read and its additions."""
    case = drawn(seed)
    skipping, every = (FAST.run_planes(*each.arguments) for each in (case, case.with_core(skip_zero_weights=False)))
    assert sorted(skipping.spikes[:, 1:].tolist()) == sorted(every.spikes[:, 1:].tolist())
    for field in ("potentials", "currents", "flags", "saturations"):
        np.testing.assert_array_equal(getattr(skipping, field), getattr(every, field), err_msg=field)
    assert len(issued(skipping, "acc")) == count(skipping, "weight_read") <= count(every, "weight_read")
    assert count(skipping, "acc_add") <= count(every, "acc_add")
    for name in ("fifo_push", "cmp", "spike_out", "buffer_read"):
        assert count(skipping, name) == count(every, name), name


@quietly(10)
@given(seed=SEEDS)
def test_without_zeros_nothing_is_skipped(seed: int) -> None:
    case = drawn(seed, share=0)
    if any((np.asarray(wire.weights) == 0).any() for wire in case.run.connections):
        wires = tuple(replace(wire, weights=np.where(wire.weights, wire.weights, 1)) for wire in case.run.connections)
        case = replace(case, run=replace(case.run, connections=wires))
    skipping, every = (FAST.run_planes(*each.arguments) for each in (case, case.with_core(skip_zero_weights=False)))
    assert_same_log(skipping, every, "no zeros")
    np.testing.assert_array_equal(skipping.counts, every.counts)


@quietly(10)
@given(seed=SEEDS)
def test_an_event_of_zeros_alone_takes_one_slot(seed: int) -> None:
    """It is an event that touches no word (R3)."""
    case = drawn(seed, share=1)
    log = FAST.run_planes(*case.arguments)
    assert not issued(log, "acc")
    assert len(issued(log, "skip")) == count(log, "fifo_pop") - case.eots
    assert count(log, "weight_read", "acc_add", "mult", "membrane_read_accumulate") == 0


def plain_convolution(case: RandomRun) -> bool:
    """A single convolution without pools and groups, five channels or more, and some events."""
    run, (wire, *others) = case.run, case.run.connections
    alone = not others and (wire.operator, wire.pool_mode, wire.groups) == ("conv2d", "none", 1)
    return case.kind == "rate" and alone and run.shape[0] > 4 and min(run.shape[1:]) > 1 and bool(case.planes[0].any())


def test_one_lane_makes_an_operation_per_weight_that_is_not_zero() -> None:
    """Closed form on a convolution: of every event and output position the weights of its tap; four lanes make rows of four."""
    rng = np.random.default_rng(7)
    case = next(each for each in (random_run(np.random.default_rng(seed)) for seed in range(1000)) if plain_convolution(each))
    wire = with_zeros(rng, case.run.connections[0], 0.6)
    run = replace(case.run, connections=(wire,), rows=None, last_channel=None)
    case = replace(case, run=run)
    weights, ((ky, sy, py), (kx, sx, px)) = np.asarray(wire.weights), wire.axes
    channels, height, width = run.shape
    for lanes in (1, 4):
        groups = -(-channels // lanes)
        mine = replace(case, run=replace(run, groups=(0, groups))).with_core(
            lanes=lanes, skip_zero_weights=True, order="scatter", planes_per_token="one", multiplier="parallel", mask_first=False)
        expected = added = 0
        for _, y, x, c in np.argwhere(case.planes[0][: run.table.planes]).tolist():
            for oy in range(height):
                for ox in range(width):
                    tap_y, tap_x = y + py - sy * oy, x + px - sx * ox
                    if not (0 <= tap_y < ky and 0 <= tap_x < kx):
                        continue
                    for g in range(groups):
                        row = weights[g * lanes : (g + 1) * lanes, c, tap_y, tap_x]
                        expected += int(row.any())
                        added += len(row) * int(row.any())
        log = FAST.run_planes(*mine.arguments)
        assert len(issued(log, "acc")) == expected > 0
        assert count(log, "acc_add") == added
        if lanes == 1:
            assert added == expected


# --- programs and designs ------------------------------------------------------------------------------------------------


def zeroed(rng: np.random.Generator, network: Network) -> Network:
    layers = tuple(replace(layer, connections=tuple(with_zeros(rng, wire) for wire in layer.connections)) for layer in network)
    return replace(network, layers=layers)


@pytest.mark.parametrize("seed", range(4))
def test_both_engines_agree_on_programs(seed: int) -> None:
    """Tiles, spills and loads of rows that are not all stored."""
    found = draw_design(seed)
    if found is None:
        return
    network, arch = zeroed(found.rng, found.network), skipping_design(found.arch)
    try:
        program = make_program(network, arch, found.schedule)
    except ProgramError:
        return
    for sample, spikes, reference, fast in both_engines(program, found.rng, ("trace", "computed")):
        assert_same(fast, reference, program)
        if spikes == "trace":
            assert_timing_is_the_checked_one(program, sample)


def skipping_design(arch: Architecture, index_bits: int = 20) -> Architecture:
    data = dump_architecture(arch)
    data["core"] |= {"skip_zero_weights": True, "weight_index_bits": index_bits}
    return rebuild_architecture(data)


@pytest.mark.parametrize("lanes", [1, 3, 4])
def test_rows_of_zeros_are_not_stored(lanes: int) -> None:
    """Against each row by itself: of each source channel, tap and group the lanes that it feeds."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        wire = with_zeros(rng, random_run(rng).run.connections[0])
        channels = wire.channel_offset + len(wire.weights)
        weights = np.zeros((channels, wire.pooled_shape[0] if wire.operator == "conv2d" else 1, wire.taps), np.int64)
        fed = np.zeros_like(weights, bool)
        if wire.operator == "linear":
            weights, fed = np.asarray(wire.weights)[:, None], np.ones((channels, 1, wire.weights.shape[1]), bool)
        elif wire.operator == "identity":
            weights[wire.channel_offset :, 0, 0], fed[wire.channel_offset :] = wire.weights, True
        else:
            inside = wire.pooled_shape[0] // wire.groups
            for out in range(channels):
                first = out // (channels // wire.groups) * inside
                weights[out, first : first + inside] = np.asarray(wire.weights)[out].reshape(inside, -1)
                fed[out, first : first + inside] = True
        first = int(rng.integers(0, -(-channels // lanes))) * lanes
        rows = held = 0
        for low in range(first, channels, lanes):
            row = slice(low, min(low + lanes, channels))
            some = weights[row].any(axis=0)
            rows += int(some.sum())
            held += int((fed[row] & some).sum())
        if wire.groups > 1 and lanes > 1:  # a row is one group's: lanes of several are never in one
            assert stored_rows(wire, channels, lanes, (first, channels))[0] >= rows
            continue
        assert stored_rows(wire, channels, lanes, (first, channels)) == (rows, held)
        dense, span = replace(wire, weights=np.ones_like(wire.weights)), (first, channels)
        assert stored_rows(dense, channels, lanes, span) == connection_rows(dense, channels, lanes, span)


def test_an_index_is_stored_and_loaded_with_each_row() -> None:
    """conv1 of a drawn network: what the channel carries are the stored rows' weights, and an index for each."""
    rng = np.random.default_rng(5)
    network = zeroed(rng, random_network(rng, "rate"))
    design = skipping_design(load_architecture("event_core_16"), 9)
    assert design.row_bits["weight"] == 16 * 8 + 9
    program = make_program(network, design)
    loads = [op for op in program.operations if isinstance(op, Transfer) and op.memory == "weight"]
    for op in loads:
        layer = network.layers[op.layer]
        rows, held = np.sum([stored_rows(wire, layer.shape[0], 16, (0, layer.shape[0])) for wire in layer.connections], axis=0)
        assert (op.rows, op.bits) == (rows, held * 8 + rows * 9)
    assert loads


def run_of(**core: Any) -> CoreRun:
    case = drawn(3)
    return replace(case.run, core=replace(case.run.core, **core))


@pytest.mark.parametrize(("core", "says"), [
    ({"order": "gather", "buffer": "bitmap"}, "use order 'scatter'"),
    ({"mask_first": True}, "leave one of them out"),
    ({"skip_zero_weights": 1}, "skip_zero_weights is 1, allowed are True, False"),
])
def test_what_does_not_go_with_it_is_refused(core: dict[str, Any], says: str) -> None:
    case = drawn(3)
    case = replace(case, run=run_of(**core))
    for engine in (FAST, REFERENCE):
        with pytest.raises(ProgramError, match=says):
            engine.run_planes(*case.arguments)


def test_without_weights_nobody_knows_what_is_zero() -> None:
    found = next(each for each in (draw_design(seed, ("rate",)) for seed in range(20)) if each)
    layers = tuple(replace(x, connections=tuple(replace(c, weights=None) for c in x.connections)) for x in found.network)
    with pytest.raises(MappingError, match="which of them are zero is not known; use core.skip_zero_weights: false"):
        make_program(replace(found.network, layers=layers), skipping_design(found.arch))
    run = drawn(3).run
    with pytest.raises(ProgramError, match="skip_zero_weights needs weights, and a connection has none"):
        check_run(replace(run, connections=tuple(replace(wire, weights=None) for wire in run.connections)))


def test_designs_that_cannot_list_their_rows_are_refused() -> None:
    plain = load_architecture("event_core_16")
    with pytest.raises(MappingError, match=r"an event from input has 9 rows of weights, .*weight_index_bits 3 .* at least 4"):
        make_program(convolution(), skipping_design(plain, 3))
    make_program(convolution(), skipping_design(plain, 4))
    with pytest.raises(ArchitectureError, match="weight_index_bits is 4: rows that are all stored need no index"):
        plain.with_core(weight_index_bits=4)
    with pytest.raises(ArchitectureError, match="use order 'scatter'"):
        skipping_design(load_architecture("output_stationary"))
    assert "core.skip_zero_weights" not in plain.timing()["cores"][0]
    assert plain.timing_hash() != skipping_design(plain).timing_hash()


def convolution() -> Network:
    rng = np.random.default_rng(0)
    while True:
        network = random_network(rng, "rate")
        wires = [wire for layer in network for wire in layer.connections]
        if network.layers[0].connections[0].kernel == 3 and all(wire.operator != "linear" for wire in wires):
            return network


def test_the_golden_hardware_refuses_it_by_name() -> None:
    assert "skip_zero_weights True of a CoreSpec, a field that it does not know" in "".join(uncovered(drawn(3).run))
