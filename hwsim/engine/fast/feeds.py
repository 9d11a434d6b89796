"""What a run is fed: event lists from dense planes (rules C2 to C4 of docs/cycle-model.md) or from a list of tokens.

A FeedPack is a Feed with everything that no sample changes; `events` turns one plane (H, W, C) of its source into an
EventList, the form that kernels.events describes. Buffers are reused: an EventList lives until the next one is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.checks.run import check_pooling
from hwsim.engine.fast.kernels import events as ke
from hwsim.engine.fast.kernels import patterns as kp
from hwsim.engine.fast.packing import Ints
from hwsim.program import CoreRun, Feed
from hwsim.snn.network import Connection, Network

NO_VALUES = np.zeros(0, np.int64)
NO_ARRIVALS = np.zeros((0, 2), np.int64)


class EventList(NamedTuple):
    """Events of one connection in token order; `values` has size 0 when they are binary, `largest` bounds |value|."""

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


class FeedPack:
    """A Feed of a run: how a plane becomes events.

    pool      how much finer the events' grid is than the operator's: folded pools, and max pools behind an AER list,
              whose tokens are pooled positions but keep the order of the spikes that made them.
    payload   events carry a value; those of a hybrid input in plane 0 only.
    scan_rows  rows of a plane in a bitmap.
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
        self.payload, self.hybrid = payload, hybrid
        mode, aer = self.connection.pool_mode, run.core.buffer == "aer"
        check_pooling(self.connection, payload, hybrid)
        self.first_arrivals = mode == "max" and aer
        self.pool = self.connection.pool if mode == "folded" or self.first_arrivals else 1
        channels, height, width = self.connection.source_shape if self.pool > 1 else self.connection.token_shape
        ranges = feed.tiles if aer and mode != "unit" else ((0, channels),)
        self.tiles = np.array(ranges, np.int64).reshape(-1, 2)
        self.grid = (height, width, channels)
        self.scan_bits = 0 if aer else run.core.scan_bits
        self.scan_rows = 0 if aer else -(-height * width * channels // run.core.scan_bits)
        self._starts = np.zeros((len(self.tiles), height * width + 1), np.int32)
        self._pooled: Ints | None = None
        if mode in ("unit", "max"):
            self._pooled = np.zeros(self.grid, np.int32 if mode == "unit" else np.uint8)
        self.value_bits = value_bits
        self._buffers = buffers
        self._patterns: Ints | None = None

    def values_read(self, events: EventList, updates: int) -> int:
        """Values read from the source's buffer for the events of a plane: a pooling unit reads the `updates` of its windows."""
        if not events.values.size and self.connection.pool_mode != "unit":
            return 0
        return updates if self.connection.pool_mode == "unit" else events.number

    def events(self, plane: Ints, timestep: int) -> tuple[EventList, int]:
        """The events of a source's plane of `timestep`, and what a pooling unit did for them."""
        plane, updates = self._pool(plane)
        payload = self.payload and not (self.hybrid and timestep > 0)
        return self._listed(plane, payload), updates

    def merged(self, planes: Sequence[Ints]) -> tuple[EventList, int]:
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
        if self.first_arrivals:
            return self._pooled, ke.first_arrivals(plane, self.connection.pool, self._pooled)
        either = self.connection.pool_mode == "max"
        return self._pooled, ke.pool_windows(plane, self.connection.pool, self._pooled, either)

    def _listed(self, plane: Ints, payload: bool) -> EventList:
        flat = self._buffers.get("flat", plane.size + 1, np.int32)
        values = self._buffers.get("values", plane.size + 1, np.int64) if payload else NO_VALUES
        number, largest = ke.list_events(plane, self.tiles, self.pool, self._starts, flat, values)
        return EventList(self._starts, flat, values, number, largest)


class Scanner:
    """C3: where a bitmap's scanner stands, in rows counted through the run."""

    def __init__(self, buffers: Buffers) -> None:
        self._buffers, self._rows, self._reached = buffers, 0, -1

    def gaps(self, feed: FeedPack, events: EventList) -> Ints:
        """Gaps of a plane's tokens as arrivals (events, 2): all of its rows are scanned."""
        arrivals = self._buffers.get("arrivals", 2 * events.number, np.int64)[: 2 * events.number].reshape(-1, 2)
        self._reached = ke.scan_gaps(
            events.starts, events.flat, feed.pool, feed.grid, feed.scan_bits, self._rows, self._reached, arrivals)
        self._rows += feed.scan_rows
        return arrivals

    def mark_gap(self) -> int:
        """Gap of the EOT: it waits for the rows that are left."""
        gap = max(1, self._rows - 1 - self._reached)
        self._reached = self._rows - 1
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
