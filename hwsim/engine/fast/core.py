"""One run of the core in the fast engine: events, marks and passes in order, each a kernel for time and one for sums.

Timing and arithmetic never wait for each other: what fires does not depend on cycles. With a Recorder the same kernels
leave pushes, pops and issues behind, from which the CoreLog is written. Rules: docs/cycle-model.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.engine.fast.counting import TALLIES, TALLY
from hwsim.engine.fast.feeds import NO_ARRIVALS, NO_VALUES, Buffers, EventList, Scanner
from hwsim.engine.fast.gather_pack import FeedPlanes
from hwsim.engine.fast.kernels import arithmetic as ka
from hwsim.engine.fast.kernels import flags as kf
from hwsim.engine.fast.kernels import patterns as kp
from hwsim.engine.fast.kernels import timing as kt
from hwsim.engine.fast.packing import Ints, RunPack, Synapses, Width
from hwsim.passes import DECAY_BITS, DECAY_WHOLE, Pass
from hwsim.record import ISSUE_KINDS, CoreLog

NO_LOG = np.zeros((0, 2), np.int64)
NOTHING_SENT = np.zeros(0, np.int32)
PAYLOAD_SYNAPSES, SHIFTED_SYNAPSES, FIRED = TALLY["payload_synapses"], TALLY["shifted_synapses"], TALLY["fired"]
CLEARS, ROWS_SCANNED, POOLED, VALUE_BITS = TALLY["clears"], TALLY["rows_scanned"], TALLY["pooled"], TALLY["value_bits"]
ON_FIRED_AT, ON_ADDED_TO, ON_LEAKING = TALLY["on_fired_at"], TALLY["on_added_to"], TALLY["on_leaking"]
FLAG_WORDS, LAST_WORDS, COUNTED = TALLY["flag_words"], TALLY["last_words"], TALLY["counted"]


def in_one_row(*states: Ints) -> tuple[Ints, ...]:
    """Views (1, n) of states that are all in one piece, for what does the same to every lane: short rows are slow."""
    return tuple(state.reshape(1, -1) for state in states) if all(state.flags.c_contiguous for state in states) else states


class CoreState:
    """Potentials, currents and flags (0 / 1) of a run's lanes, (positions, lanes), and its layer's outputs (T, positions, C).

    A table that has no current or no flags never looks at them. `arithmetic` False: no sums are made (there are no weights, or
    the replay is timing only), the outputs are the recorded ones and stay as they are.
    """

    def __init__(
        self, potentials: Ints, currents: Ints, flags: Ints, outputs: Ints, arithmetic: bool = True
    ) -> None:
        self.potentials, self.currents, self.flags = potentials, currents, flags
        self.outputs, self.arithmetic = outputs, arithmetic


class PlainCore:
    """A run in progress. `tally` is (rows, len(TALLIES)), `clipped` counts saturations."""

    def __init__(self, pack: RunPack, state: CoreState, buffers: Buffers, record: bool) -> None:
        self.pack, self.state, self.run = pack, state, pack.run
        self.tally = np.zeros((pack.rows, len(TALLIES)), np.int64)
        self.clipped = self.marks = 0
        self.recorder = Recorder(pack) if record else None
        self.buffers = buffers
        clock, ring = pack.begin
        self.clock, self.ring = clock.copy(), ring.copy()
        if self.run.clear:
            self._clear(self.run.words)

    def _clear(self, words: int) -> None:
        self.row[kt.BUSY] += words
        self._start()
        if self.recorder:
            self.recorder.clear(words)

    def _start(self) -> None:
        """The state as a clear writes it (R1), or as accumulators begin with it (R19)."""
        self.row[CLEARS] += 1
        if self.run.table.flagged:
            self.state.flags[...] = 0
        if self.state.arithmetic:
            self.state.potentials[...] = self.pack.initial
            if self.run.clears_current:
                self.state.currents[...] = 0

    @property
    def _sent(self) -> Ints:
        """Room for what each word sends in a pass."""
        return self.buffers.get("sent", self.run.words, np.int32)[: self.run.words]

    @property
    def row(self) -> NDArray[np.int64]:
        """The tally of the plane that is being fed."""
        return self.tally[self.run.first_plane + self.marks]

    def events(self, synapses: Synapses, events: EventList, arrivals: NDArray[np.int64] = NO_ARRIVALS) -> None:
        """Tokens of one connection, no mark among them. `arrivals` (events, 3) as in kernels.timing."""
        if not events.number:
            return
        row = self.row
        log = np.empty((events.number, 2), np.int64) if self.recorder else NO_LOG
        geometry = (events.starts, events.flat, synapses.grid, synapses.by_row, synapses.by_column, synapses.by_channel)
        slots, added = kt.time_events(*geometry, arrivals, self.clock, self.ring, row, log)
        if self.pack.last_words:
            row[LAST_WORDS] += kp.count_last(*geometry)
        shift = self.marks if self.run.table.weigh_planes else 0
        if events.values.size:
            row[PAYLOAD_SYNAPSES] += added
        else:
            shift += self.run.table.spike_shift
        if shift:
            row[SHIFTED_SYNAPSES] += added
        if self.recorder:
            self.recorder.events(geometry, log, slots)
        if self.state.arithmetic:
            self.clipped += self._add(synapses, events, 1 << shift)

    def _add(self, synapses: Synapses, events: EventList, scale: int) -> int:
        state = self.state.currents if self.run.table.direct else self.state.potentials
        return self._add_onto(state, self.pack.adds_to, synapses, events, scale)

    def _add_onto(self, state: Ints, width: Width, synapses: Synapses, events: EventList, scale: int) -> int:
        limits = width.limits(synapses.largest * events.largest * scale)
        # A position takes all events at most, and the rows that fill up the last few.
        rows = self.buffers.get("rows", events.number + 4, np.uint32)
        factors = self.buffers.get("factors", events.number + 4, np.int64) if events.values.size else NO_VALUES
        weights, window, listed = synapses.weights, synapses.window, (events.starts, events.flat, events.values)
        assert weights is not None
        if synapses.slices.size:
            return ka.add_slices(state, weights, synapses.slices, *listed, window, scale, limits, rows, factors)
        if events.values.size:
            largest = synapses.largest * events.largest
            return ka.add_payloads(state, weights, *listed, window, scale, largest, limits, rows, factors)
        return ka.add_rows(
            state, weights, *listed, window, scale, synapses.largest, limits, synapses.sums, rows, factors)

    def mark(self, gap: int = 1, earliest: int = 0) -> None:
        """An EOT, and the passes that follow it."""
        log = np.empty((1, 2), np.int64) if self.recorder else NO_LOG
        kt.time_mark(gap, earliest, self.clock, self.ring, self.row, log)
        if self.recorder:
            self.recorder.mark(log)
        self.marks += 1
        sending = 0
        for number, p in enumerate(self.run.table.passes):
            if p.after_eot == self.marks:
                sending += self._pass(number, p, sending)
        if self.marks == self.run.table.planes:
            self.marks = 0

    def _pass(self, number: int, p: Pass, sending: int) -> bool:
        """One pass, after `sending` others of this EOT that sent spikes; returns whether it sends any itself."""
        if p.kind == "reinitialise":
            self._reinitialise(number, p)
            return False
        sends = p.sends
        plane = self._outputs(p.timestep) if sends else None
        on = 0 if p.flags == "ignore" else self._on()
        if p.kind == "count":
            self._count(number, p, on)
            return False
        if self.state.arithmetic:
            self.clipped += self._compute(p, plane)
        elif self.run.table.flagged:
            self._follow(p, plane)
        row = self.tally[p.timestep]
        sent = self._sent if sends else NOTHING_SENT
        if plane is not None:
            ka.count_sent(plane, self.run.core.lanes, sent)
            sent[self.run.words - self.run.spare_words :] = 0
        log = np.empty((self.run.words, 2), np.int64) if self.recorder else NO_LOG
        total = kt.time_pass(self.run.words, sent, self.clock, row, log)
        if p.kind == "fire" and self.run.table.current_decay:
            self.clock[kt.WRITTEN] |= kt.CURRENT
        row += self.pack.pass_tallies[number]
        if p.flags != "ignore":
            self._count_flagged(p, row, on, sent)
        if p.kind == "fire" and p.flags != "fire_once":
            row[FIRED] += total
        if self.recorder:
            self.recorder.swept(p.kind, log, plane, sending)
        return sends

    def _count(self, number: int, p: Pass, on: int) -> None:
        """R28, of `on` neurons whose flag is not set."""
        row = self.tally[p.timestep]
        reached = self._reached(p, row)
        log = np.empty((self.run.words, 2), np.int64) if self.recorder else NO_LOG
        kt.time_pass(self.run.words, NOTHING_SENT, self.clock, row, log)
        row += self.pack.pass_tallies[number]
        self._count_flagged(p, row, on, reached)
        if self.recorder:
            self.recorder.swept(p.kind, log, None, 0)

    def _reached(self, p: Pass, row: NDArray[np.int64]) -> Ints:
        """Neurons of each word that a count pass flags, (words,). Without arithmetic nobody is known to reach a threshold."""
        flagged = np.zeros(self.run.words, np.int32)
        if self.state.arithmetic:
            table, potential = self.run.table, self.pack.potential
            flags = self.state.flags
            reached = np.zeros(flags.shape, np.uint8)
            # A threshold that no potential is below is as good as the lowest.
            threshold = max(p.threshold >> p.shift, potential.lowest)
            clipped, counted = kf.count_on(self.state.potentials, flags, reached, min(threshold, potential.highest),
                                           threshold <= potential.highest, table.wait, potential.limits(table.wait))
            self.clipped += clipped
            row[COUNTED] += counted
            ka.count_sent(reached, self.run.core.lanes, flagged)
        return flagged

    def _reinitialise(self, number: int, p: Pass) -> None:
        """R18: potentials start again; currents and flags stay."""
        row = self.tally[p.timestep]
        first = kt.time_writes(self.run.words, self.clock, row)
        row += self.pack.pass_tallies[number]
        if self.state.arithmetic:
            self.state.potentials[...] = self.pack.initial
        if self.recorder:
            self.recorder.swept(p.kind, first + np.arange(self.run.words)[:, None], None, 0)

    def _on(self) -> int:
        """Neurons whose flag is not set."""
        flags = self.state.flags
        return flags.size - int(np.count_nonzero(flags.view(bool)))

    def _count_flagged(self, p: Pass, row: NDArray[np.int64], on: int, sent: Ints) -> None:
        """A1 to A3 of a pass that looks at flags: `on` neurons were on before it."""
        row[ON_FIRED_AT] += on
        row[ON_ADDED_TO] += on * p.add
        row[ON_LEAKING] += self._on() * (p.kind == "fire")
        if p.flags == "fire_once":
            row[FLAG_WORDS] += np.count_nonzero(sent)

    def _follow(self, p: Pass, plane: Ints | None) -> None:
        """Flags without arithmetic: recorded spikes set those of `fire_once`; without weights no potential is known to be
        negative. (With weights, a layer that masks is computed.)"""
        if p.flags == "fire_once" and plane is not None:
            self.state.flags |= plane != 0
        if p.kind == "mask":
            self.state.flags[...] = 0

    def _outputs(self, timestep: int) -> Ints:
        """The layer's outputs of a timestep, this run's tile: of some channels a copy, which _compute writes back."""
        own = self.pack.own(self.state.outputs[timestep])
        return own if self.pack.all_channels else np.ascontiguousarray(own)

    def _compute(self, p: Pass, plane: Ints | None) -> int:
        """R10 and R12 to R17 for one pass; returns the steps that were clipped."""
        pack, table, potentials = self.pack, self.run.table, self.state.potentials
        clipped = 0
        if p.add and pack.addend is not None:
            clipped += self._add_terms(p, pack.addend, pack.addend_largest)
        if p.add and table.direct:
            clipped += self._add_terms(p, self.state.currents, -pack.current.lowest)
        if p.kind == "shift":
            clipped += ka.double(potentials, pack.potential.limits(-pack.potential.lowest))
        if p.kind == "mask":
            self.state.flags[...] = potentials < 0
            potentials[...] = pack.initial
        if plane is None:
            return clipped
        if p.kind == "fire":
            threshold = p.threshold >> p.shift
            leak = -1 if table.leak_shift is None else table.leak_shift
            rule = (threshold, table.reset == "hard", leak, threshold <= pack.potential.highest)
            if p.flags == "ignore":
                ka.fire(*in_one_row(potentials, plane), *rule)
            else:
                kf.fire_on(potentials, self.state.flags, plane, *rule, p.flags == "fire_once")
            if table.decay:
                ka.decay(*in_one_row(potentials), DECAY_WHOLE - table.decay, DECAY_BITS)
            if table.current_decay:
                self._decay_currents(p)
        else:
            ka.requantise(potentials, plane, p.threshold, table.max_level)
        if not pack.all_channels:
            pack.own(self.state.outputs[p.timestep])[...] = plane
        return clipped

    def _decay_currents(self, p: Pass) -> None:
        """R10 for the current; that of a neuron which is off stays."""
        currents = self.state.currents
        before = currents.copy() if p.flags != "ignore" else None
        ka.decay(currents, DECAY_WHOLE - self.run.table.current_decay, DECAY_BITS)
        if before is not None:
            np.copyto(currents, before, where=self.state.flags.view(bool))

    def _add_terms(self, p: Pass, terms: Ints, largest: int) -> int:
        """The addend or the current, |value| up to `largest`, onto the potentials that the pass takes in."""
        limits = self.pack.potential.limits(largest)
        if p.flags == "ignore":
            return ka.add_terms(*in_one_row(self.state.potentials, terms), limits)
        return kf.add_terms_on(self.state.potentials, self.state.flags, terms, limits)

    def done(self) -> int:
        """R8."""
        return kt.done(self.clock)

    def counts(self) -> NDArray[np.int64]:
        """(rows, len(EVENTS))."""
        return kt.events_of(self.tally, self.pack.factors)

    def log(
        self, potentials: NDArray[np.int64], currents: NDArray[np.int64], flags: NDArray[np.int64]
    ) -> CoreLog:
        assert self.recorder is not None
        tokens, issue, spikes = self.recorder.listed()
        return CoreLog(
            push=tokens[:, 0].copy(), pop=tokens[:, 1].copy(), issue=issue, spikes=spikes, done=self.done(),
            counts=self.counts(), saturations=int(self.clipped), potentials=potentials, currents=currents, flags=flags,
        )


def feed_plane(core: PlainCore, source: FeedPlanes, n: int, scanner: Scanner | None, counts_pools: bool) -> None:
    """C2: the n-th plane of a source, without the mark that follows it."""
    feed, row = source.feed, core.row
    # Which channels spike matters to sums, to a scanner, to a log, and where channels do not all feed the same lanes.
    counted = not (core.state.arithmetic or scanner or core.recorder) and len(source.synapses.by_channel) == 1
    events, updates = feed.events(source.planes[n], source.timesteps[n], counted)
    if counts_pools:
        row[POOLED] += updates
    row[VALUE_BITS] += feed.values_read(events, updates * counts_pools) * feed.value_bits
    if scanner:
        row[ROWS_SCANNED] += feed.scan().rows
        core.events(source.synapses, events, scanner.gaps(feed, events))
    else:
        core.events(source.synapses, events)


class Recorder:
    """Lists tokens, issues and spikes for a CoreLog from what the timing kernels leave behind."""

    def __init__(self, pack: RunPack) -> None:
        self._pack, self._groups, self._lanes = pack, pack.run.groups[1] - pack.run.groups[0], pack.run.core.lanes
        self._tokens = [np.zeros((0, 2), np.int64)]
        self._issue = [np.zeros((0, 3), np.int64)]
        self._spikes = [np.zeros((0, 3), np.int64)]

    def _issued(self, cycles: Ints, kind: str, words: Ints) -> None:
        kinds = np.full(len(cycles), ISSUE_KINDS.index(kind))
        self._issue.append(np.stack([cycles, kinds, words], axis=1).astype(np.int64))

    def clear(self, words: int) -> None:
        self._issued(np.arange(1, words + 1), "clear", np.arange(words))

    def events(self, geometry: tuple[Ints, ...], log: NDArray[np.int64], slots: int) -> None:
        self._tokens.append(log)
        issue = np.empty((slots, 3), np.int64)
        kt.list_words(*geometry, log, issue, ISSUE_KINDS.index("acc"), ISSUE_KINDS.index("skip"))
        self._issue.append(issue)

    def mark(self, log: NDArray[np.int64]) -> None:
        self._tokens.append(log)
        self._issued(log[:, 1], "eot", np.full(1, -1))

    def swept(self, kind: str, log: NDArray[np.int64], plane: Ints | None, number: int) -> None:
        self._issued(log[:, 0], kind, np.arange(len(log)))
        if plane is None:
            return
        position, lane = np.nonzero(plane)
        word = position * self._groups + lane // self._lanes
        rank = np.arange(len(word)) - np.searchsorted(word, word)
        neuron = self._pack.neurons(position, lane)
        cycle = log[word, 1] + 1 + rank
        self._spikes.append(np.stack([cycle, np.full(len(word), number), neuron], axis=1).astype(np.int64))

    def listed(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Pushes and pops (tokens, 2), issues (n, 3) and spikes (n, 3), as CoreLog has them."""
        return np.concatenate(self._tokens), np.concatenate(self._issue), np.concatenate(self._spikes)
