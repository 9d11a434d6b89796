"""Programs on a mesh, made of Programs that meet on the channel only: the same runs, and links between the cores.

`meshed` turns every store and its loads into one multicast between cores. `placed` puts the tiles of a Program of one core on
cores of their own, with the list that C9 makes. Bits are by sample wherever planes travel.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwsim.links import CHANNEL, LINK_ENCODINGS, Cargo, MeshSpec, Node
from hwsim.program import BY_SAMPLE, CoreRun, Operation, Program, Run, Transfer, Wait
from hwsim.schedules.listing import Discipline, Step, steps_of
from hwsim.schedules.stages import INPUT, Pipeline, Stage, StageTile, Wire
from hwsim.snn.network import INPUT as INPUT_NAME
from hwsim.snn.network import Network

Rng = np.random.Generator


def random_mesh(rng: Rng, cores: tuple[str, ...]) -> MeshSpec:
    """A mesh with room for the cores, small numbers, and now and then links that cost nothing."""
    width = int(rng.integers(1, len(cores) + 2))
    height = int(rng.integers(-(-len(cores) // width), len(cores) + 2))
    nodes = [(x, y) for x in range(width) for y in range(height)]
    chosen: list[Node] = [nodes[i] for i in rng.permutation(len(nodes))[: len(cores)]]
    channel: Node = nodes[int(rng.integers(len(nodes)))]
    return MeshSpec(
        (width, height), None if rng.random() < 0.2 else int(rng.integers(1, 40)), int(rng.integers(0, 4)),
        int(rng.integers(0, 12)), int(rng.integers(0, 9)), (*zip(cores, chosen, strict=True), (CHANNEL, channel)))


def cargo_of(network: Network, op: Operation, tile: CoreRun | None, rng: Rng) -> Cargo:
    """A tile, or the whole input, in a random encoding; merged now and then where the planes are spikes."""
    channels, height, _ = network.input.shape
    spikes = not any(network.plane_bits(op.layer, plane) for plane in range(*op.timesteps))
    return Cargo(tile.channels if tile else (0, channels), tile.row_span if tile else (0, height),
                 str(rng.choice(LINK_ENCODINGS)), bool(spikes and rng.random() < 0.4))


def meshed(program: Program, rng: Rng) -> Program:
    """The Program with a mesh: spike planes go from core to core, to the own core too now and then; the rest over the channel."""
    tiles = {(run.layer, run.tile): run.body for run in program.runs}
    brought: dict[int, int] = {}  # by old load: the old store whose planes it brings
    targets: dict[int, list[str]] = {}
    for op in program.operations:
        if isinstance(op, Transfer) and op.label == "load spike" and op.layer >= 0:
            (store,) = (d for d in op.deps if program.operations[d].label == "store spike")
            brought[op.id] = store
            targets.setdefault(store, []).append(op.targets[0])
    new: dict[int, int] = {}
    waits: dict[int, set[int]] = {}  # by old store: for what its loads waited
    for load, store in brought.items():
        waits.setdefault(store, set()).update(d for d in program.operations[load].deps if d != store)
    made: list[Operation] = []
    for op in program.operations:
        if op.id in brought:
            new[op.id] = new[brought[op.id]]
            continue
        new[op.id] = len(made)
        deps = {new[d] for d in op.deps}
        if op.id in targets:
            assert isinstance(op, Transfer)
            # A load waits for its core to come to the stage; here the whole multicast does, if that stands before it.
            deps |= {new[d] for d in waits[op.id] if d < op.id}
            own = [op.source] if rng.random() < 0.3 else []
            op = replace(op, targets=(*targets[op.id], *own), bits=BY_SAMPLE,
                         cargo=cargo_of(program.network, op, tiles[op.layer, op.tile], rng))
        elif isinstance(op, Transfer) and op.label == "load spike" and rng.random() < 0.7:
            op = replace(op, bits=BY_SAMPLE, cargo=cargo_of(program.network, op, None, rng))
        made.append(replace(op, id=len(made), deps=tuple(sorted(deps))))
    return replace(program, mesh=random_mesh(rng, program.cores), operations=tuple(_own_ways(made)))


def _own_ways(operations: list[Operation]) -> list[Operation]:
    """Runs that read what their core has sent to itself wait for that, and not for the run that made it."""
    sent = {op.deps[0]: op.id for op in operations if isinstance(op, Transfer) and op.kind == "send" and op.source in op.targets}
    found = []
    for op in operations:
        more = {sent[d] for d in op.deps if d in sent and sent[d] < op.id} if isinstance(op, Run) else set()
        found.append(replace(op, deps=tuple(sorted({*op.deps, *more}))))
    return found


def placed(
    program: Program, cores: int, mesh: MeshSpec, discipline: Discipline, buffer_planes: int, encoding: str = "smaller",
    barrier_cycles: int | None = None,
) -> Program:
    """The runs of a Program of one core, whose weights all fit, tile after tile on one of many cores, in the order of C9."""
    network = program.network
    runs = {(run.layer, run.timesteps[0], run.tile): run for run in program.runs}
    items = max(item for _, item, _ in runs) + 1
    tiles = sorted({(layer, tile) for layer, _, tile in runs})
    core_of = {place: f"core{n % cores}" for n, place in enumerate(tiles)}
    stages = tuple(
        Stage(layer.shape[1], tuple(StageTile(core_of[n, tile], runs[n, 0, tile].body.row_span) for at, tile in tiles if at == n))
        for n, layer in enumerate(network))
    wires = [Wire(network.index(wire.source), n) for n, layer in enumerate(network) for wire in layer.connections
             if wire.source != INPUT_NAME]
    leaves = network.layers[-1].sends  # a read-out keeps its potentials
    steps = steps_of(Pipeline(stages, tuple(wires), items, leaves=leaves), discipline, buffer_planes, barrier_cycles is not None)

    operations: list[Operation] = []
    planes = {t for run in runs.values() for feed in run.feeds for t in feed.planes
              if run.body.connections[feed.connection].source == INPUT_NAME}
    readers = tuple(dict.fromkeys(core_of[layer, tile] for layer, tile in tiles if any(
        wire.source == INPUT_NAME for wire in network.layers[layer].connections)))
    loads = {}
    for t in sorted(planes):
        loads[t] = len(operations)
        c, h, w = network.input.shape
        operations.append(Transfer(
            id=len(operations), layer=-1, timesteps=(t, t + 1), source=CHANNEL, targets=readers, memory="spike", rows=0,
            bits=c * h * w * network.input.plane_bits(t)))
    first = len(operations)
    for step in steps:
        op = _operation(network, runs, core_of, step, len(operations), first, encoding, barrier_cycles)
        if isinstance(op, Run):
            reads = {loads[t] for feed in op.feeds for t in feed.planes
                     if op.body.connections[feed.connection].source == INPUT_NAME}
            op = replace(op, deps=tuple(sorted({*op.deps, *reads})))
        operations.append(op)
    return replace(program, cores=tuple(f"core{n}" for n in range(cores)), mesh=mesh, operations=tuple(operations))


def _operation(
    network: Network, runs: dict[tuple[int, int, int], Run], core_of: dict[tuple[int, int], str], step: Step, place: int,
    first: int, encoding: str, barrier_cycles: int | None,
) -> Operation:
    deps = tuple(d + first for d in step.deps)
    if step.kind == "barrier":
        return Wait(id=place, deps=deps, cycles=barrier_cycles or 0)
    run = runs[step.stage, step.item, step.tile]
    core = core_of[step.stage, step.tile]
    if step.kind == "run":
        return replace(run, id=place, deps=deps, on=core)
    assert step.stage != INPUT
    cargo = Cargo(run.body.channels, run.body.row_span, encoding)
    return Transfer(id=place, deps=deps, layer=step.stage, tile=step.tile, timesteps=run.timesteps, source=core,
                    targets=step.targets, memory="spike", bits=BY_SAMPLE, cargo=cargo)
