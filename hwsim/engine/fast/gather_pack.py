"""All planes of a gather run as the arrays that kernels.dataflow.gather_run reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwsim.engine.fast.feeds import EventList, FeedPack
from hwsim.engine.fast.kernels import patterns as kp
from hwsim.engine.fast.masked import Masked
from hwsim.engine.fast.packing import Ints, Synapses


@dataclass(frozen=True, eq=False)
class FeedPlanes:
    """A feed with the planes (N, H, W, C) that the run reads, and the timestep of each.

    whole   the array (T, H, W, C) of which `timesteps` are the planes, where there is one.
    """

    feed: FeedPack
    synapses: Synapses
    planes: Ints
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


@dataclass(frozen=True, eq=False)
class Block:
    """All planes of one feed at once: starts (N, 1, H * W + 1) and begins as kernels.events.list_planes leaves them, the rest
    as in Listed."""

    starts: Ints
    begins: Ints
    rows: Ints
    channels: Ints
    slots: Ints


def block_of(listed: Listed) -> Block:
    return Block(listed.starts[None], np.array([0, len(listed.flat)]), listed.rows, listed.channels, listed.slots)


def gather_arrays(
    sources: Sequence[FeedPlanes], blocks: Sequence[tuple[int, int, Block]], eots: int, merged: bool
) -> tuple[Any, ...]:
    """lists, starts, rows, channels, worked, jumps, windows, fed and fed_at of kernels.dataflow.gather_run.

    blocks   the EOT that comes after a block's first plane, its feed, and the block.
    """
    lists = np.full((eots, len(sources), 2), -1, np.int64)
    start = event = 0
    for plane, feed, block in blocks:
        number, _, places = block.starts.shape
        lists[plane : plane + number, feed, 0] = start + places * np.arange(number)
        lists[plane : plane + number, feed, 1] = event + block.begins[:-1]
        start += block.starts.size
        event += int(block.begins[-1])
    windows = np.array([[*s.synapses.window[:11].tolist(), s.bits(merged), s.feed.scan_bits, _logarithm(s.feed.scan_bits)]
                        for s in sources], np.int64).reshape(-1, 14)
    fed = [s.synapses.by_channel[:, :2] for s in sources]
    every = [block for _, _, block in blocks]
    rows = _joined([block.rows for block in every], np.int32)
    worked, jumps = np.zeros(event + 1 if merged else 0, np.int64), np.zeros(event, np.int32)
    if merged:
        slots = [block.slots if block.slots.size else np.ones(len(block.rows), np.int64) for block in every]
        np.cumsum(_joined(slots, np.int64), out=worked[1:])
    kp.count_jumps(rows, jumps)
    return (
        lists, _joined([block.starts.reshape(-1) for block in every], np.int32), rows,
        _joined([block.channels for block in every], np.int32), worked, jumps, windows,
        np.concatenate([np.zeros((0, 2), np.int64), *fed]), np.cumsum([0, *(len(each) for each in fed)]).astype(np.int64))


def _logarithm(number: int) -> int:
    """To base 2; -1 where it is not whole."""
    return number.bit_length() - 1 if number > 0 and number & (number - 1) == 0 else -1


def _joined(parts: Sequence[Ints], dtype: Any) -> Ints:
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, dtype), *parts])
