"""The 225 shipped core cases as inputs of `Engine.run_core`, with the answers of two independent models beside them.

The file is tests/data/core_cases.json.gz; docs/formats/vectors.md describes its fields, hwsim/verify reads and compares it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hwsim.verify.case_file import read_document
from hwsim.verify.core_cases import CoreCase, CoreCases

PATH = Path(__file__).parents[1] / "data" / "core_cases.json.gz"


@cache
def load_cases() -> tuple[CoreCase, ...]:
    cases = CoreCases()
    return tuple(cases.read(entry) for _, entry in cases.entries(read_document(PATH)))
