"""Law: a mapped network does on the chip what its integers say, spike for spike; what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.cores.odin.errors import OdinError
from hwsim.cores.odin.mapping import Connection, Population, map_network
from hwsim.cores.odin.stimulus import OdinStimulus
from tests.cores.odin.engines import ENGINES


def integers(inputs: np.ndarray, sizes: dict[str, int], thresholds: dict[str, np.ndarray],
             connections: list[Connection], spikes: list[int]) -> dict[str, np.ndarray]:
    """The network without a chip: one spike after the other, those of neurons before the next input; how often each neuron fires.

    A spike adds its positive weights first, then its negative ones, as an input with two sources does.
    """
    potentials = {name: np.zeros(size, int) for name, size in sizes.items()}
    fired = {name: np.zeros(size, int) for name, size in sizes.items()}
    inputs, waiting = [("input", one) for one in spikes], []
    while inputs or waiting:
        source, one = (waiting or inputs).pop(0)
        signs = [connection.weights[one] for connection in connections if connection.source == source]
        both = any((row > 0).any() for row in signs) and any((row < 0).any() for row in signs)
        for keep in ((1, -1) if both else (0,)):
            for name in sizes:
                for connection in connections:
                    if connection.source == source and connection.target == name:
                        row = connection.weights[one] if keep == 0 else np.where(connection.weights[one] * keep > 0,
                                                                                connection.weights[one], 0)
                        potentials[name] = np.clip(potentials[name] + row, 0, 255)
                above = np.flatnonzero(potentials[name] >= thresholds[name])
                potentials[name][above] = 0
                fired[name][above] += 1
                if any(connection.source != "input" for connection in connections):
                    waiting += [(name, int(neuron)) for neuron in above]
    return fired


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seed", range(4))
def test_one_layer_without_feedback_fires_as_its_integers_say(engine: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-7, 8, (100, 60))
    thresholds = rng.integers(5, 40, 60)
    mapping = map_network(100, {"out": Population(thresholds)}, [Connection("input", "out", weights)])
    spikes = rng.integers(0, 100, 12).tolist()
    stimulus = OdinStimulus.at_full_rate(mapping.addresses(spikes))
    record = ENGINES[engine].run(mapping.core, mapping.configuration, stimulus, 200_000)
    expected = integers(rng, {"out": 60}, {"out": thresholds}, [Connection("input", "out", weights)], spikes)
    assert record.done > 0
    assert expected["out"].sum() > 10
    np.testing.assert_array_equal(mapping.spikes_of("out", record.spikes), expected["out"])


@pytest.mark.parametrize("seed", range(8))
def test_layers_fire_through_the_scheduler(seed: int) -> None:
    """Inputs far apart, so that what one sets off is over before the next; then the queue's order is the chip's."""
    rng = np.random.default_rng(seed)
    hidden = rng.integers(0, 8, (30, 20)) * rng.choice([-1, 1, 1], (30, 1))
    out = rng.integers(0, 8, (20, 10)) * rng.choice([-1, 1, 1], (20, 1))
    thresholds = {"hidden": rng.integers(8, 20, 20), "out": rng.integers(10, 30, 10)}
    connections = [Connection("input", "hidden", hidden), Connection("hidden", "out", out)]
    mapping = map_network(30, {name: Population(array) for name, array in thresholds.items()}, connections)
    spikes = rng.integers(0, 30, 20).tolist()
    events = OdinStimulus.at_full_rate(mapping.addresses(spikes)).events.copy()
    events[:, 0] = 60_000 * np.arange(len(events))
    record = ENGINES["fast"].run(mapping.core, mapping.configuration, OdinStimulus(events, np.zeros((1, 2), int)), 10**7)
    expected = integers(rng, {"hidden": 20, "out": 10}, thresholds, connections, spikes)
    for name in thresholds:
        np.testing.assert_array_equal(mapping.spikes_of(name, record.spikes), expected[name])
    assert expected["out"].sum() > 3
    assert not len(record.lost)


def test_recurrence_by_source() -> None:
    """A ring of neurons: one input spike runs round for ever."""
    ring = np.roll(np.eye(8, dtype=int), 1, axis=1) * 5
    start = np.zeros((1, 8), int)
    start[0, 0] = 5
    mapping = map_network(
        1, {"ring": Population(np.full(8, 5))}, [Connection("input", "ring", start), Connection("ring", "ring", ring)])
    record = ENGINES["fast"].run(
        mapping.core, mapping.configuration, OdinStimulus.at_full_rate(mapping.addresses([0])), 20_000)
    assert record.done == -1
    assert record.spikes[:, 1].tolist() == [k % 8 for k in range(len(record.spikes))]


def test_inputs_with_both_signs_take_two_sources_and_neurons_may_not() -> None:
    weights = np.array([[1, 2], [-1, -2], [3, -3]])
    mapping = map_network(3, {"out": Population(np.full(2, 9))}, [Connection("input", "out", weights)])
    assert mapping.input_sources == [[0], [1], [2, 3]]
    assert mapping.configuration.inhibitory[:4].tolist() == [0, 1, 0, 1]
    assert mapping.configuration.synapses[:4, :2].tolist() == [[9, 10], [9, 10], [11, 0], [0, 11]]
    assert not mapping.core.scheduler.feedback
    with pytest.raises(OdinError, match="population out: the outgoing weights of neuron 0 have both signs"):
        map_network(3, {"out": Population(np.full(2, 9))}, [Connection("out", "out", np.array([[1, -1], [0, 0]]))])


@pytest.mark.parametrize(("inputs", "size", "weights", "text"), [
    (2, 257, np.zeros((2, 257), int), "found 257 neurons, expected at most 256: split"),
    (257, 2, np.ones((257, 2), int), "found 257 sources"),
    (200, 2, np.tile([1, -1], (200, 1)), "found 400 sources .400 of 200 inputs, 0 neurons that feed back."),
    (2, 2, np.full((2, 2), 8), r"found weight 8 at \(0, 0\), expected -7 to 7"),
    (2, 2, np.full((2, 2), -8), r"found weight -8 at \(0, 0\), expected -7 to 7"),
    (2, 2, np.zeros((2, 3), int), r"found int64 weights of shape \(2, 3\), expected integers of shape \(2, 2\)"),
    (2, 2, np.zeros((2, 2)), "found float64 weights"),
])
def test_networks_that_do_not_fit(inputs: int, size: int, weights: np.ndarray, text: str) -> None:
    with pytest.raises(OdinError, match=text):
        map_network(inputs, {"out": Population(np.full(size, 9))}, [Connection("input", "out", weights)])


def test_names_that_are_not_there() -> None:
    with pytest.raises(OdinError, match="no such population, expected a source of input, out and a target of out"):
        map_network(2, {"out": Population(np.full(2, 9))}, [Connection("hidden", "out", np.zeros((2, 2), int))])
    with pytest.raises(OdinError, match="population 'input'"):
        map_network(2, {"input": Population(np.full(2, 9))}, [])
