"""Whether a Program can be executed: what both engines ask before they run it, so that neither has to guess.

Each operation makes sense by itself (hwsim/checks/operations.py), dependencies point backwards, every resource is there, the
tiles of a layer make up the layer, a run waits for all that makes what it reads, and what another core made has travelled
(docs/cycle-model.md, C1 and C5). Nothing here makes a cycle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from hwsim.checks.chip import chip_misfits, refuse
from hwsim.checks.operations import OperationCheck
from hwsim.checks.pipes import early_runs
from hwsim.checks.regions import Region, cover_of, region_text, rows_read
from hwsim.program import CHANNEL, CoreSpec, Program, Run, Transfer, Wait
from hwsim.snn.network import INPUT


def check_program(program: Program) -> None:
    """Raises ProgramError with everything that keeps `program` from being executed, each with its operation."""
    check = OperationCheck(program)
    reasons = list(chip_misfits(program))
    if not program.operations:
        reasons.append("it has no operations")
    reasons += [text for place, op in enumerate(program.operations) for text in check.misfits(op, place)]
    refuse(reasons or [*_tiles(program), *_states(program), *_travels(program), *_Order(program).misfits()])


def _tiles(program: Program) -> Iterator[str]:
    """State belongs to (core, layer, tile): a tile stays what it is, and the tiles of a layer make up the layer (C5)."""
    found: dict[tuple[int, int], tuple[str, Region]] = {}
    for run in program.runs:
        mine = (run.on, (*run.body.channels, *run.body.row_span))
        if found.setdefault((run.layer, run.tile), mine) != mine:
            height = run.body.shape[1]
            core, region = found[run.layer, run.tile]
            yield (f"operation {run.id} computes tile {run.tile} of layer {run.layer} as {region_text(mine[1], height)} on "
                   f"{run.on}; before, it was {region_text(region, height)} on {core}")
    by_layer = defaultdict(list)
    for (layer, tile), (_, region) in found.items():
        by_layer[layer].append((region, tile))
    if not all(isinstance(op, Run | Transfer | Wait) for op in program.operations):
        return  # a kind of core with operations of its own says itself what makes up a layer
    for number, whole in enumerate(program.network.layers):
        if number not in by_layer:
            yield f"no run computes layer {number}, {whole.name!r}; a program runs the whole network"
            continue
        ordered = sorted(by_layer[number])
        twice, missing = cover_of([region for region, _ in ordered], whole.shape[0], whole.shape[1])
        if twice is not None:
            one, other, channel, row = twice
            where = f"channel {channel}" if ordered[one][0][2:] == ordered[other][0][2:] else f"channel {channel} of row {row}"
            yield f"tiles {ordered[one][1]} and {ordered[other][1]} of layer {number} both hold {where}"
        if missing is not None:
            yield f"no tile of layer {number} computes its {region_text(missing, whole.shape[1])}"


def _states(program: Program) -> Iterator[str]:
    """A core stays what it is, a tile's state goes on where it was kept (C5), and each plane of a tile's output is made once."""
    cores: dict[str, tuple[CoreSpec, int]] = {}
    before: dict[tuple[int, int], Run] = {}
    made: dict[tuple[int, int], dict[int, int]] = defaultdict(dict)
    for run in program.runs:
        spec, first = cores.setdefault(run.on, (run.body.core, run.id))
        if spec is not run.body.core and spec != run.body.core:
            yield f"operation {run.id} has another core than operation {first}, and both run on {run.on}"
        last = before.get((run.layer, run.tile))
        if last is not None and not (run.body.clear or last.body.keep or spec.plain):
            yield f"operation {run.id} goes on with the state of operation {last.id}, which does not keep it"
        elif last is not None and _widths(last) != _widths(run):
            yield (f"operation {run.id} goes on with the state of operation {last.id} in other widths: potentials and currents "
                   f"of {_widths(run)} bits instead of {_widths(last)}")
        before[run.layer, run.tile] = run
        planes = made[run.layer, run.tile]
        for step in (p.timestep for p in run.body.table.passes if p.sends):
            if step in planes:
                yield (f"operation {run.id} makes timestep {step} of tile {run.tile} of layer {run.layer}, which operation "
                       f"{planes[step]} has made")
            planes[step] = run.id
    for (number, tile), planes in made.items():
        layer = program.network.layers[number]
        if layer.sends and (missing := [t for t in range(layer.timesteps) if t not in planes]):
            yield f"no run makes timesteps {missing} of tile {tile} of layer {number}, {layer.name!r}"


def _widths(run: Run) -> tuple[int, int]:
    return run.body.potential_bits, run.body.current_bits


def _travels(program: Program) -> Iterator[str]:
    """A tile travels whole, from the core that computes it (C8)."""
    tiles = {(run.layer, run.tile): (run.on, (*run.body.channels, *run.body.row_span)) for run in program.runs}
    for op in program.operations:
        if not isinstance(op, Transfer) or op.layer < 0 or (op.cargo is None and op.kind != "send"):
            continue
        what, height = f"operation {op.id} carries tile {op.tile} of layer {op.layer}", program.network.layers[op.layer].shape[1]
        if (op.layer, op.tile) not in tiles:
            yield f"{what}, which no run computes"
            continue
        core, region = tiles[op.layer, op.tile]
        if op.source not in (core, CHANNEL):
            yield f"{what} from {op.source}; it is computed on {core}"
        if op.cargo is not None and (carried := (*op.cargo.channels, *op.cargo.rows)) != region:
            yield f"{what} as {region_text(carried, height)}; the tile is {region_text(region, height)}"


class _Order:
    """Who has surely ended before whom: by dependencies, and by the order of each resource's list.

    A setup operation ends at cycle 0, whatever stands before it: it has always ended, and waiting for it says nothing of others.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.before: list[int] = []  # bit i: operation i has ended
        last: dict[str, int] = {}
        for op in program.operations:
            if op.setup:
                self.before.append(0)
                continue
            ended = 0
            for d in (*op.deps, *([last[op.resource]] if op.resource in last else ())):
                ended |= self.before[d] | 1 << d
            self.before.append(ended)
            if op.resource:
                last[op.resource] = op.id
        self.makers: dict[str, dict[int, list[Run]]] = defaultdict(lambda: defaultdict(list))
        self.loads: dict[tuple[str, int, str, int], int] = {}
        self._needed: dict[tuple[str, int, str, frozenset[int]], int | None] = {}
        names = [layer.name for layer in program.network.layers]
        for op in program.operations:
            if isinstance(op, Run):
                for step in {p.timestep for p in op.body.table.passes if p.sends}:
                    self.makers[names[op.layer]][step].append(op)
            elif isinstance(op, Transfer) and op.kind != "store" and op.memory == "spike" and not op.setup:
                name = INPUT if op.layer < 0 else names[op.layer]
                for step in range(*op.timesteps):
                    self.loads |= {(name, step, core, op.tile): op.id for core in op.targets}

    def misfits(self) -> Iterator[str]:
        """Runs that could read a plane before all of it is there, and transfers whose bits could be counted before that."""
        for op in self.program.operations:
            if isinstance(op, Transfer) and op.cargo is not None and op.layer >= 0:
                yield from self._early(op)
        yield from early_runs(self.program, self.before)
        for run in self.program.runs:
            for feed in run.feeds:
                wire = run.body.connections[feed.connection]
                rows = rows_read(run.body, wire) if feed.planes else frozenset()
                for plane in feed.planes:
                    needed = self._needed_for(wire.source, plane, run.on, rows)
                    if needed is None or self.before[run.id] & needed != needed:
                        yield from self._unready(run, wire.source, plane, rows)

    def _early(self, op: Transfer) -> Iterator[str]:
        """Runs that make what a transfer carries, and for which it does not wait."""
        made = self.makers[self.program.network.layers[op.layer].name]
        for plane in range(*op.timesteps):
            for maker in made[plane]:
                if maker.tile == op.tile and not self.before[op.id] >> maker.id & 1:
                    yield (f"operation {op.id} carries plane {plane} of tile {op.tile} of layer {op.layer} and does not wait for "
                           f"operation {maker.id}, which makes it")

    def _makers(self, source: str, plane: int, rows: frozenset[int]) -> Iterator[Run]:
        """The runs that make any of some rows of a plane."""
        return (run for run in self.makers[source][plane] if not rows.isdisjoint(range(*run.body.row_span)))

    def _needed_for(self, source: str, plane: int, core: str, rows: frozenset[int]) -> int | None:
        """The operations that must have ended before a core reads rows of a plane; None if something never gets there."""
        key = (source, plane, core, rows)
        if key not in self._needed:
            needed: int | None = 0
            if source == INPUT and (load := self.loads.get((INPUT, plane, core, 0))) is not None:
                needed = 1 << load
            for maker in self._makers(source, plane, rows):
                load = self._way(source, plane, core, maker)
                if needed is None or load is None or not (self.before[load] | 1 << load) >> maker.id & 1:
                    needed = None
                else:
                    needed |= 1 << maker.id | 1 << load
            self._needed[key] = needed
        return self._needed[key]

    def _way(self, source: str, plane: int, core: str, maker: Run) -> int | None:
        """The operation after which what a run has made of a plane lies before a core: the transfer that brings it there. On its
        own core that is the run itself, unless it sends its plane there too, from the output buffer to the input buffer."""
        way = self.loads.get((source, plane, core, maker.tile))
        if maker.on == core and (way is None or self.program.operations[way].kind != "send"):
            return maker.id
        return way

    def _unready(self, run: Run, source: str, plane: int, rows: frozenset[int]) -> Iterator[str]:
        what = f"operation {run.id} reads plane {plane} of {source}"
        ended = self.before[run.id]
        if source == INPUT:
            load = self.loads.get((INPUT, plane, run.on, 0))
            if load is not None and not ended >> load & 1:
                yield f"{what} and does not wait for operation {load}, which brings it"
            return
        for maker in self._makers(source, plane, rows):
            made = f"{region_text((*maker.body.channels, *maker.body.row_span), maker.body.shape[1])} of it"
            if not ended >> maker.id & 1:
                yield f"{what} and does not wait for operation {maker.id}, which makes {made}"
            else:
                load = self._way(source, plane, run.on, maker)
                if load != maker.id and (load is None or not ended >> load & 1 or not self.before[load] >> maker.id & 1):
                    yield (f"{what} on {run.on}, and {made}, made by operation {maker.id} on {maker.on}, have not been sent "
                           "there before")
