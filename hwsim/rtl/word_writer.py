"""The word writer: all spikes of a word leave at once, as one write into the output plane (R22).

A word taken in cycle e is written in e + 1. The plane's memory takes a write in every cycle, so nothing ever waits: `ready` is
always high, and `spikes` has no ready of its own that anybody could pull low.
"""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.operation import operation_layout
from hwsim.rtl.parameters import Parameters


class WordWriter(wiring.Component):
    """The ports of a Serialiser, but for `spikes`: the writes into the plane, one word each (`Parameters.sent`)."""

    def __init__(self, p: Parameters) -> None:
        self.p = p
        super().__init__({
            "take": In(1), "fired": In(p.lanes), "levels": In(data.ArrayLayout(p.level_shape, p.lanes)),
            "position": In(p.position), "number": In(operation_layout(p).members["number"]),
            "ready": Out(1), "busy": Out(1), "spikes": Out(stream.Signature(p.sent, always_ready=True)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        write = self.spikes.payload
        m.d.comb += [self.ready.eq(1), self.spikes.valid.eq(self.busy)]
        m.d.sync += self.busy.eq(self.take & self.fired.any())
        with m.If(self.take):
            m.d.sync += [
                write.c.eq((self.position.g + self.p.run.groups[0]) * self.p.lanes), write.y.eq(self.position.y),
                write.x.eq(self.position.x), write.number.eq(self.number), write.fired.eq(self.fired),
                write.levels.eq(self.levels),
            ]
        return m
