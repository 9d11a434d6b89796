"""Where the tokens of a run come from: AER lists, bitmap scanners and pooling units (C2 to C4). Gaps in cycles.

A source's plane is a (H, W, C) array of 0 / 1 or payloads; its events are the non-zero elements. The buffers are
written here as the hardware walks them, one event or one row after the other; the feeder (core.py) gives them time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.program import Feed, ProgramError, Run
from hwsim.snn.network import Connection

Plane = NDArray[np.integer]
Grid = NDArray[np.int64]
Event = tuple[int, int, int, int]


class Token(NamedTuple):
    """An event of a connection's source neuron, or an EOT (connection -1)."""

    connection: int
    c: int
    y: int
    x: int
    payload: int
    has_payload: int

    @property
    def is_eot(self) -> bool:
        return self.connection < 0


EOT = Token(-1, 0, 0, 0, 0, 0)


@dataclass
class TokenStream:
    """Tokens with their gaps, earliest cycles and the bitmap rows scanned to reach them.

    pool_updates   spikes that a pooling unit saw, by plane of the run (in the order in which the run reads them).
    values         bits of values that were read with their events, by plane of the run.
    pooled_values  bits of values that a pooling unit read, by plane of the run.
    """

    tokens: list[Token] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
    earliest: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    pool_updates: list[int] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    pooled_values: list[int] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[Token, int, int, int]]:
        return zip(self.tokens, self.gaps, self.earliest, self.rows, strict=True)

    def append(self, token: Token, rows: int = 0) -> None:
        self.tokens.append(token)
        self.gaps.append(max(1, rows))
        self.earliest.append(0)
        self.rows.append(rows)


def given_stream(
    tokens: NDArray[np.int64], gaps: NDArray[np.int64], earliest: NDArray[np.int64]
) -> TokenStream:
    """A stream that a caller laid out: tokens (n, 6), gaps and earliest (n,)."""
    return TokenStream(
        tokens=[Token(*token) for token in tokens.tolist()], gaps=gaps.tolist(), earliest=earliest.tolist(),
        rows=[0] * len(tokens),
    )


def run_stream(
    operation: Run, planes_of: Callable[[Connection], NDArray[np.integer]],
    payload_of: Callable[[Connection], int], is_hybrid: Callable[[Connection], bool] = lambda connection: False,
    value_bits_of: Callable[[Connection], int] = lambda connection: 0,
) -> TokenStream:
    """The tokens of a run operation (C2): for each EOT, the plane of every feed that has one, then the EOT.

    planes_of gives a connection's source as (T, H, W, C); payload_of the bits of its events' payloads, 0 for binary events;
    value_bits_of the bits of its source's values as they lie in the buffer; is_hybrid whether it reads a hybrid input, whose
    plane 0 alone carries payloads (whatever payload_of says).
    ProgramError for pooling that C4 does not define.
    """
    run = operation.body
    none = [0] * operation.eots
    stream = TokenStream(pool_updates=[*none], values=[*none], pooled_values=[*none])
    scanned_rows = 0
    for n in range(operation.eots):
        for feed in operation.feeds:
            if n >= len(feed.planes):
                continue
            connection = run.connections[feed.connection]
            plane = planes_of(connection)[feed.planes[n]]
            has_payload = payload_of(connection) > 0
            if is_hybrid(connection):
                _refuse_unit_of_hybrid(connection)
                # The source's own plane 0, wherever the run comes to it: a step or a second stage starts elsewhere.
                has_payload = feed.planes[n] == 0
            if run.core.buffer == "aer":
                for event in aer_events(plane, connection, feed.tiles, has_payload):
                    stream.append(_token(feed, event, has_payload))
            else:
                for step in bitmap_rows(token_grid(plane, connection, has_payload), run.core.scan_bits):
                    scanned_rows += 1
                    for event in step:
                        stream.append(_token(feed, event, has_payload), scanned_rows)
                        scanned_rows = 0
            if connection.pool_mode in ("unit", "max"):
                stream.pool_updates[n] += int(np.count_nonzero(windows(plane, connection.pool)))
            if connection.pool_mode == "unit":
                stream.pooled_values[n] += value_bits_of(connection) * int(np.count_nonzero(windows(plane, connection.pool)))
            elif has_payload:
                stream.values[n] += value_bits_of(connection) * int(np.count_nonzero(token_grid(plane, connection, has_payload)))
        stream.append(EOT, scanned_rows)
        scanned_rows = 0
    return stream


