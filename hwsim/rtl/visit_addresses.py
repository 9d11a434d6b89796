"""The address generator of gather order: those words of the event at the FIFO's head that belong to the visit at hand (R19)."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.address_generator import AddressGenerator
from hwsim.rtl.parameters import counter
from hwsim.rtl.visits import visit_layout
from hwsim.rtl.wires import least, most, wire


class VisitAddresses(AddressGenerator):
    """An AddressGenerator that stays at the position of `visit` and walks its groups. `accumulator`   where the word is held."""

    def more_ports(self) -> dict[str, wiring.Member]:
        return {"visit": In(visit_layout(self.p)), "accumulator": Out(counter(self.p.accumulators))}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, visit = self.p, self.visit
        walked, first, last = (Signal(p.position, name=name) for name in ("walked", "first", "last"))
        touches, step = Signal(name="field_touches"), Signal(counter(p.accumulators), name="step")
        ends = self._choose_field(m, touches, walked, first, last)
        here = wire(m, "here", (first.y <= visit.y) & (visit.y <= last.y) & (first.x <= visit.x) & (visit.x <= last.x))
        lowest = wire(m, "lowest_group", most(first.g, visit.low))
        highest = wire(m, "highest_group", least(last.g, visit.low + visit.last))
        m.d.comb += [
            walked.y.eq(visit.y), walked.x.eq(visit.x), walked.g.eq(lowest + step),
            self.touches.eq(touches & here & (lowest <= highest)), self.last.eq(walked.g == highest),
            self.accumulator.eq(walked.g - visit.low), self.word.eq(visit.word + self.accumulator),
        ]
        with m.If(self.advance):
            m.d.sync += step.eq(Mux(self.last, 0, step + 1))
        self._find_synapses(m, walked, *ends)
        return m
