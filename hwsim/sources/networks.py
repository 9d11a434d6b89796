"""Source ANNs as data: a list of layer specifications, each a sum of connections and an activation, run by one loop.

This mirrors the integer Network of `hwsim.snn.network` layer by layer and connection by connection, so that a conversion
is a walk over the graph and needs no tracing. Shapes are (C, H, W); values are real (normalised images in, logits out).

Pooling of k x k belongs to the connection that reads it. Usually it is an average: that is linear, so it folds into threshold
and bias, and the papers' bit-serial and single-spike sources pool so (000, Extended Data 9.1; 004, section V-A). A maximum
is what paper 001 takes: of spikes it is the OR of a window in each timestep; of bit planes it cannot be taken (the OR of 8
and 7 is 15; docs/methods.md).

The networks by name are in hwsim.sources.zoo.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from hwsim.errors import HwsimError
from hwsim.snn.network import INPUT, Connection, Operator, PoolMode, Shape
from hwsim.sources.rounding import Rounding

MakeActivation = Callable[[], nn.Module]
SourcePool = Literal["average", "max"]


class SourceError(HwsimError):
    """A source network that cannot be built as asked; the text names network or layer, found and expected."""


@dataclass(frozen=True)
class ConnectionSpec:
    """Synapses to be: where from, and the geometry, with the meaning that hwsim.snn.network.Connection gives it.

    pool        k of the k x k pooling of the source, before the operator; incomplete windows are dropped.
    pool_mode   what is taken of a window, its average or its maximum.
    norm        a BatchNorm of its own after the operator (never identity).
    bias        without a BatchNorm: whether a conv2d or linear has a bias.
    groups      conv2d only; -1 stands for depthwise, one group a channel.
    weight_bits   bits of the integers that weights are rounded to; None: they are real.
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
    pool_mode: SourcePool = "average"
    bias: bool = True
    weight_bits: int | None = None


@dataclass(frozen=True)
class LayerSpec:
    """A group of neurons: the sum of its connections, then an activation, or none for the read-out.

    dropout   probability that an output is 0 in a training step, the others then being 1 / (1 - dropout) times as large.
    """

    name: str
    channels: int
    connections: tuple[ConnectionSpec, ...]
    activation: bool = True
    dropout: float = 0.0


