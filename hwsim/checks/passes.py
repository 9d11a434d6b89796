"""Which passes R9 to R18 and R28 of docs/cycle-model.md give a meaning to, whatever their layer; part of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from hwsim.checks.chip import is_whole
from hwsim.passes import FlagUse, Pass, PassKind, PassTable

ADDING = ("fire", "readout")
"""Kinds of passes that can add (R13, R15, R17, R18 and R28 add nothing)."""

LARGEST_WAIT, HIGHEST = 1 << 31, 1 << 62


def pass_misfits(p: Pass, flagged: bool) -> Iterator[str]:
    """What is wrong with a pass, as it follows `a mask pass after EOT 1`. `flagged`: its table has a mask memory."""
    if p.kind not in get_args(PassKind):
        yield f"of no known kind; there are {', '.join(get_args(PassKind))}"
    if p.add and p.kind not in ADDING:
        yield f"that adds; only {' and '.join(ADDING)} passes can"
    if p.kind == "count" and not is_whole(p.threshold, -HIGHEST, HIGHEST):
        yield f"with threshold {p.threshold!r}, expected a whole number from {-HIGHEST} to {HIGHEST}"
    if not is_whole(p.shift, 0, 63):
        yield f"with shift {p.shift!r}, allowed are 0 to 63"
    if p.flags not in get_args(FlagUse):
        yield f"with flags {p.flags!r}, allowed are {', '.join(get_args(FlagUse))}"
    elif p.kind == "count" and p.flags != "fire_once":
        yield f"with flags {p.flags!r}; it flags who has reached the threshold (R28): 'fire_once'"
    elif p.flags != "ignore" and p.kind not in ("fire", "count"):
        yield f"with flags {p.flags!r}; only fire passes use them (R16), and count passes (R28)"
    if (p.flags != "ignore" or p.kind == "mask") and not flagged:
        which = "" if p.flags == "ignore" else f" {p.flags!r}"
        yield f"that uses flags{which}, and the table is not flagged: there is no mask memory (R16, R17); set PassTable.flagged"


def count_misfits(table: PassTable) -> Iterator[str]:
    """What R28 gives no meaning to in a whole table: its flags are of neurons that go on."""
    if not is_whole(table.wait, 0, LARGEST_WAIT):
        yield f"with wait {table.wait!r}, allowed are 0 to {LARGEST_WAIT}"
    elif not table.wait and any(p.kind == "count" for p in table.passes):
        yield "with count passes that take a wait of 0 (R28); they take 1 or more"
    if table.wait and any(p.kind == "mask" or (p.kind == "fire" and p.flags != "ignore") for p in table.passes):
        yield "with count passes, whose flags are of neurons that go on (R28), and passes that leave such a neuron out (R16, R17)"


def pass_problems(table: PassTable) -> tuple[str, ...]:
    """What is wrong with a table of a run by itself, which no layer says more of."""
    shift = table.spike_shift
    found = [f"spike_shift is {shift}; R11 shifts a weight left, by 0 or more"] if shift < 0 else []
    found += [f"a pass table {text}" for text in count_misfits(table)]
    return (*found, *(f"a {p.kind} pass after EOT {p.after_eot} {text}" for p in table.passes
                      for text in pass_misfits(p, table.flagged)))
