"""Neurons of a whole batch at once: what Neuron.emit says of one sample, as compiled loops over arrays.

Sums are (S, N, J): S timesteps, or 1 when every timestep gets the same; N images; J neurons of a layer in any order. Numbers
are integers held in double precision, exact below 2**53. tests/convert/test_evaluate.py holds every loop against
hwsim.snn.forward; a model without a loop here goes through its own `emit`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hwsim import kernel_cache  # noqa: F401  decides where kernels are kept, before they are compiled
from hwsim.snn.forward import sees_sum
from hwsim.snn.network import Layer
from hwsim.snn.neurons import BitSerial, IntegrateAndFire, Neuron, SingleSpike, TwoStage

Floats = NDArray[np.floating]


def fire(layer: Layer, sums: Floats) -> tuple[NDArray[Any], NDArray[Any]]:
    """Outputs (T, N, H, W, C), uint8 or int32, and final potentials (N, H, W, C) for input sums (S, N, H, W, C)."""
    loop, (steps, images) = LOOPS.get(type(layer.neuron)), sums.shape[:2]
    if loop is None:
        return _by_its_model(layer, sums)
    flat = sums.reshape(steps, images, -1)
    start, bias = (_along(values, layer) for values in (layer.initial_potential, layer.bias))
    spikes = np.empty((layer.timesteps, images, flat.shape[2]), np.uint8)
    potentials = np.empty(spikes.shape[1:])
    loop(layer, flat, start, bias, spikes, potentials)
    c, h, w = layer.shape
    return spikes.reshape(-1, images, h, w, c), potentials.reshape(images, h, w, c)


def _along(values: NDArray[np.int64] | None, layer: Layer) -> NDArray[np.float64]:
    """A bias or initial potential, neuron by neuron in the order (H, W, C)."""
    source = np.zeros((1, 1, 1)) if values is None else np.asarray(values, np.float64)
    # A copy: a view that cannot be written is another type, for which the loop would be compiled again.
    return np.broadcast_to(source, layer.shape).transpose(1, 2, 0).flatten()


def _per(leak_shift: int | None) -> float:
    """What a potential is multiplied by to leak; 0 for no leak."""
    return 0.0 if leak_shift is None else 2.0**-leak_shift


def _by_its_model(layer: Layer, sums: Floats) -> tuple[NDArray[Any], NDArray[Any]]:
    """The model's own emit: the batch lies side by side along the width, as one wide layer."""
    steps, n, h, w, c = sums.shape
    wide = sums.transpose(0, 4, 2, 1, 3).reshape(steps, c, h, n * w).astype(np.int64)
    wide = wide if sees_sum(layer) else np.broadcast_to(wide, (layer.timesteps, *wide.shape[1:]))
    widened = replace(
        layer, shape=(c, h, n * w), bias=_wide(layer.bias, n, w), initial_potential=_wide(layer.initial_potential, n, w))
    outputs, potentials = layer.neuron.emit(wide, widened)
    outputs = outputs.astype(np.uint8 if outputs.max(initial=0) < 256 else np.int32)
    back = np.ascontiguousarray(outputs.reshape(len(outputs), c, h, n, w).transpose(0, 3, 2, 4, 1))
    return back, potentials.reshape(c, h, n, w).transpose(2, 1, 3, 0)


def _wide(values: NDArray[np.int64] | None, n: int, w: int) -> Any:
    """A bias or initial potential by column, repeated for every image."""
    return values if values is None or values.shape[2] == 1 else np.tile(values, (1, 1, n))


@njit(cache=True)
def integrate(sums, start, bias, thresholds, hard, leak, spikes, potentials):  # type: ignore[no-untyped-def]
    for n in range(spikes.shape[1]):
        v = potentials[n]
        v[:] = start
        for t in range(spikes.shape[0]):
            s, out, theta = sums[min(t, sums.shape[0] - 1), n], spikes[t, n], thresholds[t]
            for j in range(v.size):
                x = v[j] + s[j] + bias[j]
                fires = x >= theta
                out[j] = fires
                x = (0.0 if hard else x - theta) if fires else x
                v[j] = x - np.floor(x * leak)


