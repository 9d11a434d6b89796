"""What a Network must satisfy before anything is mapped, run or saved: every problem in words, all at once.

Rules come from the geometry and codings of docs/cycle-model.md. Limits (timesteps, widths, neurons) are those of the
trace format, docs/formats/trace.md: far above any published converted network, and low enough that a file which claims
an absurd size is refused before memory is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from hwsim.snn.network import ENCODINGS, INPUT, INPUT_CODINGS, Connection, InputSpec, Layer, Network, Shape
from hwsim.snn.neurons import MODELS, Neuron

MAX_TIMESTEPS = 64
MAX_PAYLOAD_BITS = 16
MAX_SIDE = 1 << 20
MAX_NEURONS = 1 << 28
WEIGHT_LIMIT = 1 << 31
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def validate_network(network: Network) -> list[str]:
    """All that is wrong with `network`, one sentence each ("layer 'conv2': ..."); empty when it is sound."""
    found = [f"input: {text}" for text in _input_problems(network.input)]
    if not network.layers:
        found.append("network: has no layers; give at least one")
    earlier: dict[str, Layer] = {}
    for layer in network.layers:
        if layer.name in earlier:
            found.append(f"layer {layer.name!r}: the name is used twice; names must differ")
        found += [f"layer {layer.name!r}: {text}" for text in _layer_problems(layer)]
        for k, connection in enumerate(layer.connections):
            place = f"layer {layer.name!r}, connection {k} (from {connection.source!r})"
            found += [f"{place}: {text}" for text in _connection_problems(network, layer, connection, earlier)]
        found += [f"layer {layer.name!r}: {text}" for text in _coding_problems(network, layer, earlier)]
        earlier[layer.name] = layer
    return found


def is_int(value: Any, low: int, high: int) -> bool:
    """Whether `value` is an integer (not a bool) in [low, high]."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool | np.bool_) and low <= int(value) <= high


def _shape_problem(shape: Shape) -> str | None:
    if len(shape) != 3 or not all(is_int(n, 1, MAX_SIDE) for n in shape):
        return f"shape is {tuple(shape)}, expected (C, H, W) with each from 1 to {MAX_SIDE}"
    if int(shape[0]) * int(shape[1]) * int(shape[2]) > MAX_NEURONS:
        return f"shape {tuple(shape)} has more than {MAX_NEURONS} neurons, the format's limit"
    return None


def _integer_problem(name: str, value: Any, low: int, high: int) -> Iterator[str]:
    if not is_int(value, low, high):
        yield f"{name} is {value!r}, expected an integer from {low} to {high}"


def _input_problems(spec: InputSpec) -> Iterator[str]:
    if (text := _shape_problem(spec.shape)) is not None:
        yield text
    if spec.encoding not in ENCODINGS:
        yield f"encoding is {spec.encoding!r}, allowed are {_listed(map(repr, ENCODINGS))}"
    if spec.coding not in INPUT_CODINGS:
        yield f"coding is {spec.coding!r}, allowed are {', '.join(map(repr, INPUT_CODINGS))}"
    yield from _integer_problem("timesteps", spec.timesteps, 1, MAX_TIMESTEPS)
    if spec.is_spikes:
        if spec.signed:
            yield "spikes are declared signed; negative spikes are reserved, expected unsigned"
    else:
        yield from _integer_problem("payload_bits", spec.payload_bits, 1, MAX_PAYLOAD_BITS)
    if spec.is_direct and spec.timesteps != 1:
        yield f"timesteps is {spec.timesteps}; a direct input is one plane, expected 1"
    if spec.is_hybrid and INPUT_CODINGS.get(spec.coding) != spec.carries:
        fitting = " or ".join(repr(coding) for coding, carried in INPUT_CODINGS.items() if carried == spec.carries)
        yield f"coding is {spec.coding!r}; the spikes of a hybrid input are not bit planes, expected {fitting}"
    yield from _integer_problem("spike_shift", spec.spike_shift, 0, MAX_PAYLOAD_BITS if spec.is_hybrid else 0)


def _layer_problems(layer: Layer) -> Iterator[str]:
    if not NAME.fullmatch(layer.name) or layer.name == INPUT:
        yield f"the name must be 1 to 64 of A-Z a-z 0-9 _ . - (no slash, no leading . or -) and not {INPUT!r}"
    if MODELS.get(layer.neuron.model) is not type(layer.neuron):
        yield f"neuron model {layer.neuron.model!r} is not registered; known are {', '.join(MODELS)}"
    shape_problem = _shape_problem(layer.shape)
    if shape_problem is not None:
        yield shape_problem
    yield from _integer_problem("timesteps", layer.timesteps, 1, MAX_TIMESTEPS)
    yield from _integer_problem("potential_bits", layer.potential_bits, 2, 63)
    yield from _integer_problem("payload_bits", layer.payload_bits, 0, MAX_PAYLOAD_BITS)
    if layer.payload_bits and layer.sends_spikes:
        yield f"payload_bits is {layer.payload_bits}, but {layer.coding} spikes are binary; expected 0"
    yield from _stage_problems(layer)
    sound = True
    for text in _threshold_problems(layer):
        sound = False
        yield text
    if sound:
        yield from layer.neuron.problems(layer)
    if not layer.connections:
        yield from _unconnected_problems(layer)
    if shape_problem is None and is_int(layer.potential_bits, 2, 63):
        yield from _array_problems(layer)


