"""Models of SpikingJelly and snnTorch as traces: the spikes are the packages' own, the synapses are the model's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")
sj = pytest.importorskip("spikingjelly.activation_based")

from spikingjelly.activation_based import functional, layer, neuron  # noqa: E402
from torch import nn  # noqa: E402

import hwsim  # noqa: E402
from hwsim.capture import capture_torch  # noqa: E402
from tests.capture.spiking_models import images, loud, operations, planes, spikes  # noqa: E402

T = 4


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


class StaticImage(nn.Module):
    """SpikingJelly's multi-step idiom: a still image repeated T times, layers of its `layer` package, mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            layer.Conv2d(1, 4, 3, padding=1, bias=False), layer.BatchNorm2d(4), neuron.IFNode(), layer.MaxPool2d(2, 2),
            layer.Conv2d(4, 6, 3, padding=1, groups=2), layer.BatchNorm2d(6), neuron.LIFNode(tau=2.0, v_reset=None),
            layer.AvgPool2d(2, 2), layer.Flatten(), layer.Dropout(0.5), layer.Linear(24, 10),
            neuron.ParametricLIFNode(decay_input=False),
            layer.Linear(10, 3))
        functional.set_step_mode(self, "m")

    def forward(self, x: Any) -> Any:
        return self.body(x.unsqueeze(0).repeat(T, 1, 1, 1, 1)).mean(0)


