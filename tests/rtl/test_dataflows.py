"""The hardware of the other dataflows (R19 to R24) does in every cycle what the reference engine says.

The published vectors are held by the laws (tests/laws/test_rtl.py).
"""

from __future__ import annotations

import pytest

pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")

from hwsim.activity import INDEX
from hwsim.program import CoreRun, ProgramError
from hwsim.rtl.buffer_rows import BufferRows
from hwsim.rtl.machine import run_core
from hwsim.rtl.parameters import Parameters
from hwsim.rtl.scan_machine import ScanMachine, run_planes
from tests.rtl.cases import differences
from tests.rtl.dataflows import REFERENCE, SETTINGS, judged, planes_cleared, random_case, scanned_differences
from tests.rtl.tiny_planes import TABLES, tiny_plane_runs, tiny_plane_stimuli


@pytest.mark.parametrize("setting", [
    "gather by word, one port, word writer", "gather merged by word, one port", "bit-serial multipliers, gather"])
def test_hardware_does_what_the_reference_engine_does(setting: str) -> None:
    """Every rule in some setting; each by itself in the slow test below, and in the laws."""
    check_random(range(2), setting)


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_hardware_does_what_the_reference_engine_does_in_many_runs(setting: str) -> None:
    check_random(range(1000, 1100), setting)


@pytest.mark.parametrize("setting", [pytest.param("plain", marks=pytest.mark.slow), "gather", "merged"])
def test_scanner_and_core_do_what_the_reference_engine_does(setting: str) -> None:
    check_planes(range(20, 23), setting)


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["plain", *SETTINGS])
def test_scanner_and_core_do_what_the_reference_engine_does_in_many_runs(setting: str) -> None:
    check_planes(range(2000, 2060), setting)


TINY = [run for table in TABLES for run in tiny_plane_runs("windows", table)]


@pytest.mark.parametrize("run", [pytest.param(run, marks=[] if n == 22 else pytest.mark.slow, id=str(n))
                                 for n, run in enumerate(TINY)])
def test_every_content_of_two_planes_is_scanned_and_run_as_the_reference_engine_does(run: CoreRun) -> None:
    """32 runs of each tiny design: two neurons, two planes (or values of two bits), with a clear and without."""
    stimuli = list(tiny_plane_stimuli(run))
    assert len(stimuli) == 32
    scanner = ScanMachine(BufferRows(Parameters(run, 4), (run.table.planes,)))
    for stimulus, log in zip(stimuli, scanner.run_planes(stimuli), strict=True):
        found = scanned_differences(log, REFERENCE.run_planes(*stimulus.arguments))
        assert not found, (run.core, run.keep, stimulus.planes[0].tolist(), stimulus.run.clear, *found)


def check_planes(seeds: range, setting: str) -> None:
    """Every row that is read is compared, too."""
    for seed in seeds:
        case = random_case(seed, setting)
        try:
            log = REFERENCE.run_planes(*case.arguments)
        except ProgramError:
            continue
        rtl = run_planes(*case.arguments)
        found = scanned_differences(rtl, log)
        assert not found, (seed, case.run.core, *found)


def check_random(seeds: range, setting: str) -> None:
    for seed, stimulus, log in judged(seeds, setting):
        rtl = run_core(*stimulus.arguments)
        found = list(differences(rtl, log))
        assert not found, (seed, stimulus.run.core, *found)
        if stimulus.run.core.writer == "word":
            writes, its = (int(one.counts[:, INDEX["buffer_write"]].sum()) for one in (rtl, log))
            assert writes == its - planes_cleared(stimulus.run, log), seed
