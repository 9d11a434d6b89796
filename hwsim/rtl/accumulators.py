"""The accumulator file: the words of a visit, in registers (R19), and the memory that gives them what they begin with.

EXEC reads and writes its word's registers in one cycle, so nothing is ever forwarded or waited for. What a visit begins with is
not written into the registers: the first operation on a word is `fresh`, and takes `initial` in place of what a visit before has
left there.
"""

from __future__ import annotations

from amaranth import Array, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.memories import Table
from hwsim.rtl.operation import Kind
from hwsim.rtl.parameters import Parameters, counter
from hwsim.rtl.word_register import Words


class AccumulatorFile(Words):
    """`initial`   what the word of the operation begins with, if it is fresh; currents and flags begin with zero."""

    def more_ports(self) -> dict[str, wiring.Member]:
        return {"initial": In(self.bits["membrane"])}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operation = self.operation
        loads = operation.kind == Kind.LOAD
        for name, width in self.bits.items():
            registers = Array(Signal(width, name=f"{name}_{i}") for i in range(self.p.accumulators))
            begins = self.initial if name == "membrane" else 0
            held = Mux(operation.fresh, begins, registers[operation.accumulator])
            m.d.comb += [
                getattr(self, f"operand_{name}").eq(Mux(loads, getattr(self, f"read_{name}"), held)),
                getattr(self, f"written_{name}").eq(self.kept(name)),
            ]
            with m.If(self.completes):
                m.d.sync += registers[operation.accumulator].eq(self.kept(name))
        m.d.comb += self.flags_written.eq(operation.writes.mask)
        return m


class InitialBanks(wiring.Component):
    """`initial` of a visit's words where it is not uniform: a bank for each accumulator, so that all are read at once (R19).

    They are read in the first cycle of a visit in which EXEC does not hold an operation of the visit before, and stay at the
    outputs until the next visit.

    begins, number   a visit, the one of this number from the next cycle on, begins with `initial`.    last   its words less one.
    free             EXEC is empty after this cycle.      again    the operation that issues reads bank `index` anew.
    reads            words that are read for a visit.     words    of the banks.
    host_*           address bank * visits + visit.
    """

    def __init__(self, p: Parameters) -> None:
        self.p = p
        word = data.ArrayLayout(signed(p.bias_bits), p.lanes)
        image = p.initial_image()
        self.banks = [Table(p.visits, p.lanes, p.bias_bits, image[first:first + p.visits])
                      for first in range(0, len(image), p.visits)]
        super().__init__({
            "begins": In(1), "number": In(counter(p.visits)), "last": In(counter(p.accumulators)), "free": In(1), "again": In(1),
            "index": In(counter(p.accumulators)), "reads": Out(counter(p.accumulators + 1)),
            "words": Out(data.ArrayLayout(word, p.accumulators)),
            "host_read": In(1), "host_write": In(1), "host_address": In(counter(p.visits * p.accumulators)),
            "host_written": In(word), "host_word": Out(word),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        waiting, read = Signal(), Signal()
        m.d.comb += [read.eq(waiting & self.free), self.reads.eq(Mux(read, self.last + 1, 0))]
        m.d.sync += waiting.eq(self.begins | (waiting & ~read))
        reached = Signal(counter(self.p.accumulators))
        for i, bank in enumerate(self.banks):
            m.submodules[f"bank{i}"] = bank
            first = i * self.p.visits
            chosen = (self.host_address >= first) & (self.host_address < first + self.p.visits)
            m.d.comb += [
                bank.read.eq((read & (i <= self.last)) | (self.again & (self.index == i)) | (self.host_read & chosen)),
                bank.read_address.eq(Mux(self.host_read, self.host_address - first, self.number)),
                bank.write.eq(self.host_write & chosen), bank.write_address.eq(self.host_address - first),
                bank.written.eq(self.host_written), self.words[i].eq(bank.word),
            ]
            with m.If(self.host_read & chosen):
                m.d.sync += reached.eq(i)
        m.d.comb += self.host_word.eq(self.words[reached])
        return m
