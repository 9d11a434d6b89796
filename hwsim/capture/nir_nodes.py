"""The nodes of a NIR graph (nir 1.0), one function each: what a node does to the flow that reaches it.

Definitions are those of the package's docstrings and Pedersen et al., "Neuromorphic intermediate representation", Nature
Communications 15, 2024. NIR is continuous in time; with the forward Euler step dt that SpikingJelly and snnTorch use,

    IF    v <- v + (r dt) I                              fires when v > v_threshold
    LIF   v <- (1 - dt / tau) v + (r dt / tau) I         (v_leak = 0), then the same

Nodes are told apart by class name, so that nir itself is only imported to read a file.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hwsim.capture import flow as fl
from hwsim.capture.errors import UnsupportedError
from hwsim.capture.geometry import convolution, one_side, window
from hwsim.snn.neurons import IntegrateAndFire

Reset = Literal["soft", "hard"]
TOLERANCE = 1e-6  # float32 exports store dt, tau and r rounded: products that should be whole are whole within this


@dataclass(frozen=True, eq=False)
class Firing:
    """A spiking node as hwsim can do it: fires when the summed input exceeds `threshold` (in units of the incoming sums)."""

    neuron: IntegrateAndFire
    threshold: float


def plain(name: str, node: Any, flow: fl.Flow) -> fl.Flow:
    """The flow after a node that does not spike. Raises UnsupportedError."""
    kind = type(node).__name__
    if kind not in PLAIN:
        raise UnsupportedError(f"node {kind}", f"one of {', '.join(('Input', 'Output', *PLAIN, *SPIKING, 'I'))}",
                               REASONS.get(kind, "hwsim has no counterpart"))
    return PLAIN[kind](name, node, flow)


def firing(node: Any, shape: tuple[int, ...], reset: Reset, dt: float) -> Firing:
    """What an IF or LIF node of `shape` becomes. Raises UnsupportedError for what hwsim's neuron cannot do."""
    kind = type(node).__name__
    if np.size(node.v_threshold) != 1 and np.shape(node.v_threshold) != shape:
        raise UnsupportedError(f"neurons of shape {np.shape(node.v_threshold)} for sums of shape {shape}", "equal shapes",
                               "correct the graph")
    threshold, r = uniform("v_threshold", node.v_threshold), uniform("r", node.r)
    _zero("v_reset", node.v_reset)
    if threshold <= 0 or r <= 0:
        raise UnsupportedError(f"v_threshold {threshold:g} and r {r:g}", "both above 0", "such a neuron fires without input")
    if kind == "IF":
        return Firing(IntegrateAndFire(reset), threshold / _snap(r * dt))
    _zero("v_leak", node.v_leak)
    tau = uniform("tau", node.tau)
    return Firing(IntegrateAndFire(reset, leak_shift(tau, dt)), threshold / _snap(r * dt / tau))


def leak_shift(tau: float, dt: float) -> int:
    """k with dt / tau = 2**-k, so that V -= V >> k is the leak. Raises UnsupportedError and names the closest k."""
    if tau <= dt:
        raise UnsupportedError(f"tau {tau:g} with dt {dt:g}", "tau above dt",
                               "give the dt, in the graph's unit of time, of one timestep")
    exact = math.log2(tau / dt)
    k = min(31, max(1, round(exact)))
    if not math.isclose(tau, dt * 2.0**k, rel_tol=TOLERANCE):
        raise UnsupportedError(
            f"a leak of dt / tau = {dt / tau:.6g} a timestep", "a power of two, 2**-k: hwsim leaks by V -= V >> k",
            f"the closest is k = {k}, tau = {dt * 2.0**k:g}: train with it, or change the graph's tau to accept it")
    return k


def _conv2d(name: str, node: Any, flow: fl.Flow) -> fl.Flow:
    weights = _array("weight", node.weight)
    if weights.ndim != 4:
        raise UnsupportedError(f"weights of shape {weights.shape}", "(C_out, C_in / groups, K_y, K_x)", "correct the graph")
    padding = _text(node.padding)
    kernel, stride, pad = convolution(weights.shape[2:], node.stride, padding, node.dilation)
    if isinstance(padding, str) and padding == "same" and stride != 1:
        raise UnsupportedError(f"padding 'same' with stride {stride}", "stride 1", "give the padding as a number")
    return fl.convolved(flow, name, len(weights), kernel, stride, pad, int(node.groups), weights, _bias(node.bias, len(weights)))


