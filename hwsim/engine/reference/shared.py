"""What the units of a core share: the run, its state, and where each writes down what it did. Unit: cycles.

A unit is made with the core that it is part of, as far as it sees it (`Shared`), and with the units that it is wired to. So the
core knows its units (hwsim/engine/reference/core.py), and no unit knows the core.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwsim.engine.reference.clock import Clock
from hwsim.engine.reference.lanes import Activity, Lanes
from hwsim.engine.reference.memory import AddressGenerator, WordLayout, WordMemory
from hwsim.engine.reference.tokens import TokenStream
from hwsim.engine.reference.window import Visit
from hwsim.program import CoreRun


class RunLog:
    """What the units write down as they go; cycles from the run's start."""

    def __init__(self) -> None:
        self.push: list[int] = []
        self.pop: list[int] = []
        self.issue: list[tuple[int, int, int]] = []
        self.spikes: list[tuple[int, int, int]] = []


class Shared(Protocol):
    """One run on one core.

    start, last         cycle in which the run starts, and the last one in which a unit did anything.
    activity            counts, by timestep.
    plane_rows_cleared  rows of a plane of the output buffer, written when the plane is cleared.
    """

    clock: Clock
    run: CoreRun
    stream: TokenStream
    visits: list[Visit]
    start: int
    last: int
    log: RunLog
    activity: dict[int, Activity]
    layout: WordLayout
    membrane: WordMemory
    current: WordMemory
    mask: WordMemory
    addresses: list[AddressGenerator]
    lanes: Lanes
    output: NDArray[np.integer] | None
    plane_rows_cleared: int

    def plane_activity(self, plane: int) -> Activity:
        """Where what happens before EOT `plane` of a period is counted."""
        ...

    def plane_of(self, marks: int) -> int:
        """The plane, within its period, of what comes after `marks` EOTs."""
        ...
