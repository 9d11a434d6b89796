"""Exported Verilog of every other dataflow (R19 to R24) does in Icarus what the engines say, push by push and word by word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")

from hwsim.arch import dump_architecture, load_architecture
from hwsim.cli import app
from hwsim.engine.fast.chip import FastEngine
from hwsim.errors import HwsimError
from hwsim.program import ProgramError, Run
from hwsim.record import CoreLog, CoreReplay
from hwsim.rtl.coverage import uncovered
from hwsim.rtl.export import CoreExport, write_files
from hwsim.rtl.stimulus import Stimulus
from hwsim.rtl.testbench import Bench
from hwsim.trace.reader import Trace
from tests.engine.random_runs import RandomRun
from tests.rtl.dataflows import SETTINGS, random_case, stimulus_of
from tests.rtl.test_export import ICARUS, Written, last_layer

FAST = FastEngine()
SHORT_CYCLES = 300
QUICK = ("gather by word, one port, word writer", "gather merged", "bit-serial multipliers")
COMBINATIONS = [
    {"order": order, "planes_per_token": token, "multiplier": multiplier, "writer": writer, "membrane_ports": ports,
     "passes": passes, "accumulators": 2, "adders": 2}
    for order, (token, multiplier), writer, ports, passes in product(
        ("scatter", "gather"), (("one", "parallel"), ("all", "parallel"), ("all", "bit_serial")), ("serial", "word"),
        ("1r1w", "1rw"), ("by_pass", "by_word"))]


def replay_of(stimulus: Stimulus, log: CoreLog) -> CoreReplay:
    """A run by itself as a replay of a Program's."""
    valued = stimulus.tokens[stimulus.tokens[:, 5] != 0, 4]
    bits = 1 + max(int(np.abs(valued).max()).bit_length(), 1) if valued.size else 0
    operation = Run(id=0, deps=(), on="core", layer=0, tile=0, timesteps=(0, 1), body=stimulus.run, feeds=(), eots=stimulus.eots)
    before = (stimulus.potentials, stimulus.currents, stimulus.flags)
    return CoreReplay(operation, bits, stimulus.tokens, stimulus.gaps, stimulus.earliest, before, log)


def replays(cases: Iterator[RandomRun]) -> Iterator[CoreReplay]:
    """Short runs with something to look at; those that are refused are left out."""
    for case in cases:
        if list(uncovered(case.run)):
            continue
        try:
            stimulus = stimulus_of(case)
            log = FAST.run_core(*stimulus.arguments)
        except ProgramError:
            continue
        if log.done <= SHORT_CYCLES and len(stimulus.tokens) > 5 and len(log.spikes) > 1:
            yield replay_of(stimulus, log)


def write(folder: Path, replay: CoreReplay) -> Written:
    export = CoreExport("core_under_test", replay.run, replay.payload_bits, 8, (("test", "a random run"),))
    bench = Bench(export, replay)
    write_files({folder / "core.v": export.verilog(), folder / "tb.v": bench.verilog("tb.mem"), folder / "tb.mem": bench.data()})
    return Written(folder, replay)


@ICARUS
@pytest.mark.parametrize("setting", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in SETTINGS])
def test_icarus_finds_the_same_in_every_setting(tmp_path: Path, setting: str) -> None:
    write(tmp_path, next(replays(random_case(seed, setting) for seed in range(40, 400)))).passes()


@ICARUS
@pytest.mark.slow
@pytest.mark.parametrize("core", COMBINATIONS, ids=lambda core: "-".join(map(str, core.values())))
@pytest.mark.parametrize(("clear", "keep"), [(True, False), (False, True), (False, False)])
def test_icarus_finds_the_same_in_every_combination(tmp_path: Path, core: dict[str, object], clear: bool, keep: bool) -> None:
    cases = (random_case(seed, "plain").with_core(**core) for seed in range(1000, 3000))
    found = replays(replace(case, run=replace(case.run, clear=clear, keep=keep)) for case in cases)
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder, next(found)).passes()


@ICARUS
@pytest.mark.parametrize("setting", ["gather", "word writer"])
def test_a_testbench_fails_on_each_kind_of_wrong_answer(tmp_path: Path, setting: str) -> None:
    """Also where no memory holds the states after the run, and where a word's spikes leave at once."""
    found = (replay for replay in replays(random_case(seed, setting) for seed in range(40, 400)) if not replay.run.keep)
    written = write(tmp_path, next(found))
    written.compile()
    lines = (tmp_path / "tb.mem").read_text().splitlines()
    sections = {line[3:].split(":")[0]: at for at, line in enumerate(lines) if line.startswith("//")}
    wrong = {"tokens": "pushed in cycle", "spikes": "spike 1 in cycle", "states after the run": "memory 0 word"}
    for section, text in wrong.items():
        first = sections[section] + 2 if section == "spikes" else sections[section] + 1
        at = next(at for at in range(first, len(lines)) if section != "states after the run" or lines[at].startswith("00000001"))
        fields = lines[at].split("_")
        field = {"tokens": 2, "spikes": 0}.get(section, -1)
        fields[field] = f"{int(fields[field], 16) ^ 1:0{len(fields[field])}x}"
        (tmp_path / "wrong.mem").write_text("\n".join([*lines[:at], "_".join(fields), *lines[at + 1:]]))
        done = written.run("wrong.mem")
        assert done.returncode != 0
        assert done.stdout.startswith("first difference: ")
        assert text in done.stdout.splitlines()[0]
        assert "PASS" not in done.stdout


