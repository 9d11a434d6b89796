"""Which runs of an event core's Program compute one tile of a layer: for RTL, vectors and testbenches."""

from __future__ import annotations

from hwsim.arch import Architecture
from hwsim.cores.model import core_model
from hwsim.engine.single_run import SingleRunError
from hwsim.program import Program, Run
from hwsim.schedules import schedule_by_name
from hwsim.trace.reader import Trace


def runs_of_tile(
    trace: Trace, arch: Architecture, layer: str, *, schedule: str = "layer_by_layer", tile: int = 0, timestep: int = 0,
) -> tuple[Program, list[Run]]:
    """The Program, and its runs of one tile of `layer` from the clear on up to the run that begins with `timestep`."""
    if not arch.is_one_core:
        raise SingleRunError(f"{arch.name} has {len(arch.core_names)} cores, and a run by itself, as its Verilog, is that of a "
                             "design of one core; give a design that has one (core, spike_buffer and memories at the top)")
    names = [one.name for one in trace.network]
    if layer not in names:
        raise SingleRunError(f"{trace.name}: no layer {layer!r}; its layers are {', '.join(names)}")
    order = schedule_by_name(schedule)
    program = core_model(arch.cores[0].core.kind).machine(trace.network, arch, order, "fast").program
    runs = [op for op in program.runs if op.layer == names.index(layer)]
    if not runs:
        raise SingleRunError(f"{arch.name} is a {arch.cores[0].core.kind} core: it has no event core; use core.kind event or "
                             "multiply_accumulate")
    tiles = 1 + max(op.tile for op in runs)
    if not 0 <= tile < tiles:
        raise SingleRunError(f"layer {layer} has no tile {tile}: {arch.name} cuts it into {tiles}, 0 to {tiles - 1}")
    runs = [op for op in runs if op.tile == tile]
    starts = [op.timesteps[0] for op in runs]
    if timestep not in starts:
        raise SingleRunError(f"layer {layer} has no run that begins with timestep {timestep} under {schedule}; runs begin "
                              f"with {', '.join(map(str, starts))}")
    return program, runs[: starts.index(timestep) + 1]
