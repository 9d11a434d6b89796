"""Runs as the arrays that the kernels read: geometry tables, stacked weight rows, initial and added words.

Everything here depends on a CoreRun only, is made once and shared by the runs that can share it (the timesteps of a
step-by-step program). A run's arrays hold its own tile: channel c of the layer is lane c - groups[0] * P here, and
state, terms and outputs are (positions, lanes), positions of the tile in (y, x) order. Geometry: docs/cycle-model.md, "An event's
words"; arithmetic: R10. Widths in bits.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.checks.run import check_run
from hwsim.engine.fast.counting import coefficients, counts_last_words, pass_tallies
from hwsim.engine.fast.kernels import timing as kt
from hwsim.engine.fast.skipping import MadeRows, Skipping, made_rows
from hwsim.engine.fast.step_plan import StepPlan, plan_steps
from hwsim.engine.fast.sweep_plan import SweepPlan
from hwsim.program import CoreRun, ProgramError
from hwsim.snn.network import Axis, Connection

Ints = NDArray[Any]


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> Ints:
    """Zeros that start on a cache line: a row of lanes then crosses as few lines as it can."""
    line_bytes = 64
    size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size_bytes + line_bytes, np.uint8)
    start = -raw.ctypes.data % line_bytes
    return raw[start : start + size_bytes].view(dtype).reshape(shape)


def narrowest(lowest: int, highest: int) -> Any:
    """The smallest signed type that holds both."""
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        if np.iinfo(dtype).min <= lowest and highest <= np.iinfo(dtype).max:
            return dtype
    raise ProgramError(f"{lowest} ... {highest} does not fit 64 bits")


class Width:
    """A signed width: its range, the type that stores it, and the limits typed as wide as a step needs."""

    def __init__(self, bits: int) -> None:
        self.lowest, self.highest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        # Of 16 bits or more: states of 8 are too rare for kernels of their own, which take a tenth of the time to compile.
        self.dtype = narrowest(min(self.lowest, -1 << 15), self.highest)
        self._limits = [
            (top - self.highest, np.array([self.lowest, self.highest], dtype))
            for dtype in (np.int32, np.int64) if (top := int(np.iinfo(dtype).max)) >= self.highest
        ]

    @cached_property
    def words(self) -> Ints:
        """The range in 32 bits, where it `fits_words`."""
        return np.array([self.lowest, self.highest], np.int32)

    def limits(self, step: int) -> Ints:
        """The range in a type that holds any value of this width plus or minus `step`."""
        for largest_step, limits in self._limits:
            if step <= largest_step:
                return limits
        raise ProgramError(f"a step of {step} on potentials up to {self.highest} does not fit 64 bits")

    def fits_words(self, step: int) -> bool:
        """Whether its values plus or minus `step` are held in 32 bits, and it is stored in no more."""
        return self.limits(0).dtype == np.int32 and step <= (1 << 31) - 1 - self.highest

    def store(self, values: Ints) -> Ints:
        """(C, H, W) values as (positions, lanes) of this width; a memory cannot hold what lies outside."""
        return by_position(np.clip(values, self.lowest, self.highest), self.dtype)


def by_position(values: Ints, dtype: Any) -> Ints:
    """(C, H, W) values as (positions, lanes)."""
    c, h, w = values.shape
    out = aligned_zeros((h * w, c), dtype)
    out[...] = values.reshape(c, h * w).T
    return out


@dataclass(frozen=True, eq=False)
class Synapses:
    """One connection as a run sees it.

    grid, by_row, by_column, by_channel   see kernels.timing.      window  see kernels.arithmetic.      fed  see kernels.masked.
    weights   (rows + 1, lanes) or, sliced, (rows + 1, lanes of a slice); the last row is zero; None without weights.
    slices    (rows, 2) first lane and number of lanes of each row; size 0 when every row feeds all lanes.
    largest   bound on |weight|.      sums  an array whose type holds the sum of four weights.
    narrow    the weights over `narrow_scale`, a power of two, where that fits a byte; None where it does not.
    table     makes these five, when sums are made first: a timing-only replay never does.
    skipping  which operations its events make on a core that skips some (R26); None: all.
    """

    grid: NDArray[np.int64]
    window: NDArray[np.int64]
    by_row: NDArray[np.int64]
    by_column: NDArray[np.int64]
    by_channel: NDArray[np.int64]
    fed: NDArray[np.int64]
    table: Callable[[], WeightRows]
    skipping: Skipping | None = None

    @cached_property
    def _rows(self) -> WeightRows:
        return self.table()

    @property
    def weights(self) -> Ints | None:
        return self._rows[0]

    @property
    def slices(self) -> NDArray[np.int64]:
        return self._rows[1]

    @property
    def largest(self) -> int:
        return self._rows[2]

    @property
    def narrow(self) -> Ints | None:
        return self._rows[3]

    @property
    def narrow_scale(self) -> int:
        return self._rows[4]

    @cached_property
    def sums(self) -> Ints:
        # Four weights of a byte stay exact in 16 bits; the sums of others are made in the state's own type.
        return np.zeros(1, np.int16 if self.weights is not None and self.weights.dtype == np.int8 else np.int64)


WeightRows = tuple[Ints | None, NDArray[np.int64], int, Ints | None, int]
"""weights, slices, largest, narrow and narrow_scale of Synapses, which do not depend on the rows of a tile."""


def pack_synapses(
    run: CoreRun, connection: Connection, pool: int, table: Callable[[], WeightRows], made: MadeRows | None = None,
) -> Synapses:
    """`pool` says how far the grid that events are listed on is finer than the one that the operator sees."""
    channels, in_height, in_width = connection.pooled_shape
    height, width = (connection.source_shape if pool > 1 else connection.token_shape)[1:]
    (first_row, end_row), out_width = run.row_span, run.shape[2]
    along_y, along_x = connection.axes
    sides = (side for pair in zip(along_y, along_x, strict=True) for side in pair)
    operator = (*sides, in_height, in_width, end_row - first_row, out_width, first_row)
    fed = _fed_channels(run, connection)
    grid = np.array([height, width, channels, pool, out_width, run.groups[1] - run.groups[0]], np.int64)
    window = np.array([width, channels, pool, *operator], np.int64)
    by_row = rows_reached(run, connection, height, pool)
    by_column = _reach(width, pool, in_width, along_x, (0, out_width))
    return Synapses(
        grid=grid, window=window, by_row=by_row, by_column=by_column, by_channel=_groups(run, fed), fed=fed - run.channels[0],
        table=table, skipping=None if made is None else Skipping(grid, window, by_row, by_column, *made),
    )


def rows_reached(run: CoreRun, connection: Connection, height: int, pool: int) -> Ints:
    """(height, 2) first row of the run's tile that each row of the events' grid touches, from the tile's own, and how many.

    Spare rows are among them: events take time there, and add nothing (C9).
    """
    return _reach(height, pool, connection.pooled_shape[1], connection.axes[0], run.worked_rows)


def _reach(size: int, pool: int, in_size: int, axis: Axis, outputs: tuple[int, int]) -> Ints:
    """(size, 2) first of the outputs [a, b) that each source coordinate touches, counted from a, and how many."""
    at = np.arange(size) // pool
    first = np.maximum(outputs[0], -((axis.kernel - 1 - axis.padding - at) // axis.stride))
    last = np.minimum(outputs[1] - 1, (at + axis.padding) // axis.stride)
    count = np.where(at < in_size, np.maximum(0, last - first + 1), 0)
    return np.stack([first - outputs[0], count], axis=1).astype(np.int64)


def _fed_channels(run: CoreRun, connection: Connection) -> NDArray[np.int64]:
    """(source channels, 2) channels [lo, hi) of this run that each source channel feeds; one line if all are alike."""
    low, high = run.channels
    c = np.arange(connection.source_shape[0])
    if connection.operator == "identity":
        begin = c + connection.channel_offset
        end = begin + 1
    elif connection.operator == "conv2d" and connection.groups > 1:
        out_channels = run.shape[0] // connection.groups
        begin = c // (connection.source_shape[0] // connection.groups) * out_channels
        end = begin + out_channels
    else:
        begin, end = np.array([low]), np.array([high])
    begin = np.maximum(begin, low)
    return np.stack([begin, np.maximum(begin, np.minimum(end, high))], axis=1).astype(np.int64)


def _groups(run: CoreRun, fed: NDArray[np.int64]) -> NDArray[np.int64]:
    """by_channel of kernels.timing: (n, 3) first group within the run, groups touched, real lanes that add."""
    begin, end, lanes = fed[:, 0], fed[:, 1], run.core.lanes
    some = end > begin
    first = np.where(some, begin // lanes - run.groups[0], 0)
    count = np.where(some, (end - 1) // lanes - begin // lanes + 1, 0)
    return np.stack([first, count, end - begin], axis=1).astype(np.int64)


def weight_rows(run: CoreRun, connection: Connection) -> WeightRows:
    """Rows (ky, kx, c) of the weights that one source neuron puts on one output position, and their slices."""
    channels, in_height, in_width = connection.pooled_shape
    low, high = run.channels
    every = np.zeros((0, 2), np.int64)
    if connection.weights is None:
        return None, every, 0, None, 1
    fed, (kernel_y, kernel_x) = _fed_channels(run, connection), (axis.kernel for axis in connection.axes)
    taps = kernel_y * kernel_x
    weights = np.asarray(connection.weights)
    if len(fed) == 1 and connection.operator == "linear":
        rows = weights[low:high].reshape(high - low, channels, in_height, in_width).transpose(2, 3, 1, 0)
    elif len(fed) == 1 and connection.operator == "conv2d":
        rows = weights[low:high].transpose(2, 3, 1, 0)
    elif connection.operator == "identity":
        rows = weights.reshape(1, 1, channels, 1)
    else:
        groups = connection.groups
        rows = weights.reshape(groups, -1, channels // groups, kernel_y, kernel_x).transpose(3, 4, 0, 2, 1)
        rows = rows.reshape(kernel_y, kernel_x, channels, -1)
        rows = _from_first(rows, fed[:, 0] - np.arange(channels) // (channels // groups) * rows.shape[-1])
    sliced = len(fed) > 1 or connection.operator == "identity" or connection.groups > 1
    table = rows.reshape(taps * channels, rows.shape[-1])
    dtype = narrowest(int(table.min(initial=0)), int(table.max(initial=0)))
    out = aligned_zeros((len(table) + 1, table.shape[1]), dtype)
    out[:-1] = table
    slices = np.stack([fed[:, 0] - low, fed[:, 1] - fed[:, 0]], axis=1)
    largest = int(np.abs(out.astype(np.int64)).max(initial=0))
    return out, np.tile(slices, (taps, 1)) if sliced else every, largest, *_narrow(out)


def _narrow(weights: Ints) -> tuple[Ints | None, int]:
    """Weights over the highest power of two that divides them all, as bytes, and that power; None where they fit no byte."""
    together = int(np.bitwise_or.reduce(weights, axis=None))
    scale = together & -together or 1
    if narrowest(int(weights.min()) // scale, int(weights.max()) // scale) is not np.int8:
        return None, 1
    if weights.dtype == np.int8:
        return weights, 1
    out = aligned_zeros(weights.shape, np.int8)
    out[...] = weights // scale
    return out, scale


def _from_first(rows: Ints, offsets: NDArray[np.int64]) -> Ints:
    """Rows (ky, kx, c, lanes) moved left so that lane `offsets[c]` comes first; what follows the last is not used."""
    lanes = np.minimum(offsets[:, None] + np.arange(rows.shape[-1]), rows.shape[-1] - 1)
    return np.take_along_axis(rows, np.broadcast_to(lanes, rows.shape), axis=-1)


@dataclass(frozen=True, eq=False)
class RunPack:
    """What one run needs besides its events.

    adds_to     the width that events add at: the current's for direct tables.
    channels, span   of the layer: lanes and positions that are the run's own.
    initial     (positions, lanes) what a clear writes.       addend  (positions, lanes) or None.
    factors     tallies to events; pass_tallies  those of each pass: hwsim/engine/fast/counting.py.
    rows        timesteps that the run counts for, from 0.
    last_words  whether words of the last group are counted apart: they lie in fewer banks.
    steps       how its timesteps are done many in a call; None where they are not.
    plans       of its sweeps, by the number of its EOTs; other dataflows only.
    """

    run: CoreRun
    channels: tuple[int, int]
    span: tuple[int, int]
    potential: Width
    current: Width
    adds_to: Width
    initial: Ints
    addend: Ints | None
    addend_largest: int
    factors: NDArray[np.int64]
    pass_tallies: NDArray[np.int64]
    rows: int
    last_words: bool
    steps: StepPlan | None
    plans: dict[int, SweepPlan] = field(default_factory=dict)

    @cached_property
    def begin(self) -> tuple[Ints, Ints]:
        """What a plain run begins with, to be copied: `core` and `ring` of kernels.timing."""
        run, words = self.run, self.run.words if self.run.clear else 0
        adds_to = kt.CURRENT if run.table.direct else kt.MEMBRANE
        cleared = kt.MEMBRANE | (kt.CURRENT if run.clears_current else 0)
        return kt.started(run.core.bypass, adds_to, words, cleared), np.full(run.core.fifo_depth, -1, np.int64)

    @cached_property
    def in_steps(self) -> bool:
        """Whether its timesteps can be done many in a call where sums are made: its passes are known, and it fits 32 bits."""
        if self.steps is None:
            return False
        largest = max(self.addend_largest, -self.current.lowest * self.run.table.direct,
                      -self.potential.lowest * self.steps.doubles)
        return (self.potential.fits_words(largest) and self.adds_to.fits_words(0)
                and (self.addend is None or self.addend.dtype == np.int32))

    @property
    def lanes(self) -> int:
        return self.channels[1] - self.channels[0]

    @property
    def positions(self) -> int:
        return self.span[1] - self.span[0]

    @property
    def layer_positions(self) -> int:
        return self.run.shape[1] * self.run.shape[2]

    @property
    def all_channels(self) -> bool:
        """Whether the run computes all channels of its layer: its tile is then a part of the layer's arrays, in one piece."""
        return self.lanes == self.run.shape[0]

    def own(self, whole: Ints) -> Ints:
        """The tile of an array (positions, C) of the layer, a view."""
        return whole[self.span[0] : self.span[1], self.channels[0] : self.channels[1]]

    def neurons(self, position: Ints, lane: Ints) -> Ints:
        """Numbers (c * H + y) * W + x in the layer."""
        return (lane + self.channels[0]) * self.layer_positions + position + self.span[0]


