"""The issue stage: lets one operation a cycle into EXEC, and the EXEC register behind it (R5, R6).

An operation issues when EXEC is free or completes in this very cycle. If it then reads the word that EXEC writes at the end
of this cycle, the memories would give the old word: with bypass they forward the new one, without it the operation waits one
cycle. Where the memories have one port, whatever EXEC writes makes the operation wait (R23). Where events look at flags first
(R25), an accumulation that is `quiet` takes its slot and goes no further; one that is not goes on with the lanes that are on.
"""

from __future__ import annotations

from amaranth import Const, Module, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.operation import Kind, decode, may_write_flags, operation_layout
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.single_port import port_is_taken
from hwsim.rtl.wires import wire


class Issue(wiring.Component):
    """
    operation     offered by the sequencer; issues in a cycle with valid & ready (`issued`).
    hold          EXEC must wait: the serialiser does not take its spikes yet.
    hazard        the operation offered loses this cycle to read-after-write, or to the memory's one port.
    executing     EXEC holds `executed`; it completes in a cycle with `completes`.
    quiet, on     flags first: of the word offered, whether all its neurons are off, and the lanes that are on.
    skipped       a quiet operation takes its slot.      flags_meet   the operation offered waits for flags that EXEC writes.
    """

    def __init__(self, p: Parameters) -> None:
        self.p = p
        layout = operation_layout(p)
        super().__init__({
            "operation": In(stream.Signature(layout)), "hold": In(1), "issued": Out(1), "hazard": Out(1),
            "executing": Out(1), "executed": Out(layout), "completes": Out(1),
            **({"quiet": In(1), "on": In(p.lanes), "skipped": Out(1), "flags_meet": Out(1)} if p.masks_first else {}),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        offered, executed = self.operation.payload, self.executed
        m.d.comb += [
            self.completes.eq(self.executing & ~self.hold),
            self.operation.ready.eq((~self.executing | self.completes) & ~self.hazard & ~self._waits_for_flags(m)),
            self.issued.eq(self.operation.valid & self.operation.ready & self._works()),
        ]
        reads, writes = decode(self.p, offered), decode(self.p, executed)
        if self.p.single_port:
            m.d.comb += self.hazard.eq(self.operation.valid & self.completes & port_is_taken(reads, writes) & self._works())
        elif not self.p.run.core.bypass:
            meets = wire(m, "meets", (reads.reads_membrane & writes.holds_membrane)
                         | (reads.reads_current & writes.writes_current))
            m.d.comb += self.hazard.eq(
                self.operation.valid & self.completes & meets & (offered.word == executed.word) & self._works())
        with m.If(self.issued):
            m.d.sync += [executed.eq(offered), self.executing.eq(1)]
            if self.p.masks_first:
                with m.If(offered.kind == Kind.ACCUMULATE):
                    m.d.sync += executed.active.eq(offered.active & self.on)
        with m.Elif(self.completes):
            m.d.sync += self.executing.eq(0)
        return m

    def _works(self) -> Value:
        """The operation offered is none that is skipped."""
        return ~self._is_quiet() & ~self.flags_meet if self.p.masks_first else Const(1, 1)

    def _is_quiet(self) -> Value:
        return (self.operation.payload.kind == Kind.ACCUMULATE) & self.quiet

    def _waits_for_flags(self, m: Module) -> Value:
        """R25 without bypass: what EXEC may write into the flags of the word offered is waited for, once; then it is known."""
        if not self.p.masks_first:
            return Const(0, 1)
        offered, executed = self.operation.payload, self.executed
        if not self.p.run.core.bypass:
            m.d.comb += self.flags_meet.eq(
                self.operation.valid & self.completes & (offered.kind == Kind.ACCUMULATE) & may_write_flags(executed)
                & (offered.word == executed.word))
        m.d.comb += self.skipped.eq(self.operation.valid & self.operation.ready & self._is_quiet())
        return self.flags_meet
