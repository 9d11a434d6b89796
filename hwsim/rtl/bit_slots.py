"""Slots of a merged token: which of its bits are added in this slot, and whether it is the operation's last (R21).

A token of spikes holds its planes as a pattern, bit n for plane n. It is taken lowest bit first, `adders` bits per slot, and
anew for each word of the event. A value that a parallel multiplier takes is one slot without bits.
"""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.operation import slot_layout
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.wires import wire


class BitSlots(wiring.Component):
    """
    token   the FIFO's head.      taken   this slot's operation issues.
    slot    what it adds.
    """

    def __init__(self, p: Parameters) -> None:
        self.p = p
        super().__init__({"token": In(p.token), "taken": In(1), "slot": Out(slot_layout(p))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        payload, multiplies = self.token.payload, self._multiplies()
        negative = wire(m, "negative", payload < 0)
        pattern = wire(m, "pattern", Mux(multiplies, 0, Mux(negative, -payload, payload))[: len(payload)])
        left, began = Signal.like(pattern, name="left"), Signal()
        now: Value = wire(m, "now", Mux(began, left, pattern))
        for term in range(self.p.run.core.adders):
            now = self._take_lowest(m, term, now)
        m.d.comb += [self.slot.first.eq(~began), self.slot.last.eq(now == 0), self.slot.negative.eq(negative)]
        with m.If(self.taken):
            m.d.sync += [left.eq(now), began.eq(now != 0)]
        return m

    def _multiplies(self) -> Value:
        """Whether the token is a value for a multiplier, and no pattern."""
        return self.token.has_payload if self.p.run.core.multiplier == "parallel" else Const(0)

    def _take_lowest(self, m: Module, term: int, bits: Value) -> Value:
        """The lowest of `bits` becomes a term; the bits that are left."""
        found = self.slot.terms[term]
        m.d.comb += found.there.eq(bits != 0)
        for n in reversed(range(len(bits))):
            with m.If(bits[n]):
                m.d.comb += found.bit.eq(n)
        return wire(m, f"after_{term}", (bits & (bits - 1))[: len(bits)])
