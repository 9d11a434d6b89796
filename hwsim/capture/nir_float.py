"""A NIR network in float64, as the graph says, to tell how many spikes the integers changed. Planes are (T, H, W, C)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.capture.flow import Branch, Flow
from hwsim.capture.nir_nodes import Firing
from hwsim.capture.quantise import effective_weights
from hwsim.snn.forward import pool
from hwsim.snn.network import INPUT, Layer, Network, by_axis


@dataclass(frozen=True, eq=False)
class Step:
    """A layer of the graph: the flow that feeds it and how it fires, None for a read-out."""

    name: str
    flow: Flow
    firing: Firing | None


def float_spikes(network: Network, steps: Sequence[Step], inputs: NDArray[np.integer]) -> dict[str, NDArray[np.bool_]]:
    """Spikes of every firing layer for one sample."""
    planes: dict[str, NDArray[np.generic]] = {INPUT: inputs}
    for step, layer in zip(steps, network, strict=True):
        if step.firing is not None:
            sums = sum(_sums(b, planes[b.source], layer) for b in step.flow.branches)
            bias = 0.0 if step.flow.bias is None else step.flow.bias
            planes[step.name] = _fire(np.asarray(sums) + bias, layer, step.firing).transpose(0, 2, 3, 1)
    return {name: array.astype(bool) for name, array in planes.items() if name != INPUT}


def changed(exact: Mapping[str, NDArray[np.bool_]], recorded: Mapping[str, NDArray[np.integer]]) -> int:
    """How many outputs differ."""
    return sum(int((exact[name] != (recorded[name] != 0)).sum()) for name in exact)


def _sums(branch: Branch, events: NDArray[np.generic], layer: Layer) -> NDArray[np.float64]:
    """(planes, C, H, W) of one branch."""
    grid = pool(branch.connection(), events.astype(np.int64)).astype(np.float64)
    weights = effective_weights(branch)
    if branch.operator is None:
        return (grid * weights).transpose(0, 3, 1, 2)
    if branch.operator == "linear":
        return (grid.transpose(0, 3, 1, 2).reshape(len(grid), -1) @ weights.T)[:, :, None, None]
    (top, left), (down, right) = by_axis(branch.padding), by_axis(branch.stride)
    padded = np.pad(grid, ((0, 0), (top, top), (left, left), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, by_axis(branch.kernel), axis=(1, 2))[:, ::down, ::right]
    parts = [np.tensordot(x, w, axes=((3, 4, 5), (1, 2, 3)))
             for x, w in zip(np.split(windows, branch.groups, axis=3), np.split(weights, branch.groups), strict=True)]
    return np.concatenate(parts, axis=3).transpose(0, 3, 1, 2)


def _fire(sums: NDArray[np.float64], layer: Layer, firing: Firing) -> NDArray[np.bool_]:
    keep = 1.0 if firing.neuron.leak_shift is None else 1 - 2.0**-firing.neuron.leak_shift
    v = np.zeros(layer.shape)
    fired = np.zeros((layer.timesteps, *layer.shape), bool)
    for t in range(layer.timesteps):
        v = keep * v + (sums[t] if len(sums) > 1 else sums[0])
        fired[t] = v > firing.threshold
        v = np.where(fired[t], v - firing.threshold if firing.neuron.reset == "soft" else 0.0, v)
    return fired