def _affine(name: str, node: Any, flow: fl.Flow) -> fl.Flow:
    weights = _array("weight", node.weight)
    if weights.ndim != 2:
        raise UnsupportedError(f"weights of shape {weights.shape}", "(out, in)", "correct the graph")
    return fl.multiplied(flow, name, len(weights), weights, _bias(getattr(node, "bias", None), len(weights)))


def _scale(name: str, node: Any, flow: fl.Flow) -> fl.Flow:
    return fl.scaled(flow, uniform("scale", node.scale))


def _pool(mean: bool) -> Callable[[str, Any, fl.Flow], fl.Flow]:
    def follow(name: str, node: Any, flow: fl.Flow) -> fl.Flow:
        stride = one_side("a pooling stride of", node.stride)
        side = window(np.asarray(node.kernel_size), stride, np.asarray(node.padding))
        return fl.pooled(flow, side, "folded", 1 / side**2 if mean else 1.0)

    return follow


def _flatten(name: str, node: Any, flow: fl.Flow) -> fl.Flow:
    axes, start, end = len(flow.shape), int(node.start_dim), int(node.end_dim)
    if start not in (0, -axes) or end not in (-1, axes - 1):
        raise UnsupportedError(f"a flatten of axes {start} to {end} of {flow.shape}", "axes 0 to -1 (no batch axis in NIR)",
                               "flatten whole samples")
    return fl.flattened(flow)


PLAIN: dict[str, Callable[[str, Any, fl.Flow], fl.Flow]] = {
    "Conv2d": _conv2d, "Linear": _affine, "Affine": _affine, "Scale": _scale, "SumPool2d": _pool(False),
    "AvgPool2d": _pool(True), "Flatten": _flatten,
}
SPIKING = ("IF", "LIF")
REASONS = {
    "CubaLIF": "hwsim's neurons have no synaptic current: train with LIF or IF",
    "CubaLI": "hwsim's read-outs have neither leak nor synaptic current: end in a Linear, Affine or I node",
    "LI": "hwsim's read-outs do not leak: end in a Linear, Affine or I node",
    "Threshold": "hwsim's neurons keep their potential: use IF or LIF",
    "Delay": "events of hwsim have no delay",
    "Conv1d": "use Conv2d",
    "NIRGraph": "graphs within graphs (recurrent layers are written so) are not taken over",
    "I": "an integrator is only taken over as the last node before an Output",
}


def _array(what: str, value: Any) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if not np.isfinite(array).all():
        raise UnsupportedError(f"NaN or infinity in {what}", "finite numbers", "export a sound checkpoint")
    return array


def uniform(what: str, value: Any) -> float:
    """The one value of a parameter that may be given by neuron. Raises UnsupportedError when neurons differ."""
    array = _array(what, value).reshape(-1)
    if not array.size or float(array.max()) != float(array.min()):
        extremes = f" from {array.min():g} to {array.max():g}" if array.size else ""
        raise UnsupportedError(f"{what} that differs from neuron to neuron{extremes}", "one value for all of a node",
                               "a core compares all neurons of a layer with one threshold: train with one value a layer")
    return float(array[0])


def _zero(what: str, value: Any) -> None:
    array = _array(what, value)
    if array.any():
        raise UnsupportedError(f"{what} of {array[array != 0].reshape(-1)[0]:g}", "0", "shift the potentials to rest at 0")


def _bias(value: Any, outputs: int) -> np.ndarray | None:
    if value is None:
        return None
    bias = _array("bias", value).reshape(-1)
    if bias.size not in (1, outputs):
        raise UnsupportedError(f"a bias of shape {np.shape(value)}", f"({outputs},)", "correct the graph")
    return np.broadcast_to(bias, (outputs,)).reshape(-1, 1, 1) if bias.any() else None


def _snap(gain: float) -> float:
    return 1.0 if math.isclose(gain, 1.0, rel_tol=TOLERANCE) else gain


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
