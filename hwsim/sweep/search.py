"""A search for reference designs: machines, the space of each, and the designs that are best on some traces.

A search file names machines on two sides, `snn` and `ann`. Each machine is a base design and axes of fields; every machine gets
the same number of designs. Some are drawn at random from the grid, seeded; the rest are neighbours, one step along one axis, of
the best design so far on each trace. A design is a candidate only if it holds: the networks of other traces (`holds`) run on
it, their weights kept on chip; this looks at shapes, never at spikes. Every design runs at the highest clock that it reaches, and
one of whose memories more than a row per cycle is asked for, in the mean, is none.

The best of a front is its knee: the least product of the columns `minimise` (hwsim/sweep/front.py). Rows are those of a study
(hwsim/study), so a search that was stopped goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.arch import Architecture
from hwsim.cost.area import area_mm2
from hwsim.cost.energy import check_prices
from hwsim.errors import HwsimError
from hwsim.simulation import keeps_weights
from hwsim.study import HIGHEST, Point, run_study
from hwsim.study.pools import Here
from hwsim.sweep.axis import Axis, SweepError
from hwsim.sweep.front import front, knee
from hwsim.sweep.rows import plain_row
from hwsim.trace.kept import kept_trace

if TYPE_CHECKING:
    from hwsim.study import Row

SIDES = ("snn", "ann")
MOST_DRAWS = 50
"""Draws for each design that is to be found; a space of which fewer hold is refused."""
AT_ONCE = 4
"""Neighbours that are simulated before it is asked again which design is the best."""
Places = tuple[int, ...]
"""A design of a machine: of each axis, the position of its value."""


@dataclass(frozen=True)
class Machine:
    """One kind of machine: a base design, fields that differ from it, and the axes of its space.

    ships   fields of the best design that are written as these, whatever the search found: a rule from elsewhere decides them.
    """

    name: str
    side: str
    arch: str
    fixed: Mapping[str, Any]
    axes: tuple[Axis, ...]
    ships: Mapping[str, Any] = field(default_factory=dict)

    def changes(self, places: Places) -> dict[str, Any]:
        """Fields of the design at these places."""
        varied = {axis.field: axis.values[at] for axis, at in zip(self.axes, places, strict=True)}
        return {**self.fixed, **varied, "clock": HIGHEST}

    def design(self, places: Places) -> Architecture:
        """The design by itself. Raises HwsimError where there is none, or where something of it has no price."""
        return self._made(self.changes(places))

    def shipped(self, places: Places) -> Architecture:
        """The design as it is written down, at the highest clock of that. Raises HwsimError as `design`."""
        return self._made({**self.changes(places), **self.ships})

    def _made(self, changes: Mapping[str, Any]) -> Architecture:
        found = Point(".", self.arch, changes=changes).design()
        check_prices(found)
        area_mm2(found)
        return found.model_copy(update={"name": self.name})

    def neighbours(self, places: Places) -> Iterator[Places]:
        """One step along one axis."""
        for axis, at in enumerate(places):
            for step in (-1, 1):
                if 0 <= at + step < len(self.axes[axis].values):
                    yield (*places[:axis], at + step, *places[axis + 1:])


@dataclass(frozen=True)
class Search:
    """What a search file says.

    choose, report, holds   paths of traces by side.      samples   of each trace that designs are chosen on.
    designs   of each machine in all, `drawn` of them at random.
    """

    machines: tuple[Machine, ...]
    choose: Mapping[str, tuple[str, ...]]
    report: Mapping[str, tuple[str, ...]]
    holds: Mapping[str, tuple[str, ...]]
    samples: int
    drawn: int
    designs: int
    seed: int
    minimise: tuple[str, ...]


@dataclass
class Found:
    """Designs of a machine that were simulated: places, and by trace the row of each."""

    machine: Machine
    rows: dict[Places, dict[str, Row]] = field(default_factory=dict)
    holding: dict[Places, bool] = field(default_factory=dict)
    """Of each design that was looked at, whether it holds."""

    def costs(self, trace: str, minimise: Sequence[str]) -> list[tuple[Places, tuple[float, ...]]]:
        """Of each design that ran and whose memories can keep up, the columns to make small."""
        found = []
        for places, rows in self.rows.items():
            flat = plain_row(rows[trace])
            numbers = [flat[name] for name in minimise]
            if all(isinstance(n, int | float) for n in numbers) and flat["rows_per_cycle"] <= 1:
                found.append((places, tuple(float(n) for n in numbers)))
        return found


@dataclass
class Outcome:
    """What a search found, machine by machine."""

    search: Search
    found: list[Found]

    def front(self, trace: str) -> list[tuple[Found, Places, tuple[float, ...]]]:
        """Designs of all machines that no other beats on a trace, by the first column."""
        every = [(f, places, costs) for f in self.found if trace in self.search.choose[f.machine.side]
                 for places, costs in f.costs(trace, self.search.minimise)]
        return [every[i] for i in front(np.array([costs for *_, costs in every]))] if every else []

    def best(self, trace: str) -> tuple[Found, Places] | None:
        """The knee of the front of a trace."""
        there = self.front(trace)
        if not there:
            return None
        chosen = there[knee(np.array([costs for *_, costs in there]))]
        return chosen[0], chosen[1]

    def winner(self, found: Found) -> Places | None:
        """Of one machine: the design of least product of its costs on all traces of its side that any of its designs runs; it
        runs all of those."""
        every = [dict(found.costs(trace, self.search.minimise)) for trace in self.search.choose[found.machine.side]]
        by_trace = [costs for costs in every if costs]
        if not by_trace:
            return None
        ran = [places for places in found.rows if all(places in costs for costs in by_trace)]
        if not ran:
            return None
        products = np.array([[n for costs in by_trace for n in costs[places]] for places in ran])
        return ran[knee(products)]

    @property
    def winners(self) -> list[tuple[str, Architecture]]:
        """The best design of each machine, as a design by itself."""
        chosen = [(f, self.winner(f)) for f in self.found]
        return [(f.machine.name, f.machine.shipped(places)) for f, places in chosen if places is not None]


class Searcher:
    """Runs a search in a folder."""

    def __init__(self, search: Search, folder: str | Path, progress: Callable[[int, int], None] | None = None,
                 workers: int | None = 1) -> None:
        self.search, self.folder, self.workers = search, Path(folder), workers
        self._progress, self._done = progress, 0

    @cached_property
    def _total(self) -> int:
        return sum(self.search.designs for _ in self.search.machines)

    def run(self) -> Outcome:
        """Draws, simulates, and refines every machine. Raises SweepError where too few designs hold."""
        return Outcome(self.search, [self._machine(machine, number) for number, machine in enumerate(self.search.machines)])

    def _machine(self, machine: Machine, number: int) -> Found:
        found, chance = Found(machine), np.random.default_rng((self.search.seed, number))
        self._simulate(found, self._drawn(found, chance))
        while len(found.rows) < self.search.designs:
            room = min(AT_ONCE, self.search.designs - len(found.rows))
            fresh = list(islice(self._around(found, chance), room))
            if not fresh:
                break
            self._simulate(found, fresh)
        self._done += self.search.designs - len(found.rows)
        return found

    def _drawn(self, found: Found, chance: np.random.Generator) -> list[Places]:
        machine = found.machine
        holding: dict[Places, None] = {}
        for _ in range(MOST_DRAWS * self.search.drawn):
            if len(holding) == self.search.drawn:
                break
            places = tuple(int(chance.integers(len(axis.values))) for axis in machine.axes)
            if places not in holding and self._holds(found, places):
                holding[places] = None
        if not holding:
            raise SweepError(f"{machine.name}: found no design that holds the networks of "
                             f"{', '.join(self.search.holds[machine.side])} in {MOST_DRAWS * self.search.drawn} draws, expected "
                             "some; widen its axes, of memories first")
        return list(holding)

    def _holds(self, found: Found, places: Places) -> bool:
        """Whether a design can be built and keeps the weights of all networks that it must hold."""
        if places not in found.holding:
            try:
                design = found.machine.design(places)
                networks = [kept_trace(trace).network for trace in self.search.holds[found.machine.side]]
                found.holding[places] = all(keeps_weights(network, design) for network in networks)
            except HwsimError:
                found.holding[places] = False
        return found.holding[places]

    def _around(self, found: Found, chance: np.random.Generator) -> Iterator[Places]:
        """Neighbours, not simulated yet, of the best design on each trace and on all of them together, in any order."""
        alone = Outcome(self.search, [found])
        best = [alone.winner(found)]
        for trace in self.search.choose[found.machine.side]:
            costs = found.costs(trace, self.search.minimise)
            best.append(costs[knee(np.array([numbers for _, numbers in costs]))][0] if costs else None)
        near = [n for places in dict.fromkeys(best) if places is not None for n in found.machine.neighbours(places)]
        fresh = [n for n in dict.fromkeys(near) if n not in found.rows]
        yield from (fresh[i] for i in chance.permutation(len(fresh)) if self._holds(found, fresh[i]))

    def _simulate(self, found: Found, every: Sequence[Places]) -> None:
        traces = self.search.choose[found.machine.side]
        points = [self._point(found.machine, places, trace) for places in every for trace in traces]
        rows = run_study(points, self.folder, workers=self.workers, executor=Here() if self.workers == 1 else None)
        for n, places in enumerate(every):
            found.rows[places] = dict(zip(traces, rows[n * len(traces):(n + 1) * len(traces)], strict=True))
        self._done += len(every)
        if self._progress:
            self._progress(self._done, self._total)

    def _point(self, machine: Machine, places: Places, trace: str) -> Point:
        values = {axis.field: axis.values[at] for axis, at in zip(machine.axes, places, strict=True)}
        design = replace(Point(trace, machine.arch, changes=machine.changes(places)), samples=self.search.samples)
        return replace(design, labels={"machine": machine.name, "trace": trace, **values})
