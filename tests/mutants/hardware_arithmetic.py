"""Mutants of the hardware that break R10 to R18: arithmetic, and what passes do."""

from __future__ import annotations

from functools import partial

from tests.mutants.edits import Edit
from tests.mutants.mutation import Mutant, mutant

rtl = partial(mutant, "rtl")

ARITHMETIC: tuple[Mutant, ...] = (
    rtl("R10", "threshold shifted one too few",
        Edit("sequencer", "_describe_pass",
             "one.shift if one.kind == 'fire' else 0",
             "max(0, one.shift - 1) if one.kind == 'fire' else 0")),
    rtl("R10", "strict compare",
        Edit("lanes", "elaborate", "added >= self.operation.threshold", "added > self.operation.threshold")),
    rtl("R10", "soft reset subtracts the threshold before its shift",
        Edit("operation", "operation_layout",
             "data.StructLayout(any_fields)",
             "data.StructLayout({**any_fields, 'whole': p.threshold_shape})"),
        Edit("sequencer", "_describe_pass",
             "operation.threshold.eq(any_shifted)",
             "[operation.threshold.eq(any_shifted), operation.whole.eq(threshold)]"),
        Edit("lanes", "_reset_and_leak", "self.operation.threshold", "self.operation.whole")),
    rtl("R10", "hard reset keeps the potential", Edit("lanes", "_reset_and_leak", "Mux(resets, 0, added)", "added")),
    rtl("R10", "hard reset subtracts",
        Edit("lanes", "_reset_and_leak", "Mux(resets, 0, added)", "added - Mux(resets, self.operation.threshold, 0)")),
    rtl("R10", "leak before the reset",
        Edit("lanes", "_reset_and_leak",
             "Mux(stays_on, left, 0) >> table.leak_shift",
             "Mux(stays_on, added, 0) >> table.leak_shift")),
    rtl("R10", "leak rounds toward zero",
        Edit("lanes", "_reset_and_leak",
             "Mux(stays_on, left, 0) >> table.leak_shift",
             "Mux(stays_on, Mux(left < 0, -(-left >> table.leak_shift), left >> table.leak_shift), 0)")),
    rtl("R10", "a neuron that fires does not leak",
        Edit("lanes", "_reset_and_leak",
             "Mux(stays_on, left, 0) >> table.leak_shift",
             "Mux(stays_on & ~fired, left, 0) >> table.leak_shift")),
    rtl("R10", "an accumulation wraps",
        Edit("lanes", "_accumulate",
             "self._step(m, 'accumulated', Mux(active, self.potential, 0) + weighed)",
             "wire(m, 'accumulated', Mux(active, self.potential, 0) + weighed)[:p.run.potential_bits].as_signed()")),
    rtl("R10", "the addend wraps",
        Edit("lanes", "_add",
             "self._step(m, 'with_addend', added + Mux(adds, self.bias, 0))",
             "wire(m, 'with_addend', added + Mux(adds, self.bias, 0))[:self.p.run.potential_bits].as_signed()")),
    rtl("R10", "adding the current wraps",
        Edit("lanes", "_add",
             "self._step(m, 'with_current', added + Mux(adds, self.current, 0))",
             "wire(m, 'with_current', added + Mux(adds, self.current, 0))[:self.p.run.potential_bits].as_signed()")),
    rtl("R10", "a doubling wraps",
        Edit("lanes", "elaborate",
             "self._step(m, 'doubled', Mux(is_['shift'], self.potential, 0) * 2)",
             "wire(m, 'doubled', Mux(is_['shift'], self.potential, 0) * 2)[:self.p.run.potential_bits].as_signed()")),
    rtl("R10", "currents saturate at the potentials' width",
        Edit("lanes", "_accumulate", "p.run.current_bits", "p.run.potential_bits")),
    rtl("R10", "the addend comes after the current",
        Edit("lanes", "_add",
             """
             if self.p.has_addend:
                 any_addend
             if self.p.direct:
                 any_current""",
             """
             if self.p.direct:
                 any_current
             if self.p.has_addend:
                 any_addend""")),
    rtl("R10", "addend and current in one step",
        Edit("lanes", "_add",
             """
             if self.p.has_addend:
                 any_addend
             if self.p.direct:
                 any_current""",
             """
             if self.p.has_addend or self.p.direct:
                 terms = Mux(adds, self.bias, 0) if self.p.has_addend else Const(0)
                 more = Mux(adds, self.current, 0) if self.p.direct else Const(0)
                 added = self._step(m, 'with_terms', added + terms + more)""")),
    rtl("R10", "no saturation at the lowest value", Edit("wires", "saturate", "Mux(below, bottom, full)", "full")),
    rtl("R10", "the lowest value is left out", Edit("wires", "saturate", "-(1 << bits - 1)", "-(1 << bits - 1) + 1")),
    rtl("R10", "two clipped steps count one saturation",
        Edit("lanes", "elaborate", "total(self.clips)", "Value.cast(total(self.clips)).any()")),
    rtl("R10", "lanes without a neuron work",
        Edit("sequencer", "_real",
             "Mux(last_group, (1 << in_last_group) - 1, (1 << p.lanes) - 1)",
             "Const((1 << p.lanes) - 1)")),
    rtl("R11", "weights shifted by the plane after",
        Edit("lanes", "_accumulate", "synapse << operation.plane", "synapse << operation.plane + 1")),
    rtl("R11", "planes do not weigh payloads",
        Edit("lanes", "_accumulate", "synapse << operation.plane", "Mux(multiplies, synapse, synapse << operation.plane)")),
    rtl("R11", "payloads are unsigned", Edit("lanes", "_accumulate", "operation.payload", "operation.payload.as_unsigned()")),
    rtl("R11", "no spike shift",
        Edit("lanes", "_accumulate", "Mux(adds_spike, self.weight, 0) << table.spike_shift", "Mux(adds_spike, self.weight, 0)")),
    rtl("R11", "payloads take the spike shift too",
        Edit("lanes", "_accumulate", "Mux(multiplies, product, plain)", "Mux(multiplies, product << table.spike_shift, plain)")),
    rtl("R12", "an adding pass forgets the current",
        Edit("lanes", "_add",
             """
             if self.p.direct:
                 any_current""")),
    rtl("R12", "binary events of a direct table add nothing",
        Edit("lanes", "_accumulate", "Mux(active, self.current, 0) + weighed", "Mux(active, self.current, 0) + product")),
    rtl("R10", "a decay rounds down", Edit("decay", "elaborate", "Mux(self.value < 0, DECAY_WHOLE - 1, 0)", "0")),
    rtl("R10", "a potential misses its decay",
        Edit("lanes", "_reset_and_leak", "self._decayed(m, 'decay', stays_on, left, table.decay)", "left")),
    rtl("R12", "a current misses its decay",
        Edit("lanes", "_reset_and_leak", "Mux(stays_on, kept, self.current)", "self.current")),
    rtl("R13", "a shift operation does not double",
        Edit("lanes", "_write_back", "self.next_potential.eq(doubled)", "self.next_potential.eq(self.potential)")),
    rtl("R13", "no hazard after a shift operation",
        Edit("operation", "decode", "holds_membrane=any_kinds", "holds_membrane=any_kinds & ~shift")),
    rtl("R14", "a read-out does not write back",
        Edit("operation", "decode", "writes_membrane=any_kinds", "writes_membrane=any_kinds & ~readout")),
    rtl("R14", "no hazard after a read-out",
        Edit("operation", "decode", "holds_membrane=any_kinds", "holds_membrane=any_kinds & ~readout")),
    rtl("R14", "a read-out waits for the serialiser",
        Edit("core", "_exec",
             "done.sends & ~serialiser.ready",
             "(done.sends | (issue.executed.kind == Kind.READOUT)) & ~serialiser.ready")),
    rtl("R15", "no hazard after a requant operation",
        Edit("operation", "decode", "holds_membrane=any_kinds", "holds_membrane=any_kinds & ~requant")),
    rtl("R15", "level zero is sent", Edit("lanes", "_requantise", "active & (level > 0)", "active")),
    rtl("R15", "levels are rounded",
        Edit("lanes", "_requantise",
             "positive // self.operation.threshold.as_unsigned()",
             "(positive + (self.operation.threshold >> 1).as_unsigned()) // self.operation.threshold.as_unsigned()")),
    rtl("R15", "levels have no maximum", Edit("lanes", "_requantise", "Mux(quotient > top, top, quotient)", "quotient")),
    rtl("R15", "a requant operation resets",
        Edit("operation", "decode", "writes_membrane=any_kinds", "writes_membrane=any_kinds | requant"),
        Edit("lanes", "_write_back",
             """
             with m.Case(Kind.READOUT):
                 any_readout""",
             """
             with m.Case(Kind.REQUANT):
                 m.d.comb += self.next_potential.eq(0)
             with m.Case(Kind.READOUT):
                 any_readout""")),
    rtl("R16", "masked is ignored",
        Edit("lanes", "elaborate", "self.operation.masked | self.operation.fire_once", "self.operation.fire_once")),
    rtl("R16", "a clear leaves the flags", Edit("core", "_writes_mask", "(kind == Kind.CLEAR) | any_other", "any_other")),
    rtl("R16", "fire_once sets no flag", Edit("lanes", "_write_back", "self.off | fired & self.operation.fire_once", "self.off")),
    rtl("R16", "fire_once forgets the flags that were set",
        Edit("lanes", "_write_back", "self.off | fired & self.operation.fire_once", "fired & self.operation.fire_once")),
    rtl("R16", "a neuron that is off keeps its potential",
        Edit("lanes", "_reset_and_leak",
             "wire(m, 'left', Mux(stays_on, left, 0))",
             "wire(m, 'left', Mux(stays_on, left, Mux(self.off, self.potential, 0)))")),
    rtl("R16", "a neuron that fires its once keeps its potential",
        Edit("lanes", "_reset_and_leak", "wire(m, 'left', Mux(stays_on, left, 0))", "wire(m, 'left', Mux(fires, left, 0))")),
    rtl("R16", "masked flags who fires",
        Edit("lanes", "_write_back", "fired & self.operation.fire_once", "fired"),
        Edit("core", "_writes_mask", "executed.fire_once", "executed.fire_once | executed.masked")),
    rtl("R17", "a mask operation flags who is at zero",
        Edit("lanes", "_write_back", "self.potential < 0", "self.potential <= 0")),
    rtl("R17", "a mask operation leaves the potentials",
        Edit("lanes", "_write_back",
             "[self.next_potential.eq(initial), self.next_off.eq(any_flags)]",
             "[self.next_potential.eq(self.potential), self.next_off.eq(any_flags)]")),
    rtl("R17", "no hazard after a mask operation",
        Edit("operation", "decode", "holds_membrane=any_kinds", "holds_membrane=any_kinds & ~mask")),
    rtl("R18", "a reinitialise operation clears the flags",
        Edit("core", "_writes_mask", "kind == Kind.MASK", "(kind == Kind.MASK) | (kind == Kind.REINITIALISE)")),
    rtl("R18", "a reinitialise operation clears the current",
        Edit("operation", "decode", "writes_current=any_kinds", "writes_current=any_kinds | direct & reinitialise"),
        Edit("lanes", "_write_back",
             """
             with m.Case(Kind.REINITIALISE):
                 any_reinitialise""",
             """
             with m.Case(Kind.REINITIALISE):
                 any_reinitialise
                 m.d.comb += self.next_current.eq(0)""")),
    rtl("R18", "a reinitialise operation meets hazards",
        Edit("operation", "decode", "reads_membrane=any_kinds", "reads_membrane=any_kinds | reinitialise")),
)
