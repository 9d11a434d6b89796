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

from hwsim.engine.reference.memory import Layout, Word, WordMemory
from hwsim.program import CoreRun
from hwsim.snn.neurons import Pass

Activity = Counter[str]
Spikes = list[tuple[int, int]]
Replay = Callable[[int, int], Spikes]
Flags = NDArray[np.bool_]


@dataclass(slots=True, eq=False)
class WordOperation:
    """What travels from ISSUE to EXEC: one word, and what to do with it.

    reads, writes   memories in which R6 looks for the word, the mask memory never; a requant or read-out pass counts
                    as writing.
    sends           its outcome goes to the serialiser.
    factor          payload, or 2**spike_shift of an event without one, times 2**n of a weighed plane; `payload` and
                    `shifted` say what it is made of.
    number          place of the pass among the fire and requant passes since the last EOT.
    potential, current, flags   what the memories gave at ISSUE.
    """

    kind: str
    word: int
    activity: Activity
    reads: WordMemory | None
    writes: tuple[WordMemory, ...]
    sends: bool = False
    weights: Word | None = None
    synapses: int = 0
    factor: int = 1
    payload: bool = False
    shifted: bool = False
    sweep: Pass | None = None
    number: int = -1
    potential: Word | None = None
    current: Word | None = None
    flags: Word | None = None


