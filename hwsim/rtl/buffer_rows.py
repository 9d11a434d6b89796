"""How planes lie in the spike buffer (C3, R20, R21): the rows of each feed, and the images that a host writes.

A plane lies in (y, x, c) order of its token grid, `scan_bits` bits per row, and begins with a row of its own. A merged source of
spikes has all of its planes in one: neuron by neuron, the bit of the first plane first. Values lie beside their presence bits: a
row of the value buffer holds those of one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwsim.program import CoreRun, ProgramError
from hwsim.rtl.parameters import Parameters, Word, width_of
from hwsim.snn.network import Connection

Planes = Sequence[NDArray[np.integer]]


@dataclass(frozen=True)
class FeedRows:
    """One feed's place in the buffer.

    bits     per neuron.         planes   that it brings; merged planes are one.      valued   its events carry payloads.
    rows     of a plane.         base, value_base    first row of its first plane, and of the values.
    """

    connection: Connection
    position: int
    bits: int
    planes: int
    valued: bool
    rows: int
    base: int
    value_base: int


@dataclass(frozen=True, eq=False)
class BufferRows:
    """The spike buffer of one run. `planes`: how many each connection brings."""

    p: Parameters
    planes: tuple[int, ...]

    @property
    def row_bits(self) -> int:
        return self.p.run.core.scan_bits

    @cached_property
    def feeds(self) -> tuple[FeedRows, ...]:
        """In the order in which the scanner goes through them; a connection that brings nothing is none."""
        found: list[FeedRows] = []
        base = value_base = 0
        for position, (connection, planes) in enumerate(zip(self.p.run.connections, self.planes, strict=True)):
            if not planes:
                continue
            valued = self.p.run.sends_payloads(position)
            merges = self.p.run.merged and not valued
            bits, planes = (planes, 1) if merges else (1, planes)
            rows = -(-int(np.prod(connection.token_shape)) * bits // self.row_bits)
            found.append(FeedRows(connection, position, bits, planes, valued, rows, base, value_base))
            base += planes * rows
            value_base += planes * rows * valued
        return tuple(found)

    @property
    def depth(self) -> int:
        return sum(feed.planes * feed.rows for feed in self.feeds)

    @property
    def value_depth(self) -> int:
        """Rows of the value buffer; 0 where no event carries a value."""
        return sum(feed.planes * feed.rows for feed in self.feeds if feed.valued)

    def images(self, planes: Planes) -> tuple[list[int], list[Word]]:
        """Rows of the spike buffer as numbers, bit 0 first, and those of the value buffer."""
        rows: list[int] = []
        values: list[Word] = []
        for feed in self.feeds:
            grids = [token_grid(feed.connection, plane, feed.valued) for plane in planes[feed.position]]
            for plane in [np.stack(grids, axis=-1)] if feed.bits > 1 else grids:
                for row in self._cut(plane):
                    rows.append(sum(1 << i for i, value in enumerate(row) if value))
                    values += [row] if feed.valued else []
        return rows, values

    def _cut(self, plane: NDArray[np.int64]) -> Iterator[Word]:
        flat = plane.reshape(-1).tolist()
        for first in range(0, len(flat), self.row_bits):
            row = flat[first:first + self.row_bits]
            yield row + [0] * (self.row_bits - len(row))


def token_grid(connection: Connection, plane: NDArray[np.integer], valued: bool) -> NDArray[np.int64]:
    """(H, W, C) as the scanner finds it: of a pooling unit its sums (C4), of max pooling whether there is any."""
    if connection.pool_mode not in ("unit", "max"):
        return plane.astype(np.int64)
    if connection.pool_mode == "max" and valued:
        raise ProgramError(f"max pooling of {connection.source!r}, which sends values, is not defined (C4); pool folded")
    c, h, w = connection.pooled_shape
    k = connection.pool
    windows = plane[:h * k, :w * k].astype(np.int64).reshape(h, k, w, k, c)
    sums = windows.sum(axis=(1, 3))
    return sums if connection.pool_mode == "unit" else (windows != 0).any(axis=(1, 3)).astype(np.int64)


def payload_bits_of(run: CoreRun, planes: Planes) -> int:
    """Signed bits of a token's payload field: they hold every value, and every pattern of merged planes."""
    widths = [2]
    for position, (connection, brought) in enumerate(zip(run.connections, planes, strict=True)):
        if run.sends_payloads(position):
            widths += [width_of(token_grid(connection, plane, True)) for plane in brought]
        elif run.merged:
            widths.append(len(brought) + 1)
    return max(widths)
