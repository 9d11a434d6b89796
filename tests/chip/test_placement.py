"""Placements: shares that make up their layer, a search held against all assignments, and one error for each mistake."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.arch import Architecture, ArchitectureError, dump_architecture, load_architecture, rebuild_architecture
from hwsim.chip.placement import idle_cores, placed, placement_of, placement_problem, placement_problems, shares_of, split
from hwsim.chip.search import SOURCE, Problem, _Assignment, search
from hwsim.mapping import MappingError
from hwsim.simulation import make_program, make_task
from hwsim.snn.network import Network
from hwsim.trace.reader import Trace
from tests.chip.test_network_files import MESHED, NETWORK
from tests.conftest import ROOT
from tests.test_architecture import mistakes

CLOCK = "clock: 1 MHz\n"
"""Ends MESHED, whose last section is the network."""


def chip(cores: int, base: str = "event_core_64", **network: object) -> Architecture:
    """Equal cores on a mesh as square as can be."""
    width = int(np.ceil(np.sqrt(cores)))
    data = dump_architecture(load_architecture(base))
    entry = {name: data.pop(name) for name in ("core", "spike_buffer", "memories")}
    return rebuild_architecture({**data, "name": "mesh", "cores": [entry | {"count": cores}],
                                 "network": {**NETWORK, "mesh": [width, -(-cores // width)], **network}})


# -- shares -----------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 80), st.integers(1, 40), st.lists(st.integers(1, 20), min_size=1, max_size=20))
def test_shares_hold_each_channel_of_each_row_once(channels: int, height: int, lanes: list[int]) -> None:
    shares = split((channels, height, 3), [(f"core{n}", own) for n, own in enumerate(lanes)])
    owner = np.zeros((channels, height), int)
    for name, share in shares.items():
        owner[slice(*share.channels), slice(*share.rows)] += 1
        assert share.channels[0] % lanes[int(name[4:])] == 0, "a share begins with a whole group of its core"
        assert share.channels[0] < share.channels[1]
        assert share.rows[0] < share.rows[1]
    assert (owner == 1).all()


def test_rows_are_split_first_then_channels_then_cores_idle() -> None:
    cores = [(f"core{n}", 8) for n in range(6)]
    assert [s.rows for s in split((16, 12, 1), cores).values()] == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10), (10, 12)]
    two_rows = split((16, 2, 1), cores)  # three cores for a row of two groups
    assert {name: (s.rows, s.channels) for name, s in two_rows.items()} == {
        "core0": ((0, 1), (0, 8)), "core2": ((0, 1), (8, 16)), "core3": ((1, 2), (0, 8)), "core5": ((1, 2), (8, 16))}
    assert list(split((8, 1, 1), cores)) == ["core0"] or len(split((8, 1, 1), cores)) == 1
    wide = split((4, 9, 1), [("core0", 2), ("core1", 1)])
    assert [s.rows for s in wide.values()] == [(0, 6), (6, 9)], "rows in proportion to lanes"


def test_what_spread_leaves_idle_is_said(rate_trace: Trace) -> None:
    network = rate_trace.network
    arch = placed(chip(4, placement="spread"), network)
    said = dict(idle_cores(arch, network))
    shares = shares_of(arch, network)
    for layer, share in zip(network, shares, strict=True):
        assert set(said.get(layer.name, ())) == set(arch.core_names) - set(share)
    assert len(said[network.layers[-1].name]) == 3, "a read-out of one row and few channels"


# -- what is given ------------------------------------------------------------------------------------------------------


def by_hand(network: Network, *cores: str) -> dict[str, str]:
    return {layer.name: cores[n % len(cores)] for n, layer in enumerate(network)}


def test_a_placement_by_layer_decides_where_runs_are(rate_trace: Trace) -> None:
    network = rate_trace.network
    arch = chip(4, placement=by_hand(network, "core2", "core0"))
    program = make_program(network, arch, "layer_by_layer")
    assert all(run.on == ("core2", "core0")[run.layer % 2] for run in program.runs)
    assert placement_of(arch, network) == {layer.name: [("core2", "core0")[n % 2]] for n, layer in enumerate(network)}


def test_layers_that_are_missing_or_left_out_are_all_named(rate_trace: Trace) -> None:
    network = rate_trace.network
    first, second, *_ = (layer.name for layer in network)
    given = by_hand(network, "core0") | {"conv9": "core1"}
    del given[second]
    arch = chip(4, placement=given)
    assert len(placement_problems(arch, network)) == 2
    with pytest.raises(MappingError, match=f"(?s)puts layer conv9 on core1, and there is no such layer; there are {first}.*"
                                           f"leaves out layer {second}; give it a core"):
        make_program(network, arch)


@pytest.mark.parametrize(("text", "told"), [
    ("{conv1: core7}", "network.placement.conv1: conv1 is on core7; the chip's cores are core0, core1, core2"),
    ("{conv1: [core0, core0]}", "network.placement.conv1: conv1 is on core0 twice; name each core once"),
    ("{conv1: []}", "network.placement.conv1: conv1 is on no core; give it one of core0, core1, core2"),
    ("{1: core0}", "network.placement: found 1 for a layer's name, expected text; write it in quotes"),
    ("{conv1: 5}", "network.placement: conv1: found 5, expected the name of a core or a list of names"),
    ("{conv1: [core0, 1]}", "network.placement: conv1: found ['core0', 1], expected the name of a core or a list of names"),
    ("anywhere", "network.placement: found 'anywhere', allowed are auto, spread, or a mapping of each layer to its cores"),
    ("[core0]", "network.placement: found ['core0'], allowed are auto, spread, or a mapping of each layer to its cores"),
])
def test_each_mistake_of_a_placement_is_one_error(tmp_path: Path, text: str, told: str) -> None:
    found = mistakes(tmp_path, MESHED.removesuffix(CLOCK) + f"  placement: {text}\n{CLOCK}")
    assert [line.split(": ", 1)[1] for line in found] == [told]


def test_the_placement_is_in_the_tasks_identity_and_not_in_the_chips_timing(rate_trace: Trace) -> None:
    network = rate_trace.network
    one, other, spread, auto = (chip(4, placement=where) for where in (
        by_hand(network, "core0"), by_hand(network, "core1"), "spread", "auto"))
    assert one.timing_hash() == other.timing_hash() == auto.timing_hash()
    hashes = {make_task(rate_trace, arch).hash for arch in (one, other, spread, auto)}
    assert len(hashes) == 4
    found = placed(auto, network, rate_trace.sample(0))
    assert make_task(rate_trace, found).hash == make_task(rate_trace, auto).hash, "found or written out, it is one placement"
    assert make_task(rate_trace, load_architecture("event_core_64")).placement == "spread"


# -- what is found ------------------------------------------------------------------------------------------------------


def small_problem(rng: np.random.Generator, one_each: bool) -> Problem:
    """A few layers in a row with a skip, on a few cores of unlike speeds on a mesh of one row."""
    layers, cores = (int(rng.integers(2, 5)), int(rng.integers(4, 6))) if one_each else (int(rng.integers(4, 7)),
                                                                                         int(rng.integers(2, 4)))
    if one_each:
        layers = min(layers, cores)
    speeds = rng.choice([1.0, 1.0, 2.0], cores)
    readers: dict[int, tuple[int, ...]] = {n: (n + 1,) for n in range(SOURCE, layers - 1)}
    if layers > 3:
        readers[0] = (1, int(rng.integers(2, layers)))
    weights = rng.integers(1, 30, (layers, 1)) * np.ones((1, cores), int)
    return Problem(
        cycles=rng.integers(1, 100, (layers, 1)) / speeds, needs={"weight": weights},
        rooms={"weight": rng.integers(30, 120, cores)}, sent_bits={n: float(rng.integers(1, 50)) for n in readers},
        readers=readers, order=tuple(range(cores)),
        links=lambda source, targets: max([0, *(t - max(source, 0) for t in targets)]) + max(
            [0, *(max(source, 0) - t for t in targets)]))


def every_cost(problem: Problem) -> list[tuple[float, float]]:
    owners = product(range(problem.cores), repeat=problem.layers)
    return [problem.cost(one) for one in owners if not problem.one_each or len(set(one)) == problem.layers]


@pytest.mark.parametrize("seed", range(14))
def test_the_search_stays_within_a_tenth_of_the_best_of_all_assignments(seed: int) -> None:
    problem = small_problem(np.random.default_rng(seed), one_each=bool(seed % 2))
    found, best = problem.cost(search(problem)), min(every_cost(problem))
    assert found[0] == best[0], "as much fits as can"
    assert found[1] <= 1.1 * best[1]


def test_the_costs_of_a_search_are_kept_up_to_date_while_it_changes_them() -> None:
    """The search adds and subtracts; the sum from the start must be the same."""
    rng = np.random.default_rng(3)
    problem = small_problem(rng, one_each=False)
    owners = search(problem)
    assert problem.cost(owners) == pytest.approx(problem.cost(tuple(owners)))
    worse = [problem.cost([*owners[:n], (owners[n] + 1) % problem.cores, *owners[n + 1 :]]) for n in range(problem.layers)]
    assert min(worse) >= problem.cost(owners), "no single layer would do better elsewhere"


SHIPPED = ("fashion_mnist_rate_t4", "methods/cifar10_resnet20_rate_t4", "methods/cifar10_vgg16_bit_serial_t4")


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("cores", [4, 9])
def test_it_beats_round_robin_on_the_shipped_networks(name: str, cores: int) -> None:
    with Trace.open(ROOT / "traces" / f"{name}.h5") as trace:
        network, sample = trace.network, trace.sample(0)
    problem = placement_problem(chip(cores), network, sample)
    found, in_turn = (problem.cost(owners) for owners in (search(problem), [n % cores for n in range(problem.layers)]))
    assert found < in_turn
    roomy = replace(problem, rooms={memory: np.full(cores, 1 << 40) for memory in problem.rooms})
    found, in_turn = (roomy.cost(owners) for owners in (search(roomy), [n % cores for n in range(problem.layers)]))
    assert found[1] < 0.98 * in_turn[1]
    ideal = roomy.cycles.sum() / cores**2
    assert found[1] < 1.15 * max(ideal, roomy.cycles.max()), "near what a perfect split of whole layers could reach"


def test_the_cost_of_a_change_does_not_grow_with_the_cores_that_do_nothing() -> None:
    """A chip may have thousands of cores: what is summed up for a change is what those have that work."""
    problem = small_problem(np.random.default_rng(5), one_each=False)
    cores = 4096
    large = replace(
        problem, rooms={"weight": np.full(cores, 9)}, order=tuple(range(cores)),
        cycles=np.repeat(problem.cycles[:, :1], cores, axis=1),
        needs={"weight": np.ones((problem.layers, cores), np.int64)})
    owners = [17 * n for n in range(problem.layers)]
    at = _Assignment(large, owners)
    assert len(at.load) == len(at.held["weight"]) == problem.layers
    at.change({0: owners[1]})
    assert len(at.load) == len(at.held["weight"]) == problem.layers - 1
    assert at.cost == large.cost(at.owners)


def test_each_layer_has_a_core_of_its_own_where_there_are_enough(rate_trace: Trace) -> None:
    network = rate_trace.network
    found = placement_of(placed(chip(9), network, rate_trace.sample(0)), network)
    assert len({core for cores in found.values() for core in cores}) == len(network.layers)
    assert placed(chip(9), network) is not None
    assert placement_of(placed(chip(9), network), network) == placement_of(placed(chip(9), network), network)


def test_wide_cores_get_the_work() -> None:
    """A mixed chip: four times the lanes, more of the layers' work."""
    with Trace.open(ROOT / "traces" / "fashion_mnist_rate_t4.h5") as trace:
        network, sample = trace.network, trace.sample(0)
    data = dump_architecture(load_architecture("event_core_64"))
    entry = {name: data.pop(name) for name in ("core", "spike_buffer", "memories")}
    narrow = {**entry, "core": {**entry["core"], "lanes": 8}}
    mixed = rebuild_architecture({**data, "cores": [narrow, entry], "network": {**NETWORK, "mesh": [2, 1]}})
    problem = placement_problem(mixed, network, sample)
    owners = search(problem)
    load = [sum(problem.cycles[n, core] * lanes for n in range(problem.layers) if owners[n] == core)
            for core, lanes in ((0, 8), (1, 64))]
    assert load[1] > 2 * load[0]


