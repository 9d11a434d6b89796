"""Spike planes to event lists: which neurons of a plane fired, in token order, and what pooling units make of them.

An event list is `starts` (tiles, H * W + 1), where each position's events begin, and `flat`, for each event
`(x // pool) * C + c`: added to a constant it is the row of the weight table, whatever the kernel column
(kernels.arithmetic.gather). `values` holds payloads, or has size 0 when events are binary. Rules C2 to C4 and R25 of
docs/cycle-model.md; planes are (H, W, C). Tiles are lines (n, 4): channels [lo, hi), rows [a, b) of the source.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]


@njit(cache=True)
def list_events(
    plane: Array, tiles: Array, taken: Array, pool: int, starts: Array, flat: Array, values: Array
) -> tuple[Any, Any]:
    """Non-zero elements of the rows of `plane` that are `taken`, tile by tile, each in (y, x, c) order.

    Returns their number and largest |value|. Every element is written and only the count is conditional: no branch to
    mispredict. So `flat` (and `values`) hold one element more than the plane.
    """
    height, width, channels = plane.shape
    payloads = values.size > 0
    n = np.uint64(0)
    largest = np.int64(1)
    for tile in range(tiles.shape[0]):
        begin = starts[tile]
        low = np.uint64(tiles[tile, 0])
        count = tiles[tile, 1] - tiles[tile, 0]
        for y in range(height):
            if not taken[y] or y < tiles[tile, 2] or y >= tiles[tile, 3]:
                begin[y * width : (y + 1) * width] = n
                continue
            for x in range(width):
                begin[y * width + x] = n
                first = np.uint64((x // pool) * channels) + low
                row = plane[y, x]
                if payloads:
                    for c in range(count):
                        value = np.int64(row[np.uint64(c) + low])
                        flat[n] = first + np.uint64(c)
                        values[n] = value
                        largest = max(largest, abs(value))
                        n += np.uint64(value != 0)
                else:
                    for c in range(count):
                        flat[n] = first + np.uint64(c)
                        n += np.uint64(row[np.uint64(c) + low] != 0)
        begin[height * width] = n
    return np.int64(n), largest


@njit(cache=True)
def count_events(plane: Array, tiles: Array, taken: Array, starts: Array) -> int:
    """`starts` of list_events, and the number of events, for whoever does not ask which they are."""
    height, width = plane.shape[0], plane.shape[1]
    n = 0
    for tile in range(tiles.shape[0]):
        begin = starts[tile]
        low, end = tiles[tile, 0], tiles[tile, 1]
        for y in range(height):
            skipped = not taken[y] or y < tiles[tile, 2] or y >= tiles[tile, 3]
            for x in range(width):
                begin[y * width + x] = n
                if skipped:
                    continue
                row = plane[y, x][low:end]
                total = np.int32(0)
                for c in range(row.size):
                    total = np.int32(total + (row[c] != 0))
                n += int(total)
        begin[height * width] = n
    return n


@njit(cache=True)
def list_chosen_planes(
    planes: Array, order: Array, tiles: Array, taken: Array, pool: int, starts: Array, flat: Array, values: Array
) -> int:
    """The event lists of planes[order[k]], one behind the other in `flat`; returns how many events there are.

    starts (order, tiles, H * W + 1) counts through all of them. A `flat` of size 0 is not written: events are counted only.
    """
    n = 0
    for plane in range(order.size):
        each = starts[plane]
        if flat.size:
            found, _ = list_events(planes[order[plane]], tiles, taken, pool, each, flat[n:], values)
        else:
            found = count_events(planes[order[plane]], tiles, taken, each)
        if n:
            for tile in range(each.shape[0]):
                for place in range(each.shape[1]):
                    each[tile, place] += n
        n += found
    return n


@njit(cache=True)
def scan_gaps(
    starts: Array, flat: Array, pool: int, grid_shape: tuple[int, int, int], scan_bits: int, skipped: Array, base: int,
    reached: int, arrivals: Array,
) -> int:
    """C3: gaps of a bitmap plane's tokens, as kernels.timing reads `arrivals` (events, 3). Returns the last row reached.

    Rows that are read are numbered through the run; the previous token's is `reached`. Row r of this plane, found in row y of
    the grid, is number base + r - skipped[y]. Events of a position that follow an event with gap 1 are only counted there.
    """
    height, width, channels = grid_shape
    shift = np.uint32(0)
    while np.int64(1) << shift < scan_bits:
        shift += np.uint32(1)
    shifts = np.int64(1) << shift == scan_bits  # dividing takes much longer
    for y in range(height):
        first = base - skipped[y]
        for x in range(width):
            position = (y * width + x) * channels - (x // pool) * channels
            low, high = starts[0, y * width + x], starts[0, y * width + x + 1]
            head = low
            for event in range(low, high):
                place = position + flat[event]
                row = first + (place >> shift if shifts else place // scan_bits)
                if event == low or row > reached + 1:
                    if event > low:
                        arrivals[head, 2] = event - head - 1
                    head = event
                    arrivals[head, 0], arrivals[head, 1] = max(1, row - reached), 0
                reached = row
            if high > low:
                arrivals[head, 2] = high - head - 1
    return reached


@njit(cache=True)
def count_planes(planes: Array, tiles: Array, taken: Array, starts: Array) -> None:
    """count_events for planes (N, H, W, C), `starts` (N, tiles, H * W + 1)."""
    for n in range(planes.shape[0]):
        count_events(planes[n], tiles, taken, starts[n])


@njit(cache=True)
def list_planes(
    planes: Array, tiles: Array, taken: Array, pool: int, starts: Array, flat: Array, values: Array, begins: Array
) -> None:
    """list_events for planes (N, H, W, C): those of plane n begin at begins[n] of `flat`, `starts` count from there.

    `flat` (and `values`) hold one element more than all planes.
    """
    begins[0] = 0
    for n in range(planes.shape[0]):
        first = begins[n]
        found, _ = list_events(
            planes[n], tiles, taken, pool, starts[n], flat[first:], values[first:] if values.size else values)
        begins[n + 1] = first + found


@njit(cache=True)
def scan_planes(
    starts: Array, flat: Array, begins: Array, pool: int, grid_shape: tuple[int, int, int], scan_bits: int, skipped: Array,
    rows: int, arrivals: Array, mark_gaps: Array,
) -> None:
    """scan_gaps for planes of `rows` buffer rows each, and the gap of the EOT after each; later EOTs have gap 1."""
    reached = -1
    for n in range(mark_gaps.shape[0]):
        if n >= starts.shape[0]:
            mark_gaps[n] = 1
            continue
        first, end = begins[n], begins[n + 1]
        reached = scan_gaps(
            starts[n], flat[first:end], pool, grid_shape, scan_bits, skipped, n * rows, reached, arrivals[first:end])
        mark_gaps[n] = max(1, (n + 1) * rows - 1 - reached)
        reached = (n + 1) * rows - 1


@njit(cache=True)
def pool_windows(plane: Array, pool: int, out: Array, either: bool) -> int:
    """C4: each complete window's sum (`unit`), or with `either` its OR (`max` behind a bitmap). Returns the non-zero
    elements that it was made of."""
    updates = 0
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            pooled = out[y, x]
            pooled[:] = 0
            for dy in range(pool):
                for dx in range(pool):
                    row = plane[y * pool + dy, x * pool + dx]
                    seen = 0
                    if either:
                        for c in range(row.size):
                            pooled[c] |= row[c] != 0
                            seen += row[c] != 0
                    else:
                        for c in range(row.size):
                            pooled[c] += row[c]
                            seen += row[c] != 0
                    updates += seen
    return updates


@njit(cache=True)
def first_arrivals(plane: Array, pool: int, tiles: Array, seen: Array, out: Array) -> int:
    """C4 `max` behind an AER list: the first spike of each complete window, where it was, so that order is kept.

    `seen` has a place for each window and channel; `out` has the source's shape and is zero outside complete windows.
    Returns the spikes that were OR-ed.
    """
    updates = 0
    seen[:] = 0
    for tile in range(tiles.shape[0]):
        low, high = tiles[tile, 0], tiles[tile, 1]
        for y in range(tiles[tile, 2], min(tiles[tile, 3], seen.shape[0] * pool)):
            for x in range(seen.shape[1] * pool):
                row, first, taken = plane[y, x][low:high], out[y, x][low:high], seen[y // pool, x // pool][low:high]
                spikes = 0
                for c in range(row.size):
                    fired = np.uint8(row[c] != 0)
                    first[c] = fired & (taken[c] ^ 1)
                    taken[c] |= fired
                    spikes += int(fired)
                updates += spikes
    return updates
