"""Schedules, one file each: the order in which a mapped network's work is done, written out as a Program.

To add one: write a file with a Schedule (hwsim/schedules/base.py says what it declares), add it to SCHEDULES, and follow
docs/recipes.md. `pipelined` is reserved; its list on many cores is in listing.py, over the stages of stages.py (C9).
"""

from __future__ import annotations

from hwsim.program import ProgramError
from hwsim.schedules.base import Schedule
from hwsim.schedules.layer_by_layer import LAYER_BY_LAYER
from hwsim.schedules.step_by_step import STEP_BY_STEP

SCHEDULES: dict[str, Schedule] = {schedule.name: schedule for schedule in (LAYER_BY_LAYER, STEP_BY_STEP)}
RESERVED = {"pipelined": "it comes with the placement of layers on a network of cores"}


def schedule_by_name(name: str) -> Schedule:
    """The schedule of that name; ProgramError names the ones there are."""
    if not isinstance(name, str) or name not in SCHEDULES:
        extra = f"; {name} is not built yet, {RESERVED[name]}" if isinstance(name, str) and name in RESERVED else ""
        raise ProgramError(f"unknown schedule {name!r}, allowed are {', '.join(SCHEDULES)}{extra}")
    return SCHEDULES[name]


__all__ = ["SCHEDULES", "Schedule", "schedule_by_name"]
