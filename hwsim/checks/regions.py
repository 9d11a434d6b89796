"""Tiles as regions, channels [lo, hi) x rows [a, b): whether they make up a layer, and which rows of another one they read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hwsim.program import CoreRun
from hwsim.snn.network import Connection

Region = tuple[int, int, int, int]
"""Channels [lo, hi), rows [a, b)."""


def span_text(span: tuple[int, int]) -> str:
    """Channels, rows or timesteps [lo, hi) in words."""
    return f"{span[0]} to {span[1] - 1}"


def region_text(region: Region, height: int) -> str:
    """A region in words; rows are named where it is not all of `height`."""
    rows = "" if region[2:] == (0, height) else f", rows {span_text(region[2:])}"
    return f"channels {span_text(region[:2])}{rows}"


def rows_read(run: CoreRun, connection: Connection) -> frozenset[int]:
    """Rows of a connection's source that a run reads: all, or, of a tile of some rows, those that its rows' fields hold (R25).

    A pooling unit works on the whole plane, whoever asks for a part of it.
    """
    whole = frozenset(range(connection.source_shape[1]))
    if not run.cut_by_rows or connection.operator == "linear" or connection.pool_mode in ("unit", "max"):
        return whole
    axis = connection.axes[0]
    firsts = (axis.stride * y - axis.padding for y in range(*run.worked_rows))
    pooled = {row for first in firsts for row in range(first, first + axis.kernel) if 0 <= row < connection.pooled_shape[1]}
    return whole & {row * connection.pool + within for row in pooled for within in range(connection.pool)}


class Cover(NamedTuple):
    """What is wrong with a set of tiles.

    twice     two tiles, and a (channel, row) that both of them hold; None if no two do.
    missing   a region that no tile holds: the channels that lack rows, of the first of them the rows; None if all is there.
    """

    twice: tuple[int, int, int, int] | None
    missing: Region | None


def cover_of(regions: Sequence[Region], channels: int, height: int) -> Cover:
    """Of tiles within `channels` x `height`, what two of them hold and what none of them holds."""
    owner = np.full((channels, height), -1)
    twice = None
    for number, (low, high, first, end) in enumerate(regions):
        mine = owner[low:high, first:end]
        if twice is None and (mine >= 0).any():
            c, y = np.argwhere(mine >= 0)[0].tolist()
            twice = (int(mine[c, y]), number, low + c, first + y)
        mine[...] = number
    bare = owner < 0
    if not bare.any():
        return Cover(twice, None)
    lacking = np.flatnonzero(bare.any(axis=1))
    # Neighbours that lack the same rows are one region.
    first_channel = int(lacking[0])
    end_channel = first_channel + 1
    while end_channel < channels and (bare[end_channel] == bare[first_channel]).all():
        end_channel += 1
    rows = np.flatnonzero(bare[first_channel])
    end_row = int(rows[0]) + 1
    while end_row < height and bare[first_channel, end_row]:
        end_row += 1
    return Cover(twice, (first_channel, end_channel, int(rows[0]), end_row))
