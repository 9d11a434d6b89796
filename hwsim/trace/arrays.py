"""From plain arrays to a Network: what `Trace.from_arrays` accepts, and the blanks that it fills in.

A layer is a Layer, or a dictionary whose missing keys follow from its weights, its spikes and the layer before. What
cannot be inferred is asked for by name. Arrays from outside are (samples, T, C, H, W); a Sample is (T, H, W, C).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.snn.forward import forward
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network, NetworkError, Shape
from hwsim.snn.neurons import MODELS, Neuron
from hwsim.snn.sample import Sample
from hwsim.trace.manifest import TraceError, trouble

LayerLike = Layer | Mapping[str, Any]
WHERE = "Trace.from_arrays"
CONNECTION_KEYS = ("source", "operator", "weights", "kernel", "stride", "padding", "groups", "pool", "pool_mode",
                   "channel_offset")
LAYER_KEYS = ("name", "neuron", "shape", "timesteps", "thresholds", "bias", "initial_potential", "potential_bits",
              "payload_bits", "stages", "connections", "spikes")
OPERATOR_OF_AXES = {4: "conv2d", 2: "linear", 1: "identity"}


def describe_input(inputs: NDArray[Any], bits: int | None, coding: str) -> InputSpec:
    """The InputSpec of payloads (samples, C, H, W) or spikes (samples, T, C, H, W)."""
    if inputs.ndim not in (4, 5) or inputs.dtype.kind not in "biu" or not inputs.size:
        raise trouble(WHERE, "inputs", f"{inputs.dtype} of shape {inputs.shape}",
                      "integers (samples, C, H, W) or spikes (samples, T, C, H, W)", "reshape, or round and scale them")
    c, h, w = (int(n) for n in inputs.shape[-3:])
    if inputs.ndim == 5:
        return InputSpec((c, h, w), "spikes", int(inputs.shape[1]), 0, False, coding)  # type: ignore[arg-type]
    low, high = int(inputs.min()), int(inputs.max())
    needed = max(high.bit_length(), (~low).bit_length()) + 1 if low < 0 else max(1, high.bit_length())
    return InputSpec((c, h, w), "direct", 1, needed if bits is None else bits, low < 0)


def build_network(spec: InputSpec, layers: Sequence[LayerLike], spikes: Mapping[str, NDArray[Any]]) -> Network:
    """The network of Layers and dictionaries; `spikes` (samples, T, C, H, W) help to infer shapes and timesteps."""
    network = Network(spec, ())
    for position, item in enumerate(layers):
        layer = item if isinstance(item, Layer) else _layer(network, dict(item), spikes, position)
        network = replace(network, layers=(*network.layers, layer))
    return network


def gather_spikes(layers: Sequence[LayerLike], spikes: Mapping[str, ArrayLike] | None) -> dict[str, NDArray[Any]]:
    """Recorded spikes by layer name, from the argument and the layers' own key, as (samples, T, C, H, W)."""
    found = {name: np.asarray(array) for name, array in (spikes or {}).items()}
    for item in layers:
        if isinstance(item, Mapping) and item.get("spikes") is not None:
            found[str(item.get("name"))] = np.asarray(item["spikes"])
    return {name: _five_axes(name, array) for name, array in found.items()}


def samples_of(network: Network, inputs: NDArray[Any], spikes: Mapping[str, NDArray[Any]]) -> Iterator[Sample]:
    """Samples (T, H, W, C) one by one; spikes that were not given are computed."""
    sending = [layer.name for layer in network if layer.sends]
    missing, unknown = [n for n in sending if n not in spikes], sorted(set(spikes) - set(sending))
    if unknown:
        raise trouble(WHERE, "spikes", f"layers {', '.join(unknown)}", f"names among {', '.join(sending)}", "rename")
    if missing and (spikes or not network.has_weights):
        raise trouble(WHERE, "spikes", f"none for {', '.join(missing)}", "spikes of every layer but read-outs",
                      "give them, or leave all out and give all weights to have them computed")
    for name, array in spikes.items():
        if len(array) != len(inputs):
            raise trouble(WHERE, f"spikes of {name!r}", f"{len(array)} samples", f"{len(inputs)}, as many as inputs",
                          "make them match")
    for index, row in enumerate(inputs):
        planes = np.ascontiguousarray((row if row.ndim == 4 else row[None]).transpose(0, 2, 3, 1))
        if missing:
            yield Sample(planes, forward(network, planes)[0])
        else:
            yield Sample(planes, {name: array[index].transpose(0, 2, 3, 1) for name, array in spikes.items()})


