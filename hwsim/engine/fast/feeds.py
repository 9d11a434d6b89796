"""What a run is fed: event lists from dense planes (rules C2 to C4 and R25 of docs/cycle-model.md) or from a list of tokens.

A FeedPack is a Feed with everything that no sample changes; `events` turns one plane (H, W, C) of its source into an
EventList, the form that kernels.events describes. Buffers are reused: an EventList lives until the next one is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.checks.run import check_pooling
from hwsim.engine.fast.kernels import events as ke
from hwsim.engine.fast.kernels import patterns as kp
from hwsim.engine.fast.packing import Ints, rows_reached
from hwsim.program import CoreRun, Feed
from hwsim.snn.network import Connection, Network

NO_VALUES = np.zeros(0, np.int64)
SOME_VALUES = np.zeros(1, np.int64)
NO_EVENTS = np.zeros(0, np.int32)
NO_ARRIVALS = np.zeros((0, 3), np.int64)


class EventList(NamedTuple):
    """Events of one connection in token order; `values` has size 0 when they are binary, `largest` bounds |value|.

    Events that are only counted have a `flat` of size 0, and one value if they have any.
    """

    starts: Ints
    flat: Ints
    values: Ints
    number: int
    largest: int


class Buffers:
    """Arrays that grow to what is needed and are then reused, by name."""

    def __init__(self) -> None:
        self._kept: dict[str, Ints] = {}

    def get(self, name: str, size: int, dtype: type) -> Ints:
        """At least `size` elements, of any content."""
        if name not in self._kept or self._kept[name].size < size:
            self._kept[name] = np.zeros(size, dtype)
        return self._kept[name]


class ScanPlan(NamedTuple):
    """Which rows of a bitmap's buffer are read for one plane: `rows` in all.

    skipped   by row y of the grid: row r of the buffer, where it is read for y, is the plane's row number r - skipped[y].
    """

    rows: int
    skipped: NDArray[np.int64]


def plan_scan(grid: tuple[int, int, int], bits: int, scan_bits: int, taken: NDArray[np.uint8]) -> ScanPlan:
    """The scan of the `taken` rows of a grid (H, W, C) with `bits` per neuron (R20): no row is read twice in a row."""
    height, width, channels = grid
    y = np.flatnonzero(taken)
    line_bits = width * channels * bits
    first, last = y * line_bits // scan_bits, ((y + 1) * line_bits - 1) // scan_bits
    again = np.zeros(len(y), bool)
    again[1:] = first[1:] == last[:-1]
    read = last - first + 1 - again
    before = np.cumsum(read) - read
    skipped = np.zeros(height, np.int64)
    skipped[y] = first - before + again
    return ScanPlan(int(read.sum()), skipped)


class FeedPack:
    """A Feed of a run: how a plane becomes events.

    pool      how much finer the events' grid is than the operator's: folded pools, and max pools behind an AER list,
              whose tokens are pooled positions but keep the order of the spikes that made them.
    payload   events carry a value; those of a hybrid input in plane 0 only.
    tiles     (n, 4) channels and rows of the source's tiles in list order.
    taken     of each row of the grid, whether the run reads it: all, or those that a field of its tile's rows holds.
    value_bits bits of one of the source's values, 0 for spikes.
    """

    @classmethod
    def of(cls, network: Network, run: CoreRun, feed: Feed, buffers: Buffers) -> FeedPack:
        """The pack of a Program's feed."""
        connection = run.connections[feed.connection]
        hybrid = network.is_hybrid(connection)
        payload = hybrid or network.carries_payload(connection) > 0
        return cls(run, feed, payload, hybrid, buffers, network.value_bits(connection))

    def __init__(
        self, run: CoreRun, feed: Feed, payload: bool, hybrid: bool, buffers: Buffers, value_bits: int = 0
    ) -> None:
        self.connection: Connection = run.connections[feed.connection]
        self.position, self.planes, self.source = feed.connection, feed.planes, self.connection.source
        self.order = np.array(feed.planes, np.int64)
        self.payload, self.hybrid = payload, hybrid
        mode, aer = self.connection.pool_mode, run.core.buffer == "aer"
        check_pooling(self.connection, payload, hybrid)
        self.first_arrivals = mode == "max" and aer
        self.pool = self.connection.pool if mode == "folded" or self.first_arrivals else 1
        channels, height, width = self.connection.source_shape if self.pool > 1 else self.connection.token_shape
        regions = feed.regions(height) if aer and mode != "unit" else ((0, channels, 0, height),)
        self.tiles = np.array(regions, np.int64).reshape(-1, 4)
        self.grid = (height, width, channels)
        self.taken = np.ones(height, np.uint8)
        if run.cut_by_rows:
            self.taken[:] = rows_reached(run, self.connection, height, self.pool)[:, 1] > 0
        self.scan_bits = 0 if aer else run.core.scan_bits
        self._scans: dict[int, ScanPlan] = {}
        self._pooled: Ints | None = None
        if mode in ("unit", "max"):
            self._pooled = np.zeros(self.grid, np.int32 if mode == "unit" else np.uint8)
        self._seen = np.zeros(self.connection.token_shape[1:] + (channels,) if self.first_arrivals else (0, 0, 0), np.uint8)
        self.value_bits = value_bits
        self._buffers = buffers
        self._patterns: Ints | None = None

    @property
    def pools(self) -> bool:
        """Whether a pooling unit, or the first arrivals of windows, stand between the planes and their events."""
        return self._pooled is not None

    def scan(self, bits: int = 1) -> ScanPlan:
        """What is read of a plane in a bitmap of `bits` per neuron."""
        if bits not in self._scans:
            self._scans[bits] = plan_scan(self.grid, bits, self.scan_bits, self.taken)
        return self._scans[bits]

    @property
    def pools_first(self) -> bool:
        """Whether a pooling unit makes planes of its own from those of the source."""
        return self._pooled is not None

    def sends_spikes(self, timestep: int) -> bool:
        """Whether the events of a plane carry no value."""
        return not self.payload or (self.hybrid and timestep > 0)

    def values_read(self, events: EventList, updates: int) -> int:
        """Values read from the source's buffer for the events of a plane: a pooling unit reads the `updates` of its windows."""
        if not events.values.size and self.connection.pool_mode != "unit":
            return 0
        return updates if self.connection.pool_mode == "unit" else events.number

    def events(self, plane: Ints, timestep: int, counted: bool = False) -> tuple[EventList, int]:
        """The events of a source's plane of `timestep`, and what a pooling unit did for them; `counted`: not which they are."""
        plane, updates = self._pool(plane)
        payload = not self.sends_spikes(timestep)
        return (self._counted if counted else self._listed)(plane, payload), updates

    def merged(self, planes: Ints) -> tuple[EventList, int]:
        """R21: the neurons that spike in any of the planes; their values are patterns, bit n for planes[n]."""
        if self._patterns is None:
            self._patterns = np.zeros(self.grid, np.min_scalar_type((1 << len(planes)) - 1))
        every = 0
        for n, plane in enumerate(planes):
            plane, updates = self._pool(plane)
            kp.merge(plane, n, self._patterns)
            every += updates
        return self._listed(self._patterns, True), every

    def _pool(self, plane: Ints) -> tuple[Ints, int]:
        if self._pooled is None:
            return plane, 0
        pool = self.connection.pool
        if self.first_arrivals:
            return self._pooled, ke.first_arrivals(plane, pool, self.tiles, self._seen, self._pooled)
        return self._pooled, ke.pool_windows(plane, pool, self._pooled, self.connection.pool_mode == "max")

    def _starts(self) -> Ints:
        lines, places = len(self.tiles), self.grid[0] * self.grid[1] + 1
        return self._buffers.get("starts", lines * places, np.int32)[: lines * places].reshape(lines, places)

    def _counted(self, plane: Ints, payload: bool) -> EventList:
        starts = self._starts()
        number = ke.count_events(plane, self.tiles, self.taken, starts)
        return EventList(starts, NO_EVENTS, SOME_VALUES if payload else NO_VALUES, number, 1)

    def _listed(self, plane: Ints, payload: bool) -> EventList:
        flat = self._buffers.get("flat", plane.size + 1, np.int32)
        values = self._buffers.get("values", plane.size + 1, np.int64) if payload else NO_VALUES
        starts = self._starts()
        number, largest = ke.list_events(plane, self.tiles, self.taken, self.pool, starts, flat, values)
        return EventList(starts, flat, values, number, largest)


