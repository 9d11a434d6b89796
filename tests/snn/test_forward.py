"""The functional model: equal to naive loops, and the laws that the codings promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.snn.forward import (
    connection_sums,
    forward,
    layer_sums,
    pool,
    potential_bounds,
    safe_potential_bits,
    sees_sum,
)
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network, NetworkError, by_axis
from hwsim.snn.neurons import BitSerial, IntegrateAndFire, ReadOut, Requantise
from hwsim.snn.validate import validate_network
from tests.snn.networks import CODINGS, naive_forward, random_connection, random_input, random_network, synapses

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=120, deadline=None)
@given(seeds, st.sampled_from(CODINGS))
def test_forward_is_the_naive_loops(seed: int, coding: str) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, coding)
    assert validate_network(network) == []
    inputs = random_input(rng, network.input)
    recorded, potentials = forward(network, inputs)
    expected, finals = naive_forward(network, inputs)
    assert list(recorded) == list(expected)
    for name in expected:
        np.testing.assert_array_equal(recorded[name], expected[name], err_msg=name)
    for name in finals:
        np.testing.assert_array_equal(potentials[name], finals[name], err_msg=name)


def quantised_twin(network: Network) -> Network:
    """The quantised ANN whose values a bit-serial network of T bits sends: LSB theta / 2**T, T-bit payloads."""
    def twin(layer: Layer) -> Layer:
        if layer.coding == "readout":
            return replace(layer, timesteps=1)
        bits = layer.timesteps
        step = layer.thresholds[:1] >> bits
        return replace(layer, neuron=Requantise(), timesteps=1, payload_bits=bits, thresholds=step)
    return replace(network, layers=tuple(twin(layer) for layer in network))


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_bit_serial_equals_the_quantised_ann_on_every_neuron(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, "bit_serial", direct=True)
    twin = quantised_twin(network)
    assert validate_network(twin) == []
    inputs = random_input(rng, network.input)
    bits, finals = forward(network, inputs)
    values, twin_finals = forward(twin, inputs)
    for name, planes in bits.items():
        weights = 2 ** np.arange(len(planes))[::-1]
        np.testing.assert_array_equal(np.tensordot(weights, planes, 1), values[name][0])
    if "out" in finals:
        np.testing.assert_array_equal(finals["out"], twin_finals["out"])


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_folding_the_pool_into_the_weights_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (2, int(rng.integers(4, 9)), int(rng.integers(4, 9)))
    wire = replace(random_connection(rng, INPUT, shape, False), pool=1, pool_mode="none")
    unit = replace(rebuilt(rng, wire, 2), pool_mode="unit")
    planes = (rng.random((3, *shape[1:], 2)) < 0.5).astype(np.uint8)
    out = unit.natural_shape(2 if unit.operator == "identity" else len(unit.weights))
    np.testing.assert_array_equal(connection_sums(unit, planes, out),
                                  connection_sums(replace(unit, pool_mode="folded"), planes, out))


@settings(max_examples=60, deadline=None)
@given(seeds, st.integers(2, 3))
def test_pooling_a_constant_window_is_k_squared_times_no_pooling(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    small = (2, int(rng.integers(2, 4)), int(rng.integers(2, 4)))
    plain = replace(random_connection(rng, INPUT, small, False), pool=1, pool_mode="none")
    plain = rebuilt(rng, plain, 1)
    planes = (rng.random((2, *small[1:], 2)) < 0.5).astype(np.uint8)
    large = np.repeat(np.repeat(planes, k, 1), k, 2)
    folded = replace(plain, source_shape=(2, small[1] * k, small[2] * k), pool=k, pool_mode="folded")
    out = plain.natural_shape(2 if plain.operator == "identity" else len(plain.weights))
    np.testing.assert_array_equal(connection_sums(folded, large, out), k * k * connection_sums(plain, planes, out))
    maximum = replace(folded, pool_mode="max")
    np.testing.assert_array_equal(connection_sums(maximum, large, out), connection_sums(plain, planes, out))


def rebuilt(rng: np.random.Generator, wire: Connection, size: int) -> Connection:
    """The connection with a pool of `size` and weights of the shape that this needs."""
    wire = replace(wire, pool=size, pool_mode="none" if size == 1 else "folded")
    channels = 2 if wire.operator == "identity" else len(wire.weights)
    if wire.operator == "conv2d" and max(by_axis(wire.kernel)) > min(wire.pooled_shape[1:]):
        wire = replace(wire, kernel=1, padding=0)
    return replace(wire, weights=rng.integers(-7, 8, wire.weight_shape(wire.natural_shape(channels))))


def test_max_pooling_is_the_or_of_the_window() -> None:
    planes = np.zeros((1, 5, 4, 1), np.uint8)
    planes[0, 1, 1, 0] = planes[0, 0, 0, 0] = planes[0, 4, 3, 0] = 1
    wire = Connection(INPUT, "identity", (1, 5, 4), np.ones(1, np.int8), pool=2, pool_mode="max")
    assert pool(wire, planes)[0, :, :, 0].tolist() == [[1, 0], [0, 0]], "the fifth row is an incomplete window"


def current_and_spikes() -> tuple[Network, Layer]:
    """A layer that a direct input and a spiking layer feed together."""
    spec = InputSpec((1, 1, 1), payload_bits=4)
    wire = Connection(INPUT, "linear", (1, 1, 1), np.array([[1]]))
    first = Layer("a", (1, 1, 1), (wire,), IntegrateAndFire(), 3, np.array([4, 4, 4]))
    both = Layer("b", (1, 1, 1), (wire, replace(wire, source="a", weights=np.array([[10]]))), IntegrateAndFire(), 3,
                 np.array([100, 100, 100]))
    return Network(spec, (first, both)), both


def test_a_direct_input_is_a_current_of_every_timestep_even_beside_spikes() -> None:
    network, both = current_and_spikes()
    inputs = np.full((1, 1, 1, 1), 2, np.int16)
    recorded, potentials = forward(network, inputs)
    assert recorded["a"].reshape(-1).tolist() == [0, 1, 0]
    sums = layer_sums(network, both, {INPUT: inputs, **recorded})
    assert sums.reshape(-1).tolist() == [2, 12, 2]
    assert int(potentials["b"].item()) == 16


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(CODINGS))
def test_no_order_of_events_leaves_the_bounds(seed: int, coding: str) -> None:
    """Accumulate in a random order, timestep by timestep, watching every partial sum."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, coding)
    inputs = random_input(rng, network.input)
    bounds = potential_bounds(network, inputs)
    planes = {INPUT: inputs, **forward(network, inputs)[0]}
    for layer in network:
        low, high = bounds[layer.name]
        bias = np.broadcast_to(0 if layer.bias is None else layer.bias, layer.shape)
        potential = np.broadcast_to(layer.initial_potential, layer.shape).astype(np.int64)
        in_time = not sees_sum(layer)
        for t in range(layer.timesteps if in_time else 1):
            if layer.coding == "readout" and t in layer.stages[1:-1]:
                potential = np.broadcast_to(layer.initial_potential, layer.shape).astype(np.int64)
            adds = [add for wire in layer.connections for add in contributions(network, layer, wire, planes, t)]
            if layer.coding != "readout" or t == 0:
                adds += [(tuple(at), int(bias[tuple(at)])) for at in np.argwhere(bias)]
            for at, amount in (adds[i] for i in rng.permutation(len(adds))):
                potential[at] += amount
                assert low <= potential[at] <= high, (layer.name, t)
            if in_time and layer.coding != "readout":
                sums = layer_sums(network, layer, planes)[: t + 1]
                part = replace(layer, timesteps=t + 1, thresholds=layer.thresholds[: t + 1])
                potential = part.neuron.emit(sums, part)[1]
                assert low <= potential.min() <= potential.max() <= high
    widths = safe_potential_bits(network, [inputs])
    for name, (low, high) in bounds.items():
        assert -(1 << (widths[name] - 1)) <= low <= high < 1 << (widths[name] - 1)
        narrow = widths[name] - 2
        assert widths[name] == 2 or low < -(1 << narrow) or high >= 1 << narrow, "one bit less would not do"


