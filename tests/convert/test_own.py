"""A user's own ANN: equal to its fake-quantised self, to its export, and to its bit-serial twin, on every neuron."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import hwsim
from hwsim.convert.base import Driven
from hwsim.convert.bit_serial import to_bit_serial, to_quantised_ann
from hwsim.convert.evaluate import run_batch
from hwsim.convert.folded import FoldedSource, SourceConnection, SourceLayer
from hwsim.convert.integers import USUAL_WIDTHS, input_unit
from hwsim.convert.maxima import maximum_layers
from hwsim.convert.own import Quantised, quantise
from hwsim.snn.network import INPUT, Connection
from tests.convert.own_networks import Inverted, Plain, Residual, fake_quantised, images, made

CASES = [(Residual, 0), (Residual, 1), (Plain, 0), (Plain, 1), (Inverted, 0), (Inverted, 1)]


@cache
def found(kind: type[nn.Module], seed: int) -> Quantised:
    labels = np.arange(12) % 5
    return quantise(made(kind, seed), images(seed), labels, name=kind.__name__)


@cache
def computed(kind: type[nn.Module], seed: int, twin: str) -> tuple[dict[str, NDArray], NDArray]:
    """Planes of every layer and potentials of the read-out for other images than those of the calibration."""
    driven = found(kind, seed).twins[twin]
    return run_batch(driven.network, driven.inputs(as_nhwc(images(seed + 10))))


def as_nhwc(values: NDArray) -> NDArray:
    return values.transpose(0, 2, 3, 1)


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_every_neuron_of_the_trace_is_the_fake_quantised_model_s(kind: type[nn.Module], seed: int) -> None:
    quantised, driven = found(kind, seed), found(kind, seed).twins["ann"]
    payloads = driven.inputs(as_nhwc(images(seed + 10)))[:, 0].transpose(0, 3, 1, 2)
    unit = input_unit(quantised.calibrated.source, quantised.widths)
    expected = fake_quantised(made(kind, seed), quantised, payloads * unit)
    planes, potentials = computed(kind, seed, "ann")
    own = {layer.name for layer in quantised.calibrated.ann.layers[:-1]}
    pooled_first = own - set(expected)
    assert len(pooled_first) <= 1, "only a layer that is pooled before its ReLU is not seen"
    for name in own - pooled_first:
        assert np.array_equal(planes[name][:, 0], expected[name]), name
        assert len(np.unique(expected[name])) > 3 or name.endswith(".minus"), f"{name} says little"
    logits = potentials - potentials.mean(axis=1, keepdims=True)
    wanted = expected["logits"] - expected["logits"].mean(axis=1, keepdims=True)
    assert np.allclose(logits / np.abs(logits).max(), wanted / np.abs(wanted).max(), atol=1e-9)


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_the_bit_serial_twin_is_the_quantised_ann(kind: type[nn.Module], seed: int) -> None:
    levels, potentials = computed(kind, seed, "ann")
    planes, summed = computed(kind, seed, "bit_serial")
    assert np.array_equal(potentials, summed)
    for name, bits in planes.items():
        read = np.tensordot([8, 4, 2, 1], bits.astype(int), (0, 1))
        assert np.array_equal(read, levels[name][:, 0]), name


@pytest.mark.parametrize(("kind", "seed"), [CASES[0], CASES[3], CASES[4]])
def test_an_export_gives_the_same_trace(kind: type[nn.Module], seed: int, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the extra hwsim[onnx]")
    path = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(made(kind, seed), (torch.zeros(1, 3, 16, 16),), str(path), dynamo=False)
    _check_same_traces(found(kind, seed), path, images(seed), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Residual, Plain])
def test_an_export_by_dynamo_gives_the_same_trace(kind: type[nn.Module], tmp_path: Path) -> None:
    """PyTorch's newer exporter takes ten times as long."""
    pytest.importorskip("onnxscript", reason="torch.onnx needs it")
    path = tmp_path / "net.onnx"
    torch.onnx.export(made(kind, 0), (torch.zeros(2, 3, 16, 16),), str(path), dynamo=True, verbose=False,
                      dynamic_shapes={"x": {0: torch.export.Dim("batch")}})
    _check_same_traces(found(kind, 0), path, images(0), tmp_path)


def _check_same_traces(expected: Quantised, path: Path, given: NDArray, folder: Path) -> None:
    exported = quantise(path, given, np.arange(len(given)) % 5, name=expected.name)
    mine, its = expected.record(folder / "mine", 3), exported.record(folder / "its", 3)
    for twin in expected.twins:
        with hwsim.Trace.open(mine[twin]) as a, hwsim.Trace.open(its[twin]) as b:
            assert [layer.name for layer in a.network] == [layer.name for layer in b.network]
            assert a.content_hash == b.content_hash, twin


