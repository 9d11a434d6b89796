"""Random pipelines: a few layers, cut by rows and channels, on few cores, with skips; what runs take and tiles send."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hwsim.links import CHANNEL, MeshSpec
from hwsim.program import ChannelSpec, CoreOperation, Operation, OperationList, Transfer, Wait, event_pipe
from hwsim.record import ListTimes
from hwsim.schedules.listing import WORK, Discipline, Step, steps_of
from hwsim.schedules.stages import INPUT, Pipeline, Stage, StageTile, Wire
from tests.engine.network_programs import random_mesh
from tests.engine.test_list_laws import answer

Rng = np.random.Generator


@dataclass(frozen=True, eq=False, kw_only=True)
class Piped(CoreOperation):
    """What a core does, or the pipe of its events alone."""

    events: bool

    @property
    def resource(self) -> str:
        return event_pipe(self.on) if self.events else self.on


@dataclass(frozen=True)
class Drawing:
    """A pipeline on a chip. cycles, bits   by (stage, timestep, tile); events take half of their tile's cycles."""

    pipeline: Pipeline
    cores: tuple[str, ...]
    channel: ChannelSpec
    mesh: MeshSpec | None
    cycles: dict[tuple[int, int, int], int]
    bits: dict[tuple[int, int, int], int]

    def times(self, discipline: Discipline, buffer_planes: int, barrier_cycles: int | None = None) -> tuple[
            tuple[Step, ...], ListTimes]:
        """The list, and what both engines say of it. Raises ListError."""
        steps = steps_of(self.pipeline, discipline, buffer_planes, barrier_cycles is not None)
        operations = tuple(self._operation(place, step, barrier_cycles or 0) for place, step in enumerate(steps))
        listed = OperationList(self.cores, self.channel, self.mesh, operations)
        return steps, answer(listed, [self._cycles(step) for step in steps])

    def _cycles(self, step: Step) -> int:
        if step.kind not in WORK:
            return 0
        whole = self.cycles[step.stage, step.item, step.tile]
        apart = self.pipeline.stages[step.stage].tiles[step.tile].banks > 0
        return whole if not apart else whole // 2 if step.kind == "events" else whole - whole // 2

    def latency(self, discipline: Discipline, buffer_planes: int, barrier_cycles: int | None = None) -> int:
        return int(self.times(discipline, buffer_planes, barrier_cycles)[1].end.max())

    def _operation(self, place: int, step: Step, barrier_cycles: int) -> Operation:
        if step.kind == "barrier":
            return Wait(id=place, deps=step.deps, cycles=barrier_cycles)
        core = CHANNEL if step.stage == INPUT else self.pipeline.stages[step.stage].tiles[step.tile].core
        if step.kind in WORK:
            return Piped(id=place, deps=step.deps, layer=step.stage, on=core, events=step.kind == "events")
        return Transfer(id=place, deps=step.deps, layer=step.stage, source=core, targets=step.targets, memory="spike",
                        bits=self.bits[step.stage, step.item, step.tile])

    def with_free_links(self) -> Drawing:
        """Links that cost nothing, so that nobody waits for one."""
        assert self.mesh is not None
        return replace(self, mesh=replace(self.mesh, flit_bits=None, hop_cycles=0))


def random_drawing(rng: Rng, pipes: bool = False) -> Drawing:
    """`pipes`: some cores have a pipe for events (R27)."""
    cores = tuple(f"core{n}" for n in range(int(rng.integers(1, 5))))
    travels = bool(rng.random() < 0.8)
    heights = [int(rng.integers(1, 7))]
    wires: list[Wire] = []
    for number in range(int(rng.integers(1, 5))):
        wires.append(_wire(rng, number - 1, number, heights[-1]))
        heights.append(_height(wires[-1], heights[-1]))
        if number > 1 and rng.random() < 0.4:
            wires.append(Wire(int(rng.integers(0, number - 1)), number))
    source = Stage(heights[0], _tiles(rng, cores, heights[0])) if travels and rng.random() < 0.6 else None
    if source is None:
        wires = [wire for wire in wires if wire.source != INPUT]
    stages = tuple(Stage(height, _tiles(rng, cores, height)) for height in heights[1:])
    if pipes:
        apart = {core: int(rng.integers(0, 3)) for core in cores}
        stages = tuple(replace(stage, tiles=tuple(replace(tile, banks=min(2, apart[tile.core] * int(rng.integers(1, 3))))
                                                  for tile in stage.tiles)) for stage in stages)
    pipeline = Pipeline(stages, tuple(wires), int(rng.integers(1, 6)), source, travels, bool(rng.random() < 0.5))
    places = [(stage, item, tile) for stage, tile in pipeline.readers for item in range(pipeline.items)]
    return Drawing(
        pipeline, cores, ChannelSpec(int(rng.integers(1, 33)), int(rng.integers(0, 10))),
        random_mesh(rng, cores) if travels else None, {place: int(rng.integers(0, 40)) for place in places},
        {place: int(rng.integers(0, 120)) for place in places})


def _wire(rng: Rng, source: int, target: int, height: int) -> Wire:
    if rng.random() < 0.3:
        return Wire(source, target)
    kernel = int(rng.integers(1, min(3, height) + 1))
    return Wire(source, target, kernel, int(rng.integers(1, 3)), int(rng.integers(0, kernel)))


def _height(wire: Wire, height: int) -> int:
    if wire.kernel is None:
        return 1 + height // 2
    return max(1, (height + 2 * wire.padding - wire.kernel) // wire.stride + 1)


def _tiles(rng: Rng, cores: tuple[str, ...], height: int) -> tuple[StageTile, ...]:
    """All rows once, cut in a few places; now and then every cut twice, as two halves of the channels."""
    cuts = sorted({0, height, *(int(n) for n in rng.integers(0, height + 1, 2))}) if rng.random() < 0.5 else [0, height]
    halves = 2 if rng.random() < 0.3 else 1
    return tuple(StageTile(str(rng.choice(cores)), (a, b)) for a, b in zip(cuts, cuts[1:], strict=False) for _ in range(halves))
