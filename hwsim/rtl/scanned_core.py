"""A core with its spike buffer and the scanner that reads it: planes in, spikes out (R20, C3).

    host -> spike buffer -> window scanner -> core -> spikes
            value buffer ----^
"""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hwsim.rtl.buffer_rows import BufferRows
from hwsim.rtl.core import host_signature
from hwsim.rtl.cores import core_for
from hwsim.rtl.memories import Table
from hwsim.rtl.parameters import counter
from hwsim.rtl.sequencer import EOT_COUNT_BITS
from hwsim.rtl.window_scanner import WindowScanner


class ScannedCore(wiring.Component):
    """
    start, clear, eots, done, spikes, host    those of the core.
    row_*, value_*   write ports of the buffers, for whoever makes the planes.      scans   a row is scanned in this cycle.
    """

    def __init__(self, buffer: BufferRows) -> None:
        self.buffer, self.p = buffer, buffer.p
        self.core, self.scanner = core_for(self.p), WindowScanner(buffer)
        self.rows = Table(buffer.depth, buffer.row_bits, 1, [])
        self.values = Table(buffer.value_depth, buffer.row_bits, self.p.payload_bits, []) if buffer.value_depth else None
        super().__init__({
            "start": In(1), "clear": In(1), "eots": In(EOT_COUNT_BITS), "done": Out(1), "scans": Out(1),
            "spikes": Out(stream.Signature(self.p.sent, always_ready=self.p.writes_words)), "host": In(host_signature(self.p)),
            "row_write": In(1), "row_address": In(counter(buffer.depth)), "row_written": In(buffer.row_bits),
            "value_write": In(1), "value_address": In(counter(buffer.value_depth)),
            "value_written": In(buffer.row_bits * self.p.payload_bits),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core, m.submodules.scanner, m.submodules.rows = self.core, self.scanner, self.rows
        core, scanner = self.core, self.scanner
        connect(m, scanner.tokens, core.tokens)
        connect(m, core.spikes, flipped(self.spikes))
        connect(m, flipped(self.host), core.host)
        m.d.comb += [
            core.start.eq(self.start), core.clear.eq(self.clear), core.eots.eq(self.eots), self.done.eq(core.done),
            scanner.start.eq(self.start), scanner.eots.eq(self.eots), self.scans.eq(scanner.scans),
            self.rows.read.eq(scanner.read), self.rows.read_address.eq(scanner.address),
            scanner.bits.eq(self.rows.word.as_value()), self.rows.write.eq(self.row_write),
            self.rows.write_address.eq(self.row_address), self.rows.written.as_value().eq(self.row_written),
        ]
        if self.values is not None:
            m.submodules.values = values = self.values
            m.d.comb += [
                values.read.eq(scanner.read), values.read_address.eq(scanner.value_address),
                scanner.values.eq(values.word.as_value()), values.write.eq(self.value_write),
                values.write_address.eq(self.value_address), values.written.as_value().eq(self.value_written),
            ]
        return m