class Residual(nn.Module):
    """A block with a shortcut and one with a strided 1 x 1 shortcut, called once a timestep."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.sn0 = nn.Conv2d(2, 4, 3, padding=1), neuron.IFNode()
        self.conv1, self.bn1, self.sn1 = nn.Conv2d(4, 4, 3, padding="same"), nn.BatchNorm2d(4), neuron.IFNode()
        self.conv2, self.down, self.sn2 = nn.Conv2d(4, 8, 3, 2, 1), nn.Conv2d(4, 8, 1, 2), neuron.IFNode()
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        x = self.sn0(self.stem(x))
        x = self.sn1(self.bn1(self.conv1(x)) + x)
        x = self.sn2(self.conv2(x) + self.down(x))
        return self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))


class Looping(nn.Module):
    """snnTorch's idiom: the model loops over time and returns spk_rec and mem_rec."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(16, 12), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = nn.Linear(12, 4), snn.Leaky(beta=0.5, reset_mechanism="zero")

    def forward(self, x: Any) -> Any:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        rec = []
        for step in range(T):
            now = x[step] if x.ndim == 3 else x
            spk1, mem1 = self.lif1(self.fc1(now), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            rec.append((spk2, mem2))
        return torch.stack([s for s, _ in rec]), torch.stack([m for _, m in rec])


def stepwise() -> Any:
    """snnTorch with hidden states in a Sequential, one call a timestep."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), snn.Leaky(beta=0.5, init_hidden=True), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 5),
        snn.Lapicque(beta=0.75, init_hidden=True, output=True))


def recorded_by_hooks(model: Any, modules: dict[str, Any], calls: list[Any]) -> dict[str, np.ndarray]:
    """Outputs (T, ...) of `modules` by plain hooks, one batch of one."""
    seen: dict[str, list[Any]] = {name: [] for name in modules}

    def keep(name: str) -> Any:
        return lambda m, a, out: seen[name].append((out[0] if isinstance(out, tuple) else out).detach().numpy().copy())

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    model.eval()
    with torch.no_grad():
        for call in calls:
            model(torch.as_tensor(call))
    for handle in handles:
        handle.remove()
    return {name: np.concatenate([np.atleast_1d(a) for a in found]) for name, found in seen.items()}


def fresh(model: Any) -> None:
    functional.reset_net(model)
    for module in model.modules():
        if hasattr(module, "reset_mem"):
            module.reset_mem()


CASES = {
    "static image, multi-step": (StaticImage, images(shape=(1, 8, 8)), None),
    "residual, single-step": (Residual, spikes(), T),
    "residual, single-step, image": (Residual, images(shape=(2, 8, 8)), T),
    "looping, image": (Looping, images(shape=(16,)), None),
    "looping, spikes": (Looping, spikes(shape=(16,)), None),
    "hidden states, stepwise": (stepwise, spikes(), T),
}


@pytest.mark.parametrize("case", CASES)
def test_spikes_are_those_of_plain_hooks_and_operations_those_of_torch(case: str) -> None:
    make, inputs, timesteps = CASES[case]
    model = loud(make())
    trace = capture_torch(model, inputs, timesteps=timesteps)
    assert (trace.timesteps, trace.coding, trace.has_weights, trace.samples) == (T, "rate", False, 2)
    spiking = [x.name for x in trace.network if x.coding != "readout"]
    modules = {name: model.get_submodule(name) for name in spiking}
    for index, values in enumerate(inputs):
        fresh(model)
        values = values.astype(np.float32)
        direct = values.ndim in (1, 3) and inputs.ndim in (2, 4)
        once = values[None] if direct else values[:, None]
        calls = [once] if timesteps is None else [values[None] if direct else values[t][None] for t in range(T)]
        for name, found in recorded_by_hooks(model, modules, calls).items():
            ours = planes(trace, name)[index]
            np.testing.assert_array_equal(ours, found.reshape(ours.shape))
            assert 0 < ours.mean() < 1, f"{name} must spike for the test to mean anything"
    result = hwsim.simulate(trace, "event_core_64")
    assert result.mismatches is None
    assert result.total_synaptic_operations == sum(operations(trace.network, sample) for sample in trace)


def test_the_geometry_of_a_residual_network() -> None:
    trace = capture_torch(loud(Residual()), spikes(), [2, 0], timesteps=T)
    found = {x.name: [(c.source, c.operator, c.kernel, c.stride, c.padding, c.pool, c.pool_mode) for c in x.connections]
             for x in trace.network}
    assert found == {
        "sn0": [("input", "conv2d", 3, 1, 1, 1, "none")],
        "sn1": [("sn0", "conv2d", 3, 1, 1, 1, "none"), ("sn0", "identity", 1, 1, 0, 1, "none")],
        "sn2": [("sn1", "conv2d", 3, 2, 1, 1, "none"), ("sn1", "conv2d", 1, 2, 0, 1, "none")],
        "fc": [("sn2", "linear", 1, 1, 0, 4, "folded")],
    }
    assert [x.neuron.model for x in trace.network] == ["integrate_and_fire"] * 3 + ["read_out"]
    assert trace.labels.tolist() == [2, 0]


def test_neurons_keep_their_reset_and_their_leak() -> None:
    trace = capture_torch(loud(StaticImage()), images())
    assert [getattr(x.neuron, "reset", None) for x in trace.network] == ["hard", "soft", "hard", None]
    assert [getattr(x.neuron, "leak_shift", None) for x in trace.network] == [None, 1, 1, None]
    looping = capture_torch(loud(Looping()), images(shape=(16,)))
    assert looping.network.layer("lif1").neuron == hwsim.IntegrateAndFire("soft", 3)
    assert any("leak of 0.1 " in note for note in looping.provenance["notes"]), "a rounded leak is said"
    resistor = loud(nn.Sequential(nn.Linear(6, 3), snn.Lapicque(R=2, C=4, init_hidden=True)))
    rc = capture_torch(resistor, images(shape=(6,)), timesteps=2)
    assert rc.network.layer("1").neuron == hwsim.IntegrateAndFire("soft", 3), "a resistor of 2 and a capacity of 4 leak 1 / 8"
    assert not any("leak" in note for note in rc.provenance["notes"])


def test_containers_of_spikingjelly_and_sums_of_spikes() -> None:
    class Sew(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = layer.SeqToANNContainer(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4))
            self.sn_a = neuron.IFNode(step_mode="m")
            self.b = layer.SeqToANNContainer(nn.Conv2d(4, 4, 3, padding=1))
            self.sn_b = layer.MultiStepContainer(neuron.IFNode())
            self.c, self.sn_c = layer.SeqToANNContainer(nn.Flatten(), nn.Linear(256, 3)), neuron.IFNode(step_mode="m")

        def forward(self, x: Any) -> Any:
            x = self.sn_a(self.a(x))
            x = self.sn_b(self.b(x)) + x
            return self.sn_c(self.c(x))

    trace = capture_torch(loud(Sew()), spikes())
    assert [(c.source, c.operator) for c in trace.network.layer("sn_c").connections] == [
        ("sn_b.0", "linear"), ("sn_a", "linear")]
    assert any("held once for each" in note for note in trace.provenance["notes"])
    result = hwsim.simulate(trace, "event_core_64")
    assert result.total_synaptic_operations == sum(operations(trace.network, sample) for sample in trace)


def test_biases_are_added_where_the_model_has_them() -> None:
    def added(*modules: Any) -> int:
        model = loud(nn.Sequential(*modules, snn.Leaky(0.5, init_hidden=True)))
        result = hwsim.simulate(capture_torch(model, spikes(), timesteps=T), "event_core_64")
        return int(result.activity.loc[result.activity["event"] == "bias_add", "total_count"].sum())

    assert added(nn.Conv2d(2, 3, 3, bias=False)) == 0
    assert added(nn.Conv2d(2, 3, 3)) == 2 * T * 3 * 6 * 6
    assert added(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3)) == 2 * T * 3 * 6 * 6


def test_pooling_twice_is_pooling_by_more() -> None:
    model = loud(nn.Sequential(
        nn.AvgPool2d(2), nn.AvgPool2d(2), nn.Conv2d(2, 3, 1), snn.Leaky(0.5, init_hidden=True), nn.Flatten(), nn.Linear(12, 2)))
    trace = capture_torch(model, spikes(shape=(2, 9, 9)), timesteps=T)
    assert (trace.network.layers[0].shape, trace.network.layers[0].connections[0].pool) == ((3, 2, 2), 4)
    result = hwsim.simulate(trace, "event_core_64")
    assert result.total_synaptic_operations == sum(operations(trace.network, sample) for sample in trace)


def test_windows_may_differ_between_the_axes() -> None:
    """Of a convolution, also one whose sums are averaged: larger windows and strides."""
    model = loud(nn.Sequential(
        nn.Conv2d(2, 3, (3, 1), (1, 2), (1, 0), bias=False), snn.Leaky(0.5, init_hidden=True),
        nn.Conv2d(3, 4, (1, 3), padding=(0, 1)), nn.AvgPool2d(2), snn.Leaky(0.5, init_hidden=True)))
    trace = capture_torch(model, spikes(shape=(2, 8, 8)), timesteps=T)
    first, second = (layer.connections[0] for layer in trace.network)
    assert (first.kernel, first.stride, first.padding) == ((3, 1), (1, 2), (1, 0))
    assert (second.kernel, second.stride, second.padding) == ((2, 4), 2, (0, 1))
    assert [layer.shape for layer in trace.network] == [(3, 8, 4), (4, 4, 2)]
    result = hwsim.simulate(trace, "event_core_64")
    assert result.total_synaptic_operations == sum(operations(trace.network, sample) for sample in trace)


def test_the_model_is_given_back_as_it_was_and_dropout_is_off() -> None:
    model = loud(StaticImage())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert model.training
    trace = capture_torch(model, images(samples=3))
    again = capture_torch(model, images(samples=3))
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items()), "batch norm must not learn"
    assert trace.content_hash == again.content_hash
    assert not isinstance(model.body[2].v, torch.Tensor), "neurons are left reset"
    alone = capture_torch(model, images(samples=3)[2:])
    np.testing.assert_array_equal(planes(trace, "body.2")[2], planes(alone, "body.2")[0])


def test_images_are_whole_numbers_or_rounded_with_a_word(tmp_path: Any) -> None:
    model = loud(nn.Sequential(nn.Linear(6, 4), snn.Leaky(beta=0.5, init_hidden=True)))
    whole = capture_torch(model, images(shape=(6,)) * 50, timesteps=3)
    assert whole.network.input.payload_bits == 8
    signed = np.array([[-1.0, 0.5, 0.001, 0, 0.25, 1.0]], np.float32)
    rounded = capture_torch(model, signed, timesteps=3, out=tmp_path / "t.h5")
    assert (rounded.network.input.signed, rounded.network.input.payload_bits) == (True, 8)
    assert rounded.sample(0).inputs.reshape(-1).tolist() == [-127, 64, 0, 0, 32, 127]
    assert "1 of 5 non-zero values became 0" in rounded.provenance["inputs"]


def test_an_integrator_that_never_fires_is_a_read_out_and_inputs_may_be_named() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.sn, self.out, self.sum = nn.Linear(6, 4), snn.Leaky(0.5), nn.Linear(4, 2), neuron.NonSpikingIFNode()

        def forward(self, x: Any) -> Any:
            return self.sum(self.out(self.sn(input_=self.fc(input=x))[0]))

    trace = capture_torch(loud(Named()), spikes(shape=(6,)), timesteps=T)
    assert [(x.name, x.coding) for x in trace.network] == [("sn", "rate"), ("out", "readout")]


def test_classes_of_ones_own() -> None:
    class Mine(nn.Module):
        def forward(self, x: Any) -> Any:
            return (x > 0.5).to(x)

    model = loud(nn.Sequential(nn.Linear(6, 4), Mine()))
    trace = capture_torch(model, images(shape=(6,)), timesteps=2, neurons={Mine: hwsim.IntegrateAndFire("soft")})
    assert trace.network.layer("1").neuron == hwsim.IntegrateAndFire("soft")
