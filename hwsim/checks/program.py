"""Whether a Program can be executed: what both engines ask before they run it, so that neither has to guess.

Each operation makes sense by itself (hwsim/checks/operations.py), dependencies point backwards, every resource is there, the
tiles of a layer make up the layer, a run waits for all that makes what it reads, and what another core made has travelled
(docs/cycle-model.md, C1 and C5). Nothing here makes a cycle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from hwsim.checks.operations import OperationCheck, channel_misfits
from hwsim.checks.regions import Region, cover_of, region_text
from hwsim.program import CoreSpec, Program, ProgramError, Run, Transfer
from hwsim.snn.network import INPUT

SHOWN = 8


def check_program(program: Program) -> None:
    """Raises ProgramError with everything that keeps `program` from being executed, each with its operation."""
    check = OperationCheck(program)
    reasons = list(channel_misfits(program))
    if not program.operations:
        reasons.append("it has no operations")
    reasons += [text for place, op in enumerate(program.operations) for text in check.misfits(op, place)]
    reasons = reasons or [*_tiles(program), *_states(program), *_Order(program).misfits()]
    if reasons:
        more = f"\n  and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
        raise ProgramError("the program cannot be executed:\n" + "\n".join(f"  - {r}" for r in reasons[:SHOWN]) + more)


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
    if not all(isinstance(op, Run | Transfer) for op in program.operations):
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
            last[op.resource] = op.id
        self.makers: dict[str, dict[int, list[Run]]] = defaultdict(lambda: defaultdict(list))
        self.loads: dict[tuple[str, int, str, int], int] = {}
        self._needed: dict[tuple[str, int, str], int | None] = {}
        names = [layer.name for layer in program.network.layers]
        for op in program.operations:
            if isinstance(op, Run):
                for step in {p.timestep for p in op.body.table.passes if p.sends}:
                    self.makers[names[op.layer]][step].append(op)
            elif isinstance(op, Transfer) and op.kind == "load" and op.memory == "spike" and not op.setup:
                name = INPUT if op.layer < 0 else names[op.layer]
                for step in range(*op.timesteps):
                    self.loads[name, step, op.core, op.tile] = op.id

    def misfits(self) -> Iterator[str]:
        """Runs that could read a plane before all of it is there."""
        for run in self.program.runs:
            for feed in run.feeds:
                source = run.body.connections[feed.connection].source
                for plane in feed.planes:
                    needed = self._needed_for(source, plane, run.on)
                    if needed is None or self.before[run.id] & needed != needed:
                        yield from self._unready(run, source, plane)

    def _needed_for(self, source: str, plane: int, core: str) -> int | None:
        """The operations that must have ended before a core reads a plane; None if something of it never gets there."""
        key = (source, plane, core)
        if key not in self._needed:
            needed: int | None = 0
            if source == INPUT and (load := self.loads.get((INPUT, plane, core, 0))) is not None:
                needed = 1 << load
            for maker in self.makers[source][plane]:
                load = self.loads.get((source, plane, core, maker.tile)) if maker.on != core else maker.id
                if needed is None or load is None or not (self.before[load] | 1 << load) >> maker.id & 1:
                    needed = None
                else:
                    needed |= 1 << maker.id | 1 << load
            self._needed[key] = needed
        return self._needed[key]

    def _unready(self, run: Run, source: str, plane: int) -> Iterator[str]:
        what = f"operation {run.id} reads plane {plane} of {source}"
        ended = self.before[run.id]
        if source == INPUT:
            load = self.loads.get((INPUT, plane, run.on, 0))
            if load is not None and not ended >> load & 1:
                yield f"{what} and does not wait for operation {load}, which brings it"
            return
        for maker in self.makers[source][plane]:
            made = f"{region_text((*maker.body.channels, *maker.body.row_span), maker.body.shape[1])} of it"
            if not ended >> maker.id & 1:
                yield f"{what} and does not wait for operation {maker.id}, which makes {made}"
            elif maker.on != run.on:
                load = self.loads.get((source, plane, run.on, maker.tile))
                if load is None or not ended >> load & 1 or not self.before[load] >> maker.id & 1:
                    yield (f"{what} on {run.on}, and {made}, made by operation {maker.id} on {maker.on}, have not been sent "
                           "there before")
