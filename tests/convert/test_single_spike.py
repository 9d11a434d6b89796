"""Paper 004 in training: hybrid encoding, neurons that fire once, the two losses and their gradients by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from hwsim.convert.integers import ConversionError, Widths  # noqa: E402
from hwsim.convert.single_spike import to_single_spike  # noqa: E402
from hwsim.snn.network import Layer  # noqa: E402
from hwsim.snn.neurons import FirstCrossing, ReadOut  # noqa: E402
from hwsim.sources.activations import ActivationSpec, upper_quantile  # noqa: E402
from hwsim.sources.networks import SourceError, SourceNetwork  # noqa: E402
from hwsim.sources.single_spike import (  # noqa: E402
    BETA,
    GAMMA,
    QUANTILE,
    SCALE,
    SingleSpikeLayer,
    SingleSpikeNetwork,
    encode,
    hybrid_loss,
    spike_times,
)
from hwsim.sources.zoo import build_network  # noqa: E402
from hwsim.training.train import ceilings  # noqa: E402

T = 5
MEAN, STD = (0.4,), (0.25,)


def source(seed: int = 1) -> SourceNetwork:
    torch.manual_seed(seed)
    network = build_network("tiny", ActivationSpec("threshold_relu").make, input_shape=(1, 8, 8))
    network.train()
    network(images(seed=2, count=32))  # statistics of its BatchNorms
    return network.eval()


def images(seed: int, count: int = 4) -> Tensor:
    pixels = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return (pixels - MEAN[0]) / STD[0]


def network(seed: int = 1, timesteps: int = T) -> SingleSpikeNetwork:
    made = SingleSpikeNetwork(source(seed), timesteps, MEAN, STD)
    made.adopt(source(seed), ceilings(source(seed), images(seed=3)))
    made.calibrate(images(seed=3, count=16))
    return made


def layer(threshold: float, leak: float, read_out: bool = False) -> SingleSpikeLayer:
    """A layer whose neurons are driven directly, with any shape of currents."""
    made = list(SingleSpikeNetwork(source(), T, MEAN, STD).layers.values())[-1 if read_out else 0]
    made.threshold.data.fill_(threshold)
    made.initial.data = torch.zeros(1, 1, 1)
    if not read_out:
        made.leak.data.fill_(leak)
    return made


def drive(*values: float) -> Tensor:
    """Currents (T, 1, 1, 1, 1) of one neuron."""
    return torch.tensor(values).reshape(-1, 1, 1, 1, 1)


# -- encoding, Eq. 4-5 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timesteps", [2, 3, 5, 16, 100])
def test_a_brighter_pixel_spikes_earlier_between_2_and_t(timesteps: int) -> None:
    intensity = torch.linspace(0, 1, 2049, dtype=torch.float64)
    times = spike_times(intensity, 0, 1, timesteps)
    assert (times[0], times[-1]) == (timesteps, 2), "Eq. 4: the darkest at T, the brightest at 2"
    assert (times.diff() <= 0).all()
    assert times.unique().tolist() == list(range(2, timesteps + 1)), "every step from 2 on is used"
    exact = timesteps + (2 - timesteps) * intensity
    assert (times - exact).abs().max() <= 0.5
    assert torch.equal(spike_times(10 * intensity - 3, -3, 7, timesteps), times), "the range is what counts"
    assert spike_times(torch.tensor([-9.0, 9.0]), 0, 1, timesteps).tolist() == [timesteps, 2], "clipped to the range"


def test_the_input_is_the_image_once_and_then_one_spike_a_pixel() -> None:
    made = network()
    x = images(seed=4)
    planes = made.encode(x)
    times = spike_times(x * STD[0] + MEAN[0], 0, 1, T)
    assert planes.shape == (T, *x.shape)
    assert torch.equal(planes[0], x)
    assert set(planes[1:].unique().tolist()) == {0.0, 1.0}
    assert (planes[1:].sum(0) == 1).all()
    assert torch.equal(planes[1:].argmax(0) + 2, times)
    assert torch.equal(planes, encode(x, times, T))


def test_one_step_is_too_few() -> None:
    for wrong in (1, 0, -3):
        with pytest.raises(SourceError, match="2 or more"):
            spike_times(torch.rand(3), 0, 1, wrong)
        with pytest.raises(SourceError, match="2 or more"):
            SingleSpikeNetwork(source(), wrong, MEAN, STD)
    with pytest.raises(SourceError, match="is empty"):
        spike_times(torch.rand(3), 1, 1, T)


# -- neurons, Eq. 6-10 ---------------------------------------------------------------------------------------------


@torch.no_grad()
def test_no_neuron_fires_twice() -> None:
    for seed in (1, 2, 3):
        spikes = network(seed).spikes(images(seed=5, count=8))
        assert len(spikes) == 5
        fired = {name: planes.sum(0) for name, planes in spikes.items() if name != "input"}
        for name, total in fired.items():
            assert set(spikes[name].unique().tolist()) <= {0.0, 1.0}
            assert total.max() <= 1
        assert any(total.max() == 1 for total in fired.values())


@torch.no_grad()
def test_driven_hard_a_neuron_still_fires_once_and_at_once() -> None:
    spikes = layer(1.0, 1.0).fire(10 * torch.ones(T, 2, 3, 4, 4))
    assert (spikes[0] == 1).all()
    assert not spikes[1:].any()


@pytest.mark.parametrize("leak", [1.0, 0.5, 0.0])
def test_neurons_follow_the_equations_step_by_step(leak: float) -> None:
    """Against Eq. 6-8 written out for one neuron in plain floats (dyadic values, so sums are exact)."""
    generator = torch.Generator().manual_seed(8)
    currents = torch.randint(-8, 12, (T, 1, 1, 8, 8), generator=generator) / 8
    tested = layer(1.0, leak)
    tested.initial.data.fill_(0.25)
    spikes = tested.fire(currents)
    for row in range(8):
        for column in range(8):
            potential, above, fired = 0.25, False, False
            for t in range(T):
                potential = leak * potential + currents[t, 0, 0, row, column].item() - (1.0 if above else 0.0)
                above = potential / 1.0 - 1 > 0
                assert spikes[t, 0, 0, row, column] == (above and not fired)
                fired |= above


def test_exactly_the_threshold_is_not_above_it_but_reaches_the_read_out() -> None:
    assert not layer(1.0, 1.0).fire(drive(1.0, 0.0)).any(), "Eq. 8: strictly above"
    potentials, times = layer(1.0, 1.0, read_out=True).accumulate(drive(0.5, 0.5, 0.0))
    assert (potentials.item(), times.item()) == (1.0, 2.0), "Eq. 10: at or above"


@pytest.mark.parametrize(("currents", "time"), [
    ((2.0, 0, 0, 0, 0), 1), ((0, 0, 1.5, 0, 0), 3), ((0, 0, 0, 0, 1.0), 5), ((0, 0, 0, 0, 0), 5), ((0, 1.5, -1, 1, 0), 2),
])
def test_the_read_out_fires_at_its_first_crossing_or_at_t(currents: tuple[float, ...], time: int) -> None:
    potentials, times = layer(1.0, 1.0, read_out=True).accumulate(drive(*currents))
    assert times.item() == time
    assert potentials.item() == sum(currents)


# -- losses and gradients, Eq. 11-23 -------------------------------------------------------------------------------


def test_the_loss_and_its_gradients_are_those_of_equation_12() -> None:
    torch.manual_seed(2)
    potentials = torch.randn(3, 4, dtype=torch.float64).requires_grad_()
    times = torch.randint(1, 6, (3, 4)).double().requires_grad_()
    labels = torch.tensor([0, 3, 2])
    loss = hybrid_loss(potentials, times, labels)
    expected = 0.0
    for n, label in enumerate(labels.tolist()):
        u = [math.exp(v) for v in potentials[n].tolist()]
        t = [math.exp(-v) for v in times[n].tolist()]
        expected -= math.log(u[label] / sum(u) * t[label] / sum(t)) / 3
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    one_hot = torch.nn.functional.one_hot(labels, 4)
    assert torch.allclose(potentials.grad, (potentials.softmax(1) - one_hot) / 3, atol=1e-6)
    assert torch.allclose(times.grad, -((-times).softmax(1) - one_hot) / 3, atol=1e-6), "an early label is a good label"


@pytest.mark.parametrize(("current", "z"), [(0.5, -0.5), (0.9, -0.1), (1.25, 0.25), (2.5, 1.5), (-0.5, -1.5)])
def test_one_steps_gradients_are_equations_19_to_21(current: float, z: float) -> None:
    """dO/dcurrent = surrogate / V and dO/dV = -surrogate * U / V^2, with V = 2 and the surrogate of Eq. 20."""
    tested, drives = layer(2.0, 1.0), drive(2 * current).requires_grad_()
    tested.fire(drives).sum().backward()
    surrogate = GAMMA * max(0.0, 1 - abs(z))
    assert drives.grad.item() == pytest.approx(surrogate / 2, abs=1e-7)
    assert tested.threshold.grad.item() == pytest.approx(-surrogate * 2 * current / 4, abs=1e-7)


def test_the_second_steps_gradients_go_through_leak_and_reset() -> None:
    """U1 = 1.5 (fires), U2 = leak * U1 + 0.5 - V = 0.25 with V = 1: only O2 is asked, which the one spike shuts off."""
    tested, drives = layer(1.0, 0.5), drive(1.5, 0.5).requires_grad_()
    spikes = tested.fire(drives)
    assert spikes.flatten().tolist() == [1, 0]
    spikes[1].sum().backward()
    surrogate = GAMMA * (1 - abs(0.25 - 1))
    assert tested.leak.grad.item() == pytest.approx(surrogate * 1.5), "Eq. 23: U of the step before, over V"
    assert drives.grad.flatten().tolist() == pytest.approx([surrogate * 0.5, surrogate])
    assert tested.threshold.grad.item() == pytest.approx(surrogate * (-1.0 - 0.25)), "Eq. 21: -V (z > 0) - U, over V^2"


def test_a_neuron_that_has_fired_still_learns() -> None:
    """Section IV: gradients after the spike keep neurons from dying."""
    tested, drives = layer(1.0, 1.0), drive(1.5, 0.6, 0.0).requires_grad_()
    spikes = tested.fire(drives)
    assert spikes.flatten().tolist() == [1, 0, 0]
    spikes[2].sum().backward()
    assert drives.grad.abs().min() > 0


@pytest.mark.parametrize(("currents", "slope"), [
    ((0.9, 0.05, 0, 0, 0), 5 - (1 + 2 + 3 + 4)),  # below and near in every step: -t by a; near at T: +T by c
    ((2.0, 0, 0, 0, 0), 0),  # nothing near V
    ((0.7, 1.0, 0, 0, 0), 0),  # crossing at 2 from 0.3 below, outside the window
    ((0.9, 1.0, 0, 0, 0), 2 - 1),  # from 0.1 below, crossing at 2: +2 by b; -1 by a of t = 1
    ((0.0, 1.1, 1.0, 0, 0), 3 - 2),  # 0.1 above at t = 2: -2 by a, and +3 by b of t = 3
])
def test_the_read_outs_threshold_learns_by_equation_17(currents: tuple[float, ...], slope: float) -> None:
    """With V = 1 and a window of 0.2."""
    assert BETA == 0.2
    tested = layer(1.0, 1.0, read_out=True)
    _, times = tested.accumulate(drive(*currents))
    times.sum().backward()
    assert tested.threshold.grad.item() == slope


def test_the_initial_potential_is_the_one_before_the_first_step() -> None:
    """U(0) = 0.9 and a crossing at once: b of t = 1 is 0.1, so +1; at T the potential is far away."""
    tested = layer(1.0, 1.0, read_out=True)
    tested.initial.data.fill_(0.9)
    potentials, times = tested.accumulate(drive(1.0, 0, 0, 0, 0))
    times.sum().backward()
    assert (potentials.item(), times.item(), tested.threshold.grad.item()) == (pytest.approx(1.9), 1, 1)


def test_read_out_weights_learn_by_finite_differences() -> None:
    """The whole loss against differences, in float64: the spikes and times do not move, the potentials do."""
    made = network().double()
    x, labels = images(seed=6).double(), torch.tensor([1, 5, 7, 2])
    out = made.layers["out"]
    made.loss(x, labels).backward()
    weight = out.connections[0].operator.weight
    gradient, size = weight.grad.clone(), 1e-5
    assert gradient.abs().max() > 0
    with torch.no_grad():
        times = made.read_out(x)[1]
        for row, column in ((0, 0), (1, 7), (5, 3), (9, 31)):
            losses = []
            for sign in (1, -1):
                weight[row, column] += sign * size
                potentials = made.read_out(x)[0]
                losses.append(hybrid_loss64(potentials, times, labels))
                weight[row, column] -= sign * size
            assert gradient[row, column].item() == pytest.approx((losses[0] - losses[1]) / (2 * size), rel=1e-4, abs=1e-7)


def hybrid_loss64(potentials: Tensor, times: Tensor, labels: Tensor) -> float:
    """Eq. 12 without the loss's float32."""
    picked = torch.arange(len(labels))
    return -(potentials.log_softmax(1) + (-times).log_softmax(1))[picked, labels].mean().item()


