"""Laws of threshold and output scaling (paper 001): Algorithm 1 against its printed loops, and what beta does."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hwsim.convert.alpha_beta import BETAS, Scaling, algorithm_1, loss, scaling_factors, staircase, to_alpha_beta
from hwsim.convert.evaluate import run_batch
from hwsim.convert.folded import FoldedSource
from hwsim.convert.integers import ConversionError, Widths
from hwsim.snn.network import Layer
from hwsim.snn.neurons import IntegrateAndFire
from hwsim.snn.validate import validate_network
from tests.convert.sources import (
    PIXEL,
    Population,
    as_inputs,
    float_ann,
    float_snn,
    matrix,
    payload_grid,
    random_source,
)


def compute_loss(p_all: list, mu, alpha, beta, timesteps: int, border_twice: bool = False):
    """ComputeLoss as printed. A percentile on the border of two segments i is in both as printed; once, in the lower
    one, unless border_twice: there a neuron that fires at U > V is."""
    total = 0
    for p in p_all:
        for i in range(timesteps):
            if i * alpha * mu / timesteps <= p <= (i + 1) * alpha * mu / timesteps:
                total = total + (p - i * alpha * beta * mu / timesteps)
                if not border_twice:
                    break
        if alpha * mu < p <= mu:
            total = total + (p - alpha * beta * mu)
        elif p > mu:
            total = total + mu * (1 - alpha * beta)
    return total


def find_scaling_factors(p_all: list, mu, timesteps: int):
    """FindScalingFactors as printed: (alpha, beta, loss)."""
    alpha_f, beta_f = Fraction(1), Fraction(1)
    best = compute_loss(p_all, mu, alpha_f, beta_f, timesteps)
    for p in p_all:
        for j in range(201):
            found = compute_loss(p_all, mu, p / mu, Fraction(j, 100), timesteps)
            if abs(found) < abs(best):
                alpha_f, beta_f, best = p / mu, Fraction(j, 100), found
    return alpha_f, beta_f, best


def percentiles(rng: np.random.Generator, count: int, mu: float) -> np.ndarray:
    """Skewed as activations are, a few on mu itself; multiples of 1/64."""
    values = np.floor(np.minimum(rng.exponential(mu / 4, count), mu) * 64) / 64
    values[:2] = 0, mu
    return np.sort(values)


@pytest.mark.parametrize("timesteps", [1, 2, 3, 5])
def test_chosen_factors_are_the_first_minimum_of_the_printed_grid(timesteps: int) -> None:
    """In fractions, over every alpha and beta: with borders, repeated percentiles and zeros among them."""
    for seed in range(2):
        rng = np.random.default_rng((seed, timesteps))
        mu = float(rng.choice((1.5, 3.0, 4.0)))
        values = percentiles(rng, 8, mu)
        alpha, beta, least = find_scaling_factors([Fraction(v) for v in values], Fraction(mu), timesteps)
        found = scaling_factors(values, mu, timesteps)
        assert (found.alpha, found.beta) == (pytest.approx(float(alpha)), float(beta))
        assert found.loss == pytest.approx(float(least), abs=1e-9)


def test_no_other_factors_leave_less() -> None:
    """101 percentiles as calibration gives them, every (alpha, beta) by loss(): none is nearer to zero."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        mu, timesteps = float(rng.uniform(0.5, 5)), int(rng.integers(1, 6))
        values = np.sort(np.minimum(rng.exponential(mu / 3, 101), mu))
        found = scaling_factors(values, mu, timesteps)
        assert found.loss == pytest.approx(loss(values, mu, found.alpha, found.beta, timesteps), abs=1e-9)
        least = min(abs(loss(values, mu, p / mu, b, timesteps)) for p in values[values > 0] for b in BETAS[::5])
        assert abs(found.loss) <= least + 1e-9


def test_the_loss_that_is_reported_is_that_of_the_factors() -> None:
    """(p / mu) * mu is not always p in floats; on which step p is must not hang on that."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        values = np.sort(rng.exponential(1, 30))
        mu, timesteps = float(values[-4] * 1.01), int(rng.integers(1, 9))
        found = scaling_factors(values, mu, timesteps)
        assert found.loss == pytest.approx(loss(values, mu, found.alpha, found.beta, timesteps), abs=1e-9)


def test_equal_losses_change_nothing() -> None:
    """Line 23 asks for less, strictly. One timestep and one value send nothing at any alpha and beta: (1, 1) stays."""
    assert scaling_factors(np.array([0.0, 0.5]), 1.0, 1) == Scaling(1.0, 1.0, 0.5)


def test_loss_is_the_printed_loops() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        mu, timesteps = 4.0, int(rng.integers(1, 7))
        values = percentiles(rng, 30, mu)
        alpha, beta = Fraction(int(rng.integers(1, 65)), 64), Fraction(int(rng.integers(0, 201)), 100)
        exact = [Fraction(v) for v in values]
        found = loss(values, mu, float(alpha), float(beta), timesteps)
        assert found == pytest.approx(float(compute_loss(exact, Fraction(mu), alpha, beta, timesteps)), abs=1e-9)
        borders = {Fraction(i) * alpha * 4 / timesteps for i in range(1, timesteps)}
        if not borders & set(exact):
            assert compute_loss(exact, 4, alpha, beta, timesteps, border_twice=True) == pytest.approx(found, abs=1e-9)


def test_percentiles_above_mu_are_left_out() -> None:
    """The paper's M is the largest index with P[M] <= mu."""
    values = np.array([0.0, 0.5, 0.9, 1.4, 2.0])
    assert loss(values, 1.0, 0.5, 1.2, 2) == loss(values[:3], 1.0, 0.5, 1.2, 2)
    assert scaling_factors(values, 1.0, 2) == scaling_factors(values[:3], 1.0, 2)


