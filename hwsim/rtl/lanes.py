"""The lanes: one neuron's arithmetic in one EXEC cycle (R10 to R18), `lanes` times side by side.

Operands are isolated: what a lane does not need in a cycle is held at zero in front of the adder, multiplier or comparator, so
the arithmetic toggles exactly as often as it is counted. Every step saturates, and every clipped step is reported.
"""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hwsim.passes import DECAY_WHOLE
from hwsim.rtl.decay import Decay
from hwsim.rtl.operation import Kind, operation_layout
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.wires import saturate, total, wire

LANE_EVENTS = ("acc_add", "mult", "weight_shift", "membrane_shift", "bias_add", "leak", "cmp", "reset_sub", "reset_zero",
               "requant", "saturations", "operands")
LANE_ACTIVITY = data.StructLayout({
    name: unsigned({"bias_add": 2, "saturations": 3}.get(name, 1)) for name in LANE_EVENTS})


def lane_events(p: Parameters) -> tuple[str, ...]:
    """What a lane can count: a decay, where it has the multiplier of one."""
    return (*LANE_EVENTS, *(("decay",) if p.decays else ()))


def lane_activity(p: Parameters) -> data.StructLayout:
    """Merged tokens add several terms per slot; `accumulates` then tells that the lane works in one."""
    decays = {"decay": unsigned(2)} if p.decays else {}
    if not p.run.merged:
        return data.StructLayout({**LANE_ACTIVITY.members, **decays})
    more = {name: unsigned(bits_for(p.run.core.adders)) for name in ("acc_add", "weight_shift")}
    return data.StructLayout({**LANE_ACTIVITY.members, **decays, **more, "accumulates": unsigned(1)})


