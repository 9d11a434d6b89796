"""Layer by layer: each layer (or tile of it) is one run with all its timesteps, then the next layer.

Weights are fetched once a sample at most, potentials of one tile at a time are on chip, and T planes of spikes wait in the
buffers. Bit-serial coding needs it.
"""

from __future__ import annotations

from hwsim.mapping import LayerPlan, Mapping
from hwsim.program import Feed, Program
from hwsim.schedules.builder import ProgramBuilder


def layer_by_layer(mapping: Mapping) -> Program:
    """The Program of one sample."""
    build = ProgramBuilder(mapping, "layer_by_layer")
    build.setup()
    network = mapping.network
    build.load_input((0, network.input.timesteps))
    for index, plan in enumerate(mapping.plans):
        feeds = tuple(_feed(build, plan, n) for n in range(len(plan.layer.connections)))
        for number, tile in enumerate(plan.tiles):
            span = (0, max(plan.layer.timesteps, plan.table.planes))
            loads = build.load_weights(index, number, tile, (0, 1))
            build.run(index, number, tile, plan.table, feeds, (), span, clear=True, loads=loads)
    build.store_outputs()
    return build.program()


def _feed(build: ProgramBuilder, plan: LayerPlan, number: int) -> Feed:
    """All planes of a connection's source; shifted weights want the least significant bit plane first."""
    connection = plan.layer.connections[number]
    planes = tuple(range(build.mapping.network.source_timesteps(connection)))
    reverse = plan.table.weigh_planes
    return Feed(number, planes[::-1] if reverse else planes, build.tiles_of(connection))
