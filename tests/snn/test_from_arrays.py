"""Anybody's recorded spikes become a trace; what is left out is inferred, what cannot be is asked for."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwsim.trace.reader
from hwsim.snn.forward import forward
from hwsim.snn.network import Connection, Layer
from hwsim.snn.neurons import IntegrateAndFire, ReadOut
from hwsim.trace.reader import Trace, TraceError

SAMPLES, T = 3, 4


def spikes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.random((SAMPLES, T, *shape)) < 0.3


def test_the_example_of_the_docstring_works() -> None:
    assert doctest.testmod(hwsim.trace.reader).failed == 0
    assert "from_arrays" in (Trace.from_arrays.__doc__ or "")


def test_recorded_spikes_without_weights() -> None:
    rng = np.random.default_rng(0)
    given = {"conv": spikes(rng, 8, 6, 6), "fc": spikes(rng, 5)}
    inputs = rng.random((SAMPLES, T, 3, 12, 12)) < 0.2
    trace = Trace.from_arrays(inputs, [
        {"name": "conv", "operator": "conv2d", "kernel": 3, "padding": 1, "stride": 2, "thresholds": [4, 5, 6, 7]},
        {"name": "fc", "operator": "linear"},
        {"name": "out", "operator": "linear", "neuron": "read_out", "shape": (2, 1, 1)},
    ], given, labels=np.array([1, 0, 1]), name="mine", provenance={"origin": "elsewhere"})
    assert (trace.samples, trace.coding, trace.timesteps, trace.has_weights) == (SAMPLES, "rate", T, False)
    assert trace.network.input.encoding == "spikes"
    assert trace.network.layer("conv").thresholds.tolist() == [4, 5, 6, 7]
    assert [layer.shape for layer in trace.network] == [(8, 6, 6), (5, 1, 1), (2, 1, 1)]
    assert trace.labels.tolist() == [1, 0, 1]
    for i in range(SAMPLES):
        sample = trace.sample(i)
        np.testing.assert_array_equal(sample.inputs, inputs[i].transpose(0, 2, 3, 1))
        np.testing.assert_array_equal(sample.recorded["conv"], given["conv"][i].transpose(0, 2, 3, 1))
        np.testing.assert_array_equal(sample.recorded["fc"], given["fc"][i].reshape(T, 1, 1, 5))
    trace.check()


def residual_layers(rng: np.random.Generator) -> list[dict[str, Any]]:
    return [
        {"name": "a", "weights": rng.integers(-5, 6, (4, 2, 3, 3)), "padding": 1, "thresholds": 60, "timesteps": T},
        {"name": "b", "thresholds": 25, "neuron": IntegrateAndFire("hard"), "bias": [1, 2, 3, 4, 0, 0, 0, 0],
         "connections": [{"weights": rng.integers(-5, 6, (8, 4, 3, 3)), "padding": 1, "stride": 2},
                         {"weights": [9, 9, 9, 9], "stride": 2, "channel_offset": 2}]},
        {"name": "out", "weights": rng.integers(-5, 6, (3, 8)), "pool": 2, "neuron": "read_out"},
    ]


def test_with_all_weights_the_spikes_are_computed() -> None:
    rng = np.random.default_rng(1)
    inputs = rng.integers(0, 16, (SAMPLES, 2, 5, 5))
    trace = Trace.from_arrays(inputs, residual_layers(rng))
    assert trace.has_weights
    assert trace.network.input.payload_bits == 4
    b = trace.network.layer("b")
    assert b.shape == (8, 3, 3)
    assert b.bias.reshape(-1).tolist() == [1, 2, 3, 4, 0, 0, 0, 0]
    assert b.neuron == IntegrateAndFire("hard")
    assert trace.network.layer("out").connections[0].pool_mode == "folded"
    for i in range(SAMPLES):
        sample = trace.sample(i)
        np.testing.assert_array_equal(sample.inputs[0], inputs[i].transpose(1, 2, 0))
        computed = forward(trace.network, sample.inputs)[0]
        for name, planes in sample.recorded.items():
            np.testing.assert_array_equal(planes, computed[name])
    assert sum(int(s.recorded["b"].sum()) for s in trace) > 0


def test_dictionaries_and_layers_make_the_same_trace() -> None:
    rng = np.random.default_rng(2)
    inputs, weights = rng.integers(-8, 8, (SAMPLES, 2, 4, 4)), rng.integers(-5, 6, (3, 32))
    first = Trace.from_arrays(inputs, [{"name": "out", "weights": weights, "neuron": "read_out"}])
    wire = Connection("input", "linear", (2, 4, 4), weights)
    second = Trace.from_arrays(inputs, [Layer("out", (3, 1, 1), (wire,), ReadOut(), 1)])
    assert first.network.input.signed
    assert first.content_hash == second.content_hash


def test_a_bias_may_be_one_for_all_one_a_channel_or_one_a_neuron() -> None:
    whole = np.arange(32).reshape(2, 4, 4)
    for bias, expected in ((3, np.full((1, 1, 1), 3)), ([1, 2], np.array([[[1]], [[2]]])), (whole, whole)):
        layer = {"name": "a", "weights": [1, 1], "thresholds": 4, "timesteps": 1, "bias": bias, "initial_potential": bias}
        found = Trace.from_arrays(np.ones((1, 2, 4, 4), int), [layer]).network.layer("a")
        np.testing.assert_array_equal(found.bias, expected)
        np.testing.assert_array_equal(found.initial_potential, expected)


def test_values_of_a_quantised_ann() -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(0, 16, (SAMPLES, 4, 5, 5))
    trace = Trace.from_arrays(rng.integers(0, 256, (SAMPLES, 2, 5, 5)), [
        {"name": "a", "operator": "conv2d", "kernel": 3, "padding": 1, "neuron": "requantise", "payload_bits": 4,
         "spikes": values},
        {"name": "out", "operator": "linear", "shape": [3, 1, 1], "neuron": "read_out"},
    ])
    assert (trace.coding, trace.timesteps) == ("quantised", 1)
    np.testing.assert_array_equal(trace.sample(2).recorded["a"][0], values[2].transpose(1, 2, 0))


def test_bit_planes_as_input() -> None:
    planes = np.random.default_rng(4).random((SAMPLES, T, 2, 3, 3)) < 0.5
    trace = Trace.from_arrays(planes, [
        {"name": "a", "weights": np.ones((1, 18), int), "neuron": "bit_serial", "thresholds": 160},
    ], input_coding="bit_serial")
    assert trace.coding == "bit_serial"
    value = int((planes[0].sum(axis=(1, 2, 3)) * [8, 4, 2, 1]).sum())
    level = min(15, value // 10)
    bits = trace.sample(0).recorded["a"].reshape(-1).tolist()
    assert bits == [level >> 3 & 1, level >> 2 & 1, level >> 1 & 1, level & 1]


def test_it_saves_and_opens_like_any_other(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    inputs, logits = rng.integers(0, 16, (SAMPLES, 2, 5, 5)), rng.random((SAMPLES, 3))
    trace = Trace.from_arrays(inputs, residual_layers(rng), logits=logits)
    with trace.save(tmp_path / "x.h5") as file:
        assert file.content_hash == trace.content_hash
        np.testing.assert_array_equal(file.logits(1), trace.logits(1))


OK = {"name": "a", "operator": "conv2d", "kernel": 3, "padding": 1}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt key": ({"layers": [{**OK, "threshold": 3}]}, "found keys threshold, expected keys among"),
    "misspelt key of a connection": ({"layers": [{"name": "a", "connections": [{"weight": 1}]}]}, "found keys weight"),
    "connections twice": ({"layers": [{**OK, "connections": [{"operator": "linear"}]}]}, "both 'connections'"),
    "no operator": ({"layers": [{"name": "a"}]}, "no weights of 4, 2 or 1 axes and no operator"),
    "no shape": ({"layers": [OK], "spikes": {}}, "neither weights, spikes nor shape"),
    "no thresholds": ({"layers": [{"name": "a", "weights": np.ones((3, 2, 3, 3), int), "padding": 1}]},
                      "no thresholds"),
    "no timesteps": ({"layers": [{**OK, "shape": (3, 4, 4), "thresholds": 3}], "spikes": {}}, "no timesteps"),
    "float weights": ({"layers": [{"name": "a", "weights": np.ones((3, 2, 3, 3)), "padding": 1, "thresholds": 1}]},
                      "weights must be an array of integers"),
    "float threshold": ({"layers": [{**OK, "thresholds": 0.5}]}, "thresholds: found float64"),
    "unknown neuron": ({"layers": [{**OK, "neuron": "lif"}]}, "found neuron 'lif'"),
    "unknown source": ({"layers": [{**OK, "source": "z"}]}, "no layer named 'z'"),
    "unknown spikes": ({"spikes": {"z": np.ones((2, 4, 3, 4, 4), bool)}}, "neither weights"),
    "spikes of a stranger": ({"spikes": {"a": np.ones((2, 4, 3, 4, 4), bool), "z": np.ones((2, 1, 1))}}, "layers z"),
    "spikes for some": ({"layers": [OK, {"name": "b", "operator": "linear", "shape": (1, 1, 1)}]}, "none for b"),
    "sample count": ({"spikes": {"a": np.ones((5, 4, 3, 4, 4), bool)}}, "found 5 samples, expected 2"),
    "spikes of two axes": ({"spikes": {"a": np.ones((2, 4), bool)}}, r"\(samples, T, C, H, W\)"),
    "counts for spikes": ({"spikes": {"a": np.full((2, 4, 3, 4, 4), 2)}}, "values from 2 to 2, expected 0 to 1"),
    "float input": ({"inputs": np.ones((2, 2, 4, 4))}, "inputs: found float64"),
    "flat input": ({"inputs": np.ones((2, 32), int)}, r"inputs: found int64 of shape \(2, 32\)"),
    "narrow input": ({"inputs": np.full((2, 2, 4, 4), 9), "input_bits": 3}, "values from 9 to 9, expected 0 to 7"),
    "labels": ({"labels": [1]}, "labels: found 1 of them, expected 2"),
    "shapes that do not fit": ({"layers": [{**OK, "padding": 0}]}, r"gives an output of shape \(3, 2, 2\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_in_words(name: str) -> None:
    arguments: dict[str, Any] = {
        "inputs": np.ones((2, 2, 4, 4), int), "layers": [OK], "spikes": {"a": np.ones((2, 4, 3, 4, 4), bool)},
    }
    changed, says = REFUSED[name]
    with pytest.raises(TraceError, match=says):
        Trace.from_arrays(**(arguments | changed))


def test_the_arguments_of_the_refusals_are_otherwise_fine() -> None:
    trace = Trace.from_arrays(np.ones((2, 2, 4, 4), int), [OK], {"a": np.ones((2, 4, 3, 4, 4), bool)}, labels=[1, 2])
    assert trace.samples == 2


def test_sides_by_axis_and_a_layer_that_its_bias_drives() -> None:
    rng = np.random.default_rng(4)
    trace = Trace.from_arrays(inputs=rng.random((2, 3, 1, 2, 2)) < 0.5, layers=[
        dict(name="driven", connections=[], bias=[3, 5], thresholds=[4, 4, 4], shape=(2, 5, 4)),
        dict(name="read", weights=rng.integers(-3, 9, (4, 2, 3, 2)), padding=(1, 0), stride=(2, 1), thresholds=[5, 5, 5]),
    ])
    driven, read = trace.network
    assert (driven.connections, driven.timesteps, read.shape) == ((), 3, (4, 3, 3))
    assert (read.connections[0].kernel, read.connections[0].stride, read.connections[0].padding) == ((3, 2), (2, 1), (1, 0))
    assert trace.sample(0).recorded["driven"].sum(axis=(0, 1, 2)).tolist() == [2 * 20, 3 * 20]
    with pytest.raises(TraceError, match="'driven'.*found no timesteps, expected how many it takes of a direct input, or of its"):
        Trace.from_arrays(inputs=rng.random((2, 3, 1, 2, 2)) < 0.5, layers=[
            dict(name="driven", connections=[], bias=[3, 5], thresholds=4, shape=(2, 5, 4))])
    with pytest.raises(TraceError, match="both 'connections' and kernel"):
        Trace.from_arrays(inputs=rng.random((2, 3, 1, 2, 2)) < 0.5, layers=[dict(name="driven", connections=[], kernel=3)])