def two_pipes(cores: int, **memories: str) -> Architecture:
    data = dump_architecture(chip(cores))
    for entry in data["cores"] if "cores" in data else [data]:
        entry["core"]["pipes"] = "two"
        entry["memories"] |= memories
    return rebuild_architecture(data)


@pytest.mark.parametrize("cores", [3, 4, 5])
def test_layers_whose_events_work_on_potentials_are_given_cores_for_themselves(cores: int) -> None:
    """R27: a direct input's layer and the read-out; the other four share what cores there are."""
    with Trace.open(ROOT / "traces" / "fashion_mnist_rate_t4.h5") as trace:
        network, sample = trace.network, trace.sample(0)
    arch = placed(two_pipes(cores, current="1 MiB"), network, sample)
    make_program(network, arch, "pipelined")
    found = placement_of(arch, network)
    assert [[name for name, mine in found.items() if mine == found[alone]] for alone in ("conv1", "fc")] == [["conv1"], ["fc"]]
    with pytest.raises(MappingError, match="place it on a core of its own"):
        make_program(network, placed(two_pipes(2, current="1 MiB"), network), "pipelined")


def test_what_currents_of_two_timesteps_take_is_placed_where_there_is_room() -> None:
    """conv2 to conv4 have 2 x 196 words of 192 bytes each, 73.5 KiB, and conv5 has 2 x 49: 168 KiB hold two of them and
    conv5, or two and no third."""
    with Trace.open(ROOT / "traces" / "fashion_mnist_rate_t4.h5") as trace:
        network, sample = trace.network, trace.sample(0)
    make_program(network, placed(two_pipes(4, current="168 KiB"), network, sample), "pipelined")
    with pytest.raises(MappingError, match="current memory"):
        make_program(network, placed(two_pipes(3, current="168 KiB"), network, sample), "pipelined")


def test_a_core_without_a_node_is_refused_before_anything_is_placed() -> None:
    with pytest.raises(ArchitectureError, match="core3 sits on no node: 3 x 1 nodes hold 3 of 4 cores"):
        chip(4, mesh=[3, 1])
