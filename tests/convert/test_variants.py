"""What can be trained can be converted: every network and variant, trained for two steps, becomes a trace that replays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from hwsim.convert.integers import ConversionError, Widths  # noqa: E402
from hwsim.convert.methods import Request, convert, record  # noqa: E402
from hwsim.simulation import simulate  # noqa: E402
from hwsim.snn.forward import forward  # noqa: E402
from hwsim.sources.activations import ActivationSpec  # noqa: E402
from hwsim.sources.checkpoint import Checkpoint, Description, load_checkpoint  # noqa: E402
from hwsim.sources.data import Dataset  # noqa: E402
from hwsim.sources.zoo import Variant  # noqa: E402
from hwsim.training.train import Recipe, TrainError, Training  # noqa: E402

MEAN, STD = (0.5, 0.5, 0.5), (0.29, 0.29, 0.29)
NARROW = Variant(width=1 / 16)
PLAIN = replace(NARROW, norm=False, bias=False)
SPECS = {
    "ann": ActivationSpec("qcfs", 8), "bit_serial": ActivationSpec("qcfs", 8), "rate": ActivationSpec("qcfs", 4, 4),
    "two_stage": ActivationSpec("qcfs", 4, 4), "noise_adaptor": ActivationSpec("lsq", 2, 2, noise=True),
    "alpha_beta": ActivationSpec("alpha_beta", timesteps=3), "single_spike": ActivationSpec("single_spike", timesteps=3),
}
CASES = [
    ("resnet20", None, replace(NARROW, shortcut="projection", width=1 / 4), "bit_serial"),
    ("resnet20", None, replace(NARROW, shortcut="projection", width=1 / 4), "two_stage"),
    ("resnet20", None, replace(NARROW, pool="max", width=1 / 4), "noise_adaptor"),
    ("resnet18", None, replace(NARROW, shortcut="pad"), "ann"),
    ("resnet20_wide", None, replace(PLAIN, dropout=0.2, pool="max"), "alpha_beta"),
    ("resnet20_wide", None, NARROW, "rate"),
    ("vgg6", 64, replace(PLAIN, dropout=0.2), "single_spike"),
    ("vgg6", 64, replace(PLAIN, bias=True), "bit_serial"),
    ("vgg9", 64, replace(PLAIN, pool="max"), "single_spike"),
    ("vgg9", None, NARROW, "ann"),
    ("vgg11", 64, replace(PLAIN, dropout=0.1, pool="max"), "alpha_beta"),
    ("vgg11", None, replace(NARROW, pool="max"), "rate"),
    ("vgg16", 64, replace(PLAIN, bias=True, pool="max"), "two_stage"),
]


def images(count: int = 24) -> Dataset:
    """Noise of several sizes, in ten classes."""
    rng = np.random.default_rng(1)
    pixels = np.clip(rng.normal(128, 75, (count, 32, 32, 3)), 0, 255).astype(np.uint8)
    labels = np.arange(count) % 10
    return Dataset("cifar10", pixels, labels, pixels[:4], labels[:4], MEAN, STD)


def trained(name: str, head: int | None, variant: Variant, spec: ActivationSpec, folder: Path) -> Checkpoint:
    """Two steps of a network with ReLU, then two more from there with the activation that is asked for."""
    start, recipe = None, Recipe(epochs=1, batch=12, rate=0.003, precision="float32")
    for activation in (ActivationSpec("relu"), spec):
        described = Description(name, activation, 10, (3, 32, 32), head, "cifar10", MEAN, STD, 1, variant=variant)
        training = Training(images(), described, recipe, torch.device("cpu"))
        if start is not None:
            training.start_from(start)
        training.run_epoch(0)
        training.save(folder, 1, 10.0, False)
        start = load_checkpoint(folder / "last.pt")
    assert start is not None
    return start


@pytest.mark.parametrize(("name", "head", "variant", "method"), CASES, ids=lambda x: x if isinstance(x, str) else "")
def test_what_is_trained_converts_and_replays(name: str, head: int | None, variant: Variant, method: str, tmp_path: Path) -> None:
    data = images()
    checkpoint = trained(name, head, variant, SPECS[method], tmp_path)
    assert checkpoint.description.variant == variant
    made = convert(checkpoint, Request(method, 3, tau=2), data)
    modes = {c.pool_mode for layer in made.network for c in layer.connections if c.pool == 2}
    assert modes <= {"max" if variant.pool == "max" else "folded"}
    if not variant.bias and method != "single_spike":
        assert all(layer.bias is None for layer in made.network if layer.coding != "readout")
    with record(made, data, tmp_path / "trace.h5", 1, "trace", {}) as trace:
        recorded, potentials = forward(made.network, made.inputs(data.test_images[:1])[0])
        for layer, spikes in recorded.items():
            np.testing.assert_array_equal(trace.sample(0).recorded[layer], spikes)
        assert sum(spikes.any() for spikes in recorded.values()) > len(recorded) / 2, "most layers fire"
        np.testing.assert_array_equal(trace.final_potentials(0)["out"], potentials["out"])
        result = simulate(trace, "mac_core_64" if method == "ann" else "event_core_64_flags", spikes="computed")
    assert (result.facts.mismatches, result.facts.saturations) == (0, 0)


@pytest.mark.parametrize("method", ["ann", "bit_serial"])
def test_bit_planes_of_a_network_with_max_pooling_are_refused(method: str, tmp_path: Path) -> None:
    checkpoint = trained("vgg6", None, replace(NARROW, pool="max"), SPECS[method], tmp_path)
    with pytest.raises(ConversionError, match="trained with max pooling.*--pool average"):
        convert(checkpoint, Request(method, 3), images())


def test_neurons_of_a_network_with_max_pooling_send_what_its_snn_sends(tmp_path: Path) -> None:
    """The SNN in training, timesteps in a batch, against the integers: pooled spikes are the OR of each timestep."""
    checkpoint = trained("vgg6", None, replace(NARROW, pool="max", width=1 / 4), SPECS["alpha_beta"], tmp_path)
    data, network = images(), checkpoint.network()
    made = convert(checkpoint, Request("alpha_beta", 3, widths=Widths(16, 16)), data)
    pixels = torch.from_numpy((data.test_images.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.29).float()
    with torch.no_grad():
        floats = network.outputs(pixels)
    for index, image in enumerate(data.test_images):
        spikes, _ = forward(made.network, made.inputs(image[None])[0])
        for name in ("conv1_1", "conv2_1", "conv2_2"):
            mine = floats[name].unflatten(0, (3, -1))[:, index].permute(0, 2, 3, 1).numpy() > 0
            assert (mine != spikes[name]).mean() < 0.003, name


@pytest.mark.parametrize(("name", "head"), [("vgg6", 64), ("resnet20", None)])
def test_a_network_without_batch_norm_starts_from_one_with_it(name: str, head: int | None, tmp_path: Path) -> None:
    """With biases it answers what its start answers; without, what its start would answer with all biases 0."""
    variant = NARROW if head else replace(NARROW, shortcut="projection")
    start = trained(name, head, variant, ActivationSpec("relu"), tmp_path)
    source, pixels = start.network().eval(), torch.randn(3, 3, 32, 32)
    for bias in (True, False):
        described = replace(start.description, variant=replace(start.description.variant, norm=False, bias=bias))
        training = Training(images(), described, Recipe(batch=12), torch.device("cpu"))
        training.start_from(start)
        made = training.network.eval()
        with torch.no_grad():
            if not bias:
                drop_biases(source)
            torch.testing.assert_close(made(pixels), source(pixels), rtol=1e-4, atol=1e-4)
        assert any("bias" in name for name, _ in made.named_parameters()) == bias


def drop_biases(network: nn.Module) -> None:
    """BatchNorms whose output is a multiple of their input, and no other bias."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.zero_()
        if getattr(module, "bias", None) is not None:
            module.bias.data.zero_()


def test_what_a_start_has_not_is_not_made_up(tmp_path: Path) -> None:
    """BatchNorms or biases that the checkpoint lacks; neurons that fire once, which begin at the bias."""
    plain, normed = (trained("vgg6", 64, variant, ActivationSpec("relu"), tmp_path) for variant in (PLAIN, NARROW))
    wanted = [(plain, NARROW, "relu", "norm = False, expected True.*give --no-norm"),
              (plain, replace(PLAIN, bias=True), "relu", "bias = False.*give --no-bias"),
              (normed, PLAIN, "single_spike", "norm = True, expected False.*fire once.*give --norm")]
    for start, variant, kind, words in wanted:
        described = replace(start.description, variant=variant, activation=ActivationSpec(kind))
        training = Training(images(), described, Recipe(batch=12), torch.device("cpu"))
        with pytest.raises(TrainError, match=words):
            training.start_from(start)
