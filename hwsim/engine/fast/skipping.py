"""Which operations of a connection's events are made where those of zero weights are skipped (R26)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.engine.fast.kernels import skipping as ks

Ints = NDArray[Any]
MadeRows = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""`made` and `rows` of kernels.skipping, which do not depend on the rows of a tile."""


def made_rows(weights: Ints, slices: NDArray[np.int64], channels: int, group_lanes: int) -> MadeRows:
    """Of a weight table as hwsim/engine/fast/packing.py makes it for a run of so many channels; its last row is no row of it."""
    weights, groups = weights[:-1], -(-channels // group_lanes)
    first = slices[:, :1] if slices.size else np.zeros((1, 1), np.int64)
    number = slices[:, 1:] if slices.size else np.full((1, 1), channels)
    lane = np.broadcast_to(first + np.arange(weights.shape[1]), weights.shape)
    row, at = np.nonzero(np.broadcast_to(np.arange(weights.shape[1]) < number, weights.shape))
    group, some = lane[row, at] // group_lanes, weights[row, at] != 0
    made, real = np.zeros((len(weights), groups), np.uint8), np.zeros((len(weights), groups), np.int64)
    made[row[some], group[some]] = 1
    np.add.at(real, (row, group), 1)
    place = np.arange(groups)
    return made, np.stack([
        made.sum(axis=1), np.where(made, place, groups).min(axis=1), np.where(made, place, -1).max(axis=1),
        (real * made).sum(axis=1), made[:, -1]], axis=1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Skipping:
    """One connection of a run: its geometry as in Synapses, `made` and `rows` as kernels.skipping has them."""

    grid: NDArray[np.int64]
    window: NDArray[np.int64]
    by_row: NDArray[np.int64]
    by_column: NDArray[np.int64]
    made: NDArray[np.uint8]
    rows: NDArray[np.int64]

    def reach(self, starts: Ints, flat: Ints, reach: Ints, lanes: Ints) -> tuple[int, int, int]:
        """`reach` and `lanes` of each event; returns their words, real synapses, and words of the run's last group."""
        totals = np.zeros(3, np.int64)
        ks.reach_made(starts, flat, self.grid, self.window, self.by_row, self.by_column, self.rows, reach, lanes, totals)
        words, synapses, in_last = totals.tolist()
        return words, synapses, in_last

    def words(self, starts: Ints, flat: Ints, number: int) -> Ints:
        """The `number` words that the events of a list touch, one event after the other."""
        words = np.empty(number, np.int64)
        ks.list_made(starts, flat, self.grid, self.window, self.by_row, self.by_column, self.made, words)
        return words

    def of_token(self, c: int, y: int, x: int, words: Ints) -> Ints:
        """Of the words that one event touches, those whose operation is made."""
        out_width, groups = int(self.grid[4]), int(self.grid[5])
        position, group = np.divmod(words, groups)
        rows = [ks.row_of(self.window, c, y, x, int(at) // out_width, int(at) % out_width) for at in position]
        return words[self.made[rows, group] != 0] if len(words) else words
