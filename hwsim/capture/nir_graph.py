"""`from_nir` and `capture_nir`: a NIR graph becomes an integer Network, and with inputs a Trace that replays closed loop.

NIR leaves two things open that spikes depend on: how a neuron resets (its IF and LIF reset to v_reset; converted networks
subtract the threshold) and the length of a timestep. Both are asked for and never guessed. Weights are taken exactly where
integers can, else rounded (`hwsim.capture.quantise`), and the trace's provenance says which, with every layer's scale and
how many spikes differ from the graph evaluated in float64. docs/capture.md lists the nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.capture import flow as fl
from hwsim.capture.errors import UnsupportedError, refusal
from hwsim.capture.inputs import Inputs, read_inputs, read_labels
from hwsim.capture.nir_float import Step, changed, float_spikes
from hwsim.capture.nir_nodes import SPIKING, Firing, Reset, firing, plain, uniform
from hwsim.capture.quantise import Scaled, quantise
from hwsim.errors import shown
from hwsim.snn.forward import forward, safe_potential_bits
from hwsim.snn.network import INPUT, InputSpec, Layer, Network
from hwsim.snn.neurons import ReadOut
from hwsim.snn.sample import Sample
from hwsim.snn.validate import MAX_TIMESTEPS, is_int, validate_network
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter

POTENTIAL_BITS = 24
HINTS = {"dt": "it is the length of a timestep in the graph's unit of time (1e-4 from SpikingJelly and snnTorch)",
         "input_scale": "it is what one unit of an image is to the graph, e.g. 1 / 255"}


@dataclass(frozen=True, eq=False)
class Settings:
    """What the caller decides: see `capture_nir`."""

    where: str
    reset: Reset
    dt: float
    timesteps: int
    weight_bits: int
    input_scale: float


@dataclass(eq=False)
class Taken:
    """A graph taken over: layers in order, how each came about, its scale, and what must be said."""

    layers: list[Layer] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    scales: dict[str, float] = field(default_factory=dict)
    rounded: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def from_nir(
    graph: Any, *, reset: Reset, dt: float, timesteps: int, encoding: Literal["spikes", "direct"] = "spikes",
    payload_bits: int = 8, signed: bool = False, weight_bits: int = 8, input_scale: float = 1.0,
) -> Network:
    """The integer Network of a NIR graph (a nir.NIRGraph or the path of one).

    reset, dt, weight_bits, input_scale   as for `capture_nir`.      timesteps   T of every layer.
    encoding   what will drive it: `spikes` (T planes) or `direct` values of `payload_bits` bits, `signed` or not.

    Potentials are 24 bits wide, or as wide as thresholds and biases need. Raises CaptureError.
    """
    opened, where = _open(graph)
    shape = _input_shape(opened, where)
    settings = _settings(where, reset, dt, timesteps, weight_bits, input_scale)
    driven = {"spikes": (settings.timesteps, 0), "direct": (1, payload_bits)}
    if encoding not in driven:
        raise refusal(where, "encoding", repr(encoding), " or ".join(map(repr, driven)), "choose one")
    planes, bits = driven[encoding]
    spec = InputSpec(fl.layer_shape(shape), encoding, planes, bits, signed)
    return _network(spec, _take(opened, spec, settings), where)


def capture_nir(
    graph: Any, inputs: ArrayLike, labels: Sequence[int] | NDArray[Any] | None = None, *, reset: Reset, dt: float,
    timesteps: int | None = None, weight_bits: int = 8, input_scale: float = 1.0, out: str | Path | None = None,
    name: str | None = None, provenance: Mapping[str, Any] | None = None, progress: Callable[[int, int], None] | None = None,
) -> Trace:
    """Compute what a NIR graph does on `inputs`, in integers, as a Trace that replays with every spike compared.

    graph        a nir.NIRGraph, or the path of one.
    inputs       spikes (samples, T, C, H, W) or (samples, T, N); or images of whole numbers (samples, C, H, W) or (samples, N),
                 the same in every timestep, times `input_scale` (e.g. 1 / 255) what the graph expects.
    reset        `soft` (subtract the threshold) or `hard` (to zero, NIR's definition).
    dt           length of a timestep in the graph's unit of time; SpikingJelly and snnTorch export with 1e-4.
    timesteps    T, for images; spikes bring their own.
    weight_bits  width that weights are rounded to where they cannot be taken exactly.

    Raises CaptureError that names the node and why, or TraceError.
    """
    opened, where = _open(graph)
    shape = _input_shape(opened, where)
    given = read_inputs(where, inputs)
    classes = read_labels(where, labels, len(given.values))
    _check_inputs(where, given, shape, timesteps)
    planes = given.spec.timesteps if given.spec.is_spikes else timesteps
    settings = _settings(where, reset, dt, planes, weight_bits, input_scale)
    taken = _take(opened, given.spec, settings)
    samples = [np.ascontiguousarray(row.transpose(0, 2, 3, 1)) for row in given.recorded]
    network = _wide_enough(_network(given.spec, taken, where), samples)
    # Spikes are computed twice, to compare and to write, rather than kept: memory does not grow with the samples.
    different = sum(changed(float_spikes(network, taken.steps, s), forward(network, s)[0]) for s in samples)
    about = _provenance(opened, settings, given, taken, network, different, len(samples)) | dict(provenance or {})
    title = name or (Path(out).stem if out is not None else Path(where).stem)
    with TraceWriter(network, out, name=title, provenance=about) as writer:
        for index, inside in enumerate(samples):
            recorded, potentials = forward(network, inside)
            read = {layer.name: potentials[layer.name] for layer in network if not layer.sends}
            writer.append(Sample(inside, recorded), label=None if classes is None else classes[index], potentials=read)
            if progress:
                progress(index + 1, len(samples))
        return writer.finish()


# -- reading ------------------------------------------------------------------------------------------------------------


def _open(graph: Any) -> tuple[Any, str]:
    """The graph object and what to call it in errors."""
    if not isinstance(graph, (str, Path)):
        if not hasattr(graph, "nodes") or not hasattr(graph, "edges"):
            raise refusal("NIR graph", "graph", f"a {type(graph).__name__}", "a nir.NIRGraph or a path", "give one of them")
        return graph, "NIR graph"
    where = str(graph)
    if not Path(graph).is_file():
        raise refusal(where, "file", "no such file", "a NIR graph", "check the path")
    try:
        import nir
    except ImportError as error:
        raise refusal(where, "nir", f"no package nir ({error})", "nir 1.0", "pip install 'hwsim[nir]'") from None
    try:
        return nir.read(where, type_check=False), where
    except Exception as error:
        raise refusal(where, "file", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", "a NIR graph",
                      "write it with nir.write, nir 1.0") from error


def _title(where: str) -> str:
    return where if where == "NIR graph" else f"NIR graph {Path(where).name}"


def _input_shape(graph: Any, where: str) -> tuple[int, ...]:
    nodes = {name: node for name, node in graph.nodes.items() if type(node).__name__ == "Input"}
    if len(nodes) != 1:
        raise refusal(where, "graph", f"{len(nodes)} Input nodes", "one", "merge them, or give the graph an Input node")
    name, node = next(iter(nodes.items()))
    try:
        shape = tuple(int(n) for n in np.asarray(node.input_type["input"]).reshape(-1)[:9])
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise refusal(where, f"node {name!r} (Input)", shown(error, 200, str), "an input_type of whole numbers",
                      "export the graph again") from None
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise refusal(where, f"node {name!r} (Input)", f"shape {shape}", "(C, H, W) or (N,)", "export without the batch axis")
    return shape


def _settings(where: str, reset: Any, dt: Any, timesteps: Any, weight_bits: Any, input_scale: Any) -> Settings:
    if reset not in ("soft", "hard"):
        raise refusal(where, "reset", repr(reset), "'soft' (subtract the threshold) or 'hard' (to zero)",
                      "NIR does not say which the network was trained with: look it up where it was exported")
    for what, value in (("dt", dt), ("input_scale", input_scale)):
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value) or value <= 0:
            raise refusal(where, what, repr(value), "a number above 0", HINTS[what])
    if not is_int(weight_bits, 2, 32):
        raise refusal(where, "weight_bits", repr(weight_bits), "2 to 32", "choose a width")
    if not is_int(timesteps, 1, MAX_TIMESTEPS):
        raise refusal(where, "timesteps", repr(timesteps), f"1 to {MAX_TIMESTEPS}", "correct it")
    return Settings(where, reset, float(dt), int(timesteps), int(weight_bits), float(input_scale))


def _check_inputs(where: str, given: Inputs, shape: tuple[int, ...], timesteps: int | None) -> None:
    if tuple(given.values.shape[-len(shape):]) != shape or given.flat != (len(shape) == 1):
        raise refusal(where, "inputs", f"shape {given.values.shape}", f"samples of shape {shape}, as the Input node says",
                      "reshape them")
    if given.spec.is_spikes:
        if timesteps not in (None, given.spec.timesteps):
            raise refusal(where, "timesteps", repr(timesteps), f"{given.spec.timesteps}, as many as the input's planes",
                          "leave it out")
        return
    if timesteps is None:
        raise refusal(where, "timesteps", "none", "how many timesteps an image lasts",
                      "give timesteps, or spikes with an axis of time")
    if not given.note.startswith("whole"):
        raise refusal(where, "inputs", f"{given.values.dtype} values that are not whole", "whole numbers, e.g. pixels 0 to 255",
                      "give integers, and input_scale for what one unit is to the graph")


# -- the graph ----------------------------------------------------------------------------------------------------------


def _take(graph: Any, spec: InputSpec, settings: Settings) -> Taken:
    """Walk the graph in order; every refusal names the node."""
    taken = Taken()
    flows: dict[str, fl.Flow] = {}
    names = dict(zip(graph.nodes, fl.layer_names([str(name) for name in graph.nodes]), strict=True))
    before: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        for end in (source, target):
            if end not in before:
                raise refusal(settings.where, f"edge {source!r} -> {target!r}", f"no node {end!r}", "edges between nodes",
                              "correct the graph")
        if source in before[target]:
            raise refusal(settings.where, f"edge {source!r} -> {target!r}", "it twice", "it once", "double the weights instead")
        before[target].append(source)
    for name in _ordered(graph, before, settings.where):
        node = graph.nodes[name]
        try:
            flows[name] = _node(names[name], node, [flows[s] for s in before[name]], spec, settings, taken)
        except UnsupportedError as error:
            raise refusal(settings.where, _place(name, node), error.found, error.expected, error.do) from None
        except (AttributeError, TypeError, ValueError, KeyError, ArithmeticError, IndexError) as error:
            found = f"{type(error).__name__}: {shown(error, 200, str)}"
            raise refusal(settings.where, _place(name, node), found, "a node as nir 1.0 defines it", "export the graph again"
                          ) from error
    if not any(step.firing for step in taken.steps):
        raise refusal(settings.where, "graph", "no spiking node", f"at least one of {', '.join(SPIKING)}",
                      "export a spiking network")
    return taken


def _place(name: str, node: Any) -> str:
    return f"node {name!r} ({type(node).__name__})"


def _node(name: str, node: Any, incoming: list[fl.Flow], spec: InputSpec, settings: Settings, taken: Taken) -> fl.Flow:
    kind = type(node).__name__
    if kind == "Input":
        if incoming:
            raise UnsupportedError("edges that lead into it", "none", "correct the graph")
        flat = len(np.asarray(node.input_type["input"]).reshape(-1)) == 1
        flow = fl.source_flow(INPUT, spec.shape, flat, varies=spec.is_spikes)
        return fl.scaled(flow, settings.input_scale) if spec.is_direct else flow
    if not incoming:
        raise UnsupportedError("no edge that leads here", "at least one", "connect it, or remove the node")
    flow = incoming[0]
    for other in incoming[1:]:
        flow = fl.added(flow, other)
    if kind in SPIKING:
        return _spiking(name, flow, firing(node, flow.shape, settings.reset, settings.dt), settings, taken)
    if kind in ("Output", "I") and flow.weighted:
        gain = settings.dt * uniform("r", node.r) if kind == "I" else 1.0
        return _read_out(flow.holders[-1] if kind == "Output" else name, fl.scaled(flow, gain), settings, taken)
    if kind == "Output":
        if any(b.pool > 1 or b.gain != 1 for b in flow.branches) or len(flow.branches) > 1:
            raise UnsupportedError("pooled, scaled or summed spikes", "spikes of one layer, or weighted sums",
                                   "do this outside the network")
        return flow
    return plain(name, node, flow)


def _spiking(name: str, flow: fl.Flow, how: Firing, settings: Settings, taken: Taken) -> fl.Flow:
    """A spiking layer. NIR fires when v > threshold, hwsim when V >= theta.

    In integers v > theta is V >= theta + 1 where a reset writes zero. Where it subtracts theta, potentials start at -1 and stay 1
    below v for good. A leak would not keep them there, so a leaky neuron with a soft reset also fires exactly at its threshold.
    """
    soft, leak = how.neuron.reset == "soft", how.neuron.leak_shift
    made = quantise(flow, settings.weight_bits, how.threshold, leak is not None)
    level = how.threshold * made.scale
    theta = round(level) if soft else math.floor(level + 1e-9 * max(1.0, level)) + 1
    if theta < 1:
        raise UnsupportedError(f"a threshold of {how.threshold:.4g}, {level:.4g} on the weights' scale",
                               "1 or more on that scale", "raise weight_bits")
    if level > 2.0**62:
        raise UnsupportedError(f"a threshold of {how.threshold:.4g}", "one that a sum can reach", "check r, tau and dt")
    start = -1 if soft and leak is None else 0
    layer = Layer(name, fl.layer_shape(flow.shape), _connections(flow, made), how.neuron, settings.timesteps,
                  np.full(settings.timesteps, theta, np.int64), made.bias, np.full((1, 1, 1), start, np.int64))
    _keep(taken, layer, flow, how, made)
    if leak is not None:
        tie = "; fires also when exactly at its threshold" if soft else ""
        taken.notes.append(f"{name}: the leak V >> {leak} rounds down{tie}")
    return fl.source_flow(name, layer.shape, len(flow.shape) == 1)


def _read_out(name: str, flow: fl.Flow, settings: Settings, taken: Taken) -> fl.Flow:
    """Weighted sums that reach an Output are added up over all timesteps; so is the bias."""
    made = quantise(flow, settings.weight_bits, None, False)
    start = np.zeros((1, 1, 1), np.int64) if made.bias is None else made.bias * settings.timesteps
    layer = Layer(name, fl.layer_shape(flow.shape), _connections(flow, made), ReadOut(), settings.timesteps,
                  initial_potential=start)
    _keep(taken, layer, flow, None, made)
    return fl.source_flow(name, layer.shape, len(flow.shape) == 1)


def _keep(taken: Taken, layer: Layer, flow: fl.Flow, how: Firing | None, made: Scaled) -> None:
    taken.layers.append(layer)
    taken.steps.append(Step(layer.name, flow, how))
    taken.scales[layer.name] = made.scale
    if not made.exact:
        taken.rounded.append(layer.name)


def _connections(flow: fl.Flow, made: Scaled) -> tuple[Any, ...]:
    return tuple(b.connection(w) for b, w in zip(flow.branches, made.weights, strict=True))


def _ordered(graph: Any, before: Mapping[str, list[str]], where: str) -> list[str]:
    """Node names, each after all that lead to it, else as the graph lists them. A loop is refused."""
    order: list[str] = []
    left = dict.fromkeys(graph.nodes)
    while left:
        ready = [name for name in left if all(s not in left for s in before[name])]
        if not ready:
            stuck = [f"{name!r} ({type(graph.nodes[name]).__name__})" for name in left]
            raise refusal(where, f"nodes {', '.join(stuck)[:200]}", "a loop", "edges that lead forward",
                          "recurrent networks are not taken over")
        order += ready
        for name in ready:
            del left[name]
    return order


# -- the network ----------------------------------------------------------------------------------------------------------


def _network(spec: InputSpec, taken: Taken, where: str) -> Network:
    """All layers at 24 bits, or as wide as their constants need. Raises CaptureError when it is no sound network."""
    layers = []
    for layer in taken.layers:
        constants = [*layer.thresholds.tolist(), *layer.initial_potential.reshape(-1).tolist()]
        constants += [] if layer.bias is None else layer.bias.reshape(-1).tolist()
        bits = max(POTENTIAL_BITS, *(1 + (int(n) if n >= 0 else ~int(n)).bit_length() for n in constants))
        layers.append(replace(layer, potential_bits=bits))
    network = Network(spec, tuple(layers))
    if problems := validate_network(network):
        raise refusal(where, "graph", f"a network that is not sound: {'; '.join(problems)[:500]}", "a sound one",
                      "correct the graph")
    return network


def _wide_enough(network: Network, samples: Sequence[NDArray[np.integer]]) -> Network:
    """Potentials at least as wide as these samples need, so that nothing saturates."""
    needed = safe_potential_bits(network, samples)
    return replace(network, layers=tuple(replace(x, potential_bits=max(x.potential_bits, needed[x.name])) for x in network))


def _provenance(
    graph: Any, settings: Settings, given: Inputs, taken: Taken, network: Network, different: int, samples: int
) -> dict[str, Any]:
    outputs = samples * sum(layer.neurons * layer.timesteps for layer in network if layer.sends)
    exact = "every weight, bias and threshold was taken exactly"
    rounded = f"rounded to {settings.weight_bits} bits with a scale a layer in {', '.join(taken.rounded)}; the others are exact"
    return {
        "origin": f"{_title(settings.where)}, {len(graph.nodes)} nodes", "reset": settings.reset, "dt": settings.dt,
        "weights": rounded if taken.rounded else exact, "scales": taken.scales, "inputs": given.note,
        "input_scale": settings.input_scale, "notes": taken.notes,
        "float_comparison": f"{different} of {outputs} outputs differ from the graph evaluated in float64",
    }
