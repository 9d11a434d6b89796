"""Laws: the reference engine meets every dataflow vector to the cycle, and conserves tokens, slots and cycles."""

from __future__ import annotations

import pytest

from hwsim.engine.reference import ReferenceEngine
from tests.engine.dataflow_cases import DataflowCase, load_cases

CASES = load_cases()
every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def test_the_file_holds_every_setting() -> None:
    assert len(CASES) == 314


@every_case
def test_vector(case: DataflowCase) -> None:
    seen = case.observed(ReferenceEngine().run_planes(*case.arguments))
    for field in ("push", "pop", "issue", "spikes", "done", "activity", "final_potential"):
        assert seen[field] == case.expect[field], f"{case.name}: {field}"
