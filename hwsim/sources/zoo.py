"""The networks by name, and what can be chosen of each: shortcuts, BatchNorm, biases, dropout, pooling, width.

For 32 x 32 images: VGG-6, 9, 11 and 16, ResNet-18 and -34 (He et al. 2016, stem of one 3x3 convolution), ResNet-20 (the same
paper, section 4.2), the other ResNet-20 (Rathi et al. 2020, which paper 001 goes on from) and MobileNetV2 (Sandler et al. 2018,
with strides for 32 x 32); `small` for 28 x 28, `tiny` for 28 x 28 and for tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from torch import nn

from hwsim.snn.network import INPUT, Shape
from hwsim.sources.networks import ConnectionSpec, LayerSpec, MakeActivation, SourceError, SourceNetwork, SourcePool

SHORTCUTS = ("pad", "projection")
POOLS = ("average", "max")
WINDOW = 2
"""Side of the windows that `pool` speaks of. Larger ones average the whole map before a ResNet's read-out, whatever it says."""


@dataclass(frozen=True)
class Variant:
    """What is chosen of a network.

    shortcut   ResNets, where the shape changes: `projection`, a 1x1 convolution (option B of He et al.), or `pad`, an identity
               with stride, its channels centred among zeros (option A). None: pad for resnet20, projection for the others.
    norm       BatchNorm after each convolution.
    bias       a bias where there is no BatchNorm; False: nowhere, which papers 001 and 004 have, without BatchNorm then.
    dropout    of every hidden layer that one connection reads, without pooling: not before a pooling, and not on the way of
               a shortcut (as in the public code of Rathi et al.).
    pool       what 2 x 2 windows give: `average`, or `max`, which only rate and single-spike codes have (hwsim.sources.networks).
    width      factor of the channels of every layer but the read-out.
    weight_bits   bits of the integers that weights are rounded to in training (hwsim.sources.rounding); BatchNorms are then
               folded into the weights, and thresholds stay as they are. None: weights are real.
    """

    shortcut: str | None = None
    norm: bool = True
    bias: bool = True
    dropout: float = 0.0
    pool: SourcePool = "average"
    width: float = 1.0
    weight_bits: int | None = None

    def __post_init__(self) -> None:
        for name, choices in (("shortcut", (None, *SHORTCUTS)), ("pool", POOLS)):
            if getattr(self, name) not in choices:
                listed = " or ".join(choice for choice in choices if choice)
                raise SourceError(f"{name} = {getattr(self, name)!r}: expected {listed}")
        if not 0 <= self.dropout < 1:
            raise SourceError(f"dropout = {self.dropout}: expected a probability, 0 to below 1")
        if not 0 < self.width <= 16:
            raise SourceError(f"width = {self.width}: expected a factor above 0, of 16 at most")
        if self.weight_bits is not None and not 2 <= self.weight_bits <= 16:
            raise SourceError(f"weight_bits = {self.weight_bits}: expected 2 to 16, or none for weights that are not rounded")
        if self.norm and not self.bias:
            raise SourceError("a network with BatchNorm and without biases: a BatchNorm is a bias; leave it out too (--no-norm)")


USUAL = Variant()


