"""The memories: a table with one read port, and a state with one read and one write port, read-first, with the bypass.

All ports are synchronous: what is addressed in the ISSUE cycle is at the output in the next one, and stays there until the next
read. A stalled EXEC relies on that: the outputs must hold.
"""

from __future__ import annotations

from collections.abc import Iterable

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.parameters import Word, counter


def pack(word: Iterable[int], bits: int) -> int:
    """Lanes' integers as the bits of one memory word, lane 0 lowest, two's complement."""
    return sum((value & ((1 << bits) - 1)) << (lane * bits) for lane, value in enumerate(word))


def unpack(bits: int, lanes: int, width: int) -> Word:
    """The inverse of `pack`."""
    fields = ((bits >> (lane * width)) & ((1 << width) - 1) for lane in range(lanes))
    return [field - (1 << width) if field >> (width - 1) else field for field in fields]


class Table(wiring.Component):
    """Weights or biases: `depth` words of `lanes` signed numbers, one read port; the host's write port fills it."""

    def __init__(self, depth: int, lanes: int, bits: int, image: list[Word]) -> None:
        self.depth, self.lanes, self.bits, self.image = max(2, depth), lanes, bits, image
        address, word = counter(self.depth), data.ArrayLayout(signed(bits), lanes)
        super().__init__({
            "read": In(1), "read_address": In(address), "word": Out(word),
            "write": In(1), "write_address": In(address), "written": In(word),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        packed = [pack(word, self.bits) for word in self.image]
        m.submodules.cells = cells = memory.Memory(shape=self.lanes * self.bits, depth=self.depth, init=packed)
        reader, writer = cells.read_port(), cells.write_port()
        m.d.comb += [
            reader.en.eq(self.read), reader.addr.eq(self.read_address), self.word.as_value().eq(reader.data),
            writer.en.eq(self.write), writer.addr.eq(self.write_address), writer.data.eq(self.written.as_value()),
        ]
        return m


class FlagState(wiring.Component):
    """Flags that events look at first (R25): a State whose word is also there in the cycle of its address, as `now`, before any
    clock edge. Both come from its one read port; `word` is `now` behind a register, read-first, with the bypass."""

    def __init__(self, depth: int, bits: int, bypass: bool) -> None:
        self.depth, self.bits, self.bypass = max(2, depth), bits, bypass
        address = counter(self.depth)
        super().__init__({
            "read": In(1), "read_address": In(address), "word": Out(bits), "now": Out(bits),
            "write": In(1), "write_address": In(address), "written": In(bits),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cells = cells = memory.Memory(shape=self.bits, depth=self.depth, init=[])
        reader, writer = cells.read_port(domain="comb"), cells.write_port()
        m.d.comb += [
            reader.addr.eq(self.read_address), self.now.eq(reader.data),
            writer.en.eq(self.write), writer.addr.eq(self.write_address), writer.data.eq(self.written),
        ]
        forwards = self.write & (self.read_address == self.write_address) if self.bypass else 0
        with m.If(self.read):
            m.d.sync += self.word.eq(Mux(forwards, self.written, reader.data))
        return m


class State(wiring.Component):
    """Potentials, currents or flags: `depth` words, 1R1W, read-first: a read of the word being written gets the old one.

    With `bypass` the word being written is caught in a register and given instead of what was read (R6).
    """

    def __init__(self, depth: int, bits: int, bypass: bool) -> None:
        self.depth, self.bits, self.bypass = max(2, depth), bits, bypass
        address = counter(self.depth)
        super().__init__({
            "read": In(1), "read_address": In(address), "word": Out(bits),
            "write": In(1), "write_address": In(address), "written": In(bits),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cells = cells = memory.Memory(shape=self.bits, depth=self.depth, init=[])
        reader, writer = cells.read_port(), cells.write_port()
        m.d.comb += [
            reader.en.eq(self.read), reader.addr.eq(self.read_address), self.word.eq(reader.data),
            writer.en.eq(self.write), writer.addr.eq(self.write_address), writer.data.eq(self.written),
        ]
        if self.bypass:
            forwarded, caught = Signal(), Signal(self.bits)
            with m.If(self.read):
                m.d.sync += forwarded.eq(self.write & (self.read_address == self.write_address))
                m.d.sync += caught.eq(self.written)
            m.d.comb += self.word.eq(Mux(forwarded, caught, reader.data))
        return m
