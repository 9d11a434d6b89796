"""A run by itself in another dataflow, fed with tokens that a caller laid out: those of all visits in turn, in gather order.

Token by token and word by word, without the event lists that a whole plane would have: what one visit receives is no plane.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.checks.run import check_eots, eots_of_a_visit
from hwsim.engine.fast.core import LAST_WORDS, SHIFTED_SYNAPSES, CoreState
from hwsim.engine.fast.counting import TALLY
from hwsim.engine.fast.dataflow import (
    EVENTS_LISTED,
    NO_SLOTS,
    QUIET_WORDS,
    REGISTERS,
    SYNAPSES,
    WORDS,
    DataflowCore,
)
from hwsim.engine.fast.feeds import Buffers
from hwsim.engine.fast.kernels import arithmetic as ka
from hwsim.engine.fast.kernels import dataflow as kd
from hwsim.engine.fast.kernels import masked as km
from hwsim.engine.fast.kernels import patterns as kp
from hwsim.engine.fast.masked import Masked
from hwsim.engine.fast.packing import Ints, Packer, RunPack

PAYLOAD_SYNAPSES = TALLY["payload_synapses"]


class TokenCore(DataflowCore):
    """tokens (n, 6) and late (n, 2), gaps and earliest cycles, as `Engine.run_core` gets them."""

    def __init__(
        self, pack: RunPack, state: CoreState, buffers: Buffers, tokens: NDArray[np.int64], late: NDArray[np.int64],
        packer: Packer,
    ) -> None:
        run = pack.run
        self.visits = self._visits(run.words, run.groups[1] - run.groups[0], run.core.accumulators, run.core.order == "gather")
        super().__init__(pack, state, buffers, True, eots_of_a_visit(int((tokens[:, 0] < 0).sum()), len(self.visits)))
        check_eots(run, self.eots)
        self.tokens, self.late = tokens, late
        self._seen: list[Masked | None] = []
        self._synapses = [packer.synapses(run, i, self._pool(i)) for i in range(len(run.connections))]
        self._segments = self._cut()

    @staticmethod
    def _visits(words: int, groups: int, held: int, gathers: bool) -> list[range]:
        if not gathers:
            return [range(words)]
        return [range(p + low, p + min(low + held, groups)) for p in range(0, words, groups) for low in range(0, groups, held)]

    def _pool(self, connection: int) -> int:
        wire = self.run.connections[connection]
        return wire.pool if wire.pool_mode == "folded" else 1

    def _cut(self) -> list[list[range]]:
        """Of each visit, the tokens before each of its EOTs, and, of the last one, those after all of them."""
        marks = np.flatnonzero(self.tokens[:, 0] < 0)
        begins = np.concatenate([[0], marks + 1])
        ends = np.concatenate([marks, [len(self.tokens)]])
        every = [range(int(b), int(e)) for b, e in zip(begins, ends, strict=True)]
        n = self.eots
        cut = [every[v * n : (v + 1) * n] for v in range(len(self.visits))]
        cut[-1].append(every[-1])
        return cut

    def execute_tokens(self) -> None:
        """All words first, plane by plane; then all cycles, visit by visit."""
        touched: dict[int, Ints] = {}
        steps = self.run.table.planes if self.run.plane_sums else self.eots
        for n in range(self.eots + 1):
            self.marks = n % self.run.table.planes
            self.look_at_flags()
            self._seen.append(self.masked)
            for visit, segments in zip(self.visits, self._segments, strict=True):
                for k in segments[n] if n < len(segments) else ():
                    touched[k] = self._touched(k, visit)
                    self._add_token(k, touched[k], -1)
            for t in range(steps) if n == 0 and self.run.plane_sums else ():
                self._sum_tokens(t, touched)
                self._sweep(0, up_to=t + 1)
            if n < self.eots and not self.run.plane_sums:
                self._sweep(n)
        self.marks = 0
        self._time_tokens(touched)

    def _touched(self, k: int, visit: range) -> Ints:
        position, c, y, x = self.tokens[k, :4]
        synapses = self._synapses[position]
        words = np.empty(self.run.words, np.int64)
        number = kp.words_of(c, y, x, synapses.grid, synapses.by_row, synapses.by_column, synapses.by_channel, words)
        found = words[:number]
        if synapses.skipping is not None:
            found = synapses.skipping.of_token(c, y, x, found)
        return found[(found >= visit.start) & (found < visit.stop)].copy()

    def _bits(self, k: int) -> list[int]:
        """Set bits of a merged token, by rising weight."""
        pattern = abs(int(self.tokens[k, 4]))
        return [n for n in range(pattern.bit_length()) if pattern >> n & 1]

    def _multiplies(self, k: int) -> bool:
        return bool(self.tokens[k, 5]) and self.run.core.multiplier == "parallel"

    def _slots(self, k: int) -> int:
        if not self.run.merged or self._multiplies(k):
            return 1
        return max(1, -(-len(self._bits(k)) // self.run.core.adders))

    def _factors(self, k: int) -> list[int]:
        """What the weight is multiplied by in each addition onto the state; none where planes are summed."""
        payload, valued = int(self.tokens[k, 4]), bool(self.tokens[k, 5])
        if not self.run.merged:
            return [(payload if valued else 1) << self.shift_of(valued)]
        if self._multiplies(k):
            return [payload]
        if not valued and self.run.plane_sums:
            return []
        bits, adders = self._bits(k), self.run.core.adders
        sign = -1 if payload < 0 else 1
        return [sign * sum(1 << b for b in bits[i : i + adders]) for i in range(0, len(bits), adders)]

    def _add_token(self, k: int, words: Ints, plane: int) -> None:
        """One event onto its words, and what it counts."""
        row, merged = self.row, self.run.merged
        row[EVENTS_LISTED] += 1
        if self.masked is not None:
            row[QUIET_WORDS] += np.count_nonzero(self.masked.quiet[words])
            words = words[self.masked.quiet[words] == 0]
        groups = self.run.groups[1] - self.run.groups[0]
        row[LAST_WORDS] += np.count_nonzero(words % groups == groups - 1)
        lanes = self._add_factors(k, words, self._factors(k), None)
        if not merged:
            self.count_single(len(words), lanes, bool(self.tokens[k, 5]))
            return
        row[WORDS] += len(words)
        if self._multiplies(k):
            row[SYNAPSES] += lanes
            row[REGISTERS] += lanes
            row[PAYLOAD_SYNAPSES] += lanes
            return
        bits = self._bits(k)
        row[SYNAPSES] += lanes * len(bits)
        row[REGISTERS] += lanes * self._slots(k)
        if self.tokens[k, 5] or self.run.table.weigh_planes:
            row[SHIFTED_SYNAPSES] += lanes * sum(bit > 0 for bit in bits)

    def _add_factors(self, k: int, words: Ints, factors: list[int], sums: Ints | None) -> int:
        """Adds to the sums of a plane, or to what events add to; returns the lanes that add."""
        position, c, y, x = self.tokens[k, :4]
        synapses, run = self._synapses[position], self.run
        state = sums if sums is not None else self.state.currents if run.table.direct else self.state.potentials
        width = self.pack.potential if sums is not None else self.pack.adds_to
        limits = width.limits(synapses.largest * max([1, *(abs(factor) for factor in factors)]))
        lanes = 0
        assert synapses.weights is not None
        groups = run.groups[1] - run.groups[0]
        for word in words:
            row, begin, end, first = ka.lanes_of(
                synapses.slices, synapses.window, groups, run.core.lanes, (c, y, x), word, state.shape[1])
            terms, position = synapses.weights[row][begin - first : end - first], word // groups
            if position >= len(state):  # a spare neuron's sum is never seen (C9)
                lanes += end - begin
                continue
            added, steps = state[position][begin:end], np.array(factors, np.int64)
            if self.masked is None:
                lanes += end - begin
                self.clipped += ka.add_factors(added, terms, steps, limits)
            else:
                off = self.masked.flags[position][begin:end]
                lanes += int(np.count_nonzero(off == 0))
                self.clipped += km.add_factors_on(added, off, terms, steps, limits)
        return lanes

    def _sum_tokens(self, t: int, touched: dict[int, Ints]) -> None:
        """R21: the sum of plane t, then onto the potentials, if anything follows that adds it."""
        added = self.count_sum(t)
        sums = self.sums()
        for k, words in touched.items():
            if int(self.tokens[k, 4]) >> t & 1:
                self._add_factors(k, words, [1], sums)
        if added:
            self.add_sums(sums)

    def _time_tokens(self, touched: dict[int, Ints]) -> None:
        loads, stores = self.moves
        self.count_moves()
        if self.run.clear and not self.gathers:
            self.clear_time()
        for visit, segments in zip(self.visits, self._segments, strict=True):
            first = self.run.first_plane
            if loads:
                self._move("load", visit, loads, 0, first)
            for n, segment in enumerate(segments):
                self._segment_time(n, segment, touched)
                if n < self.eots:
                    gap, earliest = self.late[segment.stop].tolist()
                    self.mark_time(n, gap, earliest, visit.start, len(visit))
            if stores:
                self._move("store", visit, 0, stores, self.last_row)

    def _move(self, kind: str, visit: range, reads: int, writes: int, row: int) -> None:
        cycle = kd.time_moves(visit.start, len(visit), reads, writes, self.clock, self.flow[row])
        assert self.flow_log is not None
        self.flow_log.moved(kind, cycle, visit)

    def _segment_time(self, n: int, segment: range, touched: dict[int, Ints]) -> None:
        if not len(segment):
            return
        lists = [touched[k] for k in segment]
        slots = np.array([self._slots(k) for k in segment], np.int64) if self.run.merged else NO_SLOTS
        arrivals = self.late[segment.start : segment.stop]
        words = np.concatenate([np.zeros(0, np.int64), *lists])
        if (seen := self._seen[n]) is not None:
            self.masked_time(n, np.array([len(w) for w in lists], np.int64), slots, arrivals, words, seen.quiet)
            return
        reach = np.array([(len(w), w[0], w[-1]) if len(w) else (0, 0, 0) for w in lists], np.int64).reshape(-1, 3)
        self.events_time(n, reach, slots, arrivals, words)
