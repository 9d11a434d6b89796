"""Laws of bit-serial conversion (paper 000): lossless at T = log2 Q, in any order of bits, and what is lost below it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from hwsim.arch import Architecture
from hwsim.convert.bit_serial import to_bit_serial, to_quantised_ann
from hwsim.convert.evaluate import run_batch
from hwsim.convert.folded import FoldedSource, fold
from hwsim.convert.integers import ConversionError, Widths, input_unit
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.simulation import make_program
from hwsim.snn.forward import forward
from hwsim.snn.network import INPUT, Network
from hwsim.snn.sample import Sample
from hwsim.snn.validate import validate_network
from hwsim.sources.activations import Lsq, Qcfs
from tests.convert.sources import (
    MEAN,
    PIXEL,
    STD,
    as_inputs,
    exact_torch_network,
    float_ann,
    one_neuron,
    payload_grid,
    qcfs,
    random_source,
    worth_of_logits,
)

POOL_MODES = ("folded", "unit")


def levels_of(planes: np.ndarray) -> np.ndarray:
    """Bit planes (N, T, ...), most significant first, as whole numbers (N, ...)."""
    return np.tensordot(planes, 2 ** np.arange(planes.shape[1])[::-1], (1, 0))


def assert_equals_the_ann(source: FoldedSource, network: Network, grid: np.ndarray, truth: dict[str, np.ndarray]) -> None:
    """Every neuron and logit of the bit-serial network is the ANN's; truth: real outputs by layer name."""
    assert validate_network(network) == []
    planes, logits = run_batch(network, as_inputs(grid))
    units = {INPUT: input_unit(source, Widths())}
    for layer, made in zip(source.layers[:-1], network, strict=False):
        units[layer.name] = layer.threshold / (1 << made.timesteps)
        found = levels_of(planes[layer.name]) * units[layer.name]
        np.testing.assert_array_equal(found, truth[layer.name], err_msg=layer.name)
    # All numbers are dyadic, so the scale that gave these integers is exact.
    np.testing.assert_array_equal(logits * worth_of_logits(source, units), truth["out"].reshape(len(grid), -1))


@pytest.mark.parametrize("timesteps", range(1, 6))
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_qcfs_ann_on_every_neuron_and_logit(timesteps: int, seed: int) -> None:
    """The truth is computed in float64 matrices on dyadic numbers: joins, groups, strides and pooling included."""
    rng = np.random.default_rng((seed, timesteps))
    source = random_source(rng, exact=True, levels=1 << timesteps)
    assert input_unit(source, Widths()) == PIXEL
    grid = payload_grid(rng, source, 6)
    truth = float_ann(source, grid * PIXEL)
    for mode in POOL_MODES:
        assert_equals_the_ann(source, to_bit_serial(source, timesteps, Widths(pool_mode=mode)), grid, truth)
    for layer in source.layers[:-1]:
        levels = truth[layer.name] / (layer.threshold / layer.levels)
        assert len(np.unique(levels)) > 0.6 * (1 << timesteps), f"{layer.name}: most levels must be reached, or nothing is said"


@pytest.mark.parametrize("timesteps", range(1, 6))
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_torch_network_with_batchnorm(timesteps: int, seed: int) -> None:
    """Means, variances and negative gains that are not trivial; torch in double precision is the truth."""
    rng = np.random.default_rng((seed, timesteps))
    levels = 1 << timesteps
    network = exact_torch_network(rng, levels, lambda threshold: Qcfs(levels, levels - 1, threshold))
    source = fold(network, [MEAN, MEAN], [STD, STD])
    assert np.abs(source.layers[1].bias).max() > 0
    grid = payload_grid(rng, source, 6)
    with torch.no_grad():
        truth = {name: x.numpy() for name, x in network.outputs(torch.from_numpy(grid * PIXEL)).items()}
    for mode in POOL_MODES:
        assert_equals_the_ann(source, to_bit_serial(source, timesteps, Widths(pool_mode=mode)), grid, truth)


@pytest.mark.parametrize("timesteps", range(1, 6))
def test_equals_the_quantised_ann_whatever_the_numbers(timesteps: int) -> None:
    """Real weights that round: the integer ANN and the SNN round alike, so they stay equal; narrow weights too."""
    for seed in range(3):
        rng = np.random.default_rng((seed, timesteps))
        source = random_source(rng, levels=1 << timesteps)
        grid = payload_grid(rng, source, 4)
        for widths in (Widths(), Widths(weight_bits=11, payload_bits=10, pool_mode="unit")):
            spiking, quantised = to_bit_serial(source, timesteps, widths), to_quantised_ann(source, timesteps, widths)
            assert validate_network(quantised) == []
            bits, logits = run_batch(spiking, as_inputs(grid))
            values, twin = run_batch(quantised, as_inputs(grid))
            np.testing.assert_array_equal(logits, twin)
            for name in bits:
                np.testing.assert_array_equal(levels_of(bits[name]), values[name][:, 0])


