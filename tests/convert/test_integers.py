"""Laws of the integers: what scales they have, where averages and means may go, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwsim.convert.bit_serial import to_bit_serial, to_quantised_ann
from hwsim.convert.evaluate import run_batch
from hwsim.convert.folded import FoldedSource
from hwsim.convert.integers import ConversionError, Widths, input_unit, payloads, scaled
from hwsim.convert.rate import to_rate, to_two_stage
from hwsim.snn.forward import layer_sums
from hwsim.snn.network import INPUT, Network
from hwsim.snn.validate import validate_network
from tests.convert.sources import as_inputs, matrix, payload_grid, random_source

Rng = np.random.Generator


@pytest.mark.parametrize("bits", [2, 4, 8, 13, 16])
def test_weights_fill_their_bits(bits: int) -> None:
    """The largest weight of a layer is 2**(b-1) - 1; for bit planes at most one lsb-th less, and never more."""
    for seed in range(4):
        source = random_source(np.random.default_rng(seed))
        widths = Widths(weight_bits=bits)
        full = (1 << (bits - 1)) - 1
        for network in (to_rate(source, 3, widths), to_two_stage(source, 3, 2, widths)):
            assert [largest(layer) for layer in network] == [full] * 4
        if bits < 8:
            continue
        for network in (to_bit_serial(source, 3, widths), to_quantised_ann(source, 3, widths)):
            for layer in network:
                step = int(layer.thresholds[0]) if layer.coding == "quantised" else int(max(layer.thresholds, default=0)) >> 3
                assert full * step / (step + 1) - 1 <= largest(layer) <= full


def largest(layer) -> int:
    return max(int(np.abs(c.weights).max()) for c in layer.connections)


def test_bit_thresholds_divide_exactly_and_the_level_is_the_real_one() -> None:
    """theta = lsb 2**T with the scale of the weights lowered to fit: no threshold is ever rounded."""
    for seed, timesteps in ((0, 1), (1, 3), (2, 4), (3, 6)):
        source = random_source(np.random.default_rng(seed), levels=1 << timesteps)
        network = to_bit_serial(source, timesteps, Widths(weight_bits=12))
        units = {INPUT: input_unit(source, Widths())}
        for layer, made in zip(source.layers[:-1], network, strict=False):
            theta = int(made.thresholds[0])
            assert theta % (1 << timesteps) == 0
            units[layer.name] = layer.threshold / (1 << timesteps)
            scale = theta / layer.threshold
            for real, connection in zip(layer.connections, made.connections, strict=True):
                exact = real.weights * units[real.geometry.source] * scale
                assert np.abs(connection.weights - exact).max() <= 0.5 + 1e-6
            assert np.abs(made.bias.ravel() - layer.bias * scale).max() <= 0.5 + 1e-6


def multiplied(source: FoldedSource, steps: int) -> Network:
    """The other way to fold an average: where a layer pools, its own weights stay those of the average, and the sums,
    which are k**2 times larger, meet threshold, bias, initial potential and sibling weights times k**2."""
    network = to_rate(source, steps)
    units = {INPUT: input_unit(source, Widths())}
    made = []
    for layer, folded in zip(source.layers, network, strict=True):
        scale = 127 / max(np.abs(c.weights).max() * units[c.geometry.source] for c in layer.connections)
        k2 = max(c.geometry.pool for c in layer.connections) ** 2
        scale /= k2  # that of the weights of the average
        connections = []
        for real, connection in zip(layer.connections, folded.connections, strict=True):
            own = real.geometry.pool**2
            weights = np.round(real.weights * own * units[real.geometry.source] * scale * k2 / own)
            connections.append(replace(connection, weights=weights.astype(np.int64)))
        if layer.fires:
            theta = int(np.round(layer.threshold * scale * k2))
            made.append(replace(folded, connections=tuple(connections), thresholds=np.full(steps, theta),
                                bias=scaled(layer.bias * k2, scale), initial_potential=np.full((1, 1, 1), theta // 2)))
            units[layer.name] = layer.threshold
        else:
            made.append(replace(folded, connections=tuple(connections), bias=scaled(layer.bias * k2 * steps, scale)))
    return Network(network.input, tuple(made))


def test_folding_an_average_is_multiplying_everything_else() -> None:
    pooled = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        source = random_source(rng, exact=True)
        grid = as_inputs(payload_grid(rng, source, 5))
        one, other = run_batch(to_rate(source, 5), grid), run_batch(multiplied(source, 5), grid)
        for name in one[0]:
            np.testing.assert_array_equal(one[0][name], other[0][name], err_msg=name)
        np.testing.assert_array_equal(one[1], other[1])
        pooled += sum(c.geometry.pool > 1 for layer in source.layers for c in layer.connections)
    assert pooled > 8


def test_both_pool_modes_are_one_network() -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        source = random_source(rng)
        grid = as_inputs(payload_grid(rng, source, 3))
        for build in (lambda w: to_rate(source, 4, w), lambda w: to_bit_serial(source, 4, w),  # noqa: B023
                      lambda w: to_quantised_ann(source, 4, w), lambda w: to_two_stage(source, 3, 2, w)):  # noqa: B023
            folded, unit = (run_batch(build(Widths(pool_mode=mode)), grid) for mode in ("folded", "unit"))
            np.testing.assert_array_equal(folded[1], unit[1])
            for name in folded[0]:
                np.testing.assert_array_equal(folded[0][name], unit[0][name])


def normalised(rng: Rng) -> tuple[FoldedSource, np.ndarray]:
    """A source with a mean and standard deviation of its own in each channel, and images (N, H, W, C)."""
    source = replace(random_source(rng), mean=np.array([0.49, 0.31]), std=np.array([0.25, 0.4]))
    c, h, w = source.input_shape
    return source, rng.integers(0, 256, (6, h, w, c), dtype=np.uint8)


def test_signed_payloads_are_the_float_convolution_at_the_border_too() -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        source, images = normalised(rng)
        widths = Widths(weight_bits=14, payload_bits=12)
        network = to_rate(source, 2, widths)
        assert (network.input.signed, network.input.payload_bits, network.input.encoding) == (True, 12, "direct")
        inputs = payloads(source, images, input_unit(source, widths))
        assert np.abs(inputs).max() <= (1 << 11) - 1
        layer, real = network.layers[0], source.layers[0]
        scale = int(layer.thresholds[0]) / real.threshold
        sums = np.stack([layer_sums(network, layer, {INPUT: x})[0] for x in inputs]) / scale
        # Zero padding comes after normalisation, so a neuron at the border gets fewer terms, not other ones.
        values = ((images / 255 - source.mean) / source.std).transpose(0, 3, 1, 2).reshape(len(images), -1)
        dense = matrix(real.connections[0].geometry, real.connections[0].weights, real.shape)
        truth = (values @ dense.T).reshape(len(images), *real.shape)
        error = np.abs(dense).sum(axis=1).max() * input_unit(source, widths)
        assert np.abs(sums - truth).max() < error


def test_folding_the_mean_into_the_bias_is_wrong_at_the_border_only() -> None:
    """Raw pixels with weights w / std and a bias less the sum of w mean / std: right inside, off where padding is."""
    rng = np.random.default_rng(2)
    source, images = normalised(rng)
    wire, shape = source.layers[0].connections[0], source.layers[0].shape
    dense = matrix(wire.geometry, wire.weights, shape)
    values = ((images / 255 - source.mean) / source.std).transpose(0, 3, 1, 2).reshape(len(images), -1)
    truth = (values @ dense.T).reshape(len(images), *shape)
    over_std = matrix(wire.geometry, wire.weights / source.std[:, None, None], shape)
    raw = (images / 255).transpose(0, 3, 1, 2).reshape(len(images), -1)
    bias = -(wire.weights * (source.mean / source.std)[:, None, None]).sum(axis=(1, 2, 3))
    folded = (raw @ over_std.T).reshape(truth.shape) + bias[:, None, None]
    wrong = np.abs(folded - truth).max(axis=(0, 1))
    np.testing.assert_allclose(wrong[1:-1, 1:-1], 0, atol=1e-12)
    border = np.ones(wrong.shape, bool)
    border[1:-1, 1:-1] = False
    assert wrong[border].min() > 0.5


def test_a_payload_is_half_a_step_from_its_pixel() -> None:
    rng = np.random.default_rng(0)
    source, images = normalised(rng)
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    for bits in (2, 5, 8, 16):
        unit = input_unit(source, Widths(payload_bits=bits))
        found = payloads(source, images, unit)
        assert found.shape == (6, 1, *images.shape[1:])
        real = (images / 255 - source.mean) / source.std
        assert np.abs(found[:, 0] * unit - real).max() <= unit / 2 * (1 + 1e-9)
        assert np.abs(found).max() == (1 << (bits - 1)) - 1


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_refuses_widths_that_cannot_be() -> None:
    for name, value, text in (("weight_bits", 1, "weight_bits is 1, expected 2 to 16"),
                              ("weight_bits", 17, "weight_bits is 17, expected 2 to 16"),
                              ("payload_bits", 1, "payload_bits is 1, expected 2 to 16"),
                              ("potential_bits", 1, "potential_bits is 1, expected 2 to 63, or none"),
                              ("potential_bits", 64, "potential_bits is 64, expected 2 to 63, or none")):
        with pytest.raises(ConversionError, match=text):
            Widths(**{name: value})


def test_refuses_a_layer_of_zeros() -> None:
    source = random_source(np.random.default_rng(0))
    dead = source.layers[1]
    dead = replace(dead, connections=tuple(replace(c, weights=np.zeros_like(c.weights)) for c in dead.connections))
    broken = replace(source, layers=(source.layers[0], dead, *source.layers[2:]))
    for convert in (lambda: to_rate(broken, 2), lambda: to_bit_serial(broken, 2), lambda: to_two_stage(broken, 2)):
        with pytest.raises(ConversionError, match="layer conv2: all its weights are zero, .* train it again, or leave it out"):
            convert()


def test_a_given_potential_width_is_every_layer_s() -> None:
    source = random_source(np.random.default_rng(0))
    network = to_rate(source, 3, Widths(potential_bits=20))
    assert {layer.potential_bits for layer in network} == {20}
    assert validate_network(network) == []
