"""A study: many points in, one row for each out, kept in a folder under their Task and prices, resumable.

A point is a trace on a design, with a schedule and prices. Its key is the hash of its Task and of its price list, known before
anything runs, so a point whose row is there is never run again, and a row of another model version is never taken for it.
Points that differ in prices only are simulated once. Rows are appended to `rows.jsonl`, one JSON object per line, whole or
not at all: a killed study goes on where it stopped. Points run in worker processes; one that fails, however it fails, keeps its
reason in its row.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

from hwsim.arch import Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.chip.model import memories_used
from hwsim.cost.clock import at_highest_clock
from hwsim.cost.energy import price_hash
from hwsim.cost.overrides import plain_overrides
from hwsim.cost.rate import DEFAULT_RATE_HZ, check_rate
from hwsim.errors import HwsimError
from hwsim.files import append_lines
from hwsim.result import Result
from hwsim.simulation import make_task, simulate
from hwsim.trace.kept import kept_trace

ROWS = "rows.jsonl"
HIGHEST = "highest"
"""As a clock: the highest that the design reaches."""
HELD_S = 0.5
"""Seconds that a row may wait before it is on the disk; a kill loses no more."""
Row = dict[str, Any]
BEGINNING = b'{"key": "'
"""Of every row, and so of every line that a kill cut off."""
SUMMARY = ("task", "samples", "cycles", "energy_pj", "run_id")
"""What a row has at least, of whatever model version, unless it has an `error`."""


class StudyError(HwsimError):
    """A study that cannot go on; the text says what was kept and what to do."""


@dataclass(frozen=True)
class Point:
    """One point of a study; all of it plain data, so that it can be sent to another process.

    trace        path of a trace.        arch    name or path of a design, or the design itself as `dump_architecture` writes it.
    changes      fields of the design that differ, by dotted name: {"core.lanes": 16}. {"clock": "highest"} is the highest clock
                 that the design reaches (`hwsim arch check`), whatever else differs.
    samples      indices, how many, or None for all.        check, overrides, leak_unused, rate_hz   as for `simulate`.
    labels       what the caller calls it: values by name, copied into the row.
    """

    trace: str
    arch: str | Mapping[str, Any]
    schedule: str = "layer_by_layer"
    spikes: str = "trace"
    engine: str = "fast"
    samples: int | Sequence[int] | None = None
    check: bool = True
    overrides: Mapping[str, Any] | str | Path = field(default_factory=dict)
    leak_unused: bool = False
    rate_hz: float = DEFAULT_RATE_HZ
    labels: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, trace: str | Path, arch: str | Path | Architecture, **what: Any) -> Point:
        """A point of a path and a design of any kind."""
        design = dump_architecture(arch) if isinstance(arch, Architecture) else str(arch)
        return cls(str(trace), design, **what)

    def design(self) -> Architecture:
        """Its architecture. Raises ArchitectureError."""
        found = load_architecture(self.arch) if isinstance(self.arch, str) else rebuild_architecture(dict(self.arch))
        fastest = self.changes.get("clock") == HIGHEST
        changes = {name: value for name, value in self.changes.items() if not (fastest and name == "clock")}
        found = found.with_fields(changes) if changes else found
        return at_highest_clock(found) if fastest else found

    def look_at_kinds(self) -> None:
        """Raises StudyError with all fields that are of no kind that they can be; what they say is not looked at."""
        allowed: dict[str, tuple[Any, str]] = {
            "trace": (str | Path, "the path of a trace"), "arch": (str | Mapping, "a name, a path, or a design's data"),
            "overrides": (str | Path | Mapping | None, "a mapping of event to pJ, or the path of a YAML file"),
            "leak_unused": (bool, "True or False"), "labels": (Mapping, "a mapping"),
            "changes": (Mapping, "a mapping of fields of the design")}
        wrong = [f"{name} is {getattr(self, name)!r}, expected {expected}" for name, (kind, expected) in allowed.items()
                 if not isinstance(getattr(self, name), kind)]
        if not wrong and not _can_be_written(self.labels):
            wrong = [f"labels is {self.labels!r}, expected what JSON can say: text, finite numbers, lists, mappings"]
        if wrong:
            raise StudyError("; ".join(wrong))


def _can_be_written(labels: Mapping[str, Any]) -> bool:
    try:
        json.dumps(dict(labels), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


@dataclass(frozen=True)
class _Known:
    """What a point is before it runs: its key, the hash of the Task that it shares with points of other prices, and itself as
    plain data, which any process can be sent."""

    key: str
    task: str
    point: Point


def identify(point: Point) -> _Known:
    """Key and Task of a point. Raises HwsimError for a point that cannot run."""
    point.look_at_kinds()
    design = point.design()
    trace = kept_trace(point.trace)
    task = make_task(trace, design, schedule=point.schedule, engine=point.engine, spikes=point.spikes, samples=point.samples,
                     check=point.check)
    used = None if point.leak_unused else list(memories_used(trace.network, design))
    overrides = plain_overrides(point.overrides)
    rate_hz = check_rate(point.rate_hz)
    rate = "" if rate_hz == DEFAULT_RATE_HZ else f" {rate_hz!r}"
    key = sha256(f"{task.hash} {price_hash(design, overrides, used)}{rate}".encode()).hexdigest()[:32]
    return _Known(key, task.hash, replace(
        point, arch=dump_architecture(design), changes={}, samples=list(task.samples), overrides=overrides,
        labels=dict(point.labels)))


def run_study(
    points: Iterable[Point], folder: str | Path, *, workers: int | None = None, executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Run the points whose rows are not in `folder` yet; the rows of all points, in their order.

    A row holds `key`, `task`, `labels`, and the summary of the Result, or `error` with the reason why the point failed; points
    that failed are tried again the next time.
    workers    processes, by default one for each processor.    executor   any of concurrent.futures, used instead of them.
    Raises StudyError when a worker dies or the folder cannot be written: the rows made so far stay; and for what is no Point.
    """
    every = list(points)
    for i, point in enumerate(every):
        if not isinstance(point, Point):
            raise StudyError(f"points[{i}] is {point!r}, expected a hwsim.Point")
    there = {row["key"]: row for row in read_rows(folder) if "error" not in row}
    found: dict[int, Row] = {}
    tasks: dict[str, list[tuple[int, str]]] = {}
    for i, point in enumerate(every):
        try:
            known = identify(point)
        except Exception as error:  # one bad point never ends the others
            found[i] = _failed(point, _key_of(point), error)
            continue
        every[i] = known.point
        if known.key in there:
            found[i] = there[known.key] | {"labels": dict(point.labels)}
        else:
            tasks.setdefault(known.task, []).append((i, known.key))
    failed = [row for row in found.values() if "error" in row]
    _append(folder, failed)
    done = len(found)
    if progress:
        progress(done, len(every))
    with _Buffered(folder) as file:
        for rows in _made(every, list(tasks.values()), workers, executor):
            file.append(rows.values())
            found |= rows
            done += len(rows)
            if progress:
                progress(done, len(every))
    return [found[i] for i in range(len(every))]