@pytest.mark.parametrize("timesteps", [2, 4])
def test_neurons_round_their_integer_potential_as_qcfs_does(timesteps: int) -> None:
    """In fractions, layer by layer: clip(floor(z / lsb + 1/2), 0, 2**T - 1) of the sum z of each neuron."""
    rng = np.random.default_rng(timesteps)
    source = random_source(rng, levels=1 << timesteps)
    network = to_bit_serial(source, timesteps)
    recorded, potentials = forward(network, as_inputs(payload_grid(rng, source, 1))[0])
    for layer in network.layers[:-1]:
        assert int(layer.thresholds[0]) % (1 << timesteps) == 0, "shifts must divide the threshold exactly"
        lsb = Fraction(int(layer.thresholds[0]), 1 << timesteps)
        sent = levels_of(recorded[layer.name][None])[0].transpose(2, 0, 1)
        offset = int(layer.initial_potential.item())
        # The residual gives the sum back: V(T) = z + offset - level * lsb.
        z = potentials[layer.name] - offset + sent * int(lsb)
        for sum_, level in zip(z.flat, sent.flat, strict=True):
            wanted = (Fraction(int(sum_)) / lsb + Fraction(1, 2)).__floor__()
            assert level == min(max(wanted, 0), (1 << timesteps) - 1)


def design(network: Network, shift_at: str) -> Architecture:
    bits = max(layer.potential_bits for layer in network)
    return Architecture.model_validate({
        "name": "wide", "clock": "500 MHz",
        "core": {"kind": "event", "lanes": 4, "weight_bits": 8, "potential_bits": bits, "current_bits": bits,
                 "payload_bits": 8, "fifo_depth": 4, "bypass": True, "shift_at": shift_at},
        "spike_buffer": {"kind": "aer", "capacity": "1 MiB", "address_bits": 16, "scan_bits": 8},
        "memories": {"weight": "64 KiB", "membrane": "64 KiB", "current": "64 KiB", "bias": "16 KiB"},
        "channel": {"bits_per_cycle": 32, "latency_cycles": 4},
    })


@pytest.mark.parametrize("shift_at", ["weight", "membrane"])
@pytest.mark.parametrize("pool_mode", POOL_MODES)
def test_hardware_in_either_order_of_bits_gives_the_ann(shift_at: str, pool_mode: str) -> None:
    """Shifted weights take the least significant plane first, Horner's doubling the most significant: both are lossless
    in both engines, with the potential widths that the conversion chose."""
    rng = np.random.default_rng(7)
    source = random_source(rng, exact=True, levels=8)
    network = to_bit_serial(source, 3, Widths(pool_mode=pool_mode))
    grid = payload_grid(rng, source, 1)
    truth = float_ann(source, grid * PIXEL)
    program = make_program(network, design(network, shift_at), "layer_by_layer")
    recorded, potentials = forward(network, as_inputs(grid)[0])
    for engine in (FastEngine(), ReferenceEngine()):
        record = engine.run_sample(program, Sample(as_inputs(grid)[0], recorded), "computed")
        assert not record.saturations.any()
        assert not record.mismatches[:-1].any()
        np.testing.assert_array_equal(record.potentials["out"], potentials["out"])
        for layer in source.layers[:-1]:
            levels = levels_of(np.asarray(record.outputs[layer.name])[None])[0].transpose(2, 0, 1)
            np.testing.assert_array_equal(levels * layer.threshold / 8, truth[layer.name][0])


# -- below log2 Q -----------------------------------------------------------------------------------------------------


def test_truncation_and_refiring_lose_what_the_closed_form_says() -> None:
    """Uniform inputs on [0, theta], Q = 16, T = 2, error against the trained activation, in thresholds.

    A level k of an activation with step s begins at (k - 1/2) s, so its mean is the sum of s (1 - (k - 1/2) s). Truncated
    levels begin where the trained level 4 k does. -51/512 and -15/512: -.100 and -.029.
    """
    def mean(step: Fraction, begins: Fraction, levels: int) -> Fraction:
        return sum((step * (1 - (k * step - begins)) for k in range(1, levels)), Fraction(0))

    trained = mean(Fraction(1, 16), Fraction(1, 32), 16)
    expected = {"truncate": mean(Fraction(1, 4), Fraction(1, 32), 4) - trained,
                "refire": mean(Fraction(1, 4), Fraction(1, 8), 4) - trained}
    assert expected == {"truncate": Fraction(-51, 512), "refire": Fraction(-15, 512)}
    source, widths = one_neuron(16), Widths(weight_bits=16, payload_bits=16)
    unit = input_unit(source, widths)
    payloads = np.arange(round(1 / unit) + 1).reshape(-1, 1, 1, 1)  # every value of [0, theta]
    inputs = payloads[:, None].astype(np.uint16)
    ann = qcfs(payloads * unit, source.layers[0])
    for below, error in expected.items():
        planes, _ = run_batch(to_bit_serial(source, 2, widths, below), inputs)
        found = (levels_of(planes["relay"]) / 4 - ann).mean()
        assert found == pytest.approx(float(error), abs=2e-4), below


