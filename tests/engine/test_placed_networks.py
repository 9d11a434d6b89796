"""Whole networks on links, placed by hand or by hwsim: the engines agree on random ones, and CHIP's laws hold there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.record import SampleRecord
from tests.engine.placed_networks import Placed, as_list, draw_placed
from tests.engine.random_designs import random_sample
from tests.engine.test_list_laws import answer, check_law_2
from tests.engine.test_several_cores import assert_equal

SEEDS = st.integers(0, 2**32 - 1)


def check_seed(seed: int) -> tuple[Placed, SampleRecord] | None:
    found = draw_placed(seed)
    if found is None:
        return None
    rng = np.random.default_rng(seed)
    for spikes in ("computed", "trace"):
        sample = random_sample(rng, found.network)
        reference = ReferenceEngine().run_sample(found.program, sample, spikes, record=True)
        fast = FastEngine().run_sample(found.program, sample, spikes, record=True)
        assert_equal(fast, reference, found.program)
    listed, cycles = as_list(found.program, fast)
    times = answer(listed, cycles)
    check_law_2(listed, times)
    np.testing.assert_array_equal(times.start, fast.start)
    np.testing.assert_array_equal(times.end, fast.end)
    return found, fast


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_engines_agree_on_random_networks_on_links_and_law_2_holds(seed: int) -> None:
    check_seed(seed)


@pytest.mark.slow
def test_engines_agree_on_thousands_of_networks_on_links() -> None:
    assert sum(check_seed(seed) is not None for seed in range(2000)) > 600
