"""All planes of a gather run as the arrays that kernels.dataflow.gather_run reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwsim.engine.fast.feeds import EventList, FeedPack
from hwsim.engine.fast.masked import Masked
from hwsim.engine.fast.packing import Ints, Synapses


@dataclass(frozen=True, eq=False)
class FeedPlanes:
    """A feed with the planes (H, W, C) that the run reads, and the timestep of each.

    whole   the array (T, H, W, C) of which `timesteps` are the planes, where there is one.
    """

    feed: FeedPack
    synapses: Synapses
    planes: Sequence[Ints]
    timesteps: Sequence[int]
    whole: Ints | None = None

    def bits(self, merged: bool) -> int:
        """Bits of one neuron in the buffer (R20, R21)."""
        return max(1, len(self.planes)) if merged and not self.feed.payload else 1

    def visits(self, events: EventList, accumulators: int) -> int:
        """R19: how many visits of `accumulators` words the events are tokens of, all together."""
        grid = self.synapses.grid
        (height, width), channels, pool = grid[:2], int(grid[2]), int(grid[3])
        groups, total = self.synapses.by_channel, 0
        for starts in events.starts:
            place = np.repeat(np.arange(height * width), np.diff(starts[: height * width + 1]))
            y, x = np.divmod(place, width)
            listed = events.flat[int(starts[0]) : int(starts[0]) + len(place)]
            channel = np.zeros_like(place) if len(groups) == 1 else listed - (x // pool) * channels
            first, count = groups[channel, 0], groups[channel, 1]
            chunks = np.where(count > 0, (first + count - 1) // accumulators - first // accumulators + 1, 0)
            total += int((self.synapses.by_row[y, 1] * self.synapses.by_column[x, 1] * chunks).sum())
        return total


@dataclass(frozen=True, eq=False)
class Listed:
    """A plane's events as the timing needs them.

    feed, plane     place of the source, and the EOT that comes after.
    rows, channels  buffer row of the event's last bit, and its channel, in a bitmap.
    slots           cycles of each operation; size 0: 1.      reach  as in kernels.dataflow.time_tokens.
    masked          the flags that they looked at first (R25).
    """

    feed: int
    plane: int
    starts: Ints
    flat: Ints
    rows: Ints
    channels: Ints
    slots: Ints
    reach: Ints
    masked: Masked | None


def gather_arrays(sources: Sequence[FeedPlanes], listed: Sequence[Listed], eots: int, merged: bool) -> tuple[Any, ...]:
    """lists, starts, rows, channels, slots, windows, fed and fed_at of kernels.dataflow.gather_run."""
    lists = np.full((eots, len(sources), 2), -1, np.int64)
    start = event = 0
    for each in listed:
        lists[each.plane, each.feed] = start, event
        start += each.starts.size
        event += len(each.flat)
    windows = np.array(
        [[*s.synapses.window[:11].tolist(), s.bits(merged), s.feed.scan_bits] for s in sources], np.int64).reshape(-1, 13)
    fed = [s.synapses.by_channel[:, :2] for s in sources]
    slots = [each.slots if each.slots.size else np.ones(len(each.flat), np.int64) for each in listed] if merged else []
    return (
        lists, _joined([each.starts[0] for each in listed], np.int32), _joined([each.rows for each in listed], np.int32),
        _joined([each.channels for each in listed], np.int32), _joined(slots, np.int64), windows,
        np.concatenate([np.zeros((0, 2), np.int64), *fed]), np.cumsum([0, *(len(each) for each in fed)]).astype(np.int64))


def _joined(parts: Sequence[Ints], dtype: Any) -> Ints:
    return np.concatenate([np.zeros(0, dtype), *parts])
