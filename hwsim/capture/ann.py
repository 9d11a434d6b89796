"""An ANN that somebody else made, in hwsim's terms: layers that end in a ReLU, maxima of windows, and the read-out.

A reader of a tool's graph (`ann_torch`, `ann_onnx`) calls the methods of an `AnnBuilder` in the graph's order. The builder
follows values with the algebra of `hwsim.capture.flow`, folds each BatchNorm into what is before it, and closes a layer at each
ReLU. Numbers stay in single precision and in the order in which PyTorch's ONNX exporters fold, so that a network and its export
give the same weights to the last bit. What neurons cannot do raises UnsupportedError; the reader adds the place.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.capture import flow as fl
from hwsim.capture.errors import CaptureError, UnsupportedError, refusal
from hwsim.capture.geometry import adaptive_window, convolution, one_side, windows
from hwsim.snn.network import INPUT, Shape

Floats = NDArray[Any]
INFINITE = float("inf")
SOFTMAX = "the softmax at the end is left to the host: it changes no order"


@dataclass(frozen=True, eq=False)
class AnnLayer:
    """A sum of branches and its ReLU; the read-out has none.

    place     where it comes from, in the tool's words.
    ceiling   where the activation is clipped: 6 for a ReLU6, infinity for a ReLU; 0 for the read-out.
    half      whether it carries one sign of sums that no ReLU ends; that sign may be rare.
    """

    name: str
    place: str
    shape: Shape
    flow: fl.Flow
    ceiling: float = 0.0
    half: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the layers, or `input`, that it reads."""
        return tuple(b.source for b in self.flow.branches)


@dataclass(frozen=True, eq=False)
class Maximum:
    """The largest value of each window of one layer's outputs, which are never negative; padding counts as zeros."""

    name: str
    place: str
    source: str
    source_shape: Shape
    kernel: int
    stride: int
    padding: int

    @property
    def shape(self) -> Shape:
        c, h, w = self.source_shape
        span = lambda n: (n + 2 * self.padding - self.kernel) // self.stride + 1  # noqa: E731
        return (c, span(h), span(w))

    @property
    def sources(self) -> tuple[str, ...]:
        """The layer that it reads."""
        return (self.source,)


@dataclass(frozen=True, eq=False)
class Ann:
    """A whole ANN: layers in an order in which each only reads earlier ones, the read-out last.

    gain, shift   (C,) what the graph itself does to its input before anything else: gain * x + shift by channel.
    flat          whether the graph's input is (N,) per sample, not (C, H, W).
    notes         what was left to the host.
    """

    name: str
    input_shape: Shape
    layers: tuple[AnnLayer | Maximum, ...]
    gain: Floats
    shift: Floats
    flat: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PooledSums:
    """The maximum of windows of sums that no ReLU has seen yet. A ReLU and a maximum may change places, so it waits for one."""

    flow: fl.Flow
    kernel: int
    stride: int
    padding: int


Value = fl.Flow | PooledSums


def in_words_of_anns(error: UnsupportedError) -> UnsupportedError:
    """What `flow` says of spiking layers, said of ReLUs."""
    words = (("spiking layer", "ReLU"), ("of spikes", "of activations"), ("spikes", "activations"))
    texts = [error.found, error.expected, error.do]
    for old, new in words:
        texts = [text.replace(old, new) for text in texts]
    return UnsupportedError(*texts)