def contributions(network: Network, layer: Layer, wire: Connection, planes: dict, t: int) -> list:
    """((c, y, x), amount) that a connection delivers in row t of layer_sums."""
    source, coding = planes[wire.source], network.source_coding(wire)
    weighed = [1] * len(source)
    if coding == "bit_serial":
        weighed = [2 ** (len(source) - 1 - n) for n in range(len(source))]
    elif coding == "hybrid":
        weighed = [1] + [2**network.input.spike_shift] * (len(source) - 1)
    rows = range(len(source)) if coding == "direct" or sees_sum(layer) else [t]
    return [(at, a * weighed[n]) for n in rows for at, a in synapses(wire, source[n], layer.shape)]


@pytest.mark.parametrize("width", [1 << 23, 1 << 30])
def test_sums_are_exact_beyond_single_precision(width: int) -> None:
    weights = np.array([[width, 1, -width, 1]], np.int64)
    wire = Connection(INPUT, "linear", (4, 1, 1), weights)
    planes = np.array([5, 1, 5, 1], np.int64).reshape(1, 1, 1, 4)
    assert connection_sums(wire, planes, (1, 1, 1)).item() == 2


def test_sums_beyond_double_precision_are_refused() -> None:
    wire = Connection(INPUT, "linear", (4, 1, 1), np.full((1, 4), 2**31 - 1, np.int64))
    with pytest.raises(NetworkError, match=r"2\*\*53"):
        connection_sums(wire, np.full((1, 1, 1, 4), 2**21, np.int64), (1, 1, 1))