class Convolution(nn.Conv2d):
    """A convolution; one of 1 x 1 that strides takes its pixels first and then every one of them, which is the same sum.

    oneDNN, which PyTorch calls on processors, writes past its buffer in the gradient of a strided 1 x 1 convolution over fewer
    channels than a vector holds, images' channels last: the gradient is wrong, or the process dies (oneDNN issue 6035).
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.kernel_size != (1, 1) or self.stride == (1, 1) or self.padding != (0, 0):
            return super()._conv_forward(input, weight, bias)
        dense = torch.channels_last if input.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        kept = input[:, :, ::self.stride[0], ::self.stride[1]].contiguous(memory_format=dense)
        return functional.conv2d(kept, weight, bias, groups=self.groups)


class Synapses(nn.Module):
    """One connection with its weights: pool, operator, BatchNorm. `shape` is the target's, `source_shape` the source's."""

    def __init__(self, spec: ConnectionSpec, source_shape: Shape, channels: int) -> None:
        super().__init__()
        channels_in = source_shape[0]
        groups = channels_in if spec.groups == -1 else spec.groups
        self.spec = replace(spec, groups=groups)
        self.source_shape = source_shape
        pool_mode: PoolMode = "none" if spec.pool == 1 else "max" if spec.pool_mode == "max" else "folded"
        self.geometry = Connection(spec.source, spec.operator, source_shape, None, spec.kernel, spec.stride, spec.padding,
                                   groups, spec.pool, pool_mode, spec.channel_offset)
        self.shape = self.geometry.natural_shape(channels)
        c, h, w = self.geometry.pooled_shape
        self.biased = spec.bias and not spec.norm
        self.operator: nn.Module | None = None
        if spec.operator == "conv2d":
            self.operator = Convolution(c, channels, spec.kernel, spec.stride, spec.padding, groups=groups, bias=self.biased)
        elif spec.operator == "linear":
            self.operator = nn.Linear(c * h * w, channels, bias=self.biased)
        self.norm: nn.Module | None = None
        if spec.norm and spec.operator != "identity":
            self.norm = nn.BatchNorm2d(channels)
        self.rounding = None if spec.weight_bits is None else Rounding(spec.weight_bits)
        self.after = channels - channels_in - spec.channel_offset

    def forward(self, x: Tensor) -> Tensor:
        """Currents (N, C, H, W) that values x (N, C, H, W) of the source put into the layer."""
        x = self.weighed(x)
        return x if self.norm is None else self.norm(x)

    def weighed(self, x: Tensor) -> Tensor:
        """The currents before BatchNorm."""
        spec = self.spec
        if spec.pool > 1:
            pooled = functional.max_pool2d if spec.pool_mode == "max" else functional.avg_pool2d
            x = pooled(x, min(spec.pool, *x.shape[2:]))  # smaller only in a training on shrunk images
        if spec.operator == "identity":
            x = x[:, :, ::spec.stride, ::spec.stride] if spec.stride > 1 else x
            x = x if self.rounding is None else x * self.rounding.weights(torch.ones_like(self.rounding.weight_step))
            return functional.pad(x, [0, 0, 0, 0, spec.channel_offset, self.after]) if self.after or spec.channel_offset else x
        if spec.operator == "linear":
            x = x.flatten(1)
        assert self.operator is not None
        x = self.operator(x) if self.rounding is None else functional_call(self.operator, self._rounded(self.rounding), (x,))
        return x[:, :, None, None] if spec.operator == "linear" else x

    def _rounded(self, rounding: Rounding) -> dict[str, Tensor]:
        """The operator's parameters as the integers that they stand for."""
        assert self.operator is not None
        found = {"weight": rounding.weights(self.operator.weight)}
        return found | {"bias": rounding.biases(self.operator.bias)} if self.biased else found

    @torch.no_grad()
    def folded(self) -> tuple[Tensor | None, Tensor]:
        """Weights and bias (C,) with the BatchNorm's running statistics folded in; float64 inside, float32 out.

        An identity has no weights (None), and a bias of zeros.
        """
        if self.operator is None:
            return None, torch.zeros(self.shape[0])
        weight, bias = self.operator.weight.double(), self.operator.bias
        bias = weight.new_zeros(len(weight)) if bias is None else bias.double()
        if self.norm is not None:
            gain = self.norm.weight.double() / (self.norm.running_var.double() + self.norm.eps).sqrt()
            weight = weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
            bias = (bias - self.norm.running_mean.double()) * gain + self.norm.bias.double()
        return weight.float(), bias.float()

    @property
    def divisor(self) -> int:
        """What an integer network's weights, which act on sums of windows, are divided by for a window's average or maximum."""
        return self.spec.pool**2 if self.spec.pool_mode == "average" else 1

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
        rounding = self.connections[0].rounding
        if rounding is not None and self.activation is not None:
            # A sum of integers on the border of two levels rounds up, and floats may fall short of it by a little. A quarter of
            # a one in it, the sum over pooling windows, decides that and nothing else.
            total = total + rounding.unit / (4 * min(synapses.divisor for synapses in self.connections))
        return total

    def folded_bias(self) -> Tensor:
        """The bias (C,) of the layer: those of its connections, BatchNorms folded, summed. Identities have none."""
        biases = [synapses.folded()[1] for synapses in self.connections if synapses.operator is not None]
        return torch.stack(biases).sum(0) if biases else torch.zeros(self.shape[0])

    def forward(self, outputs: dict[str, Tensor]) -> Tensor:
        return self.activated(self.current(outputs))

    def activated(self, current: Tensor) -> Tensor:
        """What the layer makes of its current: the activation, in training with dropout."""
        if self.activation is None:
            return current
        y = self.activation(current)
        if not (self.training and self.spec.dropout):
            return y
        return with_dropout(y, self.spec.dropout, getattr(self.activation, "timesteps", 1))


def with_dropout(x: Tensor, probability: float, timesteps: int = 1) -> Tensor:
    """Dropout of x (timesteps * N, ...), the timesteps one after the other: what is left out of a sample is so in all of them."""
    keep = torch.empty_like(x[: len(x) // timesteps]).bernoulli_(1 - probability).div_(1 - probability)
    return x * (keep if timesteps == 1 else keep.repeat(timesteps, *[1] * (x.ndim - 1)))


class SourceNetwork(nn.Module):
    """The trained ANN that a conversion starts from: layers in order, each reading the input or earlier layers.

    name             its name in NETWORKS; `options` what it was built with besides the activation.
    input_shape      (C, H, W) of an image.
    timesteps        above 1 when neurons take the place of activations: every image then runs so many times in a batch, the
                     timesteps one after the other (hwsim.sources.surrogate).
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
            outputs[name] = layer.activated(currents[name])
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
