"""What a run's events see of its flags where they look at them first (R25): which words are quiet, which neurons are on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.engine.fast.feeds import EventList
from hwsim.engine.fast.kernels import masked as km
from hwsim.engine.fast.packing import Ints, Synapses, Width


@dataclass(frozen=True, eq=False)
class Masked:
    """Flags as they are between two EOTs.

    flags (positions, lanes)   1: off.      quiet (words,)   whether all real neurons of a word are off.
    on_before (positions, lanes + 1)   neurons that are on in the lanes before each.
    """

    flags: Ints
    quiet: NDArray[np.uint8]
    on_before: NDArray[np.int64]

    @classmethod
    def seen(cls, flags: Ints, group_lanes: int) -> Masked:
        positions, lanes = flags.shape
        starts = np.arange(0, lanes, group_lanes)
        quiet = np.minimum.reduceat(flags, starts, axis=1).reshape(-1)
        on_before = np.zeros((positions, lanes + 1), np.int64)
        np.cumsum(flags == 0, axis=1, out=on_before[:, 1:])
        return cls(flags, quiet, on_before)

    def add(self, state: Ints, width: Width, synapses: Synapses, events: EventList, scale: int, adders: int = 0) -> int:
        """Adds events to the neurons that are on, as kernels.masked.add_masked; returns the steps that were clipped."""
        assert synapses.weights is not None
        limits = width.limits(synapses.largest * events.largest * scale)
        return km.add_masked(
            state, self.flags, synapses.weights, events.starts, events.flat, events.values, synapses.window, synapses.by_row,
            synapses.by_column, synapses.fed, scale, adders, limits)

    def count(self, synapses: Synapses, events: EventList, lanes: Ints) -> tuple[int, int, int, int]:
        """Operations on words that are not quiet, on those that are, additions, and those of the first kind in the last group.

        `lanes` of each event are written.
        """
        totals = np.zeros(4, np.int64)
        km.count_masked(
            events.starts, events.flat, synapses.window, int(synapses.grid[5]), synapses.by_row, synapses.by_column,
            synapses.by_channel, synapses.fed, self.on_before, self.quiet, lanes, totals)
        worked, skipped, adds, last = totals.tolist()
        return worked, skipped, adds, last
