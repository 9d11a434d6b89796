"""Each rule of a sound network: broken once, told in words that name the layer; kept, not mentioned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import BitSerial, IntegrateAndFire, Neuron, ReadOut, Requantise
from hwsim.snn.validate import validate_network
from tests.snn.networks import CODINGS, random_network


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(CODINGS))
def test_sound_networks_have_no_problems(seed: int, coding: str) -> None:
    assert validate_network(random_network(np.random.default_rng(seed), coding)) == []


def conv(source: str, shape: tuple[int, int, int], **how: Any) -> Connection:
    defaults = {"weights": np.ones((4, shape[0] // how.get("groups", 1), 3, 3), np.int8), "kernel": 3, "padding": 1}
    return Connection(source, "conv2d", shape, **{**defaults, **how})


def neuron_layer(name: str, *wires: Connection, neuron: Neuron | None = None, **how: Any) -> Layer:
    neuron = neuron or IntegrateAndFire()
    timesteps = how.pop("timesteps", 1 if neuron.coding == "quantised" else 4)
    defaults = {"thresholds": np.full(0 if neuron.coding == "readout" else timesteps, 64)}
    shape = how.pop("shape", (4, 6, 6))
    return Layer(name, shape, wires, neuron, timesteps, **{**defaults, **how})


def net(*layers: Layer, **spec: Any) -> Network:
    return Network(InputSpec((2, 6, 6), **spec), layers)


def first(**how: Any) -> Layer:
    return neuron_layer("a", conv(INPUT, (2, 6, 6)), **how)


def pooled(mode: str) -> Layer:
    return neuron_layer("a", conv(INPUT, (2, 6, 6), pool=2, pool_mode=mode), shape=(4, 3, 3))


def second(**how: Any) -> Network:
    """A sound first layer and a convolution from it with one thing changed."""
    return net(first(), neuron_layer("b", conv("a", (4, 6, 6), **how)))


IDENTITY = Connection("a", "identity", (4, 6, 6), np.ones(4, np.int8))
SPIKES = {"encoding": "spikes", "timesteps": 4}
HYBRID = {"encoding": "hybrid", "timesteps": 4}
BITS = {"neuron": BitSerial()}
LEVELS = {"neuron": Requantise(), "payload_bits": 4}
PROBLEMS: dict[str, tuple[Network, str]] = {
    "no layers": (net(), "has no layers"),
    "no connections": (net(neuron_layer("a")), "'a': has neither connections nor a bias"),
    "same name": (net(first(), first()), "name is used twice"),
    "name with a slash": (net(replace(first(), name="a/b")), "no slash"),
    "name of the input": (net(replace(first(), name="input")), "not 'input'"),
    "input shape": (Network(InputSpec((0, 6, 6)), (first(),)), "input: shape is"),
    "input encoding": (net(first(), encoding="poisson"), "encoding is 'poisson'"),
    "input coding": (net(first(), coding="phase"), "coding is 'phase'"),
    "input bits": (net(first(), payload_bits=17), "payload_bits is 17"),
    "direct planes": (net(first(), timesteps=4), "a direct input is one plane"),
    "bit planes of a hybrid input": (net(first(), **HYBRID, coding="bit_serial"), "not bit planes, expected 'rate'"),
    "signed spikes": (net(first(), **SPIKES, signed=True), "negative spikes are reserved"),
    "timesteps": (net(first(timesteps=65, thresholds=np.full(65, 9))), "timesteps is 65"),
    "potential_bits": (net(first(potential_bits=1)), "potential_bits is 1"),
    "payload_bits": (net(first(payload_bits=2)), "rate spikes are binary"),
    "payload_bits of a read-out": (net(first(neuron=ReadOut(), payload_bits=17)), "payload_bits is 17"),
    "stages": (net(first(stages=(0, 2, 4))), "of several stages are two_stage and read_out"),
    "threshold count": (net(first(thresholds=np.full(3, 9))), "has 3 thresholds"),
    "threshold zero": (net(first(thresholds=np.zeros(4, int))), "must be 1 or more"),
    "threshold type": (net(first(thresholds=np.full(4, 9.0))), "thresholds must be"),
    "thresholds of a read-out": (net(first(neuron=ReadOut(), thresholds=np.full(4, 9))), "leave its thresholds out"),
    "threshold of bits": (net(first(**BITS, thresholds=np.full(4, 15))), "shifted right 4 times is zero"),
    "bias shape": (net(first(bias=np.zeros((3, 1, 1), int))), "bias has shape"),
    "bias type": (net(first(bias=np.zeros((4, 1, 1)))), "bias must be an array of integers"),
    "bias range": (net(first(bias=np.full((1, 1, 1), 1 << 23))), "bias holds 8388608"),
    "initial range": (net(first(initial_potential=np.full((1, 1, 1), -(1 << 23) - 1))), "potential holds -8388609"),
    "stranger": (net(first(), neuron_layer("b", conv("c", (4, 6, 6)))), "earlier are input, a"),
    "itself": (net(neuron_layer("a", conv("a", (4, 6, 6)))), "not an earlier layer"),
    "source shape": (net(neuron_layer("a", conv(INPUT, (2, 6, 5)))), "the source's shape is (2, 6, 6)"),
    "operator": (net(first(), neuron_layer("b", Connection(
        "a", "conv3d", (4, 6, 6)))), "operator is 'conv3d'"),  # type: ignore[arg-type]
    "stride": (second(stride=0), "stride is 0"),
    "output shape": (second(stride=2), "gives an output of shape (4, 3, 3)"),
    "groups": (second(groups=3, weights=None), "does not divide"),
    "pool without mode": (second(pool=2), "pool is 2 and pool_mode 'none'"),
    "mode without pool": (second(pool_mode="folded"), "pool is 1 and pool_mode 'folded'"),
    "pool too large": (second(pool=7, pool_mode="folded"), "leaves nothing"),
    "offset of a convolution": (second(channel_offset=1), "only identity connections"),
    "offset past the layer": (net(first(), neuron_layer("b", replace(IDENTITY, channel_offset=4))), "past all 4"),
    "kernel of an identity": (net(first(), neuron_layer("b", replace(IDENTITY, kernel=3))), "identity connection has"),
    "weight shape": (second(weights=np.ones((4, 4, 3, 2), int)), "expected (4, 4, 3, 3)"),
    "weight type": (second(weights=np.ones((4, 4, 3, 3))), "weights must be an array of integers"),
    "weight range": (second(weights=np.full((4, 4, 3, 3), 1 << 31)), "exceed 32 bits"),
    "rate from bits": (net(first(**BITS), neuron_layer("b", IDENTITY)), "sends bit_serial events; rate layers read"),
    "bits from rate": (net(first(), neuron_layer("b", IDENTITY, **BITS)), "bit_serial layers read"),
    "levels from rate": (net(first(), neuron_layer("b", IDENTITY, **LEVELS)), "quantised layers read"),
    "from a read-out": (net(first(neuron=ReadOut()), neuron_layer("b", IDENTITY)), "never sends anything"),
    "other timesteps": (net(first(), neuron_layer("b", IDENTITY, timesteps=3)), "its sources send 4 planes"),
    "other timesteps out": (net(first(), neuron_layer("b", IDENTITY, neuron=ReadOut(), timesteps=1)), "send 4 planes"),
    "mixed": (net(first(), neuron_layer("b", IDENTITY, conv(INPUT, (2, 6, 6)))), "sources differ in coding"),
    "max of bits": (net(first(**BITS), neuron_layer("b", replace(IDENTITY, pool=2, pool_mode="max"), **BITS,
                                                    shape=(4, 3, 3))),
                    "max pooling is the OR"),
    "max of values": (net(pooled("max")), "max pooling is the OR"),
    "max of a hybrid input": (net(pooled("max"), **HYBRID), "max pooling is the OR"),
    "unit of a hybrid input": (net(pooled("unit"), **HYBRID), "pool a hybrid input 'folded'"),
    "stages of a direct input": (net(first(neuron=ReadOut(), stages=(0, 2, 4))), "cannot read a direct input, which comes once"),
    "two levels": (net(first(**LEVELS, timesteps=2, thresholds=np.full(2, 4))), "a quantised ANN layer has 1"),
    "leak": (net(first(neuron=IntegrateAndFire(leak_shift=0))), "leak_shift is 0"),
    "reset": (net(first(neuron=IntegrateAndFire(reset="none"))), "reset is 'none'"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_each_rule_broken_is_told(name: str) -> None:
    network, says = PROBLEMS[name]
    problems = validate_network(network)
    assert any(says in problem for problem in problems), problems


SOUND: dict[str, Network] = {
    "last layer that spikes": net(first()),
    "spiking input": net(first(), **SPIKES),
    "bit planes in": net(first(**BITS), **SPIKES, coding="bit_serial"),
    "fewer bits out than in": net(first(**BITS), neuron_layer("b", IDENTITY, **BITS, timesteps=2)),
    "option A": net(first(), neuron_layer("b", replace(IDENTITY, stride=2, channel_offset=2), shape=(8, 3, 3))),
    "channels lost": net(first(), neuron_layer("b", replace(IDENTITY, channel_offset=-3))),
    "unit pool on bit planes": net(first(**BITS), neuron_layer("b", replace(IDENTITY, pool=2, pool_mode="unit"), **BITS,
                                                               shape=(4, 3, 3))),
    "folded pool on values": net(first(**LEVELS), neuron_layer("b", replace(IDENTITY, pool=2, pool_mode="folded"),
                                                               **LEVELS, shape=(4, 3, 3))),
    "max pool on spikes": net(first(), neuron_layer("b", replace(IDENTITY, pool=2, pool_mode="max"), shape=(4, 3, 3))),
    "one stage": net(first(stages=(0, 4))),
    "read-out of bits": net(first(**BITS), neuron_layer("b", IDENTITY, neuron=ReadOut())),
    "no weights": net(first(), neuron_layer("b", conv("a", (4, 6, 6), weights=None))),
    "incomplete windows": net(first(), neuron_layer("b", replace(IDENTITY, pool=4, pool_mode="folded"),
                                                    shape=(4, 1, 1))),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_is_allowed_is_not_refused(name: str) -> None:
    assert validate_network(SOUND[name]) == []


def test_all_problems_are_told_at_once() -> None:
    broken = net(first(potential_bits=1, stages=(1,)), neuron_layer("b", conv("c", (4, 6, 6))), payload_bits=0)
    assert len(validate_network(broken)) == 4
