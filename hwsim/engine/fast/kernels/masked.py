"""Events that look at flags before they read anything else (R25): what they add, what they count, when they issue.

Flags are (positions, lanes) uint8, 1: the neuron is off. A word whose real neurons are all off is `quiet`: an operation on
it takes one slot and reads its flags only. Flags change in passes alone, so they are the same for all events before an EOT.
Geometry is that of kernels.timing and kernels.arithmetic; `fed` (n, 2) are the lanes [begin, end) of the run that a source
channel feeds, one line if all channels are alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

# window: see kernels.arithmetic.      grid: see kernels.timing.
WIDTH, CHANNELS, POOL, KERNEL_Y, KERNEL_X, STRIDE_Y, STRIDE_X, PADDING_Y, PADDING_X = range(9)
IN_HEIGHT, IN_WIDTH, OUT_HEIGHT, OUT_WIDTH, FIRST_ROW = range(9, 14)
# totals of count_masked: operations on words that are not quiet, on quiet ones, additions; those of the first in the last group.
WORKED, SKIPPED, ADDS, LAST = range(4)
# core and tally: see kernels.dataflow.
NEXT, EXEC, SERIALISER, WORD, CLAIMS, WRITES, PUSHED, PLACE, SPIKE, BYPASS, ADDS_TO, SINGLE_PORT = range(12)
TOKENS, BUSY, HAZARD, STALL, OVERLAPPED, SENT, ROWS_READ, PORT = range(8)
FLAGS = 4  # the mask memory among the memories of CLAIMS, as a bit


@njit(cache=True)
def add_clipped_on(lanes: Array, off: Array, terms: Array, factor: int, limits: Array) -> int:
    """lanes + terms * factor where a neuron is on, clipped; returns how many were."""
    wide = limits.dtype.type
    low, high, by = limits[0], limits[1], wide(factor)
    clipped = wide(0)
    for j in range(lanes.size):
        total = wide(wide(lanes[j]) + (wide(0) if off[j] else wide(wide(terms[j]) * by)))
        kept = high if total > high else total
        kept = low if kept < low else kept
        clipped = wide(clipped + (kept != total))
        lanes[j] = kept
    return clipped


@njit(cache=True)
def add_factors_on(lanes: Array, off: Array, terms: Array, factors: Array, limits: Array) -> int:
    """One event onto the lanes of a word that it feeds, a step per factor; returns the steps that were clipped."""
    clipped = 0
    for k in range(factors.size):
        clipped += add_clipped_on(lanes, off, terms, factors[k], limits)
    return clipped


@njit(cache=True)
def add_masked(
    state: Array, flags: Array, weights: Array, starts: Array, flat: Array, values: Array, window: Array, by_row: Array,
    by_column: Array, fed: Array, scale: int, adders: int, limits: Array,
) -> int:
    """Events in order onto the neurons that are on; returns the steps that were clipped.

    `values` has size 0 for spikes, which add their row times `scale`. With `adders` 0 a value is one product, times `scale`;
    otherwise a pattern, `adders` of its set bits at a time by rising weight (R21).
    """
    width, channels, pool = window[WIDTH], window[CHANNELS], window[POOL]
    factors = np.empty(64, np.int64)
    clipped = 0
    for tile in range(starts.shape[0]):
        for y in range(by_row.shape[0]):
            for x in range(width):
                for event in range(starts[tile, y * width + x], starts[tile, y * width + x + 1]):
                    channel = flat[event] - (x // pool) * channels
                    line = channel if fed.shape[0] > 1 else 0
                    first, end = fed[line, 0], fed[line, 1]
                    number = 1
                    if values.size == 0:
                        factors[0] = scale
                    elif adders == 0:
                        factors[0] = values[event] * scale
                    else:
                        left, number = abs(values[event]), 0
                        while left:
                            factors[number] = 0
                            for _ in range(adders):
                                lowest = left & -left
                                factors[number] += lowest
                                left ^= lowest
                            factors[number] *= -1 if values[event] < 0 else 1
                            number += 1
                    for out_y in range(by_row[y, 0], by_row[y, 0] + by_row[y, 1]):
                        tap_y = y // pool - (window[FIRST_ROW] + out_y) * window[STRIDE_Y] + window[PADDING_Y]
                        for out_x in range(by_column[x, 0], by_column[x, 0] + by_column[x, 1]):
                            tap_x = x // pool - out_x * window[STRIDE_X] + window[PADDING_X]
                            position = out_y * window[OUT_WIDTH] + out_x
                            terms = weights[(tap_y * window[KERNEL_X] + tap_x) * channels + channel]
                            clipped += add_factors_on(
                                state[position][first:end], flags[position][first:end], terms[: end - first],
                                factors[:number], limits)
    return clipped


@njit(cache=True)
def count_masked(
    starts: Array, flat: Array, window: Array, groups: int, by_row: Array, by_column: Array, by_channel: Array, fed: Array,
    on_before: Array, quiet: Array, lanes: Array, totals: Array,
) -> None:
    """Of each event, `lanes`: its real synapses to neurons that are on; onto `totals` their sum and that of its operations.

    on_before (positions, lanes + 1)   neurons that are on in the lanes before each.
    """
    width, channels, pool = window[WIDTH], window[CHANNELS], window[POOL]
    token = 0
    for tile in range(starts.shape[0]):
        for y in range(by_row.shape[0]):
            for x in range(width):
                for event in range(starts[tile, y * width + x], starts[tile, y * width + x + 1]):
                    channel = flat[event] - (x // pool) * channels
                    line = channel if fed.shape[0] > 1 else 0
                    group, reached = by_channel[line, 0], by_channel[line, 1]
                    adds = 0
                    for out_y in range(by_row[y, 0], by_row[y, 0] + by_row[y, 1]):
                        for out_x in range(by_column[x, 0], by_column[x, 0] + by_column[x, 1]):
                            position = out_y * window[OUT_WIDTH] + out_x
                            adds += on_before[position, fed[line, 1]] - on_before[position, fed[line, 0]]
                            for step in range(reached):
                                off = quiet[position * groups + group + step]
                                totals[SKIPPED] += off
                                totals[WORKED] += 1 - off
                                totals[LAST] += (1 - off) * (group + step == groups - 1)
                    lanes[token] = adds
                    totals[ADDS] += adds
                    token += 1


@njit(cache=True)
def time_masked(
    counts: Array, words: Array, quiet: Array, slots: Array, arrivals: Array, core: Array, ring: Array, tally: Array, log: Array,
    issue: Array, acc_kind: int, skip_kind: int,
) -> None:
    """R2, R3, R5, R6, R21, R23 and R25 for events in order, word by word.

    counts (n,)      words that each event touches; `words` lists them, one event after the other.
    slots (n,)       cycles of each operation on a word that is not quiet; size 0: 1.
    arrivals (n, 2)  gap and earliest cycle of each push; size 0: gap 1, never late.
    log (n, 2)       push and pop; issue (operations, 3) as CoreLog.issue; size 0: not written.
    """
    free, done, word, claims, writes = core[NEXT], core[EXEC], core[WORD], core[CLAIMS], core[WRITES]
    pushed, place, adds_to = core[PUSHED], core[PLACE], core[ADDS_TO]
    bypass, single = core[BYPASS] != 0, core[SINGLE_PORT] != 0
    line = at = 0
    gap, earliest, m = 1, 0, 1
    for token in range(counts.size):
        if arrivals.shape[0]:
            gap, earliest = arrivals[token, 0], arrivals[token, 1]
        if slots.shape[0]:
            m = slots[token]
        pushed = max(pushed + gap, earliest, ring[place] + 1)
        free = max(free, pushed + 1)
        if counts[token] == 0:
            tally[OVERLAPPED] += free < done
            tally[BUSY] += 1
            if issue.shape[0]:
                issue[line, 0], issue[line, 1], issue[line, 2] = free, skip_kind, -1
                line += 1
            free += 1
        for this in words[at : at + counts[token]]:
            slot = max(free, done)
            meets, same = slot == done, this == word
            if meets and same and claims & FLAGS and not bypass:
                slot += 1
                tally[HAZARD] += 1
                meets = False
            if quiet[this]:
                free = slot + 1
                tally[BUSY] += 1
            else:
                if meets and single and writes & adds_to:
                    slot += 1
                    tally[PORT] += 1
                elif meets and same and claims & adds_to and not single and not bypass:
                    slot += 1
                    tally[HAZARD] += 1
                free = done = slot + m
                word, claims, writes = this, adds_to, adds_to
                tally[BUSY] += m
            if issue.shape[0]:
                issue[line, 0], issue[line, 1], issue[line, 2] = slot, skip_kind if quiet[this] else acc_kind, this
                line += 1
        at += counts[token]
        ring[place] = free - 1
        place = place + 1 if place + 1 < ring.size else 0
        if log.shape[0]:
            log[token, 0], log[token, 1] = pushed, free - 1
    core[NEXT], core[EXEC], core[WORD], core[CLAIMS], core[WRITES] = free, done, word, claims, writes
    core[PUSHED], core[PLACE] = pushed, place
    tally[TOKENS] += counts.size