def _made(
    every: list[Point], groups: list[list[tuple[int, str]]], workers: int | None, executor: Executor | None
) -> Iterator[dict[int, Row]]:
    """The rows of each group of points of one Task, as they are finished, by position."""
    if not groups:
        return
    with _pool(workers, len(groups), executor) as pool:
        jobs = {pool.submit(run_points, [every[i] for i, _ in group]): group for group in groups}
        for job in as_completed(jobs):
            try:
                answers = job.result()
            except BrokenProcessPool:
                raise StudyError("a worker process died (killed, or out of memory); the rows made so far are kept, so run the "
                                 "study again to go on, with fewer workers if memory was short") from None
            yield {i: {"key": key, "labels": dict(every[i].labels), **answer}
                   for (i, key), answer in zip(jobs[job], answers, strict=True)}


@contextmanager
def _pool(workers: int | None, most: int, executor: Executor | None) -> Iterator[Executor]:
    """The given executor, or processes of our own that start from nothing: forks of a process with threads may hang."""
    if executor is not None:
        yield executor
        return
    count = max(1, min(workers or os.cpu_count() or 1, most))
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_end_with_the_parent) as pool:
        yield pool


def _end_with_the_parent() -> None:
    """Of a worker: it ends when the study does, however that ends; a killed one would leave it waiting for work for ever."""
    def wait() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    Thread(target=wait, daemon=True).start()


