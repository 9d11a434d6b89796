"""Mutants of the hardware that break A1 to A5: what is counted, and in which row."""

from __future__ import annotations

from functools import partial

from tests.mutants.edits import Edit
from tests.mutants.mutation import Mutant, mutant

rtl = partial(mutant, "rtl")

COUNTS: tuple[Mutant, ...] = (
    rtl("A1", "reads that the bypass forwards are not counted",
        Edit("strobes", "_issue",
             "self.issued & effects.reads_membrane & match",
             "self.issued & effects.reads_membrane & match & ~(self.completes & (self.offered.word == self.executed.word))")),
    rtl("A1", "every clear reads the bias",
        Edit("operation", "decode", "initialises if p.fetches_initial else never", "initialises")),
    rtl("A1", "a fire_once operation always writes the mask word", Edit("core", "_writes_mask", "any_once & fired", "any_once")),
    rtl("A1", "every fire operation reads the mask word",
        Edit("operation", "decode", "fire & (operation.masked | operation.fire_once)", "fire")),
    rtl("A1", "a read-out that does not add writes",
        Edit("operation", "decode", "writes_membrane=any_kinds", "writes_membrane=any_kinds | readout")),
    rtl("A1", "a reinitialise operation's write is not counted",
        Edit("strobes", "_exec", "any_clear | (kind == Kind.REINITIALISE)", "any_clear")),
    rtl("A2", "bias_add counts neurons that are off",
        Edit("lanes", "_add", "Mux(adds, times, 0)", "Mux(self.active & self.operation.add, times, 0)")),
    rtl("A2", "bias_add counts addend and current once",
        Edit("lanes", "_add", "int(self.p.has_addend) + int(self.p.direct)", "int(self.p.has_addend or self.p.direct)")),
    rtl("A2", "cmp counts lanes without a neuron",
        Edit("lanes", "elaborate", "fires | is_['mask']", "(kind == Kind.FIRE) & ~(self.off & uses_flag) | is_['mask']")),
    rtl("A2", "a mask operation does not compare", Edit("lanes", "elaborate", "fires | is_['mask']", "fires")),
    rtl("A2", "leak counts who fired its once",
        Edit("lanes", "_reset_and_leak", "stays_on & (table.leak_shift is not None)", "fires & (table.leak_shift is not None)")),
    rtl("A2", "reset counts who fired its once",
        Edit("lanes", "_reset_and_leak", "resets & (table.reset == 'soft')", "fired & (table.reset == 'soft')")),
    rtl("A2", "weight_shift counts plane 0", Edit("lanes", "_accumulate", "operation.plane > 0", "operation.plane >= 0")),
    rtl("A2", "weight_shift forgets the spike shift",
        Edit("lanes", "_accumulate", "adds_spike if table.spike_shift else Const(0)", "Const(0)")),
    rtl("A2", "mult counts events without a payload",
        Edit("lanes", "_accumulate", "self.activity.mult.eq(multiplies)", "self.activity.mult.eq(active)")),
    rtl("A2", "threshold_shift once a word", Edit("sequencer", "_make_pass", "self.word == 0", "1")),
    rtl("A2", "spike_out counts words", Edit("strobes", "_exec", "total(self.fired)", "self.fired.any()")),
    rtl("A3", "reg_bits of currents at the potentials' width",
        Edit("strobes", "_exec",
             "self.p.run.current_bits if self.p.direct else self.p.run.potential_bits",
             "self.p.run.potential_bits")),
    rtl("A3", "reg_bits forgets requant operations", Edit("lanes", "elaborate", "any_other | is_['requant']", "any_other")),
    rtl("A3", "reg_bits counts neurons that are off",
        Edit("lanes", "elaborate", "fires | is_['shift']", "self.active & (kind == Kind.FIRE) | is_['shift']")),
    rtl("A5", "overlapped cycles are not counted",
        Edit("strobes", "_issue", "self.token_slot & self.executing & ~self.completes", "Value.cast(0)")),
    rtl("A5", "overlapped counts every token behind an operation",
        Edit("strobes", "_issue", "self.token_slot & self.executing & ~self.completes", "self.token_slot & self.executing")),
    rtl("A5", "no-word events are not busy", Edit("core", "_observe", "sequencer.skip | sequencer.eot", "sequencer.eot")),
    rtl("A5", "hazard stalls are not counted", Edit("strobes", "_issue", "self.hazard", "Value.cast(0)")),
    rtl("A5", "a serialiser stall counts the cycle that completes",
        Edit("strobes", "_exec", "~self.completes", "effects.sends")),
    rtl("A5", "a pass is counted to its plane",
        Edit("sequencer", "_describe", "self.tag.in_pass.eq(self.phase == Phase.PASSES)", "self.tag.in_pass.eq(0)")),
    rtl("A5", "a clear is counted to the last plane",
        Edit("sequencer", "_describe",
             "Mux(self.tag.in_pass, self.at_pass, self.plane)",
             "Mux(self.tag.in_pass, self.at_pass, Mux(self.phase == Phase.CLEARING, self.p.run.table.planes - 1, self.plane))")),
)
