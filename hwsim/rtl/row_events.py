"""The events of one row of the spike buffer: those neurons of the window whose last bit lies in it (R20, R21).

What a row holds of a neuron that ends in the next one is kept beside it. All neurons of a row are looked at in one cycle; those
without a spike, outside the window or without a synapse to the visit are no events.
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.buffer_rows import BufferRows, FeedRows
from hwsim.rtl.parameters import Parameters, counter
from hwsim.rtl.visits import visit_layout
from hwsim.rtl.window_rows import window_layout
from hwsim.rtl.wires import wire


class RowEvents(wiring.Component):
    """
    row, bits      the buffer row at hand.      values   those that lie beside it, where events carry values.
    kept           the bits of the neuron that began in the rows before.       rest   those for the next row.
    window, visit  what counts.      taken   neurons of the row that have been events already.
    found          there is an event; it is neuron `which` of the row: c, y, x, payload.     only   it is the row's last.
    """

    def __init__(self, buffer: BufferRows, feed: FeedRows) -> None:
        self.p, self.feed, self.row_bits = buffer.p, feed, buffer.row_bits
        self.neurons = neurons_of(buffer, feed)
        kept = max(1, feed.bits - 1)
        super().__init__({
            "row": In(counter(feed.rows)), "bits": In(self.row_bits), "kept": In(kept), "rest": Out(kept),
            **({"values": In(self.row_bits * buffer.p.payload_bits)} if feed.valued else {}),
            "window": In(window_layout(feed)), "visit": In(visit_layout(buffer.p)), "taken": In(self.neurons),
            "found": Out(1), "only": Out(1), "which": Out(counter(self.neurons)),
            **{name: Out(buffer.p.token.members[name]) for name in ("c", "y", "x", "payload")},
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits, neurons = self.feed.bits, self.neurons
        begun = wire(m, "begun", (self.row * self.row_bits) % bits)
        held = wire(m, "held", (self.bits << begun) | (self.kept if bits > 1 else 0))
        ended = wire(m, "ended", (begun + self.row_bits) // bits)
        m.d.comb += self.rest.eq(held >> (ended * bits))
        spikes = [wire(m, f"pattern{j}", held[j * bits:(j + 1) * bits]) for j in range(neurons)]
        places = self._places(m)
        connected = self._connected(m)
        events = Cat((pattern != 0) & (j < ended) & self._counts(place, connected) & ~self.taken[j]
                     for j, (pattern, place) in enumerate(zip(spikes, places, strict=True)))
        events = wire(m, "events", events)
        m.d.comb += [self.found.eq(events != 0), self.only.eq((events & (events - 1))[:neurons] == 0)]
        for j in reversed(range(neurons)):
            with m.If(events[j]):
                m.d.comb += self.which.eq(j)
        self._decode(m, spikes, places)
        return m

    def _places(self, m: Module) -> list[tuple[Value, Value, Value]]:
        """(y, place in its source row, c) of each neuron: counted on from the row's first, around the ends of source rows."""
        channels, _, width = self.feed.connection.token_shape
        line = width * channels
        first = wire(m, "first_neuron", self.row * self.row_bits // self.feed.bits)
        y, place, c = (wire(m, "first_y", first // line), wire(m, "first_place", first % line),
                       wire(m, "first_c", first % channels))
        found = []
        for j in range(self.neurons):
            at, channel = wire(m, f"at{j}", place + j % line), wire(m, f"channel{j}", c + j % channels)
            over = wire(m, f"over{j}", at >= line)
            found.append((wire(m, f"y{j}", y + j // line + over), wire(m, f"place{j}", Mux(over, at - line, at)[:len(at)]),
                          wire(m, f"c{j}", Mux(channel >= channels, channel - channels, channel)[:len(channel)])))
        return found

    def _connected(self, m: Module) -> tuple[Signal, Signal]:
        """Source channels [first, end) with a synapse to the visit; in scatter order none is left out."""
        channels = self.feed.connection.token_shape[0]
        first, end = Signal(counter(channels + 1), name="channel_first"), Signal(counter(channels + 1), name="channel_end")
        if not self.p.gathers:
            m.d.comb += end.eq(channels)
            return first, end
        with m.Switch(self.visit.chunk):
            for chunk in range(self.p.chunks):
                low, high = connected_channels(self.p, self.feed, chunk)
                with m.Case(chunk):
                    m.d.comb += [first.eq(low), end.eq(high)]
        return first, end

    def _counts(self, place: tuple[Value, Value, Value], connected: tuple[Signal, Signal]) -> Value:
        """The neuron lies in the window, and its channel has a synapse to the visit."""
        channels, window, (y, at, c) = self.feed.connection.token_shape[0], self.window, place
        inside = (y >= window.top) & (y < window.bottom) & (at >= window.left * channels) & (at < window.right * channels)
        return inside & (c >= connected[0]) & (c < connected[1])

    def _decode(self, m: Module, spikes: list[Signal], places: list[tuple[Value, Value, Value]]) -> None:
        """What the token of neuron `which` says."""
        channels, _, width = self.feed.connection.token_shape
        place = Signal(counter(width * channels), name="place")
        m.d.comb += self.x.eq(place // channels)
        with m.Switch(self.which):
            for j, (pattern, (y, at, c)) in enumerate(zip(spikes, places, strict=True)):
                with m.Case(j):
                    m.d.comb += [self.y.eq(y), place.eq(at), self.c.eq(c)]
                    if self.feed.valued:
                        m.d.comb += self.payload.eq(self.values.word_select(j, self.p.payload_bits))
                    elif self.p.run.merged:
                        m.d.comb += self.payload.eq(pattern)


def neurons_of(buffer: BufferRows, feed: FeedRows) -> int:
    """The most neurons that end in one row."""
    return (feed.bits - 1 + buffer.row_bits) // feed.bits


def connected_channels(p: Parameters, feed: FeedRows, chunk: int) -> tuple[int, int]:
    """Source channels [first, end) with a synapse to a word of a visit to chunk `chunk` of a position's groups."""
    connection, (lo, hi) = feed.connection, p.run.groups
    channels = connection.pooled_shape[0]
    low = lo + chunk * p.accumulators
    groups = range(low, min(low + p.accumulators, hi))
    if connection.operator == "linear":
        return 0, channels
    if connection.operator == "identity":
        offset = connection.channel_offset
        met = [c for c in range(channels) if groups.start * p.lanes <= c + offset < min(groups.stop * p.lanes, p.run.channels[1])]
    else:
        met = [c for c in range(channels) if set(p.touched_groups(connection, c)) & set(groups)]
    return (met[0], met[-1] + 1) if met else (0, 0)
