"""The sequencer: clears, then takes tokens; after an EOT it makes the passes that the pass table asks for (R1, R3, R4, R9).

It offers one operation at a time and moves on when the issue stage takes it. EOTs and events that touch no word take their slot
here without asking anybody: they do not wait for EXEC.
"""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from hwsim.passes import Pass
from hwsim.rtl.operation import Kind, operation_layout
from hwsim.rtl.parameters import Parameters, counter
from hwsim.rtl.wires import wire

EOT_COUNT_BITS = 16


class Phase(enum.Enum):
    """What the core is doing."""

    IDLE, CLEARING, EVENTS, PASSES, DRAINING, LOADING, STORING = range(7)


class Sequencer(wiring.Component):
    """
    start, clear, eots   begin a run: with a clear or not, of so many EOTs.
    head                 the FIFO's head.
    touches, last, event_*   what the address generator says of the head; `advance` goes back to it.
    operation            what to issue; it issues in a cycle with valid & ready.
    skip, eot            a token takes its slot in this cycle without an operation.   tag   the plane or pass at work.
    idle                 no run: the host may use the memories.   draining   every slot of the run is taken.
    first_of_pass        the operation offered is a pass's first.
    """

    def __init__(self, p: Parameters) -> None:
        self.p = p
        self.operation_layout = operation_layout(p)
        super().__init__({
            "start": In(1), "clear": In(1), "eots": In(EOT_COUNT_BITS), "finished": In(1),
            "head": In(stream.Signature(p.token)),
            "touches": In(1), "last": In(1), "event_word": In(p.word_shape), "event_row": In(counter(p.weight_bases[-1])),
            "event_synapses": In(p.lanes), "advance": Out(1),
            "operation": Out(stream.Signature(self.operation_layout)),
            "skip": Out(1), "eot": Out(1), "tag": Out(self.operation_layout.members["tag"]),
            "idle": Out(1), "draining": Out(1), "first_of_pass": Out(1), "shifts_threshold": Out(1), **self.more_ports(),
        })

    def more_ports(self) -> dict[str, wiring.Member]:
        """Ports of a sequencer that does more."""
        return {}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.phase = Signal(Phase)
        self.plane = Signal(counter(self.p.run.table.planes))
        self.eots_left = Signal(EOT_COUNT_BITS)
        self.at_pass = Signal(counter(len(self.p.passes)))
        self.number = Signal(counter(len(self.p.passes) + 1))
        self.sends = Signal()
        m.d.comb += [self.idle.eq(self.phase == Phase.IDLE), self.draining.eq(self.phase == Phase.DRAINING)]
        issued = wire(m, "issued", self.operation.valid & self.operation.ready)
        last_word = self._word_counter(m, issued)
        with m.Switch(self.phase):
            with m.Case(Phase.CLEARING):
                m.d.comb += self.operation.valid.eq(1)
                with m.If(issued & last_word):
                    m.d.sync += self.phase.eq(Mux(self.eots_left == 0, Phase.DRAINING, Phase.EVENTS))
            with m.Case(Phase.EVENTS):
                self._take_token(m, issued)
            with m.Case(Phase.PASSES):
                self._make_pass(m, issued & last_word)
            self._more_phases(m, issued & last_word)
        # A run may start in the cycle in which the one before it is done (R8).
        with m.If(self.finished):
            m.d.sync += self.phase.eq(Phase.IDLE)
        with m.If(self.start & (self.idle | self.finished)):
            self._begin(m)
        self._describe(m)
        return m

    def _more_phases(self, m: Module, ends: Value) -> None:
        """Cases of a sequencer that does more; `ends`: the phase's last word issues."""

    def _begin(self, m: Module) -> None:
        first = Mux(self.clear, Phase.CLEARING, Mux(self.eots == 0, Phase.DRAINING, Phase.EVENTS))
        m.d.sync += [self.phase.eq(first), self.eots_left.eq(self.eots), self.plane.eq(0), self.number.eq(0)]

    def _word_counter(self, m: Module, issued: Value) -> Signal:
        """Walks all words, in clears and passes; returns whether the word at hand is the last."""
        _, height, width = self.p.run.shape
        self.word = Signal(self.p.word_shape)
        self.position = Signal(self.p.position)
        last_word = wire(m, "last_word", self.word == self.p.words - 1)
        end_g = wire(m, "end_g", self.position.g == self.p.group_span - 1)
        end_x = wire(m, "end_x", self.position.x == width - 1)
        with m.If(issued & (self.phase != Phase.EVENTS)):
            m.d.sync += self.word.eq(Mux(last_word, 0, self.word + 1))
            m.d.sync += self.position.g.eq(Mux(end_g, 0, self.position.g + 1))
            with m.If(end_g):
                m.d.sync += self.position.x.eq(Mux(end_x, 0, self.position.x + 1))
                with m.If(end_x):
                    m.d.sync += self.position.y.eq(Mux(last_word, 0, self.position.y + 1))
        return last_word

    def _take_token(self, m: Module, issued: Value) -> None:
        """An event with words is offered word by word; anything else takes its slot at once."""
        event = wire(m, "event", self.head.valid & ~self.head.payload.eot)
        m.d.comb += [
            self.operation.valid.eq(event & self.touches),
            self.advance.eq(issued),
            self.skip.eq(event & ~self.touches),
            self.eot.eq(self.head.valid & self.head.payload.eot),
            self.head.ready.eq(self.skip | self.eot | (issued & self.last)),
        ]
        with m.If(self.eot):
            self._end_of_timestep(m)

    def _end_of_timestep(self, m: Module) -> None:
        """Count the EOT and, after the n-th of a period, go to the first pass with after_eot = n, if there is one."""
        planes, passes = self.p.run.table.planes, self.p.passes
        m.d.sync += [
            self.eots_left.eq(self.eots_left - 1),
            self.plane.eq(Mux(self.plane == planes - 1, 0, self.plane + 1)),
            self.number.eq(0),
        ]
        with m.If(self.eots_left == 1):
            m.d.sync += self.phase.eq(Phase.DRAINING)
        with m.Switch(self.plane):
            for n in sorted({one.after_eot for one in passes if one.after_eot <= planes}):
                with m.Case(n - 1):
                    first = next(i for i, one in enumerate(passes) if one.after_eot == n)
                    m.d.sync += [self.at_pass.eq(first), self.phase.eq(Phase.PASSES)]

    def _make_pass(self, m: Module, pass_ends: Value) -> None:
        """Offer the pass word by word; then the next one of the same EOT, or tokens again."""
        passes = self.p.passes
        last = [i for i, one in enumerate(passes) if i + 1 == len(passes) or passes[i + 1].after_eot != one.after_eot]
        last_of_eot = wire(m, "last_of_eot", self.at_pass.matches(*last) if last else 1)
        m.d.comb += [self.operation.valid.eq(1), self.first_of_pass.eq(self.word == 0)]
        with m.If(pass_ends):
            m.d.sync += [self.at_pass.eq(self.at_pass + 1), self.number.eq(self.number + self.sends)]
            with m.If(last_of_eot):
                m.d.sync += self.phase.eq(Mux(self.eots_left == 0, Phase.DRAINING, Phase.EVENTS))

    def _describe(self, m: Module) -> None:
        """Fill in the operation that is offered."""
        operation = self.operation.payload
        m.d.comb += [
            self.tag.in_pass.eq(self.phase == Phase.PASSES),
            self.tag.index.eq(Mux(self.tag.in_pass, self.at_pass, self.plane)),
            operation.tag.eq(self.tag), operation.position.eq(self.position), operation.number.eq(self.number),
            operation.plane.eq(self.plane), operation.weight_row.eq(self.event_row),
            operation.has_payload.eq(self.head.payload.has_payload), operation.payload.eq(self.head.payload.payload),
        ]
        with m.If(self.phase == Phase.EVENTS):
            m.d.comb += [
                operation.kind.eq(Kind.ACCUMULATE), operation.word.eq(self.event_word),
                operation.active.eq(self.event_synapses),
            ]
        with m.Else():
            m.d.comb += [operation.kind.eq(Kind.CLEAR), operation.word.eq(self.word), operation.active.eq(self._real(m))]
        with m.If(self.phase == Phase.PASSES), m.Switch(self.at_pass):
            for i, one in enumerate(self.p.passes):
                with m.Case(i):
                    self._describe_pass(m, operation, one)

    def _describe_pass(self, m: Module, operation: data.View, one: Pass) -> None:
        """One row of the pass table. The threshold passes through the shifter of the row's distance (R10)."""
        threshold = Const(one.threshold, self.p.threshold_shape)
        m.d.comb += [
            operation.kind.eq(Kind[one.kind.upper()]), operation.add.eq(one.add),
            operation.masked.eq(one.flags == "masked"), operation.fire_once.eq(one.flags == "fire_once"),
            operation.threshold.eq(threshold >> (one.shift if one.kind == "fire" else 0)),
            self.sends.eq(one.kind in ("fire", "requant")),
            self.shifts_threshold.eq(one.kind == "fire" and one.shift > 0),
        ]

    def _real(self, m: Module) -> Value:
        """Lanes that hold a neuron: all of them but in a last group that the layer, or the tile, ends within."""
        p = self.p
        in_last_group = p.run.channels[1] - (p.run.groups[1] - 1) * p.lanes
        last_group = wire(m, "last_group", self.position.g == p.group_span - 1)
        return Mux(last_group, (1 << in_last_group) - 1, (1 << p.lanes) - 1)
