"""Where layers are, what they read, what buffers hold, and what belongs to a run (C9): each broken twice, and a law that notices.

The lists themselves have mutants in tests/engine/test_chip_mutants.py; these are of what the lists are made for and written with.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from hwsim.arch import dump_architecture, rebuild_architecture
from hwsim.cores.event.mapping import map_network
from hwsim.mapping import Mapping
from hwsim.program import Run, Transfer
from hwsim.schedules import schedule_by_name
from hwsim.schedules.stages import Wire
from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import IntegrateAndFire
from hwsim.trace.reader import Trace
from hwsim.trace.synth import synthesise
from tests.chip.test_placement import by_hand, chip
from tests.conftest import ROOT
from tests.mutants.copies import Modules, copies_of, path_of, source_of
from tests.mutants.edits import Edit, apply

PLACEMENT, PIPELINES, BUFFERS = "hwsim.chip.placement", "hwsim.schedules.pipelines", "hwsim.cores.event.link_buffers"
LISTS, STREAM = "hwsim.schedules.on_links", "hwsim.stream"


@dataclass(frozen=True)
class Mutant:
    name: str
    module: str
    old: str
    new: str
    notices: Callable[[Any], bool]
    """Whether a law of the module is broken; it is given the module, harmed or not."""


@cache
def tiny() -> Trace:
    return synthesise("tiny", timesteps=3, density=0.2, samples=3, seed=1)


def mapped(schedule: str, weight: str = "64 KiB", **network: object) -> Mapping:
    """The tiny network on three cores, each layer whole."""
    data = dump_architecture(chip(4, placement=by_hand(tiny().network, "core0", "core1", "core2"), **network))
    data["cores"][0]["memories"]["weight"] = weight
    return map_network(tiny().network, rebuild_architecture(data), schedule_by_name(schedule))


def shares_are_no_parts(module: Any) -> bool:
    """Shares hold each channel of each row once; there are as many as cores while rows and groups of channels last."""
    for channels, height, lanes in ((16, 5, [8, 8, 4]), (16, 2, [8] * 6), (40, 7, [4, 16])):
        cores = [(f"core{n}", own) for n, own in enumerate(lanes)]
        shares = module.split((channels, height, 3), cores)
        places = [(c, row) for share in shares.values() for c in range(*share.channels) for row in range(*share.rows)]
        groups = -(-channels // lanes[0])
        if len(places) != len(set(places)) or len(places) != channels * height:
            return True
        if height < len(cores) and len(shares) != height * min(groups, len(cores) // height):
            return True
    return False


def fields_are_wrong(module: Any) -> bool:
    """Row y of a 3 x 3 convolution with padding 1 reads the pooled rows y - 1 to y + 1, each of them two rows of the source."""
    source = InputSpec((2, 8, 4), 3)
    pooled = Connection("input", "conv2d", source.shape, kernel=3, padding=1, pool=2, pool_mode="folded")
    layer = Layer("a", (4, 4, 2), (pooled,), IntegrateAndFire("soft"), 3, thresholds=np.full(3, 9))
    wire: Wire = module._wire(-1, 0, pooled, layer)
    return any(wire.field((y, y + 1), 8) != {row for row in range(8) if y - 1 <= row // 2 <= y + 1} for y in range(4))


def buffers_are_wrong(module: Any) -> bool:
    """Double buffers where nothing is said; a whole sample is one item."""
    cases = {("pipelined", None): 2, ("pipelined", 5): 5, ("layer_by_layer", None): 1, ("layer_by_layer", 6): 2}
    return any(module.buffer_planes_of(mapped(name, buffer_planes=given), schedule_by_name(name)) != planes
               for (name, given), planes in cases.items())


def needs_are_wrong(module: Any) -> bool:
    """Of every source that a core reads two planes, and two of every layer that it computes and that sends."""
    mapping, schedule = mapped("pipelined"), schedule_by_name("pipelined")
    network: Network = mapping.network
    for name in mapping.arch.core_names[:3]:
        mine = [n for n, plan in enumerate(mapping.plans) if any(tile.core == name for tile in plan.tiles)]
        row = mapping.arch.design_of(name).spike_buffer.scan_bits
        read = {wire.source for n in mine for wire in network.layers[n].connections} - {"input"}

        def planes(source: str, row: int = row) -> int:
            c, h, w = network.layer(source).shape
            return 2 * -(-c * h * w // row) * row

        core = module._Core(mapping, schedule, module.pipeline_of(mapping, schedule), name)
        got = {network.layers[at].name: bits for at, bits in core.inputs.items() if at >= 0}
        sent = {network.layers[n].name for n in mine if network.layers[n].sends}
        if got != {source: planes(source) for source in read}:
            return True
        if {network.layers[at].name: bits for at, bits in core.outputs.items()} != {source: planes(source) for source in sent}:
            return True
    return False


def lists_are_wrong(module: Any) -> bool:
    """A weight load comes before its run, has its key, and the run waits for it. A read-out leaves once, at the end."""
    mapping = mapped("pipelined", weight="9 KiB", stream_weights=True)
    operations = module.build_on_links(mapping, schedule_by_name("pipelined")).operations
    loads = [op for op in operations if isinstance(op, Transfer) and op.memory == "weight" and not op.setup]
    assert loads, "the weights do not stay"
    for load in loads:
        run = next(op for op in operations[load.id + 1 :]
                   if isinstance(op, Run) and (op.layer, op.tile) == (load.layer, load.tile))
        if load.id not in run.deps or run.timesteps != load.timesteps:
            return True
    last = len(mapping.network.layers) - 1
    stores = [op for op in operations if isinstance(op, Transfer) and op.kind == "store" and op.layer == last]
    ends = [op.id for op in operations if isinstance(op, Run) and op.layer == last]
    return len(stores) != len(mapping.plans[last].tiles) or ends[-1] not in stores[-1].deps


def leads_are_wrong(module: Any) -> bool:
    """A sample is followed by the next one after its items, and its deepest layer works as many ticks later as it is deep."""
    network = tiny().network
    depth, found = len(network.layers) - 1, module.lead_of(network, "pipelined", 1)
    return found != 1 + -(-depth // 3) or module.lead_of(network, "pipelined", 2) * 2 < found


MUTANTS = (
    Mutant("a core per row", PLACEMENT, "max(1, len(cores) // height)", "1", shares_are_no_parts),
    Mutant("rows without the core's own", PLACEMENT, "sum(lanes[: n + 1])", "sum(lanes[:n])", shares_are_no_parts),
    Mutant("a stride without its pool", PIPELINES, "stride * pool", "stride", fields_are_wrong),
    Mutant("a padding without its pool", PIPELINES, "padding * pool", "padding", fields_are_wrong),
    Mutant("double buffers of whole samples", PIPELINES, "max(1, (links.buffer_planes or 0) // any_steps)",
           "links.buffer_planes or BUFFER_PLANES", buffers_are_wrong),
    Mutant("single buffers", PIPELINES, "BUFFER_PLANES = 2", "BUFFER_PLANES = 1", buffers_are_wrong),
    Mutant("a plane of each source", BUFFERS, "min(given, any_items) * planes", "planes", needs_are_wrong),
    Mutant("no output buffer", BUFFERS, "self.outputs.get(source, 0) + self._bits(source, neurons, held)", "0", needs_are_wrong),
    Mutant("a run does not wait for its weights", LISTS, "(*deps, *loads, *fetched)", "(*deps, *fetched)", lists_are_wrong),
    Mutant("a read-out leaves each timestep", LISTS, "last and not plan.layer.sends", "not plan.layer.sends", lists_are_wrong),
    Mutant("a sample less under way", STREAM, "1 + ceil(any_share)", "ceil(any_share)", leads_are_wrong),
    Mutant("whole rounds only", STREAM, "ceil(under_way / samples)", "under_way // samples", leads_are_wrong),
)


def harmed(mutant: Mutant) -> Modules:
    tree = ast.parse(source_of(mutant.module))
    apply(Edit(mutant.module, "", mutant.old, mutant.new), tree, path_of(mutant.module).relative_to(ROOT).as_posix())
    return copies_of((mutant.module,), {mutant.module: tree})


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_mutant_is_noticed(mutant: Mutant) -> None:
    assert not mutant.notices(copies_of((mutant.module,), {mutant.module: ast.parse(source_of(mutant.module))})[mutant.module]), (
        "the unharmed module must keep the law")
    assert mutant.notices(harmed(mutant)[mutant.module])


def test_each_module_is_broken_twice() -> None:
    modules = [one.module for one in MUTANTS]
    assert all(modules.count(module) >= 2 for module in (PLACEMENT, PIPELINES, BUFFERS, LISTS, STREAM))
