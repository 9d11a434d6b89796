"""Many samples on all cores: the Task of a run in shards, which can be stopped and gone on with.

A shard is SHARD samples that follow one another in the Task. Its counts are kept in `shards/` in the folder of the run, one file
for each, named by the hash of the whole Task and the shard's position: a shard of another trace, design or model version is never
taken for it. When all are there they are merged, which gives what one run over all samples gives, to the last bit.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from hwsim.arch import Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.cost.overrides import plain_overrides
from hwsim.cost.rate import DEFAULT_RATE_HZ
from hwsim.counted import Facts
from hwsim.errors import HwsimError
from hwsim.files import whole_file
from hwsim.result import Result
from hwsim.result_file import SHARD, SHARDS, check_target, writing
from hwsim.simulation import default_design, make_task, placed_for, simulate
from hwsim.study.point import version_of
from hwsim.study.pools import Died, Job, Pool, pool_of, processors
from hwsim.task import Task, TaskError
from hwsim.trace.reader import Trace
from hwsim.trace.shipped import trace_file

_ARRAYS = ("cycles", "layer_counts", "operation_counts", "spans")


class ShardError(HwsimError):
    """A run in shards that cannot go on; the text says what was kept and what to do."""


def simulate_in_shards(
    trace: str | Path, arch: Architecture | str | Path | None = None, *, folder: str | Path | None = None,
    workers: int | None = None, samples: int | Sequence[int] | None = None, schedule: str = "layer_by_layer",
    engine: str = "fast", spikes: str = "trace", check: bool = True, overrides: Mapping[str, Any] | str | Path | None = None,
    leak_unused: bool = False, rate_hz: float = DEFAULT_RATE_HZ, progress: Callable[[int, int], None] | None = None,
) -> Result:
    """`hwsim.simulate` of a trace file on several processors; the Result is the same.

    folder    where the result will be saved: shards that are done are kept there, and a run that was stopped goes on with them.
              `Result.save(folder)` puts the result in their place. None: nothing is kept.
    workers   processes, by default one for each processor.

    Other arguments are those of `simulate`, as are the errors. Raises ShardError where a process dies twice of the same samples,
    and ResultError where `folder` holds something else, or shards of another run.
    """
    trace = trace_file(trace)
    with Trace.open(trace) as opened:
        design = placed_for(default_design(opened) if arch is None else load_architecture(arch), opened)
        task = make_task(opened, design, schedule=schedule, engine=engine, spikes=spikes, samples=samples, check=check)
    run = partial(simulate, schedule=schedule, engine=engine, spikes=spikes, check=check, overrides=plain_overrides(overrides),
                  leak_unused=leak_unused, rate_hz=rate_hz)
    parts = [task.samples[at:at + SHARD] for at in range(0, len(task.samples), SHARD)]
    kept = None if folder is None else _Kept(folder, task, design)
    found: dict[int, Result] = {} if kept is None else kept.results(parts, overrides, leak_unused, rate_hz)
    done = sum(len(parts[n]) for n in found)
    if progress:
        progress(done, len(task.samples))
    left = [n for n in range(len(parts)) if n not in found]
    if not found:  # wrong prices, or a design that the trace does not run on, must not cost a process
        run(trace, design, samples=[parts[left[0]][0]])
    data = dump_architecture(design)
    with pool_of(max(1, min(workers or processors(), len(left)))) as pool:
        pool.queue.extend(Job(_shard, partial(_arguments, str(trace), data, list(parts[n]), run), n) for n in left)
        for n, result in _made(pool, parts):
            found[n] = result
            if kept is not None:
                kept.save(n, result)
            done += len(parts[n])
            if progress:
                progress(done, len(task.samples))
    return Result.merge(found[n] for n in range(len(parts)))


def _arguments(*what: Any) -> tuple[Any, ...]:
    return what


def _made(pool: Pool, parts: Sequence[Sequence[int]]) -> Any:
    """Each shard's position and Result, as they are finished."""
    for job, answer in pool.answers():
        if isinstance(answer, Died):
            first, last = parts[job.about][0], parts[job.about][-1]
            raise ShardError(f"samples {first} to {last}: {answer.reason}; shards that are done are kept where --out names a "
                             "folder, so run it again to go on, with fewer workers if memory was short")
        if isinstance(answer, HwsimError):
            raise answer
        yield job.about, answer


def _shard(trace: str, design: dict[str, Any], samples: list[int], run: Callable[..., Result]) -> Result | HwsimError:
    """In a worker: the Result of some samples, or the error that they raise."""
    try:
        return run(_opened(*version_of(trace)), rebuild_architecture(design), samples=samples)
    except HwsimError as error:
        return error


@lru_cache(1)
def _opened(path: str, *version: int) -> Trace:
    """Open for the life of the process; its samples are read once each, and not kept."""
    return Trace.open(path)


@dataclass
class _Kept:
    """Shards on disk."""

    folder: str | Path
    task: Task
    design: Architecture

    def __post_init__(self) -> None:
        """Raises ResultError for a folder of something else, ShardError for one with shards of another run."""
        self.root = check_target(self.folder) / SHARDS
        self.mine = f"{self.task.hash[:32]}-"
        others = [name for name in self._names() if not name.startswith(self.mine)]
        if others:
            raise ShardError(f"{self.root}: found shards of another run (another trace, design, number of samples, or version of "
                             f"the model); go on with that run, name another folder, or remove {self.root}")

    def _names(self) -> list[str]:
        return sorted(path.name for path in self.root.iterdir() if not path.name.startswith(".")) if self.root.is_dir() else []

    def results(
        self, parts: Sequence[Sequence[int]], overrides: Any, leak_unused: bool, rate_hz: float
    ) -> dict[int, Result]:
        """The shards that are there, by position, at the prices of this run."""
        prices = {"overrides": plain_overrides(overrides), "leak_unused": leak_unused, "rate_hz": rate_hz}
        found = {}
        for n, part in enumerate(parts):
            path = self.root / f"{self.mine}{n}.npz"
            if path.is_file() and (result := _read(path, self.task.shard(part), self.design, prices)) is not None:
                found[n] = result
        return found

    def save(self, n: int, result: Result) -> None:
        """Raises ResultError where the disk takes no more."""
        said = json.dumps({"task": result.task.to_json(), "facts": asdict(result.facts),
                           "operations": result.operations.to_dict("list")})
        held = io.BytesIO()
        np.savez_compressed(held, said=np.array(said), **{name: getattr(result, name) for name in _ARRAYS})
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            with whole_file(self.root / f"{self.mine}{n}.npz") as part:
                part.write_bytes(held.getvalue())


def _read(path: Path, task: Task, design: Architecture, prices: Mapping[str, Any]) -> Result | None:
    """A shard from its file; None for one that is damaged or of another Task: it is made again."""
    import pandas as pd

    try:
        with np.load(path, allow_pickle=False) as file:
            said, arrays = json.loads(str(file["said"])), {name: file[name] for name in _ARRAYS}
        if Task.from_json(said["task"]).hash != task.hash:
            return None
        return Result(task, Facts(**said["facts"]), design, operations=pd.DataFrame(said["operations"]), **arrays, **prices)
    except (OSError, ValueError, KeyError, TypeError, TaskError, EOFError, BadZipFile, zlib.error):
        return None
