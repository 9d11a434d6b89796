"""Laws of `hwsim.trace.unevenness`: what comes evenly leaves no difference; order changes what is fired, not what would be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.snn.evenness import cases_of
from hwsim.snn.forward import forward, layer_sums
from hwsim.snn.network import INPUT, Layer
from hwsim.snn.neurons import BitSerial, IntegrateAndFire, TwoStage
from hwsim.trace.manifest import TraceError
from hwsim.trace.reader import Trace
from hwsim.trace.synth import synthesise
from hwsim.trace.unevenness import unevenness

METHODS = Path(__file__).parents[2] / "traces" / "methods"


def layer_of(neuron: IntegrateAndFire | TwoStage, theta: int, steps: int, tau: int = 0, start: int = 0, bias: int = 0) -> Layer:
    return Layer("one", (6, 1, 1), (), neuron, steps, np.full(steps, theta), np.full((1, 1, 1), bias),
                 np.full((1, 1, 1), start), stages=(0, tau, steps) if tau else ())


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 40), st.integers(1, 9), st.lists(st.integers(-60, 60), min_size=6, max_size=6), st.integers(-5, 5),
       st.data())
def test_input_that_comes_evenly_is_fired_as_counted(
    theta: int, steps: int, each: list[int], bias: int, data: st.DataObject
) -> None:
    """Constant input, from a start that is below the threshold: the closed form is what the neuron does."""
    start = data.draw(st.integers(0, theta - 1))
    sums = np.broadcast_to(np.array(each).reshape(1, 6, 1, 1), (steps, 6, 1, 1)).astype(np.int64)
    layer = layer_of(IntegrateAndFire(), theta, steps, start=start, bias=bias)
    fired, _ = layer.neuron.emit(sums, layer)
    assert np.array_equal(layer.neuron.even(sums, layer), fired.sum(axis=0))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_order_in_time_changes_nothing_of_what_would_come_evenly(seed: int, steps: int) -> None:
    random = np.random.default_rng(seed)
    sums = random.integers(-30, 30, (2 * steps, 6, 1, 1))
    for neuron, tau in ((IntegrateAndFire(), 0), (TwoStage(), steps)):
        layer = layer_of(neuron, 17, 2 * steps, tau, start=8)
        counted = np.concatenate([sums[:tau], random.permutation(sums[tau:])])
        assert np.array_equal(layer.neuron.even(sums, layer), layer.neuron.even(counted, layer))


def test_every_neuron_that_differs_is_in_one_case() -> None:
    even, fired = (np.array(values) for values in ((0, 0, 1, 1, 1, 2, 3, 4, 4), (0, 2, 1, 3, 0, 1, 4, 4, 1)))
    assert cases_of(even, fired, 4).tolist() == [1, 2, 2, 1]
    assert cases_of(even, fired, 4).sum() == np.count_nonzero(even != fired)


def test_what_a_direct_input_feeds_is_even_and_uneven_behind_it() -> None:
    """A current is the same in each timestep. Behind it spikes are uneven, for nothing most of all (paper 002, observation 1)."""
    with Trace.open(METHODS / "cifar10_resnet20_rate_t4.h5") as trace:
        first, *others = unevenness(trace, 1)
    assert first.uneven == first.error == 0
    for one in others:
        assert one.cases is not None
        assert one.cases[0] == max(one.cases) > 0, one.layer


def test_two_stages_never_fire_for_nothing_where_both_stages_see_the_same() -> None:
    """Theorem 1 of paper 002: behind a layer that sends the same in both stages, a neuron of case 1 ends the first below zero."""
    with Trace.open(METHODS / "fashion_mnist_tiny_two_stage_tau4_t4.h5") as two, Trace.open(
            METHODS / "fashion_mnist_tiny_rate_t4.h5") as one:
        staged, plain = unevenness(two, 8), unevenness(one, 8)
    assert (staged[1].layer, staged[1].timesteps) == ("conv2", 4)
    assert staged[1].cases[0] == 0 < plain[1].cases[0]
    assert [each.activity[:4] for each in staged[:3]] == [each.activity for each in plain[:3]], "the first stage is a rate code"


def test_where_all_input_is_looked_at_once_nothing_is_said() -> None:
    trace = synthesise("tiny", samples=2, coding="bit_serial")
    assert all(layer.cases is None and layer.error is None for layer in unevenness(trace))
    shares = [np.mean([(trace.sample(n).recorded[one.layer] != 0).mean(axis=(1, 2, 3)) for n in range(2)], axis=0)
              for one in unevenness(trace)]
    assert [one.activity for one in unevenness(trace)] == [pytest.approx(tuple(share)) for share in shares]
    for neuron in (IntegrateAndFire("hard"), IntegrateAndFire(leak_shift=2), BitSerial()):
        assert neuron.even(np.zeros((4, 6, 1, 1), np.int64), layer_of(IntegrateAndFire(), 5, 4)) is None
    uneven = layer_of(IntegrateAndFire(), 5, 2)
    uneven.thresholds[1] = 6
    assert uneven.neuron.even(np.zeros((2, 6, 1, 1), np.int64), uneven) is None


def test_the_replayed_sums_are_those_that_were_counted() -> None:
    """The recorded spikes, fired again from the recorded input, are the recorded ones: nothing of another layer is counted."""
    trace = synthesise("tiny", samples=1, seed=3)
    sample = trace.sample(0)
    planes = {INPUT: sample.inputs, **sample.recorded}
    again, _ = forward(trace.network, sample.inputs)
    for layer in trace.network:
        if layer.sends:
            fired, _ = layer.neuron.emit(layer_sums(trace.network, layer, planes), layer)
            assert np.array_equal(fired.transpose(0, 2, 3, 1), again[layer.name])


def test_bad_input_is_told() -> None:
    trace = synthesise("tiny", samples=1)
    with pytest.raises(TraceError, match="samples: found 2, expected 1 to 1"):
        unevenness(trace, 2)
    spikes = Trace.from_arrays(np.zeros((1, 2, 1, 4, 4), bool), [{"name": "conv", "shape": (1, 4, 4), "operator": "conv2d",
                                                                  "kernel": 1}], {"conv": np.zeros((1, 2, 1, 4, 4), bool)})
    with pytest.raises(TraceError, match="no weights"):
        unevenness(spikes)
