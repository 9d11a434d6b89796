"""What is wrong with a list of operations as far as C7 and C8 go: the chip, the order, waits, and the ends of transfers.

`check_list` asks all of it of a list by itself; hwsim/checks/program.py asks the same of a Program, and more. Nothing here makes
a cycle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hwsim.links import LINK_ENCODINGS, RESERVED_ENCODINGS, MeshSpec, node_problems
from hwsim.program import BY_SAMPLE, CHANNEL, Listed, Operation, ProgramError, Transfer, Wait

LARGEST = (1 << 63) - 1
MOST = 1 << 48
"""Bits or rows of one transfer, cycles of one wait: with it, the cycles of a whole Program fit 64 bits."""
MOST_SIDE = 1 << 12
"""Nodes along one side of a mesh."""
SHOWN = 8


def is_whole(value: Any, low: int, high: int = LARGEST) -> bool:
    """Whether `value` is an integer (not a bool) in [low, high]."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and low <= int(value) <= high


def refuse(reasons: Sequence[str]) -> None:
    """Raises ProgramError with the first reasons and how many there are more, if there are any."""
    if reasons:
        more = f"\n  and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
        raise ProgramError("the program cannot be executed:\n" + "\n".join(f"  - {r}" for r in reasons[:SHOWN]) + more)


def check_list(listed: Listed) -> None:
    """Raises ProgramError with everything that keeps a list by itself from being executed, each with its operation."""
    reasons = list(chip_misfits(listed))
    for place, op in enumerate(listed.operations):
        reasons += order_misfits(listed, op, place)
        if isinstance(op, Transfer) and op.bits == BY_SAMPLE:
            reasons.append(f"operation {op.id} moves bits {op.bits!r}, and a list by itself has no sample; give a number")
        elif isinstance(op, Transfer):
            reasons += bits_misfits(listed, op)
    refuse(reasons)


def chip_misfits(listed: Listed) -> Iterator[str]:
    """What is wrong with the chip: its cores' names, its channel and its mesh."""
    names = listed.cores
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"the chip names {', '.join(map(repr, twice))} twice; every core has a name of its own"
    if CHANNEL in names:
        yield f"a core is named {CHANNEL!r}, which is the off-chip channel; name it otherwise"
    channel = listed.channel
    if channel is not None and not is_whole(channel.bits_per_cycle, 1):
        yield f"the channel moves {channel.bits_per_cycle!r} bits_per_cycle; it needs at least 1"
    if channel is not None and not is_whole(channel.latency_cycles, 0, MOST):
        yield f"the channel has latency_cycles {channel.latency_cycles!r}; the least is 0"
    if listed.mesh is not None:
        yield from _mesh_misfits(listed.mesh, names)


def _mesh_misfits(mesh: MeshSpec, cores: Sequence[str]) -> Iterator[str]:
    sides, pairs = mesh.size, [node for _, node in mesh.nodes]
    if not (isinstance(sides, tuple) and len(sides) == 2 and all(is_whole(side, 1, MOST_SIDE) for side in sides)):
        yield f"the mesh has sides {sides!r}; it needs two, each of 1 to {MOST_SIDE} nodes"
        return
    if mesh.flit_bits is not None and not is_whole(mesh.flit_bits, 1, MOST):
        yield f"the mesh has flit_bits {mesh.flit_bits!r}; it needs at least 1, or None for links that are infinitely wide"
    for name in ("hop_cycles", "address_bits", "header_bits"):
        if not is_whole(getattr(mesh, name), 0, MOST):
            yield f"the mesh has {name} {getattr(mesh, name)!r}; the least is 0"
    if not all(isinstance(node, tuple) and len(node) == 2 and all(is_whole(n, -MOST, MOST) for n in node) for node in pairs):
        yield f"the mesh has nodes {pairs}; a node is (x, y), two whole numbers"
        return
    yield from (f"{name} {text}" for name, text in node_problems(mesh.size, mesh.nodes, cores))


