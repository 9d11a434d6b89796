"""What a torch capture must not swallow: each is refused with the module's place, and never becomes a wrong trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")
pytest.importorskip("spikingjelly.activation_based")

from spikingjelly.activation_based import layer, neuron  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from hwsim import TraceError  # noqa: E402
from hwsim.capture import CaptureError, capture_torch  # noqa: E402
from hwsim.snn.neurons import BitSerial, Requantise, SingleSpike  # noqa: E402
from tests.capture.spiking_models import images, loud, spikes  # noqa: E402


def lif(**settings: Any) -> Any:
    return snn.Leaky(beta=0.5, init_hidden=True, **settings)


class Calls(nn.Module):
    """A model whose forward is the function `how`, with its modules as attributes."""

    def __init__(self, how: Any, **modules: Any) -> None:
        super().__init__()
        self.how = how
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x: Any) -> Any:
        return self.how(self, x)


def rec(m: Any, x: Any) -> Any:
    old = getattr(m, "old", None)
    drive = m.fc(x.flatten(1))
    m.old = m.sn(drive if old is None else drive + m.back(old))
    return m.old


MODELS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "dilated convolution": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3, dilation=2), lif()), ("'0'", "Conv2d", "dilation of 2")),
    "oblong pooling": (lambda: nn.Sequential(nn.AvgPool2d((2, 1)), nn.Conv2d(2, 3, 3), lif()), ("pooling window of", "'0'")),
    "oblong dilation": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3, dilation=(1, 2)), lif()), ("dilation of (1, 2)", "'0'")),
    "reflect padding": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"), lif()), ("padding_mode",)),
    "transposed": (lambda: nn.Sequential(nn.ConvTranspose2d(2, 3, 3), lif()), ("'0' (ConvTranspose2d)",)),
    "two linear": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(128, 5), nn.Linear(5, 4), lif()), ("1 and 2", "no spiking")),
    "relu": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), lif()), ("ReLU", "'1'", "'2'")),
    "pool of sums": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), lif()), ("'1' (MaxPool2d)", "after the spiking")),
    "functional pool of sums": (
        lambda: Calls(lambda m, x: m.sn(functional.max_pool2d(m.conv(x), 2)), conv=nn.Conv2d(2, 3, 3), sn=lif()), ("pooling",)),
    "overlapping averages": (lambda: nn.Sequential(nn.AvgPool2d(3, 2), nn.Conv2d(2, 3, 1), lif()), ("stride 2", "'0'")),
    "a maximum of averages": (
        lambda: nn.Sequential(nn.AvgPool2d(2), nn.MaxPool2d(2), nn.Conv2d(2, 3, 1), lif()), ("max pooling of averages", "'1'")),
    "group norm": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), lif()), ("GroupNorm", "group_norm")),
    "synaptic current": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3), snn.Synaptic(0.5, 0.5, init_hidden=True)), ("Synaptic",)),
    "recurrent neuron": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(128, 3), snn.RLeaky(0.5, all_to_all=False, init_hidden=True)), ("RLeaky",)),
    "recurrent layer": (lambda: Calls(rec, fc=nn.Linear(128, 4), back=nn.Linear(4, 4), sn=lif()), ("timesteps 0 and 1",)),
    "no reset": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3), lif(reset_mechanism="none")), ("reset_mechanism 'none'",)),
    "graded spikes": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3), lif(graded_spikes_factor=0.3)), ("0.3", "0 and 1")),
    "integer spikes": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3), neuron.ILIFNode()), ("ILIFNode",)),
    "other neuron": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3), neuron.QIFNode()), ("QIFNode", "IFNode")),
    "shared neuron": (
        lambda: Calls(lambda m, x: m.sn(m.b(m.sn(m.a(x)))), a=nn.Conv2d(2, 2, 1), b=nn.Conv2d(2, 2, 1), sn=neuron.IFNode()),
        ("'sn'", "one call a timestep")),
    "attention of spikes": (
        lambda: Calls(lambda m, x: m.fc(m.sn(m.a(x)).flatten(1).softmax(1)), a=nn.Conv2d(2, 2, 1), sn=lif(),
                      fc=nn.Linear(128, 3)), ("softmax", "'fc'")),
    "product of spikes": (
        lambda: Calls(lambda m, x: m.b(m.sn(m.a(x)) * m.tn(m.a(x))), a=nn.Conv2d(2, 2, 1), b=nn.Conv2d(2, 2, 1), sn=lif(),
                      tn=lif()), ("product of two tensors",)),
    "a constant on spikes": (
        lambda: Calls(lambda m, x: m.b(m.sn(m.a(x)) + 1), a=nn.Conv2d(2, 2, 1), b=nn.Conv2d(2, 2, 1), sn=lif()), ("constant",)),
    "potential as a value": (
        lambda: Calls(lambda m, x: m.b(m.sn(m.a(x))[1]), a=nn.Conv2d(2, 2, 1), b=nn.Conv2d(2, 2, 1),
                      sn=snn.Leaky(beta=0.5)), ("membrane potential", "'sn'")),
    "written in place": (
        lambda: Calls(scribble, a=nn.Conv2d(2, 2, 1), b=nn.Conv2d(2, 2, 1), sn=lif()), ("__setitem__",)),
    "through numpy": (
        lambda: Calls(lambda m, x: m.sn(torch.as_tensor(m.a(x).numpy().copy())), a=nn.Conv2d(2, 2, 1), sn=lif()),
        ("neither on spikes", "numpy")),
    "functional read-out": (
        lambda: Calls(lambda m, x: functional.linear(m.sn(m.a(x)).flatten(1), torch.ones(3, 128)), a=nn.Conv2d(2, 2, 1),
                      sn=lif()), ("function linear", "nn.Linear")),
    "transposed read-out": (
        lambda: nn.Sequential(nn.Conv2d(2, 2, 1), lif(), nn.ConvTranspose2d(2, 3, 3)), ("'2' (ConvTranspose2d)", "function")),
    "LSTM": (
        lambda: Calls(lambda m, x: m.back(m.sn(m.a(x)).flatten(1)), a=nn.Conv2d(2, 2, 1), sn=lif(), back=nn.LSTM(128, 3)),
        ("'back' (LSTM)",)),
    "a read-out through numpy": (
        lambda: Calls(lambda m, x: m.fc(torch.as_tensor(m.sn(m.a(x)).numpy().copy()).flatten(1)), a=nn.Conv2d(2, 2, 1), sn=lif(),
                      fc=nn.Linear(128, 3)), ("'fc' (Linear)", "numpy")),
    "no spiking layer": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU()), ("no spiking layer", "Conv2d")),
    "wrong shape": (lambda: nn.Sequential(nn.Conv2d(7, 3, 3), lif()), ("'0' (Conv2d)", "(1, 2, 8, 8)")),
    "a tiled image": (
        lambda: Calls(lambda m, x: m.sn(m.a(x.repeat(1, 1, 2, 2))), a=nn.Conv2d(2, 3, 3), sn=lif()), ("repeat", "'a'")),
    "two samples of one": (
        lambda: Calls(lambda m, x: m.sn(m.a(torch.cat([x, x]))), a=nn.Conv2d(2, 3, 3), sn=lif()), ("function cat", "'a'")),
    "unit norm of spikes": (
        lambda: nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3), lif()), ("0 and 1 with no spiking layer",)),
}


def scribble(m: Any, x: Any) -> Any:
    x = m.sn(m.a(x))
    x[:, 0] = 0
    return m.b(x)


@pytest.mark.parametrize("case", MODELS)
def test_what_synapses_cannot_do_is_refused_with_its_place(case: str) -> None:
    make, texts = MODELS[case]
    with pytest.raises(CaptureError) as error:
        capture_torch(loud(make()), spikes(), timesteps=4)
    said = str(error.value)
    assert said.startswith("capture_torch: ")
    for text in (*texts, "found ", "expected "):
        assert text in said, said


def test_a_plain_model_is_not_refused() -> None:
    """The refusals above are no reflex: the same call takes a model that can be taken."""
    model = nn.Sequential(nn.Conv2d(2, 3, 3), lif(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 4), nn.Dropout(0.5), lif())
    assert capture_torch(loud(model), spikes(), timesteps=4).timesteps == 4


def test_a_tiled_constant_image() -> None:
    tiled = Calls(lambda m, x: m.sn(m.a(x.repeat(1, 1, 2, 2))), a=nn.Conv2d(2, 3, 3), sn=lif())
    with pytest.raises(CaptureError, match=r"found a repeat.*module 'a'"):
        capture_torch(loud(tiled), images(shape=(2, 8, 8)), timesteps=2)
    twice = Calls(lambda m, x: m.sn(m.a(x.unsqueeze(0).repeat(2, 3, 1, 1, 1))), a=layer.Conv2d(2, 3, 3, step_mode="m"),
                  sn=neuron.IFNode(step_mode="m"))
    with pytest.raises(CaptureError, match="one sample a batch"):
        capture_torch(loud(twice), images(shape=(2, 8, 8)))


def test_single_and_multi_step_are_not_mixed_up() -> None:
    single = nn.Sequential(nn.Flatten(2), nn.Linear(128, 3), neuron.IFNode(step_mode="s"))
    with pytest.raises(CaptureError, match="sequence tensor at a single-step neuron"):
        capture_torch(single, spikes())
    multi = nn.Sequential(layer.Conv2d(2, 3, 3, step_mode="m"), neuron.IFNode(step_mode="m"))
    with pytest.raises(CaptureError, match="single tensor at a multi-step neuron"):
        capture_torch(Calls(lambda m, x: m.sn(m.conv(x)), conv=nn.Conv2d(2, 3, 3), sn=multi[1]), spikes(), timesteps=4)
    assert capture_torch(loud(multi), spikes()).timesteps == 4


def test_state_that_survives_a_reset_and_chance_are_found() -> None:
    class Remembers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.sn, self.calls = nn.Linear(6, 4), lif(), 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            return self.sn(self.fc(x) * (0.0 if self.calls > 4 else 1.0))

    with pytest.raises(CaptureError, match=r"module 'sn'.*second time.*keeps state"):
        capture_torch(loud(Remembers()), images(samples=1, shape=(6,)), timesteps=4)

    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.sn = nn.Linear(6, 50), lif()

        def forward(self, x: Any) -> Any:
            return self.sn(self.fc(functional.dropout(x, 0.5, True)))

    with pytest.raises(CaptureError, match="dropout in training mode"):
        capture_torch(loud(Noisy()), images(samples=1, shape=(6,)), timesteps=4)


def test_a_network_that_depends_on_its_data() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.sn = nn.Linear(6, 4), nn.Linear(6, 4), lif()

        def forward(self, x: Any) -> Any:
            return self.sn(self.a(x) if float(x[0, 0]) > 0 else self.b(x))

    inputs = np.ones((2, 6), np.float32)
    inputs[1, 0] = 0
    with pytest.raises(CaptureError, match="sample 1: found another network"):
        capture_torch(loud(Branches()), inputs, timesteps=2)


def model() -> Any:
    return loud(nn.Sequential(nn.Linear(6, 4), lif()))


GOOD = images(shape=(6,))
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({"inputs": np.zeros((0, 6))}, "nothing in shape"),
    "no timesteps": ({"inputs": np.zeros((2, 0, 6))}, "nothing in shape"),
    "T = 0": ({"timesteps": 0}, "timesteps: found 0"),
    "T = 65": ({"timesteps": 65}, "timesteps: found 65"),
    "T is not the input's": ({"inputs": spikes(shape=(6,)), "timesteps": 3}, "4, as many as"),
    "not spikes": ({"inputs": np.full((2, 4, 6), 0.5), "timesteps": 4}, r"0\.5 in an array.*C = 1"),
    "NaN": ({"inputs": np.full((2, 6), np.nan)}, r"inputs\[0, 0\]: found NaN"),
    "text": ({"inputs": np.array([["a"]])}, "<U1"),
    "ragged": ({"inputs": [[1, 2], [3]]}, "no array"),
    "axes": ({"inputs": np.zeros((1, 1, 1, 1, 1, 1))}, "shape"),
    "complex": ({"inputs": np.zeros((2, 6), complex)}, "complex"),
    "too few labels": ({"labels": [1]}, r"labels.*\(2,\)"),
    "float labels": ({"labels": [0.5, 1]}, "labels"),
    "negative labels": ({"labels": [-1, 1]}, "lowest -1"),
    "bits": ({"inputs": GOOD + 0.5, "input_bits": 0}, "input_bits"),
    "neurons": ({"neurons": {"a": 1}}, "neurons: found 'a': 1"),
    "neuron of bits": ({"neurons": {nn.ReLU: BitSerial()}}, "the rate-coded neurons"),
    "neuron of values": ({"neurons": {nn.ReLU: Requantise()}}, "the rate-coded neurons"),
    "neuron that fires once": ({"neurons": {nn.ReLU: SingleSpike()}}, "the rate-coded neurons"),
    "no model": ({"model": 3}, "torch.nn.Module"),
    "large": ({"inputs": GOOD + 70000.0}, "65535"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case: str) -> None:
    changes, text = BAD[case]
    with pytest.raises(CaptureError, match=text):
        capture_torch(**({"model": model(), "inputs": GOOD, "timesteps": 2} | changes))


def test_nan_weights_and_a_read_out_without_that_label() -> None:
    with pytest.raises(CaptureError, match=r"parameter '0.weight'.*never run"):
        capture_torch(nn.Sequential(nn.LazyLinear(4), lif()), GOOD, timesteps=2)
    broken = model()
    with torch.no_grad():
        broken[0].weight[1, 2] = float("nan")
    with pytest.raises(CaptureError, match=r"parameter '0.weight': found NaN"):
        capture_torch(broken, GOOD, timesteps=2)
    with pytest.raises(TraceError, match=r"label 3, expected 0 to 2"):
        capture_torch(loud(nn.Sequential(nn.Linear(6, 4), lif(), nn.Linear(4, 3))), GOOD, [0, 3], timesteps=2)


def test_nothing_is_left_behind_when_a_capture_fails(tmp_path: Any) -> None:
    with pytest.raises(CaptureError):
        capture_torch(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), lif()), GOOD, timesteps=2, out=tmp_path / "t.h5")
    assert not list(tmp_path.iterdir())
