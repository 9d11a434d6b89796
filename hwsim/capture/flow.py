"""What reaches a layer: a sum of branches, each one source, perhaps pooled, perhaps flattened, through one weighted operation.

This small algebra is shared by everything that reads somebody's graph. Whoever walks the graph applies `pooled`,
`flattened`, `convolved`, `multiplied`, `scaled`, `added` in the graph's order; `connections` then says which hwsim
Connections that is. What synapses cannot express raises UnsupportedError, in words. Shapes are (C, H, W), or (N,) once flat.
Weights and gains are floats as the graph has them (NIR), or None when only the geometry is wanted (torch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.capture.errors import UnsupportedError
from hwsim.capture.geometry import sides
from hwsim.snn.network import INPUT, Connection, Operator, PoolMode, Shape, Side, by_axis

FloatArray = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Branch:
    """One path from a source to where we stand.

    source, source_shape   a layer's name or `input`, and its (C, H, W).
    step       timestep of the values; None for all of a sequence, or when they are the same in every timestep.
    varies     whether values differ from timestep to timestep (all but a constant input).
    pool       side of the windows that were averaged, summed (`folded`) or OR-ed (`max`); 1 for none.
    flat       (C, H, W) became (C * H * W,).
    operator   the weighted operation, if one was met, and `holder`, the module or node it belongs to.
    weights    float weights of the operation or None; `gain` multiplies whatever comes out of the branch.
    """

    source: str
    source_shape: Shape
    step: int | None = None
    varies: bool = True
    pool: int = 1
    pool_mode: PoolMode = "none"
    flat: bool = False
    operator: Operator | None = None
    holder: str = ""
    weights: FloatArray | None = None
    gain: float = 1.0
    kernel: Side = 1
    stride: Side = 1
    padding: Side = 0
    groups: int = 1

    def connection(self, weights: NDArray[np.integer] | None = None) -> Connection:
        """The branch as synapses; a branch without a weighted operation is an identity."""
        if self.operator is None and self.flat and self.source_shape[1:] != (1, 1):
            raise UnsupportedError(f"values of {self.source!r} that were flattened and meet no linear layer",
                                   "a linear layer after a flatten", "feed the spiking layer before flattening")
        return Connection(
            self.source, self.operator or "identity", self.source_shape, weights, self.kernel, self.stride, self.padding,
            self.groups, self.pool, self.pool_mode,
        )


@dataclass(frozen=True, eq=False)
class Flow:
    """A sum of branches of one shape, (C, H, W) or (N,), and the constant (`bias`) that was added on the way."""

    branches: tuple[Branch, ...]
    shape: tuple[int, ...]
    bias: FloatArray | None = field(default=None)

    @property
    def weighted(self) -> bool:
        return any(b.operator is not None for b in self.branches)

    @property
    def holders(self) -> list[str]:
        return list(dict.fromkeys(b.holder for b in self.branches if b.holder))

    @property
    def steps(self) -> set[int]:
        """Timesteps that the branches' values belong to; constant inputs belong to all."""
        return {b.step for b in self.branches if b.step is not None}


def source_flow(name: str, shape: Shape, flat: bool, step: int | None = None, varies: bool = True) -> Flow:
    """The outputs of a layer, or the input; `flat` when the tool has them as (N,)."""
    return Flow((Branch(name, shape, step, varies),), (shape[0] * shape[1] * shape[2],) if flat else shape)


def layer_shape(shape: Sequence[int]) -> Shape:
    """(C, H, W) of a tool's (C, H, W) or (N,). Raises UnsupportedError for any other number of axes."""
    if len(shape) == 1:
        return (int(shape[0]), 1, 1)
    if len(shape) != 3:
        raise UnsupportedError(f"values of shape {tuple(shape)} a sample", "(C, H, W) or (N,)", "reshape them, or use 2-d layers")
    return (int(shape[0]), int(shape[1]), int(shape[2]))


