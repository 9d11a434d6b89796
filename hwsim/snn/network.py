"""The converted network: an ordered graph of Layers of integer neurons and the Connections that feed them.

Shapes are (C, H, W) throughout; a linear layer is H = W = 1. All numbers are integers: weights, thresholds,
biases and potentials share one scale a layer (the converter chose it), so nothing here is ever rounded.
A Connection's `source` is the name of an earlier Layer, or `input`. The geometry (which output position an event
touches) is that of the cycle model, docs/cycle-model.md, "An event's words".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError
from hwsim.snn.neurons import Neuron
from hwsim.snn.neurons.base import Received, Sent

INPUT = "input"
Shape = tuple[int, int, int]
IntArray = NDArray[np.int64]
Operator = Literal["conv2d", "linear", "identity"]
Side = int | tuple[int, int]
"""A kernel, stride or padding: the same along both axes, or (along y, along x)."""
PoolMode = Literal["none", "folded", "unit", "max"]
Encoding = Literal["direct", "spikes", "hybrid"]
InputCoding = Literal["rate", "bit_serial"]
ENCODINGS: tuple[Encoding, ...] = ("direct", "spikes", "hybrid")
INPUT_CODINGS: dict[str, Received] = {"rate": "spikes", "bit_serial": "bits"}
"""Codings of an input that is driven by spikes, and what its planes then are."""


class NetworkError(HwsimError):
    """A network that cannot be what it says it is; the text names the layer, what was found and expected."""


class Axis(NamedTuple):
    """A connection along y or x: output o reads the kernel places of the (pooled) source from stride * o - padding on."""

    kernel: int
    stride: int
    padding: int

    def outputs(self, size: int) -> int:
        """How many outputs `size` source places give."""
        return (size + 2 * self.padding - self.kernel) // self.stride + 1


def by_axis(side: Side) -> tuple[int, int]:
    """A side along y and along x."""
    return side if isinstance(side, tuple) else (side, side)


def _plain_side(value: Any) -> Any:
    """Two equal numbers as one, two others as a tuple; what is neither stays for validation to name."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        return value
    return value[0] if value[0] == value[1] else tuple(value)


