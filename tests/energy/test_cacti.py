"""Rows of a CACTI sweep are made again: what the program is asked, what is read of its report, and how far rows are apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hwsim.cost.technology.make.cacti import FOUND, CactiError, configuration, differences, run
from hwsim.cost.technology.make.memories import read_sweep
from tests.conftest import ROOT

SWEEP = read_sweep(ROOT / "tests" / "data" / "cacti45_ports.csv.gz")
REPORT = """\
    Access time (ns): {access_ns}
    Cycle time (ns):  {cyc_ns}
    Total dynamic read energy per access (nJ): {rd_nJ}
    Total dynamic write energy per access (nJ): {wr_nJ}
    Total leakage power of a bank (mW): {leak_mW}
    Total gate leakage power of a bank (mW): {gleak_mW}
  Data array: Area (mm2): {area_mm2}
        Total leakage power of a bank (mW): 99
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that prints a report, if it is asked for a memory in a file."""
    (tmp_path / "tech_params").mkdir()
    (tmp_path / "tech_params" / "45nm.dat").write_text("-Vdd (V) 1 1.1 0.7 1.1 1.1\n")
    (tmp_path / "report.txt").write_text(REPORT.format(**SWEEP[0]))
    file = tmp_path / "cacti"
    file.write_text("#!/bin/sh\ngrep -q -e '-size (bytes) 512' \"$2\" && cat report.txt\n")
    file.chmod(0o755)
    return file


def test_every_row_can_be_asked_for_in_its_own_organisation() -> None:
    asked = set()
    for row in SWEEP:
        text = configuration(row)
        words, bits, spread = row["org"].split("/")[:3]
        for line in (f"-size (bytes) {row['capacity_B']}", f"-output/input bus width {row['bits']}", f"-Ndwl {words}",
                     f"-Ndbl {bits}", f"-Nspd {spread}", f"-operating temperature (K) {row['temp_K']}",
                     '-Force cache config - "true"', f"-read-write port {int(row['ports'] == '1RW')}"):
            assert line in text.splitlines()
        asked.add(text)
    # A memory whose organisation is the best for reads and for both stands twice in the sweep.
    assert len(asked) == len({tuple(v for k, v in row.items() if k in (
        "capacity_B", "bits", "cell", "temp_K", "ports", "org")) for row in SWEEP})
    assert '-Force cache config - "false"' in configuration(SWEEP[0], own=True)


def test_a_report_becomes_the_row(program: Path) -> None:
    assert run(program, SWEEP[0]) == SWEEP[0]
    lop = next(row for row in SWEEP if row["cell"] == "itrs-lop" and row["capacity_B"] == "512")
    assert run(program, lop)["vdd_v"] == "0.7"
    assert list(differences([SWEEP[0]], [SWEEP[0]]))[0] == "access_ns: 0 of 1 rows differ by more than 0.001 %"
    (moved, *_) = differences([SWEEP[0]], [SWEEP[0] | {"access_ns": str(1.1 * float(SWEEP[0]["access_ns"]))}])
    assert "1 of 1 rows differ" in moved
    assert "at most by 10 %" in moved


def test_what_is_no_cacti_is_refused(program: Path, tmp_path: Path) -> None:
    big = SWEEP[0] | {"capacity_B": "1024"}
    with pytest.raises(CactiError, match=f"1024 bytes x 8 bits.*found no {', '.join(FOUND)} in what it prints .exit status 1."):
        run(program, big)
    with pytest.raises(CactiError, match="none: cannot be run"):
        run(tmp_path / "none", SWEEP[0])
    os.remove(tmp_path / "tech_params" / "45nm.dat")
    with pytest.raises(CactiError, match="no line `-Vdd"):
        run(program, SWEEP[0])
