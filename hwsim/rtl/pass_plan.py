"""What each pass of a table does to the memories, when a word may stay in registers between its passes (R19, R21, R24).

Everything here is known when the core is elaborated. The memories are named membrane, current and mask.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.passes import Pass
from hwsim.program import CoreRun

SENDING = ("fire", "requant")


@dataclass(frozen=True)
class PassPlan:
    """One pass in its place among those that follow the same EOT.

    reads     memories that it reads.           held   those whose word is in registers already.
    changed   those whose word the passes up to this one have changed, so that a write must take it back.
    group     number of the first pass after the same EOT.
    more      another pass of the same word follows at once.
    number    what a spike record calls it: the fire and requant passes before it.
    sums      planes whose sums it adds first (R21).
    """

    one: Pass
    reads: frozenset[str]
    held: frozenset[str]
    changed: frozenset[str]
    group: int
    more: bool
    number: int
    sums: tuple[int, ...]

    @property
    def sends(self) -> bool:
        return self.one.kind in SENDING


def plan_passes(run: CoreRun) -> tuple[PassPlan, ...]:
    """The passes in the order in which the sequencer walks them: by EOT, then in table order; merged planes have one EOT."""
    passes = sorted(run.table.passes, key=lambda one: one.after_eot)
    groups = [passes] if run.merged else [
        [one for one in passes if one.after_eot == n] for n in sorted({one.after_eot for one in passes})]
    found: list[PassPlan] = []
    for group in groups:
        found += _plan_group(run, group, len(found))
    return tuple(found)


def _plan_group(run: CoreRun, passes: list[Pass], first: int) -> list[PassPlan]:
    """R24: by word, each memory is read with the first pass that needs what it holds, unless a pass before has made it new."""
    by_word, gathers = run.core.passes == "by_word", run.core.order == "gather"
    found: list[PassPlan] = []
    held: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    number = added = 0
    for place, one in enumerate(passes):
        if not by_word:
            held = changed = frozenset()
        wants, changes = wanted(one, run.table.direct), changed_by(one, run.table.current_decay > 0)
        sums = tuple(range(added, one.after_eot)) if run.plane_sums else ()
        changed |= frozenset() if gathers else changes
        found.append(PassPlan(
            one, reads=frozenset() if gathers else wants - held, held=held, changed=changed, group=first,
            more=by_word and place + 1 < len(passes), number=number, sums=sums))
        held |= wants | changes
        added = max(added, one.after_eot)
        number += one.kind in SENDING
    return found


def wanted(one: Pass, direct: bool) -> frozenset[str]:
    """Memories whose word a pass works on."""
    names = {"membrane"} if one.kind != "reinitialise" else set()
    names |= {"current"} if one.add and direct else set()
    return frozenset(names | ({"mask"} if one.flags != "ignore" else set()))


def changed_by(one: Pass, current_decays: bool) -> frozenset[str]:
    """Memories whose word a pass changes; a `fire_once` pass changes the flags where a neuron fires."""
    if one.kind == "requant" or (one.kind == "readout" and not one.add):
        return frozenset()
    flags = {"mask"} if one.kind == "mask" or one.flags == "fire_once" else set()
    return frozenset({"membrane", *flags, *({"current"} if current_decays and one.kind == "fire" else set())})
