"""Laws of rate coding: the rate of QCFS neurons converges, and integers fire exactly when the real SNN does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwsim.convert.evaluate import run_batch
from hwsim.convert.folded import fold
from hwsim.convert.integers import ConversionError, Widths, input_unit
from hwsim.convert.rate import to_rate
from hwsim.snn.network import INPUT
from hwsim.snn.validate import validate_network
from hwsim.sources.activations import Lsq, Qcfs
from tests.convert.sources import (
    MEAN,
    PIXEL,
    STD,
    as_inputs,
    exact_torch_network,
    float_ann,
    float_snn,
    one_neuron,
    payload_grid,
    populations_of,
    random_source,
    real_populations,
    worth_of_logits,
)


def test_rate_converges_to_the_clipped_input() -> None:
    """|theta n / T - clip(z, 0, theta)| <= theta / (2 T) for every z and T, in integers: half of theta / T is V(0)'s work."""
    payloads = np.arange(-127, 128).reshape(-1, 1, 1, 1)
    for threshold in (0.31, 0.5, 0.77):
        errors = []
        for timesteps in (1, 2, 3, 4, 8, 13, 32, 64):
            network = to_rate(one_neuron(16, threshold), timesteps)
            layer = network.layers[0]
            theta, weight = int(layer.thresholds[0]), int(layer.connections[0].weights[0])
            planes, _ = run_batch(network, as_inputs(payloads))
            spikes = planes["relay"].astype(int).sum(axis=1).ravel()
            z = weight * payloads.ravel()
            twice = np.abs(2 * (theta * spikes - timesteps * np.clip(z, 0, theta)))
            assert twice.max() <= theta
            errors.append(float(twice.max()) / (2 * theta * timesteps))
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < 0.01


@pytest.mark.parametrize("timesteps", [1, 2, 4, 7, 16])
def test_first_layer_fires_its_trained_level(timesteps: int) -> None:
    """T = Q with levels 0 to Q: a constant current makes as many spikes as QCFS has levels. Here clip at Q is right."""
    rng = np.random.default_rng(timesteps)
    source = random_source(rng, exact=True, levels=timesteps, top=timesteps)
    grid = payload_grid(rng, source, 8)
    planes, _ = run_batch(to_rate(source, timesteps), as_inputs(grid))
    layer = source.layers[0]
    levels = float_ann(source, grid * PIXEL)["conv1"] / (layer.threshold / timesteps)
    np.testing.assert_allclose(planes["conv1"].sum(axis=1), levels, rtol=1e-12)
    assert levels.max() == timesteps


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("pool_mode", ["folded", "unit"])
def test_every_spike_is_that_of_a_float_simulation(seed: int, pool_mode: str) -> None:
    """The same integer weights in float64, by matrices, one timestep of all layers after the other."""
    rng = np.random.default_rng(seed)
    source, steps = random_source(rng), int(rng.integers(1, 9))
    network = to_rate(source, steps, Widths(weight_bits=int(rng.integers(4, 12)), pool_mode=pool_mode))
    assert validate_network(network) == []
    grid = payload_grid(rng, source, 4)
    assert_same(network, populations_of(network), grid, 1.0, steps)


@pytest.mark.parametrize("seed", range(6))
def test_every_spike_is_that_of_the_real_snn(seed: int) -> None:
    """Real weights, real thresholds, a spike worth lambda: dyadic, so the integers must be the same network."""
    rng = np.random.default_rng(seed)
    source, steps = random_source(rng, exact=True), int(rng.integers(1, 9))
    units = {INPUT: input_unit(source, Widths())} | {layer.name: layer.threshold for layer in source.layers[:-1]}
    truth = real_populations(source)
    assert_same(to_rate(source, steps), truth, payload_grid(rng, source, 4) * PIXEL, worth_of_logits(source, units), steps)


def assert_same(network, populations, inputs, scale: float, steps: int) -> None:
    """scale: real value of one step of the logits' integers."""
    integers = inputs if inputs.dtype.kind == "i" else inputs / PIXEL
    planes, logits = run_batch(network, as_inputs(integers))
    run = float_snn(populations, inputs, steps)
    for name, spikes in run.spikes.items():
        assert 0.02 < spikes.mean() < 0.98, "silent or saturated neurons say nothing"
        np.testing.assert_array_equal(planes[name], spikes, err_msg=name)
    truth = run.potentials["out"].reshape(len(logits), -1)
    if scale == 1.0:
        # The integer read-out takes its bias for all timesteps at once.
        truth = truth - (steps - 1) * populations[-1].bias.ravel()
    np.testing.assert_array_equal(logits * scale, truth)


@pytest.mark.parametrize("noise", [False, True])
def test_threshold_of_a_noise_adaptor_is_p_times_s(noise: bool) -> None:
    """Paper 003, Eq. 6: theta = p s, U(0) = theta / 2, at the scale of the layer's weights."""
    step, p = 0.5, 8
    rng = np.random.default_rng(5)
    network = exact_torch_network(rng, p, lambda threshold: Lsq(p, threshold, noise))
    for activation in network.activations().values():
        activation.start_at(step * p)
    source = fold(network, [MEAN, MEAN], [STD, STD])
    assert [layer.threshold for layer in source.layers] == [step * p] * 3 + [0.0]
    converted = to_rate(source, 4)
    for layer, made in zip(source.layers[:-1], converted, strict=False):
        unit = PIXEL if layer.connections[0].geometry.source == INPUT else step * p
        scale = 127 / max(np.abs(c.weights).max() * unit for c in layer.connections)
        assert made.thresholds.tolist() == [round(step * p * scale)] * 4
        assert made.initial_potential.item() == made.thresholds[0] // 2
    qcfs = exact_torch_network(np.random.default_rng(5), p, lambda threshold: Qcfs(p, p, step * p))
    twin = to_rate(fold(qcfs, [MEAN, MEAN], [STD, STD]), 4)
    inputs = as_inputs(payload_grid(rng, source, 3))
    with torch.no_grad():
        assert (run_batch(twin, inputs)[1] == run_batch(converted, inputs)[1]).all(), "p s of LSQ is lambda of QCFS"


def test_refuses_timesteps_that_no_trace_has() -> None:
    source = random_source(np.random.default_rng(0))
    for steps in (0, 65):
        with pytest.raises(ConversionError, match=f"timesteps is {steps}, expected 1 to 64"):
            to_rate(source, steps)
