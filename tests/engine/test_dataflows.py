"""Laws of the dataflows R19 to R24: both engines agree on any run in any of them, and the dataflows agree with each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwsim.activity import EVENTS
from hwsim.engine.fast import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.engine.reference.tokens import plane_stream
from hwsim.program import CoreLog, ProgramError
from tests.engine.random_runs import RandomRun, random_run
from tests.engine.test_engines_agree import assert_same_log

FAST, REFERENCE = FastEngine(), ReferenceEngine()
SEEDS = st.integers(0, 2**32 - 1)
quietly = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


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
def test_engines_agree_on_every_dataflow(seed: int) -> None:
    check_agreement(seed)


@pytest.mark.slow
def test_engines_agree_on_thousands_of_runs() -> None:
    assert sum(check_agreement(seed) is not None for seed in range(4000)) > 2000
