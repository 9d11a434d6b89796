"""Law: both engines run any Program to the same cycle, count, spike, potential, saturation and mismatch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwsim.activity import EVENTS
from hwsim.engine.fast.chip import FastEngine
from hwsim.program import Program
from hwsim.record import CoreLog, SampleRecord
from tests.engine.random_designs import random_sample
from tests.engine.random_programs import check_both_engines, draw_design


def draw_program(seed: int) -> tuple[Program, np.random.Generator] | None:
    """A random Program, or None when the mapping rightly refuses it."""
    drawn = draw_design(seed)
    return drawn and (drawn.program, drawn.rng)


def assert_same(fast: SampleRecord, reference: SampleRecord, program: Program) -> None:
    for op in program.operations:
        if op.id in reference.logs:
            assert_same_log(fast.logs[op.id], reference.logs[op.id], f"operation {op.id}")
    np.testing.assert_array_equal(fast.start, reference.start)
    np.testing.assert_array_equal(fast.end, reference.end)
    difference = np.argwhere(fast.counts != reference.counts)
    assert not len(difference), [
        (f"op {o} {program.operations[o].label}", f"row {t}", EVENTS[e], fast.counts[o, t, e], reference.counts[o, t, e])
        for o, t, e in difference[:8]]
    np.testing.assert_array_equal(fast.saturations, reference.saturations)
    np.testing.assert_array_equal(fast.mismatches, reference.mismatches)
    for name in reference.outputs:
        np.testing.assert_array_equal(fast.outputs[name], reference.outputs[name], err_msg=name)
    for name in reference.potentials:
        np.testing.assert_array_equal(fast.potentials[name], reference.potentials[name], err_msg=name)


def assert_same_log(fast: CoreLog, reference: CoreLog, where: str) -> None:
    for field in ("push", "pop", "issue", "spikes", "potentials", "currents", "flags"):
        np.testing.assert_array_equal(getattr(fast, field), getattr(reference, field), err_msg=f"{where}: {field}")
    assert fast.done == reference.done, where
    assert fast.saturations == reference.saturations, where


def check_seed(seed: int) -> bool:
    drawn = draw_program(seed)
    if drawn is None:
        return False
    program, rng = drawn
    check_both_engines(program, rng, assert_same)
    return True


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_engines_agree_on_random_designs(seed: int) -> None:
    check_seed(seed)


def test_most_random_designs_run() -> None:
    """The property test would be empty if the mapping refused nearly everything."""
    ran = sum(draw_program(seed) is not None for seed in range(200))
    assert ran > 100


@pytest.mark.slow
def test_engines_agree_on_thousands_of_designs() -> None:
    assert sum(check_seed(seed) for seed in range(3000)) > 1500


def test_random_designs_make_every_event_happen() -> None:
    """An event that never happens in the property test would be an event that nothing holds equal."""
    seen = np.zeros(len(EVENTS), np.int64)
    saturations = mismatches = tiles = spills = 0
    for seed in range(250):
        drawn = draw_program(seed)
        if drawn is None:
            continue
        program, rng = drawn
        record = FastEngine().run_sample(program, random_sample(rng, program.network), "trace")
        seen += record.counts.sum(axis=(0, 1))
        saturations += int(record.saturations.sum())
        mismatches += int((record.mismatches > 0).sum())
        tiles += any(op.tile for op in program.operations)
        spills += any(getattr(op, "memory", "") == "membrane" for op in program.operations)
    other_dataflows = {
        "membrane_read_load", "membrane_write_store", "accumulator_access", "sum_add", "cycles_stall_port"}
    links = {"link_bits", "link_hops"}
    reserved = other_dataflows | links | {"decay"}  # test_dataflows.py, test_network_programs.py and test_decay.py have them
    assert {name for name, count in zip(EVENTS, seen, strict=True) if not count} == reserved
    assert min(saturations, mismatches, tiles, spills) > 10
