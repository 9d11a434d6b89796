"""Runs a study: points in, one row for each out, in memory that hardly grows with their number.

First all points are outlined, by the workers. Points of one Task are then one job, so those that differ in prices only are
simulated once. Of jobs whose sums another one may show to be right (hwsim/study/proof.py), the narrowest runs first.
"""

from __future__ import annotations

import os
import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

from hwsim.arch import ArchitectureError, dump_architecture, find_config
from hwsim.study.point import Outline, Point, Row, StudyError, base_of, failed, version_of
from hwsim.study.pools import Died, Job, Pool, pool_of
from hwsim.study.proof import Claim, Proof, proof_of
from hwsim.study.rows import Buffered, Index
from hwsim.study.work import outlines, run_points
from hwsim.trace.shipped import whole_path

AT_ONCE = 64
"""Points that are outlined by one job, and packed together."""
Progress = Callable[[int, int], None]


def run_study(
    points: Iterable[Point], folder: str | Path, *, workers: int | None = None, executor: Executor | None = None,
    dask: str | None = None, progress: Progress | None = None, skip_proven: bool = True,
) -> list[Row]:
    """Run the points whose rows are not in `folder` yet; the rows of all points, in their order.

    A row holds `key`, `task`, `labels`, and the summary of the Result, or `error` with the reason why the point failed; points
    that failed are tried again the next time.
    workers      processes, by default one for each processor.    executor   any of concurrent.futures, used instead of them.
    dask         address of a Dask scheduler, used instead of them.
    skip_proven  sums that another row showed to be right are not made again; `arithmetic` of a row says which row. No number of a
                 row depends on it.
    Raises StudyError when the folder cannot be written or a cluster is not there: the rows made so far stay; and for what is no
    Point.
    """
    found = dict(study_rows(points, folder, workers=workers, executor=executor, dask=dask, progress=progress,
                            skip_proven=skip_proven))
    return [found[i] for i in range(len(found))]


def study_rows(
    points: Iterable[Point], folder: str | Path, *, workers: int | None = None, executor: Executor | None = None,
    dask: str | None = None, progress: Progress | None = None, skip_proven: bool = True,
) -> Iterator[tuple[int, Row]]:
    """`run_study` row by row, as they are made, each with the position of its point: for studies too long to be held."""
    packed = Packed(points)
    index = Index(folder)
    tell = progress or (lambda done, of: None)
    done, total = 0, len(packed)
    tell(done, total)
    if not total:
        return
    with pool_of(workers, executor, dask) as pool, Buffered(folder) as file:
        groups: dict[str, Group] = {}
        for i, found in _outlined(packed, pool):
            if isinstance(found, Outline):
                if found.task not in groups:
                    groups[found.task] = Group(found.task, found.claim if skip_proven else None, [])
                groups[found.task].places.append(i)
                continue
            file.append([found])
            done += 1
            tell(done, total)
            yield i, found
        for group, rows in _answered(list(groups.values()), packed, index, pool):
            made = [row for row in rows if len(row) > 1]
            file.append(made)
            for i, row in zip(group.places, rows, strict=True):
                if len(row) == 1:
                    row = index.row(row["key"]) | {"labels": dict(packed[i].labels)}
                yield i, row
            done += len(rows)
            tell(done, total)


@dataclass(eq=False)
class Group:
    """Points of one Task, by position. `claim`: what a run of it would show, and whose proof would spare its sums."""

    task: str
    claim: Claim | None
    places: list[int]


def _outlined(packed: Packed, pool: Pool) -> Iterator[tuple[int, Outline | Row]]:
    """What is known of every point before it runs, in their order; the row of one that cannot run."""
    pool.queue.extend(Job(outlines, partial(packed.part_at, start), start) for start in range(0, len(packed), AT_ONCE))
    every: list[Outline | Row | None] = [None] * len(packed)
    claims: dict[Claim | None, Claim | None] = {}
    for job, found in pool.answers():
        start = job.about
        if isinstance(found, Died):
            found = [failed(point, found.reason) for (part,) in [packed.part_at(start)] for point in part]
        for n, each in enumerate(found):
            if isinstance(each, Outline):  # thousands of points share a few claims: one object for equal ones
                each = replace(each, claim=claims.setdefault(each.claim, each.claim))
            every[start + n] = each
    for i, each in enumerate(every):
        assert each is not None, "every job was answered"
        yield i, each


