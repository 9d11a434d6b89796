"""What a run must be for the cycle model to say what it does: pass tables that R9 to R18 define."""

from __future__ import annotations

from typing import get_args

from hwsim.passes import FlagUse, Pass, PassKind
from hwsim.program import CoreRun, ProgramError


def check_run(run: CoreRun) -> None:
    """Refuse what the cycle model leaves undefined, rather than invent it."""
    if run.core.fifo_depth < 1:
        raise ProgramError(f"fifo_depth is {run.core.fifo_depth}; a token needs at least 1")
    if run.table.spike_shift < 0:
        raise ProgramError(f"spike_shift is {run.table.spike_shift}; R11 shifts a weight left, by 0 or more")
    for sweep in run.table.passes:
        check_pass(sweep, run.table.flagged)


def check_pass(sweep: Pass, flagged: bool) -> None:
    """Refuse a pass that R9 to R18 do not define; `flagged` says whether its table has a mask memory."""
    here = f"a {sweep.kind} pass after EOT {sweep.after_eot}"
    if sweep.kind not in get_args(PassKind):
        raise ProgramError(f"{here}: no such kind of pass; there are {', '.join(get_args(PassKind))}")
    if sweep.flags not in get_args(FlagUse):
        raise ProgramError(f"{here} has flags {sweep.flags!r}; allowed are {', '.join(get_args(FlagUse))}")
    if sweep.add and sweep.kind not in ("fire", "readout"):
        raise ProgramError(
            f"{here} has add set, but adds nothing (R13, R15, R17, R18); let a fire or readout pass add"
        )
    if sweep.flags != "ignore" and sweep.kind != "fire":
        raise ProgramError(f"{here} has flags {sweep.flags!r}, but only fire passes look at flags (R16); leave 'ignore'")
    if not flagged and (sweep.flags != "ignore" or sweep.kind == "mask"):
        raise ProgramError(
            f"{here} uses flags ({sweep.flags!r}), but its table is not `flagged` and so has no mask memory (R16, R17); "
            "set `flagged`"
        )
