"""Whole commands that are killed, or whose n-th change of a file fails.

    python -m tests.faults.commands kills|steps COUNT [NAME ...]

Each run is a fork of this process, which has loaded what the commands need: the command line, its kernels, its files. What a kill
leaves is looked at after each run: nothing finished is lost, nothing half-written is read, no process lives on. The next whole
run must leave nothing lying. What takes long and changes no file, figures drawn and samples simulated, is done once for all runs
of `run`.

kills   kills COUNT runs of each command, at random times of their length.
steps   counts the calls of one run that change files (writes, renames, links, removals, syncs), and for at most COUNT of them,
        spread evenly, fails the call with ENOSPC and with EIO, and kills the process before and after it. Where two kills leave
        the same names and sizes, the whole run after them is tried once.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.cli import main as hwsim_main
from tests.faults.command_kinds import COMMANDS, Command, Run
from tests.faults.command_runs import run, run_whole

SOURCE = Path(__file__).with_name("injector.c")
PRELOADED = "HWSIM_TESTS_INJECTOR"
COUNT, FAIL, KILL_BEFORE, KILL_AFTER = range(4)


def looked_at(command: Command, before: int) -> str:
    """What a reader finds after a run that did not end well: `old`, `new`, or nothing at all of what only grows. Raises else."""
    if command.grows and not command.target.exists():
        assert before == 0, "what was finished is lost"
        return "old"
    after = command.read()
    assert after >= before if command.grows else after in (1, 2), f"found {after}, there was {before}"
    return "old" if after == before else "new"


def kills(command: Command, count: int, seed: int = 17, tidy_every: int = 10, whole_s: float | None = None) -> Counter[str]:
    """Kill `count` runs, each at a random time of what it would last; how many ended before, and what a reader found after.

    How long a run lasts depends on what it begins with, as a resumed one is shorter, and on how busy the machine is. So it is
    known for each state, and every run that ends before its kill moves it. It begins with `whole_s`, measured unless given.
    """
    rng, found = np.random.default_rng(seed), Counter[str]()
    command.fresh()  # for the first time, by a whole run unless it grows
    if whole_s is None:
        begun = time.monotonic()
        run_whole(command.line(2))
        whole_s = time.monotonic() - begun
        command.fresh()
    lasts_s = dict[int, float]()
    state = command.state()
    while found["killed"] < count:
        at = float(rng.uniform(0, lasts_s.get(state, whole_s)))
        begun = time.monotonic()
        status, said = run(command.line(3 - state if not command.grows else 0), kill_after_s=at)
        assert status in (0, -signal.SIGKILL), said
        if status == 0:
            took_s = time.monotonic() - begun
            lasts_s[state] = (took_s + lasts_s.get(state, took_s)) / 2
        found["killed" if status else "had ended"] += 1
        assert found["had ended"] <= 3 * count, "most runs end before they can be killed"
        found[looked_at(command, state)] += 1
        state = command.state()
        tried = found["killed"] + found["had ended"]
        if command.grows and state == command.most or tried % tidy_every == 0 or found["killed"] == count:
            run_whole(command.line(1))
            assert not command.left_over(), command.left_over()
            found["tidied"] += 1
            if command.grows:
                command.fresh()
            state = command.state()
        progress(f"{tried} runs: {dict(found)}")
    return found


def progress(said: str) -> None:
    """Where a long job is, for whoever watches its log."""
    print(f"{time.strftime('%H:%M:%S')} {said}", file=sys.stderr, flush=True)


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
    command.fresh()
    state, tidied = command.state(), set[Any]()
    for number in sorted({round(i) for i in np.linspace(0, total - 1, min(most, total))}):
        for what, code in ((FAIL, errno.ENOSPC), (FAIL, errno.EIO), (KILL_BEFORE, 0), (KILL_AFTER, 0)):
            command.fresh()
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
                if (left := command.lies_there()) not in tidied:
                    tidied.add(left)
                    run_whole(command.line(1))
                    assert not command.left_over(), f"{where}: {command.left_over()}"
                    found["tidied"] += 1
        progress(f"step {number} of {total}: {dict(found)}")
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
        in_this_process(Run(folder).line(1)[:-2] if name == "sweep" else command.line(1))  # a worker of a sweep saves nothing
    if name == "run":
        draw_no_more(command)
    return command


def draw_no_more(command: Command) -> None:
    """From now on a run saves figures of the pixels that one has drawn: drawing takes most of its time, and changes no file."""
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    from hwsim.view import plot

    def drawn(name: str) -> Figure:
        figure = Figure()
        figure.figimage(imread(command.target / name), resize=True)
        return figure

    energy, latency = drawn("energy.png"), drawn("latency.png")
    plot.energy_figure, plot.latency_figure = lambda _: energy, lambda _: latency


def simulate_no_more(command: Run) -> None:
    """From now on a run takes results that were simulated and priced before; what it writes of them is the same."""
    from hwsim.cli import run as module

    results = {samples: module.simulate(command.trace, "event_core_16", samples=samples) for samples in (1, 2)}
    for samples, result in results.items():
        module.simulate = lambda *_, result=result, **__: result  # type: ignore[assignment,misc]
        in_this_process(command.line(samples))
    module.simulate = lambda *_, samples, **__: results[samples]  # type: ignore[assignment]


def in_this_process(line: list[str]) -> None:
    arguments, sys.argv = sys.argv, ["hwsim", *line]
    with redirect_stdout(io.StringIO()), suppress(SystemExit):
        hwsim_main()
    sys.argv = arguments


def main() -> None:
    what, count, names = sys.argv[1], int(sys.argv[2]), sys.argv[3:] or list(COMMANDS)
    library = injector() if what == "steps" else None
    columns: tuple[str, ...] = ("killed", "had ended", "old", "new", "tidied")
    if library:
        columns = ("steps", "tried", "told", "went on", "killed", "old", "new", "tidied")
    print(f"| command | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}", flush=True)
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            command = warmed(name, Path(folder))
            if library and isinstance(command, Run) and name == "run":
                simulate_no_more(command)
            found = steps(command, count, library) if library else kills(command, count)
        print(f"| `{name}` | {' | '.join(f'{found[column]:,}' for column in columns)} |", flush=True)


if __name__ == "__main__":
    main()