def _answered(groups: list[Group], packed: Packed, index: Index, pool: Pool) -> Iterator[tuple[Group, list[Row]]]:
    """The rows of each group as they are finished; of a row that is there already, its key alone."""
    proofs: dict[str, list[Proof]] = {}
    waiting: dict[str, list[Group]] = {}

    def start(group: Group, proof: Proof | None = None) -> None:
        done = index.keys.get(group.task, set())
        pool.queue.append(Job(run_points, lambda: ([packed[i] for i in group.places], done, proof), (group, proof)))

    def prove_next(sums: str) -> None:
        """Start what is shown; of what is not, the narrowest, whose run may show it for the others."""
        left = []
        for group in waiting[sums]:
            assert group.claim is not None
            shown = next((p for p in proofs.get(sums, []) if group.claim.follows_from(p.claim)), None)
            if shown is None:
                left.append(group)
            else:
                start(group, shown)
        waiting[sums] = left[1:]
        if left:
            start(left[0])

    for proof in index.proofs:
        proofs.setdefault(proof.claim.sums, []).append(proof)
    for group in groups:
        if group.claim is None:
            start(group)
        else:
            waiting.setdefault(group.claim.sums, []).append(group)
    for sums, held in waiting.items():
        held.sort(key=lambda group: sum(bits for _, bits in group.claim.widths) if group.claim else 0)
        prove_next(sums)
    for job, rows in pool.answers():
        group, proof = job.about
        if isinstance(rows, Died):
            rows = [failed(packed[i], rows.reason) for i in group.places]
        claim = group.claim
        if claim is not None and proof is None:
            found = next((p for row in rows if (p := proof_of(row)) is not None), None)
            if found is not None:
                proofs.setdefault(claim.sums, []).append(found)
            else:  # nobody of the same widths will show it either
                same = [g for g in waiting[claim.sums] if g.claim == claim]
                waiting[claim.sums] = [g for g in waiting[claim.sums] if g.claim != claim]
                for each in same:
                    each.claim = None
                    start(each)
            prove_next(claim.sums)
        yield group, rows


class Packed:
    """Points as plain data that any process can be sent, in little memory: a few hundred of them differ in few values.

    Raises StudyError for what is no Point.
    """

    def __init__(self, points: Iterable[Point]) -> None:
        self._parts: list[bytes] = []
        self._length = 0
        source = iter(points)
        while part := list(islice(source, AT_ONCE)):
            for i, point in enumerate(part, self._length):
                if not isinstance(point, Point):
                    raise StudyError(f"points[{i}] is {point!r}, expected a hwsim.Point")
            self._parts.append(zlib.compress(pickle.dumps([portable(point) for point in part]), 1))
            self._length += len(part)
        self._part = lru_cache(8)(lambda number: pickle.loads(zlib.decompress(self._parts[number])))

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, i: int) -> Point:
        point: Point = self._part(i // AT_ONCE)[i % AT_ONCE]
        return point

    def part_at(self, start: int) -> tuple[list[Point]]:
        """The AT_ONCE points from a multiple of it on, as a job's arguments."""
        return (self._part(start // AT_ONCE),)


def portable(point: Point) -> Point:
    """The same point for a process that works in another folder: the trace by its whole path, a design's file as its data."""
    found: dict[str, Any] = {}
    if isinstance(point.trace, str | Path):
        found["trace"] = whole_path(point.trace)
    if isinstance(point.arch, str):
        try:
            found["arch"] = _data_of(*version_of(find_config(point.arch)))
        except (ArchitectureError, OSError):
            pass  # the point's own mistake, told in its row
    if isinstance(point.overrides, str | Path):
        found["overrides"] = os.path.abspath(point.overrides)
    return replace(point, **found)


@lru_cache(64)
def _data_of(path: str, *version: int) -> Mapping[str, Any]:
    """One object for all points of a design, which packs well."""
    return dump_architecture(base_of(path))
