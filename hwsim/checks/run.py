"""Whether one run means something, and what feeds it: what both engines ask of a run by itself, with one text.

A run of a Program is held to more (hwsim/checks/program.py): there its layer, its feeds and its place in the list are known.
"""

from __future__ import annotations

from collections.abc import Sequence

from hwsim.checks.dataflow import core_problems, feed_problems, spare_problems, table_problems, weight_problems
from hwsim.checks.passes import pass_problems
from hwsim.program import CoreRun, Feed, ProgramError
from hwsim.snn.network import Connection


def check_run(run: CoreRun, feeds: Sequence[Feed] = ()) -> None:
    """ProgramError with all reasons why a run cannot be executed on its core, fed by `feeds` where they are known."""
    problems = core_problems(run.core) or (
        *pass_problems(run.table), *table_problems(run), *feed_problems(run, feeds), *weight_problems(run),
        *spare_problems(run))
    if problems:
        raise ProgramError("; ".join(problems))


def check_alone(run: CoreRun) -> None:
    """ProgramError for a run without weights: by itself it has no recorded outputs to send instead."""
    if any(connection.weights is None for connection in run.connections):
        raise ProgramError("a run by itself computes its spikes, and a connection has no weights; run a sample with spikes "
                           "'trace', which can do without")


def check_eots(run: CoreRun, eots: int) -> None:
    """ProgramError for merged planes that do not come with one EOT."""
    if run.merged and eots != 1:
        raise ProgramError(f"{eots} EOTs for merged planes, which have one (R21)")


def eots_of_a_visit(marks: int, visits: int) -> int:
    """EOTs of each visit, of `marks` that come one visit after the other. ProgramError when visits would have unlike numbers."""
    if marks % visits:
        raise ProgramError(f"{marks} EOTs for the {visits} visits of a run in gather order; each receives equally many (R19)")
    return marks // visits


def check_pooling(connection: Connection, values: bool, hybrid: bool) -> None:
    """ProgramError for pooling that C4 does not define, of a source that sends `values`, or that is a `hybrid` input."""
    if connection.pool_mode == "unit" and hybrid:
        raise ProgramError(
            f"a pooling unit on {connection.source!r}, which is hybrid: its counts would be payloads in every plane, but "
            "spikes of a hybrid input carry none and weigh 2**spike_shift (C2, R11); use pool_mode 'folded'")
    if connection.pool_mode == "max" and values:
        raise ProgramError(
            f"max pooling of {connection.source!r}, which sends values: C4 defines it as the OR of binary spikes; use "
            "pool_mode 'unit' or 'folded'")
