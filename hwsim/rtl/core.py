"""The event core: FIFO, address generator, sequencer, issue stage, memories, lanes and serialiser, wired together.

    tokens -> fifo -> address generator -> sequencer -> ISSUE -> EXEC (lanes) -> membrane memory
                                                          |         |
                                               weights, bias,       +-> serialiser -> spikes
                                               membrane, current,
                                               flags are read

Cycle 0 of a run is the cycle in which `start` is sampled high.
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hwsim.rtl.address_generator import AddressGenerator
from hwsim.rtl.fifo import Fifo
from hwsim.rtl.issue import Issue
from hwsim.rtl.lanes import Lane
from hwsim.rtl.mask_check import MaskCheck
from hwsim.rtl.memories import FlagState, State, Table
from hwsim.rtl.operation import Effects, Kind, decode, may_write_flags
from hwsim.rtl.parameters import Parameters, counter
from hwsim.rtl.sequencer import EOT_COUNT_BITS, Sequencer
from hwsim.rtl.serialiser import Serialiser
from hwsim.rtl.single_port import SinglePortState
from hwsim.rtl.strobes import ActivityMonitor, activity_layout
from hwsim.rtl.wires import wire
from hwsim.rtl.word_writer import WordWriter


class HostMemory(enum.Enum, shape=unsigned(3)):
    """The memories that the host port reaches, by select value."""

    MEMBRANE, CURRENT, MASK, WEIGHT, BIAS = range(5)


def host_signature(p: Parameters) -> wiring.Signature:
    """The host port: it reads and writes one memory word a cycle while no run is on (`word` follows `read` by a cycle)."""
    deepest = max(p.words, p.weight_bases[-1], len(p.bias_image()), 2)
    widest = p.lanes * max(p.run.potential_bits, p.run.current_bits, p.weight_bits, p.bias_bits)
    return wiring.Signature({
        "select": Out(HostMemory), "address": Out(counter(deepest)), "read": Out(1), "write": Out(1),
        "written": Out(widest), "word": In(widest),
    })


def slot_layout(p: Parameters) -> data.StructLayout:
    """What took this cycle's slot: an operation, an EOT or a no-word event; `quiet`: an operation that was skipped (R25)."""
    return data.StructLayout({"valid": unsigned(1), "kind": Kind, "word": p.word_shape,
                              **({"quiet": unsigned(1)} if p.masks_first else {})})


