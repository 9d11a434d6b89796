"""Mutants of the hardware that break R19 to R24: visits, scanner, merged tokens, word writer, one port, passes by word."""

from __future__ import annotations

from functools import partial

from tests.mutants.edits import Edit
from tests.mutants.mutation import Mutant, mutant

rtl = partial(mutant, "rtl", judge="planes")

HARDWARE_DATAFLOWS: tuple[Mutant, ...] = (
    rtl("R19", "a visit takes one word more",
        Edit("dataflow", "accumulators", "self.run.core.accumulators", "self.run.core.accumulators + 1")),
    rtl("R19", "a visit goes on with the words of the visit before",
        Edit("accumulators", "AccumulatorFile.elaborate", "Mux(operation.fresh, any_initial, any_held)", "any_held")),
    rtl("R19", "no stores", Edit("gather_sequencer", "_end_of_work", "self.p.run.keep", "False")),
    rtl("R19", "the count of planes goes on from visit to visit",
        Edit("gather_sequencer", "_enter", "self.plane.eq(0)", "self.plane.eq(self.plane)")),
    rtl("R19", "initial is read when EXEC still has the visit before",
        Edit("gather_core", "_read_bias", "~issue.executing | issue.completes", "Const(1)")),
    rtl("R20", "a window without its padding",
        Edit("window_rows", "_field", "at * axis.stride - axis.padding", "at * axis.stride")),
    rtl("R20", "an event without a synapse to the visit is a token",
        Edit("row_events", "_counts", "inside & any_first & any_end", "inside")),
    rtl("R20", "a folded window is not larger",
        Edit("window_rows", "_field", "connection.pool if connection.pool_mode == 'folded' else 1", "1")),
    rtl("R20", "the row behind the window is read",
        Edit("window_rows", "WindowRows.elaborate", "line_of_next < window.bottom", "line_of_next <= window.bottom")),
    rtl("R20", "a window is read from the first row on",
        Edit("window_rows", "WindowRows.elaborate", "(window.top * line_bits + left) // self.row_bits", "0")),
    rtl("R20", "what a row holds of the next row's neuron is lost",
        Edit("window_scanner", "_read", "Mux(joins, self.rest, 0)", "0")),
    rtl("R21", "popped in the first slot",
        Edit("flow_sequencer", "_take_token", "issued & self.slot.last if any_merged else issued", "issued")),
    rtl("R21", "one adder", Edit("bit_slots", "elaborate", "range(self.p.run.core.adders)", "range(1)")),
    rtl("R21", "the highest bit first", Edit("bit_slots", "_take_lowest", "reversed(range(len(bits)))", "range(len(bits))")),
    rtl("R21", "a weight row is read in every slot",
        Edit("operation", "_as_told", "effects.reads_weights & begins(p, operation)", "effects.reads_weights")),
    rtl("R21", "a negative value is added",
        Edit("merged_lane", "_accumulate", "Mux(self.operation.slot.negative, -shifted, shifted)", "shifted")),
    rtl("R21", "sums go on from visit to visit", Edit("plane_sums", "_valid", "Mux(self.begins, 0, any_kept)", "any_kept")),
    rtl("R22", "EXEC waits for the word writer",
        Edit("word_writer", "elaborate", "self.ready.eq(1)", "self.ready.eq(~self.busy)")),
    rtl("R22", "lanes in reverse",
        Edit("word_writer", "elaborate", "write.fired.eq(self.fired)", "write.fired.eq(self.fired[::-1])")),
    rtl("R22", "a word without spikes is written",
        Edit("word_writer", "elaborate", "self.take & self.fired.any()", "self.take")),
    rtl("R23", "one port stalls equal words only",
        Edit("issue", "elaborate",
             "port_is_taken(reads, writes)",
             "port_is_taken(reads, writes) & (offered.word == executed.word)")),
    rtl("R23", "the port of the current memory is always free",
        Edit("single_port", "port_is_taken", "any_membrane | reads.reads_current & any_written", "any_membrane")),
    rtl("R23", "a stall at the port is a hazard",
        Edit("strobes", "counted_as", "'cycles_stall_port' if any_one else name", "name")),
    rtl("R24", "every pass reads", Edit("pass_plan", "_plan_group", "wants - held", "wants")),
    rtl("R24", "always written back",
        Edit("flow_sequencer", "_move_pass", "not self.p.by_word or self.p.run.keep", "True")),
    rtl("R24", "written after every pass",
        Edit("flow_sequencer", "_move_pass", "step.changed if not step.more else ()", "step.changed")),
    rtl("R24", "pass by pass", Edit("dataflow", "by_word", "self.run.core.passes == 'by_word'", "False")),
)