def _conv(source: str, kernel: int = 3, stride: int = 1, pool: int = 1, groups: int = 1) -> ConnectionSpec:
    return ConnectionSpec(source, "conv2d", kernel, stride, kernel // 2, groups, pool)


def _read_out(source: str, classes: int, pool: int) -> LayerSpec:
    return LayerSpec("out", classes, (ConnectionSpec(source, "linear", pool=pool, norm=False),), activation=False)


# By block the channels of its 3x3 convolutions. Each block is pooled by 2 x 2, but for vgg9's last.
# VGG-11 and -16: Simonyan, Zisserman 2015, A and D. VGG-6 and -9: the public code of Rathi et al. 2020,
# where the convolutions of the first are called VGG5.
_VGGS: dict[str, tuple[tuple[int, ...], ...]] = {
    "vgg6": ((64,), (128, 128)),
    "vgg9": ((64,), (128, 256), (256, 512), (512,), (512,)),
    "vgg11": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "vgg16": ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
}


def _vgg(name: str, classes: int, head: int | None) -> list[LayerSpec]:
    """Convolutions in blocks, the pooling after a block read by what follows; `head`: width of two hidden linear layers without
    BatchNorm, or none. VGG-6, 11 and 16 are called so for their layers with weights, these two and the read-out among them.

    VGG-16: 313.2 M MACs, 14.7 M weights; with 4096: 332.1 M, 33.6 M.
    """
    layers: list[LayerSpec] = []
    source, pool = INPUT, 1
    for block, channels in enumerate(_VGGS[name], 1):
        for k, width in enumerate(channels, 1):
            layers.append(LayerSpec(f"conv{block}_{k}", width, (_conv(source, pool=pool),)))
            source, pool = layers[-1].name, 1
        pool = 1 if (name, block) == ("vgg9", 5) else WINDOW
    for k in (1, 2) if head else ():
        layers.append(LayerSpec(f"fc{k}", head or 0, (ConnectionSpec(source, "linear", pool=pool, norm=False),)))
        source, pool = layers[-1].name, 1
    return [*layers, _read_out(source, classes, pool)]


def _residual(stem: int, depths: Sequence[int], widths: Sequence[int], projection: bool, first_pool: int = 1
              ) -> tuple[list[LayerSpec], int]:
    """A stem of 3x3 convolutions and basic blocks of two, and the side of the last map. The shortcut of a block is added before
    its second activation, so it is one more connection of that layer. first_pool: of the stem's output."""
    names = ["conv1"] if stem == 1 else [f"conv1_{k}" for k in range(1, stem + 1)]
    layers = [LayerSpec(name, widths[0], (_conv(before),)) for before, name in zip([INPUT, *names], names, strict=False)]
    pool = first_pool
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True), 1):
        for block in range(1, depth + 1):
            before, first = layers[-1], f"block{stage}_{block}a"
            stride = 2 if stage > 1 and block == 1 else 1
            shortcut = ConnectionSpec(before.name, "identity", stride=stride, pool=pool, norm=False,
                                      channel_offset=(width - before.channels) // 2)
            if projection and before.channels != width:
                shortcut = _conv(before.name, kernel=1, stride=stride, pool=pool)
            layers.append(LayerSpec(first, width, (_conv(before.name, stride=stride, pool=pool),)))
            layers.append(LayerSpec(f"block{stage}_{block}b", width, (_conv(first), shortcut)))
            pool = 1
    return layers, 32 // first_pool // 2 ** (len(depths) - 1)


def _averaged(graph: tuple[list[LayerSpec], int], classes: int) -> list[LayerSpec]:
    """A ResNet whose read-out sees the average of the last map."""
    layers, size = graph
    return [*layers, _read_out(layers[-1].name, classes, pool=size)]


def resnet18(classes: int, projection: bool) -> list[LayerSpec]:
    """He et al. 2016, two blocks a stage, 3x3 stem for 32 x 32 images: 555.4 M MACs."""
    return _averaged(_residual(1, (2, 2, 2, 2), (64, 128, 256, 512), projection), classes)


def resnet34(classes: int, projection: bool) -> list[LayerSpec]:
    """He et al. 2016, 3, 4, 6 and 3 blocks, 3x3 stem for 32 x 32 images."""
    return _averaged(_residual(1, (3, 4, 6, 3), (64, 128, 256, 512), projection), classes)


def resnet20(classes: int, projection: bool) -> list[LayerSpec]:
    """He et al. 2016, section 4.2 with n = 3: 16, 32 and 64 channels: 40.55 M MACs, 0.27 M weights, with projections 40.81 M."""
    return _averaged(_residual(1, (3, 3, 3), (16, 32, 64), projection), classes)


def resnet20_wide(classes: int, projection: bool) -> list[LayerSpec]:
    """The ResNet-20 of Rathi et al. 2020: a stem of three 3x3 convolutions of 64 channels, pooled by 2 x 2, two blocks a stage of
    64 to 512 channels; the read-out sees the last map of 2 x 2 whole."""
    layers, _ = _residual(3, (2, 2, 2, 2), (64, 128, 256, 512), projection, first_pool=WINDOW)
    return [*layers, _read_out(layers[-1].name, classes, pool=1)]


# t, c, n, s of Sandler et al. 2018, Table 2; the strides of the stem and of the second row are 1, for 32 x 32 images.
_INVERTED = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenetv2(classes: int) -> list[LayerSpec]:
    """Sandler et al. 2018 for 32 x 32 images. One change: the published bottlenecks are linear, here the output of
    every block passes an activation too, because neurons can only send what they fire."""
    layers = [LayerSpec("conv1", 32, (_conv(INPUT),))]
    for stage, (expand, channels, repeats, first_stride) in enumerate(_INVERTED, 1):
        for block in range(1, repeats + 1):
            before, name = layers[-1], f"block{stage}_{block}"
            stride = first_stride if block == 1 else 1
            hidden = before.channels * expand
            if expand != 1:
                layers.append(LayerSpec(f"{name}_expand", hidden, (_conv(before.name, kernel=1),)))
            depthwise = _conv(layers[-1].name, stride=stride, groups=-1)
            layers.append(LayerSpec(f"{name}_depthwise", hidden, (depthwise,)))
            wires = [_conv(layers[-1].name, kernel=1)]
            if stride == 1 and before.channels == channels:
                wires.append(ConnectionSpec(before.name, "identity", norm=False))
            layers.append(LayerSpec(f"{name}_project", channels, tuple(wires)))
    layers.append(LayerSpec("conv2", 1280, (_conv(layers[-1].name, kernel=1),)))
    return [*layers, _read_out("conv2", classes, pool=4)]


def tiny(classes: int) -> list[LayerSpec]:
    """A LeNet-sized network with a bit of everything: convolutions, a join with stride, pooling, two linear layers.
    For 28 x 28 grey images, and any other even size from 8 on."""
    return [
        LayerSpec("conv1", 8, (_conv(INPUT),)),
        LayerSpec("conv2", 16, (_conv("conv1", pool=2),)),
        LayerSpec("conv3", 16, (_conv("conv2", stride=2), ConnectionSpec("conv2", "identity", stride=2, norm=False))),
        LayerSpec("fc1", 32, (ConnectionSpec("conv3", "linear", pool=2, norm=False),)),
        LayerSpec("out", classes, (ConnectionSpec("fc1", "linear", norm=False),), activation=False),
    ]


def small(classes: int) -> list[LayerSpec]:
    """Five convolutions of 16 to 64 channels with a residual block, for 28 x 28 grey images: 5.53 M MACs, 42,256 weights. The
    network of the shipped Fashion-MNIST traces."""
    return [
        LayerSpec("conv1", 16, (_conv(INPUT),)),
        LayerSpec("conv2", 32, (_conv("conv1", stride=2),)),
        LayerSpec("conv3", 32, (_conv("conv2"),)),
        LayerSpec("conv4", 32, (_conv("conv3"), ConnectionSpec("conv2", "identity", norm=False))),
        LayerSpec("conv5", 64, (_conv("conv4", stride=2),)),
        replace(_read_out("conv5", classes, pool=7), name="fc"),
    ]


_RESNETS: dict[str, Callable[[int, bool], list[LayerSpec]]] = {
    "resnet18": resnet18, "resnet20": resnet20, "resnet34": resnet34, "resnet20_wide": resnet20_wide,
}
_OTHERS: dict[str, Callable[[int], list[LayerSpec]]] = {"mobilenetv2": mobilenetv2, "small": small, "tiny": tiny}
NETWORKS = (*_VGGS, *_RESNETS, *_OTHERS)
_SIDES = {name: {"small": 28, "tiny": None}.get(name, 32) for name in NETWORKS}
"""Of the images that a network takes; None: of several sizes."""


def build_network(name: str, make_activation: MakeActivation, classes: int = 10, input_shape: Shape = (3, 32, 32),
                  head: int | None = None, variant: Variant = USUAL) -> SourceNetwork:
    """A fresh source network by name, weights from torch's generator.

    make_activation   called once a layer; hwsim.sources.activations.ActivationSpec.make is one.
    head              VGGs only: width of the two hidden linear layers.
    Raises SourceError for an unknown name, a head or shortcut where there is none, or images of another size than it pools.
    """
    check_network(name, head, variant)
    side = _SIDES[name]
    if side is not None and input_shape[1:] != (side, side):
        raise SourceError(f"network {name} is for images of {side} x {side}, these are {input_shape[1]} x {input_shape[2]}; "
                          f"use tiny or pad the images")
    if name in _VGGS:
        layers = _vgg(name, classes, head)
    elif name in _RESNETS:
        layers = _RESNETS[name](classes, shortcut_of(name, variant) == "projection")
    else:
        layers = _OTHERS[name](classes)
    network = SourceNetwork(name, input_shape, _varied(layers, variant), make_activation, {"head": head, "classes": classes})
    _initialise(network.modules())
    if variant.weight_bits is not None:
        for activation in network.activations().values():
            activation.requires_grad_(False)
    return network


def check_network(name: str, head: int | None = None, variant: Variant = USUAL) -> None:
    """Raises SourceError for a name that is not known, or a head or shortcut where there is none; builds nothing."""
    if name not in NETWORKS:
        raise SourceError(f"network {name!r} is not known; choose from {', '.join(NETWORKS)}")
    if head is not None and (name not in _VGGS or head < 1):
        raise SourceError(f"network {name} with head={head}: only {', '.join(_VGGS)} take a head, of 1 neuron or more")
    if variant.shortcut is not None and name not in _RESNETS:
        raise SourceError(f"network {name} with shortcut={variant.shortcut}: only {', '.join(_RESNETS)} have shortcuts that "
                          f"change the shape")


def shortcut_of(name: str, variant: Variant) -> str | None:
    """The shortcuts that a network gets, None where it has none that change the shape."""
    if name not in _RESNETS:
        return None
    return variant.shortcut or ("pad" if name == "resnet20" else "projection")


def _varied(layers: Sequence[LayerSpec], variant: Variant) -> list[LayerSpec]:
    """The layers with all that is chosen but the shortcuts."""
    now = {spec.name: max(1, round(spec.channels * variant.width)) if spec.activation else spec.channels for spec in layers}
    readers = Counter(c.source for spec in layers for c in spec.connections)
    pooled = {c.source for spec in layers for c in spec.connections if c.pool > 1}

    def wire(c: ConnectionSpec, to: LayerSpec) -> ConnectionSpec:
        offset = (now[to.name] - now[c.source]) // 2 if c.operator == "identity" else c.channel_offset
        # A sum of rounded biases is no rounded sum, so a layer of integers has one bias.
        bias = variant.bias and (variant.weight_bits is None or c is to.connections[0])
        return replace(c, norm=c.norm and variant.norm and variant.weight_bits is None, bias=bias, channel_offset=offset,
                       pool_mode=variant.pool if c.pool == WINDOW else c.pool_mode, weight_bits=variant.weight_bits)

    return [
        replace(spec, channels=now[spec.name], connections=tuple(wire(c, spec) for c in spec.connections),
                dropout=variant.dropout if spec.activation and readers[spec.name] == 1 and spec.name not in pooled else 0.0)
        for spec in layers
    ]


def _initialise(modules: Iterable[nn.Module]) -> None:
    """He et al. 2015 for convolutions and hidden linear layers (fan-out keeps deep ResNets in range)."""
    for module in modules:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear) and module.out_features > 100:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
