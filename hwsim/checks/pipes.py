"""What runs of a core can be whose events and passes have a pipe each (R27): what each is made of, and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hwsim.passes import BANKS
from hwsim.program import CoreRun, CoreSpec, Program, Run


def spec_problems(core: CoreSpec) -> Iterator[str]:
    """What a core of two pipes cannot be besides."""
    if core.pipes != "two":
        return
    if core.order == "gather":
        yield ("pipes 'two' lets a timestep's passes go on beside the next one's events, and in gather order both share the "
               "registers of a visit (R19): use order 'scatter', or pipes 'one'")
    if core.planes_per_token == "all":
        yield ("pipes 'two' works timestep by timestep, and merged tokens bring all of them at once (R21): use planes_per_token "
               "'one', or pipes 'one'")


def pipe_misfits(op: Run) -> Iterator[str]:
    """What is wrong with a run by itself, as it follows `operation 3`."""
    body, both = op.body, op.pipe == "both"
    if op.pipe not in ("both", "events", "passes"):
        yield f"goes through pipe {op.pipe!r}; allowed are both, events, passes"
        return
    if both != (body.core.pipes == "one"):
        yield (f"goes through pipe {op.pipe!r} of a core with pipes {body.core.pipes!r}; a core of one pipe makes runs of both "
               "events and passes, a core of two makes them apart (R27)")
    yield from _bank(body)
    if both:
        return
    if body.table.planes != 1:
        yield f"is of {body.table.planes} timesteps; a core of two pipes runs them one by one (R27)"
    if op.pipe == "events" and body.table.passes:
        yield f"is of events, and has {len(body.table.passes)} passes; they are a run of their own (R27)"
    if op.pipe == "passes" and any(feed.planes for feed in op.feeds):
        yield "is of passes, and reads planes; its events are a run of their own (R27)"


def _bank(body: CoreRun) -> Iterator[str]:
    there = BANKS if body.two_banks else 1
    if isinstance(body.bank, bool) or body.bank not in range(there):
        yield f"works on bank {body.bank!r} of the current memory; {'0 and 1 are' if there > 1 else '0 is'} there"


def states_used(run: CoreRun) -> Iterator[str]:
    """The states of its core that a run reads or writes."""
    if run.uses_potentials:
        yield "potentials"
    if run.table.direct:
        yield f"currents of bank {run.bank}"


def early_runs(program: Program, ended: Sequence[int]) -> Iterator[str]:
    """Runs that may begin before another one of their core has ended that uses the same potentials, or bank of currents.

    ended   by operation; bit i: operation i has ended before it begins.
    """
    last: dict[tuple[str, str], int] = {}
    for run in program.runs:
        for state in states_used(run.body):
            before = last.get((run.on, state))
            if before is not None and not ended[run.id] >> before & 1:
                yield (f"operation {run.id}, of tile {run.tile} of layer {run.layer}, uses {state} of {run.on} and does not "
                       f"wait for operation {before}, which is at work on them (R27)")
            last[run.on, state] = run.id
