"""What a user's ANN may not have is refused with its place, what was found, what was expected and what to do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwsim.capture import CaptureError
from hwsim.capture.ann import Ann, AnnLayer, Maximum
from hwsim.capture.ann_onnx import read_onnx
from hwsim.capture.ann_torch import _quiet, read_torch
from hwsim.convert.calibration import as_values, real_layers, real_outputs
from hwsim.convert.folded import FoldedSource
from hwsim.convert.own import quantise
from hwsim.errors import HwsimError
from hwsim.sources.npz import channels_last, image_shape, read_npz
from tests.conftest import ROOT
from tests.convert.own_networks import Plain, images, made
from tests.scripts import module_at


class Written(nn.Module):
    """Two convolutions and a linear layer on (3, 8, 8), called in a way of one's own."""

    def __init__(self, forward: Callable[[Written, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(64, 5)
        self.norm, self.wide = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=2, dilation=2)
        self.way = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self, x)


def head(net: Written, x: Tensor) -> Tensor:
    return net.fc(nn.functional.adaptive_avg_pool2d(x, 4).flatten(1))


F = nn.functional
REFUSED: list[tuple[str, Callable[[Written, Tensor], Tensor], str]] = [
    ("gelu", lambda n, x: head(n, F.gelu(n.one(x))), r"the model \(Written\): found gelu.*ReLU.*train again"),
    ("cat", lambda n, x: head(n, torch.cat([F.relu(n.one(x)), F.relu(n.one(x))], 1)[:, :4]), "found cat.*add instead"),
    ("gate", lambda n, x: head(n, F.relu(n.one(x)) * torch.sigmoid(n.one(x))), "found sigmoid"),
    ("dilation", lambda n, x: head(n, F.relu(n.wide(F.relu(n.one(x))))), r"module 'wide' \(Conv2d\): found a dilation of 2"),
    ("maxima of sums", lambda n, x: head(n, n.two(F.max_pool2d(n.one(x), 2))), "maxima of sums.*the ReLU next to the pooling"),
    ("flat sums", lambda n, x: n.fc(F.relu(*(a + a for a in [F.avg_pool2d(F.relu(n.one(x)), 2).flatten(1)]))), "were flattened"),
    ("softmax inside", lambda n, x: head(n, F.relu(n.one(x)).softmax(1)), "softmax inside of the network"),
    ("no ReLU", lambda n, x: head(n, x[:, :3].repeat(1, 2, 1, 1)[:, :4]), "do not index|slice|repeat"),
    ("blocks", lambda n, x: head(n, F.adaptive_avg_pool2d(F.relu(n.one(x)), 6)), "adaptive pooling from .8, 8. to .6, 6."),
    ("two outputs", lambda n, x: (head(n, F.relu(n.one(x))), x), "found several outputs, expected the logits only"),
    ("values", lambda n, x: head(n, F.relu(n.one(x))) if x.sum() > 0 else x, "torch.export can trace.*branches on values"),
]


@pytest.mark.parametrize(("name", "way", "says"), REFUSED, ids=[name for name, *_ in REFUSED])
def test_what_neurons_cannot_do_is_refused_with_its_place(name: str, way: Callable[[Written, Tensor], Tensor], says: str) -> None:
    with pytest.raises(CaptureError, match=f"^mine: .*(?s:{says})"):
        read_torch(Written(way).eval(), (3, 8, 8), "mine")


TAKEN: list[tuple[str, Callable[[Written, Tensor], Tensor]]] = [
    ("pooled sums", lambda n, x: head(n, F.relu(F.avg_pool2d(n.one(x), 2)))),
    ("windows that overlap", lambda n, x: head(n, F.avg_pool2d(F.max_pool2d(F.relu(n.one(x)), 3, 1, 1), 3, 1, 1))),
    ("a maximum of averages", lambda n, x: n.fc(F.max_pool2d(F.avg_pool2d(F.relu(n.one(x)), 2), 3, 1, 1).reshape(len(x), -1))),
    ("before the activation", lambda n, x: head(n, _pre(n, F.relu(n.one(x)) + n.one(x)))),
    ("factors", lambda n, x: head(n, F.relu(0.5 * n.two(F.relu6(n.one(x - 0.25) / 3)) - 0.125))),
    ("linear bottleneck", lambda n, x: head(n, _bottleneck(n, _bottleneck(n, n.one(x))))),
    ("norm before a convolution", lambda n, x: head(n, F.relu(n.two(n.norm(F.relu(n.one(x))))))),
    ("no ReLU before the last layers", lambda n, x: n.fc(F.avg_pool2d(n.two(F.relu(n.one(x))), 2).flatten(1))),
    ("in place", lambda n, x: head(n, _in_place(n, n.one(x)))),
    ("the mean of the maps", lambda n, x: n.two(F.relu(n.norm(n.one(x)))).relu().mean((2, 3))),
    ("a pooled convolution", lambda n, x: F.adaptive_avg_pool2d(n.two(F.relu(n.one(x)).clamp(max=1.5)), 1).flatten(1)),
]


def _in_place(n: Written, x: Tensor) -> Tensor:
    """What is added is the activation, not the sum that it was computed from."""
    y = n.two(F.relu(x, inplace=True))
    y += x
    return F.relu(y)


def _bottleneck(n: Written, x: Tensor) -> Tensor:
    """Linear at its end, added to what no ReLU ended either."""
    return x + n.norm(n.two(F.relu6(n.norm(n.two(x)))))


def _pre(n: Written, x: Tensor) -> Tensor:
    return F.relu(n.norm(x + n.two(F.relu(n.norm(x)))))


@pytest.mark.parametrize(("name", "way"), TAKEN, ids=[name for name, _ in TAKEN])
def test_ways_to_write_an_ann_compute_what_the_model_computes(name: str, way: Callable[[Written, Tensor], Tensor]) -> None:
    model = Written(way).eval()
    nn.init.uniform_(model.norm.running_var, 0.5, 2)
    nn.init.normal_(model.norm.weight)
    given = np.random.default_rng(1).random((3, 3, 8, 8)).astype(np.float32)
    ann = read_torch(model, (3, 8, 8), "mine")
    with torch.no_grad():
        expected = model(torch.from_numpy(given)).numpy()
    assert np.allclose(logits(ann, given), expected, atol=1e-5)
    assert expected.std() > 1e-3


def logits(ann: Ann, given: np.ndarray) -> np.ndarray:
    encoding = FoldedSource("plain", ann.input_shape, -ann.shift / ann.gain, 1 / ann.gain, (), 1.0)
    last = real_outputs(ann, real_layers(ann), encoding, given.transpose(0, 2, 3, 1))[ann.layers[-1].name]
    return last[0].flatten(1).numpy()


def test_layers_are_called_as_the_user_calls_them() -> None:
    ann = read_torch(made(Plain, 0), (3, 16, 16), "mine")
    assert [layer.name for layer in ann.layers] == [
        "features.0", "features.0.max", "features.3", "features.3.max", "features.8", "classifier.0", "classifier.3"]
    assert [type(layer) for layer in ann.layers].count(Maximum) == 2
    first = ann.layers[0]
    assert isinstance(first, AnnLayer)
    assert first.place == "module 'features.2' (ReLU)"
    assert as_values(np.zeros((2, 3, 3, 1))).shape == (1, 2, 3, 3, 1)


def test_the_networks_of_the_page_are_read_as_it_says() -> None:
    example = module_at(ROOT / "docs" / "examples" / "own_network.py")
    for kind, layers in ((example.ResNet, 9), (example.VGG, 8)):
        assert len(read_torch(kind(2).eval(), (1, 28, 28), "mine").layers) == layers


def test_onnx_files_that_are_none_or_hold_more_are_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra hwsim[onnx]")
    from onnx import TensorProto, helper

    with pytest.raises(CaptureError, match="no such file"):
        read_onnx(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a graph")
    with pytest.raises(CaptureError, match="expected a readable ONNX file"):
        read_onnx(tmp_path / "text.onnx")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in ("x", "y")]
    for operator, says in (("Sigmoid", r"node 'act' \(Sigmoid\): found operator Sigmoid.*replace it by ReLU"),
                           ("Relu", r"output 'y'.*(no ReLU|whole maps)"), ("Gather", "found operator Gather")):
        graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], name="act")], "g", ends[:1], ends[1:])
        onnx.save(helper.make_model(graph), tmp_path / "odd.onnx")
        with pytest.raises(CaptureError, match=says):
            read_onnx(tmp_path / "odd.onnx")


