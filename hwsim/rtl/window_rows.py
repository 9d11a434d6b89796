"""Which rows of the spike buffer a window lies in: the geometry of one feed, in gates (R20).

A window is a rectangle of source rows and columns with all their channels. Its source rows are stretches of bits in the buffer.
The scanner reads every buffer row with a bit of a stretch once, in order.
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.buffer_rows import BufferRows, FeedRows
from hwsim.rtl.parameters import counter
from hwsim.rtl.visits import visit_layout
from hwsim.rtl.wires import least, most, wire
from hwsim.snn.network import Axis


def window_layout(feed: FeedRows) -> data.StructLayout:
    """Source rows [top, bottom) and columns [left, right) of the token grid."""
    _, height, width = feed.connection.token_shape
    return data.StructLayout({"top": counter(height + 1), "bottom": counter(height + 1), "left": counter(width + 1),
                              "right": counter(width + 1)})


class WindowRows(wiring.Component):
    """
    visit        whose window it is (gather order; else the window is all there is).
    window       on the token grid.       there   it holds a neuron.       first   its first buffer row.
    row          a buffer row of it.      more    another one follows: `next`.
    """

    def __init__(self, buffer: BufferRows, feed: FeedRows) -> None:
        self.feed, self.row_bits, self.gathers = feed, buffer.row_bits, buffer.p.gathers
        row = counter(feed.rows)
        super().__init__({
            "visit": In(visit_layout(buffer.p)), "window": Out(window_layout(feed)), "there": Out(1), "first": Out(row),
            "row": In(row), "more": Out(1), "next": Out(row),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        window = self.window
        channels, height, width = self.feed.connection.token_shape
        self._find_window(m, height, width)
        neuron_bits, line_bits = channels * self.feed.bits, width * channels * self.feed.bits
        left, right = wire(m, "left", window.left * neuron_bits), wire(m, "right", window.right * neuron_bits)
        m.d.comb += [
            self.there.eq((window.top < window.bottom) & (window.left < window.right)),
            self.first.eq((window.top * line_bits + left) // self.row_bits),
        ]
        # The first bit behind `row`: in a stretch, in front of one, or behind one.
        behind = wire(m, "behind", (self.row + 1) * self.row_bits)
        line, place = wire(m, "line", behind // line_bits), wire(m, "place", behind % line_bits)
        inside = wire(m, "inside", (place >= left) & (place < right))
        line_of_next = wire(m, "line_of_next", Mux(place < right, line, line + 1))
        m.d.comb += [
            self.more.eq(line_of_next < window.bottom),
            self.next.eq(Mux(inside, self.row + 1, (line_of_next * line_bits + left) // self.row_bits)),
        ]
        return m

    def _find_window(self, m: Module, height: int, width: int) -> None:
        """A field of the grid that the operator sees. A folded pool makes it that much larger in the source."""
        connection, window = self.feed.connection, self.window
        if not self.gathers or connection.operator == "linear":
            _, rows, columns = connection.pooled_shape
            fold = connection.pool if connection.pool_mode == "folded" and self.gathers else 1
            bottom, right = (rows * fold, columns * fold) if self.gathers else (height, width)
            m.d.comb += [window.bottom.eq(bottom), window.right.eq(right)]
            return
        _, rows, columns = connection.pooled_shape
        along_y, along_x = connection.axes
        for name, low, high, axis, size in (("y", "top", "bottom", along_y, rows), ("x", "left", "right", along_x, columns)):
            first, end = self._field(m, name, axis, size, self.visit[name])
            m.d.comb += [window[low].eq(first), window[high].eq(end)]

    def _field(self, m: Module, name: str, axis: Axis, size: int, at: Value) -> tuple[Value, Value]:
        """[first, end) along one axis, cut to the grid."""
        connection = self.feed.connection
        fold = connection.pool if connection.pool_mode == "folded" else 1
        begins = wire(m, f"begins_{name}", at * axis.stride - axis.padding)
        first, end = Signal(counter(size + 1), name=f"first_{name}"), Signal(counter(size + 1), name=f"end_{name}")
        m.d.comb += [first.eq(least(most(begins, 0), size)), end.eq(least(most(begins + axis.kernel, 0), size))]
        return first * fold, end * fold
