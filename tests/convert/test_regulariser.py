"""The bits' l1 norm counts exactly the spikes of the bit-serial network, and its gradient is Eq. 10's."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hwsim.sources.activations import ActivationError, ActivationSpec, Lsq, Qcfs  # noqa: E402
from hwsim.sources.zoo import build_network  # noqa: E402
from hwsim.training.regulariser import BitRegulariser, bit_ones  # noqa: E402


@pytest.mark.parametrize(("top", "bits"), [(1, 1), (3, 2), (4, 3), (15, 4), (16, 5)])
def test_the_ones_of_every_level_are_counted(top: int, bits: int) -> None:
    step = torch.tensor(0.3)
    for level in range(top + 1):
        got = bit_ones(torch.full((2, 5), level * 0.3), step, top, step * (top + 1))
        assert got.item() == 5 * bin(level).count("1"), "a sample, not a batch"
    values = (step * torch.arange(top + 1)).reshape(1, -1).requires_grad_()
    bit_ones(values, step, top, step * (top + 1)).backward()
    assert values.grad.tolist() == [[0.0, *[float(bits)] * top]], "Eq. 10: 1 a bit, where 0 < a < lambda"


def test_the_gradient_is_a_sample_and_ends_at_the_threshold() -> None:
    values = torch.tensor([[0.0, 0.5], [1.5, 2.0]], requires_grad=True)
    (3 * bit_ones(values, torch.tensor(0.5), 3, torch.tensor(2.0))).backward()
    assert values.grad.tolist() == [[0, 3 * 2 / 2], [3 * 2 / 2, 0]]


@pytest.mark.parametrize("spec", [ActivationSpec("qcfs", 16), ActivationSpec("lsq", 4), ActivationSpec("lsq", 4, top=4)])
def test_the_loss_of_a_network_is_its_spikes_a_sample(spec: ActivationSpec) -> None:
    torch.manual_seed(3)
    network = build_network("tiny", spec.make, input_shape=(1, 8, 8)).eval()
    for activation in network.activations().values():
        activation.start_at(0.7)
    images = torch.randn(3, 1, 8, 8)
    expected = 0
    outputs = network.outputs(images)
    for name, activation in network.activations().items():
        for value in outputs[name].flatten().tolist():
            expected += bin(round(value / activation.step.item())).count("1")
    assert expected > 0
    with BitRegulariser(network) as regulariser:
        for _ in range(2):
            network(images)
            assert regulariser.loss().item() == pytest.approx(expected / 3), "a second pass starts from zero"
    network(images)
    assert not regulariser._parts, "the hooks are gone after the block"


def test_the_regulariser_teaches_every_layer_before_its_bits() -> None:
    torch.manual_seed(5)
    network = build_network("tiny", ActivationSpec("qcfs").make, input_shape=(1, 8, 8)).train()
    with BitRegulariser(network) as regulariser:
        network(torch.randn(8, 1, 8, 8))
        regulariser.loss().backward()
    for name, layer in network.layers.items():
        gradients = [c.operator.weight.grad for c in layer.connections if c.operator is not None]
        assert all((g is None) == (name == "out") for g in gradients), "all but the read-out, which has no bits"
        assert all(g is None or g.abs().sum() > 0 for g in gradients)


def test_a_step_against_its_gradient_leaves_fewer_ones() -> None:
    z = (torch.rand(1, 2000, generator=torch.Generator().manual_seed(1)) * 4).requires_grad_()
    activation = Qcfs(16, 15, 4.0)
    before = bit_ones(activation(z), activation.step, 15, activation.threshold)
    before.backward()
    with torch.no_grad():
        after = bit_ones(activation(z - 0.3 * z.grad), activation.step, 15, activation.threshold)
    assert after < 0.8 * before


def test_a_network_without_bits_is_refused() -> None:
    for kind in ("relu", "threshold_relu"):
        network = build_network("tiny", ActivationSpec(kind).make, input_shape=(1, 8, 8))
        with pytest.raises(ActivationError, match="no|none"):
            BitRegulariser(network)
    assert BitRegulariser(Lsq(3, 1.0, noise=False))
