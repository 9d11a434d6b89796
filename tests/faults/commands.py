"""Whole commands that are killed, or whose n-th change of a file fails.

    python -m tests.faults.commands kills|steps COUNT [NAME ...]

Each run is a fork of this process, which has loaded what the commands need: the command line, its kernels, its files. What a kill
leaves is looked at after each run: nothing finished is lost, nothing half-written is read, no process lives on. The next whole
run must leave nothing lying.

kills   ends COUNT runs of each command at random times.
steps   counts the calls of one run that change files (writes, renames, links, removals, syncs), and for at most COUNT of them,
        spread evenly, fails the call with ENOSPC and with EIO, and kills the process before and after it.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import hwsim
from hwsim import study
from hwsim.cli import main as hwsim_main
from hwsim.sweep.rows import CSV
from hwsim.trace.reader import Trace
from hwsim.trace.synth import synthesise
from tests.conftest import ROOT

SOURCE = Path(__file__).with_name("injector.c")
PRELOADED = "HWSIM_TESTS_INJECTOR"
COUNT, FAIL, KILL_BEFORE, KILL_AFTER = range(4)
PATIENCE_S = 60.0
"""How long a process may live on whose command was killed; the machine may be busy."""


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

    def left_over(self) -> set[str]:
        """What lies beside and in the target and is none of it."""
        inside = {path.name for path in self.target.iterdir()} - self.parts() if self.target.is_dir() else set()
        return {path.name for path in self.place.iterdir()} - {"target"} | inside

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


# -- running ----------------------------------------------------------------------------------------------------------


def start(line: list[str], said: Path, armed: Callable[[], Any] | None, finish: Callable[[], Any] | None) -> int:
    """Fork a process, in a group of its own, that runs the command; what it says goes to `said`."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        os.setpgid(0, 0)
        for stream in (1, 2):
            os.dup2(os.open(said, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), stream)
        study.get_context = lambda _: get_context("fork")  # type: ignore[attr-defined]  a spawned worker loads all anew
        sys.argv = ["hwsim", *line]
        if armed:
            armed()
        hwsim_main()
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
            if finish:
                finish()
        finally:
            os._exit(status)  # whatever happens, the fork never goes on as its parent


def run(line: list[str], armed: Callable[[], Any] | None = None, kill_after_s: float | None = None,
        finish: Callable[[], Any] | None = None) -> tuple[int, str]:
    """Exit status (minus the signal that ended it), and what it said. Fails when a process of it lives on."""
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        said.touch()  # a kill may come before the command says anything
        child = start(line, said, armed, finish)
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert ended(child), f"a process of {line[0]} lives on"
        return status, said.read_text()


def run_whole(line: list[str]) -> None:
    status, said = run(line)
    assert status == 0, f"{' '.join(line)}: status {status}: {said}"


def ended(group: int) -> bool:
    """Whether all processes of a group end, within some patience; those that do not are killed."""
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE_S:
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return True
        time.sleep(0.01)
    os.killpg(group, signal.SIGKILL)
    return False


def looked_at(command: Command, before: int) -> str:
    """What a reader finds after a run that did not end well: `old`, `new`, or nothing at all of what only grows. Raises else."""
    if command.grows and not command.target.exists():
        assert before == 0, "what was finished is lost"
        return "old"
    after = command.read()
    assert after >= before if command.grows else after in (1, 2), f"found {after}, there was {before}"
    return "old" if after == before else "new"


def kills(command: Command, count: int, seed: int = 17, tidy_every: int = 10) -> Counter[str]:
    """End `count` runs at random times of their length; how many were killed, and what a reader found after."""
    rng, found = np.random.default_rng(seed), Counter[str]()
    begun = time.monotonic()
    command.fresh()  # for the first time: by a whole run, unless it grows
    if command.grows:
        run_whole(command.line(1))
    longest = time.monotonic() - begun
    command.fresh()
    state = command.read() if command.target.exists() else 0
    for kill in range(count):
        status, _ = run(command.line(3 - state if not command.grows else 0), kill_after_s=float(rng.uniform(0, 2 * longest)))
        found["killed" if status == -signal.SIGKILL else "had ended"] += 1
        found[looked_at(command, state)] += 1
        state = command.read() if command.target.exists() else 0
        if command.grows and state == command.most or kill % tidy_every == tidy_every - 1 or kill == count - 1:
            run_whole(command.line(1))
            assert not command.left_over(), command.left_over()
            found["tidied"] += 1
            command.fresh() if command.grows else None
            state = command.read() if command.target.exists() else 0
    return found


