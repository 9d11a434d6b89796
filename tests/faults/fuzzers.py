"""What is fuzzed: traces (in a module of their own), YAML, command lines, result folders, checkpoints."""

from __future__ import annotations

import io
import json
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import hwsim
from hwsim.arch import config_folders, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cost.energy import parse_overrides
from hwsim.cost.technology import sources
from hwsim.cost.technology.memory_tables import TableMemory
from hwsim.cost.technology.tables import Dram, Units
from hwsim.result_file import RESULT, seal
from hwsim.trace.synth import check_asked, synthesise
from hwsim.yaml_file import parse_yaml
from tests.faults.trace_fuzzers import TraceBlocks, TraceBytes, TraceContent
from tests.faults.worker import CLEAR, OTHER, SAME, UNCAUGHT, WRONG, Fuzzer, damaged, mutate, odd

ROOT = Path(hwsim.__file__).parents[1]


class Yaml(Fuzzer):
    """Designs, prices and tables with changed characters, lines and values: what another parser says, or a clear error."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "file.yaml"
        self.designs = [path.read_text() for place in config_folders() for path in sorted(place.glob("*.yaml"))]
        self.tables = {model: [path.read_text() for path in sorted((sources.FOLDER / kind).glob("*.yaml"))]
                       for kind, model in (("units", Units), ("dram", Dram), ("memory", TableMemory))}

    def case(self, rng: np.random.Generator) -> str:
        kind = int(rng.integers(5))
        text = "acc_add: 0.05\ncmp: 1.5e-3\nleakage_mw: {weight_memory: 0.5}\n"
        model = (Units, Dram, TableMemory)[int(rng.integers(3))]
        if kind < 3:
            text = self.designs[int(rng.integers(len(self.designs)))]
        elif kind == 4:
            text = self.tables[model][int(rng.integers(len(self.tables[model])))]
        text = self.changed(text, rng)
        self.path.write_text(text, encoding="utf-8", errors="surrogatepass")
        if kind < 3:
            made = load_architecture(self.path)
            sound = rebuild_architecture(dump_architecture(made)) == made
        elif kind == 3:
            sound = isinstance(parse_overrides(self.path), dict)
        else:
            sound = bool(sources.load("units", str(self.path), model).sources)
        return OTHER if sound and self.alike(parse_yaml(text, "file").data, yaml.load(text, Loader=yaml.CSafeLoader)) else WRONG

    @staticmethod
    def changed(text: str, rng: np.random.Generator) -> str:
        lines = text.splitlines()
        for _ in range(int(rng.integers(1, 4))):
            at = int(rng.integers(len(lines)))
            kind = int(rng.integers(7))
            line = lines[at]
            if kind == 0:
                del lines[at]
            elif kind == 1:
                lines.insert(at, lines[int(rng.integers(len(lines)))])
            elif kind == 2 and ":" in line:
                lines[at] = f"{line.partition(':')[0]}: {odd(rng)}"
            elif kind == 3 and ":" in line:
                token = str(rng.choice(["&a {b: *a}", "!!int x", "0x_", "0100", "1:30", "2020-13-45", "1e400", "9" * 300,
                                        "[" * 60, "128KB", "1e399999 B", "yes", "|", ">", "? a", "- ", "%TAG", "\t", "@", "`",
                                        "<<"]))
                lines[at] = f"{line.partition(':')[0]}: {token}"
            else:
                lines[at] = str(odd(rng, line)) if line else str(odd(rng))
            if not lines:
                lines = [""]
        return "\n".join(lines) + "\n"

    @classmethod
    def alike(cls, ours: Any, theirs: Any) -> bool:
        """Whether both say the same; PyYAML takes `1e5`, which has no dot, for text."""
        if isinstance(ours, dict) and isinstance(theirs, dict):
            return ours.keys() == theirs.keys() and all(cls.alike(ours[key], theirs[key]) for key in ours)
        if isinstance(ours, list) and isinstance(theirs, list):
            return len(ours) == len(theirs) and all(map(cls.alike, ours, theirs))
        if isinstance(ours, float) and isinstance(theirs, str):
            return ours == float(theirs)
        return bool(ours == theirs) and type(ours) is type(theirs)


class TakesLong(BaseException):
    """A sound request for work that takes minutes, as it should. No Exception, so that no command takes it for a mistake."""


class CommandLine(Fuzzer):
    """Words of the command line changed, left out, doubled and exchanged: status 0, or another with what is wrong."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from hwsim.cli import main

        self.main = main
        trace = folder / "tiny.h5"
        synthesise("tiny", 2, samples=2).save(trace).close()
        (folder / "bad.yaml").write_text("lanes: &a {b: *a}\n")
        run = str(folder / "run")
        hwsim.simulate(trace, "event_core_16", samples=1).save(run)
        one, out = str(trace), str(folder / "out")
        self.lines = [
            ["run", one, "--arch", "event_core_16", "--samples", "1", "--json"],
            ["run", one, "--arch", "event_core_16", "--price", "acc_add=0.05", "--no-check"],
            ["run", one, "--arch", "event_core_16", "--schedule", "step_by_step", "--spikes", "computed", "--leak-unused"],
            ["trace", "info", one], ["trace", "check", one, "--json"], ["arch", "show", "event_core_16"],
            ["arch", "check", "event_core_16", "--trace", one], ["energy", "show", "event_core_16", "--json"],
            ["energy", "explain", run, "--price", "cmp=1", "--json"],
            ["energy", "explain", run, "--prices", str(folder / "bad.yaml")],
            ["trace", "synth", "-o", f"{out}.h5", "--network", "tiny", "--samples", "1", "--timesteps", "2", "--force"],
        ]
        self.patch_synthesis()
        self.words = sorted({word for line in self.lines for word in line})
        for line in self.lines:  # loads what each command needs, once for all cases
            self.run(line)

    @staticmethod
    def patch_synthesis() -> None:
        """What `trace synth` is asked is checked in full; larger networks and more samples are then not made."""
        from hwsim.cli import trace

        def made(progress: Any = None, **asked: Any) -> Any:
            check_asked(**asked)
            if asked["network"] != "tiny" or asked["samples"] > 1000:
                raise TakesLong
            return synthesise(**asked)

        trace.synthesise = made  # type: ignore[assignment]

    def run(self, line: list[str]) -> tuple[int, str]:
        before, out, err = sys.argv, io.StringIO(), io.StringIO()
        sys.argv = ["hwsim", *line]
        try:
            with redirect_stdout(out), redirect_stderr(err):
                self.main()
            return 0, ""
        except SystemExit as ended:
            return int(ended.code or 0), err.getvalue() or out.getvalue()
        finally:
            sys.argv = before

    def case(self, rng: np.random.Generator) -> str:
        line = list(self.lines[int(rng.integers(len(self.lines)))])
        for _ in range(int(rng.integers(1, 3))):
            at = int(rng.integers(len(line) + 1))
            kind = int(rng.integers(6))
            near = str(odd(rng, line[at] if at < len(line) else "")).replace("\0", "")
            word = str(rng.choice(self.words)) if kind < 2 else near
            other = self.lines[int(rng.integers(len(self.lines)))]
            option = [other[-2:], other[2:4], ["--json"], ["--samples", word], []][int(rng.integers(5))]
            line = [*line[:at], *(option if kind > 2 else [word]), *line[at + (kind in (0, 2, 5)) :]]
        try:
            status, said = self.run(line)
        except TakesLong:
            return SAME
        if status == 0:
            return OTHER
        return CLEAR if status in (1, 2) and said and "Traceback" not in said else UNCAUGHT


