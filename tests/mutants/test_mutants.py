"""Every rule of the cycle model is held by a check: break it, in the hardware or in an engine, and a comparison fails.

What catches what: `python -m tests.mutants`, or these tests with -s. How many mutants each rule has: table.md.
"""

from __future__ import annotations

import re
import sys
from collections import Counter

import pytest

pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")

from tests.mutants.__main__ import row
from tests.mutants.copies import PACKAGES, Target, copied, copies, imports_of
from tests.mutants.edits import EditError
from tests.mutants.everything import MUTANTS, TABLE, check, recorded, table
from tests.mutants.mutation import RUNS, Mutant, difference, planes
from tests.mutants.selection import by_default

CORE = {f"R{n}" for n in range(1, 19)} | {f"A{n}" for n in range(1, 6)}
DATAFLOW = {*(f"R{n}" for n in range(19, 27)), "R28"}
BEYOND_THE_CORE = {"A4", "R26", "R28"}  # buffers, the channel, skipped zeros and counted timesteps: the hardware has them not
HOLDS: dict[str, set[str]] = {
    "rtl": (CORE | DATAFLOW) - BEYOND_THE_CORE, "reference": CORE | DATAFLOW, "fast": CORE | DATAFLOW}


@pytest.mark.parametrize("mutant", [
    pytest.param(one, id=f"{one.rule} {one.id}", marks=[] if everyday else pytest.mark.slow)
    for one, everyday in by_default(MUTANTS, lambda one: (one.target, one.rule))])
def test_mutant_is_caught(mutant: Mutant) -> None:
    catch = check(mutant)
    print("\n" + row(mutant, catch), end="")
    assert catch is not None, (
        f"{mutant.rule}, {mutant.id}: {recorded().get(mutant.id, 'no place')} does not show it; run `python -m tests.mutants "
        "--scan 500`, and if it survives that, draw designs in tests/rtl/cases.py (runs in tests/engine/random_runs.py) that do")


@pytest.mark.parametrize("target", PACKAGES)
def test_an_unharmed_copy_agrees(target: Target) -> None:
    """Or being caught would mean nothing."""
    made = copies(target)
    for seed in (0, 5) if target == "rtl" else range(24):
        assert difference(target, made, f"design {seed}") is None


@pytest.mark.parametrize("target", ["reference", "fast"])
def test_an_unharmed_copy_agrees_wherever_a_mutant_of_a_dataflow_is_caught(target: Target) -> None:
    made = copies(target)
    caught_at = {recorded()[one.id] for one in MUTANTS if one.judge == "planes" and one.target != "rtl"}
    assert caught_at
    for place in sorted(caught_at):
        assert planes(place) is not None, f"{place} is refused and shows nothing"
        assert difference(target, made, place) is None, place


def test_unharmed_hardware_agrees_wherever_a_mutant_of_a_dataflow_is_caught_by_default() -> None:
    made, everyday = copies("rtl"), (one for one, first in by_default(MUTANTS, lambda one: (one.target, one.rule)) if first)
    for place in sorted({recorded()[one.id] for one in everyday if one.judge == "planes" and one.target == "rtl"}):
        assert difference("rtl", made, place) is None, place


@pytest.mark.slow
@pytest.mark.parametrize("target", ["reference", "fast"])
def test_an_unharmed_copy_agrees_on_all_runs_fed_from_planes(target: Target) -> None:
    made = copies(target)
    drawn = (f"{kind} {seed}" for kind, most in RUNS.items() for seed in range(most))
    assert [place for place in drawn if difference(target, made, place) is not None] == []


@pytest.mark.slow
def test_unharmed_hardware_agrees_wherever_a_mutant_is_caught() -> None:
    made = copies("rtl")
    for place in sorted({recorded()[one.id] for one in MUTANTS if one.target == "rtl"}):
        assert difference("rtl", made, place) is None, place
    assert difference("rtl", made, "design 0", receiver_waits=True) is None


def test_every_mutant_still_applies() -> None:
    moved_on = []
    for one in MUTANTS:
        try:
            one.edited()
        except EditError as error:
            moved_on.append(str(error))
    assert not moved_on, "\n\n".join(["", *moved_on])


def test_copies_leave_the_real_modules_alone() -> None:
    for target in PACKAGES:
        before = {name: sys.modules.get(name) for name in (*copied(target), "numba")}
        made = copies(target)
        assert {name: sys.modules.get(name) for name in before} == before
        assert not any(made[name] is before[name] for name in made)


def test_copies_are_made_in_the_order_of_their_imports() -> None:
    for target in PACKAGES:
        names = copied(target)
        for place, name in enumerate(names):
            assert not imports_of(name) & set(names[place:]), name


def test_every_rule_is_broken_in_the_hardware_and_in_both_engines() -> None:
    for target, rules in HOLDS.items():
        assert {one.rule for one in MUTANTS if one.target == target} == rules, target


def test_names_tell_mutants_apart_and_each_has_its_place() -> None:
    assert [name for name, times in Counter(one.id for one in MUTANTS).items() if times > 1] == []
    assert set(recorded()) == {one.id for one in MUTANTS}
    assert all(re.fullmatch(r"[RA][0-9]+", one.rule) for one in MUTANTS)


def test_the_table_says_how_many_mutants_each_rule_has() -> None:
    assert TABLE.read_text(encoding="utf-8") == table(), "run `python -m tests.mutants --table`"