class Packer:
    """Packs runs and keeps what several of them share."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}
        self._alive: list[Any] = []  # keys are identities: what they name must not go away

    def _keep(self, key: Hashable, make: Any, *alive: Any) -> Any:
        if key not in self._kept:
            self._kept[key] = make()
            self._alive.extend(alive)
        return self._kept[key]

    def synapses(self, run: CoreRun, position: int, pool: int) -> Synapses:
        connection = run.connections[position]
        weighted = ("weights", id(connection), run.shape, run.channels)
        skips = run.core.skip_zero_weights
        key = ("synapses", *weighted, run.row_span, run.spare_rows, run.core.lanes, pool, skips)

        def rows() -> WeightRows:
            return self._keep(weighted, lambda: weight_rows(run, connection), connection)

        def pack() -> Synapses:
            return pack_synapses(run, connection, pool, rows, self._made(weighted, run, rows()) if skips else None)

        return self._keep(key, pack, connection)

    def _made(self, weighted: Hashable, run: CoreRun, rows: WeightRows) -> MadeRows | None:
        weights, slices, *_ = rows
        if weights is None:
            return None
        channels, lanes = run.channels[1] - run.channels[0], run.core.lanes
        return self._keep(("made", weighted, lanes), lambda: made_rows(weights, slices, channels, lanes))

    def run(self, run: CoreRun) -> RunPack:
        return self._keep(("run", id(run)), lambda: self._pack_run(run), run)

    def _pack_run(self, run: CoreRun) -> RunPack:
        table, (low, high), (first, end) = run.table, run.channels, run.row_span
        tile = (low, high, first, end)
        check_run(run)
        potential, current = Width(run.potential_bits), Width(run.current_bits)
        addend, addend_largest = None, 0
        if table.addend is not None:
            part = table.addend[low:high, first:end]
            addend_largest = int(np.abs(part).max(initial=0))
            addend = self._keep(
                ("addend", id(table.addend), *tile),
                lambda: by_position(part, np.int32 if addend_largest < 1 << 31 else np.int64), table.addend)
        initial = self._keep(
            ("initial", id(table.initial), *tile, run.potential_bits),
            lambda: potential.store(table.initial[low:high, first:end]), table.initial)
        return RunPack(
            run=run, channels=(low, high), span=(first * run.shape[2], end * run.shape[2]), potential=potential, current=current,
            adds_to=current if table.direct else potential, initial=initial, addend=addend,
            addend_largest=addend_largest,
            factors=coefficients(run, high - low), pass_tallies=pass_tallies(run),
            rows=max(run.first_plane + table.planes, 1 + max((p.timestep for p in table.passes), default=0)),
            last_words=counts_last_words(run), steps=plan_steps(run, potential.highest),
        )
