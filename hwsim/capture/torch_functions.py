"""What torch functions between modules do to a Value: reshapes, sums, pools, and moving between timesteps and sequences.

A function that is not listed makes the value Lost, which is only an error when a layer depends on it: the mean over time at
the end of a model, or a softmax, may be anything. Each entry takes (values, args, kwargs, result) and gives the result's Value,
or a list of them for `unbind`; it raises UnsupportedError for what it cannot follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from hwsim.capture import flow as fl
from hwsim.capture.errors import UnsupportedError
from hwsim.capture.geometry import adaptive_window, window

Layout = Literal["single", "sequence", "merged", "total"]


@dataclass(frozen=True, eq=False)
class Value:
    """A Flow and how time lies in the tensor: `single` (1, ...) one timestep; `sequence` (T, 1, ...); `merged` (T * 1, ...),
    how SpikingJelly's containers hand sequences to stateless modules; `total` (1, ...), the sum or mean over time."""

    flow: fl.Flow
    layout: Layout = "single"


Values = Mapping[Any, Any]
Follow = Callable[[Values, Sequence[Any], Mapping[str, Any], Any], "Value | list[Value]"]


def leading(layout: Layout) -> int:
    """Axes before those of a sample."""
    return 2 if layout == "sequence" else 1


def check_shape(value: Value, tensor: Any) -> Value:
    """The value, if the tensor has the shape that it says: what is followed must be what happened."""
    found, axes = tuple(tensor.shape), leading(value.layout)
    alone = {"single": found[:1] == (1,), "total": found[:1] == (1,), "sequence": found[1:2] == (1,), "merged": True}
    if found[axes:] != tuple(value.flow.shape) or not alone[value.layout]:
        raise UnsupportedError(f"a result of shape {found}", f"{value.flow.shape} a sample with one sample a batch",
                               "reshape samples only to (N,), and keep the batch axis")
    return value


def reshaped(value: Value, shape: Sequence[int]) -> Value:
    """After any reshape: samples may become flat, time and batch may merge or part; nothing else."""
    shape, own = tuple(shape), tuple(value.flow.shape)
    flat = (math.prod(own),)
    layouts: tuple[Layout, ...] = (value.layout,)
    if value.layout in ("sequence", "merged"):
        layouts = (value.layout, "sequence", "merged")
    for layout in layouts:
        lead, rest = shape[: leading(layout)], shape[leading(layout):]
        one = lead[1:] == (1,) if layout == "sequence" else layout == "merged" or lead == (1,)
        if len(lead) < leading(layout) or not one:
            continue
        if rest == own:
            return replace(value, layout=layout)
        if rest == flat:
            return Value(fl.flattened(value.flow), layout)
        if own == flat and rest == (*own, 1, 1):
            return Value(replace(value.flow, shape=rest), layout)
    raise UnsupportedError(f"a reshape from {own} a sample to {shape}", "samples as they are, or flat", "flatten only")


