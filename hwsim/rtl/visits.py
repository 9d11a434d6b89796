"""Visits of a run in gather order: a counter of output positions, and at each of chunks of its groups (R19).

The sequencer has one, and the scanner, which works ahead, has another.
"""

from __future__ import annotations

from amaranth import Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.parameters import Parameters, counter
from hwsim.rtl.wires import wire


def visit_layout(p: Parameters) -> data.StructLayout:
    """One visit.

    y, x         its position.          low, last     its first group (from the run's first), its words less one.
    chunk        which chunk of the position.         word   its first word.       number   visits before it.
    """
    _, height, width = p.run.shape
    return data.StructLayout({
        "y": counter(height), "x": counter(width), "low": counter(p.group_span), "last": counter(p.accumulators),
        "chunk": counter(p.chunks), "word": p.word_shape, "number": counter(p.visits),
    })


class Visits(wiring.Component):
    """
    step      go to the next visit; from the last one to the first.
    visit     the one at hand.      is_last   it is the run's last.
    ahead     the one after it.
    """

    def __init__(self, p: Parameters) -> None:
        self.p = p
        super().__init__({"step": In(1), "visit": Out(visit_layout(p)), "is_last": Out(1), "ahead": Out(visit_layout(p))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, here, then = self.p, self.visit, self.ahead
        _, height, width = p.run.shape
        rest = (p.group_span - 1) % p.accumulators
        end_chunk = wire(m, "end_chunk", here.chunk == p.chunks - 1)
        end_x = wire(m, "end_x", end_chunk & (here.x == width - 1))
        m.d.comb += [
            self.is_last.eq(here.number == p.visits - 1),
            then.chunk.eq(Mux(end_chunk, 0, here.chunk + 1)), then.low.eq(Mux(end_chunk, 0, here.low + p.accumulators)),
            then.x.eq(Mux(end_x, 0, here.x + end_chunk)), then.y.eq(Mux(self.is_last, 0, here.y + end_x)),
            then.word.eq(Mux(self.is_last, 0, here.word + here.last + 1)), then.number.eq(Mux(self.is_last, 0, here.number + 1)),
            then.last.eq(Mux(then.chunk == p.chunks - 1, rest, p.accumulators - 1)),
            here.last.eq(Mux(end_chunk, rest, p.accumulators - 1)),
        ]
        with m.If(self.step):
            m.d.sync += [here[name].eq(then[name]) for name in ("y", "x", "low", "chunk", "word", "number")]
        return m
