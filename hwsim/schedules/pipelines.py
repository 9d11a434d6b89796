"""A mapped network as the pipeline that C9 orders: its layers as stages of tiles, its connections as wires."""

from __future__ import annotations

from hwsim.mapping import LayerPlan, Mapping, Tile
from hwsim.passes import BANKS
from hwsim.program import CHANNEL
from hwsim.schedules.base import Schedule
from hwsim.schedules.stages import INPUT, Pipeline, Stage, StageTile, Wire
from hwsim.snn.network import Connection, Layer

BUFFER_PLANES = 2
"""Items that a buffer holds per source where nothing else is said: double buffers."""


def pipeline_of(mapping: Mapping, schedule: Schedule, samples: int = 1) -> Pipeline:
    """The pipeline of so many samples in a row, each of `schedule.items`."""
    network, items = mapping.network, schedule.items(mapping.network)
    height = network.input.shape[1]
    return Pipeline(
        stages=tuple(Stage(plan.layer.shape[1], tuple(
            StageTile(tile.core, tile.rows, tile.spare_rows, _banks(mapping, plan, tile)) for tile in plan.tiles),
                           plan.layer.sends, plan.layer.name) for plan in mapping.plans),
        wires=tuple(_wire(network.index(wire.source), number, wire, layer) for number, layer in enumerate(network)
                    for wire in layer.connections),
        items=items * samples, source=Stage(height, (StageTile(CHANNEL, (0, height)),)), leaves=True,
        every=items if network.input.is_direct else 1)


def _banks(mapping: Mapping, plan: LayerPlan, tile: Tile) -> int:
    """Items whose sums a tile of a core with two pipes holds at once; a state that lives longer lets them take turns."""
    spec = mapping.arch.design_of(tile.core).core_spec()  # type: ignore[attr-defined]
    return BANKS if spec.pipes == "two" and plan.tables[tile.core].current_banks == BANKS else int(spec.pipes == "two")


def _wire(source: int, target: int, wire: Connection, layer: Layer) -> Wire:
    """What rows a connection reads (R25); pooling units and max pools work on the whole plane, whoever asks for a part of it."""
    whole = layer.shape[1]
    if wire.operator == "linear" or wire.pool_mode in ("unit", "max"):
        return Wire(source, target, whole=whole)
    (deep, stride, padding), pool = wire.axes[0], wire.pool
    return Wire(source, target, deep * pool, stride * pool, padding * pool, seen=wire.pooled_shape[1] * pool, whole=whole)


def buffer_planes_of(mapping: Mapping, schedule: Schedule) -> int:
    """Items that a buffer holds per source, in the items of the schedule.

    Where a run makes all planes of a sample they are one item, whatever the number of planes that the network is given.
    """
    links = mapping.arch.network
    assert links is not None
    given = links.buffer_planes or BUFFER_PLANES
    if schedule.apart or schedule.items(mapping.network) > 1:
        return given
    return max(1, (links.buffer_planes or 0) // max(layer.timesteps for layer in mapping.network))


__all__ = ["BUFFER_PLANES", "INPUT", "buffer_planes_of", "pipeline_of"]
