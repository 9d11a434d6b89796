"""The sequencer of gather order: from visit to visit, each with its loads, its tokens and passes, and its stores (R19)."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.flow_sequencer import FlowSequencer
from hwsim.rtl.operation import MEMORIES, Kind
from hwsim.rtl.parameters import counter
from hwsim.rtl.pass_plan import PassPlan
from hwsim.rtl.sequencer import EOT_COUNT_BITS, Phase
from hwsim.rtl.visits import visit_layout


class GatherSequencer(FlowSequencer):
    """
    visit, is_last_visit   of the counter of visits.    step   it goes to the next one.
    event_accumulator      where the word of the event at hand is held.
    begins                 from the next cycle on a visit is at hand that begins with `initial`.
    """

    def more_ports(self) -> dict[str, wiring.Member]:
        return {
            **super().more_ports(), "visit": In(visit_layout(self.p)), "is_last_visit": In(1), "step": Out(1),
            "event_accumulator": In(counter(self.p.accumulators)), "begins": Out(1),
        }

    def elaborate(self, platform: object) -> Module:
        self.clears, self.eots_of_visit = Signal(), Signal(EOT_COUNT_BITS)
        self.fresh = Signal(self.p.accumulators)
        return super().elaborate(platform)

    # -- visits

    def _begin(self, m: Module) -> None:
        m.d.sync += [self.clears.eq(self.clear), self.eots_of_visit.eq(self.eots)]
        self._enter(m, self.clear, self.eots)
        with m.If(self.clear & (self.eots == 0)):  # nothing to do in any visit but to store
            m.d.sync += self.phase.eq(Phase.STORING if self.p.run.keep else Phase.DRAINING)

    def _enter(self, m: Module, clears: Value, eots: Value) -> None:
        """A visit begins in the next cycle."""
        after_loads = Mux(eots == 0, Phase.STORING, Phase.EVENTS)
        m.d.sync += [
            self.phase.eq(Mux(clears, after_loads, Phase.LOADING)), self.eots_left.eq(eots), self.plane.eq(0),
            self.fresh.eq(clears.replicate(self.p.accumulators)),
        ]
        m.d.comb += self.begins.eq(clears)

    def _end_of_work(self, m: Module) -> None:
        if self.p.run.keep:
            m.d.sync += self.phase.eq(Phase.STORING)
        else:
            self._leave(m)

    def _leave(self, m: Module) -> None:
        """To the next visit at once; after the last one the run is over."""
        m.d.comb += self.step.eq(1)
        with m.If(self.is_last_visit):
            m.d.sync += self.phase.eq(Phase.DRAINING)
        with m.Else():
            self._enter(m, self.clears, self.eots_of_visit)

    def _more_phases(self, m: Module, ends: Value) -> None:
        with m.Case(Phase.LOADING):
            m.d.comb += self.operation.valid.eq(1)
            with m.If(ends):
                m.d.sync += self.phase.eq(Phase.EVENTS)
                with m.If(self.eots_left == 0):
                    self._end_of_work(m)
        with m.Case(Phase.STORING):
            m.d.comb += self.operation.valid.eq(1)
            with m.If(ends):
                self._leave(m)

    # -- words

    def _word_counter(self, m: Module, issued: Value) -> Signal:
        """Walks the words of the visit, in loads, passes and stores."""
        self.at = Signal(counter(self.p.accumulators))
        self.word, self.position = Signal(self.p.word_shape), Signal(self.p.position)
        last_word = Signal()
        done = self._word_done(m, issued)
        m.d.comb += [
            last_word.eq(self.at == self.visit.last), self.word.eq(self.visit.word + self.at), self.position.y.eq(self.visit.y),
            self.position.x.eq(self.visit.x), self.position.g.eq(self.visit.low + self.at),
        ]
        with m.If(done & (self.phase != Phase.EVENTS)):
            m.d.sync += self.at.eq(Mux(last_word, 0, self.at + 1))
        operation = self.operation.payload
        with m.If(issued):
            m.d.sync += self.fresh.bit_select(operation.accumulator, 1).eq(0)
        self.last_word = last_word
        return last_word

    def _first_word(self) -> Value:
        return self.at == 0

    # -- what an operation moves

    def _describe(self, m: Module) -> None:
        super()._describe(m)
        operation, run = self.operation.payload, self.p.run
        m.d.comb += [
            operation.accumulator.eq(Mux(self.phase == Phase.EVENTS, self.event_accumulator, self.at)),
            operation.fresh.eq(self.fresh.bit_select(operation.accumulator, 1)),
        ]
        with m.Switch(self.phase):
            with m.Case(Phase.LOADING):
                m.d.comb += [
                    operation.kind.eq(Kind.LOAD), *(operation.reads[name].eq(name in self.p.state_bits) for name in MEMORIES)]
            with m.Case(Phase.STORING):
                kept = [name for name in self.p.state_bits if name != "current" or run.current_changes]
                m.d.comb += [operation.kind.eq(Kind.STORE), *(operation.writes[name].eq(name in kept) for name in MEMORIES)]
                self._add_sums(m, operation, self.p.sums_of_stores)
                # Stores are counted to the row of the table's last pass, without any to that of the first plane (A5).
                last = self.p.passes.index(run.table.passes[-1]) if run.table.passes else 0
                m.d.comb += [self.tag.in_pass.eq(bool(run.table.passes)), self.tag.index.eq(last)]

    def _move_event(self, m: Module, operation: data.View) -> None:
        """Registers only."""

    def _move_pass(self, m: Module, operation: data.View, step: PassPlan) -> None:
        m.d.comb += [operation.number.eq(step.number), operation.more.eq(step.more)]
        self._add_sums(m, operation, step.sums)

    def _add_sums(self, m: Module, operation: data.View, planes: tuple[int, ...]) -> None:
        if planes:
            m.d.comb += [operation.sum_from.eq(planes[0]), operation.sum_count.eq(len(planes))]
