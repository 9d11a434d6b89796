"""Laws: the reference engine meets every core vector to the cycle, and conserves tokens, slots and cycles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwsim.activity import INDEX
from hwsim.engine.reference import ReferenceEngine
from hwsim.record import ISSUE_KINDS, CoreLog
from hwsim.verify.core_cases import CoreCase
from tests.engine.core_cases import load_cases

ENGINE = ReferenceEngine()
CASES = load_cases()
every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def count(log: CoreLog, name: str) -> int:
    return int(log.counts[:, INDEX[name]].sum())


def kinds(log: CoreLog) -> list[str]:
    return [ISSUE_KINDS[kind] for kind in log.issue[:, 1]]


def changed(case: CoreCase, gaps: np.ndarray, earliest: np.ndarray, **core: Any) -> CoreLog:
    run = replace(case.run, core=replace(case.run.core, **core))
    return ENGINE.run_core(run, case.tokens, gaps, earliest, case.potentials, case.currents)


def test_the_file_holds_five_cases_of_each_kind_and_coding() -> None:
    assert len(CASES) == 225
    assert len({case.kind for case in CASES}) == 9


@every_case
def test_vector(case: CoreCase) -> None:
    assert case.difference(ENGINE.run_core(*case.arguments)) is None


@every_case
def test_tokens_slots_and_cycles_are_conserved(case: CoreCase) -> None:
    log = ENGINE.run_core(*case.arguments)
    assert count(log, "fifo_push") == count(log, "fifo_pop") == len(case.tokens)
    assert count(log, "cycles_busy") == len(log.issue)
    assert count(log, "spike_out") == len(log.spikes) == count(log, "buffer_write")
    stalls = count(log, "cycles_stall_hazard") + count(log, "cycles_stall_serialiser")
    assert log.done - len(log.issue) - stalls + count(log, "cycles_overlapped") >= 0
    for cycles in (log.issue[:, 0], log.push, log.pop, log.spikes[:, 0]):
        assert (np.diff(cycles) >= 1).all(), "a unit does one thing a cycle"
    words = [k for k in kinds(log) if k not in ("eot", "skip")]
    assert count(log, "addr_gen") == len(words)


@every_case
def test_every_push_obeys_r2_and_every_pop_its_visibility(case: CoreCase) -> None:
    rng = np.random.default_rng(case.id)
    n = len(case.tokens)
    gaps = np.where(rng.random(n) < 0.5, 1, rng.integers(1, 8, n))
    earliest = np.where(rng.random(n) < 0.7, 0, rng.integers(0, 1 + case.expect["done"], n))
    depth = int(rng.integers(1, 6))
    log = changed(case, gaps, earliest, fifo_depth=depth)
    before = -1
    for k in range(n):
        room = log.pop[k - depth] + 1 if k >= depth else 0
        before = max(before + gaps[k], earliest[k], room)
        assert log.push[k] == before
        assert log.pop[k] > log.push[k]


@every_case
def test_bypass_fifo_and_gaps_move_cycles_but_not_results(case: CoreCase) -> None:
    log = ENGINE.run_core(*case.arguments)
    slow = np.full(len(case.tokens), 5)
    other = changed(case, slow, case.earliest, bypass=not case.run.core.bypass, fifo_depth=7)
    np.testing.assert_array_equal(log.spikes[:, 1:], other.spikes[:, 1:])
    np.testing.assert_array_equal(log.potentials, other.potentials)
    np.testing.assert_array_equal(log.currents, other.currents)
    assert log.saturations == other.saturations
    with_bypass = log if case.run.core.bypass else other
    assert count(with_bypass, "cycles_stall_hazard") == 0


@every_case
def test_closed_form(case: CoreCase) -> None:
    """Slots add up; with bypass, no spikes, depth >= 2, tokens in time and an operation last, done = S + 2."""
    silent = tuple(replace(p, threshold=1 << 40) for p in case.run.table.passes)
    run = replace(case.run, table=replace(case.run.table, passes=silent))
    run = replace(run, core=replace(run.core, bypass=True, fifo_depth=max(2, run.core.fifo_depth)))
    log = ENGINE.run_core(run, case.tokens, np.ones(len(case.tokens), int), np.zeros(len(case.tokens), int),
                          case.potentials, case.currents)
    eots = int((case.tokens[:, 0] < 0).sum())
    passes = sum(len([p for p in silent if p.after_eot == n % run.table.planes + 1]) for n in range(eots))
    seen = kinds(log)
    slots = run.words * run.clear + seen.count("acc") + seen.count("skip") + eots + run.words * passes
    assert len(log.issue) == slots
    # A word silent in every pass still holds the serialiser for a cycle, so nothing ever waits for it.
    assert seen[-1] == "fire"
    assert log.done == slots + 2


@every_case
def test_groups_can_be_run_one_after_the_other(case: CoreCase) -> None:
    """Tiles of a layer give the spikes, potentials and synapses of the whole layer."""
    whole = ENGINE.run_core(*case.arguments)
    potentials, currents, spikes, adds = case.potentials, case.currents, [], 0
    for group in range(case.run.group_count):
        run = replace(case.run, groups=(group, group + 1))
        log = ENGINE.run_core(run, case.tokens, case.gaps, case.earliest, potentials, currents)
        potentials, currents = log.potentials, log.currents
        spikes += log.spikes[:, 2].tolist()
        adds += count(log, "acc_add")
    np.testing.assert_array_equal(potentials, whole.potentials)
    np.testing.assert_array_equal(currents, whole.currents)
    assert sorted(spikes) == sorted(whole.spikes[:, 2].tolist())
    assert adds == count(whole, "acc_add")
