"""A pipeline of a file as a list of operations: what rule C9 makes of it, and the mistakes that it can have."""

from __future__ import annotations

from collections.abc import Iterator

from hwsim.links import CHANNEL
from hwsim.program import CoreOperation, Operation, OperationList, Transfer, Wait
from hwsim.schedules.listing import ListError, Step, discipline_named, steps_of
from hwsim.schedules.stages import INPUT, Pipeline, Stage, StageTile, Wire
from hwsim.verify.chip_fields import InputFields, LayerFields, PipelineCaseFields


def pipeline_of(case: PipelineCaseFields) -> Pipeline:
    """Stages and wires. Without a network nothing travels, and there is no input."""
    return Pipeline(
        tuple(map(_stage, case.layers)),
        tuple(Wire(wire.source, wire.target, wire.kernel, wire.stride, wire.padding) for wire in case.connections),
        case.timesteps, _stage(case.input) if case.input is not None and case.network is not None else None,
        travels=case.network is not None, leaves=case.output)


def _stage(fields: InputFields) -> Stage:
    return Stage(fields.height, tuple(StageTile(tile.core, (tile.rows[0], tile.rows[1])) for tile in fields.tiles))


def steps_of_case(case: PipelineCaseFields) -> tuple[Step, ...]:
    """Raises ListError where no list can be made."""
    return steps_of(pipeline_of(case), discipline_named(case.schedule, case.order), case.buffer_planes, case.barrier is not None)


def list_of_case(case: PipelineCaseFields, steps: tuple[Step, ...]) -> tuple[OperationList, list[int]]:
    """The steps as operations, and the cycles of those that are runs."""
    operations = tuple(_operation(case, place, step) for place, step in enumerate(steps))
    cycles = [case.layers[step.stage].cycles[step.item][step.tile] if step.kind == "run" else 0 for step in steps]
    return OperationList(tuple(case.cores), case.spec(), case.mesh(), operations), cycles


def _operation(case: PipelineCaseFields, place: int, step: Step) -> Operation:
    if step.kind == "barrier":
        return Wait(id=place, deps=step.deps, cycles=case.barrier or 0)
    core = CHANNEL if step.stage == INPUT else case.layers[step.stage].tiles[step.tile].core
    if step.kind == "run":
        return CoreOperation(id=place, deps=step.deps, layer=step.stage, tile=step.tile, on=core)
    return Transfer(id=place, deps=step.deps, layer=step.stage, tile=step.tile, source=core, targets=step.targets, memory="spike",
                    bits=case.bits(step.stage, step.item, step.tile))


def pipeline_misfits(case: PipelineCaseFields) -> Iterator[str]:
    """What is wrong with a pipeline beside its chip, each with its place."""
    try:
        if case.barrier is not None and not discipline_named(case.schedule, case.order).ticks:
            yield f"barrier: found {case.barrier}, and {case.schedule} in {case.order} order has no ticks for one; use null"
    except ListError as error:
        yield f"schedule, order: {error}"
    if case.channel is None and case.network is not None and (case.input is not None or case.output):
        yield "channel: found null, and the input or the output goes over it; give one"
    for place, stage in [*([("input", case.input)] if case.input else []), *((f"layers[{n}]", one) for n, one in
                                                                          enumerate(case.layers))]:
        yield from (f"{place}.{text}" for text in _stage_misfits(case, stage))
    for n, wire in enumerate(case.connections):
        if not wire.source < wire.target < len(case.layers):
            yield (f"connections[{n}]: found source {wire.source} and target {wire.target}, expected a layer before a layer, "
                   f"0 to {len(case.layers) - 1}, or -1 for the input")
        elif wire.source == INPUT and case.input is None and case.network is not None:
            yield f"connections[{n}].source: found -1, and there is no input; give one, or leave the connection out"


def _stage_misfits(case: PipelineCaseFields, stage: InputFields) -> Iterator[str]:
    for n, tile in enumerate(stage.tiles):
        if not tile.rows[0] < tile.rows[1] <= stage.height:
            yield f"tiles[{n}].rows: found {tile.rows}, expected [a, b) within {stage.height} rows"
        if tile.core not in case.cores:
            yield f"tiles[{n}].core: found {tile.core!r}, expected one of {', '.join(case.cores)}"
    tables = [("spikes", stage.spikes), *([("cycles", stage.cycles)] if isinstance(stage, LayerFields) else [])]
    for name, table in tables:
        if len(table) != case.timesteps or any(len(row) != len(stage.tiles) for row in table):
            yield f"{name}: found {len(table)} rows, expected {case.timesteps} of {len(stage.tiles)} numbers: [timestep][tile]"