class Lanes:
    """`lanes` shifters, multipliers, saturating accumulators, comparators and resets, working on a word a cycle.

    replay(timestep, word) gives recorded outputs as (lane, value); they replace the comparison when a
    trace has no weights (C6). They are sent as they are, by neurons that are on or off, and a `fire_once` operation flags
    who sends them. A mask operation then flags nobody: no potential means anything, so none is below zero.
    """

    def __init__(
        self, run: CoreRun, layout: Layout, membrane: WordMemory, current: WordMemory, mask: WordMemory,
        replay: Replay | None,
    ) -> None:
        self.table, self.layout = run.table, layout
        self.membrane, self.current, self.mask = membrane, current, mask
        self.replay = replay
        self.bypass = run.core.bypass
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
        kind = operation.kind
        if kind == "acc":
            return self._accumulate(operation, cycle)
        if kind == "clear":
            return self._clear(operation, cycle)
        if kind == "shift":
            return self._shift(operation, cycle)
        if kind == "fire":
            return self._fire(operation, cycle)
        if kind == "requant":
            return self._requant(operation)
        if kind == "mask":
            return self._mask(operation, cycle)
        if kind == "reinitialise":
            return self._start_again(operation, cycle, "membrane_write_clear")
        return self._read_out(operation, cycle)

    def _clear(self, operation: WordOperation, cycle: int) -> Spikes:
        if self.table.direct:
            operation.activity["current_write"] += 1
            self.current.write(operation.word, self.zeros, cycle)
        if self.table.flagged:
            self._write_flags(operation, self.zeros, cycle)
        return self._start_again(operation, cycle, "membrane_write_clear")

    def _start_again(self, operation: WordOperation, cycle: int, cause: str) -> Spikes:
        """Write the table's `initial`: a clear, a reinitialise operation, or the end of a mask operation."""
        operation.activity[cause] += 1
        operation.activity["bias_read"] += self.table.clear_reads_bias
        self.membrane.write(operation.word, self.initial[operation.word], cycle)
        return []

    def _mask(self, operation: WordOperation, cycle: int) -> Spikes:
        """R17: who ends the stage below zero is off from now on; who was off before is judged anew."""
        real = self.layout.real_lanes(operation.word)
        operation.activity["cmp"] += real
        potential = self._potential(operation, real)
        self._write_flags(operation, (potential < 0).astype(np.int64), cycle)
        return self._start_again(operation, cycle, "membrane_write_mask")

    def _write_flags(self, operation: WordOperation, flags: Word, cycle: int) -> None:
        operation.activity["mask_write"] += 1
        self.mask.write(operation.word, flags, cycle)

    def _accumulate(self, operation: WordOperation, cycle: int) -> Spikes:
        activity, synapses = operation.activity, operation.synapses
        activity["acc_add"] += synapses
        if operation.payload:
            activity["mult"] += synapses
        if operation.shifted:
            activity["weight_shift"] += synapses
        if self.table.direct:
            activity["current_write"] += 1
            memory, bits, operand = self.current, self.current_bits, operation.current
        else:
            activity["membrane_write_accumulate"] += 1
            memory, bits, operand = self.membrane, self.potential_bits, operation.potential
        activity["reg_bits"] += synapses * bits
        assert operand is not None
        value = memory.bypass(operation.word, operand) if self.bypass else operand
        if operation.weights is not None:
            weights = operation.weights if operation.factor == 1 else operation.weights * operation.factor
            value = self._saturate(value + weights, bits)
        memory.write(operation.word, value, cycle)
        return []

    def _shift(self, operation: WordOperation, cycle: int) -> Spikes:
        real = self.layout.real_lanes(operation.word)
        operation.activity["membrane_shift"] += real
        operation.activity["membrane_write_shift"] += 1
        potential = self._potential(operation, real)
        self.membrane.write(operation.word, self._saturate(potential * 2, self.potential_bits), cycle)
        return []

    def _fire(self, operation: WordOperation, cycle: int) -> Spikes:
        """Add, compare, reset, leak. Reset and leak move a potential towards zero, so neither can leave the range."""
        activity, sweep, table = operation.activity, operation.sweep, self.table
        assert sweep is not None
        off = self._off(operation)
        on = self._on_count(operation, off)
        activity["cmp"] += on
        activity["membrane_write_fire"] += 1
        potential = self._added(operation, on, off)
        spikes = self._compared(operation, potential, off)
        fired = [lane for lane, _ in spikes]
        if sweep.flags == "fire_once":
            assert off is not None
            potential, off = self._switched_off(operation, potential, off, fired, cycle)
        else:
            potential = self._reset(operation, potential, fired)
        if table.leak_shift is not None:
            activity["leak"] += self._on_count(operation, off)
            potential = potential - (potential >> table.leak_shift)
        self.membrane.write(operation.word, potential, cycle)
        return spikes

    def _off(self, operation: WordOperation) -> Flags | None:
        """Which lanes R16 leaves out; None for an operation that does not look at flags."""
        if operation.flags is None:
            return None
        flags = self.mask.bypass(operation.word, operation.flags) if self.bypass else operation.flags
        return flags != 0

    def _on_count(self, operation: WordOperation, off: Flags | None) -> int:
        real = self.layout.real_lanes(operation.word)
        return real if off is None else real - int(np.count_nonzero(off))

    def _compared(self, operation: WordOperation, potential: Word, off: Flags | None) -> Spikes:
        """Who fires: the real neurons that are on and at the threshold, or whom the recording says."""
        sweep, real = operation.sweep, self.layout.real_lanes(operation.word)
        assert sweep is not None
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
        self, operation: WordOperation, potential: Word, off: Flags, fired: list[int], cycle: int
    ) -> tuple[Word, Flags]:
        """What a `fire_once` operation does instead of a reset: flag who fired; the potential and who is off after it."""
        if not fired:
            return potential, off
        off = off.copy()
        off[fired] = True
        self._write_flags(operation, off.astype(np.int64), cycle)
        return np.where(off, 0, potential), off

    def _requant(self, operation: WordOperation) -> Spikes:
        sweep = operation.sweep
        assert sweep is not None
        real = self.layout.real_lanes(operation.word)
        operation.activity["requant"] += real
        potential = self._potential(operation, real)
        if self.replay is not None:
            return self.replay(sweep.timestep, operation.word)
        levels = np.clip(potential[:real] // sweep.threshold, 0, self.table.max_level).tolist()
        return [(lane, level) for lane, level in enumerate(levels) if level > 0]

    def _read_out(self, operation: WordOperation, cycle: int) -> Spikes:
        assert operation.sweep is not None
        potential = self._added(operation, self.layout.real_lanes(operation.word), off=None)
        if operation.sweep.add:
            operation.activity["membrane_write_readout"] += 1
            self.membrane.write(operation.word, potential, cycle)
        return []

    def _potential(self, operation: WordOperation, neurons: int) -> Word:
        operation.activity["reg_bits"] += neurons * self.potential_bits
        assert operation.potential is not None
        if self.bypass:
            return self.membrane.bypass(operation.word, operation.potential)
        return operation.potential

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
        if operation.current is not None:
            activity["bias_add"] += neurons
            current = self.current.bypass(operation.word, operation.current) if self.bypass else operation.current
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
