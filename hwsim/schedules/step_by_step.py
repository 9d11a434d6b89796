"""Step by step: for each timestep, every layer once.

One plane of spikes waits at a time, but the potentials of all layers live through all timesteps: those that do not fit
on chip are spilled to the channel after each run and fetched before the next. Weights that do not fit are fetched again in
every timestep. Bit-serial coding is refused.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial

from hwsim.mapping import Mapping
from hwsim.program import Program
from hwsim.schedules import listing
from hwsim.schedules.base import Schedule, runs_in_time, same_timesteps
from hwsim.schedules.builder import ProgramBuilder
from hwsim.snn.network import INPUT, Network


def build_step_by_step(mapping: Mapping) -> Program:
    """The Program of one sample."""
    build = ProgramBuilder(mapping, STEP_BY_STEP.name)
    build.setup()
    books = _Steps(build)
    for t in range(max(plan.planes for plan in mapping.plans)):
        books.load_input(t)
        for index, plan in enumerate(mapping.plans):
            if t < plan.planes:
                books.layer(t, index)
    return build.program()


class _Steps:
    """Runs one timestep of a layer, with the potentials of spilled layers fetched before and sent off after."""

    def __init__(self, build: ProgramBuilder) -> None:
        self.build = build
        self.scratch: dict[str, tuple[int, ...]] = {}  # by core: who used its spill area last
        self.input_readers: dict[str, list[int]] = defaultdict(list)  # by core: runs that read the input's latest plane
        self.outputs: dict[int, dict[str, int]] = {}  # by layer and core: the store of its latest plane

    def load_input(self, t: int) -> None:
        if t == 0 or not self.build.mapping.network.input.is_direct:
            self.build.load_input((t, t + 1), self.input_readers)
        self.input_readers = defaultdict(list)

    def layer(self, t: int, index: int) -> None:
        """All tiles of a layer, then its plane on its way to other cores, or off the chip if no layer reads it."""
        build, plan = self.build, self.build.mapping.plans[index]
        reached = build.reached()
        for number, tile in enumerate(plan.tiles):
            # Weights are asked for before the potentials of the run before are sent off: loads go ahead of stores.
            loads = build.load_weights(index, number, tile, (t, t + 1))
            build.flush()
            run = self._run(t, index, number, loads)
            if plan.spills_of(tile) and t + 1 < plan.planes:
                build.later(partial(self._spill, run, t, index, number))
            if not plan.layer.sends and t + 1 == plan.planes:
                build.later(partial(build.store_potentials, index, number, run, (0, plan.layer.timesteps)))
        if plan.layer.sends and t < plan.layer.timesteps:
            build.later(partial(self._send, t, index, reached))

    def _send(self, t: int, index: int, reached: dict[str, int]) -> None:
        if self.build.is_read(self.build.mapping.plans[index].layer):
            self.build.hand_over(index, (t, t + 1), reached)
        else:
            self.outputs[index] = self.build.store_outputs(index, (t, t + 1))

    def _run(self, t: int, index: int, number: int, loads: tuple[int, ...]) -> int:
        build, plan = self.build, self.build.mapping.plans[index]
        tile = plan.tiles[number]
        spills, scratch = plan.spills_of(tile), self.scratch.get(tile.core, ())
        deps: tuple[int, ...] = scratch if spills else ()
        if t > 0 and spills:
            deps = tuple(build.move_states("load", memory, index, number, t, scratch) for memory in spills)
        if index in self.outputs:  # its buffer holds one plane, which must have left
            deps += (self.outputs[index][tile.core],)
        feeds = tuple(build.feed(plan, n, build.plane(plan, n, t)) for n in range(len(plan.layer.connections)))
        table = plan.tables[tile.core].at(t)
        run = build.run(index, number, table, feeds, deps, (t, t + 1), clear=t == 0, loads=loads, keep=t + 1 < plan.planes)
        if any(c.source == INPUT for c in plan.layer.connections):
            self.input_readers[tile.core].append(run)
        if spills:
            self.scratch[tile.core] = (run,)
        return run

    def _spill(self, run: int, t: int, index: int, number: int) -> None:
        """Send a spilled tile's state off; the current of a direct input alone never changes after the first timestep."""
        plan = self.build.mapping.plans[index]
        tile = plan.tiles[number]
        lives = self.build.mapping.network.current_lives(plan.layer)
        changed = [memory for memory in plan.spills_of(tile) if memory == "membrane" or t == 0 or lives]
        stores = tuple(self.build.move_states("store", memory, index, number, t, (run,)) for memory in changed)
        self.scratch[tile.core] = stores or self.scratch[tile.core]


def _misfits(network: Network) -> list[str]:
    reasons = []
    if not runs_in_time(network):
        reasons.append("bit-serial layers fire only after all bit planes have been accumulated, so a layer cannot give "
                       "timestep t before it has seen every timestep; use layer_by_layer")
    return reasons + [f"{text}; step_by_step needs one T, use layer_by_layer" for text in same_timesteps(network)]


STEP_BY_STEP = Schedule(
    name="step_by_step", short="step", build=build_step_by_step, states_wait=True, planes_wait=lambda timesteps: 1,
    misfits=_misfits, discipline=listing.STEP_BY_STEP, apart=True)
