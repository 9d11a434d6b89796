"""What each pass after an EOT reads, writes and adds, for every word alike (R9, R21, R24)."""

from __future__ import annotations

from typing import NamedTuple

from hwsim.engine.reference.memory import WordMemory
from hwsim.engine.reference.shared import Shared
from hwsim.passes import Pass


class PassStep(NamedTuple):
    """One pass after an EOT; `number` counts fire and requant passes since the EOT, the rest is as in WordOperation."""

    sweep: Pass
    number: int
    sums: tuple[int, ...]
    reads: tuple[WordMemory, ...]
    writes: tuple[WordMemory, ...]
    claims: tuple[WordMemory, ...]
    more: bool


def pass_steps(core: Shared, marks: int) -> list[PassStep]:
    """The passes that follow the EOT number `marks` of a run or visit, in order."""
    run = core.run
    if run.merged:
        sweeps = sorted(run.table.passes, key=lambda sweep: sweep.after_eot)
    else:
        sweeps = [p for p in run.table.passes if p.after_eot == (marks - 1) % run.table.planes + 1]
    by_word, gathers = run.core.passes == "by_word", run.core.order == "gather"
    needed = not by_word or run.keep or marks < core.stream.eots
    steps: list[PassStep] = []
    known: set[WordMemory] = set()
    changed: set[WordMemory] = set()
    number = added = 0
    for place, sweep in enumerate(sweeps):
        more = by_word and place + 1 < len(sweeps)
        if not by_word:
            known, changed = set(), set()
        wanted, put = _wanted(core, sweep), _changed(core, sweep)
        reads = () if gathers else tuple(memory for memory in wanted if memory not in known)
        known |= {*wanted, *put}
        changed |= set(put)
        writes = tuple(changed) if needed and not more and not gathers else ()
        claims = tuple(memory for memory in writes if memory is not core.mask)
        if sweep.kind in ("readout", "requant") and not more and not gathers:
            claims = (core.membrane,)
        sums = tuple(range(added, sweep.after_eot)) if run.plane_sums else ()
        added = max(added, sweep.after_eot)
        steps.append(PassStep(sweep, number, sums, reads, writes, claims, more))
        number += sweep.sends
    return steps


def _wanted(core: Shared, sweep: Pass) -> tuple[WordMemory, ...]:
    """Whose word a pass needs. A mask word is only written together with its membrane word (R16)."""
    membrane = () if sweep.kind == "reinitialise" else (core.membrane,)
    current = (core.current,) if sweep.add and core.run.table.direct else ()
    mask = () if sweep.flags == "ignore" else (core.mask,)
    return (*membrane, *current, *mask)


def _changed(core: Shared, sweep: Pass) -> tuple[WordMemory, ...]:
    """Whose word a pass changes, or may change: a `fire_once` pass writes flags if a neuron fires."""
    if sweep.kind == "requant" or (sweep.kind == "readout" and not sweep.add):
        return ()
    flags = sweep.kind == "mask" or sweep.flags == "fire_once"
    current = sweep.kind == "fire" and core.run.table.current_decay > 0
    return (core.membrane, *((core.current,) if current else ()), *((core.mask,) if flags else ()))
