"""The mask check of R25: the flags of a word are looked at in the slot of an event's operation, before anything else.

It stands between the mask memory and the issue stage. What EXEC writes in the same cycle into the flags of the same word is
forwarded. A word of which no lane is on is skipped: no weight, no potential is read for it. Combinational: no flip-flops.
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.parameters import counter


class MaskCheck(wiring.Component):
    """
    active, word     lanes that the operation would work on, and its word.      off   what the mask memory gives for the word.
    writes, written_word, written   EXEC completes an operation that may write flags, of which word, and which.
    on               lanes that work.      skip   none does.
    """

    def __init__(self, lanes: int, words: int) -> None:
        super().__init__({
            "active": In(lanes), "word": In(counter(words)), "off": In(lanes),
            "writes": In(1), "written_word": In(counter(words)), "written": In(lanes), "on": Out(lanes), "skip": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        off = Signal.like(self.off, name="flags")
        forwards = self.writes & (self.word == self.written_word)
        m.d.comb += [off.eq(Mux(forwards, self.written, self.off)), self.on.eq(self.active & ~off), self.skip.eq(~self.on.any())]
        return m
