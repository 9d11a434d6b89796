"""The worked example of docs/capture.md at small size: drawn digits, their events, planes, a network on a shipped core."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import hwsim
from tests.cli.calling import answer
from tests.conftest import ROOT
from tests.scripts import module_at


@pytest.fixture(scope="module")
def example() -> ModuleType:
    return module_at(ROOT / "docs" / "examples" / "moving_digits.py")


def test_the_example_runs_and_every_output_is_compared(example: ModuleType) -> None:
    result = example.main(train=3, test=1)
    assert (result.facts.samples, result.facts.mismatches, result.facts.saturations) == (10, 0, 0)
    assert result.facts.accuracy >= 50, "ten classes: a guess is right in 10 %"
    assert result.synaptic_operations > 0


def test_the_command_makes_the_planes_of_the_example(example: ModuleType, tmp_path: Path) -> None:
    given, classes = example.recordings(1, 5)
    given, classes = given[:4], classes[:4]
    for value, events in zip(classes, given, strict=True):
        (tmp_path / str(value)).mkdir()
        np.save(tmp_path / str(value) / "0.npy", events)
    files = sorted(tmp_path.glob("*/*.npy"))
    body = answer("capture", "events", *files, "--size", "34x34", "--time-bins", 10, "--folders", "--out", tmp_path / "d.npz")
    made = hwsim.event_planes(given, (34, 34), time_bins=10)
    with np.load(tmp_path / "d.npz") as written:
        assert (written["inputs"] == made.inputs).all()
        assert written["labels"].tolist() == classes == body["labels"]
    assert body["events"] == made.events == sum(map(len, given))


def test_pixels_brighten_and_darken_equally_when_a_digit_comes_back(example: ModuleType) -> None:
    """A triangle ends where it began, so a pixel's events cancel but for the last threshold that was not reached."""
    events = example.events(example.digit(8, np.random.default_rng(0)), np.random.default_rng(0))
    balance = np.zeros((34, 34), int)
    np.add.at(balance, (events["y"], events["x"]), 2 * events["p"].astype(int) - 1)
    assert np.abs(balance).max() <= 2
    assert len(events) > 500


def test_the_picture_is_drawn(example: ModuleType, tmp_path: Path) -> None:
    example.draw(str(tmp_path / "planes.png"), (7,))
    assert (tmp_path / "planes.png").read_bytes().startswith(b"\x89PNG")
