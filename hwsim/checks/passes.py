"""Which passes R9 to R18 of docs/cycle-model.md give a meaning to, whatever their layer; part of the Program's contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from hwsim.passes import FlagUse, Pass, PassKind, PassTable

ADDING = ("fire", "readout")
"""Kinds of passes that can add (R13, R15, R17 and R18 add nothing)."""


def pass_misfits(p: Pass, flagged: bool) -> Iterator[str]:
    """What is wrong with a pass, as it follows `a mask pass after EOT 1`. `flagged`: its table has a mask memory."""
    if p.kind not in get_args(PassKind):
        yield f"of no known kind; there are {', '.join(get_args(PassKind))}"
    if p.add and p.kind not in ADDING:
        yield f"that adds; only {' and '.join(ADDING)} passes can"
    if p.flags not in get_args(FlagUse):
        yield f"with flags {p.flags!r}, allowed are {', '.join(get_args(FlagUse))}"
    elif p.flags != "ignore" and p.kind != "fire":
        yield f"with flags {p.flags!r}; only fire passes use them (R16)"
    if (p.flags != "ignore" or p.kind == "mask") and not flagged:
        which = "" if p.flags == "ignore" else f" {p.flags!r}"
        yield f"that uses flags{which}, and the table is not flagged: there is no mask memory (R16, R17); set PassTable.flagged"


def pass_problems(table: PassTable) -> tuple[str, ...]:
    """What is wrong with a table of a run by itself, which no layer says more of."""
    shift = table.spike_shift
    found = [f"spike_shift is {shift}; R11 shifts a weight left, by 0 or more"] if shift < 0 else []
    return (*found, *(f"a {p.kind} pass after EOT {p.after_eot} {text}" for p in table.passes
                      for text in pass_misfits(p, table.flagged)))
