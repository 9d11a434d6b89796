"""The clock: SimPy time is the cycle, and each cycle has named phases in which the units act. Unit: cycles.

Same-cycle order is a rule of the machine, never of the order in which processes were created. A unit acts in its own
phase only; phases run in the order below. A Signal that wakes a unit merely lets it wait for its next phase: nothing
is read or changed between the wake-up and that phase. No two units that share state act in the same phase, so the
order within a phase cannot matter.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy
from simpy.core import EventPriority

Steps = Generator[simpy.Event, Any, Any]

# SimPy keeps priorities 0 and 1 for starting processes and for signals: both come before the phases of a cycle.
CHIP = EventPriority(2)   # operations of the chip end, those that waited for them are ready
GRANT = EventPriority(3)  # links are granted to the transfers that are ready: all that happens to operations has happened
FEED = EventPriority(4)   # the feeder pushes into the FIFO as the last cycle left it
SEND = EventPriority(5)   # the serialiser sends a spike, and is free again after its last one
ISSUE = EventPriority(6)  # the sequencer issues; memories give what the last cycle left in them (read-first)
EXEC = EventPriority(7)   # the lanes work, memories are written, the serialiser is loaded
MASK = EventPriority(8)   # the sequencer looks at flags, as the cycle leaves them, before it reads anything else (R25)


class Clock(simpy.Environment):
    """A SimPy environment whose integer time is the cycle."""

    def at(self, cycle: int, phase: EventPriority) -> simpy.Event:
        """The given phase of the given cycle, for a process to wait for."""
        return Phase(self, cycle, phase)


class Phase(simpy.Event):
    """A phase of a cycle: a SimPy Timeout with a priority, which SimPy's own does not take."""

    def __init__(self, clock: Clock, cycle: int, phase: EventPriority) -> None:
        # As Timeout does, without Event.__init__: this is the innermost loop of the simulation.
        self.env = clock
        self.callbacks: list[Any] = []
        self._value, self._ok = None, True
        clock.schedule(self, phase, cycle - clock.now)


class Signal:
    """A wire between units: `pulse` wakes whoever waits, and is lost if nobody does."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.event: simpy.Event | None = None

    def wait(self) -> simpy.Event:
        if self.event is None:
            self.event = simpy.Event(self.clock)
        return self.event

    def pulse(self) -> None:
        if self.event is not None:
            self.event.succeed()
            self.event = None
