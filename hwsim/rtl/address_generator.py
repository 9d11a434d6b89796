"""The address generator: turns the event at the FIFO's head into the membrane words that it touches, one a cycle.

A *field* is the geometry of one connection in gates: from the event's source neuron it finds the rectangle of output
positions and the range of groups and channels that the event touches, and for the position being walked the weight row.
The generator walks the chosen field's rectangle: by output row, then output column, then group (docs/cycle-model.md, "An
event's words").
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hwsim.rtl.parameters import Parameters, counter
from hwsim.rtl.wires import least, most, wire
from hwsim.snn.network import Axis, Connection


class Field(wiring.Component):
    """Base of the three operators' fields.

    c, y, x          the source neuron as the token names it (before a folded pool).
    walked           the output position and group (from lo) being walked.
    touches          the event touches at least one word of this run.
    first, last      the corners of what it touches.
    channel_first, channel_end   absolute output channels [first, end) that have a synapse.
    row              weight row for `walked`.
    """

    def __init__(self, p: Parameters, connection: Connection, base: int) -> None:
        self.p, self.connection, self.base = p, connection, base
        channel = unsigned(bits_for(2 * p.run.shape[0] + 2 * connection.source_shape[0] + connection.channel_offset))
        super().__init__({
            **{name: In(p.token.members[name]) for name in "cyx"}, "walked": In(p.position),
            "touches": Out(1), "first": Out(p.position), "last": Out(p.position),
            "channel_first": Out(channel), "channel_end": Out(channel),
            "row": Out(counter(p.weight_bases[-1])),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fold = self.connection.pool if self.connection.pool_mode == "folded" else 1
        y, x = wire(m, "grid_y", self.y // fold), wire(m, "grid_x", self.x // fold)
        _, height, width = self.connection.pooled_shape
        inside = wire(m, "inside", (y < height) & (x < width))
        m.d.comb += self.touches.eq(inside & self.geometry(m, y, x))
        return m

    def geometry(self, m: Module, y: Signal, x: Signal) -> Value:
        """Drives the outputs for grid position (y, x); returns whether an event there touches anything."""
        raise NotImplementedError

    def groups_of(self, m: Module, first: Value, end: Value) -> Value:
        """Corners in the group direction for channels [first, end), clipped to the run; whether any group is left."""
        lo, hi = self.p.run.groups
        inside = Value.cast(1)
        if self.p.is_cut:
            cut = self.p.run.channels[1]
            inside = wire(m, "in_tile", first < cut)
            end = wire(m, "cut_end", least(end, cut))
        lowest = wire(m, "lowest_group", most(first // self.p.lanes, lo))
        highest = wire(m, "highest_group", least((end - 1)[: len(end)] // self.p.lanes, hi - 1))
        m.d.comb += [
            self.channel_first.eq(first), self.channel_end.eq(end),
            self.first.g.eq(lowest - lo), self.last.g.eq(highest - lo),
        ]
        return (lowest <= highest) & inside if self.p.is_cut else lowest <= highest


class LinearField(Field):
    """Every channel sees every source neuron: one position, all groups."""

    def geometry(self, m: Module, y: Signal, x: Signal) -> Value:
        _, height, width = self.connection.pooled_shape
        source = wire(m, "source", (self.c * height + y) * width + x)
        m.d.comb += [
            self.channel_end.eq(self.p.run.channels[1] if self.p.is_cut else self.p.run.shape[0]),
            self.last.g.eq(self.p.group_span - 1),
            self.row.eq(self.base + source * self.p.group_span + self.walked.g),
        ]
        return Value.cast(1)


class IdentityField(Field):
    """A residual: the one word that holds the source's channel at its (strided) position."""

    def geometry(self, m: Module, y: Signal, x: Signal) -> Value:
        (_, stride_y, _), (_, stride_x, _) = self.connection.axes
        channels, height, width = self.p.run.shape
        channel = wire(m, "channel", self.c + self.connection.channel_offset)
        out_y, out_x = wire(m, "out_y", y // stride_y), wire(m, "out_x", x // stride_x)
        in_run = self.groups_of(m, channel, wire(m, "channel_after", channel + 1))
        m.d.comb += [
            self.first.y.eq(out_y), self.last.y.eq(out_y), self.first.x.eq(out_x), self.last.x.eq(out_x),
            self.row.eq(self.base + self.walked.g),
        ]
        on_grid = (y % stride_y == 0) & (x % stride_x == 0) & (out_y < height) & (out_x < width)
        return on_grid & (channel < channels) & in_run


class ConvolutionField(Field):
    """conv2d: ky = y + p - S * oy and kx = x + p - S * ox must lie in [0, K) of its axis; groups feed their own channels."""

    def geometry(self, m: Module, y: Signal, x: Signal) -> Value:
        connection, span = self.connection, self.p.row_span(self.connection)
        feeds = self.p.run.shape[0] // connection.groups
        part = wire(m, "part", self.c // (connection.pooled_shape[0] // connection.groups))
        first = wire(m, "first_channel", part * feeds)
        in_run = self.groups_of(m, first, wire(m, "end_channel", first + feeds))
        along_y, along_x = connection.axes
        some_y, ky = self._axis(m, "y", along_y, y, self.p.run.shape[1])
        some_x, kx = self._axis(m, "x", along_x, x, self.p.run.shape[2])
        tap = wire(m, "tap", (self.c * along_y.kernel + ky) * along_x.kernel + kx)
        m.d.comb += self.row.eq(self.base + tap * span + self.walked.g - self.first.g)
        return in_run & some_y & some_x

    def _axis(self, m: Module, name: str, axis: Axis, at: Signal, size: int) -> tuple[Value, Signal]:
        """Corners along one axis; whether any output lies between them, and the kernel tap at the walked one."""
        kernel, stride, padding = axis
        padded = wire(m, f"padded_{name}", at + padding)
        beyond = wire(m, f"beyond_{name}", padded + (stride - kernel))
        lowest = wire(m, f"lowest_{name}", Mux(beyond > 0, beyond.as_unsigned() // stride, 0))
        highest = wire(m, f"highest_{name}", least(padded // stride, size - 1))
        m.d.comb += [self.first[name].eq(lowest), self.last[name].eq(highest)]
        tap = Signal(counter(kernel), name=f"k{name}")
        m.d.comb += tap.eq(padded - stride * self.walked[name])
        return lowest <= highest, tap


FIELDS: dict[str, type[Field]] = {"linear": LinearField, "identity": IdentityField, "conv2d": ConvolutionField}


class AddressGenerator(wiring.Component):
    """Walks the words of the event `token`; `advance` steps to the next word, or to the next event after the last.

    touches   the event has words at all.   last   `word` is its last one.
    word      membrane word.   row   weight row.   synapses   one bit a lane: a real synapse there.
    """

    def __init__(self, p: Parameters) -> None:
        self.p = p
        super().__init__({
            "token": In(p.token), "advance": In(1), "touches": Out(1), "last": Out(1),
            "word": Out(p.word_shape), "row": Out(counter(p.weight_bases[-1])), "synapses": Out(p.lanes), **self.more_ports(),
        })

    def more_ports(self) -> dict[str, wiring.Member]:
        """Ports of a generator that knows more."""
        return {}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.p
        walked, first, last = (Signal(p.position, name=name) for name in ("walked", "first", "last"))
        channel_first, channel_end = self._choose_field(m, self.touches, walked, first, last)
        at_end = {axis: wire(m, f"at_end_{axis}", walked[axis] == last[axis]) for axis in "yxg"}
        self._walk(m, walked, first, at_end)
        m.d.comb += [
            self.last.eq(at_end["y"] & at_end["x"] & at_end["g"]),
            self.word.eq((walked.y * p.run.shape[2] + walked.x) * p.group_span + walked.g),
        ]
        self._find_synapses(m, walked, channel_first, channel_end)
        return m

    def _find_synapses(self, m: Module, walked: data.View, channel_first: Signal, channel_end: Signal) -> None:
        """Which lanes of the word that is walked have one."""
        p = self.p
        channel = wire(m, "lane0_channel", (walked.g + p.run.groups[0]) * p.lanes)
        for lane in range(p.lanes):
            m.d.comb += self.synapses[lane].eq((channel + lane >= channel_first) & (channel + lane < channel_end))

    def _choose_field(
        self, m: Module, touches: Signal, walked: data.View, first: data.View, last: data.View
    ) -> tuple[Signal, Signal]:
        """One field a connection; the token's connection chooses whose answer counts."""
        fields = [FIELDS[c.operator](self.p, c, base) for c, base in
                  zip(self.p.run.connections, self.p.weight_bases, strict=False)]
        width = max(len(f.channel_end) for f in fields)
        ends = Signal(width, name="channel_first"), Signal(width, name="channel_end")
        for i, field in enumerate(fields):
            m.submodules[f"field{i}"] = field
            m.d.comb += [
                field.c.eq(self.token.c), field.y.eq(self.token.y), field.x.eq(self.token.x), field.walked.eq(walked)]
        with m.Switch(self.token.connection):
            for i, field in enumerate(fields):
                with m.Case(i) if i + 1 < len(fields) else m.Default():
                    m.d.comb += [
                        touches.eq(field.touches), self.row.eq(field.row), first.eq(field.first),
                        last.eq(field.last), ends[0].eq(field.channel_first), ends[1].eq(field.channel_end),
                    ]
        return ends

    def _walk(self, m: Module, walked: data.View, first: data.View, at_end: dict[str, Signal]) -> None:
        """Three nested counters of steps from the first corner: group innermost, then column, then row."""
        step = Signal(self.p.position, name="step")
        m.d.comb += [walked[axis].eq(first[axis] + step[axis]) for axis in "yxg"]
        with m.If(self.advance):
            m.d.sync += step.g.eq(Mux(at_end["g"], 0, step.g + 1))
            with m.If(at_end["g"]):
                m.d.sync += step.x.eq(Mux(at_end["x"], 0, step.x + 1))
                with m.If(at_end["x"]):
                    m.d.sync += step.y.eq(Mux(at_end["y"], 0, step.y + 1))
