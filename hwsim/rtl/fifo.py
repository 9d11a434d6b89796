"""The spike FIFO: `depth` tokens, first-word fall-through (R2).

A token pushed in cycle p is visible at the head from p + 1 on. `ready` depends on registers only, so a slot freed by a pop
can be used in the next cycle, not in the same one: that is what makes depth 1 halve the rate.
"""

from __future__ import annotations

from amaranth import Array, Module, Mux, Shape, Signal, Value
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.parameters import counter


class Fifo(wiring.Component):
    """A ring of registers between two streams of `shape`."""

    def __init__(self, shape: ShapeLike, depth: int) -> None:
        self.shape, self.depth = shape, depth
        super().__init__({"pushed": In(stream.Signature(shape)), "head": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        slots = Array(Signal(Shape.cast(self.shape).width, name=f"slot{i}") for i in range(self.depth))
        write, read = Signal(counter(self.depth)), Signal(counter(self.depth))
        level = Signal(range(self.depth + 1))
        push, pop = Signal(), Signal()
        m.d.comb += [
            self.pushed.ready.eq(level < self.depth),
            self.head.valid.eq(level > 0),
            Value.cast(self.head.payload).eq(slots[read]),
            push.eq(self.pushed.valid & self.pushed.ready),
            pop.eq(self.head.valid & self.head.ready),
        ]
        m.d.sync += level.eq(level + push - pop)
        with m.If(push):
            m.d.sync += [slots[write].eq(self.pushed.payload), write.eq(self._after(write))]
        with m.If(pop):
            m.d.sync += read.eq(self._after(read))
        return m

    def _after(self, slot: Signal) -> Value:
        """The next slot of the ring."""
        return Mux(slot == self.depth - 1, 0, slot + 1)
