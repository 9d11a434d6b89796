"""Laws: what each neuron model declares of itself is what its `emit` does. Models come from the registry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwsim.snn.network import Layer
from hwsim.snn.neurons import MODELS, Neuron
from tests.extending.halving import Halving

EVERY = [model() for model in (*MODELS.values(), Halving)]
SENDING = [neuron for neuron in EVERY if neuron.sends != "nothing"]
T, SHAPE = 4, (3, 2, 2)

models = pytest.mark.parametrize("neuron", EVERY, ids=lambda neuron: neuron.model)
sending = pytest.mark.parametrize("neuron", SENDING, ids=lambda neuron: neuron.model)


def layer(neuron: Neuron, unit: int = 2) -> Layer:
    """One whose output is worth `unit`: four timesteps, or 5-bit values in one."""
    steps = 1 if neuron.sends_values else T
    thresholds = np.full(neuron.thresholds_needed(steps), neuron.threshold(unit, steps), np.int64)
    return Layer("a", SHAPE, (), neuron, steps, thresholds, payload_bits=5 if neuron.sends_values else 0,
                 stages=(0, 1, T) if neuron.staged else ())


def random_sums(seed: int, planes: int = T) -> np.ndarray:
    return np.random.default_rng(seed).integers(-3, 8, (planes, *SHAPE))


def worth(neuron: Neuron, outputs: np.ndarray) -> np.ndarray:
    weights = 1 << np.arange(len(outputs))[::-1] if neuron.weighs_planes else np.ones(len(outputs), np.int64)
    return np.tensordot(weights, outputs, 1)


@models
def test_what_leaves_is_what_it_sends(neuron: Neuron) -> None:
    for seed in range(20):
        one = layer(neuron)
        outputs, potentials = neuron.emit(random_sums(seed), one)
        assert outputs.shape == ((one.timesteps if one.sends else 0), *SHAPE)
        assert potentials.shape == SHAPE
        assert outputs.max(initial=0) < 1 << max(1, one.payload_bits)
        assert outputs.min(initial=0) >= 0
        if neuron.fires_once:
            assert outputs.sum(axis=0).max() <= 1


@sending
def test_its_largest_output_is_reached_and_not_exceeded(neuron: Neuron) -> None:
    one = layer(neuron)
    flood = np.full((T, *SHAPE), 1 << 20)
    assert set(worth(neuron, neuron.emit(flood, one)[0]).flat) == {neuron.largest_output(one)}
    for seed in range(20):
        assert worth(neuron, neuron.emit(random_sums(seed), one)[0]).max() <= neuron.largest_output(one)


@pytest.mark.parametrize("neuron", [n for n in SENDING if n.writes_numbers], ids=lambda neuron: neuron.model)
def test_the_last_bit_or_level_of_a_number_is_worth_its_unit(neuron: Neuron) -> None:
    for unit in (1, 2, 3, 10):
        sums = np.arange(12).reshape(1, *SHAPE)
        np.testing.assert_array_equal(worth(neuron, neuron.emit(sums, layer(neuron, unit))[0]), sums[0] // unit)


@models
def test_a_model_that_sums_planes_sees_nothing_but_their_sum(neuron: Neuron) -> None:
    same = True
    for seed in range(20):
        one, sums = layer(neuron), random_sums(seed)
        if neuron.sums_planes:
            np.testing.assert_array_equal(neuron.emit(sums, one)[0], neuron.emit(sums.sum(0, keepdims=True), one)[0])
        same &= all(np.array_equal(a, b) for a, b in zip(neuron.emit(sums, one), neuron.emit(sums[::-1], one), strict=True))
    assert same == neuron.sums_planes


@sending
def test_a_model_in_time_needs_no_later_input(neuron: Neuron) -> None:
    same = True
    for seed in range(20):
        sums, one = random_sums(seed), layer(neuron)
        later = np.concatenate([sums[: one.timesteps // 2 + 1], sums[one.timesteps // 2 + 1:] + 9])
        shown = slice(one.timesteps // 2 + 1 if one.timesteps > 1 else 0)
        same &= np.array_equal(neuron.emit(sums, one)[0][shown], neuron.emit(later, one)[0][shown])
    assert same == neuron.in_time


@models
def test_a_bias_enters_in_each_step_or_once(neuron: Neuron) -> None:
    one = replace(layer(neuron, 1 << 20), bias=np.full((1, 1, 1), 7))
    sums = np.abs(random_sums(0))  # no potential is negative, so a two-stage neuron stays on
    more = neuron.emit(sums, one)[1] - neuron.emit(sums, replace(one, bias=None))[1]
    steps = T - (one.stages[1] if one.stages else 0)
    assert set(more.flat) == {7 * (steps if neuron.adds_each_step else 1)}
