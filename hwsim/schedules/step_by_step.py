"""Step by step: for each timestep, every layer once.

One plane of spikes waits at a time, but the potentials of all layers live through all timesteps: those that do not fit
on chip are spilled to the channel after each run and fetched before the next. Weights that do not fit are fetched again in
every timestep. Bit-serial coding is refused (mapping.py says why).
"""

from __future__ import annotations

from hwsim.mapping import LayerPlan, Mapping, Tile
from hwsim.program import CHANNEL, Feed, Program
from hwsim.schedules.builder import ProgramBuilder
from hwsim.snn.network import INPUT


def step_by_step(mapping: Mapping) -> Program:
    """The Program of one sample."""
    build = ProgramBuilder(mapping, "step_by_step")
    build.setup()
    steps = max(plan.table.planes for plan in mapping.plans)
    work = [(t, i, n) for t in range(steps) for i, plan in enumerate(mapping.plans) for n in range(len(plan.tiles))
            if t < plan.table.planes]
    books = _Spills(build, steps)
    pending = None
    for t, index, number in work:
        if index == 0 and number == 0:
            books.load_input(t)
        tile = mapping.plans[index].tiles[number]
        # The next weights are asked for before this run's potentials are sent off: loads go ahead of stores.
        loads = build.load_weights(index, number, tile, (t, t + 1))
        if pending is not None:
            books.store(*pending)
        pending = books.run(t, index, number, tile, loads)
    if pending is not None:
        books.store(*pending)
    build.store_outputs()
    return build.program()


class _Spills:
    """Runs one timestep of a tile, with the potentials of spilled layers fetched before and sent off after."""

    def __init__(self, build: ProgramBuilder, steps: int) -> None:
        self.build, self.steps = build, steps
        self.scratch: tuple[int, ...] = ()  # who used the spill area last
        self.last_readers: list[int] = []  # runs that read the input's buffer in the previous timestep

    def load_input(self, t: int) -> None:
        direct = self.build.mapping.network.input.encoding == "direct"
        if t == 0 or not direct:
            self.build.load_input((t, t + 1), tuple(self.last_readers))
        self.last_readers = []

    def run(self, t: int, index: int, number: int, tile: Tile, loads: tuple[int, ...]) -> tuple[int, int, int, int]:
        build, plan = self.build, self.build.mapping.plans[index]
        deps: tuple[int, ...] = self.scratch if plan.spills else ()
        if t > 0 and plan.spills:
            deps = tuple(self._move("load", memory, index, number, t, self.scratch) for memory in plan.spills)
        feeds = tuple(self._feed(plan, n, t) for n in range(len(plan.layer.connections)))
        run = build.run(index, number, tile, plan.table.at(t), feeds, deps, (t, t + 1), clear=t == 0, loads=loads,
                        keep=t + 1 < plan.table.planes)
        if any(c.source == INPUT for c in plan.layer.connections):
            self.last_readers.append(run)
        if plan.spills:
            self.scratch = (run,)
        return run, t, index, number

    def store(self, run: int, t: int, index: int, number: int) -> None:
        """Send a spilled tile's state off, unless it was the last timestep; a current never changes after the first."""
        plan = self.build.mapping.plans[index]
        if t + 1 < plan.table.planes:
            changed = [memory for memory in plan.spills if memory == "membrane" or t == 0]
            stores = tuple(self._move("store", memory, index, number, t, (run,)) for memory in changed)
            self.scratch = stores or self.scratch

    def _move(self, kind: str, memory: str, index: int, number: int, t: int, deps: tuple[int, ...]) -> int:
        """One transfer of a tile's potentials or currents: whole rows on chip, real neurons on the channel."""
        plan, row_bits = self.build.mapping.plans[index], self.build.mapping.arch.row_bits
        tile = plan.tiles[number]
        neurons = (tile.channels[1] - tile.channels[0]) * plan.layer.shape[1] * plan.layer.shape[2]
        bits = neurons * row_bits[memory] // self.build.mapping.arch.core.lanes
        return self.build.add(kind, CHANNEL, deps, index, tile=number, memory=memory, rows=tile.words, bits=bits,
                              timesteps=(t, t + 1))

    def _feed(self, plan: LayerPlan, number: int, t: int) -> Feed:
        connection = plan.layer.connections[number]
        network = self.build.mapping.network
        direct = connection.source == INPUT and network.input.encoding == "direct"
        planes = (0,) if direct and t == 0 else () if direct else (t,)
        return Feed(number, planes, self.build.tiles_of(connection))
