"""Networks that are trained with integer weights: what torch computes is what the converted integers compute, on every neuron."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from hwsim.convert.bit_serial import to_bit_serial, to_quantised_ann  # noqa: E402
from hwsim.convert.evaluate import run_batch  # noqa: E402
from hwsim.convert.folded import FoldedSource, fold  # noqa: E402
from hwsim.convert.integers import ConversionError, Widths, input_unit, payloads  # noqa: E402
from hwsim.convert.methods import Request, convert  # noqa: E402
from hwsim.convert.rate import to_rate, to_two_stage  # noqa: E402
from hwsim.snn.validate import validate_network  # noqa: E402
from hwsim.sources.activations import ActivationSpec  # noqa: E402
from hwsim.sources.checkpoint import Checkpoint, load_checkpoint  # noqa: E402
from hwsim.sources.networks import SourceError, SourceNetwork  # noqa: E402
from hwsim.sources.rounding import Rounding  # noqa: E402
from hwsim.sources.zoo import Variant, build_network  # noqa: E402
from hwsim.training.rounding import choose_steps, fold_into  # noqa: E402
from hwsim.training.train import LAST, Recipe, TrainError, Training, train  # noqa: E402
from tests.convert.test_train import KilledError, kill_in  # noqa: E402
from tests.convert.tiny_set import tiny_set  # noqa: E402

RAW, NORMALISED = ((0.0,), (1.0,)), ((0.3,), (0.4,))
CASES = [("small", (1, 28, 28), Variant()), ("tiny", (1, 28, 28), Variant()),
         ("tiny", (1, 12, 12), Variant(norm=False, bias=False)),
         ("resnet20", (1, 32, 32), Variant(shortcut="projection", width=1 / 4)), ("resnet20", (1, 32, 32), Variant(width=1 / 4))]
QCFS = ActivationSpec("qcfs", 16)


@torch.no_grad()
def trained(name: str, shape: tuple[int, int, int], variant: Variant, pixels: Any, bits: int = 8
            ) -> tuple[SourceNetwork, SourceNetwork]:
    """A network of real weights and BatchNorms, thresholds at a high quantile of what flows, and one of integers that starts
    there."""
    torch.manual_seed(0)
    real, rounds = (build_network(name, QCFS.make, input_shape=shape, variant=v).eval()
                    for v in (variant, replace(variant, weight_bits=bits)))
    for key, tensor in real.state_dict().items():
        if "norm." in key and "tracked" not in key:
            tensor.uniform_(*(0.4, 1.4) if key.endswith(("var", "weight")) else (-0.3, 0.6))
    images = (torch.rand(4, *shape) - pixels[0][0]) / pixels[1][0]
    for layer_name in real.activations():
        real.activations()[layer_name].start_at(max(0.1, real.currents(images)[layer_name].quantile(0.9).item()))
    fold_into(rounds, real)
    for mine, its in zip(rounds.activations().values(), real.activations().values(), strict=True):
        mine.load_state_dict(its.state_dict())
    choose_steps(rounds, bits, *pixels)
    return real, rounds


@torch.no_grad()
def moved(network: SourceNetwork) -> SourceNetwork:
    """Weights as a training leaves them: the largest is another one, and some are beyond what their bits can say."""
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.mul_(0.97 + 0.1 * torch.rand_like(parameter))
    return network


@pytest.mark.parametrize("pixels", [RAW, NORMALISED], ids=["raw", "normalised"])
@pytest.mark.parametrize(("name", "shape", "variant"), CASES, ids=lambda x: x if isinstance(x, str) else "")
@pytest.mark.parametrize("bits", [8, 4])
def test_the_converted_integers_are_what_torch_computes(
    name: str, shape: tuple[int, int, int], variant: Variant, pixels: Any, bits: int
) -> None:
    """On every neuron, and every logit but for its unit; sums on the border of two levels are among them."""
    network, rng = moved(trained(name, shape, variant, pixels, bits=bits)[1]), np.random.default_rng(1)
    source, widths = fold(network, *pixels), Widths(weight_bits=bits)
    images = rng.integers(0, 256, (3, *shape[1:], 1), dtype=np.uint8)
    unit = input_unit(source, widths)
    inputs = payloads(source, images, unit)
    with torch.no_grad():
        outputs = network.outputs(torch.from_numpy(inputs[:, 0].transpose(0, 3, 1, 2) * unit).float())
    ann, serial = to_quantised_ann(source, 4, widths), to_bit_serial(source, 4, widths)
    assert validate_network(ann) == []
    (values, logits), (planes, twin) = run_batch(ann, inputs), run_batch(serial, inputs)
    seen = 0
    for layer_name, activation in network.activations().items():
        levels = (outputs[layer_name] / activation.step).round().numpy()
        np.testing.assert_array_equal(values[layer_name][:, 0], levels, err_msg=layer_name)
        np.testing.assert_array_equal(np.tensordot(planes[layer_name], (8, 4, 2, 1), (1, 0)), levels)
        seen += len(np.unique(levels)) > 8
    assert seen >= 2, "most levels must be reached, or nothing is said"
    last = list(network.layers.values())[-1]
    real = list(outputs.values())[-1].flatten(1).numpy()
    np.testing.assert_allclose(logits * last.connections[0].rounding.unit.item() / source.layers[-1].window, real,
                               rtol=1e-4, atol=1e-4 * np.abs(real).max())
    np.testing.assert_array_equal(logits, twin)


@pytest.mark.parametrize("pixels", [RAW, NORMALISED], ids=["raw", "normalised"])
@pytest.mark.parametrize(("name", "shape", "variant"), CASES, ids=lambda x: x if isinstance(x, str) else "")
def test_a_training_with_integers_begins_at_the_integers_of_a_conversion(
    name: str, shape: tuple[int, int, int], variant: Variant, pixels: Any
) -> None:
    """Weights, thresholds and biases of the network with BatchNorms, converted, and of the one that begins there."""
    real, rounds = trained(name, shape, variant, pixels)
    for build in (to_quantised_ann, to_bit_serial):
        sources = [fold(network, *pixels) for network in (real, rounds)]
        for layer, one, other in zip(sources[0].layers, *(build(source, 4) for source in sources), strict=True):
            np.testing.assert_array_equal(one.thresholds, other.thresholds)
            # Those of a pooling window are multiples of it; a read-out has them where its potentials start.
            first, second = (x.initial_potential + (0 if x.bias is None else x.bias) for x in (one, other))
            np.testing.assert_allclose(first, second, atol=layer.window / 2 + 1)
            for a, b in zip(one.connections, other.connections, strict=True):
                np.testing.assert_allclose(a.weights, b.weights, atol=1)  # float32 folding moves what lies halfway
                assert (a.weights != b.weights).mean() < 1e-3


@pytest.mark.parametrize("timesteps", [1, 4, 9])
def test_a_rate_code_has_the_same_weights_and_a_level_is_its_threshold(timesteps: int) -> None:
    """A spike is worth all 16 levels of its source and of its neuron: threshold q behind spikes, 16 q behind pixels."""
    source = fold(moved(trained("small", (1, 28, 28), Variant(), RAW)[1]), *RAW)
    ann = to_quantised_ann(source, 4)
    for network, steps in ((to_rate(source, timesteps), timesteps), (to_two_stage(source, timesteps, 2), timesteps + 2)):
        for integers, spiking in zip(ann, network, strict=True):
            for a, b in zip(integers.connections, spiking.connections, strict=True):
                np.testing.assert_array_equal(a.weights, b.weights)
            if len(spiking.thresholds):
                factor = 16 if spiking.name == "conv1" else 1
                assert spiking.thresholds.tolist() == [factor * integers.thresholds[0]] * steps
        out, per_spike = network.layers[-1], source.layers[-1]
        event = per_spike.connections[0].step * source.layers[-2].threshold  # 1 of the sum over windows
        expected = np.round(per_spike.bias / (event * 49)) * 49 * timesteps
        np.testing.assert_array_equal(out.initial_potential.ravel(), expected)
        assert out.bias is None


def test_biases_of_a_pooled_read_out_are_whole_before_the_window_multiplies_them() -> None:
    source = fold(moved(trained("small", (1, 28, 28), Variant(), RAW)[1]), *RAW)
    for network in (to_quantised_ann(source, 4), to_bit_serial(source, 4), to_rate(source, 3)):
        assert np.abs(network.layers[-1].initial_potential).max() > 0
        assert (network.layers[-1].initial_potential % 49 == 0).all()


def test_gradients_pass_the_rounding_and_end_at_the_largest_integer() -> None:
    rounding, real = Rounding(4), torch.tensor([0.3, -1.26, 3.4, 3.6, -9.0], requires_grad=True)
    rounding.weight_step.fill_(0.5)
    rounding.unit.fill_(0.25)
    found = rounding.weights(real)
    assert found.tolist() == [0.5, -1.5, 3.5, 3.5, -3.5]
    (found * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])).sum().backward()
    assert real.grad.tolist() == [1.0, 2.0, 3.0, 0.0, 0.0]
    biases = torch.tensor([0.3, -90.2], requires_grad=True)
    found = rounding.biases(biases)
    assert found.tolist() == [0.25, -90.25]
    found.sum().backward()
    assert biases.grad.tolist() == [1.0, 1.0]


def test_payloads_of_images_as_they_are_are_unsigned_and_exact() -> None:
    """All 256 grey values: with 8 bits the pixel itself, with 16 bits 257 times it; a mean makes them signed."""
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    raw = FoldedSource("raw", (1, 16, 16), np.zeros(1), np.ones(1), ())
    for bits, factor in ((8, 1), (16, 257)):
        found = payloads(raw, images, input_unit(raw, Widths(payload_bits=bits)))
        np.testing.assert_array_equal(found[:, 0], factor * images.astype(np.int64))
    assert not raw.signed_input
    shifted = replace(raw, mean=np.full(1, 0.5))
    assert shifted.signed_input
    assert payloads(shifted, images, input_unit(shifted, Widths())).min() == -127


# -- training -------------------------------------------------------------------------------------------------------

DATA = tiny_set().unnormalised()
QUICK = Recipe(epochs=4, batch=25, rate=0.05, precision="float32")


def run(out: Path, bits: int | None = None, data: Any = DATA, **more: Any) -> Checkpoint:
    settings = {"recipe": QUICK, "variant": Variant(weight_bits=bits), "activation": ActivationSpec("qcfs", 16)} | more
    return train(data, "tiny", settings.pop("activation"), settings.pop("recipe"), out, device="cpu", **settings)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return run(tmp_path_factory.mktemp("start"), recipe=replace(QUICK, epochs=8))


@torch.no_grad()
def loss(checkpoint: Checkpoint) -> float:
    """Of the network on the images that it was trained on."""
    images = Training(DATA, checkpoint.description, QUICK, torch.device("cpu")).normalise(torch.tensor(DATA.train_images))
    return functional.cross_entropy(checkpoint.network()(images), torch.tensor(DATA.train_labels)).item()


def test_training_begins_where_the_network_with_batchnorms_ended(start: Checkpoint) -> None:
    """With 16 bits hardly a level is another one; without its BatchNorms most are."""
    described = replace(start.description, variant=Variant(weight_bits=16))
    training = Training(DATA, described, QUICK, torch.device("cpu"))
    training.start_from(start)
    images = training.normalise(torch.tensor(DATA.test_images))
    before, after = start.network(), training.network.eval()
    with torch.no_grad():
        one, other = before.outputs(images), after.outputs(images)
    for name, activation in before.activations().items():
        assert activation.step.item() == pytest.approx(after.activations()[name].step.item(), rel=1e-6)
        moved_by = ((one[name] - other[name]) / activation.step).round()
        assert (moved_by != 0).float().mean() < 0.01, name


@pytest.mark.parametrize("kernels", ["torch", "native"])
def test_weights_learn_and_thresholds_and_steps_stay(kernels: str, start: Checkpoint, tmp_path: Path) -> None:
    if kernels == "native" and shutil.which("g++") is None:
        pytest.skip("the native kernels are compiled with g++, which is not here")
    recipe = replace(QUICK, kernels=kernels)
    whole = run(tmp_path / "whole", 3, start=start, recipe=recipe)
    assert whole.description.variant == Variant(weight_bits=3)
    assert not any("norm." in name for name in whole.weights)
    one = run(tmp_path / "one", 3, start=start, recipe=replace(recipe, rate=1e-9, epochs=1))
    same = {name: bool(torch.equal(value, one.weights[name])) for name, value in whole.weights.items()}
    assert all(same[name] for name in same if "rounding." in name or ".activation." in name)
    assert not any(same[name] for name in same if name.endswith(("weight", "bias")))
    assert loss(whole) < loss(one), "7 integers are few, and training learns to live with them"
    with pytest.raises(KilledError):
        run(tmp_path / "killed", 3, start=start, recipe=recipe, progress=kill_in(3, 2))
    resumed = run(tmp_path / "killed", 3, recipe=recipe, resume=True)
    assert all(torch.equal(value, resumed.weights[name]) for name, value in whole.weights.items())


def test_the_accuracy_that_training_measures_is_the_integer_networks(start: Checkpoint, tmp_path: Path) -> None:
    from hwsim.convert.methods import measure

    whole = run(tmp_path, 6, start=start)
    for method in ("ann", "bit_serial"):
        made = convert(whole, Request(method, 4, widths=Widths(weight_bits=6)), DATA)
        assert 100 * measure(made, DATA).accuracy == pytest.approx(whole.description.accuracy)


def test_what_cannot_be_trained_with_integers_is_said(start: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(TrainError, match="without a trained network to start from.*give it as --from"):
        run(tmp_path / "never", 8)
    with pytest.raises(SourceError, match="weight_bits = 8 with activation relu.*use qcfs or lsq"):
        run(tmp_path / "never", 8, start=start, activation=ActivationSpec("relu"))
    for bits in (1, 17):
        with pytest.raises(SourceError, match=f"weight_bits = {bits}: expected 2 to 16"):
            Variant(weight_bits=bits)
    assert not (tmp_path / "never").exists()


def test_integers_are_no_start_for_real_weights_and_convert_with_their_own_bits(start: Checkpoint, tmp_path: Path) -> None:
    eight = run(tmp_path / "eight", 8, start=start, recipe=replace(QUICK, epochs=1))
    with pytest.raises(TrainError, match="with weight_bits = 8, its BatchNorms folded.*go on with --weight-bits 8"):
        run(tmp_path / "never", start=eight)
    four = run(tmp_path / "four", 4, start=eight, recipe=replace(QUICK, epochs=1))
    assert load_checkpoint(four.path.with_name(LAST)).description.variant.weight_bits == 4
    with pytest.raises(ConversionError, match="trained with integer weights of 8 bits, 6 are asked for; give --weight-bits 8"):
        convert(eight, Request("ann", 4, widths=Widths(weight_bits=6)), DATA)
