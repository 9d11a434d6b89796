"""`read_torch`: the graph of somebody's PyTorch ANN, by `torch.export`, as an Ann.

torch.export runs the model's Python once with tensors that have shapes and no values, so branches and loops over shapes, asserts
and intermediate results of any kind are followed. It took 9 of 11 ways to write a model where torch.fx took 6
(benchmarks/tracers.py). The graph's operations name the module that they come from; a refusal says it.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from hwsim.capture.ann import INFINITE, SOFTMAX, Ann, AnnBuilder, Value, factors
from hwsim.capture.errors import CaptureError, UnsupportedError, refusal
from hwsim.capture.flow import layer_shape
from hwsim.capture.torch_model import inference


def read_torch(model: Any, image_shape: tuple[int, ...], where: str, name: str | None = None) -> Ann:
    """The Ann of a torch.nn.Module for images of `image_shape`, (C, H, W) or (N,); it is given back in the mode it had.

    where   what errors begin with, e.g. the user's file.     name   the network's; by default its class.
    Raises CaptureError that names the module, what was found, what was expected, and what to do.
    """
    if not isinstance(model, nn.Module):
        raise refusal(where, "model", f"a {type(model).__name__}", "a torch.nn.Module", "give the model itself")
    _check_weights(model, where)
    with inference(model), torch.no_grad():
        program = _exported(model, image_shape, where)
    return _Reader(program, model, image_shape, where, name or type(model).__name__).read()


def outputs_of(model: nn.Module, images: Any) -> Any:
    """The model's own logits (N, classes) of images (N, ...), at inference, as a float64 array."""
    with inference(model), torch.no_grad():
        like = next(model.parameters())
        given = torch.from_numpy(np.array(images, order="C")).to(like.device, like.dtype)  # models view samples as flat
        return model(given).double().cpu().numpy()


def _check_weights(model: nn.Module, where: str) -> None:
    for kind in ("parameter", "buffer"):
        for path, tensor in getattr(model, f"named_{kind}s")():
            if type(tensor).__name__.startswith("Uninitialized"):
                raise refusal(where, f"{kind} {path!r}", "a lazy module that was never run", "weights", "run the model once")
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise refusal(where, f"{kind} {path!r}", "NaN or infinity", "finite numbers", "load a sound checkpoint")
    if not any(True for _ in model.parameters()):
        raise refusal(where, f"the model ({type(model).__name__})", "no weights", "a trained network", "give the network itself")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the traceback that torch logs of an error before it raises the error."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _exported(model: nn.Module, image_shape: tuple[int, ...], where: str) -> Any:
    like = next(model.parameters())
    image = torch.zeros(1, *image_shape, dtype=like.dtype, device=like.device)
    try:
        with _quiet():
            return torch.export.export(model, (image,), strict=False)
    except Exception as error:  # whatever the model's own code raises
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise refusal(where, f"the model ({type(model).__name__})", f"{type(error).__name__}: {(lines or [''])[0][:300]}",
                      f"a model that torch.export can trace with an image of shape {(1, *image_shape)}",
                      "see whether it takes such an image at all; leave out what branches on values") from error


