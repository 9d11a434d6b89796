"""Where the tokens of a run come from: AER lists, bitmap scanners and pooling units (C2 to C4, R19 to R21). Gaps in cycles.

A source's plane is a (H, W, C) array of 0 / 1 or payloads; its events are the non-zero elements. The buffers are
written here as the hardware walks them, one event or one row after the other; the feeder (fifo.py) gives them time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.checks.run import check_eots, check_pooling, eots_of_a_visit
from hwsim.engine.reference.memory import AddressGenerator, WordLayout
from hwsim.engine.reference.window import Event, Grid, Visit, scan, visits, window_of, window_of_run
from hwsim.program import CoreRun, ProgramError, Run
from hwsim.snn.network import Connection

Plane = NDArray[np.integer]
Region = tuple[int, int, int, int]
"""A tile of a source: channels [lo, hi), rows [a, b)."""


class Token(NamedTuple):
    """An event of a connection's source neuron, or an EOT (connection -1).

    A merged token of spikes holds their pattern as its payload, bit n for plane n, and has_payload is 0.
    """

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
    eots           EOTs of the run; in gather order, those of each visit.
    """

    tokens: list[Token] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
    earliest: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    pool_updates: list[int] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    pooled_values: list[int] = field(default_factory=list)
    eots: int = 0

    def __iter__(self) -> Iterator[tuple[Token, int, int, int]]:
        return zip(self.tokens, self.gaps, self.earliest, self.rows, strict=True)

    def append(self, token: Token, rows: int = 0) -> None:
        self.tokens.append(token)
        self.gaps.append(max(1, rows))
        self.earliest.append(0)
        self.rows.append(rows)


def given_stream(
    tokens: NDArray[np.int64], gaps: NDArray[np.int64], earliest: NDArray[np.int64], visit_count: int = 1
) -> TokenStream:
    """A stream that a caller laid out: tokens (n, 6), gaps and earliest (n,); in gather order, of all visits in turn."""
    eots = eots_of_a_visit(int((np.asarray(tokens).reshape(-1, 6)[:, 0] < 0).sum()), visit_count)
    return TokenStream(
        tokens=[Token(*token) for token in tokens.tolist()], gaps=gaps.tolist(), earliest=earliest.tolist(),
        rows=[0] * len(tokens), eots=eots,
    )


@dataclass
class Fed:
    """A feed with the planes that it reads: the token grid of each, and how its buffer holds them.

    bits      per neuron in the buffer: 1, or all planes of a merged source beside each other (R21).
    merged    an event's value is its pattern of planes.
    payload   for each plane, whether its events carry values.      value_bits  of one of the source's values.
    """

    position: int
    connection: Connection
    grids: list[Grid]
    payload: list[bool]
    tiles: Sequence[Region]
    bits: int = 1
    merged: bool = False
    pool_updates: list[int] = field(default_factory=list)
    value_bits: int = 0

    def token(self, event: Event, n: int) -> Token:
        c, y, x, value = event
        valued = self.payload[n] or self.merged
        return Token(self.position, c, y, x, value if valued else 0, int(self.payload[n]))


def run_stream(
    operation: Run, planes_of: Callable[[Connection], NDArray[np.integer]],
    payload_of: Callable[[Connection], int], is_hybrid: Callable[[Connection], bool] = lambda connection: False,
    value_bits_of: Callable[[Connection], int] = lambda connection: 0,
) -> TokenStream:
    """The tokens of a run operation (C2): for each EOT, the plane of every feed that has one, then the EOT.

    planes_of gives a connection's source as (T, H, W, C); payload_of the bits of its events' payloads, 0 for binary events;
    value_bits_of the bits of its source's values as they lie in the buffer; is_hybrid whether it reads a hybrid input, whose
    plane 0 alone carries payloads (whatever payload_of says).
    ProgramError for pooling that C4 does not define, and for sources that cannot be merged (R21).
    """
    run = operation.body
    fed = []
    for feed in operation.feeds:
        connection = run.connections[feed.connection]
        planes = [planes_of(connection)[n] for n in feed.planes]
        payload = [payload_of(connection) > 0] * len(planes)
        if is_hybrid(connection):
            check_pooling(connection, values=False, hybrid=True)
            # The source's own plane 0, wherever the run comes to it: a step or a second stage starts elsewhere.
            payload = [n == 0 for n in feed.planes]
        regions = feed.regions(connection.source_shape[1])
        fed.append(_fed(run, feed.connection, planes, payload, regions, value_bits_of(connection)))
    return stream_of(run, fed, operation.eots)


def plane_stream(run: CoreRun, planes: Sequence[NDArray[np.integer]], eots: int) -> TokenStream:
    """The tokens of a run by itself, from the planes (n, H, W, C) of each of its connections."""
    fed = []
    for position, connection in enumerate(run.connections):
        payload = [run.sends_payloads(position)] * len(planes[position])
        every = ((0, connection.source_shape[0], 0, connection.source_shape[1]),)
        fed.append(_fed(run, position, list(planes[position]), payload, every))
    return stream_of(run, fed, eots)


