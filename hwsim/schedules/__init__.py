"""Schedules, one file each: the order in which a mapped network's work is done, written out as a Program.

To add one: write a file with a Schedule (hwsim/schedules/base.py says what it declares), add it to SCHEDULES, and follow
docs/recipes.md. On a chip with a network of links the list is made by on_links.py, over the stages of pipelines.py (C9).
"""

from __future__ import annotations

from hwsim.arch import Architecture
from hwsim.mapping import Mapping
from hwsim.program import Program, ProgramError
from hwsim.schedules.base import Schedule
from hwsim.schedules.layer_by_layer import LAYER_BY_LAYER
from hwsim.schedules.on_links import build_on_links
from hwsim.schedules.pipelined import PIPELINED
from hwsim.schedules.step_by_step import STEP_BY_STEP

SCHEDULES: dict[str, Schedule] = {schedule.name: schedule for schedule in (LAYER_BY_LAYER, STEP_BY_STEP, PIPELINED)}
ANYWHERE: tuple[str, ...] = tuple(name for name, schedule in SCHEDULES.items() if not schedule.needs_links)
"""Schedules that run on chips without a network of links, too."""


def schedules_for(arch: Architecture) -> tuple[str, ...]:
    """Names of the schedules that chips like this one have."""
    return ANYWHERE if arch.network is None else tuple(SCHEDULES)


def schedule_by_name(name: str) -> Schedule:
    """The schedule of that name, or of that short name (layer, step); ProgramError names the ones there are."""
    known = SCHEDULES | {schedule.short: schedule for schedule in SCHEDULES.values()}
    if not isinstance(name, str) or name not in known:
        raise ProgramError(f"unknown schedule {name!r}, allowed are {', '.join(SCHEDULES)}")
    return known[name]


def build_program(mapping: Mapping, schedule: Schedule) -> Program:
    """The Program of one sample, on links where the chip has them."""
    return schedule.build(mapping) if mapping.arch.network is None else build_on_links(mapping, schedule)


__all__ = ["ANYWHERE", "SCHEDULES", "Schedule", "build_program", "schedule_by_name", "schedules_for"]
