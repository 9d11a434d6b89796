"""Merged tokens: planes to patterns, where their bits lie in the buffer, and what they count (R21).

A pattern is the integer whose bit n says that plane n has a spike, or, on bit-serial multipliers, a payload whose magnitude
is taken bit by bit. Its set bits are added by rising weight, `adders` in a slot, and each slot is one saturating addition.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

WORDS, ADDS, SHIFTS, SLOTS = range(4)


@njit(cache=True)
def merge(plane: Array, n: int, out: Array) -> None:
    """Bit n of `out` from a plane of the same shape; bit 0 first, which also clears the rest."""
    flat, patterns = plane.reshape(-1), out.reshape(-1)
    number = out.dtype.type
    for k in range(flat.size):
        bit = number(number(flat[k] != 0) << number(n))
        patterns[k] = bit if n == 0 else patterns[k] | bit


@njit(cache=True)
def place_events(
    starts: Array, flat: Array, pool: int, grid_shape: tuple[int, int, int], bits: int, scan_bits: int, skipped: Array,
    rows: Array, channels: Array,
) -> None:
    """Of a bitmap plane's events: the buffer row of its last bit, less those `skipped` before it (H,), and its channel."""
    height, width, grid_channels = grid_shape
    shift = np.uint32(0)
    while np.int64(1) << shift < scan_bits:
        shift += np.uint32(1)
    shifts = np.int64(1) << shift == scan_bits  # dividing takes much longer
    for y in range(height):
        for x in range(width):
            channel_0 = (x // pool) * grid_channels
            first = (y * width + x) * grid_channels + 1
            for event in range(starts[0, y * width + x], starts[0, y * width + x + 1]):
                channel = flat[event] - channel_0
                place = (first + channel) * bits - 1
                rows[event] = (place >> shift if shifts else place // scan_bits) - skipped[y]
                channels[event] = channel


@njit(cache=True)
def place_planes(
    starts: Array, flat: Array, begins: Array, pool: int, grid_shape: tuple[int, int, int], bits: int, scan_bits: int,
    skipped: Array, rows: Array, channels: Array,
) -> None:
    """place_events for planes as kernels.events.list_planes leaves them."""
    for n in range(starts.shape[0]):
        first, end = begins[n], begins[n + 1]
        place_events(
            starts[n], flat[first:end], pool, grid_shape, bits, scan_bits, skipped, rows[first:end], channels[first:end])


@njit(cache=True)
def count_jumps(rows: Array, jumps: Array) -> None:
    """How many events up to each lie more than a buffer row behind the one before."""
    found = 0
    for event in range(1, rows.size):
        found += rows[event] - rows[event - 1] > 1
        jumps[event] = found


@njit(cache=True)
def reach_events(
    starts: Array, flat: Array, grid: Array, by_row: Array, by_column: Array, by_channel: Array, reach: Array, lanes: Array,
    totals: Array,
) -> None:
    """Of each event, `lanes`: its real synapses; their sum and that of its words go onto `totals`.

    reach (n, 3) words, first and last word, as in kernels.dataflow; size 0: not written.
    grid holds height, width, channels, pool, output width and groups, as in kernels.timing.
    """
    height, width, channels, pool, out_width, groups = grid
    alike = by_channel.shape[0] == 1
    token = words = synapses = 0
    for tile in range(starts.shape[0]):
        for y in range(height):
            for x in range(width):
                low, high = starts[tile, y * width + x], starts[tile, y * width + x + 1]
                positions = by_row[y, 1] * by_column[x, 1]
                first = (by_row[y, 0] * out_width + by_column[x, 0]) * groups
                last = first + ((by_row[y, 1] - 1) * out_width + by_column[x, 1] - 1) * groups
                for event in range(low, high):
                    channel = 0 if alike else flat[event] - (x // pool) * channels
                    group, reached = by_channel[channel, 0], by_channel[channel, 1]
                    if reach.shape[0]:
                        reach[token, 0] = positions * reached
                        reach[token, 1] = first + group
                        reach[token, 2] = last + group + reached - 1
                    lanes[token] = positions * by_channel[channel, 2]
                    words += positions * reached
                    synapses += positions * by_channel[channel, 2]
                    token += 1
    totals[WORDS] += words
    totals[ADDS] += synapses


@njit(cache=True)
def reach_planes(
    starts: Array, flat: Array, begins: Array, grid: Array, by_row: Array, by_column: Array, by_channel: Array, totals: Array,
) -> None:
    """totals (N, 2): words and synapses of all events of planes as kernels.events.list_planes leaves them, with one tile."""
    channels, pool = grid[2], grid[3]
    alike = by_channel.shape[0] == 1
    for n in range(starts.shape[0]):
        listed, begin = flat[begins[n] : begins[n + 1]], starts[n, 0]
        for y in range(grid[0]):
            for x in range(grid[1]):
                low, high = begin[y * grid[1] + x], begin[y * grid[1] + x + 1]
                groups = synapses = 0
                if alike:
                    groups, synapses = (high - low) * by_channel[0, 1], (high - low) * by_channel[0, 2]
                else:
                    for event in range(low, high):
                        of_channel = by_channel[listed[event] - (x // pool) * channels]
                        groups += of_channel[1]
                        synapses += of_channel[2]
                positions = by_row[y, 1] * by_column[x, 1]
                totals[n, 0] += positions * groups
                totals[n, 1] += positions * synapses


@njit(cache=True)
def words_of(
    channel: int, y: int, x: int, grid: Array, by_row: Array, by_column: Array, by_channel: Array, words: Array
) -> int:
    """The words that one event of the grid's (y, x) touches; returns how many."""
    out_width, groups = grid[4], grid[5]
    line = 0
    of_channel = by_channel[channel if by_channel.shape[0] > 1 else 0]
    group, reached = of_channel[0], of_channel[1]
    for out_y in range(by_row[y, 0], by_row[y, 0] + by_row[y, 1]):
        for out_x in range(by_column[x, 0], by_column[x, 0] + by_column[x, 1]):
            for step in range(reached):
                words[line] = (out_y * out_width + out_x) * groups + group + step
                line += 1
    return line


@njit(cache=True)
def count_last(starts: Array, flat: Array, grid: Array, by_row: Array, by_column: Array, by_channel: Array) -> int:
    """Of the words that the events of a list touch, those of the last group."""
    height, width, channels, pool, _, groups = grid
    found = 0
    for tile in range(starts.shape[0]):
        for y in range(height):
            for x in range(width):
                positions = by_row[y, 1] * by_column[x, 1]
                for event in range(starts[tile, y * width + x], starts[tile, y * width + x + 1]):
                    channel = 0 if by_channel.shape[0] == 1 else flat[event] - (x // pool) * channels
                    if by_channel[channel, 1] and by_channel[channel, 0] + by_channel[channel, 1] == groups:
                        found += positions
    return found


@njit(cache=True)
def list_reached(
    starts: Array, flat: Array, grid: Array, by_row: Array, by_column: Array, by_channel: Array, words: Array
) -> int:
    """The words that the events of a list touch, one event after the other; returns how many."""
    height, width, channels, pool = grid[0], grid[1], grid[2], grid[3]
    line = 0
    for tile in range(starts.shape[0]):
        for y in range(height):
            for x in range(width):
                for event in range(starts[tile, y * width + x], starts[tile, y * width + x + 1]):
                    channel = flat[event] - (x // pool) * channels
                    line += words_of(channel, y, x, grid, by_row, by_column, by_channel, words[line:])
    return line


@njit(cache=True)
def count_patterns(values: Array, adders: int, lanes: Array, slots: Array, totals: Array) -> None:
    """Slots of each pattern; into `totals` the additions, the shifted ones and lanes x slots of all of them."""
    adds = shifts = taken = 0
    slots_of = np.array([max(1, (bits + adders - 1) // adders) for bits in range(65)], np.int64)  # dividing takes much longer
    for token in range(values.size):
        pattern = np.uint64(abs(values[token]))
        # Set bits counted in parallel: pairs, fours, bytes, then the sum of all bytes.
        pairs = pattern - ((pattern >> np.uint64(1)) & np.uint64(0x5555555555555555))
        fours = (pairs & np.uint64(0x3333333333333333)) + ((pairs >> np.uint64(2)) & np.uint64(0x3333333333333333))
        eights = (fours + (fours >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        bits = np.int64((eights * np.uint64(0x0101010101010101)) >> np.uint64(56))
        slots[token] = slots_of[bits]
        adds += bits * lanes[token]
        shifts += (bits - np.int64(pattern & np.uint64(1))) * lanes[token]
        taken += slots[token] * lanes[token]
    totals[ADDS], totals[SHIFTS], totals[SLOTS] = adds, shifts, taken
