"""Laws of the read-out of first crossings (R28): the answer of paper 004's Eq. 9 to 12, on both engines, in every dataflow."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hwsim
from hwsim.activity import INDEX
from hwsim.arch import Architecture
from hwsim.checks.passes import pass_problems
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.errors import HwsimError
from hwsim.passes import Pass, PassTable
from hwsim.program import Program
from hwsim.record import ISSUE_KINDS
from hwsim.rtl.coverage import uncovered
from hwsim.simulation import make_program
from hwsim.snn.forward import forward
from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import FirstCrossing, ReadOut
from hwsim.snn.sample import Sample
from hwsim.snn.validate import validate_network
from tests.engine.random_designs import (
    random_architecture,
    random_chip,
    random_connection,
    random_dataflow,
    random_network,
    random_sample,
)
from tests.engine.random_programs import check_both_engines
from tests.engine.random_runs import random_counting_run
from tests.engine.test_dataflows import assert_same
from tests.engine.test_several_cores import assert_equal

Rng = np.random.Generator
FAST, REFERENCE = FastEngine(), ReferenceEngine()


def with_read_out(rng: Rng, network: Network) -> Network:
    """The network with a last layer of first crossings."""
    hidden = tuple(layer for layer in network if layer.sends)
    last = hidden[-1]
    connection = random_connection(rng, last.name, last.shape, pool_ok=True, max_ok=True, operator="linear")
    classes = len(connection.weights)
    out = Layer(
        "out", (classes, 1, 1), (connection,), FirstCrossing(int(rng.integers(1, 30))), last.timesteps,
        thresholds=rng.integers(1, 40, last.timesteps), potential_bits=int(rng.choice([7, 8, 24])),
        bias=rng.integers(-9, 10, (classes, 1, 1)) if rng.random() < 0.5 else None,
        initial_potential=rng.integers(-20, 20, (classes if rng.random() < 0.5 else 1, 1, 1)))
    return replace(network, layers=(*hidden, out))


def design(rng: Rng, network: Network) -> Architecture:
    """One core of any dataflow, or several; all with a memory for flags, and some look at it before events do their work."""
    if rng.random() < 0.3:
        return random_chip(rng, network, "single_spike")
    arch = random_architecture(rng, network, "single_spike")
    if arch.only.spike_buffer.kind != "bitmap":
        return arch
    flow = random_dataflow(rng, 62)
    gathers = flow["dataflow"] != {"type": "event_driven"}
    return arch.with_core(**flow, mask_first=bool(not gathers and rng.random() < 0.5))


def drawn(seed: int) -> tuple[Program, Rng] | None:
    """A random Program whose read-out is of first crossings, or None when it is rightly refused."""
    rng = np.random.default_rng(seed)
    network = with_read_out(rng, random_network(rng, "single_spike" if seed % 3 else "rate"))
    assert validate_network(network) == []
    try:
        return make_program(network, design(rng, network), str(rng.choice(["layer_by_layer", "step_by_step"]))), rng
    except HwsimError:
        return None


def check_seed(seed: int) -> bool:
    found = drawn(seed)
    if found is None:
        return False
    program, rng = found
    check_both_engines(program, rng, assert_equal)
    return True


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_engines_agree(seed: int) -> None:
    check_seed(seed)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_engines_agree_on_runs_whose_passes_count(seed: int) -> None:
    case = random_counting_run(np.random.default_rng(seed))
    assert_same(*(engine.run_planes(*case.arguments) for engine in (FAST, REFERENCE)), case)


@pytest.mark.slow
def test_engines_agree_on_thousands_of_designs() -> None:
    assert sum(check_seed(seed) for seed in range(3000)) > 1000
    assert sum(check_answers(seed) for seed in range(3000)) > 200


def check_answers(seed: int) -> bool:
    """What leaves the hardware is what the model says of the spikes that reach it, unless something is clipped; a replay that
    checks nothing counts the same. Whether such a seed could be judged."""
    if (found := drawn(seed)) is None:
        return False
    program, rng = found
    sample = random_sample(rng, program.network)
    record = FAST.run_sample(program, sample, "computed")
    timing = FAST.run_sample(program, Sample(sample.inputs, record.outputs), "trace", check=False)
    np.testing.assert_array_equal(timing.end, record.end)
    np.testing.assert_array_equal(timing.counts, record.counts)
    if record.saturations.any():
        return False
    np.testing.assert_array_equal(record.potentials["out"], forward(program.network, sample.inputs)[1]["out"])
    return True


def test_the_hardware_gives_the_answers_of_the_model() -> None:
    assert sum(check_answers(seed) for seed in range(150)) > 10


def test_random_designs_meet_what_is_rare() -> None:
    seen: Counter[str] = Counter()
    wanted = ("waits", "flags", "clipped", "gather", "merged", "by word", "mask first", "cores", "steps", "ran")
    for seed in range(400):
        if (found := drawn(seed)) is None:
            continue
        program, rng = found
        record = FAST.run_sample(program, random_sample(rng, program.network), "computed")
        last = [op for op in program.runs if program.network.layers[op.layer].name == "out"]
        counts = sum(record.counts[op.id].sum(axis=0) for op in last)
        core = last[0].body.core
        seen.update(name for name, found in {
            "ran": True, "waits": counts[INDEX["reset_sub"]], "gather": core.order == "gather", "merged": last[0].body.merged,
            "flags": counts[INDEX["mask_write"]] > sum(op.body.words for op in last), "steps": len(last) > 1,
            "clipped": record.saturations[last[0].layer], "by word": core.passes == "by_word",
            "mask first": core.mask_first, "cores": len({op.core for op in last}) > 1}.items() if found)
        if min(seen[name] for name in wanted) >= 5:
            return
    raise AssertionError(seen)


def score(sums: np.ndarray, start: np.ndarray, thresholds: np.ndarray, unit: int) -> np.ndarray:
    """Eq. 9 to 12 as printed: potentials add up, the first step at the threshold counts, the last one where there is none."""
    answers = np.empty(start.shape, np.int64)
    for place in np.ndindex(start.shape):
        potential, first = int(start[place]), 0
        for t, current in enumerate(sums[(slice(None), *place)].tolist(), 1):
            potential += current
            first = t if not first and potential >= thresholds[t - 1] else first
        answers[place] = potential - unit * ((first or len(sums)) - 1)
    return answers


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_leaves_is_the_printed_answer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps, shape = int(rng.integers(1, 7)), (int(rng.integers(1, 6)), 1, 1)
    layer = Layer("out", shape, (), FirstCrossing(int(rng.integers(1, 20))), steps, thresholds=rng.integers(1, 60, steps),
                  initial_potential=rng.integers(-9, 10, shape))
    sums = rng.integers(-30, 40, (steps, *shape))
    expected = score(sums, layer.initial_potential, layer.thresholds, layer.neuron.unit)
    np.testing.assert_array_equal(layer.neuron.emit(sums, layer)[1], expected)


def small(steps: int = 4, neuron: Any = None, **other: Any) -> Network:
    """Spikes of three neurons straight into two classes, by weights of 8 and -3."""
    out = Layer("out", (2, 1, 1), (Connection("input", "linear", (3, 1, 1), np.array([[8, 8, 8], [-3, -3, 8]], np.int8)),),
                neuron or FirstCrossing(5), steps, **{"thresholds": np.full(steps, 10)} | other)
    return Network(InputSpec((3, 1, 1), "spikes", steps), (out,))


def test_by_hand() -> None:
    """Class 0 is at 8, 16, 16, 24: it crosses 10 in step 2 and waits once. Class 1 stays below and waits three times."""
    network = small()
    spikes = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]], np.uint8).reshape(4, 1, 1, 3)
    assert forward(network, spikes)[1]["out"].ravel().tolist() == [24 - 5, -9 - 15]
    design = hwsim.load_architecture("event_core_64_flags")
    for schedule in ("layer_by_layer", "step_by_step"):
        program = make_program(network, design, schedule)
        record = FAST.run_sample(program, Sample(spikes, {}), "computed", record=True)
        counts = record.counts.sum(axis=(0, 1))
        assert record.potentials["out"].ravel().tolist() == [19, -24]
        # Step 1: both compare and wait. Step 2: both compare, one waits. Step 3: the other.
        assert counts[INDEX["cmp"]] == 2 + 2 + 1
        assert counts[INDEX["reset_sub"]] == 2 + 1 + 1
        kinds = [ISSUE_KINDS[kind] for log in record.logs.values() for kind in log.issue[:, 1]]
        assert kinds.count("count") == 3
        assert counts[INDEX["mask_write"]] == kinds.count("clear") + 1


def test_a_unit_changes_the_answer_and_its_cost_is_its_passes() -> None:
    """The later class is the larger one: with time it loses. Beside a plain read-out there is one more word a timestep."""
    spikes = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]], np.uint8).reshape(4, 1, 1, 3)
    weights = np.array([[10, 0, 0], [0, 0, 23]], np.int8)
    cycles, answers = {}, {}
    for unit in (0, 1, 2):
        neuron, more = (FirstCrossing(unit), {}) if unit else (ReadOut(), {"thresholds": np.zeros(0, np.int64)})
        network = small(neuron=neuron, **more)
        network = replace(network, layers=(replace(network.layers[0], connections=(
            replace(network.layers[0].connections[0], weights=weights),)),))
        record = FAST.run_sample(make_program(network, hwsim.load_architecture("event_core_64_flags"), "layer_by_layer"),
                                 Sample(spikes, {}), "computed")
        cycles[unit], answers[unit] = int(record.end[-1]), int(record.potentials["out"].ravel().argmax())
    assert answers == {0: 1, 1: 0, 2: 0}
    assert cycles[1] == cycles[2]
    assert 3 <= cycles[1] - cycles[0] <= 3 + 3  # a hazard at most for each of the three passes


def test_a_threshold_that_is_never_reached_runs() -> None:
    """All wait to the end, on a core whose potentials cannot hold the threshold."""
    network = small(thresholds=np.full(4, 25210), potential_bits=10)
    spikes = np.ones((4, 1, 1, 3), np.uint8)
    record = FAST.run_sample(make_program(network, hwsim.load_architecture("event_core_64_flags"), "layer_by_layer"),
                             Sample(spikes, {}), "computed")
    assert record.potentials["out"].ravel().tolist() == [96 - 15, 8 - 15]


def table(**changes: Any) -> PassTable:
    passes = (Pass(1, "count", 7, flags="fire_once"), Pass(2, "readout"))
    initial = np.zeros((2, 1, 1), np.int64)
    return PassTable(**{"planes": 2, "passes": passes, "initial": initial, "flagged": True, "wait": 3} | changes)


@pytest.mark.parametrize(("changes", "text"), [
    ({"flagged": False}, "the table is not flagged"),
    ({"wait": -1}, "wait -1, allowed are 0 to"),
    ({"wait": 0}, "take a wait of 0"),
    ({"passes": (Pass(1, "count", 7),)}, "flags who has reached the threshold"),
    ({"passes": (Pass(1, "count", 7, flags="fire_once", add=True),)}, "that adds"),
    ({"passes": (Pass(1, "count", 1 << 63, flags="fire_once"),)}, "expected a whole number"),
    ({"passes": (Pass(1, "count", 7, shift=-1, flags="fire_once"),)}, "shift -1, allowed are 0 to 63"),
    ({"passes": (Pass(1, "count", 7, flags="fire_once"), Pass(2, "mask"))}, "leave such a neuron out"),
    ({"passes": (Pass(1, "count", 7, flags="fire_once"), Pass(2, "fire", 7, flags="masked"))}, "leave such a neuron out"),
])
def test_tables_without_a_meaning_are_refused(changes: dict[str, Any], text: str) -> None:
    assert pass_problems(table()) == ()
    assert any(text in problem for problem in pass_problems(table(**changes)))


@pytest.mark.parametrize(("changes", "text"), [
    ({"neuron": FirstCrossing(0)}, "unit is 0, expected a Python int from 1 to"),
    ({"neuron": FirstCrossing(1 << 31)}, "expected a Python int"),
    ({"thresholds": np.full(3, 10)}, "thresholds"),
])
def test_networks_that_do_not_fit_are_refused(changes: dict[str, Any], text: str) -> None:
    assert validate_network(small()) == []
    assert any(text in problem for problem in validate_network(small(**changes)))


def test_a_direct_input_is_refused() -> None:
    network = replace(small(), input=InputSpec((3, 1, 1), "direct"))
    assert any("first_crossing layers read" in problem for problem in validate_network(network))


def test_the_golden_hardware_names_what_it_lacks() -> None:
    program = make_program(small(), hwsim.load_architecture("event_core_64_flags"), "layer_by_layer")
    assert any("count passes (R28)" in text for op in program.runs for text in uncovered(op.body))
