"""ODIN's logic as hardware, unit by unit, written from rules O1 to O8 (docs/odin.md): what the table of synthesised logic prices.

The neuron's arithmetic, the controller with its input link, the output link, the signs of the sources, and the step of a
bistability event. The scheduler is a FIFO as the event core has one, of 32 entries of 13 bits. Not here, as not modelled: the SPI
bus with its registers but the signs, online learning, and Izhikevich neurons.
"""

from __future__ import annotations

from typing import Any

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

SOURCES, PER_WORD, SYNAPSE_BITS = 256, 8, 4
ENTRY_BITS = 13  # what a virtual event does in 5 bits, an address in 8


class State(enum.Enum):
    """Of the controller."""

    WAITS = 0
    TIME_REFERENCE = 1
    BISTABILITY = 2
    SYNAPSE = 3
    PUSH = 4
    POP_NEURON = 5
    POP_VIRTUAL = 6
    REQUEST_FALLS = 7


class OdinNeuron(wiring.Component):
    """O1: what is written back for what was read, and whether it fires. Gates only: the memory holds what it read."""

    def __init__(self) -> None:
        super().__init__({
            "potential": In(8), "threshold": In(8), "leak": In(7), "leak_enabled": In(1), "disabled": In(1),
            "word": In(PER_WORD * SYNAPSE_BITS), "place": In(3), "inhibitory": In(1), "propagate_unmapped": In(1),
            "virtual": In(5), "time_reference": In(1), "written": Out(8), "spikes": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        synapse, is_virtual = Signal(SYNAPSE_BITS), self.virtual.any()
        m.d.comb += synapse.eq(self.word.word_select(self.place, SYNAPSE_BITS))
        stored = Mux(synapse[3] | self.propagate_unmapped, synapse[:3], 0)
        weight, leaks, subtracts = Signal(7), Signal(), Signal()
        m.d.comb += [
            leaks.eq(Mux(is_virtual, self.virtual[0], self.time_reference)),
            subtracts.eq(leaks | Mux(is_virtual, self.virtual[1], self.inhibitory)),
            weight.eq(Mux(leaks, Mux(self.leak_enabled, self.leak, 0), Mux(is_virtual, self.virtual[2:], stored))),
        ]
        # One adder: subtracting adds the complement and one. Bit 8 says that the sum left the range, upwards or downwards.
        added, clipped = Signal(9), Signal(8)
        m.d.comb += [
            added.eq(self.potential + (Cat(weight, C(0, 1)) ^ subtracts.replicate(8)) + subtracts),
            clipped.eq(Mux(added[8] == subtracts, added[:8], Mux(subtracts, 0, 255))),
        ]
        fires = Signal()
        m.d.comb += [fires.eq(clipped >= self.threshold), self.written.eq(Mux(fires, 0, clipped)),
                     self.spikes.eq(fires & ~self.disabled)]
        return m


class OdinController(wiring.Component):
    """O2 to O6: decides what comes next, walks over neurons or words, and answers the sender."""

    def __init__(self) -> None:
        super().__init__({
            "request": In(1), "address": In(17), "empty": In(1), "full": In(1), "head": In(ENTRY_BITS), "link_busy": In(1),
            "acknowledge": Out(1), "neuron": Out(8), "reads": Out(1), "writes": Out(1),
            "synapse_word": Out(13), "reads_word": Out(1), "writes_word": Out(1), "source": Out(8), "virtual": Out(5),
            "time_reference": Out(1), "push": Out(1), "pushed": Out(ENTRY_BITS), "pop": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        state, count = Signal(State), Signal(14)  # the lowest bit of the count tells a write from a read
        latches = Signal(2)
        m.d.sync += latches.eq(Cat(self.request, latches))
        seen = latches[1]
        walks, writing, last = Signal(), count[0], Signal()
        m.d.comb += walks.eq((state != State.WAITS) & (state != State.PUSH) & (state != State.REQUEST_FALLS))
        for_one, low, high = self.address[7], self.address[:8], self.address[8:16]
        held = self.link_busy & (state != State.BISTABILITY)
        with m.If(state == State.WAITS):
            m.d.sync += count.eq(0)
        with m.Elif(walks & ~(held & ~writing)):
            m.d.sync += count.eq(count + 1)
        self._decide(m, state, seen)
        ended = Signal()
        m.d.comb += ended.eq(walks & writing & last)
        with m.Switch(state):
            with m.Case(State.TIME_REFERENCE):
                m.d.comb += [last.eq(for_one | count[1:9].all()), self.neuron.eq(Mux(for_one, high, count[1:9])),
                             self.time_reference.eq(1)]
            with m.Case(State.BISTABILITY):
                m.d.comb += [last.eq(Mux(for_one, count[1:6].all(), count[1:].all())),
                             self.synapse_word.eq(Mux(for_one, Cat(count[1:6], high), count[1:]))]
            with m.Case(State.SYNAPSE):
                m.d.comb += [last.eq(1), self.neuron.eq(low), self.source.eq(high), self.synapse_word.eq(Cat(low[3:], high))]
            with m.Case(State.POP_NEURON):
                m.d.comb += [last.eq(count[1:9].all()), self.neuron.eq(count[1:9]), self.source.eq(self.head[:8]),
                             self.synapse_word.eq(Cat(count[4:9], self.head[:8]))]
            with m.Case(State.POP_VIRTUAL):
                m.d.comb += [last.eq(1), self.neuron.eq(self.head[:8]), self.virtual.eq(self.head[8:])]
        pops = (state == State.POP_NEURON) | (state == State.POP_VIRTUAL)
        with m.If(ended):
            m.d.sync += state.eq(Mux(pops, State.WAITS, State.REQUEST_FALLS))
        with m.If(state == State.PUSH):
            m.d.sync += state.eq(State.REQUEST_FALLS)
        with m.If((state == State.REQUEST_FALLS) & ~seen):
            m.d.sync += state.eq(State.WAITS)
        touches = walks & (state != State.BISTABILITY)
        first_of_word = (state == State.SYNAPSE) | ((state == State.POP_NEURON) & (count[1:4] == 0))
        uses_word = (state == State.BISTABILITY) | first_of_word
        m.d.comb += [
            self.acknowledge.eq(state == State.REQUEST_FALLS), self.push.eq(state == State.PUSH),
            self.pushed.eq(Cat(high, low[3:])), self.pop.eq(ended & pops),
            self.reads.eq(touches & ~writing), self.writes.eq(touches & writing),
            self.reads_word.eq(uses_word & ~writing), self.writes_word.eq(uses_word & writing),
        ]
        return m

    def _decide(self, m: Module, state: Any, seen: Any) -> None:
        """O3 and O5: a full scheduler, an input that is seen, a scheduler that is not empty, a bistability event."""
        is_synapse, low = self.address[16], self.address[:7]
        bistable = ~is_synapse & ~low.any()
        popped = Mux(self.head[8:].any(), State.POP_VIRTUAL, State.POP_NEURON)
        taken = Mux(is_synapse, State.SYNAPSE, Mux(low.all(), State.TIME_REFERENCE, State.PUSH))
        with m.If((state == State.WAITS) & ~self.link_busy):
            with m.If(self.full):
                m.d.sync += state.eq(popped)
            with m.Elif(seen & ~bistable):
                m.d.sync += state.eq(taken)
            with m.Elif(~self.empty):
                m.d.sync += state.eq(popped)
            with m.Elif(seen):
                m.d.sync += state.eq(State.BISTABILITY)


class OdinLink(wiring.Component):
    """O7: the output's four phases."""

    def __init__(self) -> None:
        super().__init__({"spikes": In(1), "neuron": In(8), "acknowledge": In(1), "request": Out(1), "address": Out(8),
                          "busy": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        latches = Signal(3)
        m.d.sync += latches.eq(Cat(self.acknowledge, latches))
        with m.If(self.spikes):
            m.d.sync += [self.request.eq(1), self.busy.eq(1), self.address.eq(self.neuron)]
        with m.Elif(latches[1]):
            m.d.sync += self.request.eq(0)
        with m.Elif(latches[2]):
            m.d.sync += self.busy.eq(0)
        return m


class OdinSigns(wiring.Component):
    """O1: the sign of each source, and the choice of that of the source at work."""

    def __init__(self) -> None:
        super().__init__({"given": In(8), "byte": In(5), "writes": In(1), "source": In(8), "inhibitory": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        signs = Signal(SOURCES)
        with m.If(self.writes):
            m.d.sync += signs.word_select(self.byte, 8).eq(self.given)
        m.d.comb += self.inhibitory.eq(signs.bit_select(self.source, 1))
        return m


class OdinBistability(wiring.Component):
    """O5: a synapse word after a bistability event, or, without one, as it was."""

    def __init__(self) -> None:
        bits = PER_WORD * SYNAPSE_BITS
        super().__init__({"word": In(bits), "moves": In(1), "update_unmapped": In(1), "written": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for place in range(PER_WORD):
            here = slice(place * SYNAPSE_BITS, (place + 1) * SYNAPSE_BITS)
            synapse = self.word[here]
            weight = synapse[:3]
            at_end = Mux(weight[2], weight.all(), ~weight.any())
            moved = Signal(3, name=f"moved_{place}")
            m.d.comb += moved.eq(weight + Mux(weight[2], 1, -1))
            still = at_end | ~(synapse[3] | self.update_unmapped) | ~self.moves
            m.d.comb += self.written[here].eq(Cat(Mux(still, weight, moved), synapse[3]))
        return m
