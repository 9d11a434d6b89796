"""Random networks placed on random chips with a network of links: any placement, schedule, buffers, barriers and encoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwsim.arch import SHORT_FORM, Architecture, dump_architecture, rebuild_architecture
from hwsim.chip.placement import placed
from hwsim.cores.event.mapping import map_network
from hwsim.links import LINK_ENCODINGS
from hwsim.mapping import Mapping
from hwsim.program import CoreOperation, OperationList, Program, ProgramError, Transfer, Wait
from hwsim.record import SampleRecord
from hwsim.schedules import SCHEDULES, Schedule, build_program
from hwsim.snn.network import Network
from tests.engine.random_designs import random_chip, random_dataflow, random_network

CODINGS = ("rate", "bit_serial", "rate", "quantised", "two_stage", "single_spike", "hybrid")
Rng = np.random.Generator
ROOMY = {name: "1 MiB" for name in ("weight", "membrane", "current", "bias", "mask")}


@dataclass(frozen=True)
class Placed:
    """A network on a chip, and the Program of one sample."""

    network: Network
    arch: Architecture
    schedule: Schedule
    mapping: Mapping
    program: Program


def random_links(rng: Rng, cores: tuple[str, ...], network: Network) -> dict[str, object]:
    """`network:` with small numbers, and nodes and layers anywhere."""
    width = int(rng.integers(1, len(cores) + 1))
    height = -(-len(cores) // width) + int(rng.integers(0, 2))
    nodes = [[x, y] for x in range(width) for y in range(height)]
    order = rng.permutation(len(nodes))
    by_hand = {layer.name: [str(core) for core in rng.permutation(cores)[: int(rng.integers(1, len(cores) + 1))]]
               for layer in network}
    return {
        "mesh": [width, height], "flit_bits": None if rng.random() < 0.2 else int(rng.integers(1, 40)),
        "hop_cycles": int(rng.integers(0, 4)), "address_bits": int(rng.integers(10, 17)), "header_bits": int(rng.integers(0, 9)),
        "encoding": str(rng.choice(LINK_ENCODINGS)), "channel_node": nodes[int(rng.integers(len(nodes)))],
        "nodes": {core: nodes[at] for core, at in zip(cores, order, strict=False)},
        "placement": [by_hand, by_hand, "auto", "spread"][int(rng.integers(4))],
        "buffer_planes": None if rng.random() < 0.5 else int(rng.integers(1, 6)),
        "barrier_cycles": int(rng.integers(0, 60)) if rng.random() < 0.15 else None,
        "tile_rows": None if rng.random() < 0.5 else int(rng.integers(1, 4)), "stream_weights": bool(rng.random() < 0.7),
    }


def on_links(
    chip: Architecture, links: dict[str, object], roomy: bool = False, flow: dict[str, object] | None = None
) -> Architecture:
    """A chip with a network of links; its memories, all of them large, or as they are, and its dataflow, one for all cores."""
    data = dump_architecture(chip)
    cores = data["cores"] if "cores" in data else [{name: data[name] for name in SHORT_FORM}]
    if flow:
        cores = [{**entry, "core": {**entry["core"], **flow}, "spike_buffer": {**entry["spike_buffer"], "kind": "bitmap"}}
                 for entry in cores]
    if roomy:
        cores = [{**entry, "memories": {**entry["memories"], **ROOMY}} for entry in cores]
    return rebuild_architecture({**{k: v for k, v in data.items() if k not in (*SHORT_FORM, "cores")},
                                 "cores": cores, "network": links})


def draw_placed(seed: int, schedule: str | None = None) -> Placed | None:
    """A random Program on links, or None when the mapping rightly refuses it."""
    rng = np.random.default_rng(seed)
    coding = CODINGS[seed % len(CODINGS)]
    network = random_network(rng, coding)
    chip = random_chip(rng, network, coding)
    flow = random_dataflow(rng, 0 if coding == "quantised" else 62) if rng.random() < 0.3 else None
    arch = on_links(chip, random_links(rng, chip.core_names, network), bool(rng.random() < 0.6), flow)
    chosen = SCHEDULES[schedule or str(rng.choice(sorted(SCHEDULES)))]
    try:
        mapping = map_network(network, placed(arch, network), chosen)
        return Placed(network, mapping.arch, chosen, mapping, build_program(mapping, chosen))
    except ProgramError:
        return None


def as_list(program: Program, record: SampleRecord) -> tuple[OperationList, list[int]]:
    """The operations with the bits and cycles that a sample gave them, without the sample."""
    assert record.bits is not None
    operations = []
    for op in program.operations:
        if isinstance(op, Transfer):
            op = Transfer(id=op.id, deps=op.deps, layer=op.layer, tile=op.tile, source=op.source, targets=op.targets,
                          memory=op.memory, bits=int(record.bits[op.id]), once=op.once)
        operations.append(op)
    spans = (record.end - record.start).tolist()
    cycles = [spans[op.id] if isinstance(op, CoreOperation) and not isinstance(op, Wait) else 0 for op in operations]
    return OperationList(program.cores, program.channel, program.mesh, tuple(operations)), cycles
