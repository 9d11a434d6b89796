"""Random operation lists: few cores, small meshes and short cycles, so that links are wanted at once and ties are common."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwsim.links import CHANNEL
from hwsim.program import ChannelSpec, CoreOperation, Operation, OperationList, Transfer, Wait
from tests.engine.network_programs import random_mesh

Rng = np.random.Generator


def random_list(rng: Rng, with_mesh: bool | None = None) -> tuple[OperationList, list[int]]:
    """A list and the cycles of its runs; with a mesh four times of five, unless told."""
    cores = tuple(f"core{n}" for n in range(int(rng.integers(1, 6))))
    meshed = rng.random() < 0.8 if with_mesh is None else with_mesh
    channel = ChannelSpec(int(rng.integers(1, 65)), int(rng.integers(0, 20))) if rng.random() < 0.8 or not meshed else None
    return random_operations(rng, OperationList(cores, channel, random_mesh(rng, cores) if meshed else None, ()))


def random_operations(rng: Rng, chip: OperationList) -> tuple[OperationList, list[int]]:
    """Operations for a chip, and the cycles of its runs."""
    operations: list[Operation] = []
    for number in range(int(rng.integers(1, 41))):
        deps = tuple(sorted({int(d) for d in rng.integers(0, number, int(rng.integers(0, 3)))})) if number else ()
        kind = rng.random()
        if kind < 0.35:
            operations.append(CoreOperation(id=number, deps=deps, layer=0, on=str(rng.choice(chip.cores))))
        elif kind < 0.42:
            operations.append(Wait(id=number, deps=deps, cycles=int(rng.integers(0, 20))))
        elif (op := _transfer(rng, number, chip.cores, chip.mesh is not None, chip.channel is not None)) is None:
            operations.append(Wait(id=number, deps=deps, cycles=0))
        else:
            late = tuple(d for d in deps if operations[d].setup) if op.setup else deps
            operations.append(replace(op, deps=late))
    cycles = [int(rng.integers(0, 40)) if isinstance(op, CoreOperation) else 0 for op in operations]
    return replace(chip, operations=tuple(operations)), cycles


def _transfer(rng: Rng, number: int, cores: tuple[str, ...], meshed: bool, channel: bool) -> Transfer | None:
    """A transfer that the chip can make; None if there is none of the kind that was drawn."""
    several = [str(core) for core in rng.permutation(cores)[: int(rng.integers(1, len(cores) + 1)) if meshed else 1]]
    kind = str(rng.choice(["load", "store", "send", "send"]))
    if (kind == "send" and not meshed) or (kind != "send" and not channel):
        return None
    return Transfer(
        id=number, layer=0, source=CHANNEL if kind == "load" else str(rng.choice(cores)),
        targets=(CHANNEL,) if kind == "store" else tuple(several), memory="spike",
        bits=int(rng.choice([0, 1, 8, 64, int(rng.integers(0, 200))])), once=bool(rng.random() < 0.05))


def reordered(listed: OperationList, cycles: list[int], order: list[int]) -> tuple[OperationList, list[int]]:
    """The operations at the positions `order`, with new ids."""
    place = {old: new for new, old in enumerate(order)}
    return replace(listed, operations=tuple(
        replace(listed.operations[old], id=new, deps=tuple(sorted(place[d] for d in listed.operations[old].deps)))
        for new, old in enumerate(order))), [cycles[old] for old in order]


def other_order(rng: Rng, listed: OperationList) -> list[int]:
    """A random order in which dependencies point backwards and every core and the channel keeps its own list."""
    last: dict[str, int] = {}
    before: list[set[int]] = []
    for op in listed.operations:
        before.append(set(op.deps))
        if op.resource and not op.setup:
            before[-1] |= {last[op.resource]} if op.resource in last else set()
            last[op.resource] = op.id
    order: list[int] = []
    left = set(range(len(before)))
    while left:
        ready = sorted(i for i in left if before[i] <= set(order))
        order.append(ready[int(rng.integers(len(ready)))])
        left.remove(order[-1])
    return order
