"""Synthetic traces after a recorded one: its spikes thinned or multiplied, in other steps, widths and kernels.

Rates by layer and clustering are those of the recording: a plane is one of the recorded planes of the same layer, the same place
in all layers, with some of its spikes taken away at random, or with spikes of further recorded planes put in. So a layer that
spikes twice as much as another still does, and spikes that lie beside each other still do. Thinning by a factor f takes the
variance over the mean of spikes per position, F, to 1 + f (F - 1). The result has no weights: it is replayed with its timing only
(`check=False`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError
from hwsim.snn.network import INPUT, Connection, Layer, Network, by_axis
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter

Planes = NDArray[np.integer]


class ScaleError(HwsimError):
    """A trace that cannot be scaled as asked; the text says what is possible."""


@dataclass(frozen=True)
class Shape:
    """What a scaled trace has otherwise.

    rate        spikes per neuron and step, the mean of all layers; None: as recorded.
    timesteps   steps; None: as recorded.
    width       channels of hidden layers over those recorded.
    kernel      of convolutions; None: their own.
    """

    rate: float | None = None
    timesteps: int | None = None
    width: float = 1.0
    kernel: int | None = None


def rate_of(trace: Trace, samples: int | None = None) -> float:
    """Spikes per neuron and step of a trace: the mean over its neurons, the first samples (None: all) and steps."""
    planes = [p for s in range(samples or trace.samples) for p in trace.sample(s).recorded.values()]
    return sum(int(np.count_nonzero(p)) for p in planes) / sum(p.size for p in planes)


def scaled(trace: Trace, shape: Shape, path: str | Path | None = None, samples: int | None = None, seed: int = 0) -> Trace:
    """The first samples of a trace (None: all) with another rate, steps, width or kernel; written to `path`, or kept in memory.

    Of a quantised ANN only width and kernel can change. Raises ScaleError for what cannot be.
    """
    steps = shape.timesteps or trace.timesteps
    _check(trace, shape, steps)
    count = trace.samples if samples is None else min(samples, trace.samples)
    factor = 1.0 if shape.rate is None else shape.rate / rate_of(trace, count)
    network = _network(trace.network, shape, steps)
    name = f"{trace.name}-r{shape.rate or 0:g}-t{steps}-w{shape.width:g}-k{shape.kernel or 0}"
    said = {"origin": "synthetic: recorded spikes, scaled", "script": "hwsim breakeven --simulate", "licence": "as the recording",
            "recording": trace.content_hash, "rate": shape.rate, "timesteps": steps, "width": shape.width, "kernel": shape.kernel,
            "seed": seed}
    recorded = [trace.sample(n) for n in range(count)]
    drawn = {layer.name: _planes(layer, recorded, factor, steps, network, seed + n) for n, layer in enumerate(trace.network)
             if layer.sends}
    with TraceWriter(network, path, name=name, provenance=said) as writer:
        for n, sample in enumerate(recorded):
            writer.append(Sample(sample.inputs, {name: planes[n] for name, planes in drawn.items()}))
        return writer.finish()


def _check(trace: Trace, shape: Shape, steps: int) -> None:
    if trace.network.is_ann and (shape.rate is not None or steps != trace.timesteps):
        raise ScaleError(f"{trace.name}: is a quantised ANN, whose values have no rate and no steps; scale its width or kernel "
                         "only")
    if steps != trace.timesteps and any(x.neuron.writes_numbers or x.neuron.fires_once or x.stages for x in trace.network):
        raise ScaleError(f"{trace.name}: timesteps: found {steps}, but {trace.coding} in {trace.timesteps} steps cannot have "
                         "others; give a rate-coded trace, or leave the steps as they are")
    if any(layer.timesteps != trace.timesteps for layer in trace.network if layer.sends):
        raise ScaleError(f"{trace.name}: its layers have different numbers of steps, which cannot be scaled together")
    if not trace.network.input.is_direct:
        raise ScaleError(f"{trace.name}: its input is spikes, which would have to be scaled with the layers; give a trace of "
                         "images")
    if shape.rate is not None and not 0 < shape.rate <= 1:
        raise ScaleError(f"rate: found {shape.rate:g}, allowed are more than 0 and at most 1 spike per neuron and step")
    if not 1 <= steps <= 64:
        raise ScaleError(f"timesteps: found {steps}, allowed are 1 to 64")
    if not 1 / 16 <= shape.width <= 16:
        raise ScaleError(f"width: found {shape.width:g}, allowed are 0.0625 to 16")
    if shape.kernel is not None and (shape.kernel % 2 == 0 or not 1 <= shape.kernel <= 11):
        raise ScaleError(f"kernel: found {shape.kernel}, allowed are odd numbers from 1 to 11")


# --- the network ----------------------------------------------------------------------------------------------------------


def _network(network: Network, shape: Shape, steps: int) -> Network:
    """Shapes and steps of the scaled network; it has no weights."""
    widths = {layer.name: _wider(layer.shape[0], shape.width) if layer.sends else layer.shape[0] for layer in network}
    layers = []
    for layer in network:
        channels = widths[layer.name]
        connections = tuple(_connection(c, network, widths, shape) for c in layer.connections)
        changed = replace(layer, shape=(channels, *layer.shape[1:]), connections=connections, stages=(),
                          bias=None if layer.bias is None else _tiled(layer.bias, channels),
                          initial_potential=_tiled(layer.initial_potential, channels))
        if not network.is_ann and steps != layer.timesteps:
            changed = replace(changed, timesteps=steps, thresholds=layer.thresholds[:1].repeat(steps))
        layers.append(changed)
    return replace(network, layers=tuple(layers))


def _connection(c: Connection, network: Network, widths: dict[str, int], shape: Shape) -> Connection:
    channels = c.source_shape[0] if c.source == INPUT else widths[c.source]
    kernels = by_axis(shape.kernel if shape.kernel and c.operator == "conv2d" else c.kernel)
    changes = kernels != by_axis(c.kernel)
    if changes and by_axis(c.padding) != tuple(side // 2 for side in by_axis(c.kernel)):
        raise ScaleError(f"kernel: a convolution of {c.source} is not padded by half of its kernel, so its shape would change")
    return replace(c, source_shape=(channels, *c.source_shape[1:]), weights=None,
                   kernel=kernels[0] if changes else c.kernel, padding=kernels[0] // 2 if changes else c.padding,
                   groups=c.groups if c.groups == 1 else channels, channel_offset=round(c.channel_offset * shape.width))


def _wider(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _tiled(array: NDArray[np.int64], channels: int) -> NDArray[np.int64]:
    """An array (C or 1, ...) for other channels."""
    return array if array.shape[0] == 1 else np.take(array, np.arange(channels) % array.shape[0], axis=0)


# --- the spikes -----------------------------------------------------------------------------------------------------------


def _planes(layer: Layer, recorded: list[Sample], factor: float, steps: int, network: Network, seed: int) -> list[Planes]:
    """By sample (T, H, W, C): recorded planes with their spikes scaled. With nothing to scale they are the recorded ones."""
    channels = network.layer(layer.name).shape[0]
    own = [np.take(s.recorded[layer.name], np.arange(channels) % layer.shape[0], axis=3) for s in recorded]
    if network.is_ann or (factor == 1.0 and steps == layer.timesteps):
        return own
    pool = np.concatenate(own).astype(bool)
    draw = np.random.Generator(np.random.PCG64((seed, 7)))
    order = np.random.Generator(np.random.PCG64(11)).permutation(len(pool))  # of all layers alike
    taken = [order[n % len(pool)] for n in range(len(recorded) * steps)] if steps != layer.timesteps else range(len(pool))
    made = [_scaled_plane(pool, int(n), factor, order, draw) for n in taken]
    return [np.stack(made[n * steps:(n + 1) * steps]).astype(np.uint8) for n in range(len(recorded))]


def _scaled_plane(
    pool: NDArray[np.bool_], index: int, factor: float, order: NDArray[np.int64], draw: np.random.Generator
) -> NDArray[np.bool_]:
    """One plane with `factor` times its spikes, as near as whole spikes allow in the mean; at most one spike per neuron."""
    plane = pool[index].ravel().copy()
    wanted = min(plane.size, int(plane.sum() * factor + draw.random()))
    at = int(np.flatnonzero(order == index)[0])
    for further in range(1, len(pool)):
        if (missing := wanted - int(plane.sum())) <= 0:
            break
        _set_some(plane, np.flatnonzero(pool[order[(at + further) % len(pool)]].ravel() & ~plane), missing, draw)
    _set_some(plane, np.flatnonzero(~plane), wanted - int(plane.sum()), draw)  # neurons that never spike come last
    spikes = np.flatnonzero(plane)
    if len(spikes) > wanted:
        plane[draw.choice(spikes, len(spikes) - wanted, replace=False)] = False
    return plane.reshape(pool[index].shape)


def _set_some(plane: NDArray[np.bool_], candidates: NDArray[np.int64], count: int, draw: np.random.Generator) -> None:
    if count > 0:
        plane[candidates if len(candidates) <= count else draw.choice(candidates, count, replace=False)] = True
