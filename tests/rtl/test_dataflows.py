"""The hardware of the other dataflows (R19 to R24) does in every cycle what the vectors and the reference engine say."""

from __future__ import annotations

import pytest

pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")

from hwsim.activity import INDEX
from hwsim.rtl.machine import run_core
from tests.engine.dataflow_cases import DataflowCase
from tests.rtl.cases import differences
from tests.rtl.dataflows import SETTINGS, covered_vectors, judged, planes_cleared, stimulus_of

VECTORS = covered_vectors()
# A run by itself knows of no buffer, so it reads no rows of one.
BUFFERS = {"buffer_read"}


@pytest.mark.parametrize("case", VECTORS[::23], ids=lambda case: case.name)
def test_hardware_meets_the_vectors(case: DataflowCase) -> None:
    check_vector(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case.name)
def test_hardware_meets_all_vectors(case: DataflowCase) -> None:
    check_vector(case)


def check_vector(case: DataflowCase) -> None:
    found, expected = case.observed(run_core(*stimulus_of(case).arguments)), dict(case.expect)
    for answers in (found, expected):
        answers["activity"] = {name: count for name, count in answers["activity"].items() if name not in BUFFERS}
    assert found == expected


@pytest.mark.parametrize("setting", SETTINGS)
def test_hardware_does_what_the_reference_engine_does(setting: str) -> None:
    check_random(range(8), setting)


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_hardware_does_what_the_reference_engine_does_in_many_runs(setting: str) -> None:
    check_random(range(1000, 1100), setting)


def check_random(seeds: range, setting: str) -> None:
    for seed, stimulus, log in judged(seeds, setting):
        rtl = run_core(*stimulus.arguments)
        found = list(differences(rtl, log))
        assert not found, (seed, stimulus.run.core, *found)
        if stimulus.run.core.writer == "word":
            writes, its = (int(one.counts[:, INDEX["buffer_write"]].sum()) for one in (rtl, log))
            assert writes == its - planes_cleared(stimulus.run, log), seed
