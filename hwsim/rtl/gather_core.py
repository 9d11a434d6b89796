"""The core of gather order: visits, an accumulator file in the place of the memories, loads and stores (R19).

    tokens of all visits -> fifo -> address generator -> sequencer -> ISSUE -> EXEC (lanes <-> accumulators) -> serialiser
                                        visit counter ----^            |
                                                      loads read, stores write the memories
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from hwsim.rtl.accumulators import AccumulatorFile, InitialBanks
from hwsim.rtl.address_generator import AddressGenerator
from hwsim.rtl.core import HostMemory
from hwsim.rtl.flow_core import FlowCore
from hwsim.rtl.gather_sequencer import GatherSequencer
from hwsim.rtl.memories import Table
from hwsim.rtl.operation import Effects, Kind
from hwsim.rtl.plane_sums import PlaneSums
from hwsim.rtl.sequencer import Sequencer
from hwsim.rtl.visit_addresses import VisitAddresses
from hwsim.rtl.visits import Visits
from hwsim.rtl.word_register import Words


class GatherCore(FlowCore):
    """A FlowCore whose tokens are those of all visits, one visit after the other. `eots` are those of each visit."""

    def _units(self, m: Module) -> None:
        super()._units(m)
        m.submodules.visits = self.visits = Visits(self.p)
        self.initials = InitialBanks(self.p) if self.p.fetches_initial else None
        if self.initials is not None:
            m.submodules.initials = self.initials
        if self.p.sums:
            m.submodules.sums = self.sums = PlaneSums(self.p)

    def _addresses(self) -> AddressGenerator:
        return VisitAddresses(self.p)

    def _sequencer(self) -> Sequencer:
        return GatherSequencer(self.p)

    def _words(self) -> Words:
        return AccumulatorFile(self.p)

    def _bias(self) -> Table | None:
        """The addend alone: what a visit begins with is read beside it."""
        p, addend = self.p, self.p.run.table.addend
        return None if addend is None else Table(p.words, p.lanes, p.bias_bits, p.state_words(addend))

    def _front(self, m: Module) -> None:
        super()._front(m)
        sequencer, visits, addresses = self.sequencer, self.visits, self.addresses
        m.d.comb += [
            addresses.visit.eq(visits.visit), sequencer.visit.eq(visits.visit), sequencer.is_last_visit.eq(visits.is_last),
            visits.step.eq(sequencer.step), sequencer.event_accumulator.eq(addresses.accumulator),
        ]

    # -- what a word begins with, and what a pass adds

    def _read_bias(self, m: Module, read: Effects) -> None:
        host, sequencer, issue = self.host, self.sequencer, self.issue
        chosen = sequencer.idle & (host.select == HostMemory.BIAS)
        base = self.p.addend_base
        if self.bias is not None:
            m.d.comb += [
                self.bias.read.eq(Mux(sequencer.idle, host.read & chosen, issue.issued & read.reads_addend)),
                self.bias.read_address.eq(Mux(sequencer.idle, host.address - base, sequencer.operation.payload.word)),
                self.bias.write.eq(chosen & host.write & (host.address >= base)), self.bias.write_address.eq(host.address - base),
                self.bias.written.as_value().eq(host.written),
            ]
        initial = self.p.run.table.initial
        if self.initials is None:
            m.d.comb += self.words.initial.eq(Cat(Const(int(initial.flat[0]), self.p.run.potential_bits)
                                                  for _ in range(self.p.lanes)))
            return
        banks = self.initials
        m.d.comb += [
            banks.begins.eq(sequencer.begins), banks.number.eq(self.visits.visit.number), banks.last.eq(self.visits.visit.last),
            banks.free.eq(~issue.executing | issue.completes), banks.again.eq(issue.issued & read.reads_initial),
            banks.index.eq(sequencer.operation.payload.accumulator), banks.host_address.eq(host.address),
            banks.host_read.eq(chosen & host.read), banks.host_write.eq(chosen & host.write),
            banks.host_written.as_value().eq(host.written), self.words.initial.eq(self._begun(m, banks)),
        ]

    def _begun(self, m: Module, banks: InitialBanks) -> Value:
        """`initial` of the word in EXEC, as potentials."""
        begun = Signal(data.ArrayLayout(signed(self.p.run.potential_bits), self.p.lanes), name="begun")
        for lane in range(self.p.lanes):
            m.d.comb += begun[lane].eq(banks.words[self.issue.executed.accumulator][lane])
        return begun.as_value()

    def _lane_bias(self, lane: int) -> Value | None:
        """An operation works with `initial` or with the addend."""
        addend = None if self.bias is None else self.bias.word[lane]
        if self.initials is None:
            return addend
        initial, kind = self.initials.words[self.issue.executed.accumulator][lane], self.issue.executed.kind
        return initial if addend is None else Mux((kind == Kind.MASK) | (kind == Kind.REINITIALISE), initial, addend)

    def _bias_word(self, m: Module) -> Value | None:
        """What the host reads of both."""
        if self.bias is None or self.initials is None:
            return self.bias.word.as_value() if self.bias else self.initials.host_word.as_value() if self.initials else None
        initial = Signal()
        with m.If(self.host.read):
            m.d.sync += initial.eq(self.host.address < self.p.addend_base)
        return Mux(initial, self.initials.host_word.as_value(), self.bias.word.as_value())

    def _operand(self, name: str) -> Value:
        """The lanes find what an operation adds of the plane sums in the potentials (R21)."""
        return self.sums.summed.as_value() if self.p.sums and name == "membrane" else super()._operand(name)

    def _exec(self, m: Module, done: Effects) -> None:
        super()._exec(m, done)
        if self.p.sums:
            m.d.comb += [
                self.sums.operation.eq(self.issue.executed), self.sums.completes.eq(self.issue.completes),
                self.sums.weights.eq(self.weights.word), self.sums.potentials.as_value().eq(super()._operand("membrane")),
            ]

    # -- looking at it

    def _seen(self) -> dict[str, Value]:
        return {name: Const(1) for name in self.states}

    def _observe(self, m: Module) -> None:
        super()._observe(m)
        if self.initials is not None:
            m.d.comb += self.monitor.begun.eq(self.initials.reads)
        if self.p.sums:
            m.d.comb += self.monitor.sums.eq(self.sums.counts)
