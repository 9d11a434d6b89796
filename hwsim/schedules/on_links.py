"""The Program of a mapped network on a chip with a network of links: each step of C9's list with what belongs to it.

A weight load comes before its run, spilled states are fetched before it and sent off after it, and the potentials of a read-out
leave after its last run. What travels between cores, and over the channel as planes, has bits by sample (C8).
"""

from __future__ import annotations

from dataclasses import replace

from hwsim.links import Cargo
from hwsim.mapping import Mapping, Tile
from hwsim.passes import BANKS
from hwsim.program import BY_SAMPLE, CHANNEL, Operation, Program, Run, Transfer, Wait
from hwsim.schedules.base import Schedule
from hwsim.schedules.builder import ProgramBuilder, planes_bits
from hwsim.schedules.listing import Step, steps_of
from hwsim.schedules.pipelines import INPUT, buffer_planes_of, pipeline_of

Streamed = tuple[Program, tuple[int, ...]]
"""A list of several samples, and the sample of each operation."""


def build_on_links(mapping: Mapping, schedule: Schedule) -> Program:
    """The Program of one sample. Raises ListError where operations would wait for each other, or barriers have no ticks."""
    return stream_on_links(mapping, schedule, 1)[0]


def stream_on_links(mapping: Mapping, schedule: Schedule, samples: int) -> Streamed:
    """Samples in a row: timesteps go on over them, and states are cleared at each sample's first. Raises ListError.

    Each operation is that of its own sample, timesteps included, so a list of several samples is no Program that an engine could
    run on one: hwsim/stream.py gives it the cycles and bits of each sample's own run.
    """
    links = mapping.arch.network
    assert links is not None
    assert schedule.discipline is not None
    steps = steps_of(pipeline_of(mapping, schedule, samples), schedule.discipline, buffer_planes_of(mapping, schedule),
                     links.barrier_cycles is not None)
    build = _ListBuilder(mapping, schedule)
    build.setup()
    build.write(steps)
    return build.program(), tuple(build.samples)


