"""The sequencer of dataflows in which words stay in registers: passes by word (R24).

It walks as the plain sequencer does, in another order, and tells each operation which memories it moves.
"""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data

from hwsim.passes import Pass
from hwsim.rtl.operation import MEMORIES
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.sequencer import Phase, Sequencer
from hwsim.rtl.wires import wire


class FlowSequencer(Sequencer):
    """In scatter order."""

    def __init__(self, p: Parameters) -> None:
        super().__init__(p)
        self.there = {name: name in p.state_bits for name in MEMORIES}

    def _word_counter(self, m: Module, issued: Value) -> Signal:
        """By word, a word is done with its last pass."""
        more = [i for i, step in enumerate(self.p.plan) if step.more]
        self.issued = issued
        self.more = wire(m, "more", (self.phase == Phase.PASSES) & self.at_pass.matches(*more) if more else Const(0))
        self.last_word = super()._word_counter(m, issued & ~self.more)
        return self.last_word

    def _make_pass(self, m: Module, pass_ends: Value) -> None:
        """By word: the next pass of the word, then the next word."""
        if not self.p.by_word:
            super()._make_pass(m, pass_ends)
            return
        m.d.comb += [self.operation.valid.eq(1), self.first_of_pass.eq(self.word == 0)]
        with m.If(self.issued):
            m.d.sync += self.at_pass.eq(Mux(self.more, self.at_pass + 1, self._first_pass(m)))
            with m.If(~self.more & self.last_word):
                m.d.sync += self.phase.eq(Mux(self.eots_left == 0, Phase.DRAINING, Phase.EVENTS))

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
                m.d.comb += [*(operation.writes[name].eq(there) for name, there in self.there.items()), operation.claims.eq(1)]
            with m.Case(Phase.EVENTS):
                self._move_event(m, operation)

    def _move_event(self, m: Module, operation: data.View) -> None:
        """An accumulation reads and writes the sum that it adds to."""
        name = "current" if self.p.direct else "membrane"
        m.d.comb += [operation.reads[name].eq(1), operation.writes[name].eq(1), operation.claims.eq(not self.p.direct)]

    def _describe_pass(self, m: Module, operation: data.View, one: Pass) -> None:
        """R24: a word that a pass changed is written with the last one, if a later plane or a later run needs it."""
        super()._describe_pass(m, operation, one)
        step = next(step for step in self.p.plan if step.one is one)
        needed = Const(1) if not self.p.by_word or self.p.run.keep else self.eots_left > 0
        writes = step.changed if not step.more else ()
        keeps = one.kind in ("readout", "requant") and not step.more
        m.d.comb += [
            operation.number.eq(step.number), operation.more.eq(step.more),
            operation.claims.eq(1 if keeps else needed & ("membrane" in writes)),
            *(operation.reads[name].eq(name in step.reads) for name in MEMORIES),
            *(operation.held[name].eq(name in step.held) for name in MEMORIES),
            *(operation.writes[name].eq(needed & (name in writes)) for name in MEMORIES),
        ]
