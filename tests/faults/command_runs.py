"""One command in a forked process of its own group, whole or killed after a time; no process of it may live on."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from hwsim.cli import main as hwsim_main
from hwsim.study import pools

PATIENCE_S = 60.0
"""How long a process may live on whose command was killed; the machine may be busy."""
BETWEEN_LOOKS_S = 0.002


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
        pools.get_context = lambda _: get_context("fork")  # type: ignore[attr-defined]  a spawned worker loads all anew
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
            _kill(child, kill_after_s)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert ended(child), f"a process of {line[0]} lives on"
        return status, said.read_text()


def _kill(child: int, after_s: float) -> None:
    """Kill a child when it has lived so long, or return as soon as it has ended; it stays to be waited for."""
    end = time.monotonic() + after_s
    while (left_s := end - time.monotonic()) > 0:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(min(left_s, BETWEEN_LOOKS_S))
    os.kill(child, signal.SIGKILL)


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