@njit(cache=True)
def two_stage(sums, start, bias, thresholds, tau, spikes, potentials):  # type: ignore[no-untyped-def]
    on = np.empty(spikes.shape[2], np.bool_)
    for n in range(spikes.shape[1]):
        v = potentials[n]
        v[:] = start
        on[:] = True
        for t in range(spikes.shape[0]):
            s, out, theta = sums[min(t, sums.shape[0] - 1), n], spikes[t, n], thresholds[t]
            for j in range(v.size):
                x = v[j] + s[j] + bias[j] if on[j] else 0.0
                fires = on[j] and x >= theta
                out[j] = fires
                v[j] = x - theta if fires else x
            if t == tau - 1:
                on[:] = v >= 0
                v[:] = start


@njit(cache=True)
def single_spike(sums, start, bias, thresholds, leak, spikes, potentials):  # type: ignore[no-untyped-def]
    on = np.empty(spikes.shape[2], np.bool_)
    for n in range(spikes.shape[1]):
        v = potentials[n]
        v[:] = start
        on[:] = True
        for t in range(spikes.shape[0]):
            s, out, theta = sums[min(t, sums.shape[0] - 1), n], spikes[t, n], thresholds[t]
            for j in range(v.size):
                x = v[j] + s[j] + bias[j]
                fires = on[j] and x >= theta
                out[j] = fires
                on[j] = on[j] and not fires
                x = x if on[j] else 0.0
                v[j] = x - np.floor(x * leak)


@njit(cache=True)
def bit_serial(sums, start, thresholds, spikes, potentials):  # type: ignore[no-untyped-def]
    for n in range(spikes.shape[1]):
        v = potentials[n]
        v[:] = start
        for t in range(sums.shape[0]):
            v += sums[t, n]
        for p in range(spikes.shape[0]):
            out, theta = spikes[p, n], thresholds[p]
            for j in range(v.size):
                fires = v[j] >= theta
                out[j] = fires
                v[j] = v[j] - theta if fires else v[j]


def _integrate(layer: Layer, sums: Floats, start: Floats, bias: Floats, spikes: NDArray[Any], potentials: Floats) -> None:
    neuron = cast(IntegrateAndFire, layer.neuron)
    integrate(sums, start, bias, _thresholds(layer), neuron.reset == "hard", _per(neuron.leak_shift), spikes, potentials)


def _two_stage(layer: Layer, sums: Floats, start: Floats, bias: Floats, spikes: NDArray[Any], potentials: Floats) -> None:
    two_stage(sums, start, bias, _thresholds(layer), layer.stages[1], spikes, potentials)


def _single_spike(layer: Layer, sums: Floats, start: Floats, bias: Floats, spikes: NDArray[Any], potentials: Floats) -> None:
    neuron = cast(SingleSpike, layer.neuron)
    single_spike(sums, start, bias, _thresholds(layer), _per(neuron.leak_shift), spikes, potentials)


def _bit_serial(layer: Layer, sums: Floats, start: Floats, bias: Floats, spikes: NDArray[Any], potentials: Floats) -> None:
    halves = np.array([int(layer.thresholds[0]) >> (p + 1) for p in range(layer.timesteps)], np.float64)
    bit_serial(sums, start + bias, halves, spikes, potentials)


def _thresholds(layer: Layer) -> NDArray[np.float64]:
    return np.asarray(layer.thresholds, np.float64)


Loop = Callable[[Layer, Floats, Floats, Floats, NDArray[Any], Floats], None]
LOOPS: dict[type[Neuron], Loop] = {
    IntegrateAndFire: _integrate, TwoStage: _two_stage, SingleSpike: _single_spike, BitSerial: _bit_serial,
}
"""The compiled loop of a model. A loop takes the layer, sums, start, bias, and fills spikes (T, N, J) and potentials (N, J)."""
