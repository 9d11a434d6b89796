"""The spike serialiser: sends the spikes of a word one a cycle, lowest lane first, as addresses (R7).

A word taken in cycle e leaves in e + 1 ... e + spikes while `spikes.ready` is high; the next word is taken in the cycle in which
the last spike leaves. A receiver that is not ready makes it wait; nothing is lost.
"""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.operation import operation_layout
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.wires import wire


class Serialiser(wiring.Component):
    """
    take              take the lanes of `fired` (with their `levels`) of the word at `position`, in pass `number`.
    ready             a word can be taken in this cycle.
    busy              spikes are waiting to leave.      spikes   the AER stream.
    """

    def __init__(self, p: Parameters) -> None:
        self.p = p
        operation = operation_layout(p)
        super().__init__({
            "take": In(1), "fired": In(p.lanes), "levels": In(data.ArrayLayout(p.level_shape, p.lanes)),
            "position": In(p.position), "number": In(operation.members["number"]),
            "ready": Out(1), "busy": Out(1), "spikes": Out(stream.Signature(p.spike)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        waiting, levels = Signal(self.p.lanes), Signal(data.ArrayLayout(self.p.level_shape, self.p.lanes))
        position, number = Signal(self.p.position), Signal.like(self.number)
        rest = wire(m, "rest", waiting & (waiting - 1)[: self.p.lanes])
        leaves = wire(m, "leaves", self.busy & self.spikes.ready)
        m.d.comb += [
            self.busy.eq(waiting != 0),
            self.ready.eq(~self.busy | (leaves & (rest == 0))),
            self.spikes.valid.eq(self.busy),
        ]
        with m.If(leaves):
            m.d.sync += waiting.eq(rest)
        with m.If(self.take):
            m.d.sync += [
                waiting.eq(self.fired), levels.eq(self.levels), position.eq(self.position), number.eq(self.number)]
        self._address(m, waiting, levels, position, number)
        return m

    def _address(self, m: Module, waiting: Signal, levels: data.View, position: data.View, number: Signal) -> None:
        """The address of the lowest waiting lane."""
        spike, lanes = self.spikes.payload, self.p.lanes
        lane = Signal(range(max(2, lanes)))
        for i in reversed(range(lanes)):
            with m.If(waiting[i]):
                m.d.comb += lane.eq(i)
        m.d.comb += [
            spike.c.eq((position.g + self.p.run.groups[0]) * lanes + lane), spike.y.eq(position.y),
            spike.x.eq(position.x), spike.number.eq(number), spike.level.eq(levels[lane]),
        ]