@pytest.mark.parametrize("timesteps", [1, 2, 3, 4, 8])
def test_staircase_is_what_a_strict_neuron_sends(timesteps: int) -> None:
    """U > V with soft reset and a constant input, in integers: V(0) = -1 and U >= V, for every input, borders included."""
    theta = 24
    inputs = np.arange(-5, 3 * theta)
    layer = Layer("n", (len(inputs), 1, 1), (), IntegrateAndFire(), timesteps, np.full(timesteps, theta),
                  initial_potential=np.full((1, 1, 1), -1))
    fired, _ = layer.neuron.emit(np.repeat(inputs[None, :, None, None], timesteps, axis=0), layer)
    u, sent = np.zeros(len(inputs)), np.zeros(len(inputs))
    for _ in range(timesteps):
        u = u + inputs
        sent, u = sent + (u > theta), u - theta * (u > theta)
    np.testing.assert_array_equal(fired.sum(axis=0).ravel(), sent)
    np.testing.assert_array_equal(staircase(inputs.astype(float), float(theta), timesteps), sent)


def scaled_populations(source: FoldedSource, found: dict[str, Scaling]) -> list[Population]:
    """Eq. 8: a spike is worth beta V outright, weights as they were trained, U > V, nothing at the start."""
    return [Population(
        layer.name, layer.shape,
        tuple((c.geometry.source, matrix(c.geometry, c.weights, layer.shape)) for c in layer.connections),
        layer.bias[:, None, None], 0.0,
        *((0.0, 0.0) if not layer.fires else
          (found[layer.name].alpha * layer.threshold, found[layer.name].beta * found[layer.name].alpha * layer.threshold)),
        strict=True,
    ) for layer in source.layers]


def test_beta_in_the_weights_is_scaling_the_outputs() -> None:
    """Dyadic sources and factors, alpha beta alike, so that integers can be equal to the real SNN: every spike is."""
    found = {"conv1": Scaling(0.5, 1.0, 0.0), "conv2": Scaling(0.25, 2.0, 0.0), "conv3": Scaling(1.0, 0.5, 0.0)}
    for seed in range(5):
        rng = np.random.default_rng(seed)
        source = random_source(rng, exact=True)
        network = to_alpha_beta(source, 4, found)
        assert validate_network(network) == []
        grid = payload_grid(rng, source, 6)
        planes, _ = run_batch(network, as_inputs(grid))
        run = float_snn(scaled_populations(source, found), grid * PIXEL, 4)
        for name, spikes in run.spikes.items():
            assert 0.02 < spikes.mean() < 0.98
            np.testing.assert_array_equal(planes[name], spikes, err_msg=name)


def test_conversion_follows_the_real_snn_with_the_factors_of_algorithm_1() -> None:
    """16-bit weights: what rounds is far below what beta changes, so nearly every spike is the real one's."""
    rng = np.random.default_rng(11)
    source, widths = random_source(rng), Widths(weight_bits=16)
    grid = payload_grid(rng, source, 16)
    relu = float_ann(source, grid * PIXEL, lambda z, layer: np.clip(z, 0, layer.threshold))
    seen = {layer.name: np.percentile(relu[layer.name], np.arange(101)) for layer in source.layers if layer.fires}
    found = algorithm_1(source, 3, seen)
    network = to_alpha_beta(source, 3, found, widths)
    assert all(f.beta != 1 for f in found.values())
    planes, _ = run_batch(network, as_inputs(grid))
    run = float_snn(scaled_populations(source, found), grid * PIXEL, 3)
    unscaled = {name: Scaling(f.alpha, 1.0, 0.0) for name, f in found.items()}
    wrong = float_snn(scaled_populations(source, unscaled), grid * PIXEL, 3)
    for name, spikes in run.spikes.items():
        assert (planes[name] != spikes).mean() < 0.003
        assert name == "conv1" or (planes[name] != wrong.spikes[name]).mean() > 0.01


def test_refuses_layers_without_percentiles_and_wrong_timesteps() -> None:
    source = random_source(np.random.default_rng(0))
    with pytest.raises(ConversionError, match="layer conv2: no percentiles of its activations, .* calibrate first"):
        algorithm_1(source, 2, {"conv1": np.linspace(0, 1, 101)})
    with pytest.raises(ConversionError, match="timesteps is 0, expected 1 to 64"):
        to_alpha_beta(source, 0, {})
