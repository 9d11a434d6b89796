"""How far a converted network's layers are from what their source computes, and why (papers 000, Fig. 2, and 002, Fig. 3).

For a layer, y is what the source's activation sees, a = max(y, 0), and threshold that of the source. A neuron that counts up to
`top` times `unit` can say q = unit * clip(floor(y / unit + 1/2), 0, top): unit is threshold / T of a rate code, and one level of
bits. Then, neuron by neuron and exactly, sent - a is the sum of

    clipping       min(a, top * unit) - a: nothing above the highest value can be said,
    quantisation   q - min(a, top * unit): nothing between two values can be said,
    rest           sent - q: spikes came unevenly, earlier layers sent something else, weights and inputs were rounded.

`from_source` is the difference from the source's own activation, which was trained to clip and to round itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hwsim.convert.folded import FoldedSource, SourceLayer, fold
from hwsim.convert.integers import ConversionError, Widths, input_unit
from hwsim.snn.evenness import counted_steps, first_counted
from hwsim.snn.network import Layer, Network
from hwsim.sources.checkpoint import Checkpoint
from hwsim.sources.networks import SourceNetwork
from hwsim.trace.reader import Trace

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Deviation:
    """A layer's differences, root mean squares over neurons and samples as shares of that of max(y, 0), `size`."""

    layer: str
    size: float
    clipping: float
    quantisation: float
    rest: float
    total: float
    from_source: float


def deviations(
    trace: Trace, checkpoint: Checkpoint, samples: int | None = None, progress: Callable[[int, int], None] | None = None
) -> list[Deviation]:
    """Each layer that sends, over the first `samples` samples (all by default), against the checkpoint it was converted from.

    Raises ConversionError for a checkpoint of another network, and for neurons that do not count levels of their source.
    """
    wanted = trace.samples if samples is None else samples
    if not 1 <= wanted <= trace.samples:
        raise ConversionError(f"{trace.name}: samples is {wanted}, expected 1 to {trace.samples}")
    network = checkpoint.network()
    where = f"{checkpoint.path} as the source of {trace.name}"
    if not isinstance(network, SourceNetwork) or network.timesteps > 1:
        raise ConversionError(f"{where}: was trained with neurons in time; expected an ANN, whose activations can be compared")
    source = fold(network, checkpoint.description.mean, checkpoint.description.std)
    layers = [(layer, _source_of(layer, source, where)) for layer in trace.network if layer.sends]
    unit = input_unit(source, Widths(payload_bits=_payload_bits(trace.network, source, where)))
    sums = {layer.name: np.zeros(6) for layer, _ in layers}
    for index in range(wanted):
        sample = trace.sample(index)
        images = torch.from_numpy((sample.inputs * unit).astype(np.float32)).permute(0, 3, 1, 2)
        with torch.no_grad():
            currents, outputs = network.currents(images), network.outputs(images)
        for layer, own in layers:
            y, activation = (each[layer.name][0].double().numpy() for each in (currents, outputs))
            sums[layer.name] += _squares(y, activation, _sent(layer, sample.recorded[layer.name]), *_levels(layer, own))
        if progress is not None:
            progress(index + 1, wanted)
    found = []
    for layer, _ in layers:
        size, *parts = np.sqrt(sums[layer.name] / (wanted * layer.neurons)).tolist()
        found.append(Deviation(layer.name, size, *(part / size if size else 0.0 for part in parts)))
    return found


def _squares(y: Floats, activation: Floats, sent: NDArray[np.int64], unit: float, top: int) -> Floats:
    """Sums of squares: of max(y, 0), then of each difference, in the order of Deviation's fields."""
    real, said = np.maximum(y, 0), unit * sent
    clipped = np.minimum(real, top * unit)
    rounded = unit * np.clip(np.floor(y / unit + 0.5), 0, top)
    parts = (real, clipped - real, rounded - clipped, said - rounded, said - real, said - activation)
    return np.array([float((part**2).sum()) for part in parts])


def _sent(layer: Layer, planes: NDArray[np.integer]) -> NDArray[np.int64]:
    """What a layer sent, (C, H, W), in units: spikes of the stage that counts, or the number that its bits or value are."""
    counted = planes[first_counted(layer):].astype(np.int64)
    if layer.carries == "bits":
        counted = counted << np.arange(len(counted) - 1, -1, -1).reshape(-1, 1, 1, 1)
    found: NDArray[np.int64] = counted.sum(axis=0).transpose(2, 0, 1)
    return found


def _levels(layer: Layer, source: SourceLayer) -> tuple[float, int]:
    """(unit, top): what a spike or level is worth, how many there can be."""
    if not layer.neuron.writes_numbers:
        return source.threshold / counted_steps(layer), counted_steps(layer)
    top = layer.neuron.largest_output(layer)
    return source.threshold / (source.levels or top + 1), top


def _source_of(layer: Layer, source: FoldedSource, where: str) -> SourceLayer:
    own = next((one for one in source.layers if one.name == layer.name), None)
    if own is None or own.shape != layer.shape or not own.fires:
        there = "none" if own is None else f"one of shape {own.shape}" + ("" if own.fires else " without an activation")
        raise ConversionError(f"{where}: layer {layer.name}: found {there}, expected one of shape {layer.shape} with an "
                              "activation; give the checkpoint that the trace was converted from")
    nothing = np.zeros((layer.timesteps, *layer.shape), np.int64)
    if not layer.neuron.writes_numbers and layer.neuron.even(nothing, layer) is None:
        raise ConversionError(f"{where}: layer {layer.name}: its neurons ({layer.neuron.model}) forget, or send one spike; "
                              "expected some whose spikes count levels of the source")
    return own


def _payload_bits(network: Network, source: FoldedSource, where: str) -> int:
    spec = network.input
    if not spec.is_direct or spec.shape != source.input_shape or spec.signed != source.signed_input:
        raise ConversionError(f"{where}: the trace's input is {spec.encoding} of shape {spec.shape}, expected direct values of "
                              f"shape {source.input_shape}, {'signed' if source.signed_input else 'unsigned'}")
    return spec.payload_bits
