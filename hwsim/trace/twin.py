"""The quantised ANN in a bit-serial trace, and the bit-serial network in an ANN's trace.

Both layers compute level = clip(V // step, 0, 2**T - 1) of the same integer weights, biases and steps. One sends the level as a
value, the other as T planes of bits (theta = step * 2**T). So each trace holds the other, exactly, and nothing is trained,
converted or rounded. A rate-coded network answers differently from its ANN and holds no twin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwsim.snn.network import INPUT, InputSpec, Layer, Network
from hwsim.snn.neurons import MODELS
from hwsim.snn.sample import Sample
from hwsim.trace.manifest import TraceError, trouble
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter

Progress = Callable[[int, int], None] | None


def twin_network(network: Network, where: str = "network") -> Network:
    """The ANN of a bit-serial network, or the bit-serial network of an ANN.

    Raises TraceError for another network, with the layer that has no twin.
    """
    spec = _input_twin(network.input, where)
    layers: list[Layer] = []
    for layer in network:
        made = Network(spec, tuple(layers))
        planes = max(made.source_timesteps(connection) for connection in layer.connections)
        layers.append(_layer_twin(layer, planes, where))
    return Network(spec, tuple(layers))


def twin(trace: Trace, path: str | Path | None = None, samples: int | None = None, progress: Progress = None) -> Trace:
    """The trace of the twin on the first `samples` samples (all by default), in memory or at `path`.

    Labels, logits and final potentials are those of `trace`. Raises TraceError where there is no twin.
    """
    where = str(trace.path or trace.name)
    wanted = trace.samples if samples is None else samples
    if not 1 <= wanted <= trace.samples:
        raise trouble(where, "samples", str(wanted), f"1 to {trace.samples}", "ask for as many as there are")
    made = twin_network(trace.network, where)
    kind = "quantised ANN" if made.is_ann else "bit-serial network"
    provenance = {**trace.provenance, "twin": f"{kind} of {trace.name}", "twin_of_content": trace.content_hash}
    with TraceWriter(made, path, name=f"{trace.name} {'ann' if made.is_ann else 'bit_serial'}", provenance=provenance) as writer:
        for index in range(wanted):
            writer.append(
                _sample(trace.network, made, trace.sample(index)),
                label=None if trace.labels is None else int(trace.labels[index]),
                logits=trace.logits(index) if trace.has_logits else None, potentials=trace.final_potentials(index))
            if progress is not None:
                progress(index + 1, wanted)
        return writer.finish()


def ann_in(trace: Trace, samples: int | None = None) -> Trace | None:
    """The quantised ANN in a bit-serial trace, in memory; None where there is none. Raises TraceError as `twin` does."""
    senders = [layer for layer in trace.network if layer.sends]
    holds = bool(senders) and trace.has_weights and all(layer.carries == "bits" and layer.neuron.twin for layer in senders)
    return twin(trace, samples=samples) if holds else None


def _input_twin(spec: InputSpec, where: str) -> InputSpec:
    if spec.is_direct:
        return spec
    if not spec.weighs_planes:
        raise _no_twin(where, INPUT, f"{spec.encoding} {spec.coding}")
    return replace(spec, encoding="direct", timesteps=1, payload_bits=spec.timesteps, signed=False, coding="rate")


def _layer_twin(layer: Layer, planes: int, where: str) -> Layer:
    if not layer.sends and len(layer.stages) < 3:
        return replace(layer, timesteps=planes, stages=())
    if not layer.neuron.twin:
        raise _no_twin(where, layer.name, layer.neuron.model)
    neuron, bits = MODELS[layer.neuron.twin](), layer.timesteps if layer.sends_spikes else layer.payload_bits
    threshold, whole = int(layer.thresholds[0]), layer.neuron.threshold(1, bits)
    if threshold % whole:
        raise _no_twin(where, layer.name, f"threshold {threshold}, no multiple of {whole}")
    timesteps, payload_bits = (1, bits) if neuron.sends_values else (bits, 0)
    return replace(layer, neuron=neuron, timesteps=timesteps, payload_bits=payload_bits,
                   thresholds=np.full(timesteps, neuron.threshold(threshold // whole, bits), np.int64))


def _no_twin(where: str, place: str, found: str) -> TraceError:
    return trouble(where, f"layer {place!r}", found, "bit_serial, requantise or a read-out, whose twin sends the same numbers",
                   "record the ANN itself: hwsim convert makes both")


def _sample(given: Network, made: Network, sample: Sample) -> Sample:
    """What the layers of the network `made` send where those of its twin sent `sample`."""
    inputs = _planes(sample.inputs, given.input.weighs_planes, 0 if made.input.is_direct else made.input.timesteps)
    recorded = {
        layer.name: _planes(sample.recorded[layer.name], given.layer(layer.name).sends_spikes,
                            layer.timesteps if layer.sends_spikes else 0)
        for layer in made if layer.sends}
    return Sample(inputs, recorded)


def _planes(sent: NDArray[np.integer], was_bits: bool, bits: int) -> NDArray[np.integer]:
    """Planes (T, H, W, C) as the twin sends them: bits, the most significant first, as one value, values as `bits` bits.

    bits   of the twin's own; 0 where it sends values.
    """
    if was_bits == bool(bits):
        return sent
    if was_bits:
        weights = 1 << np.arange(len(sent) - 1, -1, -1)
        return np.tensordot(weights, sent, 1)[None].astype(np.uint8 if len(sent) <= 8 else np.int32)
    shifts = np.arange(bits - 1, -1, -1).reshape(-1, 1, 1, 1)
    return (sent >> shifts & 1).astype(np.uint8)
