"""Activations that spikes can carry: their levels, their gradients, and what noise does to their mean."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from hwsim.sources.activations import (  # noqa: E402
    ActivationError,
    ActivationSpec,
    Lsq,
    Qcfs,
    ThresholdRelu,
    upper_quantile,
)

CODINGS = [(16, 15), (16, 16), (4, 3), (4, 4), (2, 1)]


def currents(low: float = -3.0, high: float = 8.0, count: int = 4001) -> Tensor:
    return torch.linspace(low, high, count, dtype=torch.float64)


def slope(activation: torch.nn.Module, z: Tensor, gradient: Tensor | None = None) -> Tensor:
    """The gradient that z gets; parameters get theirs."""
    z = z.clone().requires_grad_()
    activation.zero_grad()
    y = activation(z)
    y.backward(torch.ones_like(y) if gradient is None else gradient)
    assert z.grad is not None
    return z.grad


@pytest.mark.parametrize(("levels", "top"), CODINGS)
def test_qcfs_gives_its_levels_and_nothing_else(levels: int, top: int) -> None:
    """Eq. 2 of paper 000 with its corrections: step * clip(floor(z Q / lambda + 1/2), 0, top)."""
    activation, z = Qcfs(levels, top, threshold=4.0), currents()  # a step of 4 / Q is exact
    got = activation(z) / (4.0 / levels)
    assert torch.equal(got, torch.floor(z * levels / 4 + 0.5).clamp(0, top))
    assert got.unique().tolist() == list(range(top + 1))
    assert (got.diff() >= 0).all()
    assert activation.ceiling == top * 4.0 / levels


@pytest.mark.parametrize("make", [lambda: Qcfs(4, 3, 4.0), lambda: Lsq(3, 3.0, noise=False)])
def test_halfway_rounds_up_as_a_neuron_with_half_its_threshold_does(make: type) -> None:
    z = torch.tensor([-0.5, 0.4999, 0.5, 1.4999, 1.5, 2.5, 3.5])
    assert make()(z).tolist() == [0, 0, 1, 1, 2, 3, 3]


@pytest.mark.parametrize(("levels", "top"), CODINGS)
def test_qcfs_gradients_are_those_of_a_straight_through_floor(levels: int, top: int) -> None:
    """Against autograd through QCFS as its authors write it: clip, then a floor whose gradient is 1, then the step."""
    activation, z = Qcfs(levels, top, threshold=3.0).double(), currents() + 1e-4
    gradient = torch.sin(7 * z)
    got = slope(activation, z, gradient)

    threshold, x = torch.tensor(3.0, dtype=torch.float64, requires_grad=True), z.clone().requires_grad_()
    step = threshold / levels
    level = (x / step).clamp(0, top) + 0.5
    (step * (level + (level.floor() - level).detach())).backward(gradient)
    assert threshold.grad is not None
    assert torch.allclose(got, x.grad)
    assert torch.equal(got, torch.where((z > 0) & (z < top * 3.0 / levels), gradient, 0.0))
    assert activation.threshold.grad.item() == pytest.approx(threshold.grad.item(), rel=1e-4)


def test_threshold_relu_teaches_mu_what_it_clips() -> None:
    """Paper 001, II-A: d/dmu of clip(z, 0, mu) is 1 where z > mu, d/dz is 1 in between."""
    activation, z = ThresholdRelu(2.0), torch.tensor([-1.0, 0.5, 1.5, 2.5, 7.0])
    assert activation(z).tolist() == [0, 0.5, 1.5, 2, 2]
    assert slope(activation, z, torch.tensor([1.0, 2, 4, 8, 16])).tolist() == [0, 2, 4, 0, 0]
    assert activation.threshold.grad == 8 + 16


@pytest.mark.parametrize("noise", [False, True])
def test_lsq_gradients_are_the_papers(noise: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paper 003, Eq. 9-10 (Eq. 4-5 without noise), times LSQ's 1 / sqrt(neurons * top)."""
    top, s = 4, 0.75
    z = currents(-2, 6, 1601).float().reshape(1, -1)
    uniform = torch.rand(z.shape, generator=torch.Generator().manual_seed(4))
    monkeypatch.setattr(torch, "rand_like", lambda x: uniform.to(x.dtype))
    activation = Lsq(top, threshold=top * s, noise=noise).train()
    got = slope(activation, z)

    v = (z / s + ((uniform - 0.5) if noise else 0.0)).double()
    inside = (v > 0) & (v < top)
    near = ((v - v.round()).abs() - 0.5).abs() < 1e-4  # float32 may round the other way there
    assert torch.equal(got[~near].bool(), inside[~near])
    per_neuron = torch.where(v >= top, float(top), torch.where(inside, (v + 0.5).floor() - v, 0.0))
    scale = (z.shape[1] * top) ** -0.5
    slack = scale * (1.5 + near.sum().item())
    assert activation.raw_step.grad.item() == pytest.approx(scale * per_neuron.sum().item(), abs=slack)
    assert activation.raw_step.grad.item() > 5 * slack