class _Reader:
    """Calls the builder with the operations of an exported program, one after the other."""

    def __init__(self, program: Any, model: nn.Module, image_shape: tuple[int, ...], where: str, name: str) -> None:
        self.graph, self.modules = program.graph, dict(model.named_modules())
        self.builder = AnnBuilder(where, name, layer_shape(image_shape), len(image_shape) == 1)
        self.values: dict[Any, Any] = {}
        self.paths: dict[Any, str] = {}
        self.first: dict[Any, Any] = {}  # of the result of an operation in place, the node whose tensor it is
        tensors = {**program.state_dict, **program.constants}
        given = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
        for node in self.graph.nodes:
            if node.op == "placeholder":
                target = given[node.name].target
                self.paths[node] = target or ""
                self.values[node] = self.builder.input if target is None else _array(tensors[target])

    def read(self) -> Ann:
        for node in self.graph.nodes:
            if node.op == "placeholder":
                continue
            try:
                if node.op == "output":
                    return self._finish(node)
                self.builder.place = self._place(node)
                found = self._operation(node)
                if _is_in_place(node):
                    self.first[node] = self._first(node.args[0])
                self.values[self._first(node)] = found
            except UnsupportedError as error:
                raise self.builder.refused(error) from None
        raise AssertionError("a graph ends with its output")

    def _finish(self, node: Any) -> Ann:
        found = node.args[0]
        while isinstance(found, (tuple, list)) and len(found) == 1:
            found = found[0]
        if isinstance(found, (tuple, list)) or self.values.get(self._first(found)) is None:
            raise UnsupportedError("several outputs", "the logits only", "return one tensor in eval mode")
        return self.builder.finish(self.values[self._first(found)])

    def _place(self, node: Any) -> str:
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path = stack[-1][0] if stack else ""
        kind = type(self.modules[path]).__name__ if path in self.modules else "?"
        return f"module {path!r} ({kind})" if path else f"the model ({kind})"

    def _operation(self, node: Any) -> Any:
        """The value of a node: a Value, or an array where no activation is in it."""
        kind = _kind(node)
        args = [self._read(a) for a in node.args]
        kwargs = {name: self._read(a) for name, a in node.kwargs.items()}
        if not any(_is_value(a) for a in args):
            if kind in OPERATIONS or kind not in CONSTANTS:
                raise UnsupportedError(f"{kind} of constants", "operations on activations", "compute it outside of forward")
            return CONSTANTS[kind](*args, **kwargs)
        known = OPERATIONS.get(kind)
        if known is None:
            raise UnsupportedError(kind, f"one of {', '.join(SHOWN)}", ADVICE.get(kind, "replace it and train again"))
        return known(_Call(self, node), *args, **kwargs)

    def _first(self, node: Any) -> Any:
        """The node that holds the value of `node`: what is changed in place is changed for all who read it later."""
        return self.first.get(node, node)

    def _read(self, arg: Any) -> Any:
        if isinstance(arg, torch.fx.Node):
            return self.values[self._first(arg)]
        return [self._read(a) for a in arg] if isinstance(arg, (list, tuple)) else arg


class _Call:
    """What an operation may ask besides its arguments."""

    def __init__(self, reader: _Reader, node: Any) -> None:
        self.builder, self.reader, self.node = reader.builder, reader, node

    @property
    def holder(self) -> str:
        """The path of the module that the operation's weights belong to."""
        return self.reader.paths.get(self.node.args[1], "").rpartition(".")[0] or self.path

    @property
    def path(self) -> str:
        """The path of the module that the operation is called in."""
        stack = list((self.node.meta.get("nn_module_stack") or {}).values())
        return stack[-1][0] if stack and stack[-1][0] else str(self.node.name)

    @property
    def sole(self) -> bool:
        """Whether nothing else reads the first argument."""
        return len(self.node.args[0].users) == 1

    def kept(self, value: Any, shape: tuple[int, ...]) -> Any:
        """The value, if reshaping it to `shape` keeps it or flattens samples."""
        flow = self.builder._flow(value)
        if tuple(shape) == (1, *flow.shape):
            return flow
        if len(shape) == 2 and shape[1] == int(np.prod(flow.shape)):
            return self.builder.flattened(flow)
        raise UnsupportedError(f"a reshape from {flow.shape} to {tuple(shape[1:])} per image", "the same, or flat",
                               "flatten only")


def _array(tensor: torch.Tensor) -> Any:
    values = tensor.detach().cpu()
    return values.float().numpy() if values.is_floating_point() else values.numpy()


def _is_value(arg: Any) -> bool:
    return isinstance(arg, Value) or (isinstance(arg, list) and any(_is_value(a) for a in arg))


def _is_in_place(node: Any) -> bool:
    return str(node.target).removeprefix("aten.").partition(".")[0].endswith("_")


def _kind(node: Any) -> str:
    """`conv2d` of aten.conv2d.default; in-place operations by the plain name."""
    if node.target is operator.getitem:
        return "getitem"
    name = str(node.target)
    return name.removeprefix("aten.").partition(".")[0].rstrip("_") if name.startswith("aten.") else name


# -- operations: (call, arguments of the aten operation) -----------------------------------------------------------------


def _conv2d(call: _Call, x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
            groups: int = 1) -> Any:
    return call.builder.convolved(x, call.holder, weight, bias, stride, padding, dilation, groups)


def _linear(call: _Call, x: Any, weight: Any, bias: Any = None) -> Any:
    return call.builder.multiplied(x, call.holder, weight, bias)