def _token(feed: Feed, event: Event, has_payload: bool) -> Token:
    c, y, x, value = event
    return Token(feed.connection, c, y, x, value if has_payload else 0, int(has_payload))


def aer_events(
    plane: Plane, connection: Connection, tiles: Sequence[tuple[int, int]], has_payload: bool
) -> Iterator[Event]:
    """(c, y, x, value) as an AER list holds them: tile by tile in (y, x, c) order.

    A pooling unit lists its counts in (y, x, c) order of the pooled grid; max pooling lists a pooled position when
    the first spike of its window arrives (its seen-bit is clear) and drops the others.
    """
    if connection.pool_mode == "unit":
        yield from grid_events(token_grid(plane, connection, has_payload))
        return
    arriving = (event for low, high in tiles for event in grid_events(plane[:, :, low:high], low))
    if connection.pool_mode == "max":
        yield from _first_arrivals(arriving, connection, has_payload)
    else:
        yield from arriving


def _first_arrivals(arriving: Iterator[Event], connection: Connection, has_payload: bool) -> Iterator[Event]:
    _refuse_max_of_values(connection, has_payload)
    _, height, width = connection.pooled_shape
    seen: set[tuple[int, int, int]] = set()
    for c, y, x, _ in arriving:
        place = (c, y // connection.pool, x // connection.pool)
        if place[1] < height and place[2] < width and place not in seen:
            seen.add(place)
            yield (*place, 1)


def bitmap_rows(grid: Grid, scan_bits: int) -> Iterator[list[Event]]:
    """The events of each row of a bitmap, row by row: `scan_bits` positions of the grid in (y, x, c) order."""
    _, width, channels = grid.shape
    flat = grid.reshape(-1)
    for row in range(0, len(flat), scan_bits):
        found = []
        for position in (row + np.flatnonzero(flat[row : row + scan_bits])).tolist():
            place, c = divmod(position, channels)
            y, x = divmod(place, width)
            found.append((c, y, x, int(flat[position])))
        yield found


def grid_events(grid: Grid | Plane, first_channel: int = 0) -> Iterator[Event]:
    """(c, y, x, value) of the non-zero elements of a (H, W, C) grid, in (y, x, c) order."""
    ys, xs, cs = np.nonzero(grid)
    values = grid[ys, xs, cs].tolist()
    yield from zip((cs + first_channel).tolist(), ys.tolist(), xs.tolist(), values, strict=True)


def token_grid(plane: Plane, connection: Connection, has_payload: bool) -> Grid:
    """The (H, W, C) grid whose positions a connection's events name: window sums, their OR, or the plane itself."""
    if connection.pool_mode == "unit":
        return np.asarray(windows(plane, connection.pool).sum(axis=(1, 3)), np.int64)
    if connection.pool_mode == "max":
        _refuse_max_of_values(connection, has_payload)
        return np.asarray(windows(plane, connection.pool).any(axis=(1, 3)), np.int64)
    return np.asarray(plane, np.int64)


def windows(plane: Plane, pool: int) -> Grid:
    """The complete pool x pool windows of a (H, W, C) plane as (H // pool, pool, W // pool, pool, C)."""
    height, width, channels = plane.shape[0] // pool, plane.shape[1] // pool, plane.shape[2]
    kept = np.asarray(plane[: height * pool, : width * pool], np.int64)
    return kept.reshape(height, pool, width, pool, channels)


def _refuse_unit_of_hybrid(connection: Connection) -> None:
    if connection.pool_mode == "unit":
        raise ProgramError(
            f"a pooling unit on {connection.source!r}, which is hybrid: its counts would be payloads in every plane, but "
            "spikes of a hybrid input carry none and weigh 2**spike_shift (C2, R11); use pool_mode 'folded'"
        )


def _refuse_max_of_values(connection: Connection, has_payload: bool) -> None:
    if has_payload:
        raise ProgramError(
            f"max pooling of {connection.source!r}, which sends values: C4 defines it as the OR of binary spikes; "
            "use pool_mode 'unit' or 'folded'"
        )