def _reshape(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    return reshaped(values[args[0]], result.shape)


def _same(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    return check_shape(values[args[0]], result)


def _added(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    a, b = args[0], args[1] if len(args) > 1 else kwargs.get("other")
    if kwargs.get("alpha", 1) != 1:
        raise UnsupportedError(f"a sum with alpha {kwargs['alpha']}", "a plain sum", "scale by the weights instead")
    for one, other in ((a, b), (b, a)):
        if not isinstance(other, torch.Tensor) and other == 0:  # sum() of a list begins with 0
            return check_shape(values[one], result)
    if not (isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) and a in values and b in values):
        raise UnsupportedError("a constant added to spikes or sums", "a bias of a weighted layer", "use the layer's bias")
    one, other = values[a], values[b]
    if one.layout != other.layout:
        raise UnsupportedError(f"a sum of a {one.layout} and a {other.layout} tensor", "both alike in time",
                               "stack timesteps first")
    return check_shape(Value(fl.added(one.flow, other.flow), one.layout), result)


def _scaled(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    a, b = args[0], args[1] if len(args) > 1 else kwargs.get("other")
    tensor, factor = (a, b) if isinstance(a, torch.Tensor) and a in values else (b, a)
    if isinstance(factor, torch.Tensor) and (factor in values or factor.numel() != 1):
        raise UnsupportedError("a product of two tensors", "a product with one number",
                               "spikes that gate other spikes are not taken over")
    return check_shape(replace(values[tensor], flow=fl.scaled(values[tensor].flow, 1.0)), result)


def _divided(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    if not (isinstance(args[0], torch.Tensor) and args[0] in values):
        raise UnsupportedError("a division by spikes or sums", "a division by one number", "use weights")
    return _scaled(values, args, kwargs, result)


def averages(flow: fl.Flow, side: int) -> fl.Flow:
    """Averages of blocks: of spikes in the connection that reads them, of sums in the convolution that makes them."""
    return fl.averaged(flow, side) if flow.weighted else fl.pooled(flow, side, "folded")


def _averaged(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    given = dict(zip(("input", "kernel_size", "stride", "padding", "ceil_mode"), args, strict=False)) | dict(kwargs)
    side = window(given["kernel_size"], given.get("stride"), given.get("padding", 0), 1, bool(given.get("ceil_mode", False)))
    value = values[args[0]]
    return check_shape(replace(value, flow=averages(value.flow, side)), result)


def _adaptive(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    value, size = values[args[0]], args[1] if len(args) > 1 else kwargs["output_size"]
    return check_shape(replace(value, flow=averages(value.flow, adaptive_window(value.flow.shape[1:], size))), result)


def relu(flow: fl.Flow) -> fl.Flow:
    """Nothing happens to spikes; sums would need a spiking layer."""
    if flow.weighted:
        raise UnsupportedError(f"a ReLU of the sums of {', '.join(flow.holders)}", "a spiking layer",
                               "spikes carry no other values: convert the ANN first")
    return flow


def _relu(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    return check_shape(replace(values[args[0]], flow=relu(values[args[0]].flow)), result)


def _dropout(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    if kwargs.get("training", args[2] if len(args) > 2 else True) and (args[1:2] or [kwargs.get("p", 0.5)])[0]:
        raise UnsupportedError("dropout in training mode", "inference", "use nn.Dropout, or pass training=self.training")
    return check_shape(values[args[0]], result)


def at_step(value: Value, step: int) -> Value:
    """One timestep of a sequence."""
    return Value(replace(value.flow, branches=tuple(
        replace(b, step=step if b.varies else None) for b in value.flow.branches)), "single")


def _item(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    value, index = values[args[0]], args[1]
    if value.layout != "sequence" or isinstance(index, bool) or not isinstance(index, int):
        raise UnsupportedError(f"indexing with {str(index)[:40]}", "one timestep of a sequence", "slices are not taken over")
    return check_shape(at_step(value, index % len(args[0])), result)


def _select(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    dim = args[1] if len(args) > 1 else kwargs.get("dim", 0)
    if dim != 0:
        raise UnsupportedError(f"a selection along axis {dim}", "one timestep of a sequence", "select along axis 0 only")
    return _item(values, (args[0], args[2] if len(args) > 2 else kwargs.get("index")), {}, result)


def _unbind(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> list[Value]:
    value = values[args[0]]
    if value.layout != "sequence" or (args[1] if len(args) > 1 else kwargs.get("dim", 0)) != 0:
        raise UnsupportedError("unbind of other axes than time", "the timesteps of a sequence", "iterate over time")
    return [check_shape(at_step(value, step), item) for step, item in enumerate(result)]


def _stack(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    tensors, dim = list(args[0]), args[1] if len(args) > 1 else kwargs.get("dim", 0)
    found = [values[t] for t in tensors if t in values]
    steps = [v.flow.steps - {i} for i, v in enumerate(found)]
    if dim != 0 or len(found) != len(tensors) or any(v.layout != "single" for v in found) or any(steps):
        raise UnsupportedError("a stack of other things than timesteps 0, 1, 2, ...", "the timesteps of one layer",
                               "stack in order")
    if any(signature(v.flow) != signature(found[0].flow) for v in found):
        raise UnsupportedError("a stack of different layers", "the timesteps of one layer", "stack each layer by itself")
    branches = tuple(replace(b, step=None) for b in found[0].flow.branches)
    return check_shape(Value(replace(found[0].flow, branches=branches), "sequence"), result)


def _repeated(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    """x.unsqueeze(0).repeat(T, 1, 1, 1, 1): a constant input made a sequence."""
    value = values[args[0]]
    if value.layout == "single" and args[0].ndim == 1 + len(value.flow.shape) and result.ndim == args[0].ndim + 1:
        value = replace(value, layout="sequence")
    if any(b.varies for b in value.flow.branches) or value.layout != "sequence":
        raise UnsupportedError("a repeat", "x.unsqueeze(0).repeat(T, 1, ...) of a constant input", "repeat it over time only")
    return check_shape(value, result)


def _unsqueezed(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    value, dim = values[args[0]], args[1] if len(args) > 1 else kwargs.get("dim")
    if dim == 0 and value.layout == "single":
        return check_shape(replace(value, layout="sequence"), result)
    return reshaped(value, result.shape)


def _summed(values: Values, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> Value:
    value, dim = values[args[0]], args[1] if len(args) > 1 else kwargs.get("dim")
    if value.layout != "sequence" or dim not in (0, (0,), [0]) or kwargs.get("keepdim"):
        raise UnsupportedError(f"a sum or mean over axes {dim}", "the sum or mean over time of a sequence",
                               "reduce over axis 0 only")
    return check_shape(replace(value, layout="total"), result)


def signature(flow: fl.Flow) -> list[tuple[Any, ...]]:
    """The geometry of a flow, timestep left out."""
    return [(b.source, b.pool, b.pool_mode, b.flat, b.operator, b.holder, b.kernel, b.stride, b.padding, b.groups)
            for b in flow.branches]


def _names(follow: Follow, names: str) -> dict[str, Follow]:
    return dict.fromkeys(names.split(), follow)


CONSTANT = frozenset(
    "zeros_like ones_like empty_like full_like rand_like randn_like new_zeros new_ones new_empty new_full".split())
"""Functions whose result has nothing of their argument's values."""

SYNAPTIC = frozenset(
    "linear bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d matmul __matmul__ __rmatmul__ mm mv "
    "bmm addmm addmv baddbmm einsum tensordot dot lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell "
    "multi_head_attention_forward scaled_dot_product_attention".split())
"""Functions that hold synapses: left out of a trace they would be missed, so they are refused wherever spikes reach them."""

FUNCTIONS: dict[str, Follow] = (
    _names(_same, "detach clone contiguous to float double type cpu data requires_grad identity")
    | _names(_reshape, "flatten view reshape squeeze unflatten")
    | _names(_added, "add __add__ __radd__ __iadd__")
    | _names(_scaled, "mul multiply __mul__ __rmul__ __imul__")
    | _names(_divided, "div divide true_divide __truediv__ __itruediv__ __div__")
    | _names(_relu, "relu") | _names(_dropout, "dropout dropout2d feature_dropout")
    | _names(_averaged, "avg_pool2d")
    | _names(_adaptive, "adaptive_avg_pool2d")
    | _names(_item, "__getitem__") | _names(_select, "select") | _names(_unbind, "unbind") | _names(_stack, "stack")
    | _names(_repeated, "repeat expand") | _names(_unsqueezed, "unsqueeze")
    | _names(_summed, "sum mean")
)
