"""The sequencer of dataflows in which words stay in registers: merged tokens (R21) and passes by word (R24).

It walks as the plain sequencer does, in another order, and tells each operation which memories it moves.
"""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hwsim.rtl.operation import MEMORIES, slot_layout
from hwsim.rtl.pass_plan import PassPlan
from hwsim.rtl.sequencer import Phase, Sequencer
from hwsim.rtl.wires import wire


class FlowSequencer(Sequencer):
    """In scatter order.    slot   of a merged token's operation: what it adds, and whether it is its first or last (R21)."""

    def more_ports(self) -> dict[str, wiring.Member]:
        return {"slot": In(slot_layout(self.p))} if self.p.run.merged else {}

    def _word_counter(self, m: Module, issued: Value) -> Signal:
        self.last_word = super()._word_counter(m, self._word_done(m, issued))
        return self.last_word

    def _word_done(self, m: Module, issued: Value) -> Value:
        """By word, a word is done with its last pass."""
        more = [i for i, step in enumerate(self.p.plan) if step.more]
        self.issued = issued
        return issued & ~((self.phase == Phase.PASSES) & self.at_pass.matches(*more)) if more else issued

    def _take_token(self, m: Module, issued: Value) -> None:
        """A word of an event is done with its last slot."""
        super()._take_token(m, issued & self.slot.last if self.p.run.merged else issued)

    def _end_of_timestep(self, m: Module) -> None:
        """To the first pass that follows this EOT. Merged planes have one EOT, which all passes follow (R21)."""
        planes = self.p.run.table.planes
        first = {step.one.after_eot: step.group for step in self.p.plan if step.one.after_eot <= planes}
        merged = self.p.run.merged
        follows = wire(m, "follows", bool(first) if merged else (self.plane + 1).matches(*first) if first else 0)
        m.d.sync += [
            self.eots_left.eq(self.eots_left - 1), self.plane.eq(Mux(self.plane + 1 == planes, 0, self.plane + 1))]
        with m.If(follows):
            m.d.sync += self.phase.eq(Phase.PASSES)
            if merged:
                m.d.sync += self.at_pass.eq(0)
            else:
                with m.Switch(self.plane + 1):
                    for eot, group in first.items():
                        with m.Case(eot):
                            m.d.sync += self.at_pass.eq(group)
        with m.Elif(self.eots_left == 1):
            self._end_of_work(m)

    def _end_of_work(self, m: Module) -> None:
        """The last EOT and the passes that follow it are done."""
        m.d.sync += self.phase.eq(Phase.DRAINING)

    def _make_pass(self, m: Module, pass_ends: Value) -> None:
        """The next pass, or by word the next one of this word; then the next word, or tokens again."""
        ends = [i for i, step in enumerate(self.p.plan) if i + 1 == len(self.p.plan) or self.p.plan[i + 1].group != step.group]
        last_pass = wire(m, "last_pass", self.at_pass.matches(*ends))
        m.d.comb += [self.operation.valid.eq(1), self.first_of_pass.eq(self._first_word())]
        with m.If(self.issued if self.p.by_word else pass_ends):
            m.d.sync += self.at_pass.eq(Mux(last_pass, self._first_pass(m), self.at_pass + 1))
            with m.If(last_pass & self.last_word):
                m.d.sync += self.phase.eq(Phase.EVENTS)
                with m.If(self.eots_left == 0):
                    self._end_of_work(m)

    def _first_word(self) -> Value:
        """The word at hand is the first that a pass goes over."""
        return self.word == 0

    def _first_pass(self, m: Module) -> Signal:
        """The first of the passes that follow the same EOT as the one at hand."""
        first = Signal.like(self.at_pass, name="first_pass")
        with m.Switch(self.at_pass):
            for i, step in enumerate(self.p.plan):
                with m.Case(i):
                    m.d.comb += first.eq(step.group)
        return first

    # -- what an operation moves

    def _describe(self, m: Module) -> None:
        super()._describe(m)
        operation = self.operation.payload
        with m.Switch(self.phase):
            with m.Case(Phase.CLEARING):
                m.d.comb += [*(operation.writes[name].eq(name in self.p.state_bits) for name in MEMORIES), operation.claims.eq(1)]
            with m.Case(Phase.EVENTS):
                self._move_event(m, operation)
            with m.Case(Phase.PASSES), m.Switch(self.at_pass):
                for i, step in enumerate(self.p.plan):
                    with m.Case(i):
                        self._move_pass(m, operation, step)
        if self.p.run.merged:
            m.d.comb += operation.slot.eq(self.slot)
            with m.If(self.phase != Phase.EVENTS):
                m.d.comb += [operation.slot.first.eq(1), operation.slot.last.eq(1)]

    def _move_event(self, m: Module, operation: data.View) -> None:
        """An accumulation reads the sum that it adds to in its first slot and writes it in its last."""
        name = "current" if self.p.direct else "membrane"
        first, last = (self.slot.first, self.slot.last) if self.p.run.merged else (Const(1), Const(1))
        m.d.comb += [
            operation.reads[name].eq(first), operation.held[name].eq(~first), operation.writes[name].eq(last),
            operation.claims.eq(last & (not self.p.direct))]

    def _move_pass(self, m: Module, operation: data.View, step: PassPlan) -> None:
        """R24: a word that a pass changed is written with the last one, if a later plane or a later run needs it."""
        needed = Const(1) if not self.p.by_word or self.p.run.keep else self.eots_left > 0
        writes = step.changed if not step.more else ()
        always_claims = step.one.kind in ("readout", "requant") and not step.more
        m.d.comb += [
            operation.number.eq(step.number), operation.more.eq(step.more),
            operation.claims.eq(1 if always_claims else needed & ("membrane" in writes)),
            *(operation.reads[name].eq(name in step.reads) for name in MEMORIES),
            *(operation.held[name].eq(name in step.held) for name in MEMORIES),
            *(operation.writes[name].eq(needed & (name in writes)) for name in MEMORIES),
        ]
