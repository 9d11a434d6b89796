"""Laws of SRP (paper 002): Theorem 1 on random spike trains, and the two-stage network is two runs with a mask."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.convert.evaluate import run_batch
from hwsim.convert.integers import ConversionError, Widths, input_unit
from hwsim.convert.rate import to_rate, to_two_stage
from hwsim.snn.network import INPUT, Layer
from hwsim.snn.neurons import IntegrateAndFire
from hwsim.snn.validate import validate_network
from tests.convert.sources import (
    PIXEL,
    Population,
    as_inputs,
    float_snn,
    payload_grid,
    populations_of,
    random_source,
    real_populations,
    worth_of_logits,
)

TRIALS = 20_000


@pytest.mark.parametrize("theta", [16, 17, 100])
def test_theorem_1_on_random_trains(theta: int) -> None:
    """A neuron, V(0) = theta / 2, 8 synapses with random weights, random trains of T: L = T, lambda = theta.

    phi is its rate in spikes, a the QCFS level of the same total input. (i) a = 0: V(T) < 0 implies phi >= a, and phi > a
    implies V(T) < 0. (ii) a > 0: V(T) < 0 exactly when phi > a.
    """
    seen = np.zeros(4, int)
    for timesteps in (2, 4, 8):
        rng = np.random.default_rng((theta, timesteps))
        trains = (rng.random((timesteps, 8, TRIALS)) < rng.random((1, 8, TRIALS))).astype(np.int64)
        weights = rng.integers(-theta, theta + 1, (8, TRIALS))
        sums = (trains * weights).sum(axis=1).reshape(timesteps, TRIALS, 1, 1)
        layer = Layer("n", (TRIALS, 1, 1), (), IntegrateAndFire(), timesteps, np.full(timesteps, theta),
                      initial_potential=np.full((1, 1, 1), theta // 2))
        fired, v = layer.neuron.emit(sums, layer)
        phi, negative = fired.sum(axis=0).ravel(), v.ravel() < 0
        total = sums.sum(axis=0).ravel()
        a = np.clip((2 * total + theta) // (2 * theta), 0, timesteps)  # floor(y T / theta + 1/2)
        none = a == 0
        assert (phi[none & negative] >= 0).all()
        assert negative[none & (phi > 0)].all()
        np.testing.assert_array_equal(negative[~none], phi[~none] > a[~none])
        seen += [(none & (phi > 0)).sum(), (none & (phi == 0) & negative).sum(), (~none & negative).sum(),
                 (~none & ~negative).sum()]
    assert (seen > 500).all(), "every case must occur"


def two_runs(populations: list[Population], inputs: np.ndarray, tau: int, steps: int) -> tuple[dict, dict, dict, np.ndarray]:
    """Algorithm 1: spikes of both runs, masks, and the read-out's potentials of the second run."""
    trial = float_snn(populations, inputs, tau)
    on = {name: trial.potentials[name] >= 0 for name in trial.spikes}
    counted = float_snn(populations, inputs, steps, on)
    return trial.spikes, counted.spikes, on, counted.potentials["out"].reshape(len(inputs), -1)


def assert_two_runs(network, populations, integers, inputs, scale: float, tau: int, steps: int) -> None:
    planes, logits = run_batch(network, as_inputs(integers))
    trial, counted, on, potentials = two_runs(populations, inputs, tau, steps)
    for name in trial:
        np.testing.assert_array_equal(planes[name], np.concatenate([trial[name], counted[name]], axis=1), err_msg=name)
        assert 0.01 < (~on[name]).mean() < 0.99
        assert not planes[name][:, tau:][~np.repeat(on[name][:, None], steps, axis=1)].any(), "a masked neuron fired"
    bias = 0.0 if scale != 1.0 else (steps - 1) * populations[-1].bias.ravel()
    np.testing.assert_array_equal(logits * scale, potentials - bias)


@pytest.mark.parametrize("seed", range(6))
def test_equals_two_runs_with_a_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, tau, steps = random_source(rng), int(rng.integers(1, 6)), int(rng.integers(1, 6))
    network = to_two_stage(source, steps, tau, Widths(pool_mode=str(rng.choice(("folded", "unit")))))
    assert validate_network(network) == []
    grid = payload_grid(rng, source, 6)
    assert_two_runs(network, populations_of(network), grid, grid, 1.0, tau, steps)


@pytest.mark.parametrize("seed", range(4))
def test_equals_two_runs_of_the_real_snn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, tau, steps = random_source(rng, exact=True), 4, int(rng.integers(1, 6))
    units = {INPUT: input_unit(source, Widths())} | {layer.name: layer.threshold for layer in source.layers[:-1]}
    grid = payload_grid(rng, source, 6)
    assert_two_runs(to_two_stage(source, steps, tau), real_populations(source), grid, grid * PIXEL,
                    worth_of_logits(source, units), tau, steps)


def test_first_stage_is_the_rate_network() -> None:
    rng = np.random.default_rng(1)
    source = random_source(rng)
    inputs = as_inputs(payload_grid(rng, source, 4))
    staged, plain = run_batch(to_two_stage(source, 3, 5), inputs)[0], run_batch(to_rate(source, 5), inputs)[0]
    for name, spikes in plain.items():
        np.testing.assert_array_equal(staged[name][:, :5], spikes)


def test_refuses_a_first_stage_that_is_none() -> None:
    source = random_source(np.random.default_rng(0))
    for tau in (0, -1):
        with pytest.raises(ConversionError, match=f"tau is {tau}, expected 1 or more timesteps in the first stage"):
            to_two_stage(source, 4, tau)
    with pytest.raises(ConversionError, match="timesteps is 0, expected 1 to 64"):
        to_two_stage(source, 0, 4)
    with pytest.raises(ConversionError, match="timesteps is 66, expected 1 to 64"):
        to_two_stage(source, 60, 6)
