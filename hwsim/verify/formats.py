"""FORMATS: every format of test vectors that `python -m hwsim.verify` reads, one line each."""

from __future__ import annotations

from typing import Any

from hwsim.verify.chip_cases import ChipCases
from hwsim.verify.core_cases import CoreCases
from hwsim.verify.dataflow_cases import DataflowCases
from hwsim.verify.format import Format, VerifyError, brief
from hwsim.verify.odin_cases import OdinCases

FORMATS: tuple[Format, ...] = (
    CoreCases(),
    DataflowCases(),
    OdinCases(),
    ChipCases(),
)


def format_of(document: Any) -> Format:
    """The format that recognises a file's JSON. Raises VerifyError when none does."""
    for one in FORMATS:
        if one.recognises(document):
            return one
    known = ", ".join(one.title for one in FORMATS)
    raise VerifyError(f"unknown format of test vectors: found {brief(document)}, expected one of: {known}; "
                      "docs/formats/vectors.md describes them")
