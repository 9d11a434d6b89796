"""Rows of the buffer that a dense core reads: values lie packed in (y, x, c) order, as many bits each as they are declared.

The rows of a run are those of R20 (docs/cycle-model.md) with that many bits per neuron, so they depend on shapes only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.checks.regions import rows_read
from hwsim.program import CoreRun, Feed, Run
from hwsim.snn.network import Connection, Network


def rows_of_values(network: Network, op: Run) -> int:
    """Buffer rows that a run reads."""
    return sum(_rows(network, op.body, feed) for feed in op.feeds if feed.planes)


def _rows(network: Network, body: CoreRun, feed: Feed) -> int:
    connection = body.connections[feed.connection]
    bits = network.carries_payload(connection)
    if body.core.order == "scatter":
        return rows_of_scan(connection, np.array(sorted(rows_read(body, connection))), bits, body.core.scan_bits)
    chunks = -(-(body.groups[1] - body.groups[0]) // body.core.accumulators)
    return chunks * rows_of_windows(connection, body.row_span, body.shape[2], bits, body.core.scan_bits)


def rows_of_scan(connection: Connection, taken: NDArray[np.int64], bits: int, scan_bits: int) -> int:
    """Rows read when the source rows `taken` are read once, in order (R20, R25)."""
    line_bits = connection.source_shape[2] * connection.source_shape[0] * bits
    first, end = taken * line_bits // scan_bits, ((taken + 1) * line_bits - 1) // scan_bits
    return int((end - first + 1).sum() - (first[1:] == end[:-1]).sum())


def rows_of_windows(connection: Connection, rows: tuple[int, int], width: int, bits: int, scan_bits: int) -> int:
    """Rows read at all output positions of `rows` x `width`, one visit each (R20): a row is not read twice in a row."""
    top, bottom = _spans(connection, np.arange(*rows), 1)
    left, right = _spans(connection, np.arange(width), 2)
    channels, _, source_width = connection.source_shape
    total, last = 0, np.full((len(top), width), -1, np.int64)
    for step in range(int((bottom - top).max(initial=0))):
        y = top + step
        inside = ((y < bottom)[:, None] & (left < right)[None, :])
        low = (y[:, None] * source_width + left[None, :]) * channels * bits
        high = (y[:, None] * source_width + right[None, :]) * channels * bits
        first, end = low // scan_bits, (high - 1) // scan_bits
        total += int((end - first + (first != last))[inside].sum())
        last = np.where(inside, end, last)
    return total


def _spans(connection: Connection, outputs: NDArray[np.int64], axis: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Source rows (axis 1) or columns (2) [first, end) of the window of each output."""
    extent, along = connection.pooled_shape[axis], connection.axes[axis - 1]
    first = outputs * along.stride - along.padding
    end = first + along.kernel
    return np.clip(first, 0, extent) * connection.pool, np.clip(end, 0, extent) * connection.pool
