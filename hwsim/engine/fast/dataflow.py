"""One run of the core in a dataflow of R19 to R26: gather order, merged tokens, one port, word writer, passes by word,
flags before weights, no operations of zero weights.

What a word is worth never depends on the order of words: its events and passes come in the same order whatever the loops are
(R19 to R25 of docs/cycle-model.md). So sums are made plane by plane with the kernels of `core`, and cycles afterwards,
when it is known what every pass sends: in scatter order event list by event list, in gather order all visits in one kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import INDEX
from hwsim.checks.run import check_eots
from hwsim.engine.fast.core import (
    FIRED,
    LAST_WORDS,
    PAYLOAD_SYNAPSES,
    POOLED,
    SHIFTED_SYNAPSES,
    VALUE_BITS,
    CoreState,
    PlainCore,
)
from hwsim.engine.fast.counting import TALLIES, TALLY
from hwsim.engine.fast.feeds import Buffers, EventList
from hwsim.engine.fast.flow_log import FlowLog
from hwsim.engine.fast.gather_pack import Block, FeedPlanes, Listed, block_of, gather_arrays
from hwsim.engine.fast.kernels import arithmetic as ka
from hwsim.engine.fast.kernels import dataflow as kd
from hwsim.engine.fast.kernels import masked as km
from hwsim.engine.fast.kernels import patterns as kp
from hwsim.engine.fast.masked import Masked
from hwsim.engine.fast.packing import Ints, RunPack, Synapses, aligned_zeros
from hwsim.engine.fast.sweep_plan import FLAGS, Sweep, plan_sweeps
from hwsim.engine.fast.timing_only import is_simple, list_block, lists_simply, sent_by_passes
from hwsim.program import ProgramError
from hwsim.record import CoreLog

NO_SLOTS = np.zeros(0, np.int64)
NO_SHAPE = np.zeros((0, 0), np.int64)
WORDS, SYNAPSES, REGISTERS = TALLY["words"], TALLY["synapses"], TALLY["register_synapses"]
EVENTS_LISTED, PLANE_SUMS = TALLY["events"], TALLY["plane_sums"]
LOADS, STORES, QUIET_WORDS = TALLY["loads"], TALLY["stores"], TALLY["quiet_words"]
# The tallies that kernels.dataflow counts, in its order.
FLOW = [TALLY[name] for name in (
    "tokens", "busy", "hazards", "serialiser_stalls", "overlapped", "sent", "rows_scanned", "port_stalls", "sending_words")]


def _products(largest: int) -> Ints:
    """An empty array of a type that holds any |value| up to `largest`."""
    return np.zeros(0, np.int16 if largest < 1 << 15 else np.int32 if largest < 1 << 31 else np.int64)


class DataflowCore(PlainCore):
    """A run in progress: first all of its arithmetic, then all of its time.

    flow (rows, 9)        what the kernels count.      accesses  memory words of the passes, by row and event.
    sent (sweeps, words)  spikes of each word in each pass.
    masked                what events see of the flags until the next EOT, where they look at them first.
    """

    def __init__(
        self, pack: RunPack, state: CoreState, buffers: Buffers, record: bool, eots: int, counts_pools: bool = True,
    ) -> None:
        run = pack.run
        self.pack, self.state, self.run, self.buffers, self.eots = pack, state, run, buffers, eots
        self.gathers, self.counts_pools = run.core.order == "gather", counts_pools
        self.tally = np.zeros((pack.rows, len(TALLIES)), np.int64)
        self.flow = np.zeros((pack.rows, len(FLOW)), np.int64)
        self.clipped = self.marks = 0
        if eots not in pack.plans:
            pack.plans[eots] = plan_sweeps(run, eots, pack.rows)
        self.plan = pack.plans[eots]
        self.accesses = self.plan.accesses.copy()
        self.sent = np.zeros((self.plan.number, run.words), np.int32)
        self.flow_log = FlowLog(pack) if record else None
        self._sums: Ints | None = None
        self.masked: Masked | None = None
        adds_to = 0 if self.gathers else kd.CURRENT if run.table.direct else kd.MEMBRANE
        self.clock = kd.started(
            run.core.bypass, adds_to, run.core.membrane_ports == "1rw", run.core.passes == "by_word",
            run.core.writer == "word")
        self.ring = np.full(run.core.fifo_depth, -1, np.int64)
        if run.clear:
            self._start()

    # -- arithmetic ---------------------------------------------------------------------------------------------------

    def execute(self, sources: Sequence[FeedPlanes]) -> None:
        """The whole run, from planes."""
        listed: list[Listed] = []
        if self.gathers and not (self.state.arithmetic or self.flow_log) and is_simple(self.pack):
            self._time_only(sources)
            return
        if self.run.merged:
            self.look_at_flags()
            self._merged(sources, listed)
        else:
            for n in range(self.eots):
                self.marks = n % self.run.table.planes
                self.look_at_flags()
                for f, source in enumerate(sources):
                    if n < len(source.planes):
                        listed.append(self._plane(f, source, n))
                self._sweep(n)
        self.marks = 0
        if self.gathers:
            self._gather(sources, [(each.plane, each.feed, block_of(each)) for each in listed])
        else:
            self._time_scatter(sources, listed)

    def _time_only(self, sources: Sequence[FeedPlanes]) -> None:
        """A gather run that makes no sums and is_simple: all planes at once, where `execute` goes from plane to plane."""
        blocks: list[tuple[int, int, Block]] = []
        for f, source in enumerate(sources):
            if self.run.merged and len(source.planes):
                blocks.append((0, f, block_of(self._merge(f, source))))
            elif not self.run.merged and lists_simply(source):
                rows = np.array([self.row_of(n) for n in range(min(self.eots, len(source.planes)))], np.int64)
                blocks.append((0, f, list_block(self, source, rows)))
            elif not self.run.merged:
                for n in range(min(self.eots, len(source.planes))):
                    self.marks = n % self.run.table.planes
                    blocks.append((n, f, block_of(self._plane(f, source, n))))
        self.marks = 0
        if self.run.merged:
            check_eots(self.run, self.eots)
        for t in range(self.run.table.planes if self.run.plane_sums else 0):
            self.count_sum(t)
        sweeps = [sweep for after in self.plan.after for sweep in after]
        self.sent = sent_by_passes(self, [sweep.index for sweep in sweeps])
        self._gather(sources, blocks)

    def look_at_flags(self) -> None:
        """R25: what the events before the next EOT see."""
        if self.run.masks_first:
            self.masked = Masked.seen(self.state.flags.copy(), self.run.core.lanes)

    def _plane(self, f: int, source: FeedPlanes, n: int) -> Listed:
        """One plane of one feed, one spike or payload to a token."""
        events, updates = source.feed.events(source.planes[n], source.timesteps[n])
        self._count_read(source, events, updates)
        self.add_events(source.synapses, events)
        return self._listed(f, n, source, events, NO_SLOTS)

    def _count_read(self, source: FeedPlanes, events: EventList, updates: int) -> None:
        """A4: what pooling units took in, and the values that were read: with their tokens, or by the pooling unit."""
        pooled = updates * self.counts_pools
        self.row[POOLED] += pooled
        read = source.feed.values_read(events, pooled)
        if read and self.gathers and source.feed.connection.pool_mode != "unit":
            # In gather order an event is a token of every visit that it touches.
            read = source.visits(events, self.run.core.accumulators)
        self.row[VALUE_BITS] += read * source.feed.value_bits

    def add_events(self, synapses: Synapses, events: EventList) -> None:
        """R10 to R12 for a list of events, and what it counts but for words and synapses, which `_listed` counts."""
        if events.number and self.state.arithmetic:
            scale = 1 << self.shift_of(bool(events.values.size))
            if self.masked is None:
                self.clipped += self._add(synapses, events, scale)
            else:
                self.clipped += self.masked.add(self._adds_to, self.pack.adds_to, synapses, events, scale)

    @property
    def _adds_to(self) -> Ints:
        """What events add to."""
        return self.state.currents if self.run.table.direct else self.state.potentials

    def shift_of(self, payload: bool) -> int:
        """R11."""
        table = self.run.table
        return (self.marks if table.weigh_planes else 0) + (0 if payload else table.spike_shift)

    def _merged(self, sources: Sequence[FeedPlanes], listed: list[Listed]) -> None:
        """R21: all planes at once; those of a rate code are summed one by one, before the passes that follow each."""
        check_eots(self.run, self.eots)
        for f, source in enumerate(sources):
            if len(source.planes):
                listed.append(self._merge(f, source))
        planes = self.run.table.planes
        for t in range(planes if self.run.plane_sums else 0):
            self._sum_plane(sources, t)
            self._sweep(0, up_to=t + 1)
        if not self.run.plane_sums:
            self._sweep(0)

    def _merge(self, f: int, source: FeedPlanes) -> Listed:
        feed = source.feed
        if feed.hybrid or (feed.payload and len(source.planes) > 1):
            raise ProgramError(
                f"{feed.source!r} sends values in {len(source.planes)} planes: merged tokens take spikes, or one plane of "
                "values; use planes_per_token 'one'")
        if feed.payload and self.run.core.multiplier == "parallel":
            return self._plane(f, source, 0)
        if feed.payload:
            events, updates = feed.events(source.planes[0], source.timesteps[0])
        else:
            events, updates = feed.merged(source.planes)
        if feed.payload:
            self._count_read(source, events, updates)
        else:
            self.row[POOLED] += updates * self.counts_pools
        slots = np.ones(events.number, np.int64)
        listed = self._listed(f, 0, source, events, slots)
        if self.state.arithmetic and events.number and (feed.payload or self.run.table.weigh_planes):
            self.clipped += self._add_patterns(source.synapses, events)
        return listed

    def _add_patterns(self, synapses: Synapses, events: EventList) -> int:
        """R21: patterns onto what events add to; returns the steps that were clipped."""
        adders, width = self.run.core.adders, self.pack.adds_to
        if self.masked is not None:
            return self.masked.add(self._adds_to, width, synapses, events, 1, adders)
        largest = synapses.largest * events.largest
        rows = self.buffers.get("rows", events.number + 4, np.uint32)
        factors = self.buffers.get("factors", events.number + 4, np.int64)
        assert synapses.weights is not None
        return ka.add_patterns(
            self._adds_to, synapses.weights, synapses.slices, events.starts, events.flat, events.values, synapses.window,
            adders, synapses.largest, width.limits(largest), _products(4 * largest), rows, factors)

    def _sum_plane(self, sources: Sequence[FeedPlanes], t: int) -> None:
        """The sum of plane t of every feed, then onto the potentials, unless nothing follows that could add it.

        A sum that nobody adds is made all the same, and its clipped steps count.
        """
        added = self.count_sum(t)
        if not self.state.arithmetic:
            return
        sums = self.sums()
        for source in sources:
            if t < len(source.planes):
                events, _ = source.feed.events(source.planes[t], source.timesteps[t])
                if events.number:
                    self.clipped += self._add_onto(sums, self.pack.potential, source.synapses, events, 1)
        if added:
            self.add_sums(sums)

    def count_sum(self, t: int) -> bool:
        """Counts who adds the sum of plane t: the first pass after it, or else the stores; False if there is nobody."""
        following = [p for p in self.run.table.passes if p.after_eot > t]
        if not following and not self.run.keep:
            return False
        row = min(following, key=lambda p: p.after_eot).timestep if following else self.last_row
        self.tally[row, PLANE_SUMS] += 1
        return True

    def sums(self) -> Ints:
        """Sums of one plane, all zero."""
        if self._sums is None:
            self._sums = aligned_zeros(self.state.potentials.shape, self.state.potentials.dtype)
        self._sums[...] = 0
        return self._sums

    def add_sums(self, sums: Ints) -> None:
        potential = self.pack.potential
        self.clipped += ka.add_terms(self.state.potentials, sums, potential.limits(-potential.lowest))

    def _listed(self, f: int, n: int, source: FeedPlanes, events: EventList, slots: Ints) -> Listed:
        """Keeps what the timing needs of an event list, whose arrays are used again, and counts words and synapses."""
        feed, synapses, number = source.feed, source.synapses, events.number
        geometry = (synapses.grid, synapses.by_row, synapses.by_column, synapses.by_channel)
        # The words of an event are not asked for in gather order, where a visit takes its own.
        reach = np.empty((0 if self.gathers else number, 3), np.int64)
        lanes = np.empty(number, np.int32)
        totals = np.zeros(4, np.int64)
        if synapses.skipping is not None:
            totals[kp.WORDS], totals[kp.ADDS], last = synapses.skipping.reach(events.starts, events.flat, reach, lanes)
            self.row[LAST_WORDS] += last
        else:
            kp.reach_events(events.starts, events.flat, *geometry, reach, lanes, totals)
        if self.masked is not None:
            totals[kp.WORDS], quiet, totals[kp.ADDS], last = self.masked.count(synapses, events, lanes)
            self.row[QUIET_WORDS] += quiet
            self.row[LAST_WORDS] += last
        elif self.pack.last_words and synapses.skipping is None:
            self.row[LAST_WORDS] += kp.count_last(events.starts, events.flat, *geometry)
        rows, channels = np.empty(number, np.int32), np.empty(number, np.int32)
        if self.run.core.buffer == "bitmap":
            bits = source.bits(self.run.merged)
            # Visits find their way through the buffer themselves; a scatter run reads it in one go.
            skipped = np.zeros(feed.grid[0], np.int64) if self.gathers else feed.scan(bits).skipped
            kp.place_events(
                events.starts, events.flat, feed.pool, feed.grid, bits, feed.scan_bits, skipped, rows, channels)
        row = self.row
        row[EVENTS_LISTED] += number
        if slots.size:
            kp.count_patterns(events.values[:number], self.run.core.adders, lanes, slots, totals)
            row[WORDS] += totals[kp.WORDS]
            row[SYNAPSES] += totals[kp.ADDS]
            row[REGISTERS] += totals[kp.SLOTS]
            if feed.payload or self.run.table.weigh_planes:
                row[SHIFTED_SYNAPSES] += totals[kp.SHIFTS]
        else:
            self.count_single(int(totals[kp.WORDS]), int(totals[kp.ADDS]), bool(events.values.size))
        return Listed(f, n, events.starts.copy(), events.flat[:number].copy(), rows, channels, slots, reach, self.masked)

    def count_single(self, words: int, synapses: int, payload: bool) -> None:
        """What events of one plane count."""
        row = self.row
        row[WORDS] += words
        row[SYNAPSES] += synapses
        row[REGISTERS] += synapses
        if payload:
            row[PAYLOAD_SYNAPSES] += synapses
        if self.shift_of(payload):
            row[SHIFTED_SYNAPSES] += synapses

    def _sweep(self, n: int, up_to: int | None = None) -> None:
        """The passes that follow EOT n; with `up_to`, of merged planes, those that follow that plane."""
        for sweep in self.plan.after[n]:
            p = self.run.table.passes[sweep.index]
            if up_to is None or p.after_eot == up_to:
                self._compute_sweep(sweep)

    def _compute_sweep(self, sweep: Sweep) -> None:
        """R9, R10 and R12 to R18 for one pass over all words."""
        p, row = self.run.table.passes[sweep.index], self.tally[self.run.table.passes[sweep.index].timestep]
        row += self.pack.pass_tallies[sweep.index]
        sends = p.sends
        plane = self._outputs(p.timestep) if sends else None
        on = 0 if p.flags == "ignore" else self._on()
        if p.kind == "count":
            self.sent[sweep.place] = self._reached(p, row)
        elif self.state.arithmetic and p.kind == "reinitialise":
            self.state.potentials[...] = self.pack.initial
        elif self.state.arithmetic:
            self.clipped += self._compute(p, plane)
        elif self.run.table.flagged:
            self._follow(p, plane)
        sent = self.sent[sweep.place]
        if plane is not None:
            ka.count_sent(plane, self.run.core.lanes, sent)
        if p.flags != "ignore":
            self._count_flagged(p, row, on, sent)
        if p.kind == "fire" and p.flags != "fire_once":
            row[FIRED] += sent.sum()
        if sweep.writes & FLAGS and sweep.flaggers is not None:
            written = np.count_nonzero(self.sent[list(sweep.flaggers)].any(axis=0))
            self.accesses[p.timestep, INDEX["mask_write"]] += written
        if self.flow_log is not None:
            self.flow_log.swept(p.kind, sweep, plane)

    # -- time ---------------------------------------------------------------------------------------------------------

    @property
    def moves(self) -> tuple[int, int]:
        """Memories that the loads of a visit read and its stores write, as bits; 0: there are none (R19)."""
        run = self.run
        every = kd.MEMBRANE | (kd.CURRENT if run.table.direct else 0)
        stored = every if run.current_changes else kd.MEMBRANE
        return (every if self.gathers and not run.clear else 0), (stored if self.gathers and run.keep else 0)

    def count_moves(self) -> None:
        """What loads and stores count."""
        loads, stores = self.moves
        self.tally[self.run.first_plane, LOADS] += loads != 0
        self.tally[self.last_row, STORES] += stores != 0

    @property
    def last_row(self) -> int:
        """Where stores are counted: the row of the last pass."""
        passes = self.run.table.passes
        return passes[-1].timestep if passes else self.run.first_plane

    def clear_time(self) -> None:
        """R1, in scatter order."""
        writes = kd.MEMBRANE | (kd.CURRENT if self.run.clears_current else 0)
        first = kd.time_moves(0, self.run.words, 0, writes, self.clock, self.flow[self.run.first_plane])
        if self.run.masks_first:
            self.clock[kd.CLAIMS] |= FLAGS
        if self.flow_log is not None:
            self.flow_log.moved("clear", first, range(self.run.words))

    def row_of(self, n: int) -> int:
        """Row of the tally of what comes before EOT n."""
        return self.run.first_plane + n % self.run.table.planes

    def mark_time(self, n: int, gap: int, earliest: int, first_word: int, words: int) -> None:
        """An EOT, and the passes that follow it over the given words."""
        pushed, slot = kd.time_mark(gap, earliest, self.clock, self.ring, self.flow[self.row_of(n)])
        begin, end = self.plan.steps_at[n : n + 2]
        issued = completed = NO_SHAPE
        if self.flow_log is not None:
            self.flow_log.marked(pushed, slot)
            issued, completed = self.flow_log.sweeps(self.sent.shape)
        if end > begin:
            kd.time_sweeps(
                first_word, words, self.plan.steps[begin:end], self.sent, self.clock, self.flow, issued, completed)

    def events_time(self, n: int, reach: Ints, slots: Ints, arrivals: Ints, words: Ints | None) -> None:
        """Events before EOT n; `words`, all that they touch in turn, is for the log."""
        log = NO_SHAPE if self.flow_log is None else np.empty((len(reach), 3), np.int64)
        kd.time_tokens(reach, slots, arrivals, self.clock, self.ring, self.flow[self.row_of(n)], log)
        if self.flow_log is not None:
            apart = 1 if self.run.core.membrane_ports == "1rw" and not self.gathers else 0
            self.flow_log.events(log, reach, slots, apart, words)

    def masked_time(self, n: int, counts: Ints, slots: Ints, arrivals: Ints, words: Ints, quiet: Ints) -> None:
        """Events before EOT n that look at flags first; `words`, all that they touch in turn."""
        log = issue = NO_SHAPE
        if self.flow_log is not None:
            log = np.empty((len(counts), 2), np.int64)
            issue = np.empty((len(words) + int((counts == 0).sum()), 3), np.int64)
        km.time_masked(
            counts, words, quiet, slots, arrivals, self.clock, self.ring, self.flow[self.row_of(n)], log, issue, *FlowLog.MASKED)
        if self.flow_log is not None:
            self.flow_log.gathered(log, issue)

    def _time_scatter(self, sources: Sequence[FeedPlanes], listed: list[Listed]) -> None:
        if self.run.clear:
            self.clear_time()
        bitmap = self.run.core.buffer == "bitmap"
        scanned, reached = 0, -1
        for n in range(self.eots):
            for plane in (each for each in listed if each.plane == n):
                source = sources[plane.feed]
                arrivals = NO_SHAPE
                if bitmap:
                    plan = source.feed.scan(source.bits(self.run.merged))
                    rows = plane.rows.astype(np.int64) + scanned
                    arrivals = np.zeros((len(rows), 2), np.int64)
                    arrivals[:, 0] = np.maximum(1, np.diff(rows, prepend=reached))
                    reached = int(rows[-1]) if len(rows) else reached
                    scanned += plan.rows
                    self.flow[self.row_of(n), kd.ROWS_READ] += plan.rows
                if plane.masked is not None:
                    words, counts = self._words_of(source.synapses, plane), np.ascontiguousarray(plane.reach[:, 0])
                    self.masked_time(n, counts, plane.slots, arrivals, words, plane.masked.quiet)
                    continue
                logged = None if self.flow_log is None else self._words_of(source.synapses, plane)
                self.events_time(n, plane.reach, plane.slots, arrivals, logged)
            gap = max(1, scanned - 1 - reached) if bitmap else 1
            reached = scanned - 1
            self.mark_time(n, gap, 0, 0, self.run.words)

    def _words_of(self, synapses: Synapses, plane: Listed) -> Ints:
        if synapses.skipping is not None:
            return synapses.skipping.words(plane.starts, plane.flat, int(plane.reach[:, 0].sum()))
        words = np.empty(int(plane.reach[:, 0].sum()), np.int64)
        kp.list_reached(
            plane.starts, plane.flat, synapses.grid, synapses.by_row, synapses.by_column, synapses.by_channel, words)
        return words

    def _gather(self, sources: Sequence[FeedPlanes], blocks: Sequence[tuple[int, int, Block]]) -> None:
        run = self.run
        (first, end), width = run.worked_rows, run.shape[2]
        arrays = gather_arrays(sources, blocks, self.eots, run.merged)
        loads, stores = self.moves
        self.count_moves()
        shape = (first, end - first, width, run.groups[1] - run.groups[0], run.core.accumulators)
        moves = (loads, stores, run.first_plane, self.last_row)
        rows_of = np.array([self.row_of(n) for n in range(self.eots)], np.int64)
        plan = (rows_of, self.plan.steps, self.plan.steps_at, self.sent)
        kinds = FlowLog.KINDS
        if self.flow_log is None:
            kd.gather_run(
                shape, moves, *arrays, *plan, self.clock, self.ring, self.flow, NO_SHAPE, NO_SHAPE, NO_SHAPE,
                NO_SHAPE, kinds)
            return
        again = (self.clock.copy(), self.ring.copy(), np.zeros_like(self.flow))
        tokens, operations = kd.gather_run(
            shape, moves, *arrays, *plan, *again, NO_SHAPE, NO_SHAPE, NO_SHAPE, NO_SHAPE, kinds)
        token_log, issue_log = np.empty((tokens, 2), np.int64), np.empty((operations, 3), np.int64)
        issued, completed = self.flow_log.sweeps(self.sent.shape)
        kd.gather_run(
            shape, moves, *arrays, *plan, self.clock, self.ring, self.flow, token_log, issue_log, issued,
            completed, kinds)
        self.flow_log.gathered(token_log, issue_log)

    def done(self) -> int:
        """R8."""
        return kd.done(self.clock)

    def counts(self) -> NDArray[np.int64]:
        """(rows, len(EVENTS))."""
        tally = self.tally.copy()
        tally[:, FLOW] += self.flow
        return np.asarray(tally @ self.pack.factors + self.accesses)

    def log(
        self, potentials: NDArray[np.int64], currents: NDArray[np.int64], flags: NDArray[np.int64]
    ) -> CoreLog:
        assert self.flow_log is not None
        tokens, issue, spikes = self.flow_log.listed(self.run.core.writer == "word")
        return CoreLog(
            push=tokens[:, 0].copy(), pop=tokens[:, 1].copy(), issue=issue, spikes=spikes, done=self.done(),
            counts=self.counts(), saturations=int(self.clipped), potentials=potentials, currents=currents, flags=flags,
        )
