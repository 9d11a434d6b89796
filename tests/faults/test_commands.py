"""Whole commands that are killed: what was finished stays, and nothing is left lying, no process either.

`python -m tests.faults.commands` prints the tables of docs/reliability.md; `-m slow` runs 100 kills of each command, and
faults at every step.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.faults.command_kinds import COMMANDS, Command
from tests.faults.command_runs import ended, start
from tests.faults.commands import kills, warmed


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return warmed("sweep", tmp_path_factory.mktemp("sweep"))


def test_a_killed_command_loses_nothing_and_leaves_nothing(sweep: Command) -> None:
    found = kills(sweep, 1, whole_s=0.5)
    assert found["killed"] == 1
    assert found["tidied"]


def test_two_sweeps_at_once_on_one_folder_are_one_sweep(sweep: Command, tmp_path: Path) -> None:
    sweep.fresh()
    line = sweep.line(1)
    halves = [[word.replace("4,8,16", lanes) for word in line] for lanes in ("4,8", "16,8")]
    children = [start(half, tmp_path / f"said{number}", None, None) for number, half in enumerate(halves)]
    for number, child in enumerate(children):
        assert os.waitpid(child, 0)[1] == 0, (tmp_path / f"said{number}").read_text()
        assert ended(child)
    assert sweep.read() == sweep.most
    with (sweep.target / "rows.csv").open() as file:
        assert len({(row["core.lanes"], row["core.fifo_depth"]) for row in csv.DictReader(file)}) == sweep.most
    assert not sweep.left_over()


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(("what", "count"), [("kills", "100"), ("steps", "1000")])
def test_the_same_100_times_and_at_every_step(name: str, what: str, count: str) -> None:
    """In a process of its own: torch survives no fork after a step of training, and the injector must be there at its start."""
    if name in ("convert", "capture", "train"):
        pytest.importorskip("torch")
    if what == "steps" and not shutil.which("cc"):
        pytest.skip("no C compiler")
    done = subprocess.run([sys.executable, "-m", "tests.faults.commands", what, count, name], cwd=ROOT, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
