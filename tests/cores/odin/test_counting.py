"""Two cycles per synapse, beside the exact cycles: nearly right for quiet neuron events, four times off for synapse events."""

from __future__ import annotations

import pytest

from benchmarks.odin_counting import counted_and_exact, rows
from tests.conftest import ROOT
from tests.cores.odin.engines import ENGINES

EVENTS = 2000


def test_how_far_off_the_count_is_and_that_the_page_says_so() -> None:
    found = counted_and_exact(EVENTS)
    factors = {name: exact / counted for name, (counted, exact) in found.items()}
    assert factors["neuron events"] == pytest.approx(1.012, abs=5e-4), "1.2 % off"
    assert factors["synapse events"] == pytest.approx(4.0, rel=1e-3), "4 times off"
    text = (ROOT / "docs" / "odin.md").read_text(encoding="utf-8")
    for row in rows(found, EVENTS):
        assert row in text
    assert "python benchmarks/odin_counting.py" in text


def test_the_reference_engine_counts_the_same() -> None:
    assert counted_and_exact(20, ENGINES["reference"]) == counted_and_exact(20)
