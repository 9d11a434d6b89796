"""Laws of cutting by rows (R25): only where it must be, in tiles that fit, with every weight fetched once per stage."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from hwsim.arch import Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cores.event.fields import EventDesign
from hwsim.cores.event.mapping import map_network
from hwsim.cores.event.tiles import cut, least_height
from hwsim.engine.fast.chip import FastEngine
from hwsim.mapping import MappingError, Share, Tile, lower
from hwsim.program import Program, Transfer
from hwsim.schedules import ANYWHERE, SCHEDULES
from hwsim.simulation import make_program
from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import IntegrateAndFire, ReadOut
from hwsim.snn.sample import Sample

GROUP = 4


def conv(name: str, source: str, grid: tuple[int, int, int], channels: int, **geometry: int) -> Layer:
    options = {"kernel": 3, "padding": 1, "stride": 1, **geometry}
    weights = np.ones((channels, grid[0], options["kernel"], options["kernel"]), np.int8)
    wire = Connection(source, "conv2d", grid, weights, **options)
    return Layer(name, wire.natural_shape(channels), (wire,), IntegrateAndFire(), 2, thresholds=np.full(2, 5))


def tower(layers: int = 1, channels: int = 8, side: int = 12) -> Network:
    """`layers` convolutions of `channels` on side x side, then a read-out; spikes of two timesteps."""
    found = [conv("conv0", "input", (2, side, side), channels)]
    for k in range(1, layers):
        found.append(conv(f"conv{k}", found[-1].name, found[-1].shape, channels))
    pooled = channels * (side // 4) ** 2
    wire = Connection(found[-1].name, "linear", found[-1].shape, np.ones((2, pooled), np.int8), pool=4, pool_mode="folded")
    return Network(InputSpec((2, side, side), "spikes", 2), (*found, Layer("out", (2, 1, 1), (wire,), ReadOut(), 2)))


def small_core(membrane_words: int, weight_rows: int = 4096, **memories: int) -> Architecture:
    """event_core_16 with four lanes and memories of so many rows."""
    design = load_architecture("event_core_16").with_core(lanes=GROUP)
    row = design.row_bits
    return design.with_memories(membrane=membrane_words * row["membrane"], weight=weight_rows * row["weight"],
                                bias=64 * row["bias"], **memories)


def tiles_of(layer: Layer, membrane_words: int, weight_rows: int = 4096) -> list[Tile]:
    network = tower()
    design = small_core(membrane_words).only
    assert isinstance(design, EventDesign)
    rows = {"membrane": membrane_words, "weight": weight_rows, "current": membrane_words, "mask": membrane_words}
    share = Share((0, layer.shape[0]), (0, layer.shape[1]))
    return cut(layer, lower(network, network.layers[0], "weight"), "core", design, share, rows)


def test_a_layer_of_which_a_group_fits_is_cut_by_groups_alone() -> None:
    layer = tower().layers[0]
    for words in (144, 200, 287, 288, 10_000):
        tiles = tiles_of(layer, words)
        assert {tile.rows for tile in tiles} == {(0, 12)}
        assert [tile.groups for tile in tiles] == ([(0, 1), (1, 2)] if words < 288 else [(0, 2)])


def test_tiles_fit_and_hold_every_neuron_once_whatever_the_room() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        channels, side, kernel = int(rng.integers(1, 14)), int(rng.integers(2, 20)), int(rng.integers(1, 4))
        layer = conv("a", "input", (2, side, side), channels, kernel=kernel, padding=kernel // 2, stride=int(rng.integers(1, 3)))
        words, weights = int(rng.integers(layer.shape[2], 2 * side * side)), 2 * kernel**2 * int(rng.integers(1, 5))
        tiles = tiles_of(layer, words, weights)
        held = np.zeros(layer.shape, np.int64)
        for tile in tiles:
            held[slice(*tile.channels), slice(*tile.rows)] += 1
            assert tile.words == (tile.groups[1] - tile.groups[0]) * (tile.rows[1] - tile.rows[0]) * layer.shape[2] <= words
            assert tile.weight_rows <= weights
        assert (held == 1).all()
        heights = {tile.rows[1] - tile.rows[0] for tile in tiles}
        assert max(heights) - min(heights) <= 1, "row tiles of a block are about equally high"
        assert [tile.channels for tile in tiles] == sorted(tile.channels for tile in tiles), "one block after the other"


def test_blocks_are_as_wide_as_the_fewest_source_rows_ask_for() -> None:
    """Room for 6 rows of one group or 3 of both: 2 blocks x (7 + 7) source rows, or 4 + 5 + 5 + 4 of them."""
    assert [tile.groups for tile in tiles_of(tower().layers[0], 6 * 12)] == [(0, 2)] * 4
    # Where the weights of one group fit only, there is no choice.
    assert [tile.groups for tile in tiles_of(tower().layers[0], 6 * 12, weight_rows=18)] == [(0, 1), (0, 1), (1, 2), (1, 2)]
    # Room for 2 rows of one group or 1 of both: 2 blocks x (3 + 4 x 4 + 3) source rows, or 2 + 10 x 3 + 2 of them.
    assert [tile.groups for tile in tiles_of(tower().layers[0], 2 * 12)] == [(0, 2)] * 12


def test_what_is_missing_for_one_row_is_named() -> None:
    with pytest.raises(MappingError, match=r"one row of one group of 4 output channels needs 12 rows of membrane memory "
                                           r"\(144 B\), 11 are there; memories.membrane must be larger"):
        make_program(tower(), small_core(11), "layer_by_layer")
    with pytest.raises(MappingError, match=r"one group of 4 output channels needs 18 rows of weight memory .*, 17 are there.*; "
                                           r"one row of one group of 4 output channels needs 12 rows of membrane"):
        make_program(tower(), small_core(11, 17), "layer_by_layer")
    assert any(run.body.cut_by_rows for run in make_program(tower(), small_core(12), "layer_by_layer").runs)


def weight_loads(program: Program) -> list[Transfer]:
    return [op for op in program.operations if isinstance(op, Transfer) and op.memory == "weight"]


@pytest.mark.parametrize("schedule", ANYWHERE)
@pytest.mark.parametrize("resident", [True, False])
def test_tiles_of_the_same_channels_fetch_their_weights_once(schedule: str, resident: bool) -> None:
    network = tower(2)
    program = make_program(network, small_core(24, 4096 if resident else 100), schedule)
    assert sum(run.body.cut_by_rows for run in program.runs) > 10
    loads = weight_loads(program)
    assert all(op.once == resident for op in loads)
    stages = 2 if schedule == "step_by_step" and not resident else 1
    rows = Counter[int]()
    for op in loads:
        rows[op.layer] += op.rows
    for i, layer in enumerate(network):
        assert rows[i] == stages * layer.connections[0].source_shape[0] * 9 * -(-layer.shape[0] // GROUP)


def test_a_region_of_weights_is_free_when_the_last_tile_that_uses_it_has_run() -> None:
    program = make_program(tower(3), small_core(24, 80), "layer_by_layer")
    loads = weight_loads(program)
    assert len(loads) > 3
    readers: dict[int, int] = {}
    latest = -1
    for op in program.operations:
        if op in loads:
            for other, last in readers.items():
                region = program.operations[other].region  # type: ignore[attr-defined]
                if region[0] < op.region[1] and op.region[0] < region[1]:  # type: ignore[union-attr]
                    assert last in op.deps or last < max(op.deps, default=-1)
            latest = op.id
        elif op.kind == "run":
            readers[latest] = op.id


@pytest.mark.parametrize("side", [12, 13])
def test_step_by_step_cuts_by_rows_only_where_no_scratch_area_could_hold_a_group(side: int) -> None:
    network = tower(3, channels=4, side=side)
    group = side * side
    enough = map_network(network, small_core(group + 2), SCHEDULES["step_by_step"])
    assert all(tile.rows == (0, tile.rows[1]) for plan in enough.plans for tile in plan.tiles)
    less = map_network(network, small_core(group - 1), SCHEDULES["step_by_step"])
    assert any(tile.rows != (0, side) for plan in less.plans[:3] for tile in plan.tiles)
    for mapping in (enough, less):
        kept = sum(t.words for plan in mapping.plans if not plan.spills["core"] for t in plan.tiles)
        largest = max(t.words for plan in mapping.plans if plan.spills["core"] for t in plan.tiles)
        assert kept + largest <= mapping.arch.capacities["membrane"] // mapping.arch.row_bits["membrane"]


def test_the_least_tile_reads_no_more_rows_twice_than_it_computes() -> None:
    for kernel, stride, expected in ((1, 1, 1), (3, 1, 2), (3, 2, 1), (5, 1, 4), (5, 2, 2), (2, 2, 1)):
        assert least_height(conv("a", "input", (2, 12, 12), 4, kernel=kernel, stride=stride, padding=kernel // 2)) == expected
    assert least_height(conv("a", "input", (2, 3, 3), 4, kernel=3)) == 2
    assert least_height(replace(tower()).layers[-1]) == 1


@pytest.mark.parametrize("schedule", ANYWHERE)
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", ["aer", "bitmap"])
def test_a_cut_network_gives_the_recorded_spikes_on_one_core_and_on_two(schedule: str, count: int, kind: str) -> None:
    network = tower(2)
    data = dump_architecture(small_core(30))
    data["spike_buffer"] |= {"kind": kind, "capacity": "1 MiB", "address_bits": 16}
    core = {name: data.pop(name) for name in ("core", "spike_buffer", "memories")}
    arch = rebuild_architecture({**data, "cores": [{"count": count, **core}]})
    program = make_program(network, arch, schedule)
    assert sum(run.body.cut_by_rows for run in program.runs) > 10
    rng = np.random.default_rng(1)
    inputs = (rng.random((2, 12, 12, 2)) < 0.2).astype(np.uint8)
    whole = make_program(network, rebuild_architecture({**data, "cores": [{"count": 1, **core, "memories": {
        name: "1 MiB" for name in ("weight", "membrane", "current", "bias")}}]}), schedule)
    assert not any(run.body.cut_by_rows for run in whole.runs)
    one, other = (FastEngine().run_sample(each, Sample(inputs, {}), "computed") for each in (program, whole))
    for name, values in other.outputs.items():
        np.testing.assert_array_equal(one.outputs[name], values)
    np.testing.assert_array_equal(one.potentials["out"], other.potentials["out"])