@pytest.mark.parametrize("neurons", [(3, 4, 5), (7,), (64, 8, 8)])
@pytest.mark.parametrize("top", [3, 15])
def test_lsq_scales_the_gradient_of_its_step_by_neurons_and_levels(neurons: tuple[int, ...], top: int) -> None:
    """1 / sqrt(N Q_P), LSQ section 2.2: exactly the ratio between a scaled and an unscaled step, whatever the batch."""
    z = torch.randn(4, *neurons, generator=torch.Generator().manual_seed(1)) * 4
    scaled, plain = (Lsq(top, threshold=3.0, noise=False).train(mode) for mode in (True, False))
    assert torch.equal(slope(scaled, z), slope(plain, z))
    ratio = (scaled.raw_step.grad / plain.raw_step.grad).item()
    assert ratio == pytest.approx((math.prod(neurons) * top) ** -0.5, rel=1e-5)


def test_the_noise_adaptors_expectation_is_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all of the uniform noise, by a grid of its midpoints: E[s clip(round(v / s + e), 0, p)] = clip(v, 0, s p)."""
    points, top, s = 1000, 4, 0.5
    monkeypatch.setattr(torch, "rand_like", lambda x: ((torch.arange(points) + 0.5) / points)[:, None].to(x.dtype).expand_as(x))
    v = currents(-1.5, 4, 501).expand(points, -1)
    mean = Lsq(top, top * s, noise=True).double().train()(v).mean(0)
    assert (mean - v[0].clamp(0, s * top)).abs().max() <= s / points + 1e-9


def test_the_noise_adaptors_mean_is_the_clip() -> None:
    """The same by drawing: the deviation stays below five standard errors of a coin flip."""
    draws, top, s = 20_000, 4, 0.5
    torch.manual_seed(6)
    v = torch.linspace(-1, 3, 41).expand(draws, -1)
    activation = Lsq(top, top * s, noise=True).train()
    mean = activation(v).mean(0)
    assert (mean - v[0].clamp(0, s * top)).abs().max() < 5 * 0.5 * s / draws**0.5
    assert torch.equal(activation.eval()(v[:1]), activation(v[1:2])), "no noise outside of training"
    assert activation(v[:1]).unique().numel() == top + 1


def test_noise_is_only_in_the_activation_that_has_it() -> None:
    z = torch.randn(2, 100)
    quiet = Lsq(4, 2.0, noise=False)
    assert torch.equal(quiet.train()(z), quiet.eval()(z))


@pytest.mark.parametrize("make", [lambda: Qcfs(16, 15, 4.0), lambda: Lsq(15, 4.0, noise=False), lambda: ThresholdRelu(4.0)])
def test_a_scale_that_training_drives_below_zero_stays_a_scale(make: type) -> None:
    activation = make()
    for parameter in activation.parameters():
        parameter.data.fill_(-1.0)
    y = activation(torch.randn(1000))
    assert (y >= 0).all()
    assert (y > 0).any()


@pytest.mark.parametrize("kind", ["qcfs", "lsq", "threshold_relu"])
@pytest.mark.parametrize("top", [15, 16])
def test_an_activation_starts_at_the_ceiling_it_is_given(kind: str, top: int) -> None:
    activation = ActivationSpec(kind, 16, top).make()
    activation.start_at(2.5)
    assert activation.ceiling == pytest.approx(2.5)
    assert activation(torch.tensor([100.0])).item() == pytest.approx(2.5)


@pytest.mark.parametrize("quantile", [0.0, 0.1, 0.5, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("count", [1, 2, 10, 999])
def test_a_quantile_is_the_smallest_value_that_covers_it(quantile: float, count: int) -> None:
    values = torch.randperm(count, generator=torch.Generator().manual_seed(count)).float()
    got = upper_quantile(values, quantile)
    assert (values <= got).sum() >= quantile * count
    assert (values < got).sum() < max(quantile * count, 1)


@pytest.mark.parametrize(("wrong", "text"), [
    ({"kind": "gelu"}, "choose from"), ({"levels": 1}, "2 to 65536"), ({"top": 14}, "15 .bit-serial coding. or 16 .rate"),
    ({"noise": True}, "only lsq has the noise adaptor"), ({"threshold": 0.0}, "a positive number"),
    ({"threshold": float("nan")}, "a positive number"), ({"kind": "single_spike", "timesteps": 1}, "2 or more"),
])
def test_what_cannot_be_made_is_said(wrong: dict[str, object], text: str) -> None:
    with pytest.raises(ActivationError, match=text):
        ActivationSpec(**wrong)
