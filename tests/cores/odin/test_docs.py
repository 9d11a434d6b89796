"""What docs/odin.md says of the tests and shows in Python is true."""

from __future__ import annotations

import contextlib
import io
import json
import re

from hwsim.cores.odin.verify import read_cases
from tests.conftest import ROOT
from tests.cores.odin.engines import CASES
from tests.cores.odin.mutants import CAUGHT_BY, FAST_MUTANTS, MUTANTS, REFERENCE_MUTANTS

TEXT = (ROOT / "docs" / "odin.md").read_text(encoding="utf-8")
VALIDATION = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")


def test_the_example_runs_to_rest() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "docs/odin.md", "exec"), {})
    assert int(printed.getvalue().split()[0]) > 0


def test_numbers_of_cases_and_mutants() -> None:
    cases = read_cases(CASES)
    cycles = sum(case["cap"] if case["expect"]["done"] is None else case["expect"]["done"] for case in cases)
    assert f"**{len(cases)} recorded cases**" in TEXT
    assert f"{cycles:,} cycles" in TEXT
    assert f"{cycles:,} cycles" in VALIDATION
    assert f"{len(MUTANTS)} functions that break one rule each, {len(REFERENCE_MUTANTS)} in the reference and" in TEXT
    assert f"and {len(FAST_MUTANTS)} in the fast engine" in TEXT
    by_case = sum(place.startswith("case") for place in json.loads(CAUGHT_BY.read_text(encoding="utf-8")).values())
    assert f"{by_case} by a recorded case" in TEXT