def test_onnx_padding_in_words_is_taken_where_it_is_the_same_on_both_sides(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra hwsim[onnx]")
    from onnx import TensorProto, helper, numpy_helper

    ends = [helper.make_tensor_value_info(*about) for about in (
        ("x", TensorProto.FLOAT, [1, 1, 6, 6]), ("y", TensorProto.FLOAT, [1, 2, 1, 1]))]

    whole = helper.make_node("GlobalAveragePool", ["b"], ["y"])

    def read(kernel: tuple[int, int], said: bool = True, last: object = whole, **more: object) -> object:
        more |= {"kernel_shape": kernel} if said else {}
        weights = [numpy_helper.from_array(np.ones((2, 1, *kernel), np.float32), "w")]
        nodes = [helper.make_node("Conv", ["x", "w"], ["a"], name="conv", **more), helper.make_node("Relu", ["a"], ["b"]),
                 last]
        onnx.save(helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)), tmp_path / "pads.onnx")
        return read_onnx(tmp_path / "pads.onnx").layers[0].flow.branches[0].padding

    assert read((5, 3), auto_pad="SAME_UPPER") == read((5, 3), pads=[2, 1, 2, 1]) == (2, 1)
    assert read((3, 3), auto_pad="SAME_LOWER") == read((3, 3), said=False, auto_pad="SAME_LOWER") == 1
    assert read((3, 3), auto_pad="VALID") == 0
    for kernel, more in (((2, 2), {}), ((3, 3), {"strides": [2, 2]})):
        with pytest.raises(CaptureError, match=r"node 'conv' \(Conv\): found auto_pad SAME_UPPER.*export with explicit padding"):
            read(kernel, auto_pad="SAME_UPPER", **more)

    gaps = helper.make_node("AveragePool", ["b"], ["y"], name="pool", kernel_shape=[2, 2], dilations=[2, 2], strides=[2, 2])
    with pytest.raises(CaptureError, match=r"node 'pool' \(AveragePool\): found average pooling with a dilation of 2"):
        read((1, 1), last=gaps)