def test_equation_14_the_read_out_learns_from_the_spikes_it_got() -> None:
    made = network()
    x, labels = images(seed=7), torch.tensor([1, 5, 7, 2])
    potentials, times = made.read_out(x)
    hybrid_loss(potentials, times, labels).backward()
    with torch.no_grad():
        got = made.spikes(x)["fc1"].sum(0).flatten(1)
        error = (potentials.softmax(1) - torch.nn.functional.one_hot(labels, 10)) / len(x)
    assert got.sum() > 0
    assert torch.allclose(made.layers["out"].connections[0].operator.weight.grad, error.T @ got, atol=1e-6)


# -- from a trained network ----------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_first_step_sees_what_the_ann_sees() -> None:
    """Folded weights on the analog image, plus the folded bias as the initial potential: the ANN's own currents."""
    ann, made, x = source(), network(), images(seed=9)
    currents = made.layers["conv1"].currents({"input": made.encode(x)})
    assert torch.allclose(made.layers["conv1"].initial + currents[0], ann.currents(x)["conv1"], atol=1e-5)


@torch.no_grad()
def test_a_spike_is_worth_the_most_that_the_ann_neuron_gives() -> None:
    """With every neuron of the layers before at its ceiling in the ANN and one spike from each in the SNN, currents are
    the same but for one scale a layer: 1, or that of the identity which has no weight to carry it."""
    ann, made = source(), SingleSpikeNetwork(source(), T, MEAN, STD)
    for n, activation in enumerate(ann.activations().values()):
        activation.start_at(2.0 + n)
    top = ceilings(ann, images(seed=3))
    assert top == {"conv1": 2, "conv2": 3, "conv3": 4, "fc1": 5}
    made.adopt(ann, top)
    full = {name: torch.full((1, *layer.shape), top.get(name, 1.0)) for name, layer in ann.layers.items()}
    spikes = {name: torch.ones(1, 1, *layer.shape) for name, layer in ann.layers.items()}
    for name, scale in (("conv2", 1.0), ("conv3", 1 / 3), ("fc1", 1.0), ("out", 1.0)):
        got = made.layers[name].initial + made.layers[name].currents(spikes)[0]
        assert torch.allclose(got, ann.layers[name].current(full) * scale, rtol=1e-4, atol=1e-4), name