def test_a_large_convolution_is_computed_in_blocks_of_planes(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    wire = Connection(INPUT, "conv2d", (4, 6, 6), rng.integers(-7, 8, (6, 2, 3, 3)), 3, 1, 1, 2)
    planes = rng.integers(0, 3, (5, 6, 6, 4))
    whole = connection_sums(wire, planes, (6, 6, 6))
    monkeypatch.setattr("hwsim.snn.forward.COLUMN_VALUES", 2 * 36 * 9 * 4)
    np.testing.assert_array_equal(connection_sums(wire, planes, (6, 6, 6)), whole)


def test_what_cannot_be_computed_is_refused() -> None:
    wire = Connection(INPUT, "linear", (1, 1, 1))
    network = Network(InputSpec((1, 1, 1)), (Layer("out", (1, 1, 1), (wire,), ReadOut(), 1),))
    with pytest.raises(NetworkError, match="no weights"):
        forward(network, np.ones((1, 1, 1, 1), np.uint8))
    with pytest.raises(NetworkError, match=r"expected \(planes, H, W, C\)"):
        forward(network, np.ones((2, 1, 1, 1), np.uint8))


def test_bit_planes_leave_most_significant_first() -> None:
    wire = Connection(INPUT, "linear", (1, 1, 1), np.array([[1]]))
    layer = Layer("a", (1, 1, 1), (wire,), BitSerial(), 4, np.full(4, 16))
    network = Network(InputSpec((1, 1, 1), payload_bits=8), (layer,))
    inputs = {value: np.full((1, 1, 1, 1), value) for value in (1, 8, 13, 99)}
    sent = {value: forward(network, planes)[0]["a"].reshape(-1).tolist() for value, planes in inputs.items()}
    assert sent == {1: [0, 0, 0, 1], 8: [1, 0, 0, 0], 13: [1, 1, 0, 1], 99: [1, 1, 1, 1]}