def pooled(flow: Flow, kernel: int, mode: PoolMode, gain: float = 1.0) -> Flow:
    """Windows of kernel x kernel, stride kernel: averaged or summed (`folded`, times `gain`), or OR-ed (`max`)."""
    if kernel == 1:
        return flow
    if flow.weighted:
        raise UnsupportedError(f"pooling of the sums of {', '.join(flow.holders)}", "pooling of spikes",
                               "pool after the spiking layer instead of before it")
    if mode == "max" and len(flow.branches) > 1:
        raise UnsupportedError("max pooling of a sum of several layers' spikes", "max pooling of one layer's spikes",
                               "use average pooling, or pool before adding")
    c, h, w = _spatial(flow, "pooling")
    if min(h, w) < kernel:
        raise UnsupportedError(f"pooling by {kernel} of {h} x {w} values", "a window that fits", "pool by less")
    branches = tuple(_pool_branch(b, kernel, mode, gain) for b in flow.branches)
    return replace(flow, branches=branches, shape=(c, h // kernel, w // kernel))


def _pool_branch(b: Branch, kernel: int, mode: PoolMode, gain: float) -> Branch:
    if b.pool_mode not in ("none", mode):
        raise UnsupportedError(f"max and average pooling of {b.source!r}, one after the other", "one kind of pooling",
                               "use the same pooling twice")
    return replace(b, pool=b.pool * kernel, pool_mode=mode, gain=b.gain * gain)


def averaged(flow: Flow, side: int) -> Flow:
    """Averages of side x side blocks of weighted sums: a convolution of larger windows and strides, which is the same sum."""
    if side == 1:
        return flow
    c, h, w = _spatial(flow, "pooling")
    if min(h, w) < side:
        raise UnsupportedError(f"pooling by {side} of {h} x {w} values", "a window that fits", "pool by less")
    branches = tuple(_averaged_branch(b, side) for b in flow.branches)
    return replace(flow, branches=branches, shape=(c, h // side, w // side))


def _averaged_branch(b: Branch, side: int) -> Branch:
    if b.operator in (None, "identity") and b.stride == 1:
        return _pool_branch(b, side, "folded", 1 / side**2)
    if b.operator != "conv2d":
        raise UnsupportedError(f"average pooling of the sums of {b.holder}", "average pooling of spikes",
                               "pool after the spiking layer instead of before it")
    (high, wide), (down, right) = by_axis(b.kernel), by_axis(b.stride)
    kernel = high + (side - 1) * down, wide + (side - 1) * right
    spread = None
    if b.weights is not None:
        spread = np.zeros((*b.weights.shape[:2], *kernel), b.weights.dtype)
        for dy, dx in np.ndindex(side, side):
            y, x = dy * down, dx * right
            spread[:, :, y : y + high, x : x + wide] += b.weights
    return replace(b, kernel=sides("a kernel of", kernel), stride=sides("a stride of", (down * side, right * side)),
                   weights=spread, gain=b.gain / side**2)


def flattened(flow: Flow) -> Flow:
    """(C, H, W) as (C * H * W,), c-major."""
    if len(flow.shape) == 1:
        return flow
    if flow.weighted and flow.shape[1:] != (1, 1):
        raise UnsupportedError(f"a flatten of the sums of {', '.join(flow.holders)}", "a flatten of spikes",
                               "flatten after the spiking layer")
    return replace(flow, branches=tuple(replace(b, flat=True) for b in flow.branches), shape=(int(np.prod(flow.shape)),))


def convolved(
    flow: Flow, holder: str, channels: int, kernel: Side, stride: Side, padding: Side, groups: int,
    weights: FloatArray | None = None, bias: FloatArray | None = None,
) -> Flow:
    """Through a convolution with zero padding and no dilation."""
    _unweighted(flow, holder)
    c, h, w = _spatial(flow, "a convolution")
    fits = (channels, c // groups, *by_axis(kernel))
    if weights is not None and weights.shape != fits:
        raise UnsupportedError(f"weights of shape {weights.shape}", f"{fits}", "correct them")
    out = tuple((n + 2 * pad - side) // step + 1
                for n, side, step, pad in zip((h, w), *map(by_axis, (kernel, stride, padding)), strict=True))
    if min(out) < 1:
        raise UnsupportedError(f"a window of {kernel} on {h} x {w} values padded by {padding}", "one that fits", "pad more")
    branches = tuple(
        replace(b, operator="conv2d", holder=holder, kernel=kernel, stride=stride, padding=padding, groups=groups,
                weights=weights)
        for b in flow.branches)
    return Flow(branches, (channels, *out), bias)


def multiplied(
    flow: Flow, holder: str, outputs: int, weights: FloatArray | None = None, bias: FloatArray | None = None
) -> Flow:
    """Through a linear layer; the values must be flat, or (N, 1, 1)."""
    _unweighted(flow, holder)
    if len(flow.shape) != 1:
        raise UnsupportedError(f"a linear layer on values of shape {flow.shape} a sample", "flat values", "flatten them first")
    if weights is not None and weights.shape != (outputs, flow.shape[0]):
        raise UnsupportedError(f"weights of shape {weights.shape}", f"{(outputs, flow.shape[0])}", "correct them")
    branches = tuple(replace(b, operator="linear", holder=holder, weights=weights) for b in flow.branches)
    return Flow(branches, (outputs,), bias)


def normalised(flow: Flow, holder: str) -> Flow:
    """A factor and a constant a channel (batch norm at inference): folds into weights and bias, or is an identity of its own."""
    bias = np.zeros((flow.shape[0], 1, 1))
    if flow.weighted:
        if not all(b.operator for b in flow.branches):
            raise UnsupportedError("a batch norm of weighted sums and spikes together", "a batch norm of one of them",
                                   "normalise before adding")
        return replace(flow, bias=bias)
    if len(flow.shape) == 1 and any(b.source_shape[1:] != (1, 1) for b in flow.branches):
        raise UnsupportedError("a batch norm of flattened spikes", "a batch norm of sums", "normalise after the linear layer")
    return replace(flow, branches=tuple(replace(b, operator="identity", holder=holder) for b in flow.branches), bias=bias)


def scaled(flow: Flow, factor: float) -> Flow:
    """Times one number."""
    bias = None if flow.bias is None else flow.bias * factor
    return replace(flow, branches=tuple(replace(b, gain=b.gain * factor) for b in flow.branches), bias=bias)


def added(a: Flow, b: Flow) -> Flow:
    """The sum of two flows of one shape and of the same timestep."""
    if a.shape != b.shape:
        raise UnsupportedError(f"a sum of values of shapes {a.shape} and {b.shape}", "equal shapes",
                               "broadcasting is not taken over")
    if len(a.steps | b.steps) > 1:
        raise UnsupportedError(f"a sum of values of timesteps {min(a.steps | b.steps)} and {max(a.steps | b.steps)}",
                               "values of one timestep", "recurrent and delayed connections are not taken over")
    bias: Any = a.bias if b.bias is None else b.bias if a.bias is None else np.add(a.bias, b.bias)
    return Flow(a.branches + b.branches, a.shape, bias)


def connections(flow: Flow) -> tuple[Connection, ...]:
    """The flow's geometry as Connections without weights. Raises UnsupportedError."""
    return tuple(b.connection() for b in flow.branches)


def layer_names(places: Sequence[str]) -> list[str]:
    """Names that the trace format allows for places in a model: shortened from the left, made unique where they must be."""
    names: list[str] = []
    for place in places:
        name = "".join(ch if ch.isascii() and (ch.isalnum() or ch in "_.-") else "_" for ch in place)[-60:]
        name = name.lstrip(".-") or "layer"
        name = f"{name}_" if name == INPUT else name
        while name in names:
            name += "_"
        names.append(name)
    return names


def _unweighted(flow: Flow, holder: str) -> None:
    if flow.weighted:
        raise UnsupportedError(f"weighted operations {', '.join(flow.holders)} and {holder} with no spiking layer between",
                               "one weighted operation between two spiking layers",
                               "merge them into one, or put a spiking layer between")


def _spatial(flow: Flow, what: str) -> Shape:
    if len(flow.shape) != 3:
        raise UnsupportedError(f"{what} of values of shape {flow.shape} a sample", "(C, H, W)", "do it before flattening")
    return layer_shape(flow.shape)
