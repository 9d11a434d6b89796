"""Source ANNs as data: a list of layer specifications, each a sum of connections and an activation, run by one loop.

This mirrors the integer Network of `hwsim.snn.network` layer by layer and connection by connection, so that a conversion
is a walk over the graph and needs no tracing. Shapes are (C, H, W); values are real (normalised images in, logits out).

Pooling is average pooling of k x k and belongs to the connection that reads it. A maximum cannot be taken of bit planes
(the OR of 8 and 7 is 15; docs/methods.md) and an average is linear, so it folds into threshold and bias; the
papers' bit-serial and single-spike sources pool by average for the same reason (Datta et al., Extended Data 9.1).

Networks for 32 x 32 images: VGG-16 (Simonyan, Zisserman 2015) with a 512 -> 10 or a 512 -> 4096 -> 4096 -> 10 head,
ResNet-18 and -34 (He et al. 2016, stem of one 3x3 convolution), ResNet-20 (the same paper, section 4.2, option A
shortcuts), MobileNetV2 (Sandler et al. 2018, with strides for 32 x 32), and `tiny` for 28 x 28 and for tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwsim.errors import HwsimError
from hwsim.snn.network import INPUT, Connection, Operator, Shape

MakeActivation = Callable[[], nn.Module]


class SourceError(HwsimError):
    """A source network that cannot be built as asked; the text names network or layer, found and expected."""


@dataclass(frozen=True)
class ConnectionSpec:
    """Synapses to be: where from, and the geometry, with the meaning that hwsim.snn.network.Connection gives it.

    pool        k of the k x k average pooling of the source, before the operator; incomplete windows are dropped.
    norm        a BatchNorm of its own after the operator; without one, a conv2d or linear has a bias (never identity).
    groups      conv2d only; -1 stands for depthwise, one group a channel.
    """

    source: str
    operator: Operator = "conv2d"
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
    pool: int = 1
    norm: bool = True
    channel_offset: int = 0


@dataclass(frozen=True)
class LayerSpec:
    """A group of neurons: the sum of its connections, then an activation, or none for the read-out."""

    name: str
    channels: int
    connections: tuple[ConnectionSpec, ...]
    activation: bool = True


class Synapses(nn.Module):
    """One connection with its weights: pool, operator, BatchNorm. `shape` is the target's, `source_shape` the source's."""

    def __init__(self, spec: ConnectionSpec, source_shape: Shape, channels: int) -> None:
        super().__init__()
        channels_in = source_shape[0]
        groups = channels_in if spec.groups == -1 else spec.groups
        self.spec = replace(spec, groups=groups)
        self.source_shape = source_shape
        self.geometry = Connection(spec.source, spec.operator, source_shape, None, spec.kernel, spec.stride, spec.padding,
                                   groups, spec.pool, "folded" if spec.pool > 1 else "none", spec.channel_offset)
        self.shape = self.geometry.natural_shape(channels)
        c, h, w = self.geometry.pooled_shape
        self.operator: nn.Module | None = None
        if spec.operator == "conv2d":
            self.operator = nn.Conv2d(c, channels, spec.kernel, spec.stride, spec.padding, groups=groups, bias=not spec.norm)
        elif spec.operator == "linear":
            self.operator = nn.Linear(c * h * w, channels, bias=not spec.norm)
        self.norm: nn.Module | None = None
        if spec.norm and spec.operator != "identity":
            self.norm = nn.BatchNorm2d(channels)
        self.after = channels - channels_in - spec.channel_offset

    def forward(self, x: Tensor) -> Tensor:
        """Currents (N, C, H, W) that values x (N, C, H, W) of the source put into the layer."""
        x = self.weighed(x)
        return x if self.norm is None else self.norm(x)

    def weighed(self, x: Tensor) -> Tensor:
        """The currents before BatchNorm."""
        spec = self.spec
        if spec.pool > 1:
            x = functional.avg_pool2d(x, min(spec.pool, *x.shape[2:]))  # smaller only in a training on shrunk images
        if spec.operator == "identity":
            x = x[:, :, ::spec.stride, ::spec.stride] if spec.stride > 1 else x
            return functional.pad(x, [0, 0, 0, 0, spec.channel_offset, self.after]) if self.after or spec.channel_offset else x
        if spec.operator == "linear":
            x = x.flatten(1)
        assert self.operator is not None
        x = self.operator(x)
        return x[:, :, None, None] if spec.operator == "linear" else x

    @torch.no_grad()
    def folded(self) -> tuple[Tensor | None, Tensor]:
        """Weights and bias (C,) with the BatchNorm's running statistics folded in; float64 inside, float32 out.

        An identity has no weights (None), and a bias of zeros.
        """
        if self.operator is None:
            return None, torch.zeros(self.shape[0], device=next(self.parameters(), torch.empty(0)).device)
        weight, bias = self.operator.weight.double(), self.operator.bias
        bias = torch.zeros_like(weight[:, 0].flatten(1)[:, 0]) if bias is None else bias.double()
        if self.norm is not None:
            gain = self.norm.weight.double() / (self.norm.running_var.double() + self.norm.eps).sqrt()
            weight = weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
            bias = (bias - self.norm.running_mean.double()) * gain + self.norm.bias.double()
        return weight.float(), bias.float()

    @property
    def macs(self) -> int:
        """Multiply-accumulates a sample, padding included (as the papers count them); identities count none."""
        c, h, w = self.shape
        pooled = self.geometry.pooled_shape
        if self.spec.operator == "identity":
            return 0
        if self.spec.operator == "linear":
            return c * pooled[0] * pooled[1] * pooled[2]
        return c * h * w * self.spec.kernel**2 * pooled[0] // self.spec.groups


class Neurons(nn.Module):
    """One layer: its connections, summed, and its activation. `shape` is (C, H, W)."""

    def __init__(self, spec: LayerSpec, shapes: dict[str, Shape], make_activation: MakeActivation) -> None:
        super().__init__()
        self.spec = spec
        self.connections = nn.ModuleList(Synapses(c, shapes[c.source], spec.channels) for c in spec.connections)
        found = [(c.spec.source, c.shape) for c in self.connections]
        if len({shape for _, shape in found}) != 1:
            listed = ", ".join(f"{shape} from {source}" for source, shape in found)
            raise SourceError(f"layer {spec.name}: its connections give different shapes, {listed}; they are summed, so "
                              f"one shape was expected")
        self.shape: Shape = self.connections[0].shape
        self.activation = make_activation() if spec.activation else None

    def current(self, outputs: dict[str, Tensor]) -> Tensor:
        """The sum of all connections, what the activation sees."""
        total = self.connections[0](outputs[self.connections[0].spec.source])
        for synapses in self.connections[1:]:
            total = total + synapses(outputs[synapses.spec.source])
        return total

    def forward(self, outputs: dict[str, Tensor]) -> Tensor:
        current = self.current(outputs)
        return current if self.activation is None else self.activation(current)


class SourceNetwork(nn.Module):
    """The trained ANN that a conversion starts from: layers in order, each reading the input or earlier layers.

    name             its name in NETWORKS; `options` what it was built with besides the activation.
    input_shape      (C, H, W) of an image.
    timesteps        above 1 when neurons take the place of activations: every image then runs so many times in a batch, the
                     timesteps one after the other (hwsim.convert.surrogate).
    """

    timesteps = 1

    def __init__(self, name: str, input_shape: Shape, layers: Sequence[LayerSpec], make_activation: MakeActivation,
                 options: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.name, self.input_shape, self.options = name, input_shape, options or {}
        shapes: dict[str, Shape] = {INPUT: input_shape}
        self.layers = nn.ModuleDict()
        for spec in layers:
            _check_layer(spec, shapes)
            layer = Neurons(spec, shapes, make_activation)
            self.layers[spec.name] = layer
            shapes[spec.name] = layer.shape
        self._last_use = _last_uses(layers)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of normalised images (N, C, H, W); their mean over the timesteps."""
        outputs = {INPUT: self._inputs(images)}
        for name, layer in self.layers.items():
            outputs[name] = layer(outputs)
            for done in self._last_use[name]:
                del outputs[done]
        logits = outputs[name].flatten(1)
        return logits.unflatten(0, (self.timesteps, -1)).mean(0) if self.timesteps > 1 else logits

    def _inputs(self, images: Tensor) -> Tensor:
        """The images of all timesteps."""
        return images.repeat(self.timesteps, 1, 1, 1) if self.timesteps > 1 else images

    def loss(self, images: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Cross entropy, mean over the batch."""
        return functional.cross_entropy(self(images).float(), labels, label_smoothing=label_smoothing)

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """The output of every layer by name, the logits last: what conversions are compared with, neuron by neuron."""
        outputs = {INPUT: self._inputs(images)}
        for name, layer in self.layers.items():
            outputs[name] = layer(outputs)
        return outputs

    def currents(self, images: Tensor) -> dict[str, Tensor]:
        """What every layer's activation sees, by name: calibration starts from it."""
        outputs, currents = {INPUT: self._inputs(images)}, {}
        for name, layer in self.layers.items():
            currents[name] = layer.current(outputs)
            outputs[name] = currents[name] if layer.activation is None else layer.activation(currents[name])
        return currents

    def activations(self) -> dict[str, nn.Module]:
        """The activation of every layer that has one."""
        return {name: layer.activation for name, layer in self.layers.items() if layer.activation is not None}

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return sum(synapses.macs for layer in self.layers.values() for synapses in layer.connections)

    @property
    def weights(self) -> int:
        """Synaptic weights, without biases, BatchNorms and thresholds."""
        return sum(synapses.operator.weight.numel() for layer in self.layers.values() for synapses in layer.connections
                   if synapses.operator is not None)


def _check_layer(spec: LayerSpec, shapes: dict[str, Shape]) -> None:
    """A readable error for a graph that cannot be built."""
    if spec.name in shapes or "." in spec.name or not spec.name:
        raise SourceError(f"layer {spec.name!r}: its name is taken, empty or has a dot; give each layer a name of its own")
    if not spec.connections:
        raise SourceError(f"layer {spec.name}: has no connection; a layer reads the input or an earlier layer")
    for c in spec.connections:
        if c.source not in shapes:
            raise SourceError(f"layer {spec.name}: reads {c.source!r}, which is not an earlier layer ({', '.join(shapes)})")
        room = spec.channels - shapes[c.source][0] - c.channel_offset
        if c.operator == "identity" and (c.channel_offset < 0 or room < 0):
            raise SourceError(f"layer {spec.name}: identity from {c.source} needs {shapes[c.source][0]} channels from "
                              f"{c.channel_offset} on, the layer has {spec.channels}")


def _last_uses(layers: Sequence[LayerSpec]) -> dict[str, list[str]]:
    """Which outputs nobody reads any more after each layer, so that evaluation holds few of them."""
    last: dict[str, str] = {}
    for spec in layers:
        for c in spec.connections:
            last[c.source] = spec.name
    return {spec.name: [source for source, user in last.items() if user == spec.name] for spec in layers}


# -- the networks -------------------------------------------------------------------------------------------------


def _conv(source: str, kernel: int = 3, stride: int = 1, pool: int = 1, groups: int = 1) -> ConnectionSpec:
    return ConnectionSpec(source, "conv2d", kernel, stride, kernel // 2, groups, pool)


def _read_out(source: str, classes: int, pool: int) -> LayerSpec:
    return LayerSpec("out", classes, (ConnectionSpec(source, "linear", pool=pool, norm=False),), activation=False)


def vgg16(classes: int, head: int | None = None) -> list[LayerSpec]:
    """13 convolutions in five blocks; each 2 x 2 average pooling is read by what follows. `head`: width of two hidden
    linear layers without BatchNorm, or none (313.2 M MACs, 14.7 M weights; with 4096: 332.1 M, 33.6 M)."""
    layers: list[LayerSpec] = []
    source, pool = INPUT, 1
    for block, (channels, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 1):
        for k in range(1, depth + 1):
            layers.append(LayerSpec(f"conv{block}_{k}", channels, (_conv(source, pool=pool),)))
            source, pool = layers[-1].name, 1
        pool = 2
    for k in (1, 2) if head else ():
        layers.append(LayerSpec(f"fc{k}", head or 0, (ConnectionSpec(source, "linear", pool=pool, norm=False),)))
        source, pool = layers[-1].name, 1
    return [*layers, _read_out(source, classes, pool)]


def _residual(depths: Sequence[int], widths: Sequence[int], classes: int, projection: bool) -> list[LayerSpec]:
    """Basic blocks of two 3x3 convolutions. `projection`: a 1x1 convolution where the shape changes (option B), else
    the shortcut is an identity with stride, its channels centred among zeros (option A). One shortcut is added
    before the second activation, so it is one more connection of that layer."""
    layers = [LayerSpec("conv1", widths[0], (_conv(INPUT),))]
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True), 1):
        for block in range(1, depth + 1):
            before, first = layers[-1], f"block{stage}_{block}a"
            stride = 2 if stage > 1 and block == 1 else 1
            shortcut = ConnectionSpec(before.name, "identity", stride=stride, norm=False,
                                      channel_offset=(width - before.channels) // 2)
            if projection and before.channels != width:
                shortcut = _conv(before.name, kernel=1, stride=stride)
            layers.append(LayerSpec(first, width, (_conv(before.name, stride=stride),)))
            layers.append(LayerSpec(f"block{stage}_{block}b", width, (_conv(first), shortcut)))
    size = 32 // 2 ** (len(depths) - 1)
    return [*layers, _read_out(layers[-1].name, classes, pool=size)]


def resnet18(classes: int) -> list[LayerSpec]:
    """He et al. 2016, two blocks a stage, option B shortcuts, 3x3 stem for 32 x 32 images: 555.4 M MACs."""
    return _residual((2, 2, 2, 2), (64, 128, 256, 512), classes, projection=True)


def resnet34(classes: int) -> list[LayerSpec]:
    """He et al. 2016, 3, 4, 6 and 3 blocks, option B shortcuts, 3x3 stem for 32 x 32 images."""
    return _residual((3, 4, 6, 3), (64, 128, 256, 512), classes, projection=True)


def resnet20(classes: int) -> list[LayerSpec]:
    """He et al. 2016, section 4.2 with n = 3: 16, 32 and 64 channels, option A shortcuts: 40.55 M MACs, 0.27 M weights
    (the 40.8 M of other counts has 1x1 convolutions on its two shortcuts that change the shape)."""
    return _residual((3, 3, 3), (16, 32, 64), classes, projection=False)


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


NETWORKS: dict[str, Callable[..., list[LayerSpec]]] = {
    "vgg16": vgg16, "resnet18": resnet18, "resnet20": resnet20, "resnet34": resnet34, "mobilenetv2": mobilenetv2,
    "tiny": tiny,
}
_NEED_32 = ("resnet18", "resnet20", "resnet34", "mobilenetv2")


def build_network(name: str, make_activation: MakeActivation, classes: int = 10, input_shape: Shape = (3, 32, 32),
                  head: int | None = None) -> SourceNetwork:
    """A fresh source network by name, weights from torch's generator.

    make_activation   called once a layer; hwsim.convert.activations.ActivationSpec.make is one.
    head              vgg16 only: width of the two hidden linear layers.
    Raises SourceError for an unknown name, a head where there is none, or images of another size than it pools.
    """
    check_network(name, head)
    if (name in _NEED_32 or name == "vgg16") and input_shape[1:] != (32, 32):
        raise SourceError(f"network {name} is for images of 32 x 32, these are {input_shape[1]} x {input_shape[2]}; "
                          f"use tiny or pad the images")
    layers = vgg16(classes, head) if name == "vgg16" else NETWORKS[name](classes)
    network = SourceNetwork(name, input_shape, layers, make_activation, {"head": head, "classes": classes})
    _initialise(network.modules())
    return network


def check_network(name: str, head: int | None = None) -> None:
    """Raises SourceError for a name that is not known, or a head where there is none; builds nothing."""
    if name not in NETWORKS:
        raise SourceError(f"network {name!r} is not known; choose from {', '.join(NETWORKS)}")
    if head is not None and (name != "vgg16" or head < 1):
        raise SourceError(f"network {name} with head={head}: only vgg16 takes a head, of 1 neuron or more")


def _initialise(modules: Iterable[nn.Module]) -> None:
    """He et al. 2015 for convolutions and hidden linear layers (fan-out keeps deep ResNets in range)."""
    for module in modules:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear) and module.out_features > 100:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


def parameters_of(network: nn.Module) -> int:
    """Trainable parameters, everything included."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def to_device_layout(network: nn.Module, device: torch.device) -> nn.Module:
    """The network on `device`, convolution weights channels last (what oneDNN and tensor cores run fastest on)."""
    return network.to(device=device).to(memory_format=torch.channels_last)
