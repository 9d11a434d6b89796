"""All that hwsim writes, as operations that replace an old thing by a new one, and what a reader finds of them."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any

import hwsim
from hwsim import study
from hwsim.files import whole_files
from hwsim.study.rows import append
from hwsim.trace.reader import Trace
from hwsim.trace.synth import synthesise
from hwsim.trace.writer import TraceWriter
from tests.conftest import ROOT


class Operation(ABC):
    """`write` puts what is numbered (1, 2 ...) in the place of what was there; `read` says which is there, None for nothing."""

    together = True
    """Whether a reader always finds the old or the new one; else it may also find nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.prepare()

    def prepare(self) -> None:  # noqa: B027  most need nothing
        """Whatever takes long."""

    @abstractmethod
    def write(self, number: int) -> None: ...

    @abstractmethod
    def read(self) -> int | None:
        """Raises for what is half written."""

    @property
    def names(self) -> set[str]:
        """All that may be in the folder."""
        return {"target"}


class SaveTrace(Operation):
    def prepare(self) -> None:
        self.traces = {n: synthesise("tiny", 2, samples=n) for n in (1, 2)}

    def write(self, number: int) -> None:
        self.traces[number].save(self.folder / "target").close()

    def read(self) -> int | None:
        if not (self.folder / "target").exists():
            return None
        with Trace.open(self.folder / "target") as trace:
            trace.check()
            return trace.samples


class StreamTrace(SaveTrace):
    def write(self, number: int) -> None:
        trace = self.traces[number]
        with TraceWriter(trace.network, self.folder / "target", name="x") as writer:
            for sample in trace:
                writer.append(sample)


class SaveResult(Operation):
    def prepare(self) -> None:
        trace = synthesise("tiny", 2, samples=2)
        self.results = {n: hwsim.simulate(trace, "event_core_16", samples=n) for n in (1, 2)}

    def write(self, number: int) -> None:
        self.results[number].save(self.folder / "target", draw=lambda _, made: (made / "energy.png").write_text(str(number)))

    def read(self) -> int | None:
        if not (self.folder / "target").exists():
            return None
        while True:
            before = (self.folder / "target").stat()
            found = hwsim.load_result(self.folder / "target").facts.samples
            drawn = (self.folder / "target" / "energy.png").read_text()
            after = (self.folder / "target").stat()
            # Else it was replaced meanwhile. The number of a removed folder is given to the next one.
            if (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns):
                assert drawn == str(found), "figures are those of the data"
                return found


class SaveCheckpoint(Operation):
    def prepare(self) -> None:
        from hwsim.sources.checkpoint import load_checkpoint

        self.sound = load_checkpoint(ROOT / "traces" / "fashion_mnist_small.pt")

    def write(self, number: int) -> None:
        from hwsim.sources.checkpoint import save_checkpoint

        described = replace(self.sound.description, epoch=number)
        save_checkpoint(self.folder / "target", described, self.sound.weights)

    def read(self) -> int | None:
        from hwsim.sources.checkpoint import load_checkpoint

        for name in self.names - {"target"}:
            if (self.folder / name).exists():
                load_checkpoint(self.folder / name)
        return load_checkpoint(self.folder / "target").description.epoch if (self.folder / "target").exists() else None

    @property
    def names(self) -> set[str]:
        return {"target", "target.previous"}


class Export(Operation):
    """Files that belong together; a kill may leave some out, and never mixes old and new."""

    together = False

    def write(self, number: int) -> None:
        whole_files({self.folder / name: str(number) for name in sorted(self.names)})

    def read(self) -> int | None:
        found = {(self.folder / name).read_text() if (self.folder / name).exists() else "" for name in self.names}
        assert len(found - {""}) <= 1, "old and new files meet"
        return None if "" in found else int(found.pop())

    @property
    def names(self) -> set[str]:
        return {"core.v", "bench.v", "bench.mem"}


class AppendRows(Operation):
    """A study's rows: what was appended before stays."""

    def write(self, number: int) -> None:
        row = {"key": str(number), "labels": {}, "error": "x" * 5000}
        append(self.folder, [row])

    def read(self) -> int | None:
        rows = study.read_rows(self.folder)
        assert all(len(row["error"]) == 5000 for row in rows)
        return max((int(row["key"]) for row in rows), default=None)

    @property
    def names(self) -> set[str]:
        return {study.ROWS}


OPERATIONS: dict[str, type[Operation]] = {
    "save a trace": SaveTrace, "stream a trace": StreamTrace, "save a result": SaveResult, "save a checkpoint": SaveCheckpoint,
    "export files": Export, "append rows": AppendRows,
}


def rows_of(folder: Path) -> list[Any]:
    """The whole lines of a study's file."""
    path = folder / study.ROWS
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line.endswith(b"}")] if path.exists() else []
