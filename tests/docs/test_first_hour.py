"""The commands of the pages "Your first hour" run, in the order of the page, and print what the page shows.

The architect's page: every number. That of the SNN researcher trains a network, which comes out a little different on another
machine: there the words of each line are compared, and numbers are left to vary.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from docs.tools.console import Step, renewed, steps, words_of
from tests.conftest import ROOT

ARCHITECT, SNN = (steps((ROOT / "docs" / f"first-hour-{name}.md").read_text(encoding="utf-8")) for name in ("architect", "snn"))
IMAGES = Path("/usr/share/datasets/fashion-mnist")


def follow(page: list[Step], folder: Path, exact: bool) -> None:
    for step in page:
        found = renewed(step, step.run(folder))
        if exact:
            shown = [line.rstrip() for line in step.shown]
            assert found == shown, f"{step.command}: run python -m docs.tools.console on the page"


def test_the_pages_have_steps_and_the_short_ones_come_without_a_slow_one() -> None:
    assert len(ARCHITECT) > 12
    assert len(SNN) > 6
    assert sum(bool(step.shown) for step in ARCHITECT) > 10


def test_the_architects_page_is_what_its_short_commands_print(tmp_path: Path) -> None:
    follow([step for step in ARCHITECT if "slow" not in step.marks], tmp_path, exact=True)


@pytest.mark.slow
def test_the_architects_page_is_what_all_its_commands_print(tmp_path: Path) -> None:
    follow(ARCHITECT, tmp_path, exact=True)


@pytest.mark.slow
@pytest.mark.skipif(not IMAGES.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_the_snn_page_runs(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs" / "examples" / "first_network.py", tmp_path)
    follow(SNN, tmp_path, exact=False)


def test_a_line_that_a_command_does_not_print_is_found() -> None:
    step = Step("hwsim", ("energy  1.5 uJ core", "..."), (0, 0), frozenset())
    assert renewed(step, "noise\nenergy  2.5 uJ core\n") == ["energy  2.5 uJ core", "..."]
    with pytest.raises(AssertionError, match="does not print"):
        renewed(step, "energy  2.5 uJ system\n")
    assert words_of("92.1 ± 7.6 nJ compute, -51.99 %") == ["compute,"]