def test_images_of_every_layout_are_found_out(tmp_path: Path) -> None:
    pixels = np.zeros((4, 8, 8, 3), np.uint8)
    assert image_shape("x", pixels, 3) == image_shape("x", pixels.transpose(0, 3, 1, 2), 3) == (3, 8, 8)
    assert image_shape("x", np.zeros((4, 3, 8, 3), np.uint8), 3) == (3, 3, 8)
    assert image_shape("x", np.zeros((4, 3, 8, 3), np.float32), 3) == (3, 8, 3)
    assert channels_last("x", np.zeros((4, 7, 9), np.uint8), (1, 7, 9)).shape == (4, 7, 9, 1)
    assert channels_last("x", np.zeros((4, 20), np.float32), (20,)).shape == (4, 1, 1, 20)
    with pytest.raises(HwsimError, match="expected 5 channels first or last"):
        image_shape("x", pixels, 5)
    for arrays, says in (({"images": pixels, "labels": [0, 1]}, "labels are int64 of shape"),
                         ({"pixels": pixels}, "found arrays pixels"),
                         ({"images": pixels.astype(np.int64) + 256}, "from 256 to 256"),
                         ({"images": np.full((2, 4), np.nan)}, "NaN or infinity"), ({"inputs": np.zeros(4)}, "float64 of shape")):
        np.savez(tmp_path / "own.npz", **arrays)
        with pytest.raises(HwsimError, match=says):
            read_npz(tmp_path / "own.npz")
    np.savez(tmp_path / "own.npz", inputs=pixels, labels=[0, 1, 2, 3])
    assert read_npz(tmp_path / "own.npz").labels.tolist() == [0, 1, 2, 3]


def test_what_is_asked_for_must_make_sense() -> None:
    model, given = made(Plain, 0), images(0)
    for asked, says in (({"levels": 12}, "levels is 12, expected one of 2, 4, 8"), ({"mean": [1.0]}, "expected 3 numbers"),
                        ({"std": [1.0, 0.0, 1.0]}, "above zero"), ({"rate_timesteps": 65}, "timesteps is 65"),
                        ({"test": (given.astype(np.uint8), None)}, "images are floats and the others bytes|bytes, or the other")):
        with pytest.raises(HwsimError, match=says):
            quantise(model, given, **asked)
    model.features[3].weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(CaptureError, match=r"parameter 'features.3.weight': found NaN"):
        quantise(model, given)


def test_what_torch_logs_of_an_error_that_is_told_is_not_printed_too(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("torch._subclasses.fake_tensor")
    with _quiet():
        log.error("a traceback")
    assert not caplog.records
    assert not log.disabled
