"""Fuzzers: whatever is read is what was written, another sound thing, or one clear error. docs/reliability.md has the table.

`python -m tests.faults COUNT` prints that table; `-m slow` runs 5,000 cases of each fuzzer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.faults.fuzzers import FUZZERS
from tests.faults.worker import BAD, CRASH, HANG, MEMORY, SAME, UNCAUGHT, Fuzzer, run_cases

QUICK = {"trace, raw bytes": 100, "trace, HDF5 structures": 80, "trace, content with right hashes": 60, "YAML": 60,
         "command line": 20, "result folder": 15, "checkpoint": 25}
"""Cases in the default tests; together a few seconds."""
MANY = 5000
"""Cases of each in the slow job."""


@pytest.mark.parametrize("name", FUZZERS)
def test_what_is_read_is_what_was_written_or_one_clear_error(name: str, tmp_path: Path) -> None:
    found = run_cases(FUZZERS[name](tmp_path), QUICK[name], seed=1)
    assert sum(found.values()) == QUICK[name]
    assert not {verdict: count for verdict, count in found.items() if verdict in BAD}


def test_the_page_says_how_many_cases_that_are() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()
    assert f"The default tests run {sum(QUICK.values())} cases of the fuzzers" in page
    assert f"runs {MANY:,} cases of each fuzzer" in page
    assert all(f"| {name} | {MANY:,} | " in page for name in FUZZERS)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUZZERS)
def test_the_same_with_5000_cases(name: str, tmp_path: Path) -> None:
    found = run_cases(FUZZERS[name](tmp_path), MANY, seed=2)
    assert sum(found.values()) == MANY
    assert not {verdict: count for verdict, count in found.items() if verdict in BAD}


class Faulty(Fuzzer):
    """Does each thing that must be noticed, one after the other."""

    def case(self, rng: np.random.Generator) -> str:
        import ctypes
        import os

        done = self.folder / "done"
        number = int(done.read_text()) if done.exists() else 0
        done.write_text(str(number + 1))
        if number == 1:
            raise ZeroDivisionError
        if number == 2:
            ctypes.string_at(0)
        if number == 3:
            bytearray(1 << 40)
        if number == 4:
            os._exit(7)
        if number == 5:
            while True:
                pass
        return SAME


def test_the_worker_notices_what_must_not_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.worker.SECONDS", 0.3)
    assert run_cases(Faulty(tmp_path), 7, seed=0) == {SAME: 2, UNCAUGHT: 1, CRASH: 2, MEMORY: 1, HANG: 1}
