"""C2 to C4 event by event: the tokens of a run and their gaps, listed from the planes without an engine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwsim.program import CoreRun, Feed, Program, Run
from hwsim.snn.network import Connection, by_axis


def tokens_of(program: Program, op: Run, sources: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """C2 to C4, event by event: tokens (n, 6) and gaps of a run."""
    tokens: list[tuple[int, ...]] = []
    gaps: list[int] = []
    rows, reached = 0, -1
    core = op.body.core

    def push(row: int, *token: int) -> None:
        nonlocal reached
        tokens.append(token)
        gaps.append(max(1, row - reached) if core.buffer == "bitmap" else 1)
        reached = max(reached, row)

    for n in range(op.eots):
        for feed in op.feeds:
            if n < len(feed.planes):
                connection = op.body.connections[feed.connection]
                plane = sources[connection.source][feed.planes[n]]
                payload = program.network.carries_payload(connection) > 0
                if connection.source == "input" and program.network.input.encoding == "hybrid":
                    payload = feed.planes[n] == 0
                read = rows_read(op.body, connection)
                for index, y, x, c, value in plane_events(connection, plane, feed, core.buffer):
                    if y in rows_seen(op.body, connection):
                        row = read.index(index // core.scan_bits) if core.buffer == "bitmap" else 0
                        push(rows + row, feed.connection, c, y, x, value if payload else 0, payload)
                rows += len(read)
        push(rows - 1, -1, 0, 0, 0, 0, 0)
    return np.array(tokens, np.int64), np.array(gaps, np.int64)


def rows_seen(run: CoreRun, connection: Connection) -> list[int]:
    """Rows of the grid of events (folded: of the source) that an output of the tile sees; all rows for all outputs."""
    folds = connection.pool if connection.pool_mode == "folded" else 1
    height = connection.source_shape[1] if folds > 1 else connection.token_shape[1]
    if run.rows is None or run.rows == (0, run.shape[1]):
        return list(range(height))
    _, pooled, _ = connection.pooled_shape
    kernel, stride, padding = (by_axis(side)[0] for side in (connection.kernel, connection.stride, connection.padding))
    if connection.operator == "linear":
        kernel = pooled
    return [y for y in range(height) if y // folds < pooled and any(
        0 <= y // folds + padding - stride * out < kernel for out in range(*run.rows))]


def rows_read(run: CoreRun, connection: Connection) -> list[int]:
    """Rows of the bitmap that hold a bit of a row that is seen."""
    shape = connection.source_shape if connection.pool_mode == "folded" else connection.token_shape
    line, scan_bits = shape[0] * shape[2], run.core.scan_bits
    return sorted({row for y in rows_seen(run, connection)
                   for row in range(y * line // scan_bits, ((y + 1) * line - 1) // scan_bits + 1)})


def plane_events(
    connection: Connection, plane: np.ndarray, feed: Feed, buffer: str
) -> Iterator[tuple[int, int, int, int, int]]:
    """(place in the plane, y, x, c, value) of the tokens of one plane."""
    mode, k = connection.pool_mode, connection.pool
    channels, height, width = connection.token_shape
    if mode in ("unit", "max"):
        windows = plane[: height * k, : width * k].reshape(height, k, width, k, channels).astype(np.int64)
        pooled = windows.sum(axis=(1, 3)) if mode == "unit" else (windows != 0).any(axis=(1, 3)).astype(np.int64)
    if mode == "unit" or buffer == "bitmap":
        grid, tiles = pooled if mode in ("unit", "max") else plane, ((0, channels, 0, plane.shape[0]),)
    else:
        grid, tiles = plane, feed.regions(plane.shape[0])
    seen = set()
    for low, high, first, end in tiles:
        for y, x, c in np.argwhere(grid):
            if not (low <= c < high and first <= y < end):
                continue
            place, value = (y * grid.shape[1] + x) * channels + c, grid[y, x, c]
            if mode == "max" and buffer == "aer":
                y, x, value = y // k, x // k, 1
                if y >= height or x >= width or (y, x, c) in seen:
                    continue
                seen.add((y, x, c))
            yield int(place), int(y), int(x), int(c), int(value)