def run_points(points: Sequence[Point]) -> list[Row]:
    """Points of one Task: simulated once, priced for each. A row's fields, or `error`, for each; runs in a worker."""
    result, rows = None, []
    for point in points:
        try:
            if result is None:
                result = simulate(
                    kept_trace(point.trace), point.design(), schedule=point.schedule, engine=point.engine, spikes=point.spikes,
                    samples=point.samples, check=point.check, overrides=point.overrides, leak_unused=point.leak_unused)
            priced = result.priced(point.design(), point.overrides, point.leak_unused)
            rows.append(_row(replace(priced, rate_hz=check_rate(point.rate_hz))))
        except Exception as error:  # one bad point never ends the others
            rows.append({"error": _reason(error)})
    return rows


def _row(result: Result) -> Row:
    """Raises StudyError where a number of the summary is not finite: JSON could not say it."""
    row = {"task": result.task.hash, "prices": result.price_id, "model_version": result.task.model_version, **result.summary(),
           "rows_per_cycle": result.rows_per_cycle}
    numbers = [(name, value) for name, values in row.items()
               for value in (values.values() if isinstance(values, dict) else [values])]
    if wrong := [f"{name} is {value}" for name, value in numbers if isinstance(value, float) and not math.isfinite(value)]:
        raise StudyError(f"numbers that are not finite: {', '.join(dict.fromkeys(wrong))}; check clock and prices")
    return row


def _failed(point: Point, key: str, error: Exception) -> Row:
    labels = dict(point.labels) if isinstance(point.labels, Mapping) and _can_be_written(point.labels) else {}
    return {"key": key, "labels": labels, "error": _reason(error)}


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _key_of(point: Point) -> str:
    """Of a point that has no Task: what was asked for."""
    body = {one.name: repr(getattr(point, one.name)) for one in fields(point) if one.name != "labels"}
    return sha256(json.dumps(body).encode()).hexdigest()[:32]


# --- the file ----------------------------------------------------------------------------------------------------------


def read_rows(folder: str | Path) -> list[Row]:
    """All rows of a study's folder in the order in which they were made, of any model version; none where there is no file.

    A line that a killed process left unfinished is no row. Raises StudyError for a file that is not a study's, or cannot be
    read.
    """
    path = Path(folder) / ROWS
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StudyError(f"{path}: cannot be read as rows of a study ({error.strerror}); name another folder") from None
    rows = []
    for number, line in enumerate(content.split(b"\n"), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            if line.startswith(BEGINNING) or BEGINNING.startswith(line):
                continue  # the empty end of the file, or cut off by a kill: its point runs again
            row = line.decode(errors="replace")
        if wrong := _no_row(row):
            raise StudyError(f"{path}:{number}: found {str(row)[:60]!r}, expected a row of a study {wrong}; name another folder, "
                             "or delete the line")
        rows.append(row)
    return rows


def _no_row(row: Any) -> str:
    """What a line lacks to be a row; empty when it lacks nothing."""
    if not isinstance(row, dict) or not isinstance(row.get("key"), str):
        return "with its key"
    if isinstance(row.get("error"), str):
        return ""
    lacking = [name for name in SUMMARY if name not in row]
    return f"with an error, or with {', '.join(lacking)}" if lacking else ""


class _Buffered:
    """Rows on their way to the file: those of HELD_S seconds are written at once, since each write waits for the disk."""

    def __init__(self, folder: str | Path) -> None:
        self._folder, self._rows, self._since = folder, list[Row](), monotonic()

    def __enter__(self) -> _Buffered:
        return self

    def append(self, rows: Iterable[Row]) -> None:
        self._rows += rows
        if monotonic() - self._since > HELD_S:
            self._write()

    def _write(self) -> None:
        _append(self._folder, self._rows)
        self._rows, self._since = [], monotonic()

    def __exit__(self, *_: object) -> None:
        self._write()


def _append(folder: str | Path, rows: list[Row]) -> None:
    """Each row as one line, whole, and on the disk when this returns."""
    if not rows:
        return
    path = Path(folder) / ROWS
    try:
        append_lines(path, (json.dumps(row, allow_nan=False).encode() for row in rows))
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror}); rows made before are kept") from None
