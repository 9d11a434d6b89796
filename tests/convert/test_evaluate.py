"""Law: the batched simulation is hwsim.snn.forward, sample by sample, to the last spike and potential."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.convert.alpha_beta import algorithm_1, to_alpha_beta
from hwsim.convert.bit_serial import to_bit_serial, to_quantised_ann
from hwsim.convert.evaluate import evaluate, run_batch
from hwsim.convert.integers import Widths
from hwsim.convert.rate import to_rate, to_two_stage
from hwsim.snn.forward import forward
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network, NetworkError
from hwsim.snn.neurons import IntegrateAndFire, ReadOut, Requantise
from tests.convert.sources import as_inputs, payload_grid, random_source
from tests.snn.networks import CODINGS, random_input, random_network


def assert_equals_forward(network: Network, inputs: np.ndarray) -> None:
    planes, potentials = run_batch(network, inputs)
    for n, sample in enumerate(inputs):
        recorded, finals = forward(network, sample)
        assert list(planes) == list(recorded)
        for name, spikes in recorded.items():
            np.testing.assert_array_equal(planes[name][n], spikes.transpose(0, 3, 1, 2), err_msg=name)
        np.testing.assert_array_equal(potentials[n], finals[network.layers[-1].name].ravel())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(CODINGS))
def test_random_networks(seed: int, coding: str) -> None:
    """Every coding, operator, pooling (OR too), join, hybrid input and staged read-out; biases of every shape."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, coding)
    assert_equals_forward(network, np.stack([random_input(rng, network.input) for _ in range(3)]))


@pytest.mark.parametrize("pool_mode", ["folded", "unit"])
def test_every_method(pool_mode: str) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        source, widths = random_source(rng), Widths(pool_mode=pool_mode)
        inputs = as_inputs(payload_grid(rng, source, 3))
        seen = {layer.name: np.linspace(0, layer.threshold, 101) for layer in source.layers if layer.fires}
        for network in (to_bit_serial(source, 4, widths), to_quantised_ann(source, 4, widths), to_rate(source, 5, widths),
                        to_two_stage(source, 3, 4, widths), to_alpha_beta(source, 2, algorithm_1(source, 2, seen), widths)):
            assert_equals_forward(network, inputs)


