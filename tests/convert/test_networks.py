"""Source networks: their sizes are the published ones, and the graph computes what its layers say."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hwsim.convert.activations import ActivationSpec  # noqa: E402
from hwsim.convert.networks import ConnectionSpec, LayerSpec, SourceError, SourceNetwork  # noqa: E402
from hwsim.convert.zoo import NETWORKS, build_network  # noqa: E402
from hwsim.snn.network import INPUT  # noqa: E402

RELU = ActivationSpec("relu").make


def on_paper(name: str, head: int | None = None, shape: tuple[int, int, int] = (3, 32, 32)) -> SourceNetwork:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return build_network(name, RELU, input_shape=shape, head=head)


@pytest.mark.parametrize(("name", "head", "macs", "weights"), [
    ("vgg16", None, 313.2, 14.7), ("vgg16", 4096, 332.1, 33.6), ("resnet18", None, 555.4, 11.2), ("resnet34", None, 1159.4, 21.3),
])
def test_sizes_are_the_published_ones(name: str, head: int | None, macs: float, weights: float) -> None:
    network = on_paper(name, head)
    assert network.macs / 1e6 == pytest.approx(macs, abs=0.06)
    assert network.weights / 1e6 == pytest.approx(weights, rel=0.015)


def test_resnet20_is_the_published_one_but_for_two_projections() -> None:
    """The usual 40.8 M count 1x1 convolutions where the shape changes; option A has identities there, 0.27 M weights."""
    network = on_paper("resnet20")
    projections = 16 * 32 * 16 * 16 + 32 * 64 * 8 * 8
    assert (network.macs + projections) / 1e6 == pytest.approx(40.8, abs=0.05)
    assert network.weights == 268_336
    assert network.macs == 40_551_040


def test_mobilenetv2_is_the_table_of_its_paper() -> None:
    """Recounted from Sandler et al. 2018, Table 2, with strides 1 in the stem and the second row."""
    rows = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    size, channels, macs, weights = 32, 32, 32 * 32 * 27 * 32, 27 * 32
    for t, c, n, s in rows:
        for stride in (s, *[1] * (n - 1)):
            hidden, after = t * channels, size // stride
            expand = channels * hidden if t != 1 else 0
            macs += size**2 * expand + after**2 * hidden * (9 + c)
            weights += expand + hidden * (9 + c)
            size, channels = after, c
    macs, weights = macs + size**2 * 320 * 1280 + 12800, weights + 320 * 1280 + 12800
    network = on_paper("mobilenetv2")
    assert (network.macs, network.weights) == (macs, weights)


def test_vgg16_layer_by_layer() -> None:
    network = on_paper("vgg16", 4096)
    macs = [sum(c.macs for c in layer.connections) / 1e6 for layer in network.layers.values()]
    assert macs == pytest.approx([1.769, 37.749, 18.874, 37.749, 18.874, 37.749, 37.749, 18.874, 37.749, 37.749, 9.437, 9.437,
                                  9.437, 2.097, 16.777, 0.041], abs=5e-4)
    assert sum(int(np.prod(layer.shape)) for layer in network.layers.values()) == 284_682


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_builds_and_gives_logits(name: str) -> None:
    shape = (1, 28, 28) if name == "tiny" else (3, 32, 32)
    network = on_paper(name, shape=shape)
    assert network(torch.empty(2, *shape, device="meta")).shape == (2, 10)


@pytest.mark.parametrize(("name", "shape"), [("tiny", (1, 28, 28)), ("tiny", (3, 8, 8)), ("resnet20", (3, 32, 32)),
                                             ("mobilenetv2", (3, 32, 32))])
@pytest.mark.parametrize("kind", ["qcfs", "lsq", "threshold_relu"])
@torch.no_grad()
def test_small_networks_run_and_every_layer_is_there(name: str, shape: tuple[int, int, int], kind: str) -> None:
    torch.manual_seed(1)
    network = build_network(name, ActivationSpec(kind).make, input_shape=shape).eval()
    image = torch.randn(1, *shape)
    logits, outputs, currents = network(image), network.outputs(image), network.currents(image)
    assert torch.isfinite(logits).all()
    assert list(outputs) == [INPUT, *network.layers]
    assert torch.equal(outputs["out"].flatten(1), logits)
    for layer_name, layer in network.layers.items():
        assert outputs[layer_name].shape[1:] == layer.shape
        expected = currents[layer_name] if layer.activation is None else layer.activation(currents[layer_name])
        assert torch.equal(outputs[layer_name], expected)


@torch.no_grad()
def test_folding_a_batch_norm_changes_nothing() -> None:
    torch.manual_seed(2)
    network = build_network("tiny", RELU, input_shape=(1, 28, 28))
    for layer in network.layers.values():
        for synapses in layer.connections:
            if synapses.norm is not None:
                synapses.norm.running_mean.normal_()
                synapses.norm.running_var.uniform_(0.2, 3)
                synapses.norm.weight.normal_()
                synapses.norm.bias.normal_()
    network.eval()
    outputs = network.outputs(torch.randn(2, 1, 28, 28))
    for layer in network.layers.values():
        for synapses in layer.connections:
            expected = synapses(outputs[synapses.spec.source])
            weight, bias = synapses.folded()
            if weight is None:
                assert not bias.any()
                continue
            synapses.norm, synapses.operator.bias = None, torch.nn.Parameter(bias)
            synapses.operator.weight.copy_(weight)
            assert torch.allclose(synapses(outputs[synapses.spec.source]), expected, atol=1e-4)


@torch.no_grad()
def test_an_option_a_shortcut_subsamples_and_centres_its_channels() -> None:
    network = build_network("resnet20", RELU)
    shortcut = network.layers["block2_1b"].connections[1]
    x = torch.randn(1, 16, 32, 32)
    y = shortcut(x)
    assert y.shape == (1, 32, 16, 16)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert not y[:, :8].any()
    assert not y[:, 24:].any()
    assert shortcut.macs == 0
    assert shortcut.folded()[0] is None


@torch.no_grad()
def test_pooling_averages_what_the_connection_reads() -> None:
    network = build_network("tiny", RELU, input_shape=(1, 28, 28)).eval()
    synapses, x = network.layers["conv2"].connections[0], torch.randn(1, 8, 28, 28)
    pooled = x.reshape(1, 8, 14, 2, 14, 2).mean((3, 5))
    assert torch.allclose(synapses(x), synapses.norm(synapses.operator(pooled)), atol=1e-5)


def test_what_cannot_be_built_is_said() -> None:
    with pytest.raises(SourceError, match="choose from vgg6"):
        build_network("alexnet", RELU)
    with pytest.raises(SourceError, match="only vgg6, vgg9, vgg11, vgg16 take a head"):
        build_network("resnet20", RELU, head=4096)
    with pytest.raises(SourceError, match="32 x 32, these are 28 x 28"):
        build_network("resnet20", RELU, input_shape=(1, 28, 28))


def convolution(source: str, **geometry: int) -> ConnectionSpec:
    return ConnectionSpec(source, "conv2d", kernel=3, padding=1, **geometry)


@pytest.mark.parametrize(("layers", "text"), [
    ([LayerSpec("a", 4, (convolution(INPUT),)), LayerSpec("a", 4, (convolution("a"),))], "name is taken"),
    ([LayerSpec("a", 4, (convolution("b"),))], "reads 'b', which is not an earlier layer"),
    ([LayerSpec("a", 4, ())], "has no connection"),
    ([LayerSpec("a", 4, (convolution(INPUT),)),
      LayerSpec("b", 4, (convolution("a", stride=2), ConnectionSpec("a", "identity", norm=False)))], "different shapes"),
    ([LayerSpec("a", 8, (convolution(INPUT),)), LayerSpec("b", 4, (ConnectionSpec("a", "identity", norm=False),))],
     "identity from a needs 8 channels"),
])
def test_a_graph_with_a_mistake_names_the_layer(layers: list[LayerSpec], text: str) -> None:
    with pytest.raises(SourceError, match=text):
        SourceNetwork("mine", (3, 8, 8), layers, RELU)


def test_two_connections_from_one_layer_must_fit_each_other() -> None:
    layers = [LayerSpec("a", 4, (convolution(INPUT),)),
              LayerSpec("b", 4, (convolution("a"), convolution("a", stride=2)))]
    with pytest.raises(SourceError, match="layer b: its connections give different shapes"):
        SourceNetwork("mine", (3, 8, 8), layers, RELU)
