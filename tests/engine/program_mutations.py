"""Legal Programs with something changed, most of it for the worse: one field of an operation, or the list itself."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from hwsim.links import MeshSpec
from hwsim.passes import Pass
from hwsim.program import CHANNEL, TRANSFER_EVENTS, ChannelSpec, Operation, Program, Run, Transfer
from hwsim.snn.network import Connection

Rng = np.random.Generator


def changed(program: Program, number: int, **change: Any) -> Program:
    """The Program with other fields in one operation."""
    operations = list(program.operations)
    operations[number] = replace(operations[number], **change)
    return replace(program, operations=tuple(operations))


def with_body(program: Program, number: int, **change: Any) -> Program:
    return changed(program, number, body=replace(program.operations[number].body, **change))  # type: ignore[attr-defined]


def with_table(program: Program, number: int, **change: Any) -> Program:
    table = program.operations[number].body.table  # type: ignore[attr-defined]
    return with_body(program, number, table=replace(table, **change))


def with_core(program: Program, on: str, **change: Any) -> Program:
    """Another CoreSpec in all runs of a core."""
    for run in list(program.runs):
        if run.on == on:
            program = with_body(program, run.id, core=replace(run.body.core, **change))
    return program


def reordered(program: Program, order: list[int]) -> Program:
    """The operations at the positions `order`, in that order, with new ids; dependencies on others are dropped."""
    new = {old: place for place, old in enumerate(order)}
    return replace(program, operations=tuple(
        replace(program.operations[old], id=place, deps=tuple(new[d] for d in program.operations[old].deps if d in new))
        for place, old in enumerate(order)))


def without_weights(program: Program) -> Program:
    """The same Program for a trace that holds spikes only."""
    bare: dict[int, Connection] = {}

    def stripped(wires: tuple[Connection, ...]) -> tuple[Connection, ...]:
        return tuple(bare.setdefault(id(wire), replace(wire, weights=None)) for wire in wires)

    layers = tuple(replace(layer, connections=stripped(layer.connections)) for layer in program.network.layers)
    for run in list(program.runs):
        program = with_body(program, run.id, connections=stripped(run.body.connections))
    return replace(program, network=replace(program.network, layers=layers))


def mutated(rng: Rng, program: Program) -> Program:
    """`program` with one random change."""
    kind = rng.random()
    if kind < 0.1:
        return _other_list(rng, program)
    if kind < 0.14:
        return _other_chip(rng, program)
    op = program.operations[int(rng.integers(len(program.operations)))]
    if kind < 0.3:
        return _other_operation(rng, program, op)
    if kind < 0.45:
        moves = [op for op in program.operations if isinstance(op, Transfer)]
        return _other_transfer(rng, program, moves[int(rng.integers(len(moves)))]) if moves else program
    runs = list(program.runs)
    run = runs[int(rng.integers(len(runs)))]
    change = (_other_feed, _other_body, _other_core, _other_table, _other_pass)[int(rng.integers(5))]
    return change(rng, program, run)


def _one_of(rng: Rng, *values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def _near(rng: Rng, value: int) -> int:
    return value + int(_one_of(rng, -value - 1, -value, -2, -1, 1, 2, 40))


def _near_span(rng: Rng, span: tuple[int, int]) -> tuple[int, int]:
    return (_near(rng, span[0]), span[1]) if rng.random() < 0.5 else (span[0], _near(rng, span[1]))


def _other_list(rng: Rng, program: Program) -> Program:
    order = list(range(len(program.operations)))
    at, to = int(rng.integers(len(order))), int(rng.integers(len(order)))
    change = rng.integers(4)
    if change == 0:
        del order[at]
    elif change == 1:
        order.insert(to, order.pop(at))
    elif change == 2:
        order[at], order[to] = order[to], order[at]
    else:
        order.insert(to, at)
    return reordered(program, order)


def _other_mesh(rng: Rng, program: Program, mesh: MeshSpec) -> Program:
    nodes = list(mesh.nodes)
    at = int(rng.integers(len(nodes)))
    moved = [*nodes[:at], (nodes[at][0], (_near(rng, nodes[at][1][0]), nodes[at][1][1])), *nodes[at + 1 :]]
    return replace(program, mesh=replace(mesh, **_one_of(
        rng, {"size": (mesh.size[0], _near(rng, mesh.size[1]))}, {"flit_bits": _one_of(rng, None, 0, 1, 7, True)},
        {"hop_cycles": _near(rng, mesh.hop_cycles)}, {"address_bits": _near(rng, mesh.address_bits)},
        {"header_bits": _near(rng, mesh.header_bits)}, {"nodes": tuple(nodes[1:])}, {"nodes": tuple(moved)})))


def _other_chip(rng: Rng, program: Program) -> Program:
    if program.mesh is not None and rng.random() < 0.6:
        return _other_mesh(rng, program, program.mesh)
    bits, latency = program.channel.bits_per_cycle, program.channel.latency_cycles
    return _one_of(
        rng, replace(program, cores=(*program.cores, program.cores[0])), replace(program, cores=program.cores[1:]),
        replace(program, cores=(*program.cores, _one_of(rng, CHANNEL, "spare"))),
        replace(program, channel=ChannelSpec(_near(rng, bits), latency)),
        replace(program, channel=ChannelSpec(bits, _near(rng, latency))), replace(program, operations=()))


def _other_operation(rng: Rng, program: Program, op: Operation) -> Program:
    name = _one_of(rng, "layer", "tile", "timesteps", "deps", "deps", "deps")
    if name == "timesteps":
        return changed(program, op.id, timesteps=_near_span(rng, op.timesteps))
    if name != "deps":
        return changed(program, op.id, **{name: _near(rng, getattr(op, name))})
    deps = list(op.deps)
    if deps and rng.random() < 0.6:
        del deps[int(rng.integers(len(deps)))]
    else:
        deps.append(int(rng.integers(-1, len(program.operations))))
    return changed(program, op.id, deps=tuple(deps))


def _other_transfer(rng: Rng, program: Program, op: Transfer) -> Program:
    place = _one_of(rng, CHANNEL, *program.cores)
    if op.cargo is not None:
        return changed(program, op.id, **_one_of(
            rng, {"bits": 8}, {"cargo": None}, {"bits": 8, "cargo": None}, {"source": place}, {"targets": (place,)},
            {"targets": (place, *op.targets)}, {"targets": op.targets[1:]}, {"once": True}, {"memory": "weight"},
            {"tile": _near(rng, op.tile)}, {"cargo": replace(op.cargo, rows=_near_span(rng, op.cargo.rows))},
            {"cargo": replace(op.cargo, channels=_near_span(rng, op.cargo.channels))},
            {"cargo": replace(op.cargo, encoding=_one_of(rng, "aer", "bitmap", "smaller", "stream"))},
            {"cargo": replace(op.cargo, merged=not op.cargo.merged)}))
    return changed(program, op.id, **_one_of(
        rng, {"bits": _near(rng, int(op.bits))}, {"bits": 1.5}, {"rows": _near(rng, op.rows)}, {"once": not op.once},
        {"region": _near_span(rng, op.region)}, {"memory": _one_of(rng, *TRANSFER_EVENTS)}, {"source": place},
        {"targets": (place,)}, {"targets": ()}))


def _other_feed(rng: Rng, program: Program, run: Run) -> Program:
    feeds = list(run.feeds)
    at = int(rng.integers(len(feeds)))
    feed = feeds[at]
    planes, tiles = list(feed.planes), list(feed.tiles)
    other = int(rng.integers(-1, run.body.table.planes + 1))
    change = int(rng.integers(12))
    if change == 0:
        feeds = []
    elif change == 1:
        feeds.append(feed)
    elif change == 2:
        feeds.reverse()
    elif change == 3:
        feeds[at] = replace(feed, connection=_near(rng, feed.connection))
    elif change == 4:
        return changed(program, run.id, eots=_near(rng, run.eots))
    elif change == 5:
        return changed(program, run.id, pools=not run.pools)
    elif change < 9:
        new = _one_of(rng, planes[:-1], planes[::-1], [*planes, other], [*planes[:-1], other], planes * 2)
        feeds[at] = replace(feed, planes=tuple(new))
    elif change < 11:
        new = _one_of(rng, tiles[:-1], tiles[::-1], tiles * 2, [_near_span(rng, tiles[0]), *tiles[1:]])
        feeds[at] = replace(feed, tiles=tuple(new))
    else:
        height = run.body.connections[feed.connection].source_shape[1] if feed.connection < len(run.body.connections) else 1
        whole, cut = (0, height), (0, height // 2)
        feeds[at] = replace(feed, rows=_one_of(
            rng, (), (whole,) * len(tiles), feed.rows[::-1], feed.rows[1:], (_near_span(rng, whole), *feed.rows[1:]),
            (cut, *feed.rows[1:])))
    return changed(program, run.id, feeds=tuple(feeds))


def _other_body(rng: Rng, program: Program, run: Run) -> Program:
    body = run.body
    last = body.channels[1]
    if rng.random() < 0.2:
        return changed(program, run.id, on=_one_of(rng, CHANNEL, "spare", *program.cores))
    return with_body(program, run.id, **_one_of(
        rng, {"clear": not body.clear}, {"keep": not body.keep}, {"current_fed": not body.current_fed},
        {"first_plane": _near(rng, body.first_plane)}, {"last_channel": _one_of(rng, None, _near(rng, last))},
        {"groups": _near_span(rng, body.groups)}, {"rows": _one_of(rng, None, _near_span(rng, body.row_span))},
        {"potential_bits": _one_of(rng, 0, 1, 2, 4, 30, 40, 62, 63, 64, 65)},
        {"current_bits": _one_of(rng, 0, 1, 2, 4, 30, 40, 62, 63, 64, 65)},
        {"shape": tuple(_near(rng, n) for n in body.shape)}, {"shape": body.shape[::-1]},
        {"payload_bits": _one_of(rng, (), tuple(4 - n for n in body.payload_bits), (*body.payload_bits, 0))},
        {"connections": _one_of(rng, body.connections[:-1], body.connections * 2, program.network.layers[0].connections)}))


def _other_core(rng: Rng, program: Program, run: Run) -> Program:
    core = run.body.core
    change = _one_of(
        rng, {"lanes": _near(rng, core.lanes)}, {"fifo_depth": _near(rng, core.fifo_depth)},
        {"scan_bits": _near(rng, core.scan_bits)}, {"accumulators": _near(rng, core.accumulators)},
        {"adders": _near(rng, core.adders)}, {"bypass": not core.bypass}, {"buffer": _one_of(rng, "aer", "bitmap", "heap")},
        {"order": _one_of(rng, "scatter", "gather")}, {"planes_per_token": _one_of(rng, "one", "all")},
        {"multiplier": _one_of(rng, "parallel", "bit_serial")}, {"writer": _one_of(rng, "serial", "word")},
        {"membrane_ports": _one_of(rng, "1r1w", "1rw")}, {"passes": _one_of(rng, "by_pass", "by_word")},
        {"buffer": "bitmap", "order": "gather"}, {"buffer": "bitmap", "order": "gather", "planes_per_token": "all"},
        {"potential_bits": _one_of(rng, 0, 64)}, {"current_bits": _one_of(rng, 0, 64)})
    if rng.random() < 0.7:
        program = with_core(program, run.on, **change)
        if change.get("planes_per_token") == "all" and rng.random() < 0.8:
            for one in list(program.runs):
                program = changed(program, one.id, eots=1) if one.on == run.on else program
        return program
    return with_body(program, run.id, core=replace(core, **change))


def _other_table(rng: Rng, program: Program, run: Run) -> Program:
    table = run.body.table
    return with_table(program, run.id, **_one_of(
        rng, {"planes": _near(rng, table.planes)}, {"weigh_planes": not table.weigh_planes}, {"direct": not table.direct},
        {"reset": _one_of(rng, "soft", "hard", "none")}, {"leak_shift": _one_of(rng, None, -1, 0, 1, 30, 63, 64)},
        {"max_level": _one_of(rng, -1, 0, 3, 15, 16, 300)}, {"spike_shift": _one_of(rng, -1, 0, 1, 7, 40, 62, 63)},
        {"flagged": not table.flagged}, {"initial": table.initial + _one_of(rng, 1, 60, 1 << 20, 1 << 40)},
        {"initial": table.initial[:1]}, {"addend": _one_of(rng, None, table.initial, table.initial + (1 << 61))},
        {"passes": table.passes[::-1]}, {"passes": table.passes[:-1]}, {"passes": table.passes * 2}))


def _other_pass(rng: Rng, program: Program, run: Run) -> Program:
    passes = list(run.body.table.passes)
    if not passes:
        return with_table(program, run.id, passes=(Pass(1, "readout"),))
    at = int(rng.integers(len(passes)))
    one = passes[at]
    name = _one_of(rng, *(field.name for field in fields(Pass)))
    value = _one_of(rng, "fire", "shift", "readout", "requant", "mask", "reinitialise", "wait") if name == "kind" else (
        _one_of(rng, "ignore", "masked", "fire_once", "look") if name == "flags" else not one.add if name == "add" else
        _one_of(rng, -1, 0, 1, 5, 100, 1 << 40, 1 << 63) if name == "threshold" else _near(rng, getattr(one, name)))
    passes[at] = replace(one, **{name: value})
    return with_table(program, run.id, passes=tuple(passes))
