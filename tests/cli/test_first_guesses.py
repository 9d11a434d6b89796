"""What somebody tries in the first minute: no design named, short names, lists, a design of one's own, narrow terminals."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml

import hwsim
from hwsim.arch import config_folders, dump_architecture
from hwsim.arch_schema import architecture_schema
from hwsim.cli.compare import _folded
from hwsim.examples import EXAMPLES, example_path
from hwsim.simulation import ROOMY_DESIGNS, SimulationError, default_design, make_task
from tests.cli.calling import answer, call
from tests.engine.random_designs import random_architecture, random_chip, random_network

SHIPPED = sorted(path for folder in config_folders() for path in folder.glob("*.yaml"))
SCHEMA = jsonschema.Draft202012Validator(architecture_schema())


@pytest.mark.parametrize(("example", "design"), [
    ("bit_serial", "output_stationary_merged"), ("rate", "output_stationary"), ("ann", "systolic")])
def test_a_run_without_a_design_takes_the_first_that_fits_and_says_which(example: str, design: str) -> None:
    done = call("run", example_path(example), "--samples", 1)
    assert done.returncode == 0, done.stderr
    assert f"{design}, layer_by_layer" in done.stdout
    assert f"design: {design}, the default for this trace" in done.stderr
    with hwsim.load_example(example) as trace:
        assert hwsim.simulate(trace, samples=1).sim_id == hwsim.simulate(trace, design, samples=1).sim_id


def test_a_lane_of_several_adders_is_used_in_part() -> None:
    with hwsim.load_example() as trace:
        result = hwsim.simulate(trace, "output_stationary_merged", samples=2)
    assert result.architecture.additions_per_cycle > result.architecture.pe_count
    assert 0.1 < result.utilisation <= 1


def test_neurons_with_flags_get_a_design_that_has_them() -> None:
    path = example_path().with_name("fashion_mnist_tiny_two_stage_tau4_t4.h5")
    with hwsim.Trace.open(path) as trace:
        assert default_design(trace).name == "event_core_64_flags"


@pytest.mark.parametrize(("trace", "design"), [
    ("cifar10_resnet20_bit_serial_t4", "event_core_64"), ("cifar10_resnet20_ann_t4", "mac_core_64")])
def test_networks_too_large_for_the_chosen_designs_get_a_roomy_one(trace: str, design: str) -> None:
    with hwsim.Trace.open(example_path().with_name(f"{trace}.h5")) as opened:
        assert default_design(opened).name == design


def test_a_trace_that_no_default_runs_is_told_why_by_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwsim.simulation.CHOSEN_DESIGNS", ())
    monkeypatch.setattr("hwsim.simulation.ROOMY_DESIGNS", ROOMY_DESIGNS[:1])
    with hwsim.load_example("ann") as trace, pytest.raises(SimulationError, match="none of the designs.*\n- event_core_64: "):
        hwsim.simulate(trace)


@pytest.mark.parametrize(("short", "name"), [("layer", "layer_by_layer"), ("step", "step_by_step")])
def test_a_short_name_of_a_schedule_is_the_same_task(short: str, name: str) -> None:
    with hwsim.load_example("rate") as trace:
        design = hwsim.load_architecture("event_core_64")
        assert make_task(trace, design, schedule=short) == make_task(trace, design, schedule=name)


def test_several_designs_and_schedules_between_commas(tmp_path: Path) -> None:
    rows = answer("compare", example_path("rate"), "--arch", "event_core_64,event_core_16", "--schedule", "step,layer",
                  "--samples", 1, "--no-baselines", "--out", tmp_path / "out")
    assert {(row["arch"], row["schedule"]) for row in rows} == {
        (arch, schedule) for arch in ("event_core_64", "event_core_16") for schedule in ("layer_by_layer", "step_by_step")}


def test_lists_name_everything_that_ships() -> None:
    found = answer("list")
    assert {row["design"] for row in found["designs"]} == {path.stem for path in SHIPPED}
    assert all(row["description"] for row in found["designs"])
    assert [row["example"] for row in found["examples"]] == list(EXAMPLES)
    assert "cacti_lop" in found["tables"]["memory"]
    assert answer("arch", "list") == found["designs"]
    for name in [path.stem for path in SHIPPED] + list(EXAMPLES) + ["cacti_lop"]:
        assert name in call("list").stdout


def test_the_demo_shows_three_forms_of_one_network_and_they_agree() -> None:
    shown, found = call("demo"), answer("demo")
    assert shown.returncode == 0
    assert [found[name]["mismatches"] for name in EXAMPLES] == [0, 0, 0]
    assert found["bit_serial"]["accuracy_test_set"] == found["ann"]["accuracy_test_set"]
    assert "hwsim list" in shown.stdout


@pytest.mark.parametrize("words", [[], ["run"], ["arch"], ["arch", "new"], ["list"]])
def test_h_is_help_everywhere(words: list[str]) -> None:
    assert call(*words, "-h").stdout == call(*words, "--help").stdout != ""


def test_version_is_a_command_too() -> None:
    assert answer("version")["hwsim"] == hwsim.__version__ == call("version").stdout.splitlines()[0].split()[1]


# -- a design of one's own ------------------------------------------------------------------------------------------------


def test_a_new_design_is_a_copy_under_its_name(tmp_path: Path) -> None:
    for source in SHIPPED:
        done = call("arch", "new", "mine", "--from", source.stem, "-o", tmp_path / f"{source.stem}.yaml")
        assert done.returncode == 0, done.stderr
        made, given = hwsim.load_architecture(tmp_path / f"{source.stem}.yaml"), hwsim.load_architecture(source)
        assert made == given.model_copy(update={"name": "mine"})
    assert "# " in (tmp_path / "event_core_64.yaml").read_text(), "comments come along"


@pytest.mark.parametrize(("words", "text"), [
    (["two words"], "'two words' is no name for a design"), (["a/b"], "is no name for a design"),
    (["mine", "--from", str(example_path())], "not a text file"), (["mine", "--from", "event_cor_64"], "perhaps event_core_64"),
    (["there"], "exists; give another name or --force"), (["mine", "-o", "no/such/mine.yaml"], "no such folder"),
])
def test_a_design_that_cannot_be_written_leaves_nothing(words: list[str], text: str, tmp_path: Path) -> None:
    (tmp_path / "there.yaml").write_text("mine")
    done = call("arch", "new", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr
    assert ".part" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there.yaml"]
    assert (tmp_path / "there.yaml").read_text() == "mine"


def test_the_schema_takes_every_design_that_ships() -> None:
    jsonschema.Draft202012Validator.check_schema(architecture_schema())
    assert json.loads(call("arch", "schema").stdout) == architecture_schema()
    for path in SHIPPED:
        SCHEMA.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("coding", ["rate", "bit_serial", "quantised"])
def test_the_schema_takes_every_random_design_that_loads(coding: str) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        made = random_architecture if seed % 2 else random_chip
        SCHEMA.validate(json.loads(json.dumps(dump_architecture(made(rng, random_network(rng, coding), coding)))))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_schema_refuses_what_loading_refuses(path: Path, tmp_path: Path) -> None:
    """A field misspelt, one left out where it must be, a quantity without its unit, anywhere in the file."""
    whole = yaml.safe_load(path.read_text())
    for wrong in _spoilt(whole):
        (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(wrong))
        with pytest.raises(hwsim.ArchitectureError):
            hwsim.load_architecture(tmp_path / "wrong.yaml")
        assert not SCHEMA.is_valid(wrong), wrong


def _spoilt(whole: dict[str, Any]) -> list[dict[str, Any]]:
    made = [{**whole, "clok": 1}, {**whole, "clock": 200}, {**whole, "clock": "200 MB"}, {**whole, "core": {"kind": "none"}},
            {name: value for name, value in whole.items() if name != "name"},
            {name: value for name, value in whole.items() if name not in ("core", "cores")}]
    for section, inner in whole.items():
        if isinstance(inner, dict):
            made.append({**whole, section: {**inner, "misspelt": 1}})
            made += [{**whole, section: {**inner, name: "64 KB"}} for name, value in inner.items() if "KiB" in str(value)]
    return made


# -- tables and cards -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 100])
def test_a_comparison_fits_the_terminal_and_says_what_it_leaves_out(
        columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("compare", example_path("rate"), "--arch", "event_core_64", "--samples", 1, "--out", tmp_path / "out")
    monkeypatch.delenv("COLUMNS", raising=False)
    whole = call(*words).stdout.splitlines()
    monkeypatch.setenv("COLUMNS", str(columns))
    narrow = call(*words).stdout.splitlines()
    table = narrow[:next(i for i, line in enumerate(narrow) if line.startswith("left out"))]
    assert max(map(len, table)) <= columns
    assert set(re.split(r" {2,}", whole[0])) > set(re.split(r" {2,}", table[0]))
    assert {"us", "core", "system"} <= set(table[0].split())


def test_rows_that_differ_in_the_order_alone_are_one() -> None:
    rows = [{"arch": "a", "order": "layer", "us": "1"}, {"arch": "a", "order": "step", "us": "1"},
            {"arch": "b", "order": "layer", "us": "1"}, {"arch": "b", "order": "step", "us": "2"}]
    assert _folded(rows) == [{"arch": "a", "order": "layer = step", "us": "1"}, *rows[2:]]


def test_a_result_shows_itself_as_a_card() -> None:
    with hwsim.load_example() as trace:
        result = hwsim.simulate(trace, "event_core_64", samples=2)
    printed = call("run", example_path(), "--arch", "event_core_64", "--samples", 2).stdout
    assert printed.startswith(repr(result))
    for line in repr(result).splitlines():
        name, text = line[:13].strip(), line[14:]
        assert f">{name}</th>" in result._repr_html_()
        assert text.split(",")[0] in result._repr_html_()
