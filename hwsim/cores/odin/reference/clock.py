"""The clock: every cycle has four phases in which units act, and a register shows a new value from the next cycle on.

PINS is the world outside the chip, which may answer within a cycle. DATAPATH is the neurons and the synapses, CONTROL the state
machines that see in the same cycle what the datapath does. EDGE ends the cycle: registers take their next value. Units that act
in the same phase share registers only, so their order cannot matter. Unit: cycles.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

Steps = Generator[simpy.Event, Any, Any]
PINS, DATAPATH, CONTROL, EDGE = range(4)
PHASES = 4


class Clock(simpy.Environment):
    """A SimPy environment whose time counts phases; `now_cycle` is the cycle."""

    def __init__(self) -> None:
        super().__init__()
        self.registers: list[Register] = []
        self.latches: list[Latches] = []
        self.process(self._edge())

    @property
    def now_cycle(self) -> int:
        return int(self.now) // PHASES

    def next_cycle(self, phase: int) -> simpy.Event:
        """The given phase of the next cycle, for a process to wait for."""
        return self.at(self.now_cycle + 1, phase)

    def at(self, cycle: int, phase: int) -> simpy.Event:
        return self.timeout(cycle * PHASES + phase - int(self.now))

    def _edge(self) -> Steps:
        yield self.at(0, EDGE)
        while True:
            for latches in self.latches:
                latches.sample()
            for register in self.registers:
                register.now = register.next
            yield self.next_cycle(EDGE)


class Register:
    """One bit that changes at the end of a cycle."""

    def __init__(self, clock: Clock) -> None:
        self.now = self.next = False
        clock.registers.append(self)


class Wire:
    """One bit that the world outside drives: it may change within a cycle."""

    def __init__(self) -> None:
        self.high = False


class Latches:
    """A chain of latches behind a wire: what the wire is in a cycle is seen as many cycles later as there are latches."""

    def __init__(self, clock: Clock, wire: Wire, count: int) -> None:
        self.wire = wire
        self.chain = [Register(clock) for _ in range(count)]
        clock.latches.append(self)

    @property
    def seen(self) -> bool:
        return self.chain[-1].now

    def sample(self) -> None:
        """At the end of a cycle: the first takes the wire, each other what the one before it showed."""
        value = self.wire.high
        for register in self.chain:
            register.next, value = value, register.now
