"""Scaled traces: as many spikes as asked, layers in proportion, clustering by the law of thinning, and nothing else changed."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.simulation import simulate
from hwsim.trace.reader import Trace
from hwsim.trace.scaled import ScaleError, Shape, rate_of, scaled
from hwsim.trace.synth import synthesise


@pytest.fixture(scope="module")
def clustered() -> Trace:
    """A trace whose spikes lie beside each other: channels of one place spike together."""
    rng = np.random.default_rng(0)
    shape = (4, 3, 8, 6, 6)
    lit = rng.random((4, 3, 1, 6, 6)) < 0.4
    spikes = [(rng.random(shape) < p) & lit for p in (0.9, 0.45)]
    return Trace.from_arrays(
        rng.integers(0, 9, (4, 1, 6, 6)),
        [{"name": "a", "weights": rng.integers(1, 3, (8, 1, 3, 3)), "thresholds": 9, "padding": 1, "timesteps": 3},
         {"name": "b", "weights": rng.integers(1, 3, (8, 8, 3, 3)), "thresholds": 9, "padding": 1},
         {"name": "c", "weights": rng.integers(1, 3, (5, 8 * 36)), "neuron": "read_out"}],
        spikes={"a": spikes[0], "b": spikes[1]})


def planes(trace: Trace, layer: str) -> np.ndarray:
    return np.concatenate([trace.sample(n).recorded[layer] for n in range(trace.samples)])


def spread(made: np.ndarray) -> float:
    """Variance over mean of the spikes of a position, over all channels."""
    counts = made.sum(axis=3)
    return float(counts.var() / counts.mean())


def test_nothing_changed_is_the_recording(clustered: Trace) -> None:
    same = scaled(clustered, Shape())
    for name in ("a", "b"):
        assert (planes(same, name) == planes(clustered, name)).all()
    assert (same.sample(1).inputs == clustered.sample(1).inputs).all()
    there, here = (simulate(t, "event_core_16", check=False, spikes="trace") for t in (clustered, same))
    assert (there.cycles == here.cycles).all()
    assert there.energy_pj == pytest.approx(here.energy_pj)


@pytest.mark.parametrize(("rate", "steps"), [(0.02, 3), (0.1, 7), (0.4, 3), (0.55, 2)])
def test_rates_are_met_in_proportion(clustered: Trace, rate: float, steps: int) -> None:
    made = scaled(clustered, Shape(rate, steps))
    assert rate_of(made) == pytest.approx(rate, rel=0.04)
    assert made.timesteps == steps
    if rate < 0.4:  # above, neurons that spike in every step are full
        ratios = [planes(made, name).mean() / planes(clustered, name).mean() for name in ("a", "b")]
        assert ratios[0] == pytest.approx(ratios[1], rel=0.12)


def test_thinning_keeps_the_clustering(clustered: Trace) -> None:
    """The law of binomial thinning; spikes strewn at random would have a spread of 1."""
    factor = 0.5
    made = scaled(clustered, Shape(factor * rate_of(clustered)))
    for name in ("a", "b"):
        whole = spread(planes(clustered, name))
        assert whole > 2
        assert spread(planes(made, name)) == pytest.approx(1 + factor * (whole - 1), rel=0.1)


def test_more_spikes_lie_where_the_recording_has_some(clustered: Trace) -> None:
    """Spikes that are put in come from other planes of the layer: a place that never spikes stays silent while any other can."""
    rng = np.random.default_rng(1)
    base = rng.random((6, 4, 4, 5, 5)) < 0.2
    base[:, :, :, 2:] = False
    trace = Trace.from_arrays(rng.integers(0, 9, (6, 1, 5, 5)), [
        {"name": "a", "weights": np.ones((4, 1, 3, 3), int), "thresholds": 9, "padding": 1, "timesteps": 4},
        {"name": "b", "weights": np.ones((2, 100), int), "neuron": "read_out"}], spikes={"a": base})
    made = planes(scaled(trace, Shape(2.5 * rate_of(trace))), "a")
    assert made[:, 2:].sum() == 0
    assert made.mean() == pytest.approx(2.5 * base.mean(), rel=0.05)


def test_width_and_kernel_change_shapes_alone(quantised_trace: Trace) -> None:
    trace = synthesise("tiny", timesteps=3, density=0.2, samples=2, seed=1)
    wide = scaled(trace, Shape(width=2.0, kernel=5))
    for old, new in zip(trace.network, wide.network, strict=True):
        assert new.shape[0] == old.shape[0] * (2 if old.sends else 1)
        assert new.shape[1:] == old.shape[1:]
        for c in new.connections:
            assert c.kernel == (5 if c.operator == "conv2d" else 1)
    assert rate_of(wide) == pytest.approx(rate_of(trace, 2))
    more, fewer = (simulate(t, "event_core_16", samples=1, check=False).synaptic_operations for t in (wide, trace))
    assert more > 4 * fewer
    assert scaled(quantised_trace, Shape(width=0.5)).network.is_ann


@pytest.mark.parametrize(("shape", "problem"), [
    (Shape(0.0), "rate: found 0, allowed are more than 0 and at most 1"), (Shape(timesteps=65), "timesteps: found 65, allowed"),
    (Shape(width=99), "width: found 99, allowed are 0.0625 to 16"),
    (Shape(kernel=4), "kernel: found 4, allowed are odd numbers")])
def test_what_cannot_be_is_refused(shape: Shape, problem: str, rate_trace: Trace) -> None:
    with pytest.raises(ScaleError, match=problem):
        scaled(rate_trace, shape)


def test_other_codings_keep_their_steps(bit_serial_trace: Trace, quantised_trace: Trace) -> None:
    with pytest.raises(ScaleError, match="bit_serial in 3 steps cannot have others"):
        scaled(bit_serial_trace, Shape(timesteps=5))
    with pytest.raises(ScaleError, match="is a quantised ANN, whose values have no rate"):
        scaled(quantised_trace, Shape(rate=0.2))
    assert rate_of(scaled(bit_serial_trace, Shape(0.1))) == pytest.approx(0.1, rel=0.05)
