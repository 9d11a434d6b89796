"""The word register: holds the word at work between operations on it, so that no memory is asked in between (R21, R24).

It stands between the memories and the lanes. An operation takes each part of its word (potentials, currents, flags) from the
memory that it read, or from the register if it says `held`. What the lanes make of it goes into the register, and into the
memories if the operation writes.
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.operation import Kind, operation_layout
from hwsim.rtl.parameters import Parameters


class Words(wiring.Component):
    """What stands between memories and lanes.

    operation, completes   of EXEC; `flags_change`: its flags do.
    read_*      what the memory gave.       operand_*   what the lanes work on.
    made_*      what the lanes made.        written_*   what the memory takes.     flags_written   the mask memory takes it.
    """

    def __init__(self, p: Parameters) -> None:
        self.p = p
        self.bits = {name: p.lanes * bits for name, bits in p.state_bits.items()}
        super().__init__({
            "operation": In(operation_layout(p)), "completes": In(1), "flags_change": In(1), "flags_written": Out(1),
            **{f"{what}_{name}": flow(width) for name, width in self.bits.items()
               for what, flow in (("read", In), ("operand", Out), ("made", In), ("written", Out))},
            **self.more_ports(),
        })

    def more_ports(self) -> dict[str, wiring.Member]:
        return {}

    def kept(self, name: str) -> Value:
        """The part after the operation: lanes make flags in some operations only, the others leave them."""
        made, kind = getattr(self, f"made_{name}"), self.operation.kind
        if name != "mask":
            return made
        return Mux((kind == Kind.CLEAR) | (kind == Kind.FIRE) | (kind == Kind.MASK), made, self.operand_mask)


class WordRegister(Words):
    """One word."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, width in self.bits.items():
            register = Signal(width, name=f"{name}_register")
            m.d.comb += [
                getattr(self, f"operand_{name}").eq(Mux(self.operation.held[name], register, getattr(self, f"read_{name}"))),
                getattr(self, f"written_{name}").eq(self.kept(name)),
            ]
            with m.If(self.completes):
                m.d.sync += register.eq(self.kept(name))
        changed = Signal()
        m.d.comb += self.flags_written.eq(self.operation.writes.mask & (changed | self.flags_change))
        with m.If(self.completes):
            m.d.sync += changed.eq((changed | self.flags_change) & self.operation.more)
        return m