class ResultFolder(Fuzzer):
    """Files of a saved result damaged: noticed. Values changed and sealed again: another sound result, or an error."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.sound = hwsim.simulate(synthesise("tiny", 2, samples=2), "event_core_16").save(folder / "sound")
        self.run, self.again = folder / "run", folder / "again"
        self.expected = self.told(hwsim.load_result(self.sound))

    @staticmethod
    def told(result: hwsim.Result) -> Any:
        """All that a result says is made of these, and nothing else."""
        said = [asdict(result.facts), result.task.to_json(), dump_architecture(result.architecture), result.overrides,
                result.leak_unused, result.rate_hz]
        arrays = result.cycles, result.layer_counts, result.operation_counts, result.spans
        return json.dumps(said, sort_keys=True), [a.tobytes() for a in arrays], result.operations.to_csv()

    def case(self, rng: np.random.Generator) -> str:
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.copytree(self.sound, self.run)
        sealed = rng.random() < 0.7
        body = json.loads((self.run / RESULT).read_text())
        if rng.random() < 0.5:
            path = sorted(self.run.glob("*.csv"))[int(rng.integers(9))]
            data = path.read_bytes()
            path.write_bytes(damaged(data, rng) if rng.random() < 0.3 else self.other_cell(data, rng))
            if sealed:
                body["sha256"][path.name] = sha256(path.read_bytes()).hexdigest()
                (self.run / RESULT).write_text(json.dumps(body | {"seal": seal(body)}))
        elif sealed:
            mutate(body, rng)
            (self.run / RESULT).write_text(json.dumps(body | {"seal": seal(body)}))
        else:
            (self.run / RESULT).write_bytes(damaged((self.run / RESULT).read_bytes(), rng))
        result = hwsim.load_result(self.run)
        found = self.told(result)
        if found == self.expected:
            return SAME
        shutil.rmtree(self.again, ignore_errors=True)
        again = hwsim.load_result(result.save(self.again))  # which prices it, too
        return OTHER if sealed and self.told(again) == found else WRONG

    @staticmethod
    def other_cell(data: bytes, rng: np.random.Generator) -> bytes:
        lines = data.decode().splitlines()
        at = int(rng.integers(len(lines)))
        cells = lines[at].split(",")
        cell = int(rng.integers(len(cells)))
        cells[cell] = str(odd(rng, int(cells[cell]) if cells[cell].lstrip("-").isdigit() else cells[cell]))
        return "\n".join([*lines[:at], ",".join(cells), *lines[at + 1 :], ""]).encode()


class Checkpoints(Fuzzer):
    """A checkpoint's bytes damaged, or its values changed and saved anew."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import torch

        from hwsim.sources.checkpoint import load_checkpoint

        torch.set_num_threads(1)
        self.torch, self.load = torch, load_checkpoint
        self.sound = ROOT / "traces" / "fashion_mnist_small.pt"
        self.path = folder / "checkpoint.pt"
        self.data = self.sound.read_bytes()
        self.expected = self.told(load_checkpoint(self.sound))

    @staticmethod
    def told(checkpoint: Any) -> Any:
        return repr(checkpoint.description), {name: value.numpy().tobytes() for name, value in checkpoint.weights.items()}

    def case(self, rng: np.random.Generator) -> str:
        changed = rng.random() < 0.6
        if changed:
            body = self.torch.load(self.sound, weights_only=True)
            if rng.random() < 0.3:
                name = sorted(body["weights"])[int(rng.integers(len(body["weights"])))]
                weight = body["weights"][name]
                others = [weight.double(), weight.reshape(-1), weight * float("inf"), weight.to_sparse(), weight * 2,
                          weight.bool(), weight.reshape(-1)[:0]]
                body["weights"][name] = others[int(rng.integers(7))]
            else:
                plain = {name: value for name, value in body.items() if name != "weights"}
                mutate(plain, rng)
                body = plain | {"weights": body["weights"]}
            self.torch.save(body, self.path)
        else:
            self.path.write_bytes(damaged(self.data, rng))
        checkpoint = self.load(self.path)
        checkpoint.network()
        found = self.told(checkpoint)
        return SAME if found == self.expected else OTHER if changed else WRONG


FUZZERS: dict[str, type[Fuzzer]] = {
    "trace, raw bytes": TraceBytes, "trace, HDF5 structures": TraceBlocks, "trace, content with right hashes": TraceContent,
    "YAML": Yaml, "command line": CommandLine, "result folder": ResultFolder, "checkpoint": Checkpoints,
}