@dataclass(eq=False)
class AnnBuilder:
    """Takes operations one by one; `finish` gives the Ann. `place` is set by the reader before each operation."""

    where: str
    name: str
    input_shape: Shape
    flat: bool
    place: str = "the model"
    layers: list[AnnLayer | Maximum] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gain = np.ones(self.input_shape[0], np.float64)
        self.shift = np.zeros(self.input_shape[0], np.float64)
        self.signed: dict[int, tuple[fl.Flow, fl.Flow]] = {}  # by identity: sums that no ReLU ends, and what carries them
        self.input = fl.source_flow(INPUT, self.input_shape, self.flat)

    def refused(self, error: UnsupportedError) -> CaptureError:
        """The one error that a user sees, with the place of the operation at hand."""
        said = in_words_of_anns(error)
        return refusal(self.where, self.place, said.found, said.expected, said.do)

    # -- operations -------------------------------------------------------------------------------------------------

    def convolved(self, value: Value, holder: str, weights: Floats, bias: Floats | None, stride: Any, padding: Any,
                  dilation: Any, groups: int) -> fl.Flow:
        """A convolution with weights (C_out, C_in / groups, K_y, K_x)."""
        if weights.ndim != 4:
            raise UnsupportedError(f"a convolution in {weights.ndim - 2} dimensions", "one in two", "use Conv2d")
        kernel, step, pad = convolution(weights.shape[2:], stride, padding, dilation)
        return fl.convolved(self._sendable(value), holder, len(weights), kernel, step, pad, groups, weights,
                            None if bias is None else bias.reshape(-1, 1, 1))

    def multiplied(self, value: Value, holder: str, weights: Floats, bias: Floats | None) -> fl.Flow:
        """A linear layer with weights (out, in)."""
        added = None if bias is None else bias.reshape(-1, 1, 1)
        return fl.multiplied(self._sendable(value), holder, len(weights), weights, added)

    def normalised(self, value: Value, holder: str, mean: Floats, gain: Floats, shift: Floats, sole: bool) -> fl.Flow:
        """(x - mean) * gain + shift by channel. sole: nothing else reads x, so that of the input it is part of the encoding."""
        flow = self._flow(value)
        channels = flow.shape[0]
        if any(len(v) != channels for v in (mean, gain, shift)):
            raise UnsupportedError(f"{len(mean)} factors or summands for {channels} channels", "one per channel", "correct them")
        if flow is self.input and sole and not self.layers and gain.all():
            self.gain, self.shift = self.gain * gain, (self.shift - mean) * gain + shift
            return flow
        if len(flow.shape) == 1 and not flow.weighted and any(b.source_shape[1:] != (1, 1) for b in flow.branches):
            raise UnsupportedError("a factor per value of flattened activations", "one per channel", "do it before flattening")
        branches = tuple(replace(
            b, operator=b.operator or "identity", holder=b.holder or holder, weights=_by_channel(b, gain)) for b in flow.branches)
        bias = np.float32(0) if flow.bias is None else flow.bias
        mean, gain, shift = (v.reshape(-1, 1, 1) for v in (mean, gain, shift))
        return fl.Flow(branches, flow.shape, (bias - mean) * gain + shift)

    def scaled(self, value: Value, factor: float) -> fl.Flow:
        """Times one number."""
        return fl.scaled(self._flow(value), factor)

    def added(self, a: Value, b: Value) -> fl.Flow:
        """The sum of two values of one shape."""
        return fl.added(*(self.signed.get(id(flow), (flow, flow))[1] for flow in (self._flow(a), self._flow(b))))

    def flattened(self, value: Value) -> fl.Flow:
        """(C, H, W) as (C * H * W,)."""
        flow = self._flow(value)
        return fl.flattened(self._sendable(flow) if flow.weighted and flow.shape[1:] != (1, 1) else flow)

    def averaged(self, value: Value, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, padding_counts: bool = True
                 ) -> fl.Flow:
        """Averages of windows. Blocks belong to what reads them; windows that overlap become a layer of neurons of their own."""
        flow = self._flow(value)
        c, *size = _spatial(flow, "average pooling")
        side, step, pad = windows(size, kernel, stride, padding, ceil_mode)
        if (step, pad) == (side, 0):
            return self._blocks(flow, side)
        if pad and not padding_counts:
            raise UnsupportedError("average pooling that leaves padding out of its averages", "averages of whole windows",
                                   "set count_include_pad to True, or pool without padding")
        flow = self._closed(flow, "average pooling with windows that overlap, leave gaps or are padded")
        share = np.full((c, 1, side, side), 1 / side**2, np.float32)
        averages = fl.convolved(flow, f"{flow.branches[0].source}.average", c, side, step, pad, c, share)
        return self.activated(averages, INFINITE)

    def adaptively_averaged(self, value: Value, size: Any) -> fl.Flow:
        """Averages of equal blocks, so that (H, W) `size` is left."""
        flow = self._flow(value)
        return self._blocks(flow, adaptive_window(_spatial(flow, "adaptive pooling")[1:], size))

    def averaged_whole(self, value: Value) -> fl.Flow:
        """The average of each whole map."""
        flow = self._flow(value)
        return self._blocks(flow, one_side("a global average of", _spatial(flow, "global average pooling")[1:]))

    def largest(self, value: Value, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Value:
        """Maxima of windows; of sums they wait for a ReLU."""
        flow = self._flow(value)
        if one_side("a dilation of", dilation) != 1:
            raise UnsupportedError("max pooling with dilation", "windows without gaps", "use dilation 1")
        side, step, pad = windows(_spatial(flow, "max pooling")[1:], kernel, stride, padding, ceil_mode)
        if (side, step) == (1, 1):
            return flow
        if any(b.source == INPUT and b.operator is None for b in flow.branches):
            raise UnsupportedError("max pooling of the input", "max pooling of activations", "pool the images beforehand")
        return self._maximum(flow, side, step, pad) if self._is_closed(flow) else PooledSums(flow, side, step, pad)

    def adaptively_largest(self, value: Value, size: Any) -> Value:
        """Maxima of equal blocks, so that (H, W) `size` is left."""
        side = adaptive_window(_spatial(self._flow(value), "adaptive pooling")[1:], size)
        return self.largest(value, side, side, 0, 1, False)

    def activated(self, value: Value, ceiling: float) -> fl.Flow:
        """A ReLU, clipped at `ceiling`: a layer ends here."""
        if isinstance(value, PooledSums):
            return self._maximum(self.activated(value.flow, ceiling), value.kernel, value.stride, value.padding)
        if self._is_closed(value) and ceiling >= self._ceiling(value):
            return value
        fl.connections(value)  # refuses what synapses cannot express
        name = self._name(value.holders[0] if value.holders else "sum")
        layer = AnnLayer(name, self.place, fl.layer_shape(value.shape), value, ceiling)
        self.layers.append(layer)
        return fl.source_flow(name, layer.shape, len(value.shape) == 1)

    def finish(self, value: Value) -> Ann:
        """The Ann whose logits are `value`."""
        flow = self._flow(value)
        if not any(isinstance(layer, AnnLayer) for layer in self.layers):
            raise UnsupportedError("no ReLU between the input and the output", "at least one layer that ends in a ReLU",
                                   "give a network whose activations are ReLU or ReLU6")
        if not flow.weighted:  # an average of the last maps is the answer
            if any(b.source_shape[1] // b.pool > 1 or b.source_shape[2] // b.pool > 1 for b in flow.branches):
                raise UnsupportedError("an output of whole maps", "one number per class", "end with a linear layer or an average")
            flow = replace(flow, branches=tuple(replace(b, operator="identity") for b in flow.branches))
        shape = fl.layer_shape(flow.shape)
        if shape[1:] != (1, 1):
            raise UnsupportedError(f"an output of shape {flow.shape} per image", "one number per class", "give a classifier")
        fl.connections(flow)
        name = self._name(next((h for h in flow.holders if h), "output"))
        self.layers.append(AnnLayer(name, self.place, shape, flow))
        return Ann(self.name, self.input_shape, tuple(self.layers), self.gain, self.shift, self.flat, tuple(self.notes))

    def never_negative(self, value: Value) -> bool:
        """Whether a ReLU would change nothing."""
        return not isinstance(value, PooledSums) and self._is_closed(value)

    # -- helpers ----------------------------------------------------------------------------------------------------

    def _flow(self, value: Value) -> fl.Flow:
        if isinstance(value, PooledSums):
            raise UnsupportedError("maxima of sums that no ReLU has seen", "a ReLU before or right after max pooling",
                                   "put the ReLU next to the pooling")
        return value

    def _sendable(self, value: Value) -> fl.Flow:
        """What another weighted operation can read. Sums that no ReLU ends (a linear bottleneck) have both signs, and neurons
        send none: two layers carry them, one the positive part and one the negative, x = ReLU(x) - ReLU(-x)."""
        flow = self._flow(value)
        if not flow.weighted:
            return flow
        if id(flow) not in self.signed:
            halves = []
            for sign, word in ((1.0, "plus"), (-1.0, "minus")):
                name = self._name(f"{next((h for h in flow.holders if h), 'sum')}.{word}")
                part = fl.scaled(flow, sign)
                self.layers.append(AnnLayer(name, self.place, fl.layer_shape(flow.shape), part, INFINITE, half=True))
                halves.append(fl.scaled(fl.source_flow(name, self.layers[-1].shape, len(flow.shape) == 1), sign))
            names = [half.branches[0].source for half in halves]
            self.notes.append(f"{' and '.join(names)}: no ReLU ends these sums, so two layers carry them, by sign")
            self.signed[id(flow)] = flow, fl.added(*halves)
        return self.signed[id(flow)][1]

    def _blocks(self, flow: fl.Flow, side: int) -> fl.Flow:
        return fl.averaged(flow, side) if flow.weighted else fl.pooled(flow, side, "folded", 1 / side**2)

    def _is_closed(self, flow: fl.Flow) -> bool:
        """Whether it is one layer's outputs, perhaps averaged or times a factor, so that no value is negative."""
        one, *more = flow.branches
        return not more and one.operator is None and one.source != INPUT and one.gain >= 0 and flow.bias is None

    def _closed(self, flow: fl.Flow, what: str) -> fl.Flow:
        if not self._is_closed(flow):
            raise UnsupportedError(f"{what} of sums or of the input", f"{what} of activations", "put it after the ReLU")
        return flow if flow.branches[0].pool == 1 and flow.branches[0].gain == 1 else self._own_layer(flow)

    def _own_layer(self, flow: fl.Flow) -> fl.Flow:
        """Averages as outputs of neurons, which other windows can then be laid over."""
        b = flow.branches[0]
        name = self._name(f"{b.source}.average")
        layer = AnnLayer(name, self.place, fl.layer_shape(flow.shape), flow, INFINITE)
        self.layers.append(layer)
        return fl.source_flow(name, layer.shape, False)

    def _maximum(self, flow: fl.Flow, side: int, step: int, pad: int) -> fl.Flow:
        flow = self._closed(flow, "max pooling")
        source = flow.branches[0].source
        made = Maximum(self._name(f"{source}.max"), self.place, source, flow.branches[0].source_shape, side, step, pad)
        self.layers.append(made)
        return fl.source_flow(made.name, made.shape, False)

    def _ceiling(self, flow: fl.Flow) -> float:
        """Where the values of one layer's outputs are clipped already."""
        b = flow.branches[0]
        by_name = {layer.name: layer for layer in self.layers}
        layer = by_name[b.source]
        while isinstance(layer, Maximum):
            layer = by_name[layer.source]
        return layer.ceiling * b.gain * (b.pool**2 if b.pool_mode == "folded" else 1)

    def _name(self, wanted: str) -> str:
        return fl.layer_names([*(layer.name for layer in self.layers), wanted])[-1]


def _by_channel(b: fl.Branch, gain: Floats) -> Floats:
    """The branch's weights times a factor per output channel."""
    weights = np.ones(b.source_shape[0], np.float32) if b.weights is None else b.weights
    return weights * gain.reshape(-1, *[1] * (weights.ndim - 1))


def _spatial(flow: fl.Flow, what: str) -> Shape:
    if len(flow.shape) != 3:
        raise UnsupportedError(f"{what} of values of shape {flow.shape} per image", "(C, H, W)", "do it before flattening")
    return fl.layer_shape(flow.shape)


def factors(values: ArrayLike, channels: int) -> Floats:
    """One number per channel of a constant that broadcasts over (C, H, W), (1, C, H, W) or (N,). Raises UnsupportedError."""
    array = np.asarray(values)
    if array.size == 1:
        return np.full(channels, array.reshape(()), np.float32)
    shape = array.shape[1:] if array.ndim == 4 and array.shape[0] == 1 else array.shape
    if array.size == channels and shape in ((channels, 1, 1), (channels,)):
        return array.reshape(-1).astype(np.float32)
    raise UnsupportedError(f"a constant of shape {array.shape} with {channels} channels", "one number, or one per channel",
                           "use a BatchNorm or a bias")