@dataclass(frozen=True, eq=False)
class Connection:
    """Synapses from one layer (or the input) to another.

    weights   conv2d (C_out, C_in / groups, K_y, K_x); linear (out, C * H * W of the pooled source, c-major);
              identity (C_in,), one integer scale a channel; None when the trace records spikes only.
    kernel, stride, padding   one number, or (y, x) where the axes differ; two equal numbers are kept as one.
    pool      average or max pooling of the source by pool x pool, stride pool, incomplete windows dropped:
              `folded` (each event goes to (y // pool, x // pool), the sums are pool**2 times larger),
              `unit` (a pooling unit sends the count 0..pool**2 as a payload), `max` (OR of binary spikes).
    channel_offset   identity only: source channel c feeds channel c + channel_offset.
    """

    source: str
    operator: Operator
    source_shape: Shape
    weights: NDArray[np.integer] | None = None
    kernel: Side = 1
    stride: Side = 1
    padding: Side = 0
    groups: int = 1
    pool: int = 1
    pool_mode: PoolMode = "none"
    channel_offset: int = 0

    def __post_init__(self) -> None:
        for name in ("kernel", "stride", "padding"):
            object.__setattr__(self, name, _plain_side(getattr(self, name)))

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """What an output reads along y and along x; one output reads all of a linear connection's source."""
        if self.operator == "linear":
            _, h, w = self.pooled_shape
            return Axis(h, 1, 0), Axis(w, 1, 0)
        y, x = zip(by_axis(self.kernel), by_axis(self.stride), by_axis(self.padding), strict=True)
        return Axis(*y), Axis(*x)

    @property
    def taps(self) -> int:
        """Places of one source channel that an output reads."""
        along_y, along_x = self.axes
        return along_y.kernel * along_x.kernel

    @property
    def differs_by_axis(self) -> bool:
        """Whether its kernel, stride or padding differs between y and x."""
        return any(isinstance(side, tuple) for side in (self.kernel, self.stride, self.padding))

    @property
    def pooled_shape(self) -> Shape:
        """Shape of the grid that the operator sees, after pooling."""
        c, h, w = self.source_shape
        return (c, h // self.pool, w // self.pool)

    @property
    def token_shape(self) -> Shape:
        """Shape of the grid whose positions the events name: pooled for `unit` and `max`, else the source's."""
        return self.pooled_shape if self.pool_mode in ("unit", "max") else self.source_shape

    def natural_shape(self, channels: int) -> Shape:
        """Output shape that the operator gives for `channels` output channels."""
        _, h, w = self.pooled_shape
        if self.operator == "linear":
            return (channels, 1, 1)
        if self.operator == "identity":
            y, x = by_axis(self.stride)
            return (channels, -(-h // y), -(-w // x))
        along_y, along_x = self.axes
        return (channels, along_y.outputs(h), along_x.outputs(w))

    def weight_shape(self, shape: Shape) -> tuple[int, ...]:
        """Shape that the weights must have when they feed a layer of `shape`."""
        c, h, w = self.pooled_shape
        if self.operator == "linear":
            return (shape[0], c * h * w)
        if self.operator == "identity":
            return (c,)
        return (shape[0], c // self.groups, *by_axis(self.kernel))


@dataclass(frozen=True, eq=False)
class Layer:
    """A group of neurons of one model and the connections that feed it.

    timesteps           T, the time steps (or bit planes) that the layer's output takes.
    thresholds          (T,) integers >= 1, one a timestep; empty for a read-out.
    bias                broadcastable to `shape`, or None. What it means is the neuron model's business.
    initial_potential   broadcastable to `shape`; rate-coded IF theta / 2, bit-serial the rounding offset.
    potential_bits      width that potentials saturate at (the hardware may be narrower, never wider in effect).
    payload_bits        0: spikes are binary; n > 0: each output carries an n-bit value (quantised ANN).
    stages              boundaries of the stages, (0, tau, tau + T) for two; () or (0, T) for one.
    """

    name: str
    shape: Shape
    connections: tuple[Connection, ...]
    neuron: Neuron
    timesteps: int
    thresholds: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    bias: IntArray | None = None
    initial_potential: IntArray = field(default_factory=lambda: np.zeros((1, 1, 1), np.int64))
    potential_bits: int = 24
    payload_bits: int = 0
    stages: tuple[int, ...] = ()

    @property
    def coding(self) -> str:
        return self.neuron.coding

    @property
    def neurons(self) -> int:
        c, h, w = self.shape
        return c * h * w

    @property
    def sends(self) -> bool:
        """Whether spikes or values leave the layer; a read-out keeps its potentials."""
        return self.neuron.sends != "nothing"

    @property
    def sends_spikes(self) -> bool:
        """Whether what leaves are binary spikes, in `timesteps` planes."""
        return self.neuron.sends_spikes

    @property
    def sends_values(self) -> bool:
        """Whether what leaves are multi-bit activations of a quantised ANN."""
        return self.neuron.sends_values

    @property
    def carries(self) -> Sent:
        """What its planes are to a reader."""
        return self.neuron.sends

    @property
    def source_coding(self) -> str:
        """The name of what it sends, for errors and reports."""
        return self.coding


@dataclass(frozen=True, eq=False)
class InputSpec:
    """What drives the network: `direct` multi-bit payloads (one plane), `spikes` (T planes), or `hybrid`.

    A hybrid input (paper 004, Eq. 4-5) has T planes: multi-bit payloads in the first, spikes in the others, each of which
    weighs 2**spike_shift: the fixed-point one of the payloads.
    """

    shape: Shape
    encoding: Encoding = "direct"
    timesteps: int = 1
    payload_bits: int = 8
    signed: bool = False
    coding: InputCoding = "rate"
    spike_shift: int = 0

    @property
    def is_direct(self) -> bool:
        return self.encoding == "direct"

    @property
    def is_spikes(self) -> bool:
        return self.encoding == "spikes"

    @property
    def is_hybrid(self) -> bool:
        return self.encoding == "hybrid"

    @property
    def carries(self) -> Received:
        """What its planes are to a reader; those of a hybrid input are a plane per timestep, as spikes are."""
        if self.is_direct:
            return "payloads"
        return INPUT_CODINGS.get(self.coding, "spikes") if self.is_spikes else "spikes"

    @property
    def source_coding(self) -> str:
        """The name of what it sends, for errors and reports: its encoding, or the coding of its spikes."""
        return self.coding if self.is_spikes else self.encoding

    @property
    def weighs_planes(self) -> bool:
        """Whether its planes are bits of its values."""
        return self.carries == "bits"

    @property
    def value_bits(self) -> int:
        """Bits of one value as it lies in the buffer; 0 when all planes are spikes."""
        return 0 if self.is_spikes else self.payload_bits

    @property
    def largest_output(self) -> int:
        """Largest magnitude that all planes of one input can be worth together."""
        if self.is_spikes:
            return (1 << self.timesteps) - 1 if self.weighs_planes else self.timesteps
        top = 1 << (self.payload_bits - 1) if self.signed else (1 << self.payload_bits) - 1
        return top + ((self.timesteps - 1) << self.spike_shift)

    def plane_bits(self, plane: int) -> int:
        """Bits of one value of a plane: payloads in the planes that carry them, else one."""
        return self.payload_bits if self.carries_values(plane) else 1

    def carries_values(self, plane: int) -> bool:
        """Whether a plane holds payloads; else it holds spikes."""
        return self.is_direct or (self.is_hybrid and plane == 0)


@dataclass(frozen=True, eq=False)
class Network:
    """An ordered graph of layers; each layer only reads the input and earlier layers."""

    input: InputSpec
    layers: tuple[Layer, ...]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def index(self, name: str) -> int:
        """Position of a layer, -1 for the input."""
        if name == INPUT:
            return -1
        for i, layer in enumerate(self.layers):
            if layer.name == name:
                return i
        raise NetworkError(f"no layer named {name!r}; layers are {', '.join(x.name for x in self.layers)}")

    def layer(self, name: str) -> Layer:
        return self.layers[self.index(name)]

    def source(self, connection: Connection) -> InputSpec | Layer:
        """The input or the layer that a connection reads."""
        return self.input if connection.source == INPUT else self.layer(connection.source)

    @property
    def is_ann(self) -> bool:
        """Whether it is a quantised ANN: values in one plane everywhere, no spikes."""
        return self.input.is_direct and all(layer.sends_values for layer in self.layers if layer.sends)

    @property
    def has_weights(self) -> bool:
        return all(c.weights is not None for layer in self.layers for c in layer.connections)

    def source_coding(self, connection: Connection) -> str:
        """`direct`, `hybrid`, `rate`, `bit_serial`, `single_spike` or `quantised`: how a connection's events carry values."""
        return self.source(connection).source_coding

    def current_lives(self, layer: Layer) -> bool:
        """Whether the current of a layer, if it has one, can change in every timestep: spikes reach it."""
        return any(not self.is_direct(connection) for connection in layer.connections)

    def is_direct(self, connection: Connection) -> bool:
        """Whether the source is a direct input: one plane of payloads, whatever T."""
        return connection.source == INPUT and self.input.is_direct

    def is_hybrid(self, connection: Connection) -> bool:
        """Whether the source is a hybrid input: payloads in plane 0, spikes in the others."""
        return connection.source == INPUT and self.input.is_hybrid

    def weighs_planes(self, connection: Connection) -> bool:
        """Whether the source's planes are bits, each of its own weight."""
        return self.source(connection).carries == "bits"

    def largest_output(self, connection: Connection) -> int:
        """Largest magnitude that all planes of one source neuron can be worth together."""
        if connection.source == INPUT:
            return self.input.largest_output
        layer = self.layer(connection.source)
        return layer.neuron.largest_output(layer)

    def source_timesteps(self, connection: Connection) -> int:
        """Planes that the source emits (1 for a direct input)."""
        if connection.source == INPUT:
            return 1 if self.input.is_direct else self.input.timesteps
        return self.layer(connection.source).timesteps

    def carries_payload(self, connection: Connection) -> int:
        """Bits of an event's payload; 0 when events are binary. Of a hybrid input, those of its first plane."""
        return self.pooled_bits(connection) if connection.pool_mode == "unit" else self.value_bits(connection)

    def pooled_bits(self, connection: Connection) -> int:
        """Bits of one value of the source summed over the pool's window: wider than its parts. A spike is one bit."""
        bits, window = self.value_bits(connection), connection.pool**2
        if connection.source == INPUT and bits and self.input.signed:
            return bits + (window - 1).bit_length()
        return (((1 << max(bits, 1)) - 1) * window).bit_length()

    def value_bits(self, connection: Connection) -> int:
        """Bits of one value as it lies in the source's buffer; 0 when the source sends spikes."""
        if connection.source == INPUT:
            return self.input.value_bits
        return self.layer(connection.source).payload_bits

    def plane_bits(self, index: int, plane: int) -> int:
        """Bits of one value of a plane of the layer at `index` (-1: the input); 0 where the plane holds spikes."""
        if index >= 0:
            return self.layers[index].payload_bits
        return self.input.payload_bits if self.input.carries_values(plane) else 0
