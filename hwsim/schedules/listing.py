"""The list of a pipeline (C9): its runs, transfers and barriers with what each waits for, in the order of a discipline.

A discipline says by what order the list is taken, and which runs also wait for all runs of the stage before. The order matters:
the channel works in list order, and the position breaks ties between transfers (C7). Pure functions: nothing here makes a cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from typing import Literal

from hwsim.passes import BANKS
from hwsim.program import CHANNEL, ProgramError
from hwsim.schedules.stages import INPUT, Pipeline

Key = tuple[int, ...]
WORDS = {"events": "events", "run": "run", "send": "transfer"}
"""Kinds of steps in errors."""
PLACES = {"events": 0, "run": 1, "send": 2}
"""Kinds of steps in the order in which they stand, of one tile and item."""
WORK = ("events", "run")
POTENTIALS = "potentials"
State = str | int
"""What one pipe of a core alone can work on at a time: its potentials, or a bank of its current memory by number (R27)."""
LAST = 1 << 62
"""Behind everything of its tick."""


class ListError(ProgramError):
    """A list that cannot be made: its operations wait for each other in a circle, or its rules do not go together."""


@dataclass(frozen=True)
class Step:
    """One operation of the list.

    kind      run, send (a transfer) or barrier; where a core has two pipes (R27) events, and run for the passes.
              stage    INPUT for the input, and for a barrier.
    item      the timestep; of a barrier its tick.           tile     of the stage.
    deps      positions in the list of what it waits for, in order.
    targets   of a send: the cores with a reader, or the channel alone.
    bank      of the current memory, that events and passes work on where it has two: ticks use them in turn (R27).
    """

    kind: Literal["events", "run", "send", "barrier"]
    stage: int
    item: int
    tile: int = 0
    deps: tuple[int, ...] = ()
    targets: tuple[str, ...] = ()
    bank: int = 0

    def told(self, layer: str) -> str:
        """The step in words; `layer` is what its stage is called."""
        if self.kind == "barrier":
            return f"the barrier after tick {self.item}"
        what = "the input" if self.stage == INPUT else f"layer {layer}"
        return f"the {WORDS[self.kind]} of tile {self.tile} of {what} in timestep {self.item}"


@dataclass(frozen=True)
class Discipline:
    """In which order a pipeline works.

    rank      (pipeline, stage, item) -> what the list is taken by first; then come timestep, layer, run before transfer, tile.
    group     (stage, item) -> the stage that a run belongs to: it also waits for all runs of the stage before. None: it waits for
              what it reads and for buffers only.
    ticks     whether `rank` is a tick, so that there can be a barrier behind each.
    late      how many of them passes in a pipe of their own come behind their events, and what they make with them.
    """

    name: str
    rank: Callable[[Pipeline, int, int], int]
    group: Callable[[int, int], Key] | None
    ticks: bool
    late: int = 0


def _timestep(pipeline: Pipeline, stage: int, item: int) -> int:
    return item


def _tick(pipeline: Pipeline, stage: int, item: int) -> int:
    return item + pipeline.depth(stage)


def _layer(pipeline: Pipeline, stage: int, item: int) -> int:
    """The layer; of the input, the first layer that reads it, whose runs it comes before."""
    if stage != INPUT:
        return stage
    return min((wire.target for wire in pipeline.wires if wire.source == INPUT), default=0)


STEP_BY_STEP = Discipline("step_by_step", _timestep, lambda stage, item: (item, stage), ticks=True)
LAYER_BY_LAYER = Discipline("layer_by_layer", _layer, lambda stage, item: (stage,), ticks=False)
WHOLE_SAMPLES = Discipline("layer_by_layer", _timestep, lambda stage, item: (item, stage), ticks=False)
"""Layer by layer where an item is a whole sample: one sample after the other."""
PIPELINED = Discipline("pipelined", _tick, None, ticks=True, late=1)
IN_TIMESTEP_ORDER = Discipline("pipelined in timestep order", _timestep, None, ticks=False)
"""What `pipelined` would be without ticks: a list for comparisons, which keeps the channel from working ahead."""
DISCIPLINES = {
    ("step_by_step", "timestep"): STEP_BY_STEP, ("layer_by_layer", "timestep"): LAYER_BY_LAYER,
    ("pipelined", "tick"): PIPELINED, ("pipelined", "timestep"): IN_TIMESTEP_ORDER}
"""By the words of test vectors: a schedule and an order."""


def discipline_named(schedule: str, order: str) -> Discipline:
    """The discipline of a schedule whose list is taken in an order. Raises ListError naming those that there are."""
    if (schedule, order) not in DISCIPLINES:
        raise ListError(f"found {schedule!r} in {order!r} order, expected one of "
                        + ", ".join(" in ".join(pair) for pair in DISCIPLINES))
    return DISCIPLINES[schedule, order]


def steps_of(pipeline: Pipeline, discipline: Discipline, buffer_planes: int, barrier: bool = False) -> tuple[Step, ...]:
    """The list, each step with the positions of what it waits for.

    buffer_planes   items that an input buffer holds for each connection: a run waits for its own transfer of the item that many
                    before, and a transfer for its readers' runs of it.
    barrier         a step behind each tick but the last, which waits for the tick, and for which the next tick's runs wait.

    Raises ListError where steps wait for each other in a circle, naming it, and where there are no ticks for a barrier.
    """
    if buffer_planes < 1:
        raise ListError(f"buffer_planes is {buffer_planes}; an input buffer holds at least 1 item of a connection")
    if barrier and not discipline.ticks:
        raise ListError(f"{discipline.name} has no ticks for a barrier to stand between; use step_by_step or pipelined")
    return _Draft(pipeline, discipline, buffer_planes, barrier).ordered()


class _Draft:
    """Steps before they are ordered: each with its key, and what it waits for by names."""

    def __init__(self, pipeline: Pipeline, discipline: Discipline, buffer_planes: int, barrier: bool) -> None:
        self.pipeline, self.discipline, self.buffer_planes = pipeline, discipline, buffer_planes
        self.steps: dict[Key, Step] = {}
        self.waits: dict[Key, set[Key]] = {}
        self.producers: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for made, readers in pipeline.readers.items():
            for reader in readers:
                self.producers.setdefault(reader, []).append(made)
        for item in range(pipeline.items):
            for stage, tile in pipeline.readers:
                if pipeline.works(stage, item):
                    self._add_tile(stage, tile, item)
        if discipline.group is not None:
            self._wait_for_stages(discipline.group)
        if barrier:
            self._add_barriers()

    def _key(self, kind: str, stage: int, item: int, tile: int) -> Key:
        late = self.discipline.late if self._banks(stage, tile) and kind != "events" else 0
        return (self.discipline.rank(self.pipeline, stage, item) + late, item, stage, PLACES[kind], tile)

    def _banks(self, stage: int, tile: int) -> int:
        return 0 if stage == INPUT else self.pipeline.stages[stage].tiles[tile].banks

    def _reads(self, stage: int, tile: int) -> str:
        """The kind of step that reads what comes to a tile."""
        return "events" if self._banks(stage, tile) else "run"

    def _add(self, step: Step, waits: Iterator[tuple[str, int, int, int]]) -> None:
        key = self._key(step.kind, step.stage, step.item, step.tile)
        self.steps[key] = step
        self.waits[key] = {self._key(*one) for one in waits}

    def _add_tile(self, stage: int, tile: int, item: int) -> None:
        """The run of a tile and the transfer of what it makes, for one item."""
        targets = self._targets(stage, tile)
        if stage != INPUT and self._banks(stage, tile):
            bank = (item + self.pipeline.depth(stage)) % BANKS if self._banks(stage, tile) == BANKS else 0
            self._add(Step("events", stage, item, tile, bank=bank), self._event_waits(stage, tile, item))
            self._add(Step("run", stage, item, tile, bank=bank), self._pass_waits(stage, tile, item, bool(targets)))
        elif stage != INPUT:
            self._add(Step("run", stage, item, tile), self._run_waits(stage, tile, item, bool(targets)))
        if targets:
            self._add(Step("send", stage, item, tile, targets=targets), self._send_waits(stage, tile, item))

    def _targets(self, stage: int, tile: int) -> tuple[str, ...]:
        """Where what a tile makes goes to: once to each core with a reader; off the chip where no stage reads the layer."""
        pipeline = self.pipeline
        if not pipeline.travels:
            return ()
        if readers := pipeline.readers[stage, tile]:
            return tuple(sorted({pipeline.stages[number].tiles[place].core for number, place in readers}))
        feeds = any(wire.source == stage for wire in pipeline.wires)
        leaves = pipeline.leaves and stage != INPUT and pipeline.stages[stage].sends
        return (CHANNEL,) if leaves and not feeds else ()

    def _run_waits(self, stage: int, tile: int, item: int, sends: bool) -> Iterator[tuple[str, int, int, int]]:
        """What it reads; and its own transfer out of the output buffer's place that it fills."""
        yield from self._sources(stage, tile, item)
        yield from self._output_place(stage, tile, item, sends)

    def _output_place(self, stage: int, tile: int, item: int, sends: bool) -> Iterator[tuple[str, int, int, int]]:
        """The transfer out of the output buffer's place that an item fills."""
        if sends and item >= self.buffer_planes:
            yield "send", stage, item - self.buffer_planes, tile

    def _sources(self, stage: int, tile: int, item: int) -> Iterator[tuple[str, int, int, int]]:
        """What makes or brings what a tile reads."""
        for number, place in self.producers.get((stage, tile), []):
            if self.pipeline.works(number, item):
                yield "send" if self.pipeline.travels else "run", number, item, place

    def _event_waits(self, stage: int, tile: int, item: int) -> Iterator[tuple[str, int, int, int]]:
        """What they read; and the passes that took the sums from the place where they build up theirs."""
        yield from self._sources(stage, tile, item)
        before = item - self._banks(stage, tile)
        if before >= 0:
            yield "run", stage, before, tile

    def _pass_waits(self, stage: int, tile: int, item: int, sends: bool) -> Iterator[tuple[str, int, int, int]]:
        """Their events; and the transfer out of the output buffer's place that they fill."""
        yield "events", stage, item, tile
        yield from self._output_place(stage, tile, item, sends)

    def _send_waits(self, stage: int, tile: int, item: int) -> Iterator[tuple[str, int, int, int]]:
        """Its run; and the last readers of the input buffers' place that it fills."""
        if stage != INPUT:
            yield "run", stage, item, tile
        before = item - self.pipeline.before(stage, self.buffer_planes)
        if before >= 0:
            for number, place in self.pipeline.readers[stage, tile]:
                yield self._reads(number, place), number, before, place

    def _wait_for_stages(self, group: Callable[[int, int], Key]) -> None:
        """A run waits for all runs of the stage before its own."""
        members: dict[Key, list[Key]] = {}
        for key, step in self.steps.items():
            if step.kind in WORK:
                members.setdefault(group(step.stage, step.item), []).append(key)
        ordered = sorted(members)
        for before, after in zip(ordered, ordered[1:], strict=False):
            for key in members[after]:
                self.waits[key] |= set(members[before])

    def _add_barriers(self) -> None:
        """Behind every tick but the last a step that waits for all of it but the input; the next tick's runs wait for that."""
        ticks: dict[int, list[Key]] = {}
        for key, step in self.steps.items():
            if step.stage != INPUT:
                ticks.setdefault(key[0], []).append(key)
        ordered = sorted(ticks)
        for tick, following in zip(ordered, ordered[1:], strict=False):
            barrier = (tick, LAST)
            self.steps[barrier] = Step("barrier", INPUT, tick)
            self.waits[barrier] = set(ticks[tick])
            for key in ticks[following]:
                if self.steps[key].kind in WORK:
                    self.waits[key].add(barrier)

    def ordered(self) -> tuple[Step, ...]:
        """At each point the step with the smallest key of those whose dependencies are listed."""
        missing = {key: len(waits) for key, waits in self.waits.items()}
        waiters: dict[Key, list[Key]] = {}
        for key, waits in self.waits.items():
            for other in waits:
                waiters.setdefault(other, []).append(key)
        ready = [key for key, count in missing.items() if not count]
        heapify(ready)
        place: dict[Key, int] = {}
        while ready:
            key = heappop(ready)
            place[key] = len(place)
            for waiter in waiters.get(key, []):
                missing[waiter] -= 1
                if not missing[waiter]:
                    heappush(ready, waiter)
        if len(place) < len(self.steps):
            raise ListError(self._circle({key for key in self.steps if key not in place}))
        self._share_cores(place)
        return tuple(replace(self.steps[key], deps=tuple(sorted(place[other] for other in self.waits[key]))) for key in place)

    def _share_cores(self, ordered: Iterable[Key]) -> None:
        """Tiles of one core share its memories: a step waits for the last one of the other pipe that stands before it and works
        on the same bank, or on potentials too. The list's order decides who is first, so nothing can wait in a circle."""
        last: dict[tuple[str, State], dict[str, Key]] = {}
        for key in ordered:
            step = self.steps[key]
            if step.kind not in WORK or not self._banks(step.stage, step.tile):
                continue
            core = self.pipeline.stages[step.stage].tiles[step.tile].core
            for state in self._states(step):
                users = last.setdefault((core, state), {})
                self.waits[key] |= {user for kind, user in users.items() if kind != step.kind}
                users[step.kind] = key

    def _states(self, step: Step) -> tuple[State, ...]:
        """What a step works on; in turn, potentials stand for all states that its events and passes share."""
        if self._banks(step.stage, step.tile) < BANKS:
            return (POTENTIALS,)
        return (step.bank,) if step.kind == "events" else (step.bank, POTENTIALS)

    def _circle(self, left: set[Key]) -> str:
        """Steps that wait for each other, in words."""
        path = [min(left)]
        while path.count(path[-1]) < 2:  # whatever is left waits for something that is left
            path.append(min(self.waits[path[-1]] & left))
        circle = ", which waits for ".join(self._told(self.steps[key]) for key in path[path.index(path[-1]):])
        return (f"the design does not fit, its operations wait for each other: {circle}; more buffer_planes than "
                f"{self.buffer_planes} would break the circle")

    def _told(self, step: Step) -> str:
        return step.told("" if step.stage == INPUT else self.pipeline.stages[step.stage].name or str(step.stage))
