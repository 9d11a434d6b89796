"""Gates simulated for many streams at once, and what their toggles take.

A net is a Python integer whose bit s is its value in stream s. A toggle of a net takes C V^2 / 2, C the input pins that it
drives, and what the driving cell takes inside. Every gate has the same delay, so glitches of unequal paths are counted. Clocked
flip-flops are counted apart: a clock pin takes its energy in each cycle in which it is clocked, which a price list decides. fJ,
at the library's supply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hwsim.rtl.gates.netlist import Bit, Gate, Netlist

Word = Sequence[int]
"""A port's value: for each of its bits, lowest first, an integer of streams."""


class Streams:
    """A netlist at work on `count` streams. Flip-flops begin at zero. `energy_fj` is that of all streams together."""

    def __init__(self, netlist: Netlist, count: int, supply_v: float) -> None:
        self.netlist, self.count, self.mask = netlist, count, (1 << count) - 1
        self.energy_fj = 0.0
        numbers = {net for gate in (*netlist.gates, *netlist.flip_flops) for net in gate.nets.values()}
        numbers |= {bit for bits in (*netlist.inputs.values(), *netlist.outputs.values()) for bit in bits}
        self.values: dict[Bit, int] = dict.fromkeys(numbers, 0) | {"0": 0, "1": self.mask, "x": 0}
        self.toggle_fj = self._toggles(supply_v)
        self._evaluate = self._compiled()
        self._settle()
        self.energy_fj = 0.0

    def step(self, inputs: Mapping[str, Word], clock: bool = True) -> None:
        """Inputs change, gates settle, and then, if `clock`, flip-flops take what they were given."""
        before = dict(self.values)
        for name, word in inputs.items():
            for net, value in zip(self.netlist.inputs[name], word, strict=True):
                self.values[net] = value & self.mask
        self._count(before)
        self._settle()
        if clock and self.netlist.flip_flops:
            before = dict(self.values)
            taken = [(gate, self.values[gate.nets[gate.cell.data]]) for gate in self.netlist.flip_flops]
            for gate, value in taken:
                for pin, net in gate.nets.items():
                    if not gate.cell.pins[pin].is_input:
                        self.values[net] = value if gate.cell.pins[pin].function == "STATE" else ~value & self.mask
            self._count(before)
            self._settle()

    def _settle(self) -> None:
        """Gate delay after gate delay, until nothing moves. The netlist has no loops, so this ends."""
        while True:
            after = self._evaluate(self.values, self.mask)
            moved = {net: value for net, value in after.items() if value != self.values[net]}
            if not moved:
                return
            self.energy_fj += sum(self.toggle_fj.get(net, 0.0) * (value ^ self.values[net]).bit_count()
                                  for net, value in moved.items())
            self.values.update(moved)

    def output(self, name: str) -> list[int]:
        return [self.values[net] for net in self.netlist.outputs[name]]

    def _count(self, before: Mapping[Bit, int]) -> None:
        toggle_fj, values = self.toggle_fj, self.values
        self.energy_fj += sum(fj * (before[net] ^ values[net]).bit_count() for net, fj in toggle_fj.items())

    def _toggles(self, supply_v: float) -> dict[Bit, float]:
        """fJ of a toggle of each net: what its load takes, and what its driver does."""
        loads: dict[Bit, float] = {}
        hidden: dict[Bit, float] = {}
        drivers: dict[Bit, tuple[Gate, str]] = {}
        clocks = {gate.nets[gate.cell.clock] for gate in self.netlist.flip_flops}
        for gate in (*self.netlist.gates, *self.netlist.flip_flops):
            for name, net in gate.nets.items():
                pin = gate.cell.pins[name]
                if pin.is_input:
                    loads[net] = loads.get(net, 0.0) + pin.capacitance_ff
                    hidden[net] = hidden.get(net, 0.0) + pin.hidden_fj
                else:
                    drivers[net] = (gate, name)
        found = {}
        for net in {*loads, *drivers} - clocks - {"0", "1", "x"}:
            load = loads.get(net, 0.0)
            driver = drivers.get(net)
            inside = driver[0].cell.pins[driver[1]].internal_fj(load) if driver else 0.0
            found[net] = load * supply_v**2 / 2 + inside + hidden.get(net, 0.0)
        return found

    def _compiled(self):  # type: ignore[no-untyped-def]
        """All gates, one delay on, as one Python function of the nets' values."""
        names = {net: f"n{net}" for net in self.values if isinstance(net, int)} | {"0": "0", "1": "MASK", "x": "0"}
        used = {net for gate in self.netlist.gates for pin, net in gate.nets.items() if gate.cell.pins[pin].is_input}
        lines = [f"    {names[net]} = V[{net}]" for net in used if isinstance(net, int)]
        result = [f"{net}: {_filled(gate.cell.pins[pin].function, {p: names[n] for p, n in gate.nets.items()})} & MASK"
                  for gate in self.netlist.gates for pin, net in gate.nets.items() if not gate.cell.pins[pin].is_input]
        body = "\n".join(["def evaluate(V, MASK):", *lines, f"    return {{{', '.join(result)}}}"])
        space: dict[str, object] = {}
        exec(compile(body, "<gates>", "exec"), space)
        return space["evaluate"]


def _filled(function: str, pins: Mapping[str, str]) -> str:
    return "(" + re.sub(r"\b[A-Za-z]\w*\b", lambda m: pins.get(m[0], m[0]), function) + ")"