@torch.no_grad()
def test_thresholds_start_at_the_papers_quantile() -> None:
    made, x = network(), images(seed=3, count=16)
    currents = made.layers["conv1"].currents({"input": made.encode(x)})
    assert made.layers["conv1"].threshold.item() == pytest.approx(SCALE * upper_quantile(currents, QUANTILE))
    last = made.layers["out"]
    potentials, _ = last.accumulate(last.currents(made.spikes(x)))
    assert last.threshold.item() == pytest.approx(upper_quantile(potentials, QUANTILE), rel=1e-5)


@torch.no_grad()
def test_scores_are_the_logarithm_of_the_products() -> None:
    made, x = network(), images(seed=10)
    potentials, times = made.read_out(x)
    assert torch.equal(made(x), potentials - times)
    assert torch.equal(made(x).argmax(1), (potentials.softmax(1) * (-times).softmax(1)).argmax(1))
    assert ((times >= 1) & (times <= T)).all()


# -- the hardware's read-out, Eq. 9-12 -----------------------------------------------------------------------------


@torch.no_grad()
def test_the_integer_read_out_gives_the_trained_answer_but_for_a_constant() -> None:
    """Potential minus time, class by class, for currents and thresholds that are whole numbers."""
    generator = np.random.default_rng(4)
    for threshold in (1, 7, 30, 1000):
        currents = generator.integers(-9, 16, (T, 6, 10))
        trained = layer(float(threshold), 1.0, read_out=True)
        potentials, times = trained.accumulate(torch.tensor(currents).float()[..., None, None])
        made = Layer("out", (60, 1, 1), (), FirstCrossing(1), T, thresholds=np.full(T, threshold))
        answers = made.neuron.emit(currents.reshape(T, 60, 1, 1), made)[1].reshape(6, 10)
        np.testing.assert_array_equal(answers, (potentials - times).numpy() + 1)