def test_traces_replay_bit_for_bit(tmp_path: Path) -> None:
    quantised = found(Residual, 0)
    for twin, path in quantised.record(tmp_path / "own", 2).items():
        result = hwsim.simulate(str(path), "mac_core_64" if twin == "ann" else "event_core_64", spikes="computed")
        assert result.mismatches == 0, twin
        assert result.accuracy is not None
    (tmp_path / "own" / "notes.txt").write_text("mine")
    with pytest.raises(hwsim.HwsimError, match=r"holds notes.txt.*name another folder"):
        quantised.record(tmp_path / "own", 2)


def test_more_levels_lose_less() -> None:
    model, given = made(Residual, 0), images(0, 20)
    few, many = (quantise(model, given, levels=levels, weight_bits=12, payload_bits=12) for levels in (4, 256))
    for coarse, fine in zip(few.losses(), many.losses(), strict=True):
        assert fine.own < coarse.own / 10
        assert fine.total < coarse.total / 5
        assert 0 <= coarse.clipped < 0.2
    assert many.measure().agreement["ann"] >= 0.95
    assert many.measure().accuracy is None


def test_a_rate_twin_with_more_timesteps_is_nearer() -> None:
    given = images(0, 40)
    near = [quantise(made(Residual, 0), given, rate_timesteps=steps) for steps in (2, 64)]
    real, scores = None, []
    for quantised in near:
        driven = quantised.twins["rate"]
        planes, _ = run_batch(driven.network, driven.inputs(as_nhwc(given)))
        name = "layer1.1.conv2"
        step = next(x.threshold for x in quantised.calibrated.source.layers if x.name == name)
        real = quantised._real(as_nhwc(given))[name][0].permute(0, 3, 1, 2).numpy()
        scores.append(float(np.square(planes[name].mean(axis=1) * step - real).mean()))
    assert scores[1] < scores[0] / 2


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (2, 1, 0), (3, 1, 1), (3, 3, 0)])
def test_maxima_by_neurons_are_maxima(kernel: int, stride: int, padding: int) -> None:
    rng = np.random.default_rng(kernel + stride)
    shape = (2, 7, 9)
    geometry = Connection(INPUT, "identity", shape)
    relay = SourceLayer("relay", shape, (SourceConnection(geometry, np.array([1.0, 0.7])),), np.zeros(2), 0.9, 15, 15)
    h, w = ((n + 2 * padding - kernel) // stride + 1 for n in shape[1:])
    tree = maximum_layers("max", relay, kernel, stride, padding, (2, h, w))
    out = SourceLayer("out", (2, 1, 1), (SourceConnection(
        Connection("max", "linear", (2, h, w)), rng.normal(0, 1, (2, 2 * h * w))),), np.zeros(2))
    source = FoldedSource("maxima", shape, np.zeros(2), np.ones(2), (relay, *tree, out))
    inputs = rng.integers(0, 256, (20, 1, 7, 9, 2)).astype(np.uint16)
    levels = run_batch(to_quantised_ann(source, 4), inputs)[0]
    padded = np.pad(levels["relay"][:, 0], ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride]
    assert np.array_equal(levels["max"][:, 0], windows.max(axis=(4, 5)))
    planes = run_batch(to_bit_serial(source, 4), inputs)[0]["max"]
    assert np.array_equal(np.tensordot([8, 4, 2, 1], planes.astype(int), (0, 1)), levels["max"][:, 0])
    assert USUAL_WIDTHS.weight_bits == 8


def test_normalisation_is_the_same_inside_and_outside_of_the_graph() -> None:
    """Bytes with mean and std, floats that were normalised before, and a graph that normalises them itself: one network."""

    class Normalising(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = made(Plain, 0)
            self.register_buffer("mean", torch.tensor([0.5, 0.4, 0.3]).reshape(1, 3, 1, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net((x - self.mean) / 0.25)

    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3)).astype(np.uint8)
    mean = (0.5, 0.4, 0.3)
    outside = quantise(made(Plain, 0), pixels, mean=mean, std=(0.25,) * 3)
    inside = quantise(Normalising().eval(), pixels)

    def network(quantised: Quantised) -> Driven:
        return quantised.twins["ann"]

    assert np.array_equal(network(inside).inputs(pixels), network(outside).inputs(pixels))
    for a, b in zip(network(inside).network, network(outside).network, strict=True):
        assert all(np.abs(x.weights - y.weights).max() <= 1 for x, y in zip(a.connections, b.connections, strict=True))
    assert network(inside).network.input.signed
    assert not network(quantise(made(Plain, 0), pixels)).network.input.signed
