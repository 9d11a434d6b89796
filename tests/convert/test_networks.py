"""Source networks: their sizes are the published ones, and the graph computes what its layers say."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hwsim.snn.network import INPUT  # noqa: E402
from hwsim.sources.activations import ActivationSpec  # noqa: E402
from hwsim.sources.networks import ConnectionSpec, Convolution, LayerSpec, SourceError, SourceNetwork, with_dropout  # noqa: E402
from hwsim.sources.zoo import NETWORKS, USUAL, Variant, build_network, shortcut_of  # noqa: E402

RELU = ActivationSpec("relu").make


def on_paper(name: str, head: int | None = None, shape: tuple[int, int, int] = (3, 32, 32), variant: Variant = USUAL
             ) -> SourceNetwork:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return build_network(name, RELU, input_shape=shape, head=head, variant=variant)


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


def test_projections_make_the_usual_count_of_resnet20_and_padding_that_of_others() -> None:
    network = on_paper("resnet20", variant=Variant(shortcut="projection"))
    assert network.macs / 1e6 == pytest.approx(40.8, abs=0.05)
    assert network.weights == 268_336 + 16 * 32 + 32 * 64
    shortcuts = [c for layer in network.layers.values() for c in layer.connections[1:] if c.operator is not None]
    assert [(c.spec.kernel, c.spec.stride, c.norm is not None) for c in shortcuts] == [(1, 2, True)] * 2
    assert on_paper("resnet18").weights - on_paper("resnet18", variant=Variant(shortcut="pad")).weights == (
        64 * 128 + 128 * 256 + 256 * 512)
    assert [shortcut_of(name, USUAL) for name in ("resnet20", "resnet18", "resnet20_wide", "vgg16")] == [
        "pad", "projection", "projection", None]


@pytest.mark.parametrize(("name", "convolutions", "pools", "last"), [
    ("vgg6", (64, 128, 128), 2, 8), ("vgg9", (64, 128, 256, 256, 512, 512, 512), 4, 2),
    ("vgg11", (64, 128, 256, 256, 512, 512, 512, 512), 5, 1),
    ("vgg16", (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512), 5, 1),
])
def test_vggs_have_the_channels_and_poolings_of_their_papers(name: str, convolutions: tuple[int, ...], pools: int, last: int
                                                             ) -> None:
    network = on_paper(name, 4096)
    layers = list(network.layers.values())
    assert tuple(layer.shape[0] for layer in layers[:-3]) == convolutions
    assert [layer.shape[0] for layer in layers[-3:]] == [4096, 4096, 10]
    assert sum(c.spec.pool == 2 for layer in layers for c in layer.connections) == pools
    assert layers[-3].connections[0].operator.in_features == convolutions[-1] * last**2


def test_the_wide_resnet20_has_twenty_layers_with_weights() -> None:
    """Three convolutions, a pooling, eight blocks of two and a linear layer on the whole last map of 2 x 2."""
    network = on_paper("resnet20_wide")
    on_the_way = [layer.connections[0] for layer in network.layers.values()]
    assert len(on_the_way) == 20
    assert [c.spec.pool for c in on_the_way] == [1, 1, 1, 2, *[1] * 16]
    assert on_the_way[-1].operator.in_features == 512 * 2 * 2


def test_the_small_network_has_the_layers_of_the_shipped_traces_and_takes_their_images_only() -> None:
    network = on_paper("small", shape=(1, 28, 28))
    assert {name: layer.shape for name, layer in network.layers.items()} == {
        "conv1": (16, 28, 28), "conv2": (32, 14, 14), "conv3": (32, 14, 14), "conv4": (32, 14, 14), "conv5": (64, 7, 7),
        "fc": (10, 1, 1)}
    # Kernels of 9 weights at every position: 1 to 16 channels, 16 to 32, twice 32 to 32, 32 to 64; then the read-out.
    assert network.weights == 9 * (16 + 16 * 32 + 2 * 32 * 32 + 32 * 64) + 640
    assert network.macs == 9 * (16 * 28**2 + (16 * 32 + 2 * 32 * 32) * 14**2 + 32 * 64 * 7**2) + 640
    for shape in ((3, 32, 32), (1, 27, 28)):
        with pytest.raises(SourceError, match=f"small is for images of 28 x 28, these are {shape[1]} x {shape[2]}"):
            on_paper("small", shape=shape)


PLAIN = Variant(norm=False, bias=False, pool="max", dropout=0.25, width=0.5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_variant_changes_what_it_says_and_nothing_else(name: str) -> None:
    shape = (1, 28, 28) if name in ("tiny", "small") else (3, 32, 32)
    usual, plain = on_paper(name, shape=shape), on_paper(name, shape=shape, variant=PLAIN)
    assert all(key.endswith("operator.weight") for key in plain.state_dict())
    assert list(plain.layers) == list(usual.layers)
    readers = [c.spec for layer in plain.layers.values() for c in layer.connections]
    for layer_name, layer in plain.layers.items():
        assert layer.shape[0] == (usual.layers[layer_name].shape[0] / 2 if layer.activation else 10)
        assert layer.shape[1:] == usual.layers[layer_name].shape[1:]
        its = [c for c in readers if c.source == layer_name]
        assert (layer.spec.dropout > 0) == (layer.activation is not None and len(its) == 1 and its[0].pool == 1)
        for mine, before in zip(layer.connections, usual.layers[layer_name].connections, strict=True):
            assert (mine.geometry.pool_mode == "max") == (mine.spec.pool == 2)
            assert (mine.operator is None) == (before.operator is None)
    assert usual.state_dict().keys() == on_paper(name, shape=shape, variant=Variant(dropout=0.5, pool="max")).state_dict().keys()


def test_dropout_keeps_the_mean_and_leaves_the_same_out_in_every_timestep() -> None:
    torch.manual_seed(3)
    x = torch.rand(3 * 50, 8, 6, 6) + 0.5
    y = with_dropout(x, 0.25, timesteps=3)
    gone = y == 0
    assert torch.allclose(y[~gone], x[~gone] / 0.75)
    assert gone.float().mean() == pytest.approx(0.25, abs=0.02)
    assert torch.equal(*(gone.unflatten(0, (3, 50))[t] for t in (0, 2)))
    assert not torch.equal(gone[0], gone[1])


def test_dropout_is_for_training_only() -> None:
    network = build_network("tiny", RELU, input_shape=(1, 8, 8), variant=Variant(norm=False, dropout=0.5))
    image = torch.randn(4, 1, 8, 8)
    still, moving = network.eval(), [network.train()(image) for _ in range(2)]
    assert not torch.equal(*moving)
    still.eval()
    assert torch.equal(still(image), still(image))


@torch.no_grad()
def test_max_pooling_takes_the_maximum_of_what_the_connection_reads() -> None:
    network = build_network("tiny", RELU, input_shape=(1, 28, 28), variant=Variant(pool="max")).eval()
    synapses, x = network.layers["conv2"].connections[0], torch.randn(1, 8, 28, 28)
    pooled = x.reshape(1, 8, 14, 2, 14, 2).amax((3, 5))
    assert torch.allclose(synapses(x), synapses.norm(synapses.operator(pooled)), atol=1e-5)
    assert synapses.divisor == 1


@pytest.mark.parametrize(("wrong", "text"), [
    ({"shortcut": "tunnel"}, "pad or projection"), ({"pool": "median"}, "average or max"), ({"dropout": 1.0}, "0 to below 1"),
    ({"dropout": float("nan")}, "0 to below 1"), ({"width": 0.0}, "above 0"), ({"bias": False}, "--no-norm"),
])
def test_variants_that_cannot_be_are_refused(wrong: dict[str, object], text: str) -> None:
    with pytest.raises(SourceError, match=text):
        Variant(**wrong)
    with pytest.raises(SourceError, match="only resnet18"):
        build_network("vgg16", RELU, variant=Variant(shortcut="pad"))


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
    shape = (1, 28, 28) if name in ("tiny", "small") else (3, 32, 32)
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


@pytest.mark.parametrize("channels", [3, 4, 6, 8, 16])
@pytest.mark.parametrize("groups", [1, None], ids=["whole", "by_channel"])
def test_strided_projections_have_the_gradient_of_their_sum(channels: int, groups: int | None) -> None:
    """Against plain sums of products; oneDNN's kernel dies or is wrong here, where there are few channels (see Convolution)."""
    torch.manual_seed(channels)
    made = Convolution(channels, channels * 2, 1, 2, groups=groups or channels, bias=False).to(memory_format=torch.channels_last)
    x = torch.randn(12, channels, 32, 32).to(memory_format=torch.channels_last).requires_grad_()
    weights = made.weight.detach().clone().double().requires_grad_()
    twin = x.detach().double().requires_grad_()
    kept = twin[:, :, ::2, ::2].unflatten(1, (made.groups, -1))
    expected = torch.einsum("ngchw,gkc->ngkhw", kept, weights[:, :, 0, 0].unflatten(0, (made.groups, -1))).flatten(1, 2)
    seen, close = made(x), {"rtol": 1e-4, "atol": 1e-5, "check_stride": False}
    torch.testing.assert_close(seen.double(), expected, **close)
    pull = torch.randn_like(seen)
    seen.backward(pull)
    expected.backward(pull.double())
    assert made.weight.grad is not None
    assert x.grad is not None
    torch.testing.assert_close(made.weight.grad.double(), weights.grad, **close)
    torch.testing.assert_close(x.grad.double(), twin.grad, **close)


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
