"""`hwsim.Study`: the sweep of a study file and of the command line, from Python."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

import hwsim
from hwsim.sweep.definition import space_of_options
from hwsim.trace.reader import Trace

SET = {"core.lanes": [8, 16], "clock": {"from": "100 MHz", "to": "200 MHz", "step": 100}}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, rate_trace: Trace) -> Path:
    found = tmp_path_factory.mktemp("study") / "rate.h5"
    rate_trace.save(found).close()
    return found


def test_a_study_is_that_of_its_file_and_of_the_command_line(path: Path, tmp_path: Path) -> None:
    study = hwsim.Study(path, "event_core_16", set=SET, samples=1, prices={"acc_add": 0.2})
    (tmp_path / "study.yaml").write_text(
        f"trace: {path}\narch: event_core_16\nsamples: 1\nprices: {{acc_add: 0.2}}\n"
        "set: {core.lanes: [8, 16], clock: {from: 100 MHz, to: 200 MHz, step: 100}}\n")
    assert len(study) == 4
    assert list(study.points()) == list(hwsim.Study.read(tmp_path / "study.yaml").points())
    words = ["core.lanes=8,16", "clock={from: 100 MHz, to: 200 MHz, step: 100}"]
    options = space_of_options([str(path)], ["event_core_16"], words, None, 1, samples=1)
    plain = hwsim.Study([str(path)], ["event_core_16"], set=SET, samples=1)
    assert [point.changes for point in plain.points()] == [point.changes for point in options.points()]


def test_running_a_study_gives_its_table(path: Path, tmp_path: Path) -> None:
    study = hwsim.Study(path, "event_core_16", points=[{"core.lanes": 8}, {"core.lanes": 0}], samples=1)
    table = study.run(tmp_path, executor=ThreadPoolExecutor(1))
    assert sorted(table["core.lanes"]) == [0, 8]
    assert table["error"].notna().sum() == 1
    result = hwsim.simulate(path, hwsim.load_architecture("event_core_16").with_core(lanes=8), samples=1)
    assert hwsim.best(table, "energy_uj")["energy_uj"].item() == pytest.approx(result.energy_pj["system"] / 1e6)
    assert len(pd.read_csv(tmp_path / "rows.csv")) == 2


def test_a_latin_hypercube_and_mistakes_are_those_of_a_file(path: Path) -> None:
    lanes = {"core.lanes": {"from": 4, "to": 64}}
    spread = hwsim.Study(path, "event_core_16", set=lanes, latin_hypercube={"points": 5, "seed": 2})
    assert len({point.changes["core.lanes"] for point in spread.points()}) == 5
    with pytest.raises(hwsim.SweepError, match="Study: sampels: unknown key"):
        hwsim.Study(path, "event_core_16", sampels=1)
    with pytest.raises(hwsim.SweepError, match="Study: core.lanes: found a range without steps"):
        hwsim.Study(path, "event_core_16", set=lanes)
