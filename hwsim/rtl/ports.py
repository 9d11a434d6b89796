"""The core behind plain ports: what an exported core looks like from outside, one wire a meaning.

A HardwareCore (core.py) speaks in structures and streams; Verilog has neither. PortedCore gives each field a port of its own, and
leaves out what the layer cannot use: the connection where there is one only, payloads where no event has one (and with them,
after synthesis, the multipliers), levels where nothing is requantised, the activity strobes unless they are asked for. A core
whose memories do not hold the states after a run (R19, R24) has `kept_*` besides, so that somebody can look at them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from amaranth import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwsim.rtl.core import HostMemory
from hwsim.rtl.cores import core_for
from hwsim.rtl.flow_core import FlowCore
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.sequencer import EOT_COUNT_BITS


@dataclass(frozen=True, eq=False)
class ExportParameters(Parameters):
    """Parameters whose weight memory is as wide as the architecture's, whatever this layer's weights need."""

    memory_weight_bits: int = 1

    @cached_property
    def weight_bits(self) -> int:
        return max(self.memory_weight_bits, super().weight_bits)


@dataclass(frozen=True)
class Port:
    """One port: its name, whether it is an input of the core, its bits, what it means."""

    name: str
    is_input: bool
    bits: int
    meaning: str


class PortedCore(wiring.Component):
    """`payloads`: events carry payloads. `activity`: the strobes and slots are ports too."""

    def __init__(self, p: Parameters, payloads: bool, activity: bool = False) -> None:
        self.p, self.core = p, core_for(p)
        self._wires = list(self._all(payloads, activity))
        super().__init__({port.name: (In if port.is_input else Out)(port.bits) for port, _ in self._wires})

    @property
    def ports(self) -> list[Port]:
        return [port for port, _ in self._wires]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = self.core
        for port, inner in self._wires:
            outer = getattr(self, port.name)
            m.d.comb += inner.eq(outer) if port.is_input else outer.eq(inner)
        return m

    def _all(self, payloads: bool, activity: bool) -> Iterator[tuple[Port, Value]]:
        yield from self._control()
        yield from self._tokens(payloads)
        yield from self._spikes()
        yield from self._host()
        if not self.p.memories_tell:
            yield from self._kept()
        if activity:
            yield from self._activity()

    def _control(self) -> Iterator[tuple[Port, Value]]:
        core = self.core
        yield Port("start", True, 1, "begin a run: cycle 0 of it; taken when no run is on or one is done"), core.start
        yield Port("clear", True, 1, "with start: the run begins with a clear (R1)"), core.clear
        whose = "of each visit" if self.p.gathers else "of the run"
        yield Port("eots", True, EOT_COUNT_BITS, f"with start: end-of-timestep marks (EOT) {whose}"), core.eots
        yield Port("done", False, 1, "high in the cycle `done` of R8; the core is idle from the next one on"), core.done

    def _tokens(self, payloads: bool) -> Iterator[tuple[Port, Value]]:
        merged = self.p.run.merged
        pattern = "which planes the neuron spikes in, bit n for plane n (R21)"
        stream, meaning = self.core.tokens, {
            "eot": "the token is an EOT; the fields below do not matter", "connection": "which connection the event belongs to",
            "c": "source channel", "y": "source row", "x": "source column",
            "has_payload": "the event carries a payload" + (", not a pattern of planes" if merged else ""),
            "payload": (f"the payload, two's complement; without one, {pattern}" if merged and payloads else pattern if merged
                        else "the payload, two's complement"),
        }
        yield Port("token_valid", True, 1, "a token is offered; it is pushed in a cycle with valid and ready (R2)"), stream.valid
        yield Port("token_ready", False, 1, "the FIFO has room"), stream.ready
        left_out = set() if payloads else {"has_payload"} if merged else {"has_payload", "payload"}
        left_out |= {"connection"} if len(self.p.run.connections) == 1 else set()
        for name, field in self.p.token:
            if name not in left_out:
                yield Port(f"token_{name}", True, field.width, meaning[name]), Value.cast(stream.payload[name])

    def _spikes(self) -> Iterator[tuple[Port, Value]]:
        stream, words = self.core.spikes, self.p.writes_words
        meaning = {
            "number": "fire and requant passes since the last EOT, from 0 (R9)", "c": "channel of the neuron", "y": "its row",
            "x": "its column", "level": "the requantised value (R15)", "fired": "the lanes that spike (R22)",
            "levels": "their requantised values, lane 0 lowest (R15)",
        }
        if words:
            yield Port("spike_valid", False, 1, "a word's spikes are written, all at once; nothing waits (R22)"), stream.valid
            meaning |= {"c": "channel of lane 0", "y": "row of the word", "x": "its column"}
        else:
            yield Port("spike_valid", False, 1, "a spike leaves; it is gone in a cycle with valid and ready (R7)"), stream.valid
            yield Port("spike_ready", True, 1, "the receiver takes it; R7 counts on 1"), stream.ready
        for name, _ in self.p.sent:
            if name not in ("level", "levels") or self.p.sends_levels:
                value = Value.cast(stream.payload[name])
                yield Port(f"spike_{'pass' if name == 'number' else name}", False, len(value), meaning[name]), value

    def _host(self) -> Iterator[tuple[Port, Value]]:
        host = self.core.host
        widest = self.p.lanes * max(bits for _, bits in self.memories.values())
        there = [f"{HostMemory[name.upper()].value} {name}" for name in self.memories]
        yield Port("host_select", True, len(Value.cast(host.select)), f"a memory: {', '.join(there)}"), Value.cast(host.select)
        yield Port("host_address", True, len(host.address), "its word"), host.address
        yield Port("host_read", True, 1, "read it; while no run is on"), host.read
        yield Port("host_write", True, 1, "write it; while no run is on"), host.write
        yield Port("host_write_data", True, widest, "lanes side by side, lane 0 lowest; high bits unused"), host.written
        yield Port("host_read_data", False, widest, "the word, in the cycle after host_read and until the next read"), host.word

    def _kept(self) -> Iterator[tuple[Port, Value]]:
        assert isinstance(self.core, FlowCore)
        kept = self.core.kept
        yield Port("kept_word", False, len(Value.cast(kept.word)), "the word that EXEC is done with in this cycle"), kept.word
        for name, bits in self.p.state_bits.items():
            yield Port(f"kept_seen_{name}", False, 1, f"its part of the {name} memory is known in this cycle"), kept.seen[name]
            yield Port(f"kept_{name}", False, self.p.lanes * bits, "as the operation leaves it; lane 0 lowest"), kept[name]

    def _activity(self) -> Iterator[tuple[Port, Value]]:
        slot, activity = self.core.slot, self.core.activity
        for name in ("valid", "kind", "word"):
            yield Port(f"slot_{name}", False, len(Value.cast(slot[name])), "what issues in this cycle"), Value.cast(slot[name])
        for name, field in activity.shape():
            yield Port(f"activity_{name}", False, field.width, "how often in this cycle"), Value.cast(activity[name])

    @cached_property
    def memories(self) -> dict[str, tuple[int, int]]:
        """By HostMemory's name: words, bits a lane."""
        p, bias = self.p, len(self.p.bias_image())
        found = {"membrane": (p.words, p.run.potential_bits), "weight": (p.weight_bases[-1], p.weight_bits)}
        found |= {"current": (p.words, p.run.current_bits)} if p.direct else {}
        found |= {"mask": (p.words, 1)} if p.flagged else {}
        return found | ({"bias": (bias, p.bias_bits)} if bias else {})