def heavy(weight: int, payload_bits: int = 16) -> tuple[Network, np.ndarray]:
    """Sums that single precision would round: large odd weights, large odd payloads, all three operators."""
    spec = InputSpec((2, 4, 4), "direct", 1, payload_bits, True)
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return weight - 2 * rng.integers(0, weight // 4, shape)

    first = Layer("conv", (2, 4, 4), (Connection(INPUT, "conv2d", spec.shape, weights(2, 2, 3, 3), 3, padding=1),
                                      Connection(INPUT, "identity", spec.shape, weights(2))),
                  Requantise(), 1, np.array([3]), payload_bits=16)
    wire = Connection("conv", "linear", first.shape, weights(3, 32))
    network = Network(spec, (first, Layer("out", (3, 1, 1), (wire,), ReadOut(), 1)))
    top = (1 << (payload_bits - 1)) - 1
    return network, (rng.integers(-top, top + 1, (3, 1, 4, 4, 2)) | 1).astype(np.int32)


def test_sums_beyond_single_precision_are_exact() -> None:
    """In Python integers: 2**24 is passed by far, and the odd numbers would show a lost bit."""
    for weight in (9, 1023, (1 << 20) - 1, (1 << 31) - 1):
        network, inputs = heavy(weight)
        planes, logits = run_batch(network, inputs)
        wire = network.layers[-1].connections[0]
        for n in range(len(inputs)):
            sent = [int(x) for x in planes["conv"][n, 0].ravel()]
            exact = [sum(int(w) * x for w, x in zip(row, sent, strict=True)) for row in wire.weights]
            assert logits[n].tolist() == exact
            assert weight < 1023 or max(abs(x) for x in exact) > 1 << 24
        assert_equals_forward(network, inputs)
        conv = replace(network, layers=(replace(network.layers[0], neuron=ReadOut(), thresholds=np.zeros(0, np.int64),
                                                payload_bits=0),))
        assert_equals_forward(conv, inputs)
        for n, x in enumerate(inputs):
            assert run_batch(conv, inputs)[1][n].reshape(2, 4, 4)[0, 1, 1] == by_hand(conv.layers[0], x[0])


def by_hand(layer: Layer, image: np.ndarray) -> int:
    """Sum of channel 0 at (1, 1): a full 3 x 3 window and the identity."""
    kernel, identity = (c.weights for c in layer.connections)
    window = sum(int(kernel[0, c, y, x]) * int(image[y, x, c]) for c in range(2) for y in range(3) for x in range(3))
    return window + int(identity[0]) * int(image[1, 1, 0])


def test_sums_that_no_float_holds_are_refused() -> None:
    network, inputs = heavy(1 << 45)
    with pytest.raises(NetworkError, match=r"sums can reach \d+, beyond exact 2\*\*53"):
        run_batch(network, inputs)


def test_networks_without_weights_are_refused() -> None:
    network, inputs = heavy(9)
    bare = replace(network.layers[0], connections=(replace(network.layers[0].connections[0], weights=None),))
    with pytest.raises(NetworkError, match="the connection from 'input' has no weights"):
        run_batch(Network(network.input, (bare,)), inputs)


def test_a_read_out_sums_the_or_of_each_plane() -> None:
    """Not the OR of the sums: two neurons of a window that spike at different times count twice."""
    spec = InputSpec((1, 2, 2), "spikes", 3)
    wire = Connection(INPUT, "linear", spec.shape, np.array([[5]]), pool=2, pool_mode="max")
    network = Network(spec, (Layer("out", (1, 1, 1), (wire,), ReadOut(), 3),))
    inputs = np.zeros((1, 3, 2, 2, 1), np.uint8)
    inputs[0, 0, 0, 0] = inputs[0, 0, 1, 1] = inputs[0, 2, 0, 1] = 1
    assert run_batch(network, inputs)[1].tolist() == [[10]]
    assert_equals_forward(network, inputs)


def test_evaluation_counts_spikes_and_right_answers_whatever_the_batch() -> None:
    rng = np.random.default_rng(0)
    source = random_source(rng)
    network, inputs = to_rate(source, 4), as_inputs(payload_grid(rng, source, 11))
    planes, logits = run_batch(network, inputs)
    labels = np.where(np.arange(11) % 3 == 0, logits.argmax(axis=1), (logits.argmax(axis=1) + 1) % 5)
    calls: list[tuple[int, int]] = []
    found = evaluate(network, inputs, labels, batch=4, progress=lambda done, of: calls.append((done, of)))
    assert calls == [(4, 11), (8, 11), (11, 11)]
    assert found.accuracy == 4 / 11
    assert found.spikes == {name: planes[name].sum() / 11 for name in ("conv1", "conv2", "conv3")}
    assert found.neurons == {name: planes[name][0, 0].size for name in planes}
    assert found.spikes_per_neuron == pytest.approx(
        sum(planes[n].sum() for n in planes) / 11 / sum(planes[n][0, 0].size for n in planes))
    assert evaluate(network, inputs, labels, batch=100) == found


def test_batches_do_not_mix_columns() -> None:
    """A bias by column belongs to a column of each image, not of the batch that lies side by side."""
    spec = InputSpec((1, 2, 3), "spikes", 2)
    wire = Connection(INPUT, "identity", spec.shape, np.array([2]))
    layer = Layer("l", (1, 2, 3), (wire,), IntegrateAndFire(), 2, np.array([3, 3]), np.arange(6).reshape(1, 2, 3),
                  -np.arange(3).reshape(1, 1, 3))
    rng = np.random.default_rng(1)
    assert_equals_forward(Network(spec, (layer,)), rng.integers(0, 2, (4, 2, 2, 3, 1)))


@pytest.mark.parametrize(("pool", "mode"), [(2, "max"), (2, "unit"), (1, "none")])
def test_a_sum_over_planes_does_not_round_either(pool: int, mode: str) -> None:
    """One plane's sum fits single precision, the sum of three does not."""
    spec = InputSpec((499, pool, pool), "spikes", 3)
    wire = Connection(INPUT, "linear", spec.shape, np.full((2, 499), 32767), pool=pool, pool_mode=mode)
    network = Network(spec, (Layer("out", (2, 1, 1), (wire,), ReadOut(), 3, potential_bits=40),))
    inputs = np.zeros((1, 3, pool, pool, 499), np.uint8)
    inputs[:, :, 0, 0] = 1
    assert_equals_forward(network, inputs)
    assert run_batch(network, inputs)[1].tolist() == [[3 * 499 * 32767] * 2]