def _fed(
    run: CoreRun, position: int, planes: list[Plane], payload: list[bool], tiles: Sequence[Region], value_bits: int = 0,
) -> Fed:
    """A feed as its buffer holds it: a grid per plane, or one grid of patterns for the planes of a merged source."""
    connection = run.connections[position]
    check_pooling(connection, any(payload), hybrid=False)
    # An AER list is not a grid: aer_events makes its pooled positions from the plane itself.
    grids = planes if run.core.buffer == "aer" else [token_grid(plane, connection) for plane in planes]
    pooled = connection.pool_mode in ("unit", "max")
    updates = [int(np.count_nonzero(windows(plane, connection.pool))) for plane in planes] if pooled else []
    fed = Fed(position, connection, [np.asarray(grid, np.int64) for grid in grids], payload, tiles, pool_updates=updates,
              value_bits=value_bits)
    if not run.merged or not planes:
        return fed
    if any(payload) != run.sends_payloads(position) or (any(payload) and len(planes) > 1):
        raise ProgramError(
            f"connection {position} (from {connection.source!r}) reads {len(planes)} planes, {sum(payload)} of them of values "
            f"where payload_bits says {run.payload_bits}: merged tokens take spikes, or one plane of values; use "
            "planes_per_token 'one'"
        )
    if not any(payload):
        pattern = sum((np.not_equal(grid, 0).astype(np.int64) << n for n, grid in enumerate(fed.grids)), np.int64(0))
        fed.grids, fed.payload, fed.bits, fed.merged = [np.asarray(pattern)], [False], len(planes), True
    fed.pool_updates = [sum(updates)]
    return fed


def stream_of(run: CoreRun, fed: Sequence[Fed], eots: int) -> TokenStream:
    """Tokens and gaps: in gather order those of each visit's window, one visit after the other."""
    check_eots(run, eots)
    stream = TokenStream(pool_updates=[0] * eots, values=[0] * eots, pooled_values=[0] * eots, eots=eots)
    for feed in fed:
        for n, updates in enumerate(feed.pool_updates[:eots]):
            stream.pool_updates[n] += updates
            stream.pooled_values[n] += updates * feed.value_bits * (feed.connection.pool_mode == "unit")
    addresses = [AddressGenerator(connection, WordLayout(run)) for connection in run.connections]
    for visit in visits(run):
        for n in range(eots):
            scanned = 0
            for feed in fed:
                if n >= len(feed.grids):
                    continue
                for rows, events in _steps(run, feed, n, visit):
                    scanned += rows
                    for event in events:
                        if run.core.order == "gather" and not _meets(addresses[feed.position], event, visit):
                            continue
                        token = feed.token(event, n)
                        stream.append(token, scanned)
                        if feed.connection.pool_mode != "unit":
                            stream.values[n] += token.has_payload * feed.value_bits
                        scanned = 0
            stream.append(EOT, scanned)
    return stream


def _steps(run: CoreRun, feed: Fed, n: int, visit: Visit) -> Iterator[tuple[int, list[Event]]]:
    """A plane as its buffer gives it: rows read, and the events that are found in them."""
    grid = feed.grids[n]
    window = window_of(feed.connection, visit) if run.core.order == "gather" else window_of_run(run, feed.connection, grid)
    if run.core.buffer == "aer":
        events = aer_events(grid, feed.connection, feed.tiles)
        yield 0, [event for event in events if event[1] in window.rows]
    else:
        yield from scan(grid, feed.bits, run.core.scan_bits, window)


def _meets(addresses: AddressGenerator, event: Event, visit: Visit) -> bool:
    """Whether an event has a synapse to a word of the visit."""
    c, y, x, _ = event
    return any(access.word in visit.words for access in addresses.accesses(c, y, x))


def aer_events(plane: Plane, connection: Connection, tiles: Sequence[Region]) -> Iterator[Event]:
    """(c, y, x, value) as an AER list holds them: tile by tile in (y, x, c) order.

    A pooling unit lists its counts in (y, x, c) order of the pooled grid; max pooling lists a pooled position when
    the first spike of its window arrives (its seen-bit is clear) and drops the others.
    """
    if connection.pool_mode == "unit":
        yield from grid_events(token_grid(plane, connection))
        return
    arriving = (event for low, high, first, end in tiles for event in grid_events(plane[first:end, :, low:high], low, first))
    if connection.pool_mode == "max":
        yield from _first_arrivals(arriving, connection)
    else:
        yield from arriving


def _first_arrivals(arriving: Iterator[Event], connection: Connection) -> Iterator[Event]:
    _, height, width = connection.pooled_shape
    seen: set[tuple[int, int, int]] = set()
    for c, y, x, _ in arriving:
        place = (c, y // connection.pool, x // connection.pool)
        if place[1] < height and place[2] < width and place not in seen:
            seen.add(place)
            yield (*place, 1)


def grid_events(grid: Grid | Plane, first_channel: int = 0, first_row: int = 0) -> Iterator[Event]:
    """(c, y, x, value) of the non-zero elements of a (H, W, C) grid, in (y, x, c) order."""
    ys, xs, cs = np.nonzero(grid)
    values = grid[ys, xs, cs].tolist()
    yield from zip((cs + first_channel).tolist(), (ys + first_row).tolist(), xs.tolist(), values, strict=True)


def token_grid(plane: Plane, connection: Connection) -> Grid:
    """The (H, W, C) grid whose positions a connection's events name: window sums, their OR, or the plane itself."""
    if connection.pool_mode == "unit":
        return np.asarray(windows(plane, connection.pool).sum(axis=(1, 3)), np.int64)
    if connection.pool_mode == "max":
        return np.asarray(windows(plane, connection.pool).any(axis=(1, 3)), np.int64)
    return np.asarray(plane, np.int64)


def windows(plane: Plane, pool: int) -> Grid:
    """The complete pool x pool windows of a (H, W, C) plane as (H // pool, pool, W // pool, pool, C)."""
    height, width, channels = plane.shape[0] // pool, plane.shape[1] // pool, plane.shape[2]
    kept = np.asarray(plane[: height * pool, : width * pool], np.int64)
    return kept.reshape(height, pool, width, pool, channels)