def _batch_norm(call: _Call, x: Any, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float,
                *rest: Any) -> Any:
    if mean is None or training:
        raise UnsupportedError("a BatchNorm that uses the statistics of the batch", "running statistics",
                               "train it with track_running_stats")
    gain = np.ones_like(mean) if weight is None else weight
    return call.builder.normalised(x, call.path, mean, gain / np.sqrt(var + np.float32(eps)),
                                   np.zeros_like(mean) if bias is None else bias, call.sole)


def _relu(call: _Call, x: Any) -> Any:
    return call.builder.activated(x, INFINITE)


def _clipped(call: _Call, x: Any, low: Any = None, high: Any = None) -> Any:
    if low is None and call.builder.never_negative(x):
        low = 0
    if low is None or low != 0 or (high is not None and high <= 0):
        raise UnsupportedError(f"an activation from {low} to {high}", "one from 0 to a positive number", "use ReLU or ReLU6")
    return call.builder.activated(x, INFINITE if high is None else float(high))


def _hardtanh(call: _Call, x: Any, low: float = -1.0, high: float = 1.0) -> Any:
    return _clipped(call, x, low, high)


def _relu6(call: _Call, x: Any) -> Any:
    return call.builder.activated(x, 6.0)


def _add(call: _Call, a: Any, b: Any, alpha: float = 1, minus: bool = False) -> Any:
    sign = -float(alpha) if minus else float(alpha)
    if _is_value(a) and _is_value(b):
        return call.builder.added(a, b if sign == 1 else call.builder.scaled(b, sign))
    value, constant = (a, b) if _is_value(a) else (b, a)
    if minus and value is b:
        value = call.builder.scaled(b, -1.0)
        sign = 1.0
    channels = call.builder._flow(value).shape[0]
    zero, one = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    shift = factors(constant, channels) * np.float32(abs(sign))
    mean, shift = (shift, zero) if sign < 0 else (zero, shift)
    return call.builder.normalised(value, call.path, mean, one, shift, call.sole)


def _sub(call: _Call, a: Any, b: Any, alpha: float = 1) -> Any:
    return _add(call, a, b, alpha, minus=True)


def _mul(call: _Call, a: Any, b: Any, divide: bool = False) -> Any:
    if _is_value(a) and _is_value(b):
        raise UnsupportedError("a product of two activations", "products with constants",
                               "gates (squeeze and excitation, attention) have no neurons: leave them out and train again")
    value, constant = (a, b) if _is_value(a) else (b, a)
    if divide and value is b:
        raise UnsupportedError("a division by activations", "a division by a constant", "leave it out and train again")
    number = np.asarray(constant)
    if number.size == 1 and value is not call.builder.input:
        return call.builder.scaled(value, 1 / float(number) if divide else float(number))
    channels = call.builder._flow(value).shape[0]
    gain, zero = factors(constant, channels), np.zeros(channels, np.float32)
    return call.builder.normalised(value, call.path, zero, 1 / gain if divide else gain, zero, call.sole)


def _div(call: _Call, a: Any, b: Any) -> Any:
    return _mul(call, a, b, divide=True)


def _max_pool2d(call: _Call, x: Any, kernel: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil: bool = False
                ) -> Any:
    return call.builder.largest(x, kernel, stride, padding, dilation, ceil)


def _avg_pool2d(call: _Call, x: Any, kernel: Any, stride: Any = None, padding: Any = 0, ceil: bool = False,
                padding_counts: bool = True, divisor: int | None = None) -> Any:
    if divisor is not None:
        raise UnsupportedError(f"average pooling with divisor_override {divisor}", "averages", "leave divisor_override out")
    return call.builder.averaged(x, kernel, stride, padding, ceil, padding_counts)


def _adaptive_avg_pool2d(call: _Call, x: Any, size: Any) -> Any:
    return call.builder.adaptively_averaged(x, size)


def _adaptive_max_pool2d(call: _Call, x: Any, size: Any) -> Any:
    return [call.builder.adaptively_largest(x, size), None]


