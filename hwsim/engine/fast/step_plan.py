"""Whether a run's timesteps can be done many in a call (hwsim/engine/fast/steps.py), and its pass table as numbers for that."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from hwsim.engine.fast.kernels import arithmetic as ka
from hwsim.engine.fast.kernels import timing as kt
from hwsim.passes import DECAY_BITS, DECAY_WHOLE
from hwsim.program import CoreRun, CoreSpec

KINDS = {"fire": ka.FIRE, "shift": ka.SHIFT, "readout": ka.READOUT}
KNOWN = ("lanes", "potential_bits", "current_bits", "fifo_depth", "bypass", "shift_at", "buffer", "scan_bits",
         "membrane_bank_bits", "current_bank_bits")
"""Fields of a core that the kernels may meet with any value; all others must have their first one."""


@dataclass(frozen=True, eq=False)
class StepPlan:
    """A pass table as numbers.

    computed, rule   (passes, 5) and (7,) as kernels.arithmetic.compute_steps reads them.
    timed    (passes, 5) as kernels.timing.time_steps does.      sending  timesteps of the passes that send.
    shifts   0: no weight is shifted, 1: all are, 2: those of all planes but the first.      doubles  potentials are doubled.
    """

    computed: NDArray[np.int64]
    rule: NDArray[np.int64]
    timed: NDArray[np.int64]
    sending: NDArray[np.int64]
    shifts: int
    doubles: bool
    _sent: dict[tuple[int, int], slice] = field(default_factory=dict)

    def sent_after(self, first: int, end: int) -> slice:
        """Of `sending`, the passes that follow EOTs first + 1 to end. Every sample asks the same."""
        if (first, end) not in self._sent:
            after, line = self.timed[:, kt.AFTER_EOT], self.timed[:, kt.SENT_AT]
            lines = line[(after > first) & (after <= end) & (line >= 0)]
            self._sent[first, end] = slice(int(lines.min()), int(lines.max()) + 1) if len(lines) else slice(0, 0)
        return self._sent[first, end]


def plan_steps(run: CoreRun, highest: int) -> StepPlan | None:
    """None for what only `core` does, one plane at a time; `highest` potential of the run."""
    table, core = run.table, run.core
    other = any(getattr(core, f.name) != f.default for f in fields(CoreSpec) if f.name not in KNOWN)
    sending = [p.timestep for p in table.passes if p.sends]
    if other or run.spare_rows or core.fifo_depth < 2 or table.flagged or len(set(sending)) < len(sending):
        return None
    if any(p.kind not in KINDS or p.flags != "ignore" for p in table.passes):
        return None
    computed = [(p.after_eot, KINDS[p.kind], p.threshold >> p.shift, p.add, p.timestep) for p in table.passes]
    timed = [(p.after_eot, p.timestep, sending.index(p.timestep) if p.sends else -1, p.kind == "fire",
              kt.CURRENT if p.kind == "fire" and table.current_decay else 0) for p in table.passes]
    leak = -1 if table.leak_shift is None else table.leak_shift
    rule = (table.reset == "hard", leak, DECAY_WHOLE - table.decay, DECAY_BITS if table.decay else 0, highest,
            DECAY_WHOLE - table.current_decay, DECAY_BITS if table.current_decay else 0)
    shifts = 1 if table.spike_shift else 2 if table.weigh_planes else 0
    return StepPlan(np.array(computed, np.int64).reshape(-1, 5), np.array(rule, np.int64),
                    np.array(timed, np.int64).reshape(-1, 5), np.array(sending, np.int64), shifts,
                    any(p.kind == "shift" for p in table.passes))
