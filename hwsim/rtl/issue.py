"""The issue stage: lets one operation a cycle into EXEC, and the EXEC register behind it (R5, R6).

An operation issues when EXEC is free or completes in this very cycle. If it then reads the word that EXEC writes at the end
of this cycle, the memories would give the old word: with bypass they forward the new one, without it the operation waits one
cycle. Where the memories have one port, whatever EXEC writes makes the operation wait (R23).
"""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.operation import decode, operation_layout
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.single_port import port_is_taken
from hwsim.rtl.wires import wire


class Issue(wiring.Component):
    """
    operation     offered by the sequencer; issues in a cycle with valid & ready (`issued`).
    hold          EXEC must wait: the serialiser does not take its spikes yet.
    hazard        the operation offered loses this cycle to read-after-write, or to the memory's one port.
    executing     EXEC holds `executed`; it completes in a cycle with `completes`.
    """

    def __init__(self, p: Parameters) -> None:
        self.p = p
        layout = operation_layout(p)
        super().__init__({
            "operation": In(stream.Signature(layout)), "hold": In(1), "issued": Out(1), "hazard": Out(1),
            "executing": Out(1), "executed": Out(layout), "completes": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        offered, executed = self.operation.payload, self.executed
        m.d.comb += [
            self.completes.eq(self.executing & ~self.hold),
            self.operation.ready.eq((~self.executing | self.completes) & ~self.hazard),
            self.issued.eq(self.operation.valid & self.operation.ready),
        ]
        reads, writes = decode(self.p, offered), decode(self.p, executed)
        if self.p.single_port:
            m.d.comb += self.hazard.eq(self.operation.valid & self.completes & port_is_taken(reads, writes))
        elif not self.p.run.core.bypass:
            meets = wire(m, "meets", (reads.reads_membrane & writes.holds_membrane)
                         | (reads.reads_current & writes.writes_current))
            m.d.comb += self.hazard.eq(self.operation.valid & self.completes & meets & (offered.word == executed.word))
        with m.If(self.issued):
            m.d.sync += [executed.eq(offered), self.executing.eq(1)]
        with m.Elif(self.completes):
            m.d.sync += self.executing.eq(0)
        return m
