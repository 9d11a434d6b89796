"""Power states of a core's hardware: what it does while it waits for the next sample, as an architecture file says it.

    on          supplied as when it works, and leaking as much
    retention   memories only: a lower supply, at which the cells keep what they hold
    off         behind an open power switch: it leaks a residue at most, and what it held is lost

While a sample runs, everything that the network uses is `on`. A memory that it does not use is `off` for good
(hwsim/cores/provision.py). Between samples the design decides; what it says nothing of stays on, because a power switch is
hardware that somebody has to build. No table has a price of retention: a design gives its voltage, to which the memory table's
own law of supply leads, or gives the number itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from hwsim.activity import UNIT_OF
from hwsim.fields import Fields

State = Literal["on", "retention", "off"]
ON: State = "on"
RETENTION: State = "retention"
OFF: State = "off"

LOGIC = "logic"
MEMORIES = "memories"
"""Every memory that has no entry of its own."""


def _state(value: Any) -> Any:
    """YAML reads a bare `on` and `off` as true and false."""
    return (ON if value else OFF) if isinstance(value, bool) else value


class Power(Fields):
    """What a chip does between samples, and what its power states leak."""

    idle: dict[str, Annotated[State, BeforeValidator(_state)]] = {}
    """State between samples by memory (weight, membrane, spike ...), of all other `memories`, and of the `logic`."""
    retention_v: float | None = Field(default=None, gt=0, le=1.5)
    """Supply of a memory in retention, V; its leakage follows the memory table's own law of supply."""
    retention_over_on: float | None = Field(default=None, gt=0, le=1)
    """Leakage of a memory in retention over that when it is on: a number of the design, instead of `retention_v`."""
    off_over_on: float = Field(default=0.0, ge=0, le=1)
    """Residue that leaks through an open power switch, over the leakage when on. 0: an ideal switch."""

    @model_validator(mode="after")
    def _states_that_are_priced(self) -> Power:
        allowed = (LOGIC, MEMORIES, *UNIT_OF)
        if unknown := [name for name in self.idle if name not in allowed]:
            raise ValueError(f"idle.{unknown[0]}: nothing of that name has power states, allowed are {', '.join(allowed)}")
        if self.idle.get(LOGIC) == RETENTION:
            raise ValueError("idle.logic: found 'retention', allowed 'on' or 'off': no table knows retention registers")
        if self.retention_v is not None and self.retention_over_on is not None:
            raise ValueError("retention_v and retention_over_on are both given: they say the same in two ways, keep one")
        if RETENTION in self.idle.values() and self.retention_v is None and self.retention_over_on is None:
            raise ValueError("idle has memories in retention, which no table prices: give retention_v (volts, by the memory "
                             "table's law of supply) or retention_over_on (your own number)")
        return self

    def between_samples(self, memory: str | None) -> State:
        """The state of a memory, or of logic (None), while the core waits."""
        if memory is None:
            return self.idle.get(LOGIC, ON)
        return self.idle.get(memory, self.idle.get(MEMORIES, ON))


STATES: tuple[State, ...] = get_args(State)
MEMORY_OF: Mapping[str, str] = {unit: name for name, unit in UNIT_OF.items()}
"""The memory that a component is; other components are logic."""