def test_a_converted_read_out_has_the_trained_threshold_and_one_timestep_as_its_unit() -> None:
    trained = network()
    last = list(trained.layers.values())[-1]
    plain, timed = (to_single_spike(trained, times=times)[0].layers[-1] for times in (False, True))
    scale = np.abs(timed.connections[0].weights).max() / float(
        last.connections[0].operator.weight.detach().abs().max() / last.connections[0].divisor)
    assert isinstance(plain.neuron, ReadOut)
    assert timed.neuron == FirstCrossing(round(scale))
    assert set(timed.thresholds) == {int(np.ceil(float(last.threshold.detach()) * scale))}
    np.testing.assert_array_equal(timed.connections[0].weights, plain.connections[0].weights)
    np.testing.assert_array_equal(timed.initial_potential, plain.initial_potential)
    assert timed.potential_bits >= plain.potential_bits


def test_a_read_out_that_cannot_weigh_times_is_refused() -> None:
    trained = network()
    last = list(trained.layers.values())[-1]
    with torch.no_grad():
        weights = last.connections[0].operator.weight
        weights.mul_(40 / float(weights.abs().max()))
    with pytest.raises(ConversionError, match="a timestep is worth .* expected 1 or more; give more --weight-bits"):
        to_single_spike(trained, Widths(4), times=True)
    to_single_spike(trained, Widths(12), times=True)
    last.threshold.data.fill_(-0.5)
    with pytest.raises(ConversionError, match="layer out: its threshold was trained to -0.5, expected more than 0"):
        to_single_spike(trained, Widths(12), times=True)
