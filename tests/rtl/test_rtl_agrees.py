"""The hardware and both engines do the same in every cycle: pushes, pops, issues, spikes, counts, done, final states.

Three implementations share nothing but the Program: SimPy processes, Numba recurrences, and RTL. docs/validation.md says
what that proves and what it does not.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")

from hwsim.activity import INDEX
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.program import ProgramError
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.rtl.machine import Machine, run_together
from hwsim.rtl.memories import pack, unpack
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.stimulus import Stimulus, parameters_of
from tests.rtl.cases import STRATA, differences, draw
from tests.rtl.tiny import tiny_run

DESIGNS = 24  # a multiple of the strata
STIMULI = 5
BLOCKS = 8
ENGINES = {"fast": FastEngine(), "reference": ReferenceEngine()}


@cache
def runs(seed: int) -> list[tuple[Stimulus, CoreLog]]:
    """The stimuli of one design and what the hardware did with them."""
    stimuli = draw(seed, STIMULI)
    return list(zip(stimuli, run_together(stimuli), strict=True))


@pytest.mark.parametrize("block", range(BLOCKS))
def test_hardware_and_engines_agree(block: int) -> None:
    for seed in range(block, DESIGNS, BLOCKS):
        for number, (stimulus, log) in enumerate(runs(seed)):
            for name, engine in ENGINES.items():
                found = list(differences(log, engine.run_core(*stimulus.arguments)))
                assert not found, (f"design {seed}, {STRATA[seed % len(STRATA)].name}, stimulus {number}, {name}", *found)


def test_every_rule_is_pressed_on() -> None:
    """What never happens in the random runs would be what nothing holds equal; what is rare must be common."""
    seen: dict[str, int] = {}
    for seed in range(DESIGNS):
        for stimulus, log in runs(seed):
            for what in happenings(stimulus, log):
                seen[what] = seen.get(what, 0) + 1
    rare = {what: seen.get(what, 0) for what in EXPECTED if seen.get(what, 0) < 4}
    assert not rare, rare


EXPECTED = (
    # Loads and stores are those of other dataflows (R19), and the hardware counts no timesteps (R28).
    *(f"kind {kind}" for kind in ISSUE_KINDS if kind not in ("load", "store", "count")),
    "late push", "full FIFO", "saturation", "clear", "no clear", "tile", "flags kept",
    "several connections", "mixed payloads", "two periods", "hazard", "overlaps EXEC", "ends in a spike",
    "acc_add", "mult", "weight_shift", "membrane_shift", "bias_add", "leak", "cmp", "reset_sub", "reset_zero", "requant",
    "threshold_shift", "mask_read", "mask_write", "current_read", "bias_read", "cycles_stall_serialiser",
    "membrane_write_readout",
)


def happenings(stimulus: Stimulus, log: CoreLog) -> set[str]:
    """What a run had of EXPECTED."""
    run, tokens = stimulus.run, stimulus.tokens
    counts = log.counts.sum(axis=0)
    found = {name for name, column in INDEX.items() if counts[column]}
    found |= {f"kind {ISSUE_KINDS[kind]}" for kind in set(log.issue[:, 1].tolist())}
    events = tokens[:, 0] >= 0
    facts = {
        "late push": bool((np.diff(log.push) > 1).any()), "saturation": log.saturations > 0,
        "full FIFO": bool((log.push[run.core.fifo_depth:] == log.pop[: -run.core.fifo_depth] + 1).any()),
        "clear": run.clear, "no clear": not run.clear, "tile": run.groups != (0, run.group_count),
        "flags kept": bool(log.flags.any()), "several connections": len(run.connections) > 1,
        "mixed payloads": len(set(tokens[events, 5].tolist())) == 2, "two periods": stimulus.eots > run.table.planes,
        "hazard": bool(counts[INDEX["cycles_stall_hazard"]]),
        "overlaps EXEC": bool(counts[INDEX["cycles_overlapped"]]),
        "ends in a spike": bool(len(log.spikes)) and log.done == log.spikes[-1, 0] + 1,
    }
    return found | {what for what, holds in facts.items() if holds}


@pytest.mark.slow
def test_a_receiver_that_makes_the_serialiser_wait_loses_nothing() -> None:
    """`out_ready` low: later, but the same spikes in the same order, the same sums, the same counts of work."""
    waited = 0
    for seed in (0, 13, 21, 29):
        stimuli = draw(seed)
        machine = Machine(parameters_of(stimuli))
        freely = machine.run(stimuli)
        slowly = machine.run(stimuli, ready=lambda cycle: cycle % 3 == 0)
        for free, slow in zip(freely, slowly, strict=True):
            assert free.spikes[:, 1:].tolist() == slow.spikes[:, 1:].tolist()
            assert (slow.spikes[:, 0] % 3 == 0).all()
            for field in ("potentials", "currents", "flags"):
                assert (getattr(free, field) == getattr(slow, field)).all()
            idle = [column for name, column in INDEX.items() if name.startswith("cycles_")]
            assert (np.delete(free.counts, idle, axis=1) == np.delete(slow.counts, idle, axis=1)).all()
            assert slow.done >= free.done
            waited += slow.done > free.done
    assert waited > 3


def test_a_run_without_a_clear_goes_on_where_the_last_one_stopped() -> None:
    """The states stay in the memories: two runs in the machine are two runs of the engine, one after the other."""
    for seed in (3, 8, 11):
        first, second = draw(seed)[:2]
        first, second = (replace(s, run=replace(s.run, clear=clear)) for s, clear in ((first, True), (second, False)))
        before = ENGINES["fast"].run_core(*first.arguments)
        second = replace(second, potentials=before.potentials, currents=before.currents, flags=before.flags)
        logs = run_together([first, second])
        assert not list(differences(logs[1], ENGINES["fast"].run_core(*second.arguments)))


def test_no_run_takes_longer_than_the_rules_allow() -> None:
    for seed in range(DESIGNS):
        for stimulus, log in runs(seed):
            assert log.done < stimulus.longest_cycles


def test_a_run_that_does_not_end_in_time_is_an_error() -> None:
    (stimulus, log), *_ = runs(0)
    machine = Machine(parameters_of([stimulus]))
    assert machine.run([stimulus], patience=log.done + 1)[0].done == log.done
    with pytest.raises(TimeoutError, match=f"not done after {log.done:,} cycles"):
        machine.run([stimulus], patience=log.done)


def test_what_the_hardware_does_not_have_is_refused_by_name() -> None:
    run = replace(tiny_run("fire_once", 2, True, 2), shape=(2, 4, 2))
    with pytest.raises(ProgramError, match=r"rows 1 to 2 of a layer, of which it computes all \(R25\)"):
        Parameters(replace(run, rows=(1, 3)))
    with pytest.raises(ProgramError, match=r"does not cover mask_first .*\(R25\) .* word by word"):
        Parameters(replace(run, core=replace(run.core, mask_first=True, passes="by_word")))
    Parameters(replace(run, core=replace(run.core, mask_first=True)))
    without_flags = tiny_run("rate", 2, True, 2)
    Parameters(replace(without_flags, core=replace(without_flags.core, mask_first=True)))


def test_words_are_packed_and_unpacked() -> None:
    word = [-8, 7, 0, -1, 3]
    assert unpack(pack(word, 4), 5, 4) == word
    assert pack([-1, 0], 3) == 0b000111
