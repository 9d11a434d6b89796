"""Schedules, one file each: the order in which a mapped network's work is done, written out as a Program.

A schedule is a function `Mapping -> Program`. To add one: write a file with it, add it to SCHEDULES, and follow
docs/recipes.md. `pipelined` (several cores) is reserved.
"""

from __future__ import annotations

from collections.abc import Callable

from hwsim.mapping import Mapping, map_network
from hwsim.program import Program, ProgramError
from hwsim.schedules.layer_by_layer import layer_by_layer
from hwsim.schedules.step_by_step import step_by_step

SCHEDULES: dict[str, Callable[[Mapping], Program]] = {
    "layer_by_layer": layer_by_layer,
    "step_by_step": step_by_step,
}


def schedule_by_name(name: str) -> Callable[[Mapping], Program]:
    """The schedule of that name; ProgramError names the ones there are."""
    if name not in SCHEDULES:
        extra = "; pipelined needs several cores and is not built yet" if name == "pipelined" else ""
        raise ProgramError(f"unknown schedule {name!r}, allowed are {', '.join(SCHEDULES)}{extra}")
    return SCHEDULES[name]


__all__ = ["SCHEDULES", "Mapping", "map_network", "schedule_by_name"]