@pytest.mark.parametrize("timesteps", [1, 2, 3, 4])
def test_truncate_sends_the_top_bits_of_the_trained_level(timesteps: int) -> None:
    """floor(level / 2**(4 - T)) of each first-layer neuron's trained level, exactly; refire quantises anew."""
    for seed in range(4):
        rng = np.random.default_rng((seed, timesteps))
        source = random_source(rng, exact=True, levels=16)
        grid = payload_grid(rng, source, 6)
        trained = float_ann(source, grid * PIXEL)["conv1"] / (source.layers[0].threshold / 16)
        planes, _ = run_batch(to_bit_serial(source, timesteps, below="truncate"), as_inputs(grid))
        np.testing.assert_array_equal(levels_of(planes["conv1"]), trained // (1 << (4 - timesteps)))
        again = replace(source, layers=tuple(replace(x, levels=1 << timesteps, top=(1 << timesteps) - 1)
                                             if x.fires else x for x in source.layers))
        assert_equals_the_ann(source, to_bit_serial(source, timesteps), grid, float_ann(again, grid * PIXEL))


def test_truncation_of_integers_is_exact_whatever_the_numbers() -> None:
    """One level of T bits need not be a multiple of 2**(5 - T): flooring the offset must not change a level."""
    rng = np.random.default_rng(3)
    for threshold in rng.uniform(0.3, 0.9, 20):
        source, widths = one_neuron(16, float(threshold)), Widths(weight_bits=int(rng.integers(6, 10)), payload_bits=10)
        payloads = np.arange(-30, 512).reshape(-1, 1, 1, 1)
        network = to_bit_serial(source, 2, widths, "truncate")
        layer = network.layers[0]
        weight, theta = int(layer.connections[0].weights[0]), int(layer.thresholds[0])
        trained = [(Fraction(16 * weight * int(p), theta) + Fraction(1, 2)).__floor__() for p in payloads.flat]
        exact = [min(max(level, 0), 15) // 4 for level in trained]
        planes, _ = run_batch(network, payloads[:, None].astype(np.int16))
        assert levels_of(planes["relay"]).reshape(-1).tolist() == exact


# -- other sources ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [3, 7, 15])
def test_quantised_ann_of_an_lsq_source_has_its_levels(levels: int) -> None:
    """p = 2**b - 1 steps of s fill b bits: one level is s, not p s / 2**b."""
    rng = np.random.default_rng(levels)
    network = exact_torch_network(rng, levels + 1, lambda threshold: Lsq(levels, threshold * levels / (levels + 1), False))
    source = fold(network, [MEAN, MEAN], [STD, STD])
    grid = payload_grid(rng, source, 6)
    with torch.no_grad():
        truth = network.outputs(torch.from_numpy(grid * PIXEL))
    values, _ = run_batch(to_quantised_ann(source, levels.bit_length()), as_inputs(grid))
    for layer in source.layers[:-1]:
        step = layer.threshold / levels
        np.testing.assert_array_equal(values[layer.name][:, 0] * step, truth[layer.name].numpy(), err_msg=layer.name)


def test_refuses_what_no_bits_can_carry() -> None:
    source = random_source(np.random.default_rng(1), levels=16)
    with pytest.raises(ConversionError, match="timesteps is 0, expected 1 to 16"):
        to_bit_serial(source, 0)
    with pytest.raises(ConversionError, match="timesteps is 17, expected 1 to 16"):
        to_bit_serial(source, 17)
    with pytest.raises(ConversionError, match="timesteps is 0, expected 1 to 16"):
        to_quantised_ann(source, 0)
    with pytest.raises(ConversionError, match="worth less than one step of its 4-bit weights; raise weight_bits"):
        to_bit_serial(source, 14, Widths(weight_bits=4))
    with pytest.raises(ConversionError, match="16 trained levels, and 5 timesteps need 32; use fewer"):
        to_bit_serial(source, 5, below="truncate")
