"""Which settings of a core's dataflow the golden hardware covers. What it does not cover is refused by name, never approximated.

A field of CoreSpec that is not named here came after this hardware was written: a core that sets it is refused as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from hwsim.checks.dataflow import check_dataflow
from hwsim.program import CoreRun, CoreSpec, ProgramError

EVERY = None
COVERED: Mapping[str, tuple[Any, ...] | None] = {
    "lanes": EVERY, "potential_bits": EVERY, "current_bits": EVERY, "fifo_depth": EVERY, "bypass": EVERY, "shift_at": EVERY,
    "buffer": EVERY, "scan_bits": EVERY, "accumulators": EVERY, "adders": EVERY,
    "order": EVERY, "planes_per_token": EVERY, "multiplier": ("parallel",), "writer": EVERY,
    "membrane_ports": ("1r1w", "1rw"), "passes": EVERY,
}
"""By field of CoreSpec: the values that the hardware can be built for, or EVERY."""


def check_covered(run: CoreRun) -> None:
    """ProgramError for a run that no core can be built for (R19 to R24), or none of this hardware."""
    check_dataflow(run)
    problems = list(uncovered(run.core))
    if problems:
        raise ProgramError("the golden hardware does not cover " + "; nor ".join(problems))


def uncovered(core: CoreSpec) -> Iterator[str]:
    """Settings of a core that the hardware does not cover, each with what would work."""
    if core.order == "gather" and core.planes_per_token == "all":
        yield "planes_per_token 'all' in order 'gather'; use planes_per_token 'one'"
    for field in fields(core):
        value = getattr(core, field.name)
        if field.name not in COVERED:
            if field.default is MISSING or value != field.default:
                yield f"{field.name} {value!r}, a field that it does not know; leave it out"
            continue
        allowed = COVERED[field.name]
        if allowed is not EVERY and value not in allowed:
            yield f"{field.name} {value!r}; use {' or '.join(map(repr, allowed))}"
