"""The core of dataflows in which words stay in registers between operations: merged tokens (R21) and passes by word (R24).

    memories -> word register -> lanes -> word register -> memories
"""

from __future__ import annotations

from amaranth import Module, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from hwsim.rtl.bit_slots import BitSlots
from hwsim.rtl.core import HardwareCore
from hwsim.rtl.flow_sequencer import FlowSequencer
from hwsim.rtl.lanes import Lane
from hwsim.rtl.merged_lane import MergedLane
from hwsim.rtl.operation import Kind, begins
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.sequencer import Sequencer
from hwsim.rtl.word_register import WordRegister, Words


def kept_layout(p: Parameters) -> data.StructLayout:
    """A word as an operation leaves it: those parts of it that are `seen` in this cycle."""
    return data.StructLayout({
        "word": p.word_shape, "seen": data.StructLayout({name: unsigned(1) for name in p.state_bits}),
        **{name: unsigned(p.lanes * bits) for name, bits in p.state_bits.items()}})


class FlowCore(HardwareCore):
    """A HardwareCore, and `kept`: the word that EXEC is done with, to be looked at; no memory may hold it."""

    def more_ports(self) -> dict[str, wiring.Member]:
        return {"kept": Out(kept_layout(self.p))}

    def _units(self, m: Module) -> None:
        super()._units(m)
        m.submodules.words = self.words = self._words()
        if self.p.run.merged:
            m.submodules.slots = self.slots = BitSlots(self.p)

    def _words(self) -> Words:
        return WordRegister(self.p)

    def _sequencer(self) -> Sequencer:
        return FlowSequencer(self.p)

    def _lane(self) -> Lane:
        return MergedLane(self.p) if self.p.run.merged else super()._lane()

    def _front(self, m: Module) -> None:
        super()._front(m)
        if self.p.run.merged:
            accumulates = self.sequencer.operation.payload.kind == Kind.ACCUMULATE
            m.d.comb += [
                self.slots.token.eq(self.fifo.head.payload), self.sequencer.slot.eq(self.slots.slot),
                self.slots.taken.eq(self.issue.issued & accumulates),
            ]

    def _operand(self, name: str) -> Value:
        return getattr(self.words, f"operand_{name}")

    def _written(self, m: Module, made: dict[str, Value]) -> dict[str, Value]:
        """What the lanes made goes into the registers; what those have for the memories comes out."""
        words = self.words
        m.d.comb += [
            words.operation.eq(self.issue.executed), words.completes.eq(self.issue.completes),
            words.flags_change.eq(super()._writes_mask()),
        ]
        for name, state in self.states.items():
            m.d.comb += [getattr(words, f"read_{name}").eq(state.word), getattr(words, f"made_{name}").eq(made[name])]
        return {name: getattr(words, f"written_{name}") for name in self.states}

    def _writes_mask(self) -> Value:
        return self.words.flags_written

    def _operation_begins(self) -> Value:
        return self.issue.issued & begins(self.p, self.sequencer.operation.payload)

    def _observe(self, m: Module) -> None:
        super()._observe(m)
        m.d.comb += self.kept.word.eq(self.issue.executed.word)
        for name, seen in self._seen().items():
            if name in self.states:
                m.d.comb += [
                    self.kept.seen[name].eq(self.issue.completes & seen),
                    self.kept[name].eq(getattr(self.words, f"written_{name}")),
                ]

    def _seen(self) -> dict[str, Value]:
        """Which parts of its word an operation has in hand."""
        executed, kind = self.issue.executed, self.issue.executed.kind
        adds, clears = kind == Kind.ACCUMULATE, kind == Kind.CLEAR
        flags = clears | (kind == Kind.MASK) | ((kind == Kind.FIRE) & executed.fire_once)
        return {"membrane": ~(adds & self.p.direct), "current": adds | clears, "mask": flags}
