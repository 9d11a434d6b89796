"""A quantised ANN on a systolic array, replayed: cycles and counts in closed form once, outputs exactly for each sample."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX
from hwsim.arch import Architecture
from hwsim.checks.program import check_program
from hwsim.cores.systolic.mapping import map_systolic
from hwsim.cores.systolic.work import RunCost, run_cost
from hwsim.engine.fast.order import ListPack
from hwsim.passes import PassTable
from hwsim.program import CoreOperation, Feed, Operation, Program, Transfer
from hwsim.record import SampleRecord
from hwsim.schedules.base import Schedule
from hwsim.schedules.builder import ProgramBuilder
from hwsim.schedules.layer_by_layer import LAYER_BY_LAYER
from hwsim.snn.forward import layer_sums, to_planes
from hwsim.snn.network import INPUT, Network
from hwsim.snn.sample import Sample

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class ArrayRun(CoreOperation):
    """The array at work on one tile: cycles and counts that no sample changes."""

    cost: RunCost


@dataclass(frozen=True, eq=False)
class SystolicReplay:
    """A network on a systolic array: the same for every sample.

    program   operations in list order; its runs are ArrayRuns.
    start, end   (operations,) cycles.    counts   (operations, 1, len(EVENTS)).    macs   (operations,) of the array.
    """

    program: Program
    arch: Architecture
    tables: tuple[PassTable, ...]
    start: IntArray
    end: IntArray
    counts: IntArray
    macs: IntArray

    @property
    def cycles(self) -> int:
        """Cycles of one sample, end to end."""
        return int(self.end.max(initial=0))

    @property
    def utilisation(self) -> float:
        """Multiply-accumulates over elements x elapsed cycles."""
        return float(self.macs.sum()) / (self.arch.pe_count * max(1, self.cycles))

    def record(self, sample: Sample, spikes: str = "trace") -> SampleRecord:
        """What an engine would report: cycles and counts as for every sample, outputs and sums computed exactly.

        `spikes` trace: layers read the recorded activations; computed: layer feeds layer. A final sum beyond the
        potential's width is clipped and counts one saturation.
        """
        network = self.program.network
        planes: dict[str, NDArray[np.integer]] = {INPUT: sample.inputs}
        outputs, potentials = dict[str, NDArray[np.integer]](), dict[str, IntArray]()
        saturations = np.zeros(len(network.layers), np.int64)
        mismatches = np.full(len(network.layers), -1, np.int64)
        for i, (layer, table) in enumerate(zip(network, self.tables, strict=True)):
            recorded = sample.recorded.get(layer.name)
            if network.has_weights:
                sums = layer_sums(network, layer, planes).sum(axis=0) + table.initial
                limit = 1 << (min(layer.potential_bits, self.arch.core.potential_bits) - 1)
                potentials[layer.name] = np.clip(sums, -limit, limit - 1)
                saturations[i] = int((potentials[layer.name] != sums).sum())
            if not layer.sends:
                continue
            if network.has_weights:
                levels = np.clip(potentials[layer.name] // table.passes[0].threshold, 0, table.max_level)
                outputs[layer.name] = to_planes(levels[None])
            elif recorded is not None:
                outputs[layer.name] = recorded
            if network.has_weights and recorded is not None:
                mismatches[i] = int((outputs[layer.name] != recorded).sum())
            planes[layer.name] = recorded if spikes == "trace" and recorded is not None else outputs[layer.name]
        return SampleRecord(self.start, self.end, self.counts, saturations, mismatches, outputs, potentials)


def systolic_replay(network: Network, arch: Architecture, schedule: Schedule = LAYER_BY_LAYER) -> SystolicReplay:
    """Cycles and counts of a quantised ANN on a systolic array. Raises MappingError with every reason why not."""
    mapping, works = map_systolic(network, arch, schedule)
    build = ProgramBuilder(mapping, schedule.name)
    build.setup()
    build.load_input((0, 1))
    for i, (plan, work) in enumerate(zip(mapping.plans, works, strict=True)):
        feeds = tuple(Feed(n, (0,), ()) for n in range(len(plan.layer.connections)))
        for number, tile in enumerate(plan.tiles):
            loads = build.load_weights(i, number, tile, (0, 1))
            build.flush()
            make = partial(_array_run, tile.core, run_cost(work, tile, number))
            run = build.add_run(i, number, feeds, loads, loads, make)
            if not plan.layer.sends:
                build.later(partial(build.store_potentials, i, number, run, (0, 1)))
    build.flush()
    for i, plan in enumerate(mapping.plans):
        if plan.layer.sends and not build.is_read(plan.layer):
            build.store_outputs(i, (0, 1))
    program = build.program()
    check_program(program)
    cycles = [op.cost.cycles if isinstance(op, ArrayRun) else 0 for op in program.operations]
    times = ListPack(program).list_times(cycles)
    counts = np.zeros((len(program.operations), 1, len(EVENTS)), np.int64)
    for op in program.operations:
        for name, n in _counted(op).items():
            counts[op.id, 0, INDEX[name]] = n
    macs = np.array([op.cost.macs if isinstance(op, ArrayRun) else 0 for op in program.operations], np.int64)
    tables = tuple(work.table for work in works)
    return SystolicReplay(program, arch, tables, times.start, times.end, counts, macs)


def _array_run(core: str, cost: RunCost, known: dict[str, Any]) -> ArrayRun:
    return ArrayRun(**known, on=core, cost=cost)


def _counted(op: Operation) -> dict[str, int]:
    if isinstance(op, ArrayRun):
        return dict(op.cost.events)
    assert isinstance(op, Transfer)
    return op.counted(int(op.bits))
