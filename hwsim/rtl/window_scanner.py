"""The window scanner: reads the rows of the spike buffer that a visit's window lies in, and offers its events (R20, C3).

One row is read per cycle. It is at the buffer's output in the next one, and stays there while its events are pushed, one per
cycle. The row behind it is read in the cycle in which its last event is pushed, or in which it is seen to have none. When all
rows of a plane have been read, the EOT is offered. So a token comes as many cycles after the one before it as rows were read, and
no less than one.

Between runs the first row of the first visit is read again and again, so that it is there in the cycle of `start`: what the host
writes into that row must be written two cycles before.
"""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.buffer_rows import BufferRows
from hwsim.rtl.parameters import counter
from hwsim.rtl.row_events import RowEvents, neurons_of
from hwsim.rtl.sequencer import EOT_COUNT_BITS
from hwsim.rtl.visits import Visits
from hwsim.rtl.window_rows import WindowRows
from hwsim.rtl.wires import wire


class Place:
    """Where a row to be read is: whether there is one, which feed's, which of its rows."""

    def __init__(self, there: Value, feed: Value, row: Value) -> None:
        self.there, self.feed, self.row = there, feed, row


class WindowScanner(wiring.Component):
    """
    start, eots    begin a run of so many EOTs (in gather order, in each visit).      tokens   what it finds.
    read, address  of the spike buffer; `bits` is the row, in the cycle after.    value_*   of the value buffer beside it.
    scans          a row is at the output for the first time in this run.
    """

    def __init__(self, buffer: BufferRows) -> None:
        self.buffer, self.p = buffer, buffer.p
        self.most_planes = max((feed.planes for feed in buffer.feeds), default=0)
        self.row_shape = counter(max((feed.rows for feed in buffer.feeds), default=1))
        valued = {"value_address": Out(counter(buffer.value_depth)), "values": In(buffer.row_bits * self.p.payload_bits)}
        super().__init__({
            "start": In(1), "eots": In(EOT_COUNT_BITS), "tokens": Out(stream.Signature(self.p.token)), "scans": Out(1),
            "read": Out(1), "address": Out(counter(buffer.depth)), "bits": In(buffer.row_bits),
            **(valued if buffer.value_depth else {}),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._registers(m)
        here, ahead = self._windows(m, "here", self.visits.visit), self._windows(m, "ahead", self.visits.ahead)
        found, only = self._events(m, here)
        event, eot = wire(m, "event", self.have & found), Signal()
        following = self._following(m, here)
        pushed = wire(m, "pushed", self.tokens.valid & self.tokens.ready)
        ends_row = wire(m, "ends_row", self.have & self.running & Mux(event, only & pushed, following.there))
        m.d.comb += [
            eot.eq(self.running & ~event & ~following.there), self.tokens.valid.eq(self.running & (event | eot)),
            self.scans.eq(self.running & self.have & self.fresh),
        ]
        with m.If(eot):
            m.d.comb += [self.tokens.payload.as_value().eq(0), self.tokens.payload.eot.eq(1)]
        m.d.sync += self.fresh.eq(0)
        with m.If(ends_row):
            self._read(m, following, self.plane)
        with m.If(pushed & event):
            m.d.sync += self.taken.eq(Mux(only, 0, self.taken | (1 << self.which)))
        with m.If(pushed & eot):
            self._end_of_plane(m, here, ahead)
        with m.If(~self.running):
            self._read(m, self._first(m, "of_run", here, Const(0)), Const(0))
        return m

    def _registers(self, m: Module) -> None:
        """plane: EOTs pushed in this visit, but no further than any feed goes. have: the row `row` of `feed` is at the output."""
        feeds, neurons = self.buffer.feeds, [neurons_of(self.buffer, feed) for feed in self.buffer.feeds]
        self.plane, self.eots_left = Signal(counter(self.most_planes + 1)), Signal(EOT_COUNT_BITS)
        self.feed, self.row, self.have, self.fresh = Signal(counter(len(feeds))), Signal(self.row_shape), Signal(), Signal()
        self.taken, self.which = Signal(max(neurons, default=1)), Signal(counter(max(neurons, default=1)))
        self.kept = Signal(max((feed.bits - 1 for feed in feeds), default=0) or 1)
        self.rest = Signal.like(self.kept)
        m.submodules.visits = self.visits = Visits(self.p)
        busy = Signal()
        self.running = wire(m, "running", busy | (self.start & (self.eots != 0)))
        self.left = wire(m, "left", Mux(busy, self.eots_left, self.eots))
        with m.If(self.running):
            m.d.sync += [busy.eq(1), self.eots_left.eq(self.left)]
        self.busy = busy

    def _windows(self, m: Module, name: str, visit: Value) -> list[WindowRows]:
        """Each feed's window in a visit."""
        found = []
        for i, feed in enumerate(self.buffer.feeds):
            m.submodules[f"{name}{i}"] = window = WindowRows(self.buffer, feed)
            m.d.comb += [window.visit.eq(visit), window.row.eq(self.row)]
            found.append(window)
        return found

    def _events(self, m: Module, windows: list[WindowRows]) -> tuple[Signal, Signal]:
        """Of the row at the output: whether an event is left, and whether it is the only one. The token is driven."""
        found, only, payload = Signal(), Signal(), self.tokens.payload
        with m.Switch(self.feed):
            for i, (feed, window) in enumerate(zip(self.buffer.feeds, windows, strict=True)):
                m.submodules[f"events{i}"] = events = RowEvents(self.buffer, feed)
                m.d.comb += [
                    events.row.eq(self.row), events.bits.eq(self.bits), events.kept.eq(self.kept), events.taken.eq(self.taken),
                    events.window.eq(window.window), events.visit.eq(self.visits.visit),
                    *([events.values.eq(self.values)] if feed.valued else []),
                ]
                with m.Case(i):
                    m.d.comb += [
                        found.eq(events.found), only.eq(events.only), self.which.eq(events.which), self.rest.eq(events.rest),
                        payload.connection.eq(feed.position), payload.has_payload.eq(feed.valued),
                        *(payload[name].eq(getattr(events, name)) for name in ("c", "y", "x", "payload")),
                    ]
        return found, only

    # -- which row is next

    def _first(self, m: Module, name: str, windows: list[WindowRows], plane: Value, behind: Value | None = None) -> Place:
        """The first row of a plane: that of the first feed (of those `behind` one) that has the plane and a window."""
        there, feed, row = Signal(name=f"{name}_there"), Signal.like(self.feed, name=f"{name}_feed"), Signal(
            self.row_shape, name=f"{name}_row")
        for i, (one, window) in reversed(list(enumerate(zip(self.buffer.feeds, windows, strict=True)))):
            comes = (plane < one.planes) & window.there
            with m.If(comes if behind is None else comes & (i > behind)):
                m.d.comb += [there.eq(1), feed.eq(i), row.eq(window.first)]
        return Place(there, feed, row)

    def _following(self, m: Module, windows: list[WindowRows]) -> Place:
        """The row behind the one at the output, in the same plane: of its feed, or the first of a feed behind."""
        then = self._first(m, "behind", windows, self.plane, self.feed)
        there, feed, row = Signal(name="following"), Signal.like(self.feed), Signal(self.row_shape)
        m.d.comb += [there.eq(self.have & then.there), feed.eq(then.feed), row.eq(then.row)]
        with m.Switch(self.feed):
            for i, window in enumerate(windows):
                with m.Case(i), m.If(self.have & window.more):
                    m.d.comb += [there.eq(1), feed.eq(i), row.eq(window.next)]
        return Place(there, feed, row)

    def _read(self, m: Module, place: Place, plane: Value) -> None:
        """Read a row, to have it in the next cycle; what the row at hand holds of a neuron is kept for the one behind it."""
        m.d.comb += self.read.eq(place.there)
        with m.Switch(place.feed):
            for i, feed in enumerate(self.buffer.feeds):
                with m.Case(i):
                    m.d.comb += self.address.eq(feed.base + plane * feed.rows + place.row)
                    if feed.valued:
                        m.d.comb += self.value_address.eq(feed.value_base + plane * feed.rows + place.row)
        joins = (place.feed == self.feed) & (place.row == self.row + 1) & (plane == self.plane)
        m.d.sync += [
            self.have.eq(place.there), self.feed.eq(place.feed), self.row.eq(place.row), self.fresh.eq(1), self.taken.eq(0),
            self.kept.eq(Mux(joins, self.rest, 0)),
        ]

    def _end_of_plane(self, m: Module, here: list[WindowRows], ahead: list[WindowRows]) -> None:
        """The EOT is pushed: on to the next plane, with the last one to the next visit."""
        after = wire(m, "plane_after", Mux(self.plane == self.most_planes, self.plane, self.plane + 1))
        of_plane, of_visit = self._first(m, "of_plane", here, after), self._first(m, "of_visit", ahead, Const(0))
        last = wire(m, "last_eot", self.left == 1)
        m.d.sync += [self.eots_left.eq(Mux(last, self.eots, self.left - 1)), self.plane.eq(Mux(last, 0, after))]
        m.d.comb += self.visits.step.eq(last)
        with m.If(last):
            self._read(m, of_visit, Const(0))
            with m.If(self.visits.is_last):
                m.d.sync += self.busy.eq(0)
        with m.Else():
            self._read(m, of_plane, after)
