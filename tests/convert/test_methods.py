"""Every method from a checkpoint to a trace that the hardware replays, and what is refused on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hwsim.convert.integers import ConversionError, Widths
from hwsim.convert.methods import Request, convert, measure, record
from hwsim.errors import HwsimError
from hwsim.simulation import simulate
from hwsim.snn.forward import forward
from hwsim.snn.validate import validate_network
from hwsim.sources.activations import ActivationSpec
from hwsim.sources.calibrate import activation_percentiles
from hwsim.sources.checkpoint import Checkpoint, Description
from hwsim.sources.data import Dataset
from hwsim.sources.networks import SourceError
from hwsim.sources.normaliser import Normaliser

# Those that start from a Source; hwsim.convert.single_spike starts from a trained spiking network.
CONVERSIONS = {
    "ann": ("qcfs", "lsq"), "bit_serial": ("qcfs",), "rate": ("qcfs",), "alpha_beta": ("threshold_relu", "alpha_beta"),
    "two_stage": ("qcfs",), "noise_adaptor": ("lsq",),
}
# By activation: what a checkpoint of it holds.
SPECS = {
    "qcfs": ActivationSpec("qcfs", 8, threshold=1.5),
    "lsq": ActivationSpec("lsq", 8, 8, noise=True, threshold=1.5),
    "threshold_relu": ActivationSpec("threshold_relu", threshold=1.5),
    "relu": ActivationSpec("relu"),
}


def checkpoint(kind: str, **changes) -> Checkpoint:
    """A tiny network with weights as they start, but BatchNorms as if it had been trained."""
    says = replace(Description("tiny", SPECS[kind], 5, (1, 8, 8), None, "mnist", (0.4,), (0.5,), 0), **changes)
    torch.manual_seed(0)
    network = says.build()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for tensor, low, high in ((module.running_mean, -0.3, 0.3), (module.running_var, 0.2, 1.5),
                                          (module.weight, -1.2, 1.5), (module.bias, -0.2, 0.6)):
                    tensor.uniform_(low, high)
    return Checkpoint(Path("here.pt"), says, network.state_dict(), None)


@pytest.fixture
def data() -> Dataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 8, 8, 1), dtype=np.uint8)
    labels = rng.integers(0, 5, 12)
    return Dataset("mnist", images, labels, images[:6], labels[:6], (0.4,), (0.5,))


def converted(method: str, data: Dataset, **changes):
    return convert(checkpoint(CONVERSIONS[method][0]), Request(method, 3, tau=2, **changes), data)


@pytest.mark.parametrize("method", CONVERSIONS)
def test_every_method_replays_without_a_mismatch(method: str, data: Dataset, tmp_path: Path) -> None:
    """Trace, both engines, closed loop: every spike and final potential is the converted network's."""
    made = converted(method, data)
    assert validate_network(made.network) == []
    path = tmp_path / f"{method}.h5"
    with record(made, data, path, 2, method, {}) as trace:
        for index in range(2):
            recorded, potentials = forward(made.network, made.inputs(data.test_images[index : index + 1])[0])
            sample = trace.sample(index)
            for name, spikes in recorded.items():
                assert spikes.any(), f"{name} is silent"
                np.testing.assert_array_equal(sample.recorded[name], spikes)
            np.testing.assert_array_equal(trace.final_potentials(index)["out"], potentials["out"])
        arch = "mac_core_64" if method == "ann" else "event_core_64_flags"
        for engine in ("fast", "reference"):
            result = simulate(trace, arch, engine=engine, spikes="computed", samples=1)
            assert result.facts.mismatches == 0
            assert result.facts.saturations == 0


@pytest.mark.parametrize("method", CONVERSIONS)
def test_measure_runs_the_images_asked_for(method: str, data: Dataset) -> None:
    made = converted(method, data)
    whole, part = measure(made, data), measure(made, data, 4)
    assert (whole.images, part.images) == (6, 4)
    answers = [forward(made.network, x)[1]["out"].argmax() for x in made.inputs(data.test_images)]
    right = np.array(answers) == data.test_labels
    assert whole.accuracy == right.mean()
    assert part.accuracy == right[:4].mean()


def test_percentiles_are_those_of_the_activations(data: Dataset) -> None:
    """One batch: numpy's percentiles of clip(z, 0, mu); two of equal images: the same again."""
    taken = checkpoint("threshold_relu")
    network, normalise = taken.network(), Normaliser((0.4,), (0.5,))
    found = activation_percentiles(network, normalise(torch.from_numpy(data.train_images)))
    images = torch.from_numpy((data.train_images.transpose(0, 3, 1, 2) / 255 - 0.4) / 0.5).float()
    with torch.no_grad():
        outputs = network.outputs(images)
    assert list(found) == ["conv1", "conv2", "conv3", "fc1"]
    for name, rows in found.items():
        np.testing.assert_allclose(rows, np.percentile(outputs[name].numpy(), np.arange(101)), rtol=1e-5, atol=1e-6)
        assert rows.max() <= network.activations()[name].threshold.item()
    twice = activation_percentiles(network, normalise(torch.from_numpy(np.concatenate([data.train_images] * 2))), batch=12)
    for name, rows in twice.items():
        np.testing.assert_allclose(rows, found[name], rtol=1e-6)


