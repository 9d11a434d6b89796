"""Whether a run's timesteps can be done many in a call (kernels.steps), and its pass table as numbers for that."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hwsim.engine.fast.kernels import steps as ks
from hwsim.passes import DECAY_BITS, DECAY_WHOLE
from hwsim.program import CoreRun, CoreSpec

KINDS = {"fire": ks.FIRE, "shift": ks.SHIFT, "readout": ks.READOUT}
KNOWN = ("lanes", "potential_bits", "current_bits", "fifo_depth", "bypass", "shift_at", "buffer", "scan_bits",
         "membrane_bank_bits", "current_bank_bits")
"""Fields of a core that kernels.steps may meet with any value; all others must have their first one."""


@dataclass(frozen=True, eq=False)
class StepPlan:
    """A pass table as kernels.steps reads it: passes (n, 7), and what the lanes do in each.

    shifts   0: no weight is shifted, 1: all are, 2: those of all planes but the first.
    """

    passes: NDArray[np.int64]
    rule: NDArray[np.int64]
    shifts: int


def plan_steps(run: CoreRun, highest: int) -> StepPlan | None:
    """None for what only `core` does, one plane at a time; `highest` potential of the run."""
    table, core = run.table, run.core
    other = any(getattr(core, f.name) != f.default for f in fields(CoreSpec) if f.name not in KNOWN)
    sending = [p.timestep for p in table.passes if p.sends]
    if other or run.spare_rows or core.fifo_depth < 2 or table.flagged or len(set(sending)) < len(sending):
        return None
    if any(p.kind not in KINDS or p.flags != "ignore" for p in table.passes):
        return None
    lines = [(p.after_eot, KINDS[p.kind], p.threshold >> p.shift, p.add, p.timestep, p.sends, p.kind == "fire")
             for p in table.passes]
    leak = -1 if table.leak_shift is None else table.leak_shift
    rule = (table.reset == "hard", leak, DECAY_WHOLE - table.decay, DECAY_BITS if table.decay else 0, highest)
    shifts = 1 if table.spike_shift else 2 if table.weigh_planes else 0
    return StepPlan(np.array(lines, np.int64).reshape(-1, 7), np.array(rule, np.int64), shifts)
