"""The page on schedules: its chip of ten lines runs as it says, and its fields are those that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hwsim.arch import load_architecture
from hwsim.arch_network import LinkNetwork
from hwsim.simulation import simulate
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "schedules.md").read_text()


@pytest.fixture
def chip(tmp_path: Path) -> Path:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(block.splitlines()) <= 10
    path = tmp_path / "four_cores.yaml"
    path.write_text(block)
    return path


def test_the_chip_of_the_page_pipelines(chip: Path) -> None:
    trace = ROOT / "traces" / "fashion_mnist_rate_t4.h5"
    ends = {schedule: simulate(trace, str(chip), schedule=schedule, samples=1) for schedule in ("layer_by_layer", "pipelined")}
    assert all(result.mismatches == 0 for result in ends.values())
    assert ends["pipelined"].cycles[0] < 0.6 * ends["layer_by_layer"].cycles[0]
    assert len(load_architecture(str(chip)).core_names) == 4


def test_every_field_of_a_network_is_in_the_table() -> None:
    table = PAGE.split("## The fields of `network`")[1].split("\n## ")[0]
    named = {word for line in table.splitlines() if line.startswith("| `") for word in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert named == set(LinkNetwork.model_fields)
