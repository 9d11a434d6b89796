"""A run whose timesteps are done many in a call, where nothing is logged: the same as `core`, with fewer steps in Python.

What is listed together: planes of spikes of one source, whose channels all feed the same lanes through weights of a byte (times a
power of two). Everything else is fed as in `core`, plane by plane; the passes that follow are still made in one call. A run that
the kernels do not know at all has no plan, and is executed by `core` (hwsim/engine/fast/step_plan.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from hwsim.engine.fast.core import NO_LOG, CoreState, PlainCore, feed_plane
from hwsim.engine.fast.counting import TALLY
from hwsim.engine.fast.feeds import NO_EVENTS, NO_VALUES, Buffers, Scanner
from hwsim.engine.fast.gather_pack import FeedPlanes
from hwsim.engine.fast.kernels import arithmetic as ka
from hwsim.engine.fast.kernels import events as ke
from hwsim.engine.fast.kernels import timing as kt
from hwsim.engine.fast.packing import Ints, RunPack, Synapses

LISTED = 1 << 21
"""Neurons whose events are listed in one call: what the lists can take of memory, in elements."""
COLUMNS = np.array([TALLY[name] for name in ("shifted_synapses", "rows_scanned", "fired", "last_words")], np.int64)
NO_STARTS = np.zeros((0, 1, 1), np.int32)
NO_WEIGHTS = np.zeros((1, 1), np.int8)
NO_ADDEND = np.zeros((0, 0), np.int32)
NO_SCAN = np.zeros(0, np.int64)
NO_GEOMETRY = tuple(np.zeros(shape, np.int64) for shape in (6, (1, 2), (1, 2), (1, 3)))
FOUR_BYTES = np.zeros(1, np.int16)
"""Names the type that holds the sum of four weights of a byte."""


def does(pack: RunPack, state: CoreState) -> bool:
    """Whether a run can be executed here: its passes are known, and its arithmetic is of 32 bits."""
    return state.outputs.dtype == np.uint8 and (pack.in_steps if state.arithmetic else pack.steps is not None)


class StepsCore(PlainCore):
    """A PlainCore that is fed a whole run at once."""

    def __init__(self, pack: RunPack, state: CoreState, buffers: Buffers) -> None:
        super().__init__(pack, state, buffers, record=False)
        assert pack.steps is not None
        self.plan = pack.steps
        # A tile of some channels has its outputs in one piece here, and they go to the layer's at the end.
        self.planes = state.outputs
        if not pack.all_channels or pack.run.cut_by_rows:
            self.planes = np.ascontiguousarray(state.outputs[:, pack.span[0] : pack.span[1], pack.channels[0] : pack.channels[1]])
        direct = pack.run.table.direct
        self.currents = state.currents if direct else state.potentials[:0]
        self.adds_to = state.currents if direct else state.potentials

    def execute(self, sources: Sequence[FeedPlanes], eots: int, counts_pools: bool) -> None:
        """C2: all planes of the sources, and the passes between them."""
        scanner = Scanner(self.buffers) if self.run.core.buffer == "bitmap" else None
        scan = np.zeros(4, np.int64)
        scan[kt.SCAN_BITS] = self.run.core.scan_bits if scanner else 0
        mark = 0
        while mark < eots:
            fed = [source for source in sources if mark < len(source.planes)]
            listed = fed[0] if len(fed) == 1 and self._lists(fed[0], mark) else None
            if listed:
                planes = min(len(listed.planes) - mark, max(1, LISTED // listed.planes[0].size))
                self._steps(mark, mark + planes, listed, scan, scanner)
                mark += planes
                continue
            self.marks = mark
            for source in fed:
                feed_plane(self, source, mark, scanner, counts_pools)
            following = mark + 1 if any(len(source.planes) > mark + 1 for source in sources) else eots
            self._steps(mark, following, None, scan, scanner)
            mark = following
        self.marks = 0
        if self.planes is not self.state.outputs and self.state.arithmetic:
            for p in self.run.table.passes:
                if p.sends:
                    self.pack.own(self.state.outputs[p.timestep])[...] = self.planes[p.timestep]

    def _lists(self, source: FeedPlanes, plane: int) -> bool:
        feed, synapses, whole = source.feed, source.synapses, source.whole
        if whole is None or whole.dtype != np.uint8 or not feed.sends_spikes(source.timesteps[plane]) or feed.pools_first:
            return False
        if len(synapses.by_channel) > 1 or feed.hybrid:
            return False
        if not self.state.arithmetic:
            return True  # only sums ask for the weights: this question alone would pack them
        largest = synapses.largest * self._scale(len(source.planes) - 1)
        return not synapses.slices.size and synapses.narrow is not None and self.pack.adds_to.fits_words(largest)

    def _scale(self, plane: int) -> int:
        table = self.run.table
        return 1 << table.spike_shift + plane * table.weigh_planes

    def _steps(self, first: int, end: int, source: FeedPlanes | None, scan: Ints, scanner: Scanner | None) -> None:
        """EOTs first + 1 to end; with a source, each after a plane of it."""
        starts, flat, skipped = NO_STARTS, NO_EVENTS, NO_SCAN
        if source:
            starts, flat = self._listed(source, first, end)
            if scanner:
                plan = source.feed.scan()
                scan[kt.PLANE_ROWS], skipped = plan.rows, plan.skipped
        if self.state.arithmetic:
            self._compute_steps(first, end, source, starts, flat)
        if scanner:
            scan[kt.ROWS_READ], scan[kt.REACHED] = scanner.rows, scanner.reached
        synapses = source.synapses if source else None
        kt.time_steps(
            (first, end), starts, flat, *_geometry(synapses), scan, skipped, self.clock, self.ring, self.tally,
            self.run.first_plane, COLUMNS, self.plan.shifts, self.plan.timed, self.pack.pass_tallies, self.run.words,
            self._sent_words(first, end), NO_LOG)
        if scanner:
            scanner.rows, scanner.reached = int(scan[kt.ROWS_READ]), int(scan[kt.REACHED])

    def _sent_words(self, first: int, end: int) -> Ints:
        """(sending passes, words): those of EOTs first + 1 to end are counted."""
        words, plan = self.run.words, self.plan
        lines = max(1, len(plan.sending))
        sent = self.buffers.get("many sent", lines * words, np.int32)[: lines * words].reshape(lines, words)
        now = plan.sent_after(first, end)
        if now.stop:
            ka.count_planes_sent(self.planes, plan.sending[now], self.run.core.lanes, sent[now])
        return sent

    def _listed(self, source: FeedPlanes, first: int, end: int) -> tuple[Ints, Ints]:
        feed, whole = source.feed, source.whole
        assert whole is not None
        order = feed.order[first:end]
        places = feed.grid[0] * feed.grid[1] + 1
        shape = (len(order), len(feed.tiles), places)
        size = prod(shape)
        starts = self.buffers.get("many starts", size, np.int32)[:size].reshape(shape)
        flat = NO_EVENTS
        if self.state.arithmetic or self.run.core.buffer == "bitmap":
            flat = self.buffers.get("many", len(order) * whole[0].size + 1, np.int32)
        ke.list_chosen_planes(whole, order, feed.tiles, feed.taken, feed.pool, starts, flat, NO_VALUES)
        return starts, flat

    def _compute_steps(self, first: int, end: int, source: FeedPlanes | None, starts: Ints, flat: Ints) -> None:
        pack, table, state = self.pack, self.run.table, self.state
        # A position takes all events of a plane at most, and the rows that fill up the last few.
        most = source.whole[0].size if source and source.whole is not None else 0
        rows = self.buffers.get("rows", most + 4, np.uint32)
        synapses = source.synapses if source else None
        weights, window, largest, scale = NO_WEIGHTS, NO_SCAN, 0, 1
        if synapses and synapses.narrow is not None:
            weights, window, scale = synapses.narrow, synapses.window, synapses.narrow_scale
            largest = synapses.largest // scale
        limits = pack.adds_to.words, pack.potential.words
        self.clipped += ka.compute_steps(
            (first, end), self.adds_to, state.potentials, self.currents, NO_ADDEND if pack.addend is None else pack.addend,
            weights, starts, flat, NO_VALUES, window, scale << table.spike_shift, table.weigh_planes, largest, limits, FOUR_BYTES,
            rows, NO_VALUES, self.plan.computed, self.plan.rule, self.planes)


def _geometry(synapses: Synapses | None) -> tuple[Ints, ...]:
    if synapses is None:
        return NO_GEOMETRY
    return synapses.grid, synapses.by_row, synapses.by_column, synapses.by_channel