class HardwareCore(wiring.Component):
    """One core, elaborated for `p`.

    start, clear, eots   begin a run of so many EOTs, with a clear or without; sampled when no run is on or one is done.
    tokens, spikes       the streams in and out; a word writer's spikes never wait.      done   high in cycle `done` of R8.
    slot, activity       what issues in this cycle, and every counted event.      host   the memories, between runs.
    """

    def __init__(self, p: Parameters) -> None:
        self.p = p
        super().__init__({
            "start": In(1), "clear": In(1), "eots": In(EOT_COUNT_BITS), "done": Out(1),
            "tokens": In(stream.Signature(p.token)), "spikes": Out(stream.Signature(p.sent, always_ready=p.writes_words)),
            "slot": Out(slot_layout(p)), "activity": Out(activity_layout(p)), "host": In(host_signature(p)),
            **self.more_ports(),
        })

    def more_ports(self) -> dict[str, wiring.Member]:
        """Ports of a core that does more."""
        return {}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._units(m)
        self._front(m)
        read, done = decode(self.p, self.sequencer.operation.payload), decode(self.p, self.issue.executed)
        self._memories(m, read, done)
        self._exec(m, done)
        self._observe(m)
        return m

    def _units(self, m: Module) -> None:
        p = self.p
        self.states = {name: self._state(name, p.lanes * bits) for name, bits in p.state_bits.items()}
        self.weights = Table(p.weight_bases[-1], p.lanes, p.weight_bits, p.weight_image())
        self.bias = self._bias()
        m.submodules.fifo = self.fifo = Fifo(p.token, p.run.core.fifo_depth)
        m.submodules.address_generator = self.addresses = self._addresses()
        m.submodules.sequencer = self.sequencer = self._sequencer()
        m.submodules.issue = self.issue = Issue(p)
        m.submodules.serialiser = self.serialiser = WordWriter(p) if p.writes_words else Serialiser(p)
        m.submodules.weights = self.weights
        if self.bias is not None:
            m.submodules.bias = self.bias
        for name, state in self.states.items():
            m.submodules[name] = state
        self.lanes = [self._lane() for _ in range(p.lanes)]
        for i, lane in enumerate(self.lanes):
            m.submodules[f"lane{i}"] = lane

    # What a core of another dataflow builds in their place.

    def _bias(self) -> Table | None:
        image = self.p.bias_image()
        return Table(len(image), self.p.lanes, self.p.bias_bits, image) if image else None

    def _addresses(self) -> AddressGenerator:
        return AddressGenerator(self.p)

    def _sequencer(self) -> Sequencer:
        return Sequencer(self.p)

    def _lane(self) -> Lane:
        return Lane(self.p)

    def _state(self, name: str, bits: int) -> State | FlagState | SinglePortState:
        """R23 is about potentials and currents; the flags keep their two ports."""
        if self.p.masks_first and name == "mask":
            return FlagState(self.p.words, bits, self.p.run.core.bypass)
        if self.p.single_port and name != "mask":
            return SinglePortState(self.p.words, bits)
        return State(self.p.words, bits, self.p.run.core.bypass)

    def _front(self, m: Module) -> None:
        """Token in, operation out."""
        fifo, addresses, sequencer = self.fifo, self.addresses, self.sequencer
        connect(m, flipped(self.tokens), fifo.pushed)
        connect(m, fifo.head, sequencer.head)
        connect(m, sequencer.operation, self.issue.operation)
        m.d.comb += [
            addresses.token.eq(fifo.head.payload), addresses.advance.eq(sequencer.advance),
            sequencer.touches.eq(addresses.touches), sequencer.last.eq(addresses.last),
            sequencer.event_word.eq(addresses.word), sequencer.event_row.eq(addresses.row),
            sequencer.event_synapses.eq(addresses.synapses),
            sequencer.start.eq(self.start), sequencer.clear.eq(self.clear), sequencer.eots.eq(self.eots),
            sequencer.finished.eq(self.done),
            # R8: the cycle after the last slot, the last EXEC and the last spike.
            self.done.eq(sequencer.draining & ~self.issue.executing & ~self.serialiser.busy),
        ]

    def _memories(self, m: Module, read: Effects, done: Effects) -> None:
        """ISSUE reads, EXEC writes; between runs the host has the ports."""
        offered, executed, issued = self.sequencer.operation.payload, self.issue.executed, self.issue.issued
        idle = self.sequencer.idle
        self.mask_written = wire(m, "mask_written", self._writes_mask())
        completes = self.issue.completes
        ports = {"membrane": (read.reads_membrane, done.writes_membrane), "current": (read.reads_current, done.writes_current),
                 "mask": (read.reads_mask, self.mask_written)}
        for name, state in self.states.items():
            reads, writes = ports[name]
            chosen = self.host.select == HostMemory[name.upper()]
            m.d.comb += [
                state.read.eq(Mux(idle, self.host.read & chosen, issued & reads)),
                state.read_address.eq(Mux(idle, self.host.address, offered.word)),
                state.write.eq(Mux(idle, self.host.write & chosen, completes & writes)),
                state.write_address.eq(Mux(idle, self.host.address, executed.word)),
            ]
        self._table(m, self.weights, HostMemory.WEIGHT, issued & read.reads_weights, offered.weight_row)
        self._read_bias(m, read)
        self._host_word(m)

    def _read_bias(self, m: Module, read: Effects) -> None:
        if self.bias is not None:
            base = Mux(read.reads_addend, self.p.addend_base, 0)
            self._table(m, self.bias, HostMemory.BIAS, self.issue.issued & read.reads_bias,
                        self.sequencer.operation.payload.word + base)

    def _table(self, m: Module, table: Table, select: HostMemory, reads: Value, address: Value) -> None:
        idle, chosen = self.sequencer.idle, self.host.select == select
        m.d.comb += [
            table.read.eq(Mux(idle, self.host.read & chosen, reads)),
            table.read_address.eq(Mux(idle, self.host.address, address)),
            table.write.eq(idle & self.host.write & chosen), table.write_address.eq(self.host.address),
            table.written.as_value().eq(self.host.written),
        ]

    def _host_word(self, m: Module) -> None:
        words = {name: state.word for name, state in self.states.items()} | {"weight": self.weights.word.as_value()}
        bias = self._bias_word(m)
        if bias is not None:
            words["bias"] = bias
        with m.Switch(self.host.select):
            for name, word in words.items():
                with m.Case(HostMemory[name.upper()]):
                    m.d.comb += self.host.word.eq(word)

    def _bias_word(self, m: Module) -> Value | None:
        """What the host reads of the bias memory, if there is one."""
        return self.bias.word.as_value() if self.bias is not None else None

    def _lane_bias(self, lane: int) -> Value | None:
        """What a lane is given of it."""
        return self.bias.word[lane] if self.bias is not None else None

    def _writes_mask(self) -> Value:
        """A1: a clear, a mask operation, or a `fire_once` operation in which a neuron fired."""
        executed, kind = self.issue.executed, self.issue.executed.kind
        fired = Value.cast(0)
        for lane in self.lanes:
            fired = fired | lane.sends
        return (kind == Kind.CLEAR) | (kind == Kind.MASK) | ((kind == Kind.FIRE) & executed.fire_once & fired)

    def _exec(self, m: Module, done: Effects) -> None:
        """The lanes between the memories' outputs, their write ports and the serialiser."""
        p, issue, serialiser = self.p, self.issue, self.serialiser
        words = {name: Signal(data.ArrayLayout(signed(len(state.word) // p.lanes), p.lanes), name=f"next_{name}")
                 for name, state in self.states.items()}
        for i, lane in enumerate(self.lanes):
            m.d.comb += [
                lane.operation.eq(issue.executed), lane.active.eq(issue.executed.active[i] & issue.executing),
                lane.weight.eq(self.weights.word[i]), serialiser.fired[i].eq(lane.sends),
                serialiser.levels[i].eq(lane.level),
            ]
            for name, state in self.states.items():
                width = len(state.word) // p.lanes
                port, after = ("off", "next_off") if name == "mask" else (self._port(name), f"next_{self._port(name)}")
                operand = self._operand(name).word_select(i, width)
                m.d.comb += [getattr(lane, port).eq(operand), words[name][i].eq(getattr(lane, after))]
            bias = self._lane_bias(i)
            if bias is not None:
                m.d.comb += lane.bias.eq(bias)
        written = self._written(m, {name: word.as_value() for name, word in words.items()})
        for name, state in self.states.items():
            m.d.comb += state.written.eq(Mux(self.sequencer.idle, self.host.written, written[name]))
        if self.p.masks_first:
            self._look_first(m, words["mask"].as_value())
        m.d.comb += [
            issue.hold.eq(done.sends & ~serialiser.ready), serialiser.take.eq(issue.completes & done.sends),
            serialiser.position.eq(issue.executed.position), serialiser.number.eq(issue.executed.number),
        ]
        connect(m, serialiser.spikes, flipped(self.spikes))

    def _look_first(self, m: Module, made: Value) -> None:
        """R25: the flags of the word offered, or those that EXEC makes in this cycle, before anything else is read."""
        offered, executed, flags = self.sequencer.operation.payload, self.issue.executed, self.states["mask"]
        assert isinstance(flags, FlagState)
        m.submodules.mask_check = check = MaskCheck(self.p.lanes, self.p.words)
        m.d.comb += [
            check.active.eq(self._real_lanes(offered.word)), check.word.eq(offered.word), check.off.eq(flags.now),
            check.writes.eq(self.issue.completes & may_write_flags(executed)), check.written_word.eq(executed.word),
            check.written.eq(made), self.issue.quiet.eq(check.skip), self.issue.on.eq(check.on),
        ]

    def _real_lanes(self, word: Value) -> Value:
        """Lanes of a word that hold a neuron."""
        p = self.p
        last = (1 << (p.run.channels[1] - (p.run.groups[1] - 1) * p.lanes)) - 1
        return Mux(word % p.group_span == p.group_span - 1, last, (1 << p.lanes) - 1)

    def _operand(self, name: str) -> Value:
        """The word that the lanes work on."""
        return self.states[name].word

    def _written(self, m: Module, made: dict[str, Value]) -> dict[str, Value]:
        """What the memories take of what the lanes made."""
        return made

    @staticmethod
    def _port(name: str) -> str:
        return {"membrane": "potential", "current": "current"}[name]

    def _operation_begins(self) -> Value:
        """An operation issues, in its first slot."""
        return self.issue.issued

    def _observe(self, m: Module) -> None:
        """Nothing in here drives the machine: it says what the machine does."""
        sequencer, issue = self.sequencer, self.issue
        m.submodules.monitor = self.monitor = monitor = ActivityMonitor(self.p)
        offered = sequencer.operation.payload
        token_slot = wire(m, "token_slot", sequencer.skip | sequencer.eot)
        m.d.comb += [
            self.slot.valid.eq(self._operation_begins() | token_slot),
            self.slot.kind.eq(Mux(sequencer.eot, Kind.EOT, Mux(sequencer.skip, Kind.SKIP, offered.kind))),
            self.slot.word.eq(offered.word),
            monitor.push.eq(self.tokens.valid & self.tokens.ready),
            monitor.pop.eq(sequencer.head.valid & sequencer.head.ready),
            monitor.offered.eq(offered), monitor.issued.eq(issue.issued), monitor.hazard.eq(issue.hazard),
            monitor.tag.eq(sequencer.tag), monitor.token_slot.eq(token_slot),
            monitor.first_of_shifted_pass.eq(sequencer.first_of_pass & sequencer.shifts_threshold),
            monitor.executed.eq(issue.executed), monitor.executing.eq(issue.executing),
            monitor.completes.eq(issue.completes), monitor.fired.eq(self.serialiser.fired),
            monitor.mask_written.eq(self.mask_written & self.p.flagged),
            *(monitor.lanes[i].eq(lane.activity) for i, lane in enumerate(self.lanes)),
            self.activity.eq(monitor.activity),
        ]
        if self.p.masks_first:
            skipped = self.issue.skipped
            m.d.comb += [
                self.slot.quiet.eq(skipped), monitor.skipped.eq(skipped), monitor.flags_meet.eq(self.issue.flags_meet)]
            with m.If(skipped):
                m.d.comb += [self.slot.valid.eq(1), self.slot.kind.eq(Kind.SKIP)]