def _mean(call: _Call, x: Any, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    flow = call.builder._flow(x)
    if len(flow.shape) != 3 or sorted(d % 4 for d in (dims or ())) != [2, 3]:
        raise UnsupportedError(f"a mean over axes {dims}", "the mean over height and width", "use AdaptiveAvgPool2d(1)")
    averages = call.builder.averaged_whole(flow)
    return averages if keepdim else call.builder.flattened(averages)


def _reshaped(call: _Call, x: Any, *rest: Any) -> Any:
    return call.kept(x, tuple(int(n) for n in call.node.meta["val"].shape))


def _dropout(call: _Call, x: Any, probability: float = 0.5, training: bool = False) -> Any:
    if training and probability:
        raise UnsupportedError("dropout in training mode", "inference", "use nn.Dropout, or pass training=self.training")
    return x


def _same(call: _Call, x: Any, *rest: Any, **more: Any) -> Any:
    return x


def _softmax(call: _Call, x: Any, *rest: Any, **more: Any) -> Any:
    if any(user.op != "output" for user in call.node.users):
        raise UnsupportedError("a softmax inside of the network", "one at its very end", "leave it out and train again")
    call.builder.notes.append(SOFTMAX)
    return x


def _getitem(call: _Call, x: Any, index: int) -> Any:
    if not isinstance(x, list) or x[index] is None:
        raise UnsupportedError("a part of a value", "whole values", "do not index activations")
    return x[index]


def _names(operation: Callable[..., Any], names: str) -> dict[str, Callable[..., Any]]:
    return dict.fromkeys(names.split(), operation)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "conv2d": _conv2d, "linear": _linear, "batch_norm": _batch_norm, "relu": _relu, "hardtanh": _hardtanh, "relu6": _relu6,
    "clamp": _clipped, "clamp_min": _clipped, "add": _add, "sub": _sub, "mul": _mul, "div": _div, "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d, "adaptive_avg_pool2d": _adaptive_avg_pool2d, "adaptive_max_pool2d": _adaptive_max_pool2d,
    "mean": _mean, "getitem": _getitem,
    **_names(_reshaped, "flatten view reshape squeeze unsqueeze unflatten _unsafe_view"),
    **_names(_same, "to _to_copy contiguous clone detach alias lift_fresh_copy _assert_tensor_metadata"),
    **_names(_dropout, "dropout feature_dropout"), **_names(_softmax, "softmax log_softmax _softmax _log_softmax"),
}
"""By the name of the aten operation."""

CONSTANTS: dict[str, Callable[..., Any]] = {
    **_names(lambda x, *rest, **more: x, "to _to_copy contiguous clone detach alias lift_fresh_copy"),
    "view": lambda x, shape: x.reshape(shape), "reshape": lambda x, shape: x.reshape(shape),
    "unsqueeze": np.expand_dims, "_assert_tensor_metadata": lambda *args, **more: None,
}
"""What may be done to weights and constants on their way."""

SHOWN = ("convolution", "linear", "BatchNorm", "ReLU", "ReLU6", "max, average and adaptive pooling", "addition", "flatten",
         "dropout")

ADVICE = dict.fromkeys(
    "gelu silu hardswish leaky_relu elu selu prelu sigmoid tanh mish hardsigmoid softplus celu".split(),
    "replace it by ReLU and train again: spikes carry no negative values, and levels start at zero") | dict.fromkeys(
    "cat concat stack".split(), "add instead of concatenating: a layer here has one place for what it reads") | {
    "matmul": "write it as nn.Linear", "layer_norm": "use BatchNorm, which folds into weights",
    "group_norm": "use BatchNorm, which folds into weights", "instance_norm": "use BatchNorm, which folds into weights",
    "conv_transpose2d": "use a convolution", "pad": "pad with zeros, in the convolution or pooling itself"}


def verified(model: nn.Module, found: Any, images: Any, softmax: bool, where: str) -> None:
    """Refuse an Ann whose logits `found` (N, classes) of `images` are not the model's: what was read must be what it computes."""
    expected = outputs_of(model, images)
    shares = torch.from_numpy(found).softmax(1).numpy()  # a softmax at the end was left to the host
    near = 1e-3 * max(1.0, float(np.abs(expected).max()))
    if expected.shape != found.shape or not any(np.allclose(x, expected, rtol=1e-3, atol=near)
                                                for x in (found, *((np.log(shares), shares) if softmax else ()))):
        off = "other shapes" if expected.shape != found.shape else f"logits that differ by {np.abs(found - expected).max():.3g}"
        raise CaptureError(f"{where}: the network as read gives {off}, expected those of the model; this is a fault of hwsim, "
                           "please report the model")