def order_misfits(listed: Listed, op: Operation, place: int) -> Iterator[str]:
    """What is wrong with the operation at `place` of the list: its id, what it waits for, what it takes its turn on."""
    where = f"operation {op.id}"
    if op.id != place:
        yield f"{where} stands at position {place} of the list; an id is the position"
    if late := [d for d in op.deps if not 0 <= d < place]:
        yield (f"{where} depends on {late}, which do not stand before it; dependencies point backwards (C7), so order "
               "the operations so that each comes after what it depends on")
    elif op.setup and (waits := [d for d in op.deps if not listed.operations[d].setup]):
        yield (f"{where} is setup, done before cycle 0, and depends on {waits}, which come later; only setup operations "
               "can come before it")
    if isinstance(op, Wait) and not is_whole(op.cycles, 0, MOST):
        yield f"{where} waits for {op.cycles!r} cycles, expected a whole number from 0 to 2**48"
    if isinstance(op, Transfer):
        yield from _ends(listed, op, where)
    elif op.resource and op.core not in (*listed.cores, CHANNEL):
        yield f"{where} runs on {op.core!r}; {_resources(listed)}"


def _resources(listed: Listed) -> str:
    return f"the program's resources are {', '.join((*listed.cores, CHANNEL))}" + (" and links" if listed.mesh else "")


def _ends(listed: Listed, op: Transfer, where: str) -> Iterator[str]:
    """Where a transfer comes from and goes to (C8)."""
    ends = (op.source, *op.targets)
    way = f"{where} goes from {op.source} to {', '.join(op.targets) or 'nowhere'}"
    if strangers := [end for end in ends if end not in (*listed.cores, CHANNEL)]:
        yield f"{where} goes between {strangers}; {_resources(listed)}"
    elif listed.mesh is None and (len(op.targets) != 1 or ends.count(CHANNEL) != 1):
        yield f"{way}: without a network of links a transfer is between the channel and one core"
    elif not op.targets:
        yield f"{way}; a transfer has a target"
    elif twice := sorted({end for end in op.targets if op.targets.count(end) > 1}):
        yield f"{way}; name {', '.join(twice)} once, a multicast brings it there once"
    elif CHANNEL in op.targets and len(ends) > 2:
        yield f"{way}; targets are cores, or the channel alone, so make two transfers of it"
    elif op.source == CHANNEL and CHANNEL in op.targets:
        yield f"{way}; what comes from the channel goes to cores"
    elif CHANNEL in ends and listed.channel is None:
        yield f"{way}, and the chip has no channel"


def bits_misfits(listed: Listed, op: Transfer) -> Iterator[str]:
    """What is wrong with the amounts of a transfer, and with the name of what it carries."""
    where = f"operation {op.id}"
    if isinstance(op.bits, str) and listed.mesh is None:
        yield f"{where} moves bits {op.bits!r}: there is no network of links, so bits are a number"
    elif isinstance(op.bits, str) and op.bits != BY_SAMPLE:
        yield f"{where} moves bits {op.bits!r}, expected a number or {BY_SAMPLE!r}"
    elif (op.bits == BY_SAMPLE) != (op.cargo is not None):
        yield (f"{where} moves {op.bits} bits and {'names' if op.cargo else 'does not name'} its cargo; bits are a number, or "
               f"{BY_SAMPLE!r} with a cargo")
    elif op.cargo is None and not is_whole(op.bits, 0, MOST):
        yield f"{where} moves {op.bits!r} bits, expected a whole number from 0 to 2**48"
    elif op.cargo is not None and op.setup:
        yield f"{where} is setup, done before the first sample, and its bits are by sample; give a number"
    if op.cargo is not None and op.cargo.encoding in RESERVED_ENCODINGS:
        yield f"{where} travels as {op.cargo.encoding!r}, which is reserved: {RESERVED_ENCODINGS[op.cargo.encoding]}"
    elif op.cargo is not None and op.cargo.encoding not in LINK_ENCODINGS:
        yield f"{where} travels as {op.cargo.encoding!r}; known are {', '.join(LINK_ENCODINGS)}"
    for what, number in (("rows", op.rows), ("banks", op.banks)):
        if not is_whole(number, 0, MOST):
            yield f"{where} moves {number!r} {what}, expected a whole number from 0 to 2**48"
    if op.banks and op.memory not in ("membrane", "current"):
        yield f"{where} moves {op.banks} banks of memory {op.memory}; banks are counted of membrane and current alone"
    if not (is_whole(op.region[0], 0) and is_whole(op.region[1], int(op.region[0]))):
        yield f"{where} touches bits {op.region} of its memory; a region is [lo, hi) with 0 <= lo <= hi"
