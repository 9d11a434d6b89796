"""`hwsim.Study`: a sweep in Python, with the words of a study file (hwsim/sweep/definition.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.study import Point, study_rows
from hwsim.sweep.definition import read_study, space_of
from hwsim.sweep.rows import save, study_frame
from hwsim.sweep.space import Space

if TYPE_CHECKING:
    import pandas as pd


class Study:
    """Many points: traces on designs, with fields changed, under schedules and prices.

    trace, arch       one or a list: paths of traces; names or paths of designs.
    set               by field of the design, its values: a list, or a range {"from": ..., "to": ..., "step": ...}.
    points            a list of mappings from field to value, where a grid is not what is wanted.
    latin_hypercube   {"points": N, "seed": N}: as many points that spread over all axes, instead of the whole grid.
    prices            that hold at every point.
    own               other fields of the sweep: schedule, spikes, engine, samples, check, rate_hz, leak_unused; one or a list.

    >>> study = Study("t4.h5", "event_core_64", set={"core.lanes": [16, 32], "clock": {"from": "100 MHz", "to": "200 MHz",
    ...                                              "step": 50}}, samples=8)
    >>> len(study)
    6

    Relative paths start at the working folder. Raises SweepError for what is no sweep.
    """

    def __init__(
        self, trace: str | Path | Sequence[str | Path], arch: str | Path | Sequence[str | Path], *,
        set: Mapping[str, Any] | None = None, points: Sequence[Mapping[str, Any]] | None = None,
        latin_hypercube: Mapping[str, int] | None = None, prices: Mapping[str, Any] | None = None, **own: Any,
    ) -> None:
        given = {"set": set, "points": points and [dict(one) for one in points], "latin_hypercube": latin_hypercube,
                 "prices": prices}
        data = {"trace": _texts(trace), "arch": _texts(arch), **own, **{k: v for k, v in given.items() if v is not None}}
        self.space: Space = space_of(data, "Study", Path.cwd())

    @classmethod
    def read(cls, path: str | Path) -> Study:
        """The study of a file; relative paths start at its folder. Raises SweepError with file, place, found and expected."""
        found = cls.__new__(cls)
        found.space = read_study(path)
        return found

    def __len__(self) -> int:
        return len(self.space)

    def points(self) -> Iterator[Point]:
        """Every point, with what it sets as its labels. Raises SweepError for a field that no design of the study has."""
        return self.space.points()

    def run(
        self, folder: str | Path, *, workers: int | None = None, executor: Executor | None = None, dask: str | None = None,
        progress: Callable[[int, int], None] | None = None, skip_proven: bool = True,
    ) -> pd.DataFrame:
        """Run the points whose rows are not in `folder` yet, write `rows.csv` there, and return the table of all its rows.

        Arguments are those of `hwsim.run_study`, as are the errors. One point that fails has its reason in the column `error`.
        """
        for _ in study_rows(self.points(), folder, workers=workers, executor=executor, dask=dask, progress=progress,
                            skip_proven=skip_proven):
            pass
        save(folder)
        return study_frame(folder)


def _texts(given: str | Path | Sequence[str | Path]) -> str | list[str]:
    return str(given) if isinstance(given, str | Path) else [str(one) for one in given]
