"""The 314 test vectors of the dataflow rules R19 to R24 as inputs of `Engine.run_planes`, with the answers beside them.

The file is tests/data/dataflow_cases.json.gz; docs/formats/vectors.md describes its fields, hwsim/verify reads and compares it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hwsim.verify.case_file import read_document
from hwsim.verify.dataflow_cases import DataflowCase, DataflowCases

PATH = Path(__file__).parents[1] / "data" / "dataflow_cases.json.gz"


@cache
def load_cases() -> tuple[DataflowCase, ...]:
    cases = DataflowCases()
    return tuple(cases.read(entry) for _, entry in cases.entries(read_document(PATH)))
