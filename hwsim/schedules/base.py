"""What a schedule declares, so that mapping and simulation can ask it instead of knowing its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.snn.network import Network

if TYPE_CHECKING:
    from hwsim.mapping import Mapping
    from hwsim.program import Program


@dataclass(frozen=True)
class Schedule:
    """The order in which a mapped network's work is done.

    name           as in results.        short   as in narrow tables.
    build          Mapping -> Program of one sample.
    states_wait    potentials of a layer wait while other layers run, so all of them need room, or are spilled.
    planes_wait    planes of `timesteps` that a layer's buffer holds at once.
    misfits        reasons why a network cannot run in this order, whatever the hardware.
    """

    name: str
    short: str
    build: Callable[[Mapping], Program]
    states_wait: bool
    planes_wait: Callable[[int], int]
    misfits: Callable[[Network], list[str]]