@ICARUS
def test_values_of_a_word_are_sent_and_checked_side_by_side(tmp_path: Path) -> None:
    """A requantiser behind a word writer: the testbench compares the level of every lane."""
    cases = (random_case(seed, "gather by word, one port, word writer") for seed in range(2000))
    replay = next(one for one in replays(case for case in cases if case.kind == "requantise")
                  if [p.kind for p in one.run.table.passes] == ["requant"])
    written = write(tmp_path, replay)
    assert "core_spike_level" not in (tmp_path / "tb.v").read_text()
    assert ".spike_levels(spike_levels)" in (tmp_path / "tb.v").read_text()
    written.passes()
    wrong = (tmp_path / "tb.mem").read_text().replace("// states after the run", "// was: states after the run")
    lines = wrong.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("// spikes")) + 1
    lines[at] = lines[at][:-8] + f"{int(lines[at][-8:], 16) + 1:08x}"
    (tmp_path / "wrong.mem").write_text("\n".join(lines))
    assert "spike 0 in cycle" in written.run("wrong.mem").stdout


# -- the command

EVERYTHING = {"dataflow": {"type": "output_stationary", "accumulators": 2}, "token": {"planes": "merged", "adders": 2},
              "lane": {"multiplier": "bit_serial"}, "writer": "word", "passes": "by_word", "shift_at": "weight"}


def design(folder: Path, memories: dict[str, str] | None = None, **core: object) -> Path:
    """event_core_16 with another dataflow, as a file."""
    made = load_architecture("event_core_16").with_core(**core).with_memories(**(memories or {}))
    path = folder / "design.yaml"
    path.write_text(yaml.safe_dump({**dump_architecture(made), "name": "design"}))
    return path


def run_export(arch: Path, trace: Path, *more: object) -> dict[str, object]:
    options = ("--arch", arch, "--trace", trace, "--layer", last_layer(trace), "-o", arch.parent / "core.v", *more, "--json")
    done = CliRunner().invoke(app, ["rtl", "export", *map(str, options)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    body = json.loads(done.stdout)
    assert isinstance(body, dict)
    return body


@ICARUS
@pytest.mark.parametrize(("coding", "core"), [
    ("bit_serial", EVERYTHING),
    pytest.param("rate", {**EVERYTHING, "lane": {}, "passes": "by_pass"}, marks=pytest.mark.slow, id="rate")])
def test_the_command_exports_a_design_with_every_setting(
    trace_files: dict[str, Path], tmp_path: Path, coding: str, core: dict[str, object]
) -> None:
    arch = design(tmp_path, {"membrane_ports": "1rw"}, **core)
    body = run_export(arch, trace_files[coding], "--testbench", tmp_path / "tb.v")
    assert body["testbench"]["eots"] == body["testbench"]["eots_of_run"] == 1  # type: ignore[index]
    header = " ".join(line.lstrip("/ ") for line in (tmp_path / "core.v").read_text().splitlines() if line.startswith("//"))
    for text in ("R19, R20, R21, R22, R23", "order output stationary", "tokens merged planes, up to 2", "writer all spikes"):
        assert text in " ".join(header.split()), text
    ran = Written(tmp_path, None)  # type: ignore[arg-type]
    ran.compile()
    assert ran.run().stdout.splitlines()[-1] == "PASS"


@pytest.mark.slow
@ICARUS
def test_a_cut_testbench_of_visits_cuts_each_visit(trace_files: dict[str, Path], tmp_path: Path) -> None:
    arch = design(tmp_path, dataflow={"type": "output_stationary", "accumulators": 1})
    body = run_export(arch, trace_files["rate"], "--testbench", tmp_path / "tb.v", "--eots", 1)
    assert body["testbench"]["eots"] == 1 < body["testbench"]["eots_of_run"]  # type: ignore[index]
    ran = Written(tmp_path, None)  # type: ignore[arg-type]
    ran.compile()
    assert ran.run().stdout.splitlines()[-1] == "PASS"


def test_what_cannot_be_exported_is_refused_by_name_before_anything_is_written(
    trace_files: dict[str, Path], tmp_path: Path
) -> None:
    with Trace.open(trace_files["rate"]) as trace:
        layer = trace.network.layers[0].name
    narrow = design(tmp_path, {"membrane": f"{16 * 24 * 16} b", "current": f"{16 * 24 * 16} b"})
    done = CliRunner().invoke(app, ["rtl", "export", "--arch", str(narrow), "--trace", str(trace_files["rate"]), "--layer", layer,
                                    "-o", str(tmp_path / "core.v"), "--testbench", str(tmp_path / "tb.v")])
    assert isinstance(done.exception, HwsimError)
    assert "the golden hardware does not cover rows 0 to" in str(done.exception)
    assert "(R25); give the design memories" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["design.yaml"]
