"""The commands that are killed and failed: how each is called, what a reader finds at its target, and what is none of it."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

import hwsim
from hwsim import study
from hwsim.sweep.rows import CSV
from hwsim.trace.reader import Trace
from hwsim.trace.synth import synthesise
from tests.conftest import ROOT
from tests.faults.command_runs import run_whole


class Command(ABC):
    """`line(number)` makes what is numbered (1 or 2) at `target`; `read` says which is there. Each replaces the other."""

    grows = False
    """Whether a run goes on with what an earlier one finished; then `read` says how much that is, and `most` is all."""
    most = 0

    def __init__(self, folder: Path) -> None:
        self.inputs, self.place = folder / "inputs", folder / "outputs"
        for made in (folder, self.inputs, self.place):
            made.mkdir(exist_ok=True)
        self.target = self.place / "target"
        self.prepare()

    @abstractmethod
    def prepare(self) -> None: ...

    @abstractmethod
    def line(self, number: int) -> list[str]: ...

    @abstractmethod
    def read(self) -> int: ...

    def state(self) -> int:
        """What `read` says; 0 where there is nothing yet."""
        return self.read() if self.target.exists() else 0

    def left_over(self) -> set[str]:
        """What lies beside and in the target and is none of it."""
        inside = {path.name for path in self.target.iterdir()} - self.parts() if self.target.is_dir() else set()
        return {path.name for path in self.place.iterdir()} - {"target"} | inside

    def lies_there(self) -> frozenset[tuple[str, int]]:
        """Names and sizes of all at the target and beside it. Of a hidden name only the ending counts: the rest is its maker."""
        return frozenset((below.suffix, 0) if below.name.startswith(".") else
                         (str(below.relative_to(self.place)), below.stat().st_size if below.is_file() else 0)
                         for below in self.place.rglob("*")
                         if not any(above.name.startswith(".") for above in below.relative_to(self.place).parents))

    def parts(self) -> set[str]:
        return set()

    def fresh(self) -> None:
        """The state that all runs begin with: what is numbered 1, or nothing of what grows."""
        shutil.rmtree(self.place)
        kept = self.inputs.with_name("kept")
        if not kept.exists():
            self.place.mkdir()
            if not self.grows:
                run_whole(self.line(1))
            shutil.copytree(self.place, kept)
            return
        shutil.copytree(kept, self.place)


class Run(Command):
    def prepare(self) -> None:
        self.trace = self.inputs / "tiny.h5"
        synthesise("tiny", 2, samples=2).save(self.trace).close()

    def line(self, number: int) -> list[str]:
        return ["run", str(self.trace), "--arch", "event_core_16", "--samples", str(number), "--out", str(self.target)]

    def read(self) -> int:
        assert (self.target / "energy.png").read_bytes().endswith(b"IEND\xaeB`\x82")
        return int(hwsim.load_result(self.target).facts.samples)

    def parts(self) -> set[str]:
        from hwsim.result_file import OF_A_RESULT

        return set(OF_A_RESULT)


class Sweep(Run):
    grows, most = True, 6

    def line(self, number: int) -> list[str]:
        return ["sweep", str(self.trace), "--arch", "event_core_16", "--set", "core.lanes=4,8,16", "--set",
                "core.fifo_depth=2,4", "--samples", "1", "--workers", "2", "--out", str(self.target)]

    def read(self) -> int:
        rows = {row["key"]: row for row in study.read_rows(self.target)}
        assert not [row for row in rows.values() if "error" in row]
        if (self.target / CSV).exists():
            assert len((self.target / CSV).read_text().splitlines()) == 1 + self.most
        return len(rows)

    def parts(self) -> set[str]:
        return {study.ROWS, CSV}


class TraceMaker(Command):
    def read(self) -> int:
        with Trace.open(self.target) as trace:
            trace.check()
            return trace.samples


class Convert(TraceMaker):
    def prepare(self) -> None:
        from tests.convert.tiny_set import write_tiny_files

        write_tiny_files(self.inputs)

    def line(self, number: int) -> list[str]:
        checkpoint = ROOT / "traces" / "methods" / "fashion_mnist_tiny_qcfs16.pt"
        return ["convert", str(checkpoint), "--data", str(self.inputs), "--unverified", "--samples", str(number), "--images",
                "10", "--out", str(self.target), "--force"]


class Capture(TraceMaker):
    def prepare(self) -> None:
        from tests.cli.test_capture_command import MODEL

        (self.inputs / "model.py").write_text(MODEL)
        images = np.random.default_rng(0).integers(0, 4, (3, 1, 8, 8)).astype(np.float32)
        np.savez(self.inputs / "inputs.npz", inputs=images)

    def line(self, number: int) -> list[str]:
        return ["capture", "torch", f"{self.inputs / 'model.py'}:make_model", "--inputs", str(self.inputs / "inputs.npz"),
                "--timesteps", "3", "--samples", str(number), "--out", str(self.target), "--force"]


class Train(Convert):
    grows, most = True, 3

    def line(self, number: int) -> list[str]:
        resume = ["--resume"] if (self.target / "last.pt").exists() else []
        return ["train", "tiny", "--data", str(self.inputs), "--dataset", "fashion_mnist", "--unverified", "--epochs", "3",
                "--batch", "20", "--rate", "0.02", "--no-flip", "--shift", "0", "--threads", "1", "--out", str(self.target),
                *resume]

    def read(self) -> int:
        from hwsim.sources.checkpoint import load_checkpoint

        found = [load_checkpoint(self.target / name).description.epoch for name in sorted(self.parts())
                 if (self.target / name).exists()]
        return max(found, default=0)

    def parts(self) -> set[str]:
        return {"last.pt", "best.pt", "last.previous.pt", "best.previous.pt"}


COMMANDS: dict[str, type[Command]] = {"run": Run, "sweep": Sweep, "convert": Convert, "capture": Capture, "train": Train}