def _unconnected_problems(layer: Layer) -> Iterator[str]:
    if layer.bias is None:
        yield "has neither connections nor a bias; give it at least one of them"
    elif layer.neuron.sums_planes or not layer.neuron.adds_each_step:
        yield (f"has no connections, and a {layer.neuron.model} neuron does not add its bias in every timestep; connect it, or "
               "use a model that does")


def _stage_problems(layer: Layer) -> Iterator[str]:
    stages = tuple(layer.stages)
    if stages and (
        not all(is_int(t, 0, MAX_TIMESTEPS) for t in stages) or stages[0] != 0 or stages[-1] != layer.timesteps
        or any(a >= b for a, b in zip(stages, stages[1:], strict=False))
    ):
        yield f"stages are {stages}; expected rising timesteps from 0 to {layer.timesteps}"
    elif len(stages) > 2 and not layer.neuron.staged:
        allowed = _listed(model.model for model in MODELS.values() if model.staged)
        yield f"stages are {stages}; of several stages are {allowed} neurons only, expected () or (0, T)"


def _threshold_problems(layer: Layer) -> Iterator[str]:
    theta, needed = layer.thresholds, layer.neuron.thresholds_needed(layer.timesteps)
    if not isinstance(theta, np.ndarray) or theta.ndim != 1 or theta.dtype.kind not in "iu":
        yield "thresholds must be a one-dimensional array of integers"
    elif len(theta) != needed:
        each = "one a timestep: " if needed == layer.timesteps else ""
        yield f"has {len(theta)} thresholds, expected {each}{needed}" if needed else (
            f"has {len(theta)} thresholds, and a {layer.neuron.model} neuron never fires: leave its thresholds out")
    elif len(theta) and int(theta.min()) < 1:
        yield f"thresholds must be 1 or more, the lowest is {int(theta.min())}"


def _array_problems(layer: Layer) -> Iterator[str]:
    limit = 1 << (layer.potential_bits - 1)
    for name, array in (("bias", layer.bias), ("initial_potential", layer.initial_potential)):
        if array is None:
            if name == "initial_potential":
                yield "initial_potential is missing; zeros of shape (1, 1, 1) say nothing special"
            continue
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu":
            yield f"{name} must be an array of integers"
        elif array.ndim != 3 or any(n not in (1, full) for n, full in zip(array.shape, layer.shape, strict=True)):
            yield f"{name} has shape {array.shape}, expected (C, H, W) = {layer.shape} with 1 where all are alike"
        elif int(array.min()) < -limit or int(array.max()) >= limit:
            extreme = int(max((array.min(), array.max()), key=abs))
            yield f"{name} holds {extreme}, which {layer.potential_bits}-bit potentials cannot; raise potential_bits"


def _connection_problems(
    network: Network, layer: Layer, connection: Connection, earlier: dict[str, Layer]
) -> Iterator[str]:
    c = connection
    if c.source != INPUT and c.source not in earlier:
        known = ", ".join((INPUT, *earlier))
        yield f"the source is not an earlier layer; earlier are {known}"
        return
    source_shape = network.input.shape if c.source == INPUT else earlier[c.source].shape
    if tuple(c.source_shape) != tuple(source_shape):
        yield f"source_shape is {tuple(c.source_shape)}, the source's shape is {tuple(source_shape)}"
        return
    if _shape_problem(c.source_shape) or _shape_problem(layer.shape):
        return
    wrong = list(_geometry_problems(layer, c))
    yield from wrong
    if not wrong:
        yield from _weight_problems(layer, c)
    source = network.source(c)
    if c.pool_mode == "max" and (source.carries != "spikes" or network.is_hybrid(c)):
        yield "max pooling is the OR of binary spikes and is wrong for bit planes and values; use 'folded' or 'unit'"
    if c.pool_mode == "unit" and network.is_hybrid(c):
        yield "a pooling unit would add spikes to values that weigh differently; pool a hybrid input 'folded'"


