"""The multiplier of a decay: a state times a factor of 12 bits, over 4096, rounded toward zero (R10). It has no registers.

A product below zero is raised by 4095 before its lowest 12 bits are left out. The result is never larger than the state, so it
cannot leave the range, and nothing saturates.
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwsim.passes import DECAY_BITS, DECAY_WHOLE
from hwsim.rtl.wires import wire


class Decay(wiring.Component):
    """
    value    the state, of `bits`.      factor   what is kept of it, in 1 / 4096.      kept   value * factor / 4096.
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({"value": In(signed(bits)), "factor": In(DECAY_BITS), "kept": Out(signed(bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        product = wire(m, "product", self.value * self.factor)
        rounded = Signal(signed(self.bits + DECAY_BITS + 1))
        m.d.comb += [
            rounded.eq(product + Mux(self.value < 0, DECAY_WHOLE - 1, 0)),
            self.kept.eq(rounded >> DECAY_BITS),
        ]
        return m