# -- every step -------------------------------------------------------------------------------------------------------


def injector() -> Any:
    """The library that this process was started with; starts it anew with one if there is none."""
    if not (path := os.environ.get(PRELOADED)):
        path = str(Path(tempfile.mkdtemp()) / "injector.so")
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", str(SOURCE), "-o", path, "-ldl"], check=True)
        os.execve(sys.executable, [sys.executable, "-m", "tests.faults.commands", *sys.argv[1:]],
                  os.environ | {PRELOADED: path, "LD_PRELOAD": path})
    library = ctypes.CDLL(path)
    library.arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int]
    library.counted.restype = ctypes.c_long
    return library


def steps(command: Command, most: int, library: Any) -> Counter[str]:
    """Fail and kill a run at each of at most `most` of its steps; how often a reader found what."""
    found = Counter[str]()

    def armed(number: int, what: int, code: int = 0) -> Callable[[], None]:
        return lambda: library.arm(os.fsencode(command.place), number, what, code)

    def tell_count() -> None:
        (command.inputs / "counted").write_text(str(library.counted()))

    command.fresh()
    assert run(command.line(2), armed(-1, COUNT), finish=tell_count)[0] == 0
    total = int((command.inputs / "counted").read_text())
    found["steps"] = total
    for number in sorted({round(i) for i in np.linspace(0, total - 1, min(most, total))}):
        for what, code in ((FAIL, errno.ENOSPC), (FAIL, errno.EIO), (KILL_BEFORE, 0), (KILL_AFTER, 0)):
            command.fresh()
            state = command.read() if command.target.exists() else 0
            status, said = run(command.line(2), armed(number, what, code))
            where = f"step {number}, {what}, {code}: status {status}: {said[-2000:]}"
            assert "Traceback" not in said, where
            found["tried"] += 1
            found[looked_at(command, state)] += 1
            if what == FAIL:
                assert status in (0, 2), where
                assert status == 0 or "error: " in said, where
                found["told" if status else "went on"] += 1
                assert not command.left_over(), f"{where}: {command.left_over()}"
            else:
                # How many rows a sweep writes at once depends on the time: such a run may have fewer steps.
                assert status == -signal.SIGKILL or command.grows and status == 0, where
                found["killed" if status else "went on"] += 1
                run_whole(command.line(1))
                assert not command.left_over(), f"{where}: {command.left_over()}"
    return found


def warmed(name: str, folder: Path) -> Command:
    """The command, its modules and kernels loaded. Training is not tried before: torch does not survive a fork after a step."""
    if name in ("convert", "capture", "train"):
        import torch

        from hwsim.training.train import train  # noqa: F401

        torch.set_num_threads(1)
        if name == "capture":
            import snntorch  # noqa: F401
    command = COMMANDS[name](folder)
    if name != "train":
        arguments, sys.argv = sys.argv, ["hwsim", *command.line(1)]
        if name == "sweep":
            sys.argv = ["hwsim", *Run(folder).line(1)]  # what a worker needs
        with redirect_stdout(io.StringIO()), suppress(SystemExit):
            hwsim_main()
        sys.argv = arguments
    return command


def main() -> None:
    what, count, names = sys.argv[1], int(sys.argv[2]), sys.argv[3:] or list(COMMANDS)
    library = injector() if what == "steps" else None
    columns: tuple[str, ...] = ("killed", "had ended", "old", "new", "tidied")
    if library:
        columns = ("steps", "tried", "told", "went on", "killed", "old", "new")
    print(f"| command | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}", flush=True)
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            command = warmed(name, Path(folder))
            found = steps(command, count, library) if library else kills(command, count)
        print(f"| `{name}` | {' | '.join(f'{found[column]:,}' for column in columns)} |", flush=True)


if __name__ == "__main__":
    main()
