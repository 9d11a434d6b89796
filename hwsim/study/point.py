"""A point of a study: a trace on a design under a schedule and prices, as plain data, and what identifies it.

`outline` says before anything runs which simulation a point shares with points of other prices, and where its sums were proved to
be right (hwsim/study/proof.py). The key of its row is the hash of its Task and of its price list.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from hwsim.arch import Architecture, dump_architecture, find_config, load_architecture, rebuild_architecture
from hwsim.chip.model import memories_used
from hwsim.cost.clock import at_highest_clock
from hwsim.cost.energy import price_hash
from hwsim.cost.overrides import read_overrides
from hwsim.cost.rate import DEFAULT_RATE_HZ, check_rate
from hwsim.errors import HwsimError
from hwsim.simulation import make_task
from hwsim.study.proof import Claim, claim_of
from hwsim.task import Task
from hwsim.trace.kept import kept_trace
from hwsim.trace.reader import Trace

HIGHEST = "highest"
"""As a clock: the highest that the design reaches."""
Row = dict[str, Any]


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
        found = base_of(self.arch)
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


def base_of(arch: str | Mapping[str, Any]) -> Architecture:
    """A design without changes: many points of a study change the same one. Raises ArchitectureError."""
    if isinstance(arch, str):
        return _loaded(*version_of(find_config(arch)))
    try:
        text = json.dumps(arch)
    except (TypeError, ValueError):
        return rebuild_architecture(dict(arch))  # which says what is wrong with it
    return _rebuilt(text)


def version_of(path: str | Path) -> tuple[str, int, int, int]:
    """A file as it is now: another one of the same name, or the same one after a change, has another version."""
    there = os.stat(path)
    return os.path.abspath(path), there.st_ino, there.st_size, there.st_mtime_ns


@lru_cache(64)
def _loaded(path: str, *version: int) -> Architecture:
    return load_architecture(path)


@lru_cache(64)
def _rebuilt(text: str) -> Architecture:
    return rebuild_architecture(json.loads(text))


@dataclass(frozen=True)
class Outline:
    """What is known of a point before it runs, without its prices: the hash of its Task, and its Claim, if it has one."""

    task: str
    claim: Claim | None


def outline(point: Point) -> Outline:
    """Raises HwsimError for a point that cannot run."""
    point.look_at_kinds()
    design, trace = point.design(), kept_trace(point.trace)
    task = task_of(point, design, trace)
    return Outline(task.hash, claim_of(task, design, trace))


def task_of(point: Point, design: Architecture, trace: Trace) -> Task:
    """The Task of a point. Raises HwsimError."""
    return make_task(trace, design, schedule=point.schedule, engine=point.engine, spikes=point.spikes, samples=point.samples,
                     check=point.check)


def key_of(point: Point, task: str, design: Architecture, trace: Trace) -> str:
    """What a point's row is found by: its Task's hash and its price list. Raises HwsimError."""
    used = None if point.leak_unused else list(memories_used(trace.network, design))
    rate_hz = check_rate(point.rate_hz)
    rate = "" if rate_hz == DEFAULT_RATE_HZ else f" {rate_hz!r}"
    prices = price_hash(design, read_overrides(point.overrides), used)
    return sha256(f"{task} {prices}{rate}".encode()).hexdigest()[:32]


def identify(point: Point) -> str:
    """The key of a point by itself. Raises HwsimError for a point that cannot run."""
    point.look_at_kinds()
    design, trace = point.design(), kept_trace(point.trace)
    return key_of(point, task_of(point, design, trace).hash, design, trace)


def failed(point: Point, error: Exception | str, key: str | None = None) -> Row:
    """The row of a point that failed; one that has no Task is known by what was asked for."""
    if key is None:
        body = {one.name: repr(getattr(point, one.name)) for one in fields(point) if one.name != "labels"}
        key = sha256(json.dumps(body).encode()).hexdigest()[:32]
    labels = dict(point.labels) if isinstance(point.labels, Mapping) and _can_be_written(point.labels) else {}
    return {"key": key, "labels": labels, "error": error if isinstance(error, str) else f"{type(error).__name__}: {error}"}
