"""Runs cases of a fuzzer in a forked process under limits of processor time and memory, and counts what became of them.

A case that kills its process is counted by what killed it, and the next process goes on with the next case. Processor time is
measured, not wall time, so a busy machine changes no verdict.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.errors import HwsimError

CLEAR, SAME, OTHER = "clear error", "same result", "valid other"
WRONG, UNCAUGHT, CRASH, HANG, MEMORY = "wrong", "uncaught", "crash", "hang", "over memory"
VERDICTS = (CLEAR, SAME, OTHER, WRONG, UNCAUGHT, CRASH, HANG, MEMORY)
BAD = VERDICTS[3:]
"""Verdicts that may not be."""

SECONDS = 10.0
"""Processor time of one case; a sound one takes milliseconds."""
MEMORY_BYTES = 3 << 29
"""Address space that a case may add: what docs/formats/trace.md allows a trace to hold, and room to work."""
LONGEST_TEXT = 20_000
"""Characters of a clear error: it may list many mistakes, but never a file's content."""
MOST_TOLD, TOLD = 20, "raised"
"""How many bad verdicts are told, and the file of a fuzzer's folder in which the traceback of a case is kept."""


class Fuzzer(ABC):
    """Makes cases and judges them; `folder` is its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def case(self, rng: np.random.Generator) -> str:
        """Make one case, use it, and return SAME, OTHER or WRONG; what it raises is judged by `verdict_of`."""


def verdict_of(run: Callable[[], str], told: Path) -> str:
    """What a case came to in this process; what it raised, if that may not be, is written to `told`."""
    try:
        return run()
    except HwsimError as error:
        if len(str(error)) <= LONGEST_TEXT:
            return CLEAR
    except MemoryError:
        return MEMORY
    except Exception:
        told.write_text(traceback.format_exc())
    return UNCAUGHT


def run_cases(fuzzer: Fuzzer, count: int, seed: int) -> Counter[str]:
    """Verdicts of `count` cases; of those that may not be, the first few are told on stderr with their number and traceback."""
    found: Counter[str] = Counter()
    done = 0
    while done < count:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            _work(fuzzer, done, count, seed, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as verdicts:
            for verdict in verdicts.read():
                _note(found, VERDICTS[verdict], seed, done, fuzzer.folder / TOLD)
                done += 1
        _, status = os.waitpid(child, 0)
        if status:
            killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            _note(found, HANG if killed in (signal.SIGPROF, signal.SIGXCPU) else CRASH, seed, done, fuzzer.folder / TOLD)
            done += 1
    return found


def _note(found: Counter[str], verdict: str, seed: int, number: int, told: Path) -> None:
    found[verdict] += 1
    if verdict in BAD and sum(found[bad] for bad in BAD) <= MOST_TOLD:
        print(f"case {number} of seed {seed}: {verdict}", file=sys.stderr)
        with suppress(FileNotFoundError):
            print(told.with_suffix(f".{number}").read_text(), file=sys.stderr, flush=True)


def _work(fuzzer: Fuzzer, first: int, count: int, seed: int, writer: int) -> None:
    """The forked process: one byte for each case that it survives. Never returns."""
    status = 1
    try:
        faulthandler.disable()
        os.setpgid(0, 0)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        silent = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silent, stream)
        for number in range(first, count):
            rng = np.random.default_rng([seed, number])
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            verdict = verdict_of(lambda rng=rng: fuzzer.case(rng), (fuzzer.folder / TOLD).with_suffix(f".{number}"))
            signal.setitimer(signal.ITIMER_PROF, 0)
            os.write(writer, bytes([VERDICTS.index(verdict)]))
        status = 0
    finally:
        os._exit(status)


# -- damage -----------------------------------------------------------------------------------------------------------


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes with one to four kinds of damage: flipped, cut off, cut out, doubled, overwritten, zeroed."""
    raw = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if not raw:
            break
        at, length = int(rng.integers(len(raw))), int(rng.integers(1, 64))
        part = raw[at : at + length]
        kind = int(rng.integers(7))
        if kind < 2:
            raw[at] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del raw[at:]
        elif kind == 3:
            del raw[at : at + length]
        elif kind == 4:
            raw[at:at] = part
        elif kind == 5:
            raw[at : at + len(part)] = rng.bytes(len(part))
        else:
            raw[at : at + len(part)] = bytes(len(part))
    return bytes(raw)


ODD: tuple[Any, ...] = (
    0, 1, -1, 2, 3, 255, 65536, 2**31 - 1, 2**31, 2**62, -(2**62), "", "x", "../..", "a" * 300, "\u20ac", "0", "True", "null",
    0.5, -0.0, 1e308, [], [0], [1, 2, 3], ["x"], {}, {"a": 1}, None, True, False,
)


def odd(rng: np.random.Generator, known: Any = None) -> Any:
    """A value that is not expected, or a near one of the known."""
    if isinstance(known, bool) or rng.random() < 0.6:
        return ODD[int(rng.integers(len(ODD)))]
    if isinstance(known, int):
        return known + int(rng.integers(-3, 4)) if rng.random() < 0.7 else known * int(rng.integers(2, 1000))
    if isinstance(known, float):
        return known * float(rng.choice([-1, 0.5, 2, 1e6]))
    if isinstance(known, str) and known:
        at = int(rng.integers(len(known)))
        return known[:at] + str(rng.choice(list("aZ0_ -./:[{&*!%\n"))) + known[at + int(rng.integers(2)) :]
    if isinstance(known, list) and known:
        at = int(rng.integers(len(known)))
        return [*known[:at], *([odd(rng, known[at])] if rng.random() < 0.6 else []), *known[at + 1 :]]
    return ODD[int(rng.integers(len(ODD)))]


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value and container of plain data is."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in pairs for place in places(value, (*path, key)))]


def mutate(body: Any, rng: np.random.Generator) -> None:
    """Change, remove, add or exchange one to three values of a dictionary of plain data."""
    for _ in range(int(rng.integers(1, 4))):
        every = [place for place in places(body) if place]
        if not every:
            return
        *above, key = every[int(rng.integers(len(every)))]
        parent = body
        for step in above:
            parent = parent[step]
        kind = int(rng.integers(6))
        if kind == 0:
            del parent[key]
        elif kind == 1 and isinstance(parent, dict):
            parent[str(odd(rng))[:40]] = odd(rng, parent[key])
        elif kind == 2:
            *others, other = every[int(rng.integers(len(every)))]
            source = body
            try:
                for step in others:
                    source = source[step]
                parent[key] = source[other] if not isinstance(source[other], dict | list) else odd(rng)
            except (KeyError, IndexError, TypeError):
                pass
        else:
            parent[key] = odd(rng, parent[key])
