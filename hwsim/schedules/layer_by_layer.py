"""Layer by layer: each layer (or tile of it) is one run with all its timesteps, then the next layer.

Weights are fetched once per sample at most, potentials of one tile at a time are on chip, and T planes of spikes wait in
the buffers. Bit-serial coding needs it.
"""

from __future__ import annotations

from functools import partial

from hwsim.mapping import Mapping
from hwsim.program import Program
from hwsim.schedules import listing
from hwsim.schedules.base import Schedule
from hwsim.schedules.builder import ProgramBuilder


def build_layer_by_layer(mapping: Mapping) -> Program:
    """The Program of one sample."""
    build = ProgramBuilder(mapping, LAYER_BY_LAYER.name)
    build.setup()
    network = mapping.network
    build.load_input((0, network.input.timesteps))
    for index, plan in enumerate(mapping.plans):
        reached = build.reached()
        span = (0, max(plan.layer.timesteps, plan.planes))
        for number, tile in enumerate(plan.tiles):
            feeds = tuple(build.feed(plan, n, build.every_plane(plan, tile, n)) for n in range(len(plan.layer.connections)))
            loads = build.load_weights(index, number, tile, (0, 1))
            build.flush()
            run = build.run(index, number, plan.tables[tile.core], feeds, (), span, clear=True, loads=loads)
            if not plan.layer.sends:
                build.later(partial(build.store_potentials, index, number, run, (0, plan.layer.timesteps)))
        if plan.layer.sends:
            build.later(partial(build.hand_over, index, (0, plan.layer.timesteps), reached))
    build.flush()
    for index, plan in enumerate(mapping.plans):
        if plan.layer.sends and not build.is_read(plan.layer):
            build.store_outputs(index, (0, plan.layer.timesteps))
    return build.program()


LAYER_BY_LAYER = Schedule(
    name="layer_by_layer", short="layer", build=build_layer_by_layer, states_wait=False,
    planes_wait=lambda timesteps: timesteps, misfits=lambda network: [],
    discipline=listing.WHOLE_SAMPLES)
