"""The fast engine meets every dataflow vector to the cycle."""

from __future__ import annotations

import pytest

from hwsim.engine.fast.chip import FastEngine
from tests.engine.dataflow_cases import DataflowCase, load_cases

CASES = load_cases()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_vector(case: DataflowCase) -> None:
    seen = case.observed(FastEngine().run_planes(*case.arguments))
    for field in ("push", "pop", "issue", "spikes", "done", "activity", "final_potential"):
        assert seen[field] == case.expect[field], f"{case.name}: {field}"
