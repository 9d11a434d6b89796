"""What somebody meets who uses hwsim for a day: examples by name, folders used twice, narrow terminals, windows of cycles."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwsim
from hwsim.cli.common import print_table
from hwsim.cli.diff import _value
from hwsim.cli.run import _in_shards
from hwsim.examples import example_path
from hwsim.trace.kept import kept_trace
from hwsim.trace.shipped import EXAMPLES, trace_file
from hwsim.trace.synth import synthesise
from tests.cli.calling import answer, call

# -- examples by name -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [
    ("run", "bit_serial", "--samples", 1, "--no-check"), ("trace", "info", "rate"),
    ("arch", "check", "systolic", "--trace", "ann")])
def test_commands_take_an_example_by_its_name(words: tuple[Any, ...], tmp_path: Path) -> None:
    done = call(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_study_takes_an_example_by_its_name_and_its_table_leaves_out_where_sums_were_shown(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("trace: rate\narch: event_core_64\nsamples: 1\nset: {core.lanes: [16, 32]}\n")
    done = call("sweep", study, "--out", tmp_path / "out", "--workers", 1)
    assert "2 points, 0 failed" in done.stdout, done.stderr
    assert "shown by" in (tmp_path / "out" / "rows.csv").read_text()
    table = call("best", tmp_path / "out").stdout
    assert "core.lanes" in table
    assert "shown by" not in table


def test_a_trace_is_kept_once_by_its_name_and_its_path() -> None:
    assert kept_trace("rate") is kept_trace(example_path("rate"))


def test_a_file_comes_before_an_example_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with synthesise("tiny", samples=1) as trace:
        trace.save(tmp_path / "rate")
    monkeypatch.chdir(tmp_path)
    with hwsim.Trace.open("rate") as opened:
        assert opened.samples == 1
    assert trace_file("rate") == Path("rate")
    assert trace_file("ann") == example_path("ann")


@pytest.mark.parametrize(("name", "says"), [
    ("nothing", r"found no such file, expected a trace, or the name of an example \(bit_serial, rate, ann\)"),
    ("folder", "found a folder, expected a trace"),
    ("run", "found a folder that `hwsim run --out` wrote, expected a trace, a file in HDF5; hwsim report and hwsim plot read")])
def test_what_is_no_trace_is_told_what_it_is(name: str, says: str, tmp_path: Path) -> None:
    for folder in ("folder", "run"):
        (tmp_path / folder).mkdir()
    (tmp_path / "run" / "result.json").write_text("{}")
    with pytest.raises(hwsim.TraceError, match=says):
        hwsim.Trace.open(tmp_path / name)


# -- folders and files ----------------------------------------------------------------------------------------------------------


def test_a_run_that_takes_the_place_of_another_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwsim.view.plot.save_figures", lambda *_: None)
    words = ("run", "rate", "--samples", 1, "--no-check", "--out", tmp_path / "out", "--arch")
    first = call(*words, "event_core_64")
    again = call(*words, "event_core_64")
    other = call(*words, "event_core_16", "--json")
    assert "note:" not in first.stderr + again.stderr
    assert "held another run, which this one replaced: run " in other.stderr
    assert "tiny_rate_t4 on event_core_64, layer_by_layer" in other.stderr
    assert json.loads(other.stdout)["arch"] == "event_core_16"


@pytest.mark.parametrize(("there", "says"), [(True, "keeps what is done"), (False, "nothing was done yet")])
def test_a_run_that_is_stopped_says_what_was_kept(
        there: bool, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hwsim.shards.simulate_in_shards", stopped)
    out = tmp_path / "out"
    if there:
        out.mkdir()
    with pytest.raises(KeyboardInterrupt):
        _in_shards("rate", None, str(out), None, {})
    assert says in capsys.readouterr().err


def test_two_values_that_differ_look_different_where_there_is_no_room() -> None:
    assert _value("output_stationary_merged", 16) != _value("output_stationary", 16)
    assert len(_value("output_stationary_merged", 16)) <= 16
    assert (_value([0, 1, 2], 28), _value(list(range(600)), 28)) == ("0 to 2", "0 to 599")


def test_a_timeline_is_a_json_file(tmp_path: Path) -> None:
    done = call("run", "rate", "--timeline", tmp_path / "run.txt")
    assert done.returncode == 2
    assert "expected a name that ends with .json" in done.stderr


@pytest.mark.parametrize("words", [("plot", "schedule", "run", "-o", "a.png", "--cycles"),
                                   ("run", "rate", "--timeline", "t.json", "--timeline-cycles")])
@pytest.mark.parametrize("window", ["5:3", "7", "a:b", "3:3", "-1:4"])
def test_a_window_of_cycles_is_said_in_one_way(words: tuple[str, ...], window: str, tmp_path: Path) -> None:
    done = call(*words[:-1], f"{words[-1]}={window}", cwd=tmp_path)
    assert done.returncode == 2
    assert f"{words[-1]}: found '{window}', expected A:B, two whole numbers and B the larger" in done.stderr


# -- terminals ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("list",), ("arch", "list"), ("arch", "show", "event_core_64_x4")])
def test_descriptions_fit_a_narrow_terminal(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    lines = [line for line in call(*words).stdout.split("loop nest")[0].splitlines() if "traces/methods" not in line]
    rules = [line for line in lines if set(line) == {"-", " "}]  # of the table of files, which a terminal wraps
    assert max(len(line) for line in lines[2:] if line not in rules) <= 70


def test_a_wrapped_column_loses_no_word(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"word{n}" for n in range(40)]
    monkeypatch.setenv("COLUMNS", "60")
    print_table([{"name": "a", "text": " ".join(words)}, {"name": "b", "text": "short"}], left=("name", "text"), wrapped="text")
    printed = capsys.readouterr().out
    assert [word for word in printed.split() if word.startswith("word")] == words
    assert max(map(len, printed.splitlines())) <= 60


def test_a_design_is_shown_without_python(capsys: pytest.CaptureFixture[str]) -> None:
    printed = call("arch", "show", "event_core_64").stdout
    assert "dataflow (type event_driven)" in printed.replace("\n              ", " ")
    assert not {"{", "None", "True", "False"} & set(printed.replace("{", " { ").split())


def test_the_schema_is_json_with_and_without_asking() -> None:
    assert answer("arch", "schema") == json.loads(call("arch", "schema").stdout)


# -- hwsim estimate --------------------------------------------------------------------------------------------------------------


def test_estimate_of_a_trace_is_that_of_python() -> None:
    found = answer("estimate", "rate", "--samples", 1)
    there = hwsim.estimate(example_path("rate"), samples=1)
    assert [row["cycles"] for row in found["forms"]] == there.table["cycles"].tolist()
    assert found["assumed"] == list(there.assumed)
    printed = call("estimate", "rate", "--samples", 1).stdout
    assert "1 sample was replayed" in printed
    assert "mismatches" in printed


@pytest.mark.slow
def test_estimate_of_a_network_in_python(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "mine.py").write_text(
        "import torch\ntorch.manual_seed(0)\n"
        "net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))\n")
    images = np.random.default_rng(0).random((20, 1, 4, 4), np.float32)
    np.savez(tmp_path / "few.npz", images=images, labels=np.arange(20) % 3)
    found = answer("estimate", "mine.py:net", "--inputs", "few.npz", "--samples", 2, "--levels", 4, cwd=tmp_path)
    assert [row["form"] for row in found["forms"]] == ["bit_serial", "rate", "ann"]
    assert all(row["mismatches"] == 0 and row["system_pj"] > row["core_pj"] > row["compute_pj"] > 0 for row in found["forms"])
    assert "activations of 4 levels" in found["assumed"][0]


@pytest.mark.parametrize(("words", "says"), [
    (("nothing",), f"is no model; expected FILE.py:FUNCTION, .* or an example: {', '.join(EXAMPLES)}"),
    (("graph.nir", "--inputs", "no.npz"), "no.npz: no such file"), (("nothing.onnx",), "inputs is missing")])
def test_estimate_says_what_it_cannot_take(words: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = call("estimate", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(says, done.stderr), done.stderr


def test_an_option_of_another_kind_of_model_is_named_as_it_was_typed(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "mine.py").write_text("import torch\nnet = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))\n")
    np.save(tmp_path / "few.npy", np.zeros((4, 1, 4, 4), np.float32))
    done = call("estimate", "mine.py:net", "--inputs", "few.npy", "--timesteps", 4, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.endswith("error: --timesteps: is not for mine.py:net, which takes --levels, --weight-bits; leave it out\n")
