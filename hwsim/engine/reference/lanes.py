"""The lanes: what EXEC does to one word, in integers (R10 to R18), and what that costs in events (A1 to A3).

Owns the WordOperation, the arithmetic and the saturation count. Every step of R10 saturates by itself, so a sum that
leaves the range and comes back is caught. Nothing here knows of time but the memories' ports, which are told the cycle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.engine.reference.memory import Word, WordLayout, WordMemory
from hwsim.engine.reference.merged import Work
from hwsim.passes import DECAY_WHOLE, Pass
from hwsim.program import CoreRun

Activity = Counter[str]
Spikes = list[tuple[int, int]]
Replay = Callable[[int, int], Spikes]
Flags = NDArray[np.bool_]


@dataclass(slots=True, eq=False)
class WordOperation:
    """What travels from ISSUE to EXEC: one word, and what to do with it.

    reads, writes   memories whose ports it uses; of `writes`, those in which it changes the word.
    claims          memories in which R6 looks for the word, the mask memory never; a requant or read-out pass counts as
                    writing.
    slots           cycles that EXEC works.       sends   its outcome goes to the writer.
    synapses, work  of an accumulation: the lanes that add, and what.
    number          place of the pass among the fire and requant passes since the last EOT.
    sums            planes whose sums a pass adds first (R21).
    more            passes of the same word follow at once, so that its state stays in registers (R24).
    potential, current, flags   what the memories gave at ISSUE.
    """

    kind: str
    word: int
    activity: Activity
    reads: tuple[WordMemory, ...] = ()
    writes: tuple[WordMemory, ...] = ()
    claims: tuple[WordMemory, ...] = ()
    slots: int = 1
    sends: bool = False
    weights: Word | None = None
    synapses: range = range(0)
    work: Work | None = None
    sweep: Pass | None = None
    number: int = -1
    sums: tuple[int, ...] = ()
    more: bool = False
    potential: Word | None = None
    current: Word | None = None
    flags: Word | None = None


MEMBRANE_WRITES = {
    "clear": "membrane_write_clear", "reinitialise": "membrane_write_clear", "acc": "membrane_write_accumulate",
    "shift": "membrane_write_shift", "fire": "membrane_write_fire", "requant": "membrane_write_fire",
    "mask": "membrane_write_mask", "readout": "membrane_write_readout", "store": "membrane_write_store",
    "count": "membrane_write_fire",
}


class Lanes:
    """`lanes` shifters, multipliers, saturating accumulators, comparators and resets, working on a word a cycle.

    replay(timestep, word) gives recorded outputs as (lane, value); they replace the comparison when a
    trace has no weights (C6). They are sent as they are, by neurons that are on or off, and a `fire_once` operation flags
    who sends them. A mask operation then flags nobody: no potential means anything, so none is below zero.
    """

    def __init__(
        self, run: CoreRun, layout: WordLayout, membrane: WordMemory, current: WordMemory, mask: WordMemory,
        replay: Replay | None,
    ) -> None:
        self.table, self.layout = run.table, layout
        self.membrane, self.current, self.mask = membrane, current, mask
        self.replay = replay
        self.gathers = run.core.order == "gather"
        self.sums: dict[tuple[int, int], Word] = {}
        self.potential_bits, self.current_bits = run.potential_bits, run.current_bits
        self.saturations = 0
        self.zeros = np.zeros(layout.lanes, np.int64)
        initial, addend = run.table.initial, run.table.addend
        if replay is not None:
            # Without weights no potential means anything: all of them stay zero, whatever is done to them.
            initial, addend = np.zeros_like(initial), None if addend is None else np.zeros_like(addend)
        self.initial = layout.split(initial)
        self.addend = None if addend is None else layout.split(addend)
        self.limits = {bits: self._limits(bits) for bits in (self.potential_bits, self.current_bits)}

    def execute(self, operation: WordOperation, cycle: int) -> Spikes:
        """Do it, write it back; (lane, value) of what leaves, lowest lane first."""
        spikes = self._compute(operation)
        word = operation.word
        membrane_event = MEMBRANE_WRITES.get(operation.kind, "")
        for memory, event in (
            (self.membrane, membrane_event), (self.current, "current_write"), (self.mask, "mask_write"),
        ):
            if memory in operation.writes and word in memory.changed:
                operation.activity[event] += 1
                if memory is not self.mask:
                    operation.activity[f"{memory.name}_write_banks"] += self.layout.banks(word, memory.name)
                memory.write(word, cycle)
            elif operation.sweep is not None and not operation.more and not self.gathers:
                memory.release(word)
        return spikes

    def start(self, word: int, activity: Activity) -> None:
        """R19: the accumulators of a visit hold the table's `initial` when it begins."""
        activity["bias_read"] += self.table.clear_reads_bias
        self.membrane.hold(word, self.initial[word])
        if self.table.direct:
            self.current.hold(word, self.zeros)
        if self.table.flagged:
            self.mask.hold(word, self.zeros)

    def _compute(self, operation: WordOperation) -> Spikes:
        kind = operation.kind
        if kind == "acc":
            return self._accumulate(operation)
        if kind == "clear":
            return self._clear(operation)
        if kind == "shift":
            return self._shift(operation)
        if kind == "fire":
            return self._fire(operation)
        if kind == "requant":
            return self._requant(operation)
        if kind == "mask":
            return self._mask(operation)
        if kind == "count":
            return self._count(operation)
        if kind == "reinitialise":
            self._add_sums(operation)
            return self._start_again(operation)
        if kind == "load":
            return self._load(operation)
        if kind == "store":
            return self._store(operation)
        return self._read_out(operation)

    def _clear(self, operation: WordOperation) -> Spikes:
        if self.current in operation.claims:
            self.current.change(operation.word, self.zeros)
        if self.table.flagged:
            self.mask.change(operation.word, self.zeros)
        return self._start_again(operation)

    def _start_again(self, operation: WordOperation) -> Spikes:
        """Write the table's `initial`: a clear, a reinitialise operation, or the end of a mask operation."""
        operation.activity["bias_read"] += self.table.clear_reads_bias
        self.membrane.change(operation.word, self.initial[operation.word])
        return []

    def _load(self, operation: WordOperation) -> Spikes:
        """R19: what the memories gave goes into the accumulator."""
        loaded = (operation.potential, operation.current, operation.flags)
        for memory, value in zip((self.membrane, self.current, self.mask), loaded, strict=True):
            if value is not None:
                memory.hold(operation.word, value)
        return []

    def _store(self, operation: WordOperation) -> Spikes:
        self._add_sums(operation)
        for memory in operation.writes:
            memory.change(operation.word, memory.registers[operation.word])
        return []

    def _mask(self, operation: WordOperation) -> Spikes:
        """R17: who ends the stage below zero is off from now on; who was off before is judged anew."""
        real = self.layout.real_lanes(operation.word)
        operation.activity["cmp"] += real
        potential = self._potential(operation, real)
        self.mask.change(operation.word, (potential < 0).astype(np.int64))
        return self._start_again(operation)

    def _count(self, operation: WordOperation) -> Spikes:
        """R28: who is below the threshold and has not reached it before pays; who reaches it is flagged and pays no more."""
        sweep, off = operation.sweep, self._off(operation)
        assert sweep is not None
        assert off is not None
        on = self._on_count(operation, off)
        operation.activity["cmp"] += on
        potential = self._potential(operation, on)
        if self.replay is not None:
            # Without weights no potential means anything: nobody is below, and nobody reaches it.
            self.membrane.change(operation.word, potential)
            return []
        there = np.arange(self.layout.lanes) < self.layout.real_lanes(operation.word)
        below = potential < sweep.threshold >> sweep.shift
        waits, reaches = below & ~off & there, ~below & ~off & there
        operation.activity["reset_sub"] += int(np.count_nonzero(waits))
        self.membrane.change(operation.word, self._saturate(potential - waits * self.table.wait, self.potential_bits))
        if reaches.any():
            self.mask.change(operation.word, (off | reaches).astype(np.int64))
        return []

    def _accumulate(self, operation: WordOperation) -> Spikes:
        activity, work, word = operation.activity, operation.work, operation.word
        assert work is not None
        # Flags are known to an accumulation only where it has looked at them first (R25).
        off = None if operation.flags is None else operation.flags != 0
        weights = None if operation.weights is None else self._only_on(operation.weights, off)
        synapses = len(operation.synapses)
        if off is not None:
            synapses -= int(np.count_nonzero(off[operation.synapses.start : operation.synapses.stop]))
        activity["acc_add"] += synapses * work.adds
        activity["weight_shift"] += synapses * work.shifts
        if work.multiplies:
            activity["mult"] += synapses
        if self.table.direct:
            memory, bits, read = self.current, self.current_bits, operation.current
        else:
            memory, bits, read = self.membrane, self.potential_bits, operation.potential
        activity["reg_bits"] += synapses * bits * work.slots
        if work.planes:
            return self._sum_planes(operation, work.planes)
        value = memory.operand(word, read)
        if weights is not None:
            for factor in work.factors:
                value = self._saturate(value + (weights if factor == 1 else weights * factor), bits)
        memory.change(word, value)
        return []

    def _sum_planes(self, operation: WordOperation, planes: tuple[int, ...]) -> Spikes:
        """R21: each bit of the token adds the weight to the sum of its own plane."""
        if operation.weights is not None:
            for plane in planes:
                value = self.sums.get((operation.word, plane), self.zeros)
                self.sums[operation.word, plane] = self._saturate(value + operation.weights, self.potential_bits)
        return []

    def _shift(self, operation: WordOperation) -> Spikes:
        real = self.layout.real_lanes(operation.word)
        operation.activity["membrane_shift"] += real
        potential = self._potential(operation, real)
        self.membrane.change(operation.word, self._saturate(potential * 2, self.potential_bits))
        return []

    def _fire(self, operation: WordOperation) -> Spikes:
        """Add, compare, reset, leak or decay. All but the addition move towards zero, so none of them can leave the range."""
        activity, sweep, table = operation.activity, operation.sweep, self.table
        assert sweep is not None
        off = self._off(operation)
        on = self._on_count(operation, off)
        activity["cmp"] += on
        potential = self._added(operation, on, off)
        spikes = self._compared(operation, potential, off)
        fired = [lane for lane, _ in spikes]
        if sweep.flags == "fire_once":
            assert off is not None
            potential, off = self._switched_off(operation, potential, off, fired)
        else:
            potential = self._reset(operation, potential, fired)
        if table.leak_shift is not None:
            activity["leak"] += self._on_count(operation, off)
            potential = potential - (potential >> table.leak_shift)
        if table.decay:
            activity["decay"] += self._on_count(operation, off)
            potential = self._decayed(potential, table.decay)
        if table.current_decay:
            if table.current_decay < DECAY_WHOLE:
                activity["decay"] += self._on_count(operation, off)
            current = self._operand(self.current, operation, operation.current)
            left = self._decayed(current, table.current_decay)
            self.current.change(operation.word, left if off is None else np.where(off, current, left))
        self.membrane.change(operation.word, potential)
        return spikes

    def _decayed(self, values: Word, decay: int) -> Word:
        """What a decay leaves, rounded toward zero: what is lost is rounded away from it."""
        lost = values * decay
        return values - np.sign(lost) * -(-np.abs(lost) // DECAY_WHOLE)

    def _off(self, operation: WordOperation) -> Flags | None:
        """Which lanes R16 leaves out; None for an operation that does not look at flags."""
        if operation.sweep is None or operation.sweep.flags == "ignore":
            return None
        return self._operand(self.mask, operation, operation.flags) != 0

    def _on_count(self, operation: WordOperation, off: Flags | None) -> int:
        real = self.layout.real_lanes(operation.word)
        return real if off is None else real - int(np.count_nonzero(off))

    def _compared(self, operation: WordOperation, potential: Word, off: Flags | None) -> Spikes:
        """Who fires: the real neurons that are on and at the threshold, or whom the recording says."""
        sweep, real = operation.sweep, self.layout.real_lanes(operation.word)
        assert sweep is not None
        if operation.word >= self.layout.spare_from:
            return []
        if self.replay is not None:
            return self.replay(sweep.timestep, operation.word)
        fires = potential[:real] >= sweep.threshold >> sweep.shift
        if off is not None:
            # Zero is in the place of a neuron that is off, and a threshold may be zero or less.
            fires = fires & ~off[:real]
        return [(lane, 1) for lane in np.flatnonzero(fires).tolist()]

    def _reset(self, operation: WordOperation, potential: Word, fired: list[int]) -> Word:
        sweep, soft = operation.sweep, self.table.reset == "soft"
        assert sweep is not None
        operation.activity["reset_sub" if soft else "reset_zero"] += len(fired)
        if not fired or self.replay is not None:
            return potential
        potential = potential.copy()
        potential[fired] = potential[fired] - (sweep.threshold >> sweep.shift) if soft else 0
        return potential

    def _switched_off(
        self, operation: WordOperation, potential: Word, off: Flags, fired: list[int]
    ) -> tuple[Word, Flags]:
        """What a `fire_once` operation does instead of a reset: flag who fired; the potential and who is off after it."""
        if not fired:
            return potential, off
        off = off.copy()
        off[fired] = True
        self.mask.change(operation.word, off.astype(np.int64))
        return np.where(off, 0, potential), off

    def _requant(self, operation: WordOperation) -> Spikes:
        sweep = operation.sweep
        assert sweep is not None
        real = self.layout.real_lanes(operation.word)
        operation.activity["requant"] += real
        potential = self._potential(operation, real)
        if operation.word >= self.layout.spare_from:
            return []
        if self.replay is not None:
            return self.replay(sweep.timestep, operation.word)
        levels = np.clip(potential[:real] // sweep.threshold, 0, self.table.max_level).tolist()
        return [(lane, level) for lane, level in enumerate(levels) if level > 0]

    def _read_out(self, operation: WordOperation) -> Spikes:
        assert operation.sweep is not None
        potential = self._added(operation, self.layout.real_lanes(operation.word), off=None)
        if operation.sweep.add:
            self.membrane.change(operation.word, potential)
        return []

    def _operand(self, memory: WordMemory, operation: WordOperation, read: Word | None) -> Word:
        value = memory.operand(operation.word, read)
        if operation.more:
            memory.hold(operation.word, value)
        return value

    def _potential(self, operation: WordOperation, neurons: int) -> Word:
        operation.activity["reg_bits"] += neurons * self.potential_bits
        self._add_sums(operation)
        return self._operand(self.membrane, operation, operation.potential)

    def _add_sums(self, operation: WordOperation) -> None:
        """R21: the sums of the planes that end here, one saturating step each, whatever the pass makes of them."""
        for plane in operation.sums:
            operation.activity["sum_add"] += self.layout.real_lanes(operation.word)
            potential = self.membrane.operand(operation.word, operation.potential)
            plane_sum = self.sums.pop((operation.word, plane), self.zeros)
            self.membrane.change(operation.word, self._saturate(potential + plane_sum, self.potential_bits))

    def _added(self, operation: WordOperation, neurons: int, off: Flags | None) -> Word:
        """The potential after what an adding pass adds: the addend, then the current (R10, R12).

        `neurons` take part, those that are `off` do not: zero is in their place before anything could be added.
        """
        activity, sweep = operation.activity, operation.sweep
        potential = self._only_on(self._potential(operation, neurons), off)
        if sweep is None or not sweep.add:
            return potential
        if self.addend is not None:
            activity["bias_read"] += 1
            activity["bias_add"] += neurons
            addend = self._only_on(self.addend[operation.word], off)
            potential = self._saturate(potential + addend, self.potential_bits)
        if self.table.direct:
            activity["bias_add"] += neurons
            current = self._operand(self.current, operation, operation.current)
            potential = self._saturate(potential + self._only_on(current, off), self.potential_bits)
        return potential

    def _only_on(self, values: Word, off: Flags | None) -> Word:
        return values if off is None else np.where(off, 0, values)

    def _saturate(self, values: Word, bits: int) -> Word:
        low, high = self.limits[bits]
        kept = np.minimum(np.maximum(values, low), high)
        self.saturations += int(np.count_nonzero(kept != values))
        return kept

    def _limits(self, bits: int) -> tuple[Word, Word]:
        """Two's complement range of `bits`, a word each: arrays of equal shape are what numpy compares quickest."""
        top = 1 << (bits - 1)
        return np.full(self.layout.lanes, -top, np.int64), np.full(self.layout.lanes, top - 1, np.int64)