def _five_axes(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "f" and array.size and bool(((array == 0) | (array == 1)).all()):
        array = array.astype(bool)  # frameworks record spikes as 0.0 and 1.0
    if array.ndim == 3:
        return array[:, :, :, None, None]
    if array.ndim == 4:
        return array[:, None]
    if array.ndim != 5:
        raise trouble(WHERE, f"spikes of {name!r}", f"shape {array.shape}", "(samples, T, C, H, W), or (samples, T, N) "
                      "for a linear layer, or values (samples, C, H, W)", "reshape them")
    return array


def _layer(network: Network, item: dict[str, Any], spikes: Mapping[str, NDArray[Any]], position: int) -> Layer:
    name = str(item.get("name") or f"layer{position + 1}")
    unknown = sorted(set(item) - {*LAYER_KEYS, *CONNECTION_KEYS})
    if unknown:
        raise trouble(WHERE, f"layer {name!r}", f"keys {', '.join(unknown)}",
                      f"keys among {', '.join((*LAYER_KEYS, *CONNECTION_KEYS))}", "correct the spelling")
    own = {key: item[key] for key in CONNECTION_KEYS if key in item}
    listed = [dict(c) for c in ([own] if item.get("connections") is None else item["connections"])]
    if item.get("connections") is not None and own:
        raise trouble(WHERE, f"layer {name!r}", f"both 'connections' and {', '.join(own)}", "either",
                      "move them in")
    before = network.layers[-1].name if network.layers else INPUT
    connections = tuple(_connection(network, c, c.get("source", before), name) for c in listed)
    recorded = spikes.get(name)
    shape = _shape(item, connections, recorded, name)
    neuron = _neuron(item.get("neuron", "integrate_and_fire"), name)
    timesteps = _timesteps(network, item, connections, recorded, neuron, name)
    return Layer(
        name, shape, connections, neuron, timesteps, _thresholds(item, neuron, timesteps, connections, name),
        None if item.get("bias") is None else _by_channel(item["bias"], "bias", name),
        _by_channel(item.get("initial_potential", 0), "initial_potential", name),
        int(item.get("potential_bits", 24)), int(item.get("payload_bits", 0)), tuple(item.get("stages", ())),
    )


def _connection(network: Network, item: dict[str, Any], source: str, name: str) -> Connection:
    unknown = sorted(set(item) - set(CONNECTION_KEYS))
    if unknown:
        raise trouble(WHERE, f"connection of layer {name!r}", f"keys {', '.join(unknown)}",
                      f"keys among {', '.join(CONNECTION_KEYS)}", "correct the spelling")
    weights = None if item.get("weights") is None else np.asarray(item["weights"])
    operator: Any = item.get("operator") or (None if weights is None else OPERATOR_OF_AXES.get(weights.ndim))
    if operator is None:
        raise trouble(WHERE, f"connection of layer {name!r}", "no weights of 4, 2 or 1 axes and no operator",
                      "operator 'conv2d', 'linear' or 'identity'", "give one of them")
    kernel = weights.shape[2:] if weights is not None and weights.ndim == 4 and operator == "conv2d" else 1
    defaults: dict[str, Any] = {"kernel": kernel, "pool_mode": "folded" if item.get("pool", 1) != 1 else "none"}
    given = {key: item[key] for key in CONNECTION_KEYS if key in item and key not in ("source", "weights", "operator")}
    return Connection(source, operator, source_shape(network, source), weights, **(defaults | given))


def source_shape(network: Network, source: str) -> Shape:
    """Shape of the input or of a layer that is already there."""
    try:
        return network.input.shape if source == INPUT else network.layer(source).shape
    except NetworkError as error:
        raise TraceError(f"{WHERE}: {error}; name an earlier layer or {INPUT!r}") from None


def _shape(
    item: dict[str, Any], connections: tuple[Connection, ...], recorded: NDArray[Any] | None, name: str
) -> Shape:
    if item.get("shape") is not None:
        c, h, w = (int(n) for n in item["shape"])
        return (c, h, w)
    if recorded is not None:
        c, h, w = (int(n) for n in recorded.shape[2:])
        return (c, h, w)
    for connection in connections:
        if connection.operator != "identity" and connection.weights is not None:
            return connection.natural_shape(len(connection.weights))
    if connections and all(connection.operator == "identity" for connection in connections):
        return connections[0].natural_shape(connections[0].source_shape[0])
    raise trouble(WHERE, f"layer {name!r}", "neither weights, spikes nor shape", "one of them", "give shape=(C, H, W)")


def _neuron(value: Any, name: str) -> Neuron:
    if isinstance(value, Neuron):
        return value
    if value not in MODELS:
        raise trouble(WHERE, f"layer {name!r}", f"neuron {value!r}", f"a Neuron or one of {', '.join(MODELS)}",
                      "correct it")
    return MODELS[value]()


def _timesteps(
    network: Network, item: dict[str, Any], connections: tuple[Connection, ...], recorded: NDArray[Any] | None,
    neuron: Neuron, name: str,
) -> int:
    if item.get("timesteps") is not None:
        return int(item["timesteps"])
    if recorded is not None:
        return int(recorded.shape[1])
    planes = network.source_timesteps(connections[0]) if connections else 0
    if not connections or (neuron.sends_spikes and network.is_direct(connections[0])):
        thresholds = np.asarray(item.get("thresholds", 0))
        if thresholds.ndim != 1:
            raise trouble(WHERE, f"layer {name!r}", "no timesteps",
                          "how many it takes of a direct input, or of its own bias",
                          "give timesteps")
        return len(thresholds)
    return planes


def _thresholds(
    item: dict[str, Any], neuron: Neuron, timesteps: int, connections: tuple[Connection, ...], name: str
) -> NDArray[np.int64]:
    if not neuron.thresholds_needed(timesteps):
        return np.zeros(0, np.int64)
    value = item.get("thresholds")
    if value is None:
        if any(c.weights is not None for c in connections):
            raise trouble(WHERE, f"layer {name!r}", "no thresholds", "an integer, or one a timestep", "give thresholds")
        # Nothing is computed without weights, so any threshold will do that the neuron model accepts.
        value = neuron.threshold(1, timesteps)
    array = _integers(value, "thresholds", name)
    return np.full(neuron.thresholds_needed(timesteps), array) if array.ndim == 0 else array


def _by_channel(value: Any, key: str, name: str) -> NDArray[np.int64]:
    """A scalar, (C,) or (C, H, W) as three axes."""
    array = _integers(value, key, name)
    return array.reshape((-1, 1, 1)) if array.ndim < 2 else array


def _integers(value: Any, key: str, name: str) -> NDArray[np.int64]:
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise trouble(WHERE, f"layer {name!r}, {key}", f"{array.dtype}", "integers", "round and scale them first")
    return array.astype(np.int64)
