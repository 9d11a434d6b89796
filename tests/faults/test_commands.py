"""Whole commands that are killed: what was finished stays, and nothing is left lying, no process either.

`python -m tests.faults.commands` prints the tables of docs/reliability.md; `-m slow` runs 100 kills of each command, and
faults at every step.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.faults.commands import COMMANDS, kills, warmed


@pytest.mark.parametrize("name", ["run", "sweep"])
def test_a_killed_command_loses_nothing_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    found = kills(warmed(name, tmp_path), 2)
    assert found["killed"] + found["had ended"] == 2
    assert found["tidied"]


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
