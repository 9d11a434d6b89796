"""`read_onnx`: an ANN in an ONNX file as an Ann. Written for what PyTorch's two exporters make; the operators are ONNX's own.

Shapes are computed as the graph is read, for a batch of one; what only computes shapes (Shape, Gather, Concat of integers) is
evaluated. A layer is called by the name of its weights, or by the module path that the exporter left in the node's name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.capture.ann import INFINITE, SOFTMAX, Ann, AnnBuilder, Value, factors
from hwsim.capture.errors import UnsupportedError, refusal
from hwsim.capture.flow import layer_shape
from hwsim.capture.geometry import one_side, sides
from hwsim.errors import shown


def read_onnx(path: str | Path, name: str | None = None) -> Ann:
    """The Ann of an ONNX file; `name` is the network's, by default the file's.

    Raises CaptureError that names the node, what was found, what was expected, and what to do.
    """
    where, graph, tensors = _opened(path)
    inputs = [value for value in graph.input if value.name not in tensors]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise refusal(where, "graph", f"{len(inputs)} inputs and {len(graph.output)} outputs", "one of each",
                      "export a classifier that takes images and gives logits")
    sizes = [d.dim_value if d.HasField("dim_value") else 0 for d in inputs[0].type.tensor_type.shape.dim]
    if len(sizes) not in (2, 4) or not all(n > 0 for n in sizes[1:]):
        raise refusal(where, f"input {inputs[0].name!r}", f"shape {sizes}", "(batch, C, H, W) or (batch, N) with fixed sizes",
                      "export with an image of the size that is used; only the batch may be dynamic")
    builder = AnnBuilder(where, name or Path(path).stem, layer_shape(sizes[1:]), len(sizes) == 2)
    uses = Counter(i for node in graph.node for i in node.input)
    values: dict[str, Any] = {**tensors, inputs[0].name: builder.input}
    for node in graph.node:
        builder.place = f"node {node.name!r} ({node.op_type})" if node.name else f"node ({node.op_type})"
        try:
            found = _Node(node, values, builder, uses).result()
            for output, value in zip(node.output, found, strict=False):
                values[output] = value
        except UnsupportedError as error:
            raise builder.refused(error) from None
        except (AttributeError, TypeError, ValueError, KeyError, IndexError) as error:
            raise refusal(where, builder.place, f"{type(error).__name__}: {shown(error, 200, str)}",
                          "a node as the ONNX standard defines it", "export the network again") from error
    builder.place = f"output {graph.output[0].name!r}"
    try:
        return builder.finish(values[graph.output[0].name])
    except UnsupportedError as error:
        raise builder.refused(error) from None


def _opened(path: str | Path) -> tuple[str, Any, dict[str, Any]]:
    """What errors call the file, its graph, and its weights by name."""
    where = str(path)
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise refusal(where, "onnx", f"no ONNX package ({error})", "onnx", "pip install 'hwsim[onnx]'") from None
    if not Path(path).is_file():
        raise refusal(where, "file", "no such file", "an ONNX file", "check the path")
    try:
        model = onnx.load(str(path))
        tensors = {t.name: _as_single(numpy_helper.to_array(t)) for t in model.graph.initializer}
    except Exception as error:  # protobuf and onnx raise a dozen kinds for a damaged file
        raise refusal(where, "file", f"{type(error).__name__}: {shown(error, 200, str)}", "a readable ONNX file",
                      "export the network again") from None
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise refusal(where, f"weights {name!r}", "NaN or infinity", "finite numbers", "export a sound checkpoint")
    return where, model.graph, tensors


def _as_single(array: Any) -> Any:
    return array.astype(np.float32) if array.dtype.kind == "f" else array


class _Node:
    """One node with its inputs read and its attributes as plain values."""

    def __init__(self, node: Any, values: Mapping[str, Any], builder: AnnBuilder, uses: Mapping[str, int]) -> None:
        # An extra, there by now: a file was opened with it.
        from onnx import helper, numpy_helper

        self.node, self.builder, self.kind = node, builder, node.op_type
        self.inputs = [values[name] if name else None for name in node.input]
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if "value" in self.attributes and self.kind == "Constant":
            self.attributes["value"] = _as_single(numpy_helper.to_array(self.attributes["value"]))
        self.uses = uses
        self.sole = bool(node.input) and uses[node.input[0]] == 1

    def result(self) -> list[Any]:
        """The node's outputs."""
        carried = [i for i in self.inputs if isinstance(i, Value)]
        if self.kind == "Shape" and carried:
            return [np.array((1, *self.builder._flow(carried[0]).shape), np.int64)]
        if not carried:
            if self.kind not in CONSTANTS:
                raise UnsupportedError(f"{self.kind} of constants", "operators on activations", "let the exporter fold constants")
            return [CONSTANTS[self.kind](self, *self.inputs)]
        known = OPERATORS.get(self.kind)
        if known is None:
            raise UnsupportedError(f"operator {self.kind}", f"one of {', '.join(OPERATORS)}",
                                   ADVICE.get(self.kind, "replace it and train again"))
        found = known(self, *self.inputs)
        return found if isinstance(found, list) else [found]

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def weights(self, index: int) -> Any:
        """An input that must be a constant."""
        value = self.inputs[index] if len(self.inputs) > index else None
        if isinstance(value, Value):
            raise UnsupportedError("a product of two activations", "weights that are constants",
                                   "attention has no neurons: leave it out and train again")
        return value

    @property
    def holder(self) -> str:
        """The module that the weights belong to: by their name, or by the scopes in the node's."""
        stem, _, last = self.node.input[1].rpartition(".")
        if last == "weight" and stem:
            return str(stem)
        path = ""
        for scope in [s for s in self.node.name.split("/") if s][:-1]:
            before, dot, own = path.rpartition(".")
            path = before + dot + scope if path and scope.startswith(f"{own}.") else f"{path}.{scope}" if path else scope
        return path or self.node.name or self.kind

    def padding(self, kernel: Sequence[int] = ()) -> Any:
        """Zeros on every side, as one number or a pair. `kernel`: the one of the weights, where the node does not say it."""
        word, kernel = self.get("auto_pad", b"NOTSET"), self.get("kernel_shape") or kernel
        if word == b"VALID":
            return [0, 0]
        if word != b"NOTSET":
            odd = bool(kernel) and all(n % 2 for n in kernel)
            if not odd or any(n != 1 for n in self.get("strides") or []):
                raise UnsupportedError(f"auto_pad {word.decode()} with a kernel of {tuple(kernel)}",
                                       "odd kernels and a stride of 1, or pads as numbers", "export with explicit padding")
            return [(n - 1) // 2 for n in kernel]
        pads = list(self.get("pads") or (0, 0, 0, 0))
        if pads[:2] != pads[2:]:
            raise UnsupportedError(f"padding {tuple(pads)}", "the same on both sides", "pad evenly")
        return pads[:2]


def _conv(n: _Node, x: Any, *rest: Any) -> Any:
    w, b = n.weights(1), n.weights(2)
    return n.builder.convolved(x, n.holder, w, b, n.get("strides", [1, 1]), n.padding(w.shape[2:]), n.get("dilations", [1, 1]),
                               n.get("group", 1))


def _gemm(n: _Node, x: Any, *rest: Any) -> Any:
    w, b = n.weights(1), n.weights(2)
    if n.get("alpha", 1.0) != 1 or n.get("beta", 1.0) != 1 or n.get("transA", 0):
        raise UnsupportedError("a Gemm with factors or a transposed input", "x W + b", "export nn.Linear")
    return n.builder.multiplied(x, n.holder, w if n.get("transB", 0) else w.T, b)


def _matmul(n: _Node, x: Any, *rest: Any) -> Any:
    w = n.weights(1)
    return n.builder.multiplied(x, n.holder, w.T, None)


def _batch_norm(n: _Node, x: Any, scale: Any, shift: Any, mean: Any, var: Any) -> Any:
    if n.get("training_mode", 0):
        raise UnsupportedError("a BatchNormalization in training mode", "inference", "export the model in eval mode")
    return n.builder.normalised(x, n.holder, mean, scale / np.sqrt(var + np.float32(n.get("epsilon", 1e-5))), shift, n.sole)


def _clip(n: _Node, x: Any, *rest: Any) -> Any:
    bounds = [n.weights(1), n.weights(2)]
    low = n.get("min") if bounds[0] is None else bounds[0].item()
    high = n.get("max") if bounds[1] is None else bounds[1].item()
    if low is None and n.builder.never_negative(x):
        low = 0
    if low != 0 or (high is not None and high <= 0):
        raise UnsupportedError(f"a Clip from {low} to {high}", "one from 0 to a positive number", "use ReLU or ReLU6")
    return n.builder.activated(x, INFINITE if high is None else float(high))


def _affine(n: _Node, a: Any, b: Any) -> Any:
    """Add, Sub, Mul and Div of activations with each other or with constants."""
    both, build = isinstance(a, Value) and isinstance(b, Value), n.builder
    if both and n.kind == "Add":
        return build.added(a, b)
    if both and n.kind == "Sub":
        return build.added(a, build.scaled(b, -1.0))
    if both or (n.kind == "Div" and isinstance(b, Value)):
        raise UnsupportedError(f"a {n.kind} of two activations", "sums of them", "gates have no neurons: leave them out")
    value, constant = (a, b) if isinstance(a, Value) else (b, a)
    channels = build._flow(value).shape[0]
    zero, one = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    if n.kind in ("Mul", "Div"):
        if np.size(constant) == 1 and value is not build.input:
            return build.scaled(value, float(np.reshape(constant, ())) ** (-1 if n.kind == "Div" else 1))
        gain = factors(constant, channels)
        return build.normalised(value, n.node.name, zero, 1 / gain if n.kind == "Div" else gain, zero, n.sole)
    shift = factors(constant, channels)
    if n.kind == "Sub" and value is b:
        return build.normalised(build.scaled(value, -1.0), n.node.name, zero, one, shift, n.sole)
    mean, shift = (shift, zero) if n.kind == "Sub" else (zero, shift)
    return build.normalised(value, n.node.name, mean, one, shift, n.sole)


def _max_pool(n: _Node, x: Any) -> Any:
    kernel = n.get("kernel_shape")
    return n.builder.largest(x, kernel, n.get("strides", [1] * len(kernel)), n.padding(), n.get("dilations", [1, 1]),
                             bool(n.get("ceil_mode", 0)))


def _average_pool(n: _Node, x: Any) -> Any:
    kernel, padding = n.get("kernel_shape"), n.padding()
    if (gaps := sides("a dilation of", n.get("dilations") or 1)) != 1:
        raise UnsupportedError(f"average pooling with a dilation of {gaps}", "windows without gaps", "use dilation 1")
    counts = bool(n.get("count_include_pad", 0)) or one_side("a padding of", padding) == 0
    return n.builder.averaged(x, kernel, n.get("strides", [1] * len(kernel)), padding, bool(n.get("ceil_mode", 0)), counts)


def _global_max(n: _Node, x: Any) -> Any:
    return n.builder.adaptively_largest(x, 1)


def _reduce_mean(n: _Node, x: Any, axes: Any = None) -> Any:
    axes = n.get("axes") if axes is None else axes.tolist()
    flow = n.builder._flow(x)
    if len(flow.shape) != 3 or sorted(a % 4 for a in axes or ()) != [2, 3]:
        raise UnsupportedError(f"a mean over axes {axes}", "the mean over height and width", "use AdaptiveAvgPool2d(1)")
    averages = n.builder.averaged_whole(flow)
    return averages if n.get("keepdims", 1) else n.builder.flattened(averages)


def _reshape(n: _Node, x: Any, *rest: Any) -> Any:
    flow = n.builder._flow(x)
    wanted: tuple[int, ...] | None
    size, wanted = int(np.prod(flow.shape)), None
    if n.kind == "Flatten":
        wanted = (1, size) if n.get("axis", 1) == 1 else None
    elif n.kind == "Reshape":
        sizes = n.weights(1).tolist()
        sizes = [(1, *flow.shape)[i] if s == 0 and not n.get("allowzero", 0) else s for i, s in enumerate(sizes)]
        known = -int(np.prod(sizes)) if -1 in sizes else 0
        wanted = tuple(size // known if s == -1 and known else s for s in sizes)
    else:  # Squeeze of (1, C, 1, 1)
        wanted = (1, size) if flow.shape[1:] == (1, 1) else None
    if wanted == (1, *flow.shape):
        return flow
    if wanted == (1, size):
        return n.builder.flattened(flow)
    raise UnsupportedError(f"a {n.kind} from {flow.shape} per image to {wanted}", "the same, or flat", "flatten only")


def _softmax(n: _Node, x: Any) -> Any:
    if n.uses[n.node.output[0]]:
        raise UnsupportedError(f"a {n.kind} inside of the network", "one at its very end", "leave it out and train again")
    n.builder.notes.append(SOFTMAX)
    return x


OPERATORS: dict[str, Callable[..., Any]] = {
    "Conv": _conv, "Gemm": _gemm, "MatMul": _matmul, "BatchNormalization": _batch_norm, "Clip": _clip,
    "Relu": lambda n, x: n.builder.activated(x, INFINITE), "Add": _affine, "Sub": _affine, "Mul": _affine, "Div": _affine,
    "MaxPool": _max_pool, "AveragePool": _average_pool, "GlobalAveragePool": lambda n, x: n.builder.averaged_whole(x),
    "GlobalMaxPool": _global_max, "ReduceMean": _reduce_mean, "Flatten": _reshape, "Reshape": _reshape, "Squeeze": _reshape,
    "Identity": lambda n, x: x, "Dropout": lambda n, x, *rest: [x, None], "Cast": lambda n, x: x,
    "Softmax": _softmax, "LogSoftmax": _softmax,
}
"""By the operator's name: what it does to activations."""

CONSTANTS: dict[str, Callable[..., Any]] = {
    "Constant": lambda n: next(np.asarray(v) for v in n.attributes.values()),
    "Identity": lambda n, x: x, "Cast": lambda n, x: x,
    "Gather": lambda n, x, i: np.take(x, i, n.get("axis", 0)),
    "Concat": lambda n, *x: np.concatenate([np.atleast_1d(v) for v in x]),
    "Unsqueeze": lambda n, x, axes=None: np.atleast_1d(x), "Squeeze": lambda n, x, axes=None: np.squeeze(x),
    "Slice": lambda n, x, start, end, *rest: x[int(start[0]) : int(end[0])],
    "Transpose": lambda n, x: np.transpose(x, n.get("perm")), "Reshape": lambda n, x, shape: np.reshape(x, shape),
    "Mul": lambda n, a, b: a * b, "Add": lambda n, a, b: a + b, "Sub": lambda n, a, b: a - b, "Div": lambda n, a, b: a // b
    if a.dtype.kind == "i" else a / b,
}
"""What may be done to weights and shapes on their way."""

ADVICE = dict.fromkeys(
    "LeakyRelu Sigmoid Tanh HardSwish HardSigmoid Elu Selu PRelu Gelu Softplus Erf Mish".split(),
    "replace it by ReLU and train again: spikes carry no negative values, and levels start at zero") | {
    "Concat": "add instead of concatenating: a layer here has one place for what it reads",
    "ConvTranspose": "use a convolution", "Pad": "pad with zeros, in the convolution or pooling itself"}
