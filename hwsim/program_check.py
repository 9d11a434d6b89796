"""Whether a Program can be executed: what both engines ask before they run it, so that neither has to guess.

Dependencies point backwards, every resource is there, tiles do not overlap, a run waits for all that makes what it reads,
and what another core made has travelled (docs/cycle-model.md, C1 and C9). Nothing here makes a cycle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from hwsim.program import CHANNEL, TRANSFER_EVENTS, Operation, Program, ProgramError, Run, Transfer
from hwsim.snn.network import INPUT

SENDING = ("fire", "requant")
"""Kinds of passes that write a plane of a layer's output."""
SHOWN = 8


def check_program(program: Program) -> None:
    """Raises ProgramError with everything that keeps `program` from being executed, each with its operation."""
    reasons = [text for op, place in zip(program.operations, range(len(program.operations)), strict=True)
               for text in _operation_misfits(program, op, place)]
    reasons = reasons or [*_overlaps(program), *_Order(program).misfits()]
    if reasons:
        more = f"\n  and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
        raise ProgramError("the program cannot be executed:\n" + "\n".join(f"  - {r}" for r in reasons[:SHOWN]) + more)


def _operation_misfits(program: Program, op: Operation, place: int) -> Iterable[str]:
    """What is wrong with one operation by itself."""
    where = f"operation {op.id}"
    if op.id != place:
        yield f"{where} stands at position {place} of the list; an id is the position"
    if late := [d for d in op.deps if not 0 <= d < place]:
        yield (f"{where} depends on {late}, which do not stand before it; dependencies point backwards (C1), so order the "
               "operations so that each comes after what it depends on")
    if op.resource not in program.resources:
        yield f"{where} runs on {op.resource!r}; the program's resources are {', '.join(program.resources)}"
    if not -1 <= op.layer < len(program.network.layers):
        yield f"{where} belongs to layer {op.layer} of a network of {len(program.network.layers)}"
    if isinstance(op, Run):
        yield from _run_misfits(op, where)
    elif isinstance(op, Transfer):
        yield from _transfer_misfits(program, op, where)


def _run_misfits(op: Run, where: str) -> Iterable[str]:
    (lo, hi), lanes, shape = op.body.groups, op.body.core.lanes, op.body.shape
    if not 0 <= lo < hi <= op.body.group_count:
        yield f"{where} computes groups {lo} to {hi - 1} of a layer that has {op.body.group_count}"
    elif op.body.last_channel is not None and not (hi - 1) * lanes < op.body.last_channel <= shape[0]:
        yield (f"{where} ends at channel {op.body.last_channel}, outside of its last group, channels {(hi - 1) * lanes} to "
               f"{min(hi * lanes, shape[0]) - 1}")
    if wrong := [feed.connection for feed in op.feeds if not 0 <= feed.connection < len(op.body.connections)]:
        yield f"{where} is fed by connections {wrong}; the layer has {len(op.body.connections)}"


def _transfer_misfits(program: Program, op: Transfer, where: str) -> Iterable[str]:
    if op.memory not in TRANSFER_EVENTS:
        yield f"{where}: a transfer of memory {op.memory!r}; known are {', '.join(TRANSFER_EVENTS)}"
    if not isinstance(op.bits, int):
        yield f"{where} moves bits {op.bits!r}: there is no network of links yet, so bits are a number"
    elif op.bits < 0:
        yield f"{where} moves {op.bits} bits"
    ends = (op.source, *op.targets)
    if strangers := [end for end in ends if end not in program.resources]:
        yield f"{where} goes between {strangers}; the program's resources are {', '.join(program.resources)}"
    elif len(op.targets) != 1 or ends.count(CHANNEL) != 1:
        yield (f"{where} goes from {op.source} to {', '.join(op.targets) or 'nowhere'}: without a network of links a transfer "
               "is between the channel and one core")


def _overlaps(program: Program) -> Iterable[str]:
    """State belongs to (core, layer, tile): a tile stays what it is, and tiles of a layer share no channel."""
    found: dict[tuple[int, int], tuple[str, tuple[int, int]]] = {}
    for run in program.runs:
        mine = (run.on, run.body.channels)
        if found.setdefault((run.layer, run.tile), mine) != mine:
            core, channels = found[run.layer, run.tile]
            yield (f"operation {run.id} computes tile {run.tile} of layer {run.layer} as channels {_span(mine[1])} on {run.on}; "
                   f"before, it was channels {_span(channels)} on {core}")
    by_layer = defaultdict(list)
    for (layer, tile), (_, channels) in found.items():
        by_layer[layer].append((channels, tile))
    for layer, tiles in by_layer.items():
        ordered = sorted(tiles)
        for (before, one), (after, other) in zip(ordered, ordered[1:], strict=False):
            if after[0] < before[1]:
                yield f"tiles {one} and {other} of layer {layer} both hold channel {after[0]}"


def _span(channels: tuple[int, int]) -> str:
    return f"{channels[0]} to {channels[1] - 1}"


class _Order:
    """Who has surely ended before whom: by dependencies, and by the order of each resource's list."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.before: list[int] = []  # bit i: operation i has ended
        last: dict[str, int] = {}
        for op in program.operations:
            ended = 0
            for d in (*op.deps, *([last[op.resource]] if op.resource in last else ())):
                ended |= self.before[d] | 1 << d
            self.before.append(ended)
            if not op.setup:
                last[op.resource] = op.id
        self.makers: dict[tuple[str, int], list[Run]] = defaultdict(list)
        self.loads: dict[tuple[str, int, str, int], int] = {}
        names = [layer.name for layer in program.network.layers]
        for op in program.operations:
            if isinstance(op, Run):
                for step in {p.timestep for p in op.body.table.passes if p.kind in SENDING}:
                    self.makers[names[op.layer], step].append(op)
            elif isinstance(op, Transfer) and op.kind == "load" and op.memory == "spike":
                name = INPUT if op.layer < 0 else names[op.layer]
                for step in range(*op.timesteps):
                    self.loads[name, step, op.core, op.tile] = op.id

    def misfits(self) -> Iterable[str]:
        """Runs that could read a plane before all of it is there."""
        for run in self.program.runs:
            for feed in run.feeds:
                source = run.body.connections[feed.connection].source
                for plane in feed.planes:
                    yield from self._unready(run, source, plane)

    def _unready(self, run: Run, source: str, plane: int) -> Iterable[str]:
        what = f"operation {run.id} reads plane {plane} of {source}"
        if source == INPUT:
            load = self.loads.get((INPUT, plane, run.on, 0))
            if load is not None and not self.before[run.id] >> load & 1:
                yield f"{what} and does not wait for operation {load}, which brings it"
        for maker in self.makers[source, plane]:
            made = f"channels {_span(maker.body.channels)} of it"
            if not self.before[run.id] >> maker.id & 1:
                yield f"{what} and does not wait for operation {maker.id}, which makes {made}"
            elif maker.on != run.on:
                load = self.loads.get((source, plane, run.on, maker.tile))
                if load is None or not self.before[run.id] >> load & 1 or not self.before[load] >> maker.id & 1:
                    yield (f"{what} on {run.on}, and {made}, made by operation {maker.id} on {maker.on}, have not been sent "
                           "there before")