class Lane(wiring.Component):
    """
    operation     what EXEC does; `active`: this lane works in it.
    weight, potential, current, bias, off   what the memories gave; `off` is the neuron's flag (R16).
    next_*        what is written back.      sends, level   a spike, or a requant level above zero.
    activity      what the lane did, once a cycle; `operands` counts uses of its potential register outside accumulations (A3).
    """

    def __init__(self, p: Parameters) -> None:
        self.p = p
        potential, current = signed(p.run.potential_bits), signed(p.run.current_bits)
        super().__init__({
            "operation": In(operation_layout(p)), "active": In(1), "weight": In(signed(p.weight_bits)),
            "potential": In(potential), "current": In(current), "bias": In(signed(p.bias_bits)), "off": In(1),
            "next_potential": Out(potential), "next_current": Out(current), "next_off": Out(1),
            "sends": Out(1), "level": Out(p.level_shape), "activity": Out(lane_activity(p)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        kind = self.operation.kind
        self.clips: list[Value] = []
        uses_flag = self.operation.masked | self.operation.fire_once if self.p.flagged else Const(0)
        on = wire(m, "on", self.active & ~(self.off & uses_flag))
        is_ = {name: wire(m, f"does_{name}", self.active & (kind == Kind[name.upper()]))
               for name in ("accumulate", "shift", "readout", "requant", "mask")}
        fires = wire(m, "fires", on & (kind == Kind.FIRE))
        accumulated = self._accumulate(m, is_["accumulate"])
        doubled = self._step(m, "doubled", Mux(is_["shift"], self.potential, 0) * 2)
        added = self._add(m, fires, is_["readout"])
        fired = wire(m, "fired", fires & (added >= self.operation.threshold))
        left = self._reset_and_leak(m, fires, fired, added)
        self._requantise(m, is_["requant"])
        with m.If(fired):
            m.d.comb += self.sends.eq(1)
        self._write_back(m, fired, accumulated, doubled, added, left)
        m.d.comb += [
            self.activity.membrane_shift.eq(is_["shift"]), self.activity.cmp.eq(fires | is_["mask"]),
            self.activity.operands.eq(fires | is_["shift"] | is_["mask"] | is_["readout"] | is_["requant"]),
            self.activity.saturations.eq(total(self.clips)),
        ]
        return m

    def _step(self, m: Module, name: str, value: Value) -> Signal:
        """One step of potential arithmetic: saturated, its clipping remembered."""
        result, clipped = saturate(m, name, value, self.p.run.potential_bits)
        self.clips.append(clipped)
        return result

    def _accumulate(self, m: Module, active: Signal) -> Signal:
        """V (or, for a direct table, the current) plus weight, times payload, times the weight of the plane (R11, R12)."""
        p, operation, table = self.p, self.operation, self.p.run.table
        multiplies = wire(m, "multiplies", active & operation.has_payload)
        adds_spike = wire(m, "adds_spike", active & ~operation.has_payload)
        product = wire(m, "product", Mux(multiplies, self.weight, 0) * Mux(multiplies, operation.payload, 0))
        plain = wire(m, "plain", Mux(adds_spike, self.weight, 0) << table.spike_shift)
        synapse = wire(m, "synapse", Mux(multiplies, product, plain))
        weighed = wire(m, "weighed", synapse << operation.plane if table.weigh_planes else synapse)
        shifted = adds_spike if table.spike_shift else Const(0)
        if table.weigh_planes:
            shifted = shifted | (active & (operation.plane > 0))
        m.d.comb += [
            self.activity.acc_add.eq(active), self.activity.mult.eq(multiplies), self.activity.weight_shift.eq(shifted)]
        if not p.direct:
            return self._step(m, "accumulated", Mux(active, self.potential, 0) + weighed)
        result, clipped = saturate(m, "accumulated", Mux(active, self.current, 0) + weighed, p.run.current_bits)
        self.clips.append(clipped)
        return result

    def _add(self, m: Module, fires: Signal, reads_out: Signal) -> Signal:
        """V plus addend, then plus current, as the pass and the table have them (R10)."""
        works = wire(m, "adds_to", fires | reads_out)
        adds = wire(m, "adds", works & self.operation.add)
        added = Mux(works, self.potential, 0)
        if self.p.has_addend:
            added = self._step(m, "with_addend", added + Mux(adds, self.bias, 0))
        if self.p.direct:
            added = self._step(m, "with_current", added + Mux(adds, self.current, 0))
        times = int(self.p.has_addend) + int(self.p.direct)
        m.d.comb += self.activity.bias_add.eq(Mux(adds, times, 0))
        return wire(m, "added", added)

    def _reset_and_leak(self, m: Module, fires: Signal, fired: Signal, added: Signal) -> Signal:
        """Subtract the compared threshold or write zero; then leak. Who fires its only spike is switched off instead."""
        table = self.p.run.table
        switched_off = wire(m, "switched_off", fired & self.operation.fire_once if self.p.flagged else Const(0))
        resets = wire(m, "resets", fired & ~switched_off)
        if table.reset == "soft":
            left = self._step(m, "reset", added - Mux(resets, self.operation.threshold, 0))
        else:
            left = wire(m, "reset", Mux(resets, 0, added))
        stays_on = wire(m, "stays_on", fires & ~switched_off)
        if table.leak_shift is not None:
            left = self._step(m, "leaked", left - (Mux(stays_on, left, 0) >> table.leak_shift))
        m.d.comb += [
            self.activity.reset_sub.eq(resets & (table.reset == "soft")),
            self.activity.reset_zero.eq(resets & (table.reset == "hard")),
            self.activity.leak.eq(stays_on & (table.leak_shift is not None)),
        ]
        if table.decay:
            left = self._decayed(m, "decay", stays_on, left, table.decay)
        if self.p.decays:
            m.d.comb += self.activity.decay.eq(Mux(stays_on, self.p.decays, 0))
        if table.current_decay:
            kept = Const(0) if table.current_decay == DECAY_WHOLE else self._decayed(
                m, "current_decay", stays_on, self.current, table.current_decay)
            self.current_left = wire(m, "current_left", Mux(stays_on, kept, self.current))
        return wire(m, "left", Mux(stays_on, left, 0))

    def _decayed(self, m: Module, name: str, works: Value, value: Value, decay: int) -> Value:
        """What a decay leaves of a state, by a multiplier of its own."""
        m.submodules[name] = unit = Decay(len(value))
        m.d.comb += [unit.value.eq(Mux(works, value, 0)), unit.factor.eq(DECAY_WHOLE - decay)]
        return unit.kept

    def _requantise(self, m: Module, active: Signal) -> None:
        """clip(V // threshold, 0, max_level): a level above zero is sent; V is not written (R15)."""
        if not self.p.sends_levels:
            return
        top = self.p.run.table.max_level
        positive = wire(m, "positive", Mux(active & (self.potential > 0), self.potential, 0).as_unsigned())
        quotient = wire(m, "quotient", positive // self.operation.threshold.as_unsigned())
        level = wire(m, "requantised", Mux(quotient > top, top, quotient))
        m.d.comb += [self.level.eq(level), self.activity.requant.eq(active)]
        with m.If(active & (level > 0)):
            m.d.comb += self.sends.eq(1)

    def _write_back(
        self, m: Module, fired: Signal, accumulated: Signal, doubled: Signal, added: Signal, left: Signal
    ) -> None:
        """Choose what goes to each memory. A lane that does not accumulate writes back what it read."""
        p, table = self.p, self.p.run.table
        initial = self.bias if p.fetches_initial else Const(int(table.initial.flat[0]), signed(p.bias_bits))
        m.d.comb += [self.next_potential.eq(self.potential), self.next_current.eq(self.current)]
        with m.Switch(self.operation.kind):
            with m.Case(Kind.CLEAR):
                m.d.comb += [self.next_potential.eq(initial), self.next_current.eq(0)]
            with m.Case(Kind.ACCUMULATE):
                with m.If(self.active):
                    m.d.comb += (self.next_current if p.direct else self.next_potential).eq(accumulated)
            with m.Case(Kind.SHIFT):
                m.d.comb += self.next_potential.eq(doubled)
            with m.Case(Kind.FIRE):
                m.d.comb += self.next_potential.eq(left)
                if table.current_decay:
                    m.d.comb += self.next_current.eq(self.current_left)
                if p.flagged:
                    m.d.comb += self.next_off.eq(self.off | (fired & self.operation.fire_once))
            with m.Case(Kind.READOUT):
                m.d.comb += self.next_potential.eq(added)
            with m.Case(Kind.MASK):
                m.d.comb += [self.next_potential.eq(initial), self.next_off.eq(self.active & (self.potential < 0))]
            with m.Case(Kind.REINITIALISE):
                m.d.comb += self.next_potential.eq(initial)
