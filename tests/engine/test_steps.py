"""Timesteps done many in a call: that random designs come there, and the decay that it makes in 32 bits.

That its counts, cycles, sums and spikes are the reference engine's is the law of test_engines_agree.py, whose replays without a
log are executed this way.
"""

from __future__ import annotations

from fractions import Fraction
from math import trunc

import numpy as np
import pytest

from hwsim.engine.fast import steps
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.fast.kernels.arithmetic import decay
from tests.engine.random_designs import random_sample
from tests.engine.test_engines_agree import draw_program


def test_random_designs_are_executed_this_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """And in each of its ways: planes that are listed, planes that are fed one by one, runs that it does not know."""
    seen = dict.fromkeys(("listed", "fed", "unknown"), 0)
    make, does = steps.StepsCore._steps, steps.does

    def counted(core, first, end, source, scan, scanner):  # type: ignore[no-untyped-def]
        seen["fed" if source is None else "listed"] += 1
        make(core, first, end, source, scan, scanner)

    def asked(pack, state):  # type: ignore[no-untyped-def]
        seen["unknown"] += not does(pack, state)
        return does(pack, state)

    monkeypatch.setattr(steps.StepsCore, "_steps", counted)
    monkeypatch.setattr(steps, "does", asked)
    for seed in range(25):
        if (drawn := draw_program(seed)) is not None:
            program, rng = drawn
            FastEngine().run_sample(program, random_sample(rng, program.network), "trace")
    assert min(seen.values()) >= 5, seen


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
@pytest.mark.parametrize("left", [0, 1, 3072, 4095, 4096])
def test_a_decay_is_exact_at_the_ends_of_every_type(dtype: type, left: int) -> None:
    limits = np.iinfo(dtype)
    low, high = (max(limits.min, -(1 << 47)), min(limits.max, (1 << 47) - 1))
    values = [low, low + 1, -4097, -4096, -4095, -1, 0, 1, 4095, 4096, 4097, high - 1, high]
    found = np.array([values], dtype)
    decay(found, left, 12)
    assert found[0].tolist() == [trunc(Fraction(value * left, 4096)) for value in values]
