"""The command line as a user meets it: JSON that programs can read, one clear text for a mistake, exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import hwsim
from hwsim.cli.run import _layer_rows
from tests.cli.calling import Called, answer, call

KEYS = {"trace", "coding", "arch", "schedule", "engine", "samples", "cycles", "latency_s", "synaptic_operations",
        "energy_pj", "mismatches", "accuracy", "run_id"}


def test_a_process_of_its_own_does_the_same(tmp_path: Path) -> None:
    for arguments in (["--version"], ["arch", "check", str(tmp_path / "nothing.yaml")]):
        done = subprocess.run([sys.executable, "-m", "hwsim", *arguments], capture_output=True, text=True, check=False)
        assert Called(done.returncode, done.stdout, done.stderr) == call(*arguments)


def test_version_and_help() -> None:
    assert call("--version").stdout.strip() == f"hwsim {hwsim.__version__}"
    assert "compare" in call("--help").stdout


def test_run_prints_one_object_with_numbers_per_sample(trace_files: dict[str, Path], tmp_path: Path) -> None:
    body = answer("run", trace_files["rate"], "--arch", "event_core_64", "--samples", 2, "--out", tmp_path / "run")
    assert isinstance(body, dict)
    assert set(body) >= KEYS
    assert set(body["energy_pj"]) == {"compute", "core", "system"}
    result = hwsim.simulate(trace_files["rate"], "event_core_64", samples=2)
    assert body["cycles"] == result.cycles.mean()
    assert body["total_cycles"] == int(result.cycles.sum())
    assert body["run_id"] == result.run_id
    assert body["mismatches"] == 0
    for name in ("result.json", "energy.csv", "activity.csv", "energy.png", "latency.png"):
        assert (tmp_path / "run" / name).stat().st_size > 0
    lines = answer("energy", "explain", tmp_path / "run")["lines"]
    for scopes, whole in ((("compute",), "compute"), (("core",), "core"), (("core", "system"), "system")):
        assert sum(line["energy_pj"] for line in lines if line["scope"] in scopes) == pytest.approx(body["energy_pj"][whole])
    cheaper = answer("energy", "explain", tmp_path / "run", "--price", "acc_add=0")
    assert cheaper["sim_id"] == body["sim_id"]
    assert cheaper["run_id"] != body["run_id"]


def test_a_run_without_check_says_so(trace_files: dict[str, Path], tmp_path: Path) -> None:
    given = ("run", trace_files["rate"], "--arch", "event_core_64", "--samples", 2, "--no-check")
    done = call(*given, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "nothing was compared: timing only (--no-check)" in " ".join(done.stdout.split())
    assert call("energy", "explain", tmp_path / "run").returncode == 0
    body = answer(*given)
    assert isinstance(body, dict)
    assert (body["check"], body["mismatches"], body["saturations"]) == (False, None, None)
    refused = call(*given, "--engine", "reference")
    assert refused.returncode != 0
    assert "the reference engine is there to judge" in refused.stderr


def test_compare_prints_a_list_and_writes_table_and_figures(trace_files: dict[str, Path], tmp_path: Path) -> None:
    rows = answer("compare", *trace_files.values(), "--arch", "event_core_64", "--out", tmp_path / "out")
    assert isinstance(rows, list)
    assert all(set(row) >= KEYS for row in rows)
    assert {row["coding"] for row in rows} == {"rate", "bit_serial", "quantised"}
    assert {row["schedule"] for row in rows} >= {"layer_by_layer", "step_by_step"}
    assert {a.split("+")[-1] for a in (row["arch"] for row in rows)} >= {
        "mac", "systolic_output", "systolic_weight", "systolic_input", "mac@area", "systolic_output@area"}
    assert all(row["mismatches"] == 0 for row in rows)
    for name in ("compare.csv", "energy.png", "latency.png"):
        assert (tmp_path / "out" / name).stat().st_size > 0


def test_a_comparison_without_check_says_so(trace_files: dict[str, Path], tmp_path: Path) -> None:
    arguments = ("compare", trace_files["quantised"], "--arch", "event_core_64", "--samples", 1, "--no-check", "--out", tmp_path)
    done = call(*arguments)
    assert done.returncode == 0, done.stderr
    assert "(-: timing only, nothing was compared)" in done.stdout
    assert "not run on event_core_64+systolic_output" in done.stderr
    assert "always computes" in done.stderr
    rows = answer(*arguments, "--json")
    assert isinstance(rows, list)
    assert all((row["check"], row["mismatches"]) == (False, None) for row in rows if not row["reason"])


def test_text_output_fits_a_terminal(trace_files: dict[str, Path], tmp_path: Path) -> None:
    shown = call("run", trace_files["rate"], "--arch", "event_core_64")
    assert "bit for bit" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 120
    compared = call("compare", trace_files["rate"], "--arch", "event_core_64", cwd=tmp_path)
    assert compared.returncode == 0, compared.stderr
    assert max(map(len, compared.stdout.splitlines())) <= 160
    assert "the zeros and the padding" not in compared.stdout
    arrays = call("compare", trace_files["quantised"], "--arch", "event_core_64", cwd=tmp_path)
    assert arrays.stdout.count("the zeros and the padding that it multiplies") == 1


def test_trace_commands(tmp_path: Path) -> None:
    file = tmp_path / "made.h5"
    made = answer("trace", "synth", "--network", "tiny", "--samples", 2, "--seed", 7, "-o", file)
    assert answer("trace", "info", file)["content_hash"] == made["content_hash"]
    assert answer("trace", "check", file)[0]["samples"] == 2
    again = call("trace", "synth", "--network", "tiny", "-o", file)
    assert again.returncode == 2
    assert "exists" in again.stderr
    file.write_bytes(file.read_bytes()[:2000])
    broken = call("trace", "check", file)
    assert broken.returncode == 2
    assert broken.stderr.startswith("error: ")
    assert "Traceback" not in broken.stderr


def test_arch_commands(trace_files: dict[str, Path]) -> None:
    assert answer("arch", "show", "event_core_16")["architecture"]["core"]["lanes"] == 16
    body = answer("arch", "check", "event_core_64", "mac_core_64", "--trace", trace_files["bit_serial"])
    assert all(not finding["problems"] for finding in body["timing"])
    runs = {(row["arch"], row["schedule"]): row for row in body["runs"]}
    assert runs["event_core_64", "layer_by_layer"]["runs"]
    assert "accumulated" in runs["event_core_64", "step_by_step"]["why"]
    assert "comparators" in runs["mac_core_64", "layer_by_layer"]["why"]


def test_a_design_too_slow_for_its_clock_fails_and_says_what_would_fit(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "arch_configs" / "event_core_64.yaml").read_text()
    (tmp_path / "fast.yaml").write_text(text.replace("clock: 200 MHz", "clock: 900 MHz"))
    done = call("arch", "check", tmp_path / "fast.yaml")
    assert done.returncode == 1
    assert "MHz" in done.stdout
    assert "KiB" in done.stdout


def test_energy_show_has_a_source_on_every_line() -> None:
    body = answer("energy", "show", "event_core_64")
    assert all(row["source"] and row["formula"] for row in body["prices"])


@pytest.mark.parametrize("arguments", [
    ("run", "no_such.h5", "--arch", "event_core_64"), ("run", "{rate}", "--arch", "no_such"),
    ("run", "{rate}", "--arch", "event_core_64", "--engine", "warp"),
    ("run", "{rate}", "--arch", "event_core_64", "--samples", "99"),
    ("run", "{rate}", "--arch", "event_core_64", "--price", "nonsense"),
    ("run", "{rate}", "--arch", "mac_core_64"), ("run", "{bit_serial}", "--arch", "event_core_64", "--schedule", "step_by_step"),
    ("compare", "{rate}", "--arch", "mac_core_64"), ("energy", "explain", "nowhere"), ("trace", "info", "nowhere.h5"),
])
def test_mistakes_are_one_text_on_stderr(arguments: tuple[str, ...], trace_files: dict[str, Path], tmp_path: Path) -> None:
    done = call(*(a.format(**trace_files) for a in arguments), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_the_cycles_of_each_layer_are_those_of_its_runs(trace_files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """The channel's transfers of a layer are not the core's work on it."""
    result = hwsim.simulate(trace_files["rate"], "event_core_16", schedule="step_by_step")
    runs = result.timeline[(result.timeline["kind"] == "run")]
    spent = (runs["end_cycle"] - runs["start_cycle"]).groupby(runs["layer"]).sum() / result.facts.samples
    for row in _layer_rows(result):
        assert row["cycles"] == f"{spent[row['layer']]:,.0f}"
