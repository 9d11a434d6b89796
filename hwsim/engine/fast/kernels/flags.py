"""Passes that look at flags: adding to neurons that are on, firing with `masked` or `fire_once` (R16 of docs/cycle-model.md),
counting timesteps until a threshold is reached (R28).

Flags are (positions, lanes) uint8 beside the potentials, 1: the neuron is off. A step that a neuron is left out of neither
changes it nor clips; the firing pass then writes zero in its place. Tables without flags never come here: their passes are
those of kernels.arithmetic, and `limits` is what it says there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]


@njit(cache=True)
def add_terms_on(state: Array, flags: Array, terms: Array, limits: Array) -> int:
    """The addend or the current onto the potentials of neurons that are on; returns the steps that were clipped."""
    wide = limits.dtype.type
    low, high = limits[0], limits[1]
    clipped = 0
    for position in range(state.shape[0]):
        lanes, off, term = state[position], flags[position], terms[position]
        clips = wide(0)
        for j in range(lanes.size):
            total = wide(wide(lanes[j]) + (wide(0) if off[j] else wide(term[j])))
            kept = high if total > high else total
            kept = low if kept < low else kept
            clips = wide(clips + (kept != total))
            lanes[j] = kept
        clipped += clips
    return clipped


@njit(cache=True)
def count_on(
    state: Array, flags: Array, reached: Array, threshold: int, reachable: bool, wait: int, limits: Array
) -> tuple[int, int]:
    """Who is below the threshold, and has no flag, pays `wait`; who is not is flagged. `reached` becomes 0 / 1.

    `reachable`: whether the potentials can hold the threshold at all. Returns the steps that were clipped, and who paid.
    """
    wide = limits.dtype.type
    low, by = limits[0], wide(wait)
    clipped = counted = 0
    for position in range(state.shape[0]):
        lanes, has, now = state[position], flags[position], reached[position]
        for j in range(lanes.size):
            if has[j]:
                continue
            if reachable and lanes[j] >= threshold:
                has[j] = now[j] = 1
                continue
            left = wide(wide(lanes[j]) - by)
            if left < low:
                left = low
                clipped += 1
            lanes[j] = left
            counted += 1
    return clipped, counted


@njit(cache=True)
def fire_on(
    state: Array, flags: Array, out: Array, threshold: int, hard: bool, leak: int, reachable: bool, fire_once: bool
) -> None:
    """Compare, reset or flag, leak, for neurons that are on; zero for those that are off. `out` becomes 0 / 1.

    `fire_once`: a neuron that fires is flagged, whatever `hard` says, and zero is written in its place. `leak` < 0: none.
    `reachable`: whether the type of the potentials holds the threshold at all.
    """
    number = state.dtype.type
    level = number(threshold) if reachable else number(0)
    to_zero = hard or fire_once
    for position in range(state.shape[0]):
        lanes, off, spikes = state[position], flags[position], out[position]
        for j in range(lanes.size):
            on = np.uint8(off[j] == 0)
            fired = np.uint8(on & np.uint8(lanes[j] >= level) & np.uint8(reachable))
            spikes[j] = fired
            kept = number(0) if to_zero else number(lanes[j] - level)
            kept = kept if fired else lanes[j]
            lanes[j] = kept if on else number(0)
            off[j] |= fired & np.uint8(fire_once)
        if leak >= 0:
            for j in range(lanes.size):
                lanes[j] -= lanes[j] >> leak  # zero stays zero: what is off, and what has just been flagged
