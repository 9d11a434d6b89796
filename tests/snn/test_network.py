"""What a network says of its connections: shapes, planes and payload widths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwsim.snn.forward import pool
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network, NetworkError
from hwsim.snn.neurons import IntegrateAndFire, Requantise


def fed_by(spec: InputSpec, wire: Connection) -> Network:
    return Network(spec, (Layer("a", (1, 1, 1), (wire,), IntegrateAndFire(), 1, np.ones(1, np.int64)),))


@pytest.mark.parametrize(("bits", "signed"), [(1, False), (2, False), (3, False), (2, True), (3, True)])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_payload_is_as_wide_as_the_sums_of_a_window_need(bits: int, signed: bool, k: int) -> None:
    spec = InputSpec((1, k, k), payload_bits=bits, signed=signed)
    wire = Connection(INPUT, "linear", spec.shape, pool=k, pool_mode="unit" if k > 1 else "none")
    width = fed_by(spec, wire).carries_payload(wire)
    low = -(1 << (bits - 1)) if signed else 0
    extremes = [np.full((1, k, k, 1), value) for value in (low, low + (1 << bits) - 1)]
    sums = [int(pool(wire, planes).reshape(-1)[0]) for planes in extremes]
    def holds(n: int) -> bool:
        return -(1 << (n - 1)) <= sums[0] and sums[1] < 1 << (n - 1) if signed else sums[1] < 1 << n
    assert holds(width)
    assert not holds(width - 1)


def test_binary_spikes_have_no_payload_until_a_unit_counts_them() -> None:
    spec = InputSpec((1, 4, 4), "spikes", 4)
    for k, mode, bits in ((1, "none", 0), (2, "folded", 0), (2, "max", 0), (2, "unit", 3), (4, "unit", 5)):
        wire = Connection(INPUT, "linear", spec.shape, pool=k, pool_mode=mode)
        assert fed_by(spec, wire).carries_payload(wire) == bits


def test_values_of_a_quantised_ann_are_payloads() -> None:
    first = Layer("a", (1, 4, 4), (Connection(INPUT, "identity", (1, 4, 4)),), Requantise(), 1, np.ones(1, np.int64),
                  payload_bits=4)
    network = Network(InputSpec((1, 4, 4)), (first,))
    assert network.carries_payload(Connection("a", "linear", (1, 4, 4))) == 4
    assert network.carries_payload(Connection("a", "linear", (1, 4, 4), pool=2, pool_mode="unit")) == 6, "4 x 15 = 60"


@pytest.mark.parametrize(("kernel", "stride", "padding"), list(itertools.product((1, 2, 3), (1, 2, 3), (0, 1))))
def test_a_convolution_has_a_position_for_every_place_of_its_kernel(kernel: int, stride: int, padding: int) -> None:
    wire = Connection(INPUT, "conv2d", (1, 5, 7), kernel=kernel, stride=stride, padding=padding)
    places = [len(range(-padding, n + padding - kernel + 1, stride)) for n in (5, 7)]
    assert wire.natural_shape(3) == (3, *places)


def test_an_identity_keeps_every_stride_th_position() -> None:
    assert Connection(INPUT, "identity", (4, 5, 6), stride=2).natural_shape(4) == (4, 3, 3)


def test_an_unknown_layer_is_told_with_the_known_ones() -> None:
    network = fed_by(InputSpec((1, 1, 1)), Connection(INPUT, "linear", (1, 1, 1)))
    with pytest.raises(NetworkError, match="no layer named 'b'; layers are a"):
        network.layer("b")
    assert network.index(INPUT) == -1
