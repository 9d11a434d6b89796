"""Every rule of the cycle model is held by a check: break it, in the hardware or in an engine, and a comparison fails.

What catches what: `python -m tests.rtl.mutants`, or these tests with -s. All of the hardware's mutants are marked slow, but for a
few of every unit.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")

from tests.rtl.mutants import HARDWARE_MUTANTS, MODEL_MUTANTS, MUTANTS, check, recorded, row
from tests.rtl.mutation import COPIED, ROOT, Mutant, MutationError, Target, copies, difference, edited, mutant, source_of

RULES = {f"R{n}" for n in range(1, 19)} | {f"A{n}" for n in range(1, 6)}
BEYOND_THE_CORE = {"A4"}  # buffers and the channel: engines count them, the hardware has none
BY_DEFAULT = (
    "FIFO one deeper", "an EOT waits for EXEC", "the bypass does not compare addresses", "highest lane first",
    "the pass number goes on over EOTs", "no saturation at the lowest value", "masked is ignored",
    "overlapped cycles are not counted",
)


def everyday(hardware: Mutant) -> object:
    return pytest.param(hardware, id=hardware.name, marks=[] if hardware.name in BY_DEFAULT else pytest.mark.slow)


@pytest.mark.parametrize("mutant", [everyday(one) for one in HARDWARE_MUTANTS])
def test_hardware_mutant_is_caught(mutant: Mutant) -> None:
    must_be_caught(mutant)


@pytest.mark.parametrize("mutant", MODEL_MUTANTS, ids=lambda mutant: mutant.id)
def test_model_mutant_is_caught(mutant: Mutant) -> None:
    must_be_caught(mutant)


def must_be_caught(mutant: Mutant) -> None:
    catch = check(mutant)
    print("\n" + row(mutant, catch), end="")
    assert catch is not None, (
        f"{mutant.rule}, {mutant.id}: design {recorded().get(mutant.id)} does not show it; run "
        "`python -m tests.rtl.mutants --scan 150`, and if it survives that, draw designs in tests/rtl/cases.py that show it")


@pytest.mark.parametrize("target", COPIED)
def test_an_unharmed_copy_agrees(target: Target) -> None:
    """Or being caught would mean nothing."""
    for seed in (0, 5) if target == "rtl" else range(24):
        assert difference(target, copies(target), seed) is None


@pytest.mark.slow
def test_unharmed_hardware_agrees_wherever_a_mutant_is_caught() -> None:
    made = copies("rtl")
    for seed in sorted({recorded()[one.id] for one in HARDWARE_MUTANTS}):
        assert difference("rtl", made, seed) is None, seed
    assert difference("rtl", made, 0, receiver_waits=True) is None


def test_every_mutant_still_applies() -> None:
    for one in MUTANTS:
        for name, source in edited(one).items():
            compile(source, name, "exec")


def test_an_edit_that_does_not_fit_is_refused() -> None:
    for old, times in (("no such text", 0), ("self", 2)):
        with pytest.raises(MutationError, match=f"{times if times == 0 else r'[0-9]+'} times, expected once"):
            edited(mutant("rtl", "R2", "not one", fifo=(old, "text")))
    with pytest.raises(MutationError, match="no module 'fast_core' is copied for rtl"):
        edited(mutant("rtl", "R2", "elsewhere", fast_core=("old", "new")))


def test_copies_leave_the_real_modules_alone() -> None:
    for target, names in COPIED.items():
        before = {name: sys.modules.get(name) for name in (*names, "numba")}
        made = copies(target)
        assert {name: sys.modules.get(name) for name in before} == before
        assert not any(made[name] is before[name] for name in made)


def test_copies_hold_all_modules() -> None:
    """A module that is not copied would hand the real ones to those that are; what stands above the core need not be."""
    kept = {"rtl": {"export", "ports", "testbench", "synthesis"}, "reference": {"chip"}, "fast": {"kernels.events"}}
    for target, package in (("rtl", "hwsim.rtl"), ("reference", "hwsim.engine.reference"), ("fast", "hwsim.engine.fast")):
        folder = Path(ROOT, *package.split("."))
        files = [file.relative_to(folder).with_suffix("").as_posix().replace("/", ".") for file in folder.rglob("*.py")]
        found = {f"{package}.{file}" for file in files if file not in kept[target] and not file.endswith("__init__")}
        assert found == {name for name in COPIED[target] if name.startswith("hwsim.")}


def test_copies_are_made_in_the_order_of_their_imports() -> None:
    for names in COPIED.values():
        for place, name in enumerate(names):
            imported = set(re.findall(r"^from ([a-z_.]+) import", source_of(name), re.MULTILINE))
            assert not imported & set(names[place:]), name


def test_every_rule_is_broken_in_the_hardware_and_in_both_engines() -> None:
    for target in COPIED:
        broken = {one.rule for one in MUTANTS if one.target == target}
        assert broken == RULES - (BEYOND_THE_CORE if target == "rtl" else set()), target
    assert len(HARDWARE_MUTANTS) >= 24
    assert len(MODEL_MUTANTS) >= 16


def test_names_tell_mutants_apart_and_each_has_its_design() -> None:
    assert [name for name, times in Counter(one.id for one in MUTANTS).items() if times > 1] == []
    assert set(recorded()) == {one.id for one in MUTANTS}
    assert all(re.fullmatch(r"[RA][0-9]+", one.rule) for one in MUTANTS)
