"""Neurons of paper 001 in training: they fire as the hardware's do, learn by the gradient that is stated, and convert."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hwsim.convert.alpha_beta import staircase
from hwsim.convert.evaluate import run_batch
from hwsim.convert.integers import ConversionError, Widths
from hwsim.convert.methods import Request, convert
from hwsim.sources.activations import ActivationError, ActivationSpec
from hwsim.sources.data import Dataset
from hwsim.sources.networks import SourceNetwork
from hwsim.sources.surrogate import SMALLEST, AlphaBeta
from tests.convert.test_methods import checkpoint, data  # noqa: F401  (a fixture)

SPEC = ActivationSpec("alpha_beta", timesteps=3, threshold=1.5)


def neurons(timesteps: int, threshold: float, scale: float) -> AlphaBeta:
    made = AlphaBeta(timesteps, 1.0)
    made.start_at(threshold, scale)
    return made


@pytest.mark.parametrize("timesteps", [1, 2, 3, 5])
def test_a_constant_current_gives_the_staircase_of_algorithm_1(timesteps: int) -> None:
    """Multiples of 1/8, so that borders are hit and no float rounds."""
    values = torch.arange(-20, 60, dtype=torch.float64) / 8
    sent = neurons(timesteps, 2.0, 0.5).double()(values.repeat(timesteps).reshape(-1, 1, 1, 1)).flatten()
    steps = staircase(values.numpy(), 2.0, timesteps)
    assert set(np.unique(steps)) == set(range(timesteps + 1))
    np.testing.assert_array_equal(sent.reshape(timesteps, -1).sum(0).detach().numpy(), 0.5 * steps)


def test_gradients_are_those_of_the_formulas() -> None:
    """T = 2, one neuron at a time: o1 = [u1 > V], u2 = u1 - V o1 + c2, loss = a (w o1) + b (w o2), by hand.

    Where 0 <= u <= 2 V, both w o and V o have slope 1 in u and -u / V in V, to which V o adds o.
    """
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        c1, c2 = rng.uniform(-2, 6, 2)
        a, b, threshold, scale = rng.uniform(0.5, 2, 4)
        layer = neurons(2, threshold, scale).double()
        with torch.no_grad():  # start_at went through single precision
            layer.raw_threshold.fill_(threshold)
            layer.raw_scale.fill_(scale)
        currents = torch.tensor([c1, c2]).reshape(2, 1, 1, 1).requires_grad_()
        (torch.tensor([a, b]).reshape(2, 1, 1, 1) * layer(currents)).sum().backward()
        o1 = float(c1 > threshold)
        u2 = c1 - threshold * o1 + c2
        o2 = float(u2 > threshold)
        in1, in2 = (float(0 <= u <= 2 * threshold) for u in (c1, u2))
        seen.add((o1, o2, in1, in2))
        of_u2 = b * in2
        assert currents.grad is not None
        np.testing.assert_allclose(currents.grad.flatten(), [a * in1 + of_u2 * (1 - in1), of_u2], rtol=1e-9, atol=1e-12)
        assert layer.raw_scale.grad.item() == pytest.approx(a * o1 + b * o2)
        sent = -a * in1 * c1 / threshold - b * in2 * u2 / threshold
        assert layer.raw_threshold.grad.item() == pytest.approx(sent - of_u2 * (o1 - in1 * c1 / threshold))
    assert len(seen) > 8, "spikes and none, inside the window and outside"


def test_gradients_do_not_grow_with_depth() -> None:
    """Slope 1 whatever a spike is worth: through ten layers in a row, a window wide, what comes back is what went in."""
    current = torch.full((1, 1, 1, 1), 0.7, requires_grad=True)
    x = current
    for _ in range(10):
        x = neurons(1, 0.5, 0.9)(x)
    x.sum().backward()
    assert current.grad is not None
    assert current.grad.item() == pytest.approx(1.0)


def test_numbers_that_training_has_pushed_below_zero_are_held_and_come_back() -> None:
    layer = neurons(1, -2.0, -0.5)
    assert layer.threshold.item() == pytest.approx(SMALLEST)
    assert layer.ceiling == pytest.approx(SMALLEST)
    assert neurons(1, -2e4, 1.0).threshold.item() == pytest.approx(SMALLEST), "however far below"
    layer(torch.full((1, 1, 1, 1), 5e-4, requires_grad=True)).sum().backward()
    assert layer.raw_threshold.grad.item() != 0
    layer(torch.ones(1, 1, 1, 1)).sum().backward()
    assert layer.raw_scale.grad.item() != 0


def test_the_answer_is_the_mean_over_timesteps() -> None:
    says = checkpoint("threshold_relu").description
    network = replace(says, activation=SPEC).build().eval()
    assert isinstance(network, SourceNetwork)
    images = torch.randn(4, 1, 8, 8)
    outputs = network.outputs(images)
    assert outputs["conv1"].shape == (12, 8, 8, 8)
    np.testing.assert_allclose(network(images).detach(), outputs["out"].reshape(3, 4, 5).mean(0).detach(), rtol=1e-6)
    with pytest.raises(ValueError, match="5 currents are no multiple of the 3 timesteps"):
        AlphaBeta(3, 1.0)(torch.zeros(5, 1, 1, 1))


def test_the_integer_network_is_the_trained_one(data: Dataset) -> None:  # noqa: F811
    """16-bit weights, so that rounding turns over almost no spike: every layer sends what torch's neurons send."""
    taken = checkpoint("threshold_relu", activation=SPEC)
    rng = np.random.default_rng(1)
    for name, value in taken.weights.items():
        if name.endswith(("raw_threshold", "raw_scale")):
            value.fill_(rng.uniform(0.3, 0.8))
    made = convert(taken, Request("alpha_beta", 3, widths=Widths(weight_bits=16, payload_bits=16)), data)
    assert made.notes["fine_tuned"]
    planes, logits = run_batch(made.network, made.inputs(data.test_images))
    pixels = torch.from_numpy((data.test_images.transpose(0, 3, 1, 2) / 255 - 0.4) / 0.5).float()
    network = taken.network()
    with torch.no_grad():
        outputs = network.outputs(pixels)
        answers = network(pixels).argmax(1).numpy()
    for name in ("conv1", "conv2", "conv3", "fc1"):
        scale = network.activations()[name].scale.item()
        sent = (outputs[name] / scale).round().unflatten(0, (3, -1)).permute(1, 0, 2, 3, 4).numpy()
        assert planes[name].shape == sent.shape
        assert 0.02 < sent.mean() < 0.98, name
        assert (planes[name] != sent).mean() < 0.005, name
    np.testing.assert_array_equal(logits.argmax(1), answers)


def test_another_t_than_was_trained_is_refused(data: Dataset) -> None:  # noqa: F811
    taken = checkpoint("threshold_relu", activation=SPEC)
    with pytest.raises(ConversionError, match="trained for 3 timesteps, 2 are asked for; .* give --timesteps 3"):
        convert(taken, Request("alpha_beta", 2), data)
    for wrong in (0, 65):
        with pytest.raises(ActivationError, match=f"timesteps = {wrong}: alpha_beta trains 1 to 64"):
            ActivationSpec("alpha_beta", timesteps=wrong)
