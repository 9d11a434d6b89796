"""The single-port state memory (R23): in a cycle it is read or written, never both, and who would read waits.

An operation that is offered reads in the cycle of its issue; the one in EXEC writes in the cycle in which it completes. Where
both want the port the write has it: EXEC must not wait, because nothing holds what it has computed.
"""

from __future__ import annotations

from amaranth import Module, Mux, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.operation import Effects
from hwsim.rtl.parameters import counter


def port_is_taken(reads: Effects, writes: Effects) -> Value:
    """Whether an operation reads a memory that the operation in EXEC writes; each memory by itself, whatever the words."""
    return (reads.reads_membrane & writes.writes_membrane) | (reads.reads_current & writes.writes_current)


class SinglePortState(wiring.Component):
    """Potentials or currents: `depth` words with one address. A word that is read stays at the output until the next read.

    A read in the cycle of a write is lost. No bypass is needed: what is read a cycle later has been written.
    """

    def __init__(self, depth: int, bits: int) -> None:
        self.depth, self.bits = max(2, depth), bits
        address = counter(self.depth)
        super().__init__({
            "read": In(1), "read_address": In(address), "word": Out(bits),
            "write": In(1), "write_address": In(address), "written": In(bits),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cells = cells = memory.Memory(shape=self.bits, depth=self.depth, init=[])
        reader, writer = cells.read_port(), cells.write_port()
        address = Mux(self.write, self.write_address, self.read_address)
        m.d.comb += [
            reader.addr.eq(address), writer.addr.eq(address), reader.en.eq(self.read & ~self.write), self.word.eq(reader.data),
            writer.en.eq(self.write), writer.data.eq(self.written),
        ]
        return m
