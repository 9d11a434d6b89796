"""Loihi's current-based neuron: its arithmetic, neuron by neuron in plain fractions, and what it becomes without decays."""

from __future__ import annotations

from fractions import Fraction
from math import trunc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwsim
from hwsim.mapping import MappingError
from hwsim.snn.forward import forward
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import CubaLif, IntegrateAndFire
from hwsim.snn.neurons.cuba_lif import kept
from hwsim.snn.sample import Sample
from hwsim.snn.validate import validate_network
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter

SHAPE = (2, 1, 3)
SETTINGS = settings(max_examples=40, deadline=None)
decays = st.one_of(st.sampled_from([0, 1, 1024, 4095, 4096]), st.integers(0, 4096))
seeds = st.integers(0, 2**32 - 1)


def layer(rng: np.random.Generator, neuron: CubaLif | IntegrateAndFire, steps: int = 6) -> Layer:
    return Layer("a", SHAPE, (), neuron, steps, rng.integers(1, 3000, steps), rng.integers(-500, 500, SHAPE),
                 rng.integers(-500, 500, SHAPE))


def sums_of(rng: np.random.Generator, steps: int = 6) -> np.ndarray:
    return rng.integers(-4000, 4000, (steps, *SHAPE))


@SETTINGS
@given(seeds, decays, decays)
def test_every_neuron_follows_its_equations(seed: int, current_decay: int, potential_decay: int) -> None:
    rng = np.random.default_rng(seed)
    made, sums = layer(rng, CubaLif(current_decay, potential_decay)), sums_of(rng)
    fired, ends = made.neuron.emit(sums, made)
    for place in np.ndindex(SHAPE):
        current, potential = 0, int(made.initial_potential[place])
        for t, theta in enumerate(made.thresholds.tolist()):
            current += int(sums[(t, *place)])
            potential += current + int(made.bias[place])
            assert fired[(t, *place)] == (potential > theta)
            potential = 0 if potential > theta else potential
            current = trunc(Fraction(current * (4096 - current_decay), 4096))
            potential = trunc(Fraction(potential * (4096 - potential_decay), 4096))
        assert ends[place] == potential


@SETTINGS
@given(seeds)
def test_without_decays_it_is_integrate_and_fire_one_above(seed: int) -> None:
    rng = np.random.default_rng(seed)
    made, sums = layer(rng, CubaLif()), sums_of(rng)
    plain = Layer("a", SHAPE, (), IntegrateAndFire("hard"), 6, made.thresholds + 1, made.bias, made.initial_potential)
    for found, expected in zip(made.neuron.emit(sums, made), plain.neuron.emit(sums, plain), strict=True):
        np.testing.assert_array_equal(found, expected)


@given(st.integers(-(1 << 40), 1 << 40), decays)
def test_what_is_kept_does_not_lean_to_either_side(value: int, decay: int) -> None:
    values = np.array([value, -value])
    left = kept(values, decay)
    assert left[0] == -left[1] == trunc(Fraction(value * (4096 - decay), 4096))
    assert abs(int(left[0])) <= abs(value)


@pytest.mark.parametrize("decay", [-1, 4097, 1.5, True])
def test_a_decay_that_is_none_is_refused(decay: object) -> None:
    for name in ("current_decay", "potential_decay"):
        made = layer(np.random.default_rng(0), CubaLif(**{name: decay}))  # type: ignore[arg-type]
        problems = validate_network(Network(InputSpec((1, 1, 1)), (made,)))
        assert problems == [f"layer 'a': {name} is {decay!r}, allowed are 0 to 4096, in 1/4096"]


def one_layer(spec: InputSpec, planes: np.ndarray) -> Trace:
    """Two neurons whose currents live on, fed by four sources."""
    rng = np.random.default_rng(3)
    wire = Connection(INPUT, "linear", (4, 1, 1), rng.integers(-90, 90, (2, 4)))
    network = Network(spec, (Layer("a", (2, 1, 1), (wire,), CubaLif(1024, 512), 3, np.array([40, 40, 40])),))
    with TraceWriter(network, name="cuba") as writer:
        writer.append(Sample(planes, forward(network, planes)[0]))
        return writer.finish()


def test_a_current_that_lives_on_runs_where_spikes_feed_it() -> None:
    planes = np.random.default_rng(4).integers(0, 2, (3, 1, 1, 4)).astype(np.uint8)
    trace = one_layer(InputSpec((4, 1, 1), "spikes", 3), planes)
    assert trace.network.layer("a").neuron == CubaLif(1024, 512)
    assert hwsim.simulate(trace, "event_core_64", spikes="computed").mismatches == 0
    with pytest.raises(MappingError, match="its neurons keep a current, and ODIN's have a potential alone"):
        hwsim.simulate(trace, "odin")
    for arch in ("systolic", "mac_core_64"):
        with pytest.raises(hwsim.HwsimError, match="spikes|quantised"):
            hwsim.simulate(trace, arch)


@pytest.mark.parametrize("arch", ["event_core_64", "output_stationary", "loihi_2_like"])
def test_a_current_that_lives_on_is_refused_by_name_where_a_direct_input_feeds_it(arch: str) -> None:
    trace = one_layer(InputSpec((4, 1, 1)), np.full((1, 1, 1, 4), 3, np.int16))
    with pytest.raises(MappingError, match="layer 'a' cannot be mapped: its cuba_lif neurons' current decays by 1024"):
        hwsim.simulate(trace, arch)