class _ListBuilder(ProgramBuilder):
    """Writes steps as operations."""

    def __init__(self, mapping: Mapping, schedule: Schedule) -> None:
        self.samples: list[int] = []
        super().__init__(mapping, schedule.name)
        links = mapping.arch.network
        assert links is not None
        self.links, self.items = links, schedule.items(mapping.network)
        self.scratch: dict[str, tuple[int, ...]] = {}  # by core: who used its spill area last
        self.events: dict[tuple[int, int, int], int] = {}  # by layer, tile and item: the run of events, where passes are apart

    def _add(self, operation: Operation) -> int:
        self.samples.append(self.sample)
        return super()._add(operation)

    def write(self, steps: tuple[Step, ...]) -> None:
        place: list[int] = []
        for step in steps:
            deps = tuple(place[d] for d in step.deps)
            if step.kind == "barrier":
                place.append(self._add(Wait(id=len(self.operations), deps=deps, cycles=self.links.barrier_cycles or 0)))
                continue
            self.sample, t = divmod(step.item, self.items)
            if step.kind == "send":
                place.append(self._send(step, t, deps))
            elif self._design(self._tile(step).core).core.pipes == "two":
                place.append(self._half(step, t, deps))
            else:
                place.append(self._run(step, t, deps))

    # -- runs -----------------------------------------------------------------------------------------------------

    def _tile(self, step: Step) -> Tile:
        return self.mapping.plans[step.stage].tiles[step.tile]

    def _half(self, step: Step, t: int, deps: tuple[int, ...]) -> int:
        """The events of a run or its passes, on a core that has a pipe for each (R27); without passes, its events once more.

        The one that first uses potentials clears them, and banks of the current take turns.
        """
        index, number = step.stage, step.tile
        plan, tile, events = self.mapping.plans[index], self._tile(step), step.kind == "events"
        table = plan.tables[tile.core].at(t)
        banks = table.current_banks
        if not events and not table.passes:
            return self.events[index, number, step.item]
        feeds = tuple(self.feed(plan, n, self.plane(plan, n, t) if events else ()) for n in range(len(plan.layer.connections)))
        last = t + 1 == plan.planes
        loads = self.load_weights(index, number, tile, (t, t + 1)) if events else ()
        body = replace(self.body(
            index, number, replace(table, passes=()) if events else table, feeds, (t, t + 1),
            clear=t == 0 and events == (banks < BANKS), keep=events or not last), bank=step.bank)
        run = self._enter(tile.core, index, number, (*deps, *loads), loads, lambda known: Run(
            **known, on=tile.core, timesteps=(t, t + 1), body=body, feeds=feeds, eots=1,
            pools=events and self._turn(plan, number) == 0, pipe="events" if events else "passes"))
        if events:
            self.events[index, number, step.item] = run
        if last and not plan.layer.sends and not events:
            self.store_potentials(index, number, run, (0, plan.layer.timesteps))
        return run

    def _run(self, step: Step, t: int, deps: tuple[int, ...]) -> int:
        """A run with its loads before it and its stores behind it."""
        index, number = step.stage, step.tile
        plan = self.mapping.plans[index]
        tile, whole = plan.tiles[number], self.items == 1
        span = (0, max(plan.layer.timesteps, plan.planes)) if whole else (t, t + 1)
        table = plan.tables[tile.core] if whole else plan.tables[tile.core].at(t)
        feeds = tuple(self.feed(plan, n, self.every_plane(plan, tile, n) if whole else self.plane(plan, n, t))
                      for n in range(len(plan.layer.connections)))
        last = whole or t + 1 == plan.planes
        loads = self.load_weights(index, number, tile, (t, t + 1))
        fetched = self._fetch(index, number, t)
        body = self.body(index, number, table, feeds, span, clear=t == 0, keep=not last)
        run = self._enter(tile.core, index, number, (*deps, *loads, *fetched), loads, lambda known: Run(
            **known, on=tile.core, timesteps=span, body=body, feeds=feeds, eots=1 if body.merged else table.planes,
            pools=self._turn(plan, number) == 0))
        self._spill(index, number, t, run, last)
        if last and not plan.layer.sends:
            self.store_potentials(index, number, run, (0, plan.layer.timesteps))
        return run

    def _fetch(self, index: int, number: int, t: int) -> tuple[int, ...]:
        """What a run waits for before it uses the spill area: who used it last, and from timestep 1 on its own state."""
        plan = self.mapping.plans[index]
        tile = plan.tiles[number]
        spills, scratch = plan.spills_of(tile), self.scratch.get(tile.core, ())
        if not spills or self.items == 1:
            return ()
        return scratch if t == 0 else tuple(self.move_states("load", memory, index, number, t, scratch) for memory in spills)

    def _spill(self, index: int, number: int, t: int, run: int, last: bool) -> None:
        """Send a spilled tile's state off; the current of a direct input alone never changes after the first timestep."""
        plan = self.mapping.plans[index]
        tile = plan.tiles[number]
        if not plan.spills_of(tile) or self.items == 1:
            return
        lives = self.mapping.network.current_lives(plan.layer)
        changed = [] if last else [memory for memory in plan.spills_of(tile) if memory == "membrane" or t == 0 or lives]
        self.scratch[tile.core] = tuple(
            self.move_states("store", memory, index, number, t, (run,)) for memory in changed) or (run,)

    # -- transfers --------------------------------------------------------------------------------------------------

    def _send(self, step: Step, t: int, deps: tuple[int, ...]) -> int:
        """What a tile, or the input, sends: to all cores with a reader at once, or off the chip."""
        network, plane = self.mapping.network, (t, t + 1)
        if step.stage == INPUT:
            (channels, height, width), span = network.input.shape, (0, network.input.timesteps) if self.items == 1 else plane
            source, region = CHANNEL, ((0, channels), (0, height))
            dense = channels * height * width * sum(network.input.plane_bits(at) for at in range(*span))
        else:
            plan = self.mapping.plans[step.stage]
            tile, span = plan.tiles[step.tile], (0, plan.layer.timesteps) if self.items == 1 else plane
            source, region = tile.core, (tile.channels, tile.rows)
            dense = planes_bits(plan, (tile,), span)
        ends = [end for end in (source, *step.targets) if end != CHANNEL]
        values = any(network.plane_bits(step.stage, at) for at in range(*span))
        merged = not values and span[1] - span[0] > 1 and all(self._design(core).merges_planes for core in ends)
        return self._add(Transfer(
            id=len(self.operations), deps=deps, layer=step.stage, tile=step.tile, timesteps=span, source=source,
            targets=step.targets, memory="spike", rows=-(-dense // self._row_bits(ends[0], "spike")), bits=BY_SAMPLE,
            cargo=Cargo(*region, self.links.encoding, merged)))


