"""Max pooling that no pooling unit does: its neurons send what PyTorch's pooling gives, and follow from what they read."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")
pytest.importorskip("spikingjelly.activation_based")

from spikingjelly.activation_based import functional, layer, neuron  # noqa: E402
from torch import nn  # noqa: E402

import hwsim  # noqa: E402
from hwsim.capture import CaptureError, capture_torch  # noqa: E402
from hwsim.snn.forward import layer_sums  # noqa: E402
from hwsim.snn.network import Network  # noqa: E402
from hwsim.trace.reader import Trace  # noqa: E402
from tests.capture.spiking_models import images, loud, planes, spikes  # noqa: E402
from tests.capture.test_torch_refuses import Calls, lif  # noqa: E402


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def with_ones(network: Network) -> Network:
    """The network with a weight of one everywhere."""
    return Network(network.input, tuple(replace(x, connections=tuple(
        replace(c, weights=np.ones(c.weight_shape(x.shape), np.int64)) for c in x.connections)) for x in network.layers))


def check_ors(trace: Trace, names: dict[str, int]) -> None:
    """Layers of neurons fire exactly where the sum of what they read, with weights of one, reaches their number."""
    network = with_ones(trace.network)
    for name, number in names.items():
        made = network.layer(name)
        assert made.neuron == hwsim.IntegrateAndFire("hard")
        for sample in trace:
            sums = layer_sums(network, made, {"input": sample.inputs, **sample.recorded})
            fired = sample.recorded[name].transpose(0, 3, 1, 2)
            assert np.array_equal(fired, sums >= number), name
            assert 0 < fired.mean() < 1, f"{name} says little"


def test_windows_that_overlap_and_are_padded() -> None:
    """A stem as that of a ResNet, and the functional form in another place."""
    model = Calls(lambda m, x: m.fc(nn.functional.max_pool2d(m.sn2(m.conv(m.pool(m.sn(x)))), 2, 1).flatten(1)),
                  sn=neuron.IFNode(), pool=nn.MaxPool2d(3, 2, 1), conv=nn.Conv2d(2, 3, 1), sn2=neuron.IFNode(),
                  fc=nn.Linear(27, 4))
    trace = capture_torch(loud(model), spikes(), timesteps=4)
    assert [x.name for x in trace.network] == ["sn", "pool", "sn2", "sn2.max", "fc"]
    assert trace.network.layer("pool").shape == (2, 4, 4)
    check_ors(trace, {"pool": 1, "sn2.max": 1})
    pooled = nn.functional.max_pool2d(torch.as_tensor(planes(trace, "sn").reshape(-1, 2, 8, 8), dtype=torch.float32), 3, 2, 1)
    assert np.array_equal(pooled.numpy().reshape(2, 4, 2, 4, 4), planes(trace, "pool"))
    assert hwsim.simulate(trace, "event_core_64").mismatches is None


def test_maxima_of_residual_sums() -> None:
    """A SEW block: 0, 1 or 2 spikes a place, pooled; as a whole sequence in one call."""
    body = {"a": layer.Conv2d(2, 4, 3, padding=1), "sn": neuron.IFNode(),
            "b": layer.Conv2d(4, 4, 3, padding=1), "tn": neuron.IFNode(),
            "pool": layer.MaxPool2d(2, 2), "c": layer.Conv2d(4, 3, 1), "un": neuron.IFNode()}

    def block(m: Any, x: Any) -> Any:
        x = m.sn(m.a(x))
        m.seen = m.pool(m.tn(m.b(x)) + x)
        return m.un(m.c(m.seen))

    model = loud(Calls(block, **body))
    functional.set_step_mode(model, "m")
    trace = capture_torch(model, spikes(samples=1))
    assert [x.name for x in trace.network] == ["sn", "tn", "pool", "pool.2", "pool.or2", "un"]
    check_ors(trace, {"pool": 1, "pool.2": 2, "pool.or2": 1})
    found = planes(trace, "pool").astype(int) + planes(trace, "pool.or2")
    assert np.array_equal(found[0], model.seen[:, 0].numpy())
    assert {c.source for c in trace.network.layer("un").connections} == {"pool", "pool.or2"}


def test_a_maximum_before_an_average() -> None:
    for second in (nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(2)):
        model = nn.Sequential(nn.Conv2d(2, 3, 1), lif(), nn.MaxPool2d(2), second, nn.Flatten(), nn.Linear(12, 4), lif())
        trace = capture_torch(loud(model), spikes(), timesteps=4)
        made, last = trace.network.layers[1], trace.network.layers[2]
        check_ors(trace, {made.name: 1})
        assert [(c.source, c.pool, c.pool_mode) for c in last.connections] == [(made.name, 2, "folded")]


def test_averages_of_currents_are_larger_convolutions() -> None:
    """LIF after average pooling: the same sums, to the last bit of floating point, by one convolution of 4 x 4 windows."""
    conv = nn.Conv2d(2, 3, 3, stride=1, padding=1)
    model = nn.Sequential(conv, nn.AvgPool2d(2), lif())
    trace = capture_torch(loud(model), spikes(), timesteps=4)
    wire, = trace.network.layers[0].connections
    assert (wire.kernel, wire.stride, wire.padding, wire.pool) == (4, 2, 1, 1)
    assert trace.network.layers[0].shape == (3, 4, 4)
    x = torch.rand(1, 2, 8, 8)
    spread = sum(nn.functional.pad(conv.weight, (dx, 1 - dx, dy, 1 - dy)) for dy in (0, 1) for dx in (0, 1)) / 4
    assert torch.allclose(nn.functional.conv2d(x, spread, conv.bias, 2, 1), nn.functional.avg_pool2d(conv(x), 2), atol=1e-5)


def test_the_order_of_snntorchs_tutorial_is_refused_with_the_mend() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 5), nn.MaxPool2d(2), lif(), nn.Flatten(), nn.Linear(16, 3), lif())
    with pytest.raises(CaptureError, match=r"'1' \(MaxPool2d\).*sums of 0.*convolution, neuron, max pooling.*train again"):
        capture_torch(model, images(), timesteps=2)


def test_the_spiking_resnet_18_of_spikingjelly(monkeypatch: pytest.MonkeyPatch) -> None:
    utils = ModuleType("torchvision.models.utils")
    utils.load_state_dict_from_url = None  # the file wants torchvision for a download and for nothing else
    for name, module in (("torchvision", ModuleType("torchvision")), ("torchvision.models", ModuleType("torchvision.models")),
                         ("torchvision.models.utils", utils)):
        monkeypatch.setitem(sys.modules, name, module)
    from spikingjelly.activation_based.model import spiking_resnet

    model = spiking_resnet.spiking_resnet18(spiking_neuron=neuron.IFNode, num_classes=10)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "conv" in name or "downsample.0" in name:
                value.mul_(4)
    trace = capture_torch(model.eval(), images(1, (3, 32, 32)), timesteps=2)
    assert len(trace.network.layers) == 19
    assert trace.network.layer("maxpool").shape == (64, 8, 8)
    pooled = planes(trace, "maxpool")
    assert np.array_equal(pooled[0], nn.functional.max_pool2d(torch.as_tensor(planes(trace, "sn1")[0]).float(), 3, 2, 1).numpy())
    assert pooled.any()


def test_a_spiking_last_layer_is_judged_by_its_spikes() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(128, 5), lif())
    model[1].weight.data.mul_(4)
    given = spikes(6)
    counts = planes(capture_torch(model, given, timesteps=4), "2").reshape(6, 4, 5).sum(1)
    labels = counts.argmax(1)
    assert len(set(labels.tolist())) > 1
    labels[0] = (labels[0] + 1) % 5
    result = hwsim.simulate(capture_torch(model, given, labels, timesteps=4), "event_core_64")
    assert result.accuracy == pytest.approx(100 * 5 / 6)


def test_other_packages_are_refused_by_their_names() -> None:
    for package, name in (("norse.torch.module.lif", "Norse"), ("sinabs.layers.lif", "Sinabs")):
        foreign = type("LIFCell", (nn.Module,), {"__module__": package, "forward": lambda self, x: (x > 0).float()})
        model = nn.Sequential(nn.Flatten(), nn.Linear(128, 5), foreign())
        with pytest.raises(CaptureError, match=rf"module '2': found a module of {name}, LIFCell.*hwsim capture nir"):
            capture_torch(model, spikes(), timesteps=4)
        named = capture_torch(loud(model), spikes(), timesteps=4, neurons={foreign: hwsim.IntegrateAndFire("hard")})
        assert named.network.layers[0].name == "2"


def test_timesteps_for_a_model_that_loops_by_itself_are_to_be_left_out() -> None:
    def looped(m: Any, x: Any) -> Any:
        return torch.stack([m.sn(m.fc(x.flatten(1))) for _ in range(3)])

    for inputs, model in ((images(shape=(6,)), Calls(looped, fc=nn.Linear(6, 4), sn=lif())),
                          (spikes(timesteps=3, shape=(6,)), Calls(looped, fc=nn.Linear(6, 4), sn=lif()))):
        with pytest.raises(CaptureError, match=r"leave (timesteps|them) out"):
            capture_torch(loud(model), inputs, timesteps=3)
    multi = Calls(lambda m, x: m.sn(m.fc(x)), fc=layer.Linear(6, 4), sn=neuron.IFNode(step_mode="m"))
    with pytest.raises(CaptureError, match="leave them out"):
        capture_torch(multi, images(shape=(6,)), timesteps=3)


def test_a_graph_is_no_trace(tmp_path: Any) -> None:
    for name, says in (("graph.nir", "found a NIR graph, expected a trace.*hwsim capture nir"),
                       ("net.onnx", "hwsim convert --model"), ("net.pt", "found a checkpoint")):
        (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
        with pytest.raises(hwsim.TraceError, match=says):
            hwsim.simulate(str(tmp_path / name), "event_core_64")
