"""The bank selector of a gated memory (R25): of a row's banks, those that hold a real channel of the word are asked.

All words of a run hold real channels in every lane, but for those of its last group. Which group that is, and in how many banks
its channels lie, are registers of the layer, which nothing here prices. Combinational: no flip-flops.
"""

from __future__ import annotations

from amaranth import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

GROUP_BITS = 8
"""Groups of a run are told apart by so many bits: up to 256 groups of lanes."""


class BankSelect(wiring.Component):
    """
    access, group              a row of this group is read or written.
    last_group, last_banks     of the run: its last group, and the banks less one that hold real channels of it.
    enables                    of each bank.
    """

    def __init__(self, banks: int) -> None:
        self.banks = banks
        super().__init__({
            "access": In(1), "group": In(GROUP_BITS), "last_group": In(GROUP_BITS),
            "last_banks": In(max(1, (banks - 1).bit_length())), "enables": Out(banks),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inner = self.group != self.last_group
        m.d.comb += self.enables.eq(Cat(self.access & (inner | (self.last_banks >= bank)) for bank in range(self.banks)))
        return m
