"""Both engines agree on any run and any Program in any of the dataflows R19 to R24."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hwsim.activity import EVENTS
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.engine.reference.tokens import plane_stream
from hwsim.program import CoreSpec, Program, ProgramError, Run
from hwsim.record import CoreLog
from tests.engine.random_designs import random_sample
from tests.engine.random_runs import TABLES, RandomRun, random_run
from tests.engine.test_engines_agree import assert_same as assert_same_sample
from tests.engine.test_engines_agree import assert_same_log, draw_program
from tests.laws.dataflows import ORDERS, SEEDS, total

FAST, REFERENCE = FastEngine(), ReferenceEngine()
quietly = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


def assert_same(fast: CoreLog, reference: CoreLog, case: RandomRun) -> None:
    difference = np.argwhere(fast.counts != reference.counts)
    assert not len(difference), [
        (f"row {t}", EVENTS[e], fast.counts[t, e], reference.counts[t, e]) for t, e in difference[:8]]
    assert_same_log(fast, reference, f"{case.kind} {case.run.core}")


def check_agreement(seed: int) -> CoreLog | None:
    """Both engines on one random run, from planes and from late tokens; None if both refuse it."""
    rng = np.random.default_rng(seed)
    case = random_run(rng)
    try:
        reference = REFERENCE.run_planes(*case.arguments)
    except ProgramError:
        with pytest.raises(ProgramError):
            FAST.run_planes(*case.arguments)
        return None
    assert_same(FAST.run_planes(*case.arguments), reference, case)
    stream = plane_stream(case.run, case.planes, case.eots)
    tokens = np.array(stream.tokens, np.int64).reshape(-1, 6)
    gaps = np.array(stream.gaps, np.int64)
    late = np.where(rng.random(len(gaps)) < 0.8, 0, rng.integers(0, 1 + reference.done, len(gaps)))
    states = (case.potentials, case.currents, case.flags)
    given_tokens = [engine.run_core(case.run, tokens, gaps, late, *states) for engine in (FAST, REFERENCE)]
    assert_same(*given_tokens, case)
    return reference


@quietly
@given(seed=SEEDS)
@example(seed=5384)  # sums that clip and that nobody adds
def test_engines_agree_on_every_dataflow(seed: int) -> None:
    check_agreement(seed)


@pytest.mark.slow
def test_engines_agree_on_thousands_of_runs() -> None:
    assert sum(check_agreement(seed) is not None for seed in range(4000)) > 2000


def in_dataflow(program: Program, core: CoreSpec) -> Program:
    """A schedule's Program with another core in all of its runs."""
    operations = []
    for op in program.operations:
        if isinstance(op, Run):
            run = replace(op.body, core=core)
            op = replace(op, body=run, eots=1 if run.merged else run.table.planes)
        operations.append(op)
    return replace(program, operations=tuple(operations))


def check_program(seed: int, core: dict[str, Any], planes_per_token: str) -> bool:
    """Both engines on a random network, mapping and schedule in one dataflow, and its outputs against today's."""
    drawn_program = draw_program(seed)
    if drawn_program is None:
        return False
    today, rng = drawn_program
    spec = next(today.runs).body.core
    if spec.buffer == "aer":
        core = {**core, "order": "scatter", "writer": "serial"}
        planes_per_token = "one"
    program = in_dataflow(today, replace(spec, **core, planes_per_token=planes_per_token))
    sample = random_sample(rng, program.network)
    try:
        reference = REFERENCE.run_sample(program, sample, "computed", record=True)
    except ProgramError:
        with pytest.raises(ProgramError):
            FAST.run_sample(program, sample, "computed")
        return False
    for record in (True, False):
        fast = FAST.run_sample(program, sample, "computed", record=record)
        fast.logs = fast.logs or reference.logs
        assert_same_sample(fast, reference, program)
    if planes_per_token == "one":
        plain = FAST.run_sample(today, sample, "computed")
        for name, output in plain.outputs.items():
            np.testing.assert_array_equal(output, reference.outputs[name], err_msg=name)
        np.testing.assert_array_equal(plain.saturations, reference.saturations)
    return True


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS, core=ORDERS, planes_per_token=st.sampled_from(["one", "one", "all"]))
def test_engines_agree_on_programs_in_every_dataflow(seed: int, core: dict[str, Any], planes_per_token: str) -> None:
    """Layer by layer and step by step, tiles and spills; one plane to a token gives today's outputs and saturations."""
    check_program(seed, core, planes_per_token)


def test_random_runs_use_every_dataflow() -> None:
    """An agreement on runs that are all refused would say nothing."""
    seen: Counter[str] = Counter()
    refused = {"horner all", "hybrid all"}
    wanted = {f"{kind} {name}" for kind in TABLES for name in (
        "scatter", "gather", "one", "all", "by_pass", "by_word", "serial", "word")} - refused
    wanted |= {"sum_add", "cycles_stall_port", "membrane_read_load", "membrane_write_store", "saturation"}
    for seed in range(700):
        if all(seen[what] >= 3 for what in wanted):
            break
        case = random_run(np.random.default_rng(seed))
        try:
            log = FAST.run_planes(*case.arguments)
        except ProgramError:
            continue
        core = case.run.core
        seen.update(f"{case.kind} {name}" for name in (core.order, core.planes_per_token, core.passes, core.writer))
        seen.update(name for name in ("sum_add", "cycles_stall_port", "membrane_read_load", "membrane_write_store")
                    if total(log, name))
        seen["saturation"] += log.saturations > 0
    assert not {what: seen[what] for what in wanted if seen[what] < 3}