class Scanner:
    """C3: where a bitmap's scanner stands, in rows counted through the run: those read, and the last one reached."""

    def __init__(self, buffers: Buffers) -> None:
        self._buffers, self.rows, self.reached = buffers, 0, -1

    def gaps(self, feed: FeedPack, events: EventList) -> Ints:
        """Gaps of a plane's tokens as arrivals (events, 3) of kernels.timing."""
        arrivals = self._buffers.get("arrivals", 3 * events.number, np.int64)[: 3 * events.number].reshape(-1, 3)
        plan = feed.scan()
        self.reached = ke.scan_gaps(
            events.starts, events.flat, feed.pool, feed.grid, feed.scan_bits, plan.skipped, self.rows, self.reached, arrivals)
        self.rows += plan.rows
        return arrivals

    def mark_gap(self) -> int:
        """Gap of the EOT: it waits for the rows that are left."""
        gap = max(1, self.rows - 1 - self.reached)
        self.reached = self.rows - 1
        return gap


class Stretch(NamedTuple):
    """Neighbouring tokens [begin, end) of one connection that an EventList can hold; connection -1: one EOT."""

    begin: int
    end: int
    connection: int
    events: EventList | None


def stretches(run: CoreRun, tokens: NDArray[np.int64]) -> Iterator[Stretch]:
    """Any tokens (n, 6), in order, cut where positions fall back, the connection changes or payloads begin or end."""
    begin = 0
    while begin < len(tokens):
        position = int(tokens[begin, 0])
        if position < 0:
            yield Stretch(begin, begin + 1, -1, None)
            begin += 1
            continue
        connection = run.connections[position]
        folded = connection.pool_mode == "folded"
        _, height, width = connection.source_shape if folded else connection.token_shape
        pool = connection.pool if folded else 1
        end, at = begin + 1, int(tokens[begin, 2]) * width + int(tokens[begin, 3])
        while end < len(tokens) and (tokens[end, [0, 5]] == tokens[begin, [0, 5]]).all():
            here = int(tokens[end, 2]) * width + int(tokens[end, 3])
            if here < at:
                break
            at, end = here, end + 1
        _, c, y, x, payload, has_payload = tokens[begin:end].T
        starts = np.searchsorted(y * width + x, np.arange(height * width + 1)).astype(np.int32)[None]
        flat = ((x // pool) * connection.source_shape[0] + c).astype(np.int32)
        values = payload.astype(np.int64) if has_payload.any() else NO_VALUES
        largest = int(np.abs(values).max(initial=1))
        yield Stretch(begin, end, position, EventList(starts, flat, values, end - begin, largest))
        begin = end
