"""The hardware of the other dataflows (R19 to R24) does in every cycle what the vectors and the reference engine say."""

from __future__ import annotations

import pytest

pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")

from hwsim.activity import INDEX
from hwsim.program import ProgramError
from hwsim.rtl.machine import run_core
from hwsim.rtl.scan_machine import run_planes
from hwsim.verify.dataflow_cases import ACTIVITY, DataflowCase
from hwsim.verify.run_cases import observed
from tests.rtl.cases import differences
from tests.rtl.dataflows import REFERENCE, SETTINGS, covered_vectors, judged, planes_cleared, random_case

VECTORS = covered_vectors()


@pytest.mark.parametrize("case", VECTORS[::23], ids=lambda case: case.name)
def test_hardware_meets_the_vectors(case: DataflowCase) -> None:
    check_vector(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case.name)
def test_hardware_meets_all_vectors(case: DataflowCase) -> None:
    check_vector(case)


def check_vector(case: DataflowCase) -> None:
    """Planes in the spike buffer, the scanner, the core."""
    assert observed(run_planes(*case.arguments), ACTIVITY) == case.expect


@pytest.mark.parametrize("setting", SETTINGS)
def test_hardware_does_what_the_reference_engine_does(setting: str) -> None:
    check_random(range(8), setting)


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_hardware_does_what_the_reference_engine_does_in_many_runs(setting: str) -> None:
    check_random(range(1000, 1100), setting)


@pytest.mark.parametrize("setting", ["plain", "gather", "merged"])
def test_scanner_and_core_do_what_the_reference_engine_does(setting: str) -> None:
    check_planes(range(20, 25), setting)


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["plain", *SETTINGS])
def test_scanner_and_core_do_what_the_reference_engine_does_in_many_runs(setting: str) -> None:
    check_planes(range(2000, 2060), setting)


def check_planes(seeds: range, setting: str) -> None:
    """Every row that is read is compared, too."""
    for seed in seeds:
        case = random_case(seed, setting)
        try:
            log = REFERENCE.run_planes(*case.arguments)
        except ProgramError:
            continue
        rtl = run_planes(*case.arguments)
        found = [text for text in differences(rtl, log) if not text.startswith("pool_update")]
        assert not found, (seed, case.run.core, *found)
        rows = INDEX["buffer_read"]
        assert rtl.counts[:, rows].tolist() == log.counts[:, rows].tolist(), seed


def check_random(seeds: range, setting: str) -> None:
    for seed, stimulus, log in judged(seeds, setting):
        rtl = run_core(*stimulus.arguments)
        found = list(differences(rtl, log))
        assert not found, (seed, stimulus.run.core, *found)
        if stimulus.run.core.writer == "word":
            writes, its = (int(one.counts[:, INDEX["buffer_write"]].sum()) for one in (rtl, log))
            assert writes == its - planes_cleared(stimulus.run, log), seed
