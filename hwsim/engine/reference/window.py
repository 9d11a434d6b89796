"""The window scanner: visits of a gather run, and which buffer rows are read to find the events of a window or a row tile.

Rules R19 to R21 and R25. A bitmap lies in (y, x, c) order, `bits` per neuron, `scan_bits` in a row of the buffer. The scanner
goes through the source rows of its window from top to bottom and reads, for each, the buffer rows that hold it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.program import CoreRun
from hwsim.snn.network import Connection

Grid = NDArray[np.int64]
Event = tuple[int, int, int, int]


class Visit(NamedTuple):
    """The words that are worked on at a time; in gather order, some groups of one output position (y, x)."""

    y: int
    x: int
    words: range


class Window(NamedTuple):
    """Source rows, in order, and columns [left, right)."""

    rows: Sequence[int]
    left: int
    right: int


def visits(run: CoreRun) -> list[Visit]:
    """Positions by row and column, at each its words, `accumulators` at a time; a scatter run is one visit of all words."""
    if run.core.order == "scatter":
        return [Visit(0, 0, range(run.words))]
    (first_row, end_row), width = run.worked_rows, run.shape[2]
    groups, held = run.groups[1] - run.groups[0], run.core.accumulators
    found = []
    for y in range(first_row, end_row):
        for x in range(width):
            first = ((y - first_row) * width + x) * groups
            for low in range(0, groups, held):
                found.append(Visit(y, x, range(first + low, first + min(low + held, groups))))
    return found


def window_of(connection: Connection, visit: Visit) -> Window:
    """The field of a visit on the grid that the events of `connection` name."""
    _, height, width = connection.pooled_shape
    if connection.operator == "linear":
        top, bottom, left, right = 0, height, 0, width
    else:
        rows, columns = connection.axes
        top, left = rows.stride * visit.y - rows.padding, columns.stride * visit.x - columns.padding
        bottom, right = min(top + rows.kernel, height), min(left + columns.kernel, width)
        top, left = max(top, 0), max(left, 0)
    # A folded pool has no grid of its own: its window is that much larger in the source.
    k = connection.pool if connection.pool_mode == "folded" else 1
    return Window(range(top * k, bottom * k), left * k, right * k)


def window_of_run(run: CoreRun, connection: Connection, grid: Grid) -> Window:
    """What a scatter run reads of a source's grid: all of it, or the whole rows that a field of its tile's rows holds (R25)."""
    rows: Sequence[int] = range(grid.shape[0])
    if run.cut_by_rows:
        fields = [window_of(connection, Visit(y, 0, range(0))).rows for y in range(*run.worked_rows)]
        rows = sorted({row for field in fields for row in field})
    return Window(rows, 0, grid.shape[1])


class RowScan(NamedTuple):
    """Events that are found next, and how many rows (0 or 1) are read to find them."""

    rows: int
    events: list[Event]


def scan(grid: Grid, bits: int, scan_bits: int, window: Window) -> Iterator[RowScan]:
    """The scanner's steps over one plane: each buffer row of each source row, and the events found there."""
    _, width, channels = grid.shape
    last_read = -1
    if window.left >= window.right:
        return
    for y in window.rows:
        low = (y * width + window.left) * channels * bits
        high = (y * width + window.right) * channels * bits
        for row in range(low // scan_bits, (high - 1) // scan_bits + 1):
            fresh = row != last_read
            last_read = row
            # An event is known when its last bit has been read: neurons whose bits end in this row, in the window.
            first = max(low, row * scan_bits) // bits
            end = min(high, (row + 1) * scan_bits) // bits
            yield RowScan(int(fresh), [_event(grid, neuron) for neuron in range(first, end) if grid.flat[neuron]])


def _event(grid: Grid, neuron: int) -> Event:
    _, width, channels = grid.shape
    place, c = divmod(neuron, channels)
    y, x = divmod(place, width)
    return c, y, x, int(grid.flat[neuron])
