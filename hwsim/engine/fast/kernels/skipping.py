"""Events on a core that skips the operations whose weights are all zero (R26): the words that are left.

`made` (rows of the weight table, groups of the run) says whether the row has a weight that is not zero there; `rows` (rows, 5)
sums a row up: how many groups it has, the first and the last of them, the real lanes of all of them, whether the run's last group
is one. Geometry is that of kernels.timing and kernels.arithmetic.
"""

from __future__ import annotations

from typing import Any

from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

# window: see kernels.arithmetic.
WIDTH, CHANNELS, POOL, KERNEL_Y, KERNEL_X, STRIDE_Y, STRIDE_X, PADDING_Y, PADDING_X = range(9)
FIRST_ROW = 13
OUT_WIDTH, GROUPS = 4, 5  # of grid: see kernels.timing
NUMBER, FIRST, LAST, LANES, IN_LAST = range(5)
WORDS, SYNAPSES, LAST_WORDS = range(3)  # totals


@njit(cache=True)
def row_of(window: Array, channel: int, y: int, x: int, out_y: int, out_x: int) -> int:
    """The row of the weight table by which an event at (y, x) of its grid feeds an output of the tile."""
    tap_y = y // window[POOL] - ((window[FIRST_ROW] + out_y) * window[STRIDE_Y] - window[PADDING_Y])
    tap_x = x // window[POOL] - (out_x * window[STRIDE_X] - window[PADDING_X])
    return (tap_y * window[KERNEL_X] + tap_x) * window[CHANNELS] + channel


@njit(cache=True)
def reach_made(
    starts: Array, flat: Array, grid: Array, window: Array, by_row: Array, by_column: Array, rows: Array, reach: Array,
    lanes: Array, totals: Array,
) -> None:
    """Of each event, `reach` (n, 3): its words, the first and the last, and `lanes`: its real synapses; onto `totals` the
    sums of both, and the words of the last group."""
    width, channels, pool, out_width, groups = window[WIDTH], window[CHANNELS], window[POOL], grid[OUT_WIDTH], grid[GROUPS]
    token = words = synapses = in_last = 0
    for tile in range(starts.shape[0]):
        for y in range(by_row.shape[0]):
            for x in range(width):
                for event in range(starts[tile, y * width + x], starts[tile, y * width + x + 1]):
                    channel = flat[event] - (x // pool) * channels
                    count = added = 0
                    first = last = 0
                    for out_y in range(by_row[y, 0], by_row[y, 0] + by_row[y, 1]):
                        for out_x in range(by_column[x, 0], by_column[x, 0] + by_column[x, 1]):
                            row = rows[row_of(window, channel, y, x, out_y, out_x)]
                            if row[NUMBER] == 0:
                                continue
                            word = (out_y * out_width + out_x) * groups
                            if count == 0:
                                first = word + row[FIRST]
                            last = word + row[LAST]
                            count += row[NUMBER]
                            added += row[LANES]
                            in_last += row[IN_LAST]
                    reach[token, 0], reach[token, 1], reach[token, 2] = count, first, last
                    lanes[token] = added
                    words += count
                    synapses += added
                    token += 1
    totals[WORDS] += words
    totals[SYNAPSES] += synapses
    totals[LAST_WORDS] += in_last


@njit(cache=True)
def list_made(
    starts: Array, flat: Array, grid: Array, window: Array, by_row: Array, by_column: Array, made: Array, words: Array
) -> int:
    """The words of the events of a list, one event after the other; returns how many."""
    width, channels, pool, out_width, groups = window[WIDTH], window[CHANNELS], window[POOL], grid[OUT_WIDTH], grid[GROUPS]
    line = 0
    for tile in range(starts.shape[0]):
        for y in range(by_row.shape[0]):
            for x in range(width):
                for event in range(starts[tile, y * width + x], starts[tile, y * width + x + 1]):
                    channel = flat[event] - (x // pool) * channels
                    for out_y in range(by_row[y, 0], by_row[y, 0] + by_row[y, 1]):
                        for out_x in range(by_column[x, 0], by_column[x, 0] + by_column[x, 1]):
                            row = row_of(window, channel, y, x, out_y, out_x)
                            for group in range(groups):
                                if made[row, group]:
                                    words[line] = (out_y * out_width + out_x) * groups + group
                                    line += 1
    return line
