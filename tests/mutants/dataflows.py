"""Mutants of both engines that break R19 to R24, and A5 where these change it; run on runs that are fed from planes."""

from __future__ import annotations

from functools import partial

from tests.mutants.edits import Edit
from tests.mutants.mutation import Mutant, mutant

reference, fast = (partial(mutant, target, judge="planes") for target in ("reference", "fast"))

DATAFLOWS: tuple[Mutant, ...] = (
    reference("R19", "a visit takes one word more", Edit("window", "visits", "low + held", "low + held + 1")),
    reference("R19", "no stores", Edit("sequencer", "process", "self.gathers and self.run.keep", "False")),
    reference("R19", "a current that nothing changed is stored",
        Edit("sequencer", "_store", "table.direct and self.run.current_fed", "table.direct")),
    reference("R20", "a row is read again", Edit("window", "scan", "row != last_read", "True")),
    reference("R20", "a window without its padding",
        Edit("window", "window_of", "connection.stride * visit.y - padding", "connection.stride * visit.y")),
    reference("R20", "a folded window is not larger", Edit("window", "window_of", "connection.pool_mode == 'folded'", "False")),
    reference("R20", "an event is known before its row is read",
        Edit("window", "scan", "(row + 1) * scan_bits", "(row + 2) * scan_bits")),
    reference("R21", "a token takes one slot",
        Edit("merged", "_merged",
             "Work(len(in_slots), factors, (), len(bits), sum((bit > 0 for bit in bits)), False)",
             "Work(1, factors, (), len(bits), sum((bit > 0 for bit in bits)), False)")),
    reference("R21", "popped in the first slot", Edit("sequencer", "_event", "work.slots > 1", "False")),
    reference("R21", "the terms of a slot are clipped one by one",
        Edit("merged", "_merged",
             "(sign * sum((1 << bit for bit in slot)) for slot in in_slots)",
             "(sign * (1 << bit) for slot in in_slots for bit in slot)")),
    reference("R21", "sums of one plane only", Edit("merged", "_merged", "tuple(bits)", "(0,)")),
    reference("R21", "sums are left where they are",
        Edit("lanes", "_add_sums",
             "self.sums.pop((operation.word, plane), self.zeros)",
             "self.sums.get((operation.word, 0), self.zeros)")),
    reference("R22", "a word's spikes leave one after the other",
        Edit("core", "ReferenceCore.__init__", "any_writer if run.core.writer == 'word' else any_other", "any_other")),
    reference("R22", "one row per spike",
        Edit("writers", "WordWriter.process",
             "self.operation.activity['buffer_write'] += 1",
             "self.operation.activity['buffer_write'] += len(self.waiting)")),
    reference("R23", "one port stalls equal words only",
        Edit("sequencer", "_stall",
             "'cycles_stall_port' if busy else ''",
             "'cycles_stall_port' if busy and ahead.word == operation.word else ''")),
    reference("R23", "a stall at the port is a hazard",
        Edit("sequencer", "_stall", "'cycles_stall_port' if busy else ''", "'cycles_stall_hazard' if busy else ''")),
    reference("R24", "every pass reads", Edit("sweeps", "pass_steps", "memory not in known", "True")),
    reference("R24", "always written back", Edit("sweeps", "pass_steps", "needed = any_need", "needed = True")),
    reference("R24", "pass by pass", Edit("sequencer", "_token", "self.run.core.passes == 'by_word'", "False")),
    reference("A5", "slots are not busy",
        Edit("sequencer", "_slot", "activity['cycles_busy'] += slots", "activity['cycles_busy'] += 1")),
    fast("R19", "a visit takes one word more", Edit("kernels.dataflow", "gather_run", "low + held", "low + held + 1")),
    fast("R19", "loads are never made", Edit("dataflow", "moves", "every if any_loads else 0, any_stores", "0, any_stores")),
    fast("R20", "a row is read again", Edit("kernels.dataflow", "gather_run", "row_0 != last_row", "1")),
    fast("R20", "an event is known with its first bit",
        Edit("kernels.patterns", "place_events", "(first + channel) * bits - 1", "(first + channel - 1) * bits")),
    fast("R21", "one adder", Edit("dataflow", "_listed", "self.run.core.adders", "1")),
    fast("R21", "sums go on from plane to plane", Edit("dataflow", "sums", "self._sums[...] = 0")),
    fast("R22", "a word's spikes leave one after the other", Edit("flow_log", "_spikes", "0 if word_writer else rank", "rank")),
    fast("R22", "EXEC waits for the word writer",
        Edit("kernels.dataflow", "time_sweeps",
             """
             if word_writer:
                 any_word
             else:
                 any_serial""",
             "any_serial")),
    fast("R23", "only the first word of an event stalls",
        Edit("kernels.dataflow", "time_tokens", "1 if single and adds_to else 0", "0")),
    fast("R23", "passes do not stall at the port", Edit("kernels.dataflow", "time_sweeps", "writes & step[READS]", "False")),
    fast("R24", "every pass reads", Edit("sweep_plan", "_sweeps", "_used(p, direct) & ~held", "_used(p, direct)")),
    fast("R24", "always written back", Edit("sweep_plan", "_sweeps", "last and (needed or not by_word)", "last")),
    fast("A5", "slots are not busy", Edit("kernels.dataflow", "time_tokens", "busy += count * m", "busy += count")),
)
