"""Single-spike networks with hybrid input encoding (paper 004) as integers: what hwsim.sources.single_spike trained.

The first plane of the input carries the normalised pixel in fixed point, with as many fractional bits as `payload_bits`
leave; each later plane the spikes of Eq. 4-5, which weigh one, 2**spike_shift of that fixed point. Hidden spikes weigh one.
A neuron fires at U > V, strictly: U >= floor(V) + 1 of integers. The leak, lambda = 1 - 2**-k on the hardware, is the nearest of
those to the trained lambda; `leaks` of the result say what that changed. Eq. 6 leaks before it adds, the hardware after it
fires: the same, but for the initial potential, which therefore is converted with one leak applied.

The answer of the integer network is its final potential, or, if asked, that minus the time of its first crossing (Eq. 10 to 12;
hwsim.snn.neurons.first_crossing). A read-out reaches its threshold at U >= V, of integers ceil(V).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from hwsim.convert.assemble import Fixed, assemble, neurons
from hwsim.convert.base import Built, Method, Request, check_trained_for
from hwsim.convert.folded import SourceConnection, SourceLayer, check_numbers
from hwsim.convert.integers import USUAL_WIDTHS, ConversionError, Widths, scaled
from hwsim.snn.network import InputSpec, Network
from hwsim.snn.neurons import FirstCrossing, ReadOut, SingleSpike
from hwsim.sources.checkpoint import Checkpoint
from hwsim.sources.data import Dataset
from hwsim.sources.single_spike import SMALLEST_THRESHOLD, SingleSpikeLayer, SingleSpikeNetwork, spike_times

HIGHEST_SHIFT = 8


def to_single_spike(
    trained: SingleSpikeNetwork, widths: Widths = USUAL_WIDTHS, times: bool = False
) -> tuple[Network, dict[str, tuple[float, float]]]:
    """The integer network, and by layer the trained leak and the one that the hardware has. `times`: its answer is the
    potential minus the time of its first crossing."""
    spec, steps = hybrid_input(trained, widths), trained.timesteps
    leaks: dict[str, tuple[float, float]] = {}

    def fix(source: SourceLayer, scale: float) -> Fixed:
        layer = trained.layers[source.name]
        initial = layer.initial.detach().double().flatten().numpy()
        if layer.read_out:
            start = scaled(initial, scale)
            if not times:
                return Fixed(neurons(source, ReadOut(), steps, initial_potential=start), scale)
            neuron, reached = _first_crossing(source, layer, scale)
            return Fixed(neurons(source, neuron, steps, reached, initial_potential=start), scale)
        trained_leak = float(layer.leak.detach().clamp(0, 1))
        shift, leak = nearest_leak(trained_leak)
        leaks[source.name] = trained_leak, leak
        threshold = float(layer.threshold.detach().clamp_min(SMALLEST_THRESHOLD))
        theta = int(np.floor(threshold * scale)) + 1
        made = neurons(source, SingleSpike(shift), steps, theta, initial_potential=scaled(initial * leak, scale))
        return Fixed(made, scale, unit=1.0)

    sources = (_source(name, layer) for name, layer in trained.layers.items())
    return assemble(spec, 2.0**-spec.spike_shift, sources, fix, widths), leaks


def _first_crossing(source: SourceLayer, layer: SingleSpikeLayer, scale: float) -> tuple[FirstCrossing, int]:
    """Neuron and threshold of a read-out that weighs times; `scale` is what 1, a timestep too, is of the integers."""
    threshold = float(layer.threshold.detach())
    if threshold <= 0:
        raise ConversionError(f"layer {source.name}: its threshold was trained to {threshold:.3g}, expected more than 0, where "
                              "potentials begin; leave --first-crossing out")
    if scale < 1:
        raise ConversionError(f"layer {source.name}: a timestep is worth {scale:.2g} of its potentials' steps, expected 1 or "
                              "more; give more --weight-bits, or leave --first-crossing out")
    return FirstCrossing(round(scale)), int(np.ceil(threshold * scale))


def nearest_leak(trained: float) -> tuple[int | None, float]:
    """(k, 1 - 2**-k) nearest to a trained lambda in [0, 1]; (None, 1) for no leak."""
    choices: list[tuple[int | None, float]] = [(None, 1.0)] + [(k, 1 - 2.0**-k) for k in range(1, HIGHEST_SHIFT + 1)]
    return min(choices, key=lambda choice: abs(choice[1] - trained))


def hybrid_input(trained: SingleSpikeNetwork, widths: Widths) -> InputSpec:
    """As many fractional bits as let the brightest and the darkest pixel fit."""
    mean, std = (values.double().flatten().numpy() for values in (trained.mean, trained.std))
    largest = float(max(np.abs(mean / std).max(), np.abs((1 - mean) / std).max()))
    shift = max(0, int(np.floor(np.log2(((1 << (widths.payload_bits - 1)) - 1) / largest))))
    return InputSpec(trained.input_shape, "hybrid", trained.timesteps, widths.payload_bits, signed=True, spike_shift=shift)


def encode(trained: SingleSpikeNetwork, spec: InputSpec, images: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Images (N, H, W, C), 0 to 255, as the planes (N, T, H, W, C) of a hybrid input."""
    pixels = images / 255.0
    mean, std = (values.double().flatten().numpy() for values in (trained.mean, trained.std))
    values = np.round((pixels - mean) / std * (1 << spec.spike_shift))
    times = spike_times(torch.from_numpy(pixels), 0.0, 1.0, trained.timesteps).numpy()
    later = [times == t for t in range(2, trained.timesteps + 1)]
    return np.stack([values, *later], axis=1).astype(np.int16)


def _source(name: str, layer: SingleSpikeLayer) -> SourceLayer:
    """The layer as a SourceLayer: real weights, the pooling window divided out."""
    wires = []
    for synapses in layer.connections:
        if synapses.operator is None:
            weights = np.ones(synapses.source_shape[0])
        else:
            weights = synapses.operator.weight.detach().double().numpy()
        wires.append(SourceConnection(synapses.geometry, weights / synapses.divisor))
    source = SourceLayer(name, layer.shape, tuple(wires), np.zeros(layer.shape[0]))
    check_numbers(source)
    return replace(source, threshold=0.0 if layer.read_out else 1.0)


def _single_spike(request: Request, checkpoint: Checkpoint, data: Dataset) -> Built:
    trained = checkpoint.network()
    assert isinstance(trained, SingleSpikeNetwork)
    check_trained_for(checkpoint, request, "spike times")
    network, leaks = to_single_spike(trained, request.widths, times=request.first_crossing)
    spec = network.input
    notes: dict[str, object] = {"leaks": {name: [round(was, 4), now] for name, (was, now) in leaks.items()}}
    return network, lambda images: encode(trained, spec, images), notes | (
        {"first_crossing": True} if request.first_crossing else {})


SINGLE_SPIKE = Method("single_spike", "004", "hybrid input, a neuron fires once", ("single_spike",), _single_spike,
                      weighs_times=True)
