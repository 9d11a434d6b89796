"""Faults at every step of every write: what was finished stays, nothing half-written is read, nothing is left lying."""

from __future__ import annotations

import errno
import io
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim import files
from hwsim.errors import HwsimError
from tests.faults.operations import OPERATIONS, Operation

every_operation = pytest.mark.parametrize("name", OPERATIONS)
RENAMES = ("fsync", "replace", "link")
LAST, FEW = 8, 2


@contextmanager
def steps(look: Callable[[], None], exchanges: bool = True) -> Iterator[None]:
    """Calls `look` before and after each sync, rename, link, exchange and removal."""
    with pytest.MonkeyPatch.context() as patched:
        def watch(owner: Any, name: str) -> None:
            real = getattr(owner, name)

            def step(*given: Any, **named: Any) -> Any:
                look()
                try:
                    return real(*given, **named)
                finally:
                    look()

            patched.setattr(owner, name, step)

        if not exchanges:
            patched.setattr(files, "exchange", lambda *_: False)
        for name in RENAMES:
            watch(os, name)
        watch(files, "exchange")
        watch(Path, "unlink")
        yield


def count_steps(operation: Operation, exchanges: bool) -> int:
    seen: list[None] = []
    with steps(lambda: seen.append(None), exchanges):
        operation.write(2)
    operation.write(1)
    return len(seen)


def chosen(count: int, seed: int) -> list[int]:
    """The last steps, in which names change hands, and a few of those before, which bring file after file to the disk."""
    before = np.random.default_rng(seed).permutation(max(0, count - LAST))[:FEW]
    return [*map(int, before), *range(max(0, count - LAST), count)]


def told_of(write: Callable[[], None]) -> str | None:
    """The clear error of a write; None where it succeeds."""
    try:
        write()
    except HwsimError as error:
        return str(error)
    return None


def left_over(operation: Operation) -> set[str]:
    return {path.name for path in operation.folder.iterdir()} - operation.names


def made(name: str, folder: Path) -> Operation:
    if "checkpoint" in name:
        pytest.importorskip("torch")
    return OPERATIONS[name](folder / "all")


@every_operation
@pytest.mark.parametrize("code", [errno.ENOSPC, pytest.param(errno.EIO, marks=pytest.mark.slow)])
@pytest.mark.parametrize("exchanges", [True, False], ids=["exchange", "two renames"])
def test_an_error_of_the_disk_at_any_step_is_told_and_loses_nothing(
    name: str, code: int, exchanges: bool, tmp_path: Path
) -> None:
    if not exchanges and name != "save a result":
        pytest.skip("only folders are exchanged")
    operation = made(name, tmp_path)
    operation.write(1)
    for moment in chosen(count_steps(operation, exchanges), code):
        numbers = iter(range(10**6))

        def fail(moment: int = moment, numbers: Iterator[int] = numbers) -> None:
            if next(numbers) == moment:
                raise OSError(code, os.strerror(code))

        operation.write(1)
        with steps(fail, exchanges):
            told = told_of(lambda: operation.write(2))
        assert operation.read() in ((1, 2) if operation.together else (1, 2, None)), moment
        assert not left_over(operation), moment
        assert told is None or os.strerror(code) in told, moment


@every_operation
def test_a_full_disk_at_any_byte_is_told_and_loses_nothing(name: str, tmp_path: Path) -> None:
    """A process whose files may not grow beyond a limit, which to a writer looks like a full disk."""
    operation = made(name, tmp_path)
    operation.write(1)
    largest = max(path.stat().st_size for path in operation.folder.rglob("*") if path.is_file())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    refused = 0
    for limit in sorted({0, 100, largest // 3, largest - 1}):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            told = told_of(lambda: operation.write(2))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        refused += told is not None
        assert told is None or "File too large" in told, limit
        assert operation.read() == (2 if told is None else 1), limit
        assert not left_over(operation), limit
        operation.write(1)
    assert refused >= (2 if largest > 1000 else 1)


def test_a_disk_that_is_full_for_a_moment_is_told_of_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch, writing by itself, makes a RuntimeError of it when what it writes next succeeds."""
    operation = made("save a checkpoint", tmp_path)
    operation.write(1)
    real, writes = Path.open, iter(range(10**6))

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if next(writes) == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data)

    monkeypatch.setattr(Path, "open", lambda path, mode="r", *given, **named: (
        io.BufferedWriter(Full(path, "wb")) if mode == "wb" else real(path, mode, *given, **named)))
    assert "No space left on device" in (told_of(lambda: operation.write(2)) or "")
    assert operation.read() == 1
    assert not left_over(operation)


def killed(operation: Operation, write: Callable[[], None]) -> int:
    """Run a write in a forked process; the signal that killed it, 0 for none."""
    child = os.fork()
    if not child:
        try:
            write()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


@every_operation
@pytest.mark.parametrize("exchanges", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["exchange", "two renames"])
def test_a_kill_at_any_step_loses_nothing_and_the_next_write_tidies_up(name: str, exchanges: bool, tmp_path: Path) -> None:
    if not exchanges and name != "save a result":
        pytest.skip("only folders are exchanged")
    operation = made(name, tmp_path)
    operation.write(1)
    found = []
    for moment in chosen(count_steps(operation, exchanges), 0):
        operation.write(1)

        def write(moment: int = moment) -> None:
            numbers = iter(range(10**6))
            with steps(lambda: os.kill(os.getpid(), signal.SIGKILL) if next(numbers) == moment else None, exchanges):
                operation.write(2)

        assert killed(operation, write) == signal.SIGKILL
        found.append(operation.read())
        operation.write(1)
        assert operation.read() in (1, 2)
        assert not left_over(operation), moment
    absent = not operation.together or not exchanges
    assert set(found) <= ({1, 2, None} if absent else {1, 2})
    assert found[-1] == 2


@every_operation
@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_kills_at_random_times_lose_nothing(name: str, kills: int, tmp_path: Path) -> None:
    operation, rng = made(name, tmp_path), np.random.default_rng(17)
    operation.write(1)
    began = time.perf_counter()
    operation.write(1)
    longest = time.perf_counter() - began
    for kill in range(kills):
        child = os.fork()
        if not child:
            try:
                while True:
                    operation.write(2)
                    operation.write(1)
            finally:
                os._exit(0)
        time.sleep(float(rng.uniform(0, 3 * longest + 0.01)))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert operation.read() in ((1, 2) if operation.together else (1, 2, None)), kill
        operation.write(1)
        assert operation.read() in (1, 2)
        assert not left_over(operation), kill


# -- several at once --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, kind in OPERATIONS.items() if kind.together])
def test_of_several_writers_at_once_one_wins_whole(name: str, tmp_path: Path) -> None:
    operation = made(name, tmp_path)
    operation.write(1)
    children = []
    for number in (1, 2, 1):
        child = os.fork()
        if not child:
            status = 1
            try:
                for _ in range(3):
                    operation.write(number)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    while children:
        done, status = os.waitpid(-1, os.WNOHANG) if len(children) > 0 else (0, 0)
        if done in children:
            children.remove(done)
            assert status == 0
        assert operation.read() in (1, 2)
    assert operation.read() in (1, 2)
    assert not left_over(operation)