def test_alpha_beta_looks_at_the_training_images_asked_for(data: Dataset) -> None:
    few = converted("alpha_beta", data, calibration=3)
    assert few.notes["calibration_images"] == 3
    assert list(few.notes["alpha_beta"]) == ["conv1", "conv2", "conv3", "fc1"]
    assert converted("alpha_beta", data).notes["calibration_images"] == 12


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_refuses_methods_that_are_not_known(data: Dataset) -> None:
    with pytest.raises(ConversionError, match="method 'phase' is not known; choose from ann, bit_serial, rate"):
        convert(checkpoint("qcfs"), Request("phase", 4), data)


def test_refuses_times_of_a_read_out_that_has_none(data: Dataset) -> None:
    with pytest.raises(ConversionError, match="rate does not weigh the time of a first crossing, single_spike does; leave"):
        convert(checkpoint("qcfs"), Request("rate", 4, first_crossing=True), data)


@pytest.mark.parametrize("method", CONVERSIONS)
def test_refuses_checkpoints_of_other_activations(method: str, data: Dataset) -> None:
    for kind in set(SPECS) - set(CONVERSIONS[method]):
        with pytest.raises(ConversionError, match=f"here.pt: was trained with {kind} activations, and {method} takes"):
            convert(checkpoint(kind), Request(method, 3), data)


def test_refuses_another_data_set_than_it_was_trained_on(data: Dataset) -> None:
    with pytest.raises(ConversionError, match="here.pt: was trained on cifar10, the images are mnist; give the folder"):
        convert(checkpoint("qcfs", dataset="cifar10"), Request("rate", 3), data)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", ["layers.conv2.connections.0.operator.weight", "layers.conv2.connections.0.norm.running_mean",
                                   "layers.conv2.connections.0.norm.weight"])
def test_refuses_weights_that_are_not_numbers(value: float, place: str, data: Dataset) -> None:
    taken = checkpoint("qcfs")
    weights = {name: tensor.clone() for name, tensor in taken.weights.items()}
    weights[place].view(-1)[0] = value
    with pytest.raises(SourceError, match="layer conv2, connection from conv1: NaN or infinity among its weights"):
        convert(replace(taken, weights=weights), Request("rate", 3), data)


def test_refuses_a_bias_out_of_all_proportion(data: Dataset) -> None:
    source = checkpoint("qcfs")
    source.weights["layers.out.connections.0.operator.bias"][0] = 1e30
    with pytest.raises(ConversionError, match="less than 2"):
        convert(source, Request("bit_serial", 4), data)


def test_refuses_a_start_on_shrunk_images(data: Dataset) -> None:
    source = checkpoint("qcfs")
    source.description.recipe["shrink"] = 2
    with pytest.raises(ConversionError, match="train it at full size"):
        convert(source, Request("bit_serial", 4), data)


def test_refuses_potentials_too_narrow_for_a_bias_before_anything_is_measured(data: Dataset) -> None:
    with pytest.raises(ConversionError, match="give more bits"):
        convert(checkpoint("qcfs"), Request("bit_serial", 4, widths=Widths(potential_bits=2)), data)


def test_refuses_thresholds_that_are_not_numbers(data: Dataset) -> None:
    taken = checkpoint("qcfs")
    weights = {name: tensor.clone() for name, tensor in taken.weights.items()}
    weights["layers.conv2.activation.threshold"].fill_(float("nan"))
    with pytest.raises(SourceError, match="layer conv2: its threshold is nan, expected a positive number"):
        convert(replace(taken, weights=weights), Request("rate", 3), data)


@pytest.mark.parametrize(("method", "timesteps", "highest"), [("bit_serial", 17, 16), ("ann", 17, 16), ("rate", 65, 64),
                                                              ("two_stage", 65, 64), ("alpha_beta", 65, 64)])
def test_refuses_timesteps_out_of_range(method: str, timesteps: int, highest: int, data: Dataset) -> None:
    for wrong in (0, -1, timesteps):
        with pytest.raises(ConversionError, match=f"timesteps is {wrong}, expected 1 to {highest}"):
            convert(checkpoint(CONVERSIONS[method][0]), Request(method, wrong), data)


def test_refuses_more_samples_or_images_than_there_are(data: Dataset, tmp_path: Path) -> None:
    made = converted("rate", data)
    for samples in (0, 7):
        with pytest.raises(ConversionError, match=f"samples is {samples}, expected 1 to 6, the test images"):
            record(made, data, tmp_path / "t.h5", samples, "t", {})
    assert not list(tmp_path.iterdir())
    for images in (0, -1, 7):
        with pytest.raises(HwsimError, match=f"images is {images}, expected 1 to 6, the test images"):
            measure(made, data, images)
