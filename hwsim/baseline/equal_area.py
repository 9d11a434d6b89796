"""Equal area: how many lanes, or rows of a systolic array, fit into the area of another design (mm2).

A search over copies of an architecture that differ in one number; what a design measures is the caller's area function
(hwsim/cost/area.py, `area_mm2`), so prices and areas stay in one place.
"""

from __future__ import annotations

from collections.abc import Callable

from hwsim.arch import Architecture
from hwsim.cores.event.fields import EventDesign
from hwsim.cores.systolic.fields import SystolicDesign
from hwsim.errors import HwsimError

AreaFunction = Callable[[Architecture], float]
"""Square millimetres of a design, memories included; must not fall when lanes or rows are added."""

MAX_LANES, MAX_ROWS = 4096, 1024


class EqualAreaError(HwsimError):
    """No number of lanes or rows fits; the text gives the target and the smallest design's area."""


def equal_area_lanes(arch: Architecture, target_area_mm2: float, area: AreaFunction) -> int:
    """The largest number of lanes at which `arch` (event or multiply_accumulate) is not larger than the target.

    Lanes and the memories of their rows grow together (`grown`). Raises EqualAreaError when even one lane is too large.
    """
    if not isinstance(arch.only, EventDesign):
        raise EqualAreaError(f"{arch.name} is a {arch.core.kind} array and has no lanes; use equal_area_rows")
    return _largest("lanes", MAX_LANES, target_area_mm2, lambda lanes: area(grown(arch, lanes)))


def equal_area_rows(arch: Architecture, target_area_mm2: float, area: AreaFunction) -> int:
    """The largest number of rows at which a systolic `arch` is not larger than the target.

    Columns stay, and with them the rows of every memory: only the array grows. Raises EqualAreaError when even one row
    is too large.
    """
    if not isinstance(arch.only, SystolicDesign):
        raise EqualAreaError(f"{arch.name} is a {arch.core.kind} core and has no rows; use equal_area_lanes")
    return _largest("rows", MAX_ROWS, target_area_mm2, lambda rows: area(arch.with_core(rows=rows)))


def grown(arch: Architecture, lanes: int) -> Architecture:
    """`arch` with other lanes and as many rows in each memory as before: a wider core of the same depth.

    Lanes alone would cut the memories into fewer, longer rows, and layers that fitted would no longer fit.
    """
    memories = {name: getattr(arch.memories, name) * lanes // arch.core.lanes
                for name in ("weight", "membrane", "current", "bias", "mask")}
    return arch.with_memories(**memories).with_core(lanes=lanes)


def _largest(what: str, top: int, target_area_mm2: float, area_at: Callable[[int], float]) -> int:
    """Bisection: `low` fits and `high` does not."""
    smallest = area_at(1)
    if smallest > target_area_mm2:
        raise EqualAreaError(f"with {what} 1, memories included, it takes {smallest:.6g} mm2, more than the target "
                             f"{target_area_mm2:.6g} mm2")
    low, high = 1, top + 1
    while high - low > 1:
        middle = (low + high) // 2
        if area_at(middle) <= target_area_mm2:
            low = middle
        else:
            high = middle
    return low