def _geometry_problems(layer: Layer, c: Connection) -> Iterator[str]:
    if c.operator not in ("conv2d", "linear", "identity"):
        yield f"operator is {c.operator!r}, allowed are 'conv2d', 'linear' and 'identity'"
        return
    for name, low in (("kernel", 1), ("stride", 1), ("padding", 0), ("groups", 1), ("pool", 1)):
        value = getattr(c, name)
        sides = value if isinstance(value, tuple) and len(value) == 2 and name not in ("groups", "pool") else (value,)
        if not all(is_int(side, low, MAX_SIDE) for side in sides):
            more = "" if name in ("groups", "pool") else ", or two of them (y, x)"
            yield f"{name} is {value!r}, expected an integer of {low} or more{more}"
            return
    yield from _pool_problems(c)
    if c.operator != "conv2d":
        defaults = {"kernel": 1, "padding": 0, "groups": 1} | ({"stride": 1} if c.operator == "linear" else {})
        for name, value in defaults.items():
            if getattr(c, name) != value:
                yield f"{name} is {getattr(c, name)}, but a {c.operator} connection has none; expected {value}"
    yield from _channel_problems(layer, c)
    natural = c.natural_shape(layer.shape[0])
    if min(c.pooled_shape) >= 1 and natural != tuple(layer.shape):
        yield f"gives an output of shape {natural}, the layer's shape is {tuple(layer.shape)}"


def _pool_problems(c: Connection) -> Iterator[str]:
    if c.pool_mode not in ("none", "folded", "unit", "max"):
        yield f"pool_mode is {c.pool_mode!r}, allowed are 'none', 'folded', 'unit' and 'max'"
    elif (c.pool == 1) != (c.pool_mode == "none"):
        yield f"pool is {c.pool} and pool_mode {c.pool_mode!r}; pool 1 goes with 'none', a larger one with a mode"
    elif min(c.pooled_shape) < 1:
        yield f"pool {c.pool} leaves nothing of a source of shape {tuple(c.source_shape)}"


def _channel_problems(layer: Layer, c: Connection) -> Iterator[str]:
    c_in, c_out = c.source_shape[0], layer.shape[0]
    if c.operator == "conv2d" and (c_in % c.groups or c_out % c.groups):
        yield f"groups is {c.groups}, which does not divide {c_in} source and {c_out} output channels"
    if c.operator != "identity" and c.channel_offset:
        yield f"channel_offset is {c.channel_offset}, but only identity connections have one; expected 0"
    if not is_int(c.channel_offset, 1 - c_in, c_out - 1):
        yield f"channel_offset {c.channel_offset!r} sends {c_in} channels past all {c_out} of the layer"


def _weight_problems(layer: Layer, c: Connection) -> Iterator[str]:
    if c.weights is None:
        return
    expected = c.weight_shape(layer.shape)
    if not isinstance(c.weights, np.ndarray) or c.weights.dtype.kind not in "iu":
        yield "weights must be an array of integers; round and scale them first"
    elif c.weights.shape != expected:
        yield f"weights have shape {c.weights.shape}, expected {expected}"
    elif int(c.weights.min()) < -WEIGHT_LIMIT or int(c.weights.max()) >= WEIGHT_LIMIT:
        yield "weights exceed 32 bits"


def _listed(names: Iterable[str]) -> str:
    """Names as a sentence lists them: a, b and c."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _coding_problems(network: Network, layer: Layer, earlier: dict[str, Layer]) -> Iterator[str]:
    neuron = layer.neuron
    sources: dict[str, InputSpec | Layer] = {
        c.source: network.input if c.source == INPUT else earlier[c.source]
        for c in layer.connections if c.source == INPUT or c.source in earlier
    }
    for name, source in sources.items():
        if source.carries not in neuron.reads:
            why = "never sends anything" if source.carries == "nothing" else f"sends {source.source_coding} events"
            yield f"source {name!r} {why}; {layer.coding} layers read {' or '.join(_readable(neuron))} sources"
    kinds = {name: (source.source_coding, source.timesteps) for name, source in sources.items()}
    if len(set(kinds.values())) > 1:
        # A core keeps one current and one plane count a run (docs/cycle-model.md R11, R12), so feeds cannot be mixed.
        seen = ", ".join(f"{name!r} {coding} x {planes}" for name, (coding, planes) in kinds.items())
        yield f"its sources differ in coding or timesteps ({seen}); all of one layer must be alike"
    elif sources:
        source = next(iter(sources.values()))
        at_once = source.carries == "payloads"
        if at_once and len(layer.stages) > 2 and neuron.staged and not neuron.adds_each_step:
            yield f"a {neuron.model} layer of several stages cannot read a direct input, which comes once; give it spikes"
        elif not at_once and not neuron.sums_planes and source.timesteps != layer.timesteps:
            yield f"timesteps is {layer.timesteps}, its sources send {source.timesteps} planes; expected {source.timesteps}"


def _readable(neuron: Neuron) -> list[str]:
    """Names of all that a model may read: codings of layers, and encodings of the input."""
    inputs = [InputSpec((1, 1, 1), encoding) for encoding in ENCODINGS]
    known: dict[str, str] = {model.coding: model.sends for model in MODELS.values()}
    known |= {spec.source_coding: spec.carries for spec in inputs}
    return [name for name, carried in known.items() if carried in neuron.reads]
