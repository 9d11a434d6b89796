"""The lanes: what EXEC does to one word, in integers (R10 to R15), and what that costs in events (A1 to A3).

Owns the WordOperation, the arithmetic and the saturation count. Every step of R10 saturates by itself, so a sum that
leaves the range and comes back is caught. Nothing here knows of time but the memories' ports, which are told the cycle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwsim.engine.reference.memory import Layout, Word, WordMemory
from hwsim.program import CoreRun
from hwsim.snn.neurons import Pass

Activity = Counter[str]
Spikes = list[tuple[int, int]]
Replay = Callable[[int, int], Spikes]


@dataclass(slots=True, eq=False)
class WordOperation:
    """What travels from ISSUE to EXEC: one word, and what to do with it.

    reads, writes   memories in which R6 looks for the word; a requant or read-out pass counts as writing.
    sends           its outcome goes to the serialiser.
    factor          payload times 2**n of a weighed plane; `payload` and `shifted` say what it is made of.
    number          place of the pass among the fire and requant passes since the last EOT.
    potential, current   what the memories gave at ISSUE.
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


class Lanes:
    """`lanes` shifters, multipliers, saturating accumulators, comparators and resets, working on a word a cycle.

    replay(timestep, word) gives recorded outputs as (lane, value); they replace the comparison when a
    trace has no weights (C6).
    """

    def __init__(
        self, run: CoreRun, layout: Layout, membrane: WordMemory, current: WordMemory, replay: Replay | None
    ) -> None:
        self.table, self.layout = run.table, layout
        self.membrane, self.current = membrane, current
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
        return self._read_out(operation, cycle)

    def _clear(self, operation: WordOperation, cycle: int) -> Spikes:
        operation.activity["membrane_write_clear"] += 1
        operation.activity["bias_read"] += self.table.clear_reads_bias
        self.membrane.write(operation.word, self.initial[operation.word], cycle)
        if self.table.direct:
            operation.activity["current_write"] += 1
            self.current.write(operation.word, self.zeros, cycle)
        return []

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
        real = self.layout.real_lanes(operation.word)
        activity["cmp"] += real
        activity["membrane_write_fire"] += 1
        threshold = sweep.threshold >> sweep.shift
        potential = self._added(operation, real)
        if self.replay is not None:
            spikes = self.replay(sweep.timestep, operation.word)
        else:
            fired = np.flatnonzero(potential[:real] >= threshold)
            spikes = [(lane, 1) for lane in fired.tolist()]
            if spikes:
                potential = potential.copy()
                potential[fired] = potential[fired] - threshold if table.reset == "soft" else 0
        activity["reset_sub" if table.reset == "soft" else "reset_zero"] += len(spikes)
        if table.leak_shift is not None:
            activity["leak"] += real
            potential = potential - (potential >> table.leak_shift)
        self.membrane.write(operation.word, potential, cycle)
        return spikes

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
        potential = self._added(operation, self.layout.real_lanes(operation.word))
        if operation.sweep.add:
            operation.activity["membrane_write_readout"] += 1
            self.membrane.write(operation.word, potential, cycle)
        return []

    def _potential(self, operation: WordOperation, real: int) -> Word:
        operation.activity["reg_bits"] += real * self.potential_bits
        assert operation.potential is not None
        if self.bypass:
            return self.membrane.bypass(operation.word, operation.potential)
        return operation.potential

    def _added(self, operation: WordOperation, real: int) -> Word:
        """The potential after what an adding pass adds: the addend, then the current (R10, R12)."""
        activity, sweep = operation.activity, operation.sweep
        potential = self._potential(operation, real)
        if sweep is None or not sweep.add:
            return potential
        if self.addend is not None:
            activity["bias_read"] += 1
            activity["bias_add"] += real
            potential = self._saturate(potential + self.addend[operation.word], self.potential_bits)
        if operation.current is not None:
            activity["bias_add"] += real
            current = self.current.bypass(operation.word, operation.current) if self.bypass else operation.current
            potential = self._saturate(potential + current, self.potential_bits)
        return potential

    def _saturate(self, values: Word, bits: int) -> Word:
        low, high = self.limits[bits]
        kept = np.minimum(np.maximum(values, low), high)
        self.saturations += int(np.count_nonzero(kept != values))
        return kept

    def _limits(self, bits: int) -> tuple[Word, Word]:
        """Two's complement range of `bits`, a word each: arrays of equal shape are what numpy compares quickest."""
        top = 1 << (bits - 1)
        return np.full(self.layout.lanes, -top, np.int64), np.full(self.layout.lanes, top - 1, np.int64)
