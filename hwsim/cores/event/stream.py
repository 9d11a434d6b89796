"""Samples in a row on event cores: the list of all of them (C9), with the cycles and bits that each sample took by itself.

What a run or a transfer takes does not depend on when it happens, so one replay of each sample is enough.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hwsim.arch import Architecture
from hwsim.cores.event.mapping import map_network
from hwsim.cores.model import Streamed
from hwsim.links import MeshSpec
from hwsim.program import CoreOperation, Operation, OperationList, Program, ProgramError, Transfer, Wait
from hwsim.record import Engine, SampleRecord
from hwsim.schedules import build_program
from hwsim.schedules.base import Schedule
from hwsim.schedules.on_links import stream_on_links
from hwsim.snn.network import Network


def stream(
    network: Network, arch: Architecture, schedule: Schedule, records: Sequence[SampleRecord], engine: Engine
) -> Streamed:
    """The samples of some records, in order and without a pause between them.

    Raises ProgramError without a network of links, MappingError where buffers are too small for more than one sample.
    """
    if arch.network is None:
        raise ProgramError(f"{arch.name}: samples are streamed back to back on chips with a network of links; give it `network`")
    mapping = map_network(network, arch, schedule, len(records))
    program, samples = stream_on_links(mapping, schedule, len(records))
    alone = {_what(op): op.id for op in build_program(mapping, schedule).operations}
    operations: list[Operation] = []
    cycles = []
    for op, sample in zip(program.operations, samples, strict=True):
        record, at = records[sample], alone.get(_what(op), -1)
        if isinstance(op, Transfer) and op.cargo is not None:
            assert record.bits is not None
            op = replace(op, bits=int(record.bits[at]), cargo=None)
        operations.append(op)
        cycles.append(int(record.end[at] - record.start[at]) if isinstance(op, CoreOperation) else 0)
    assert program.mesh is not None
    times, unhindered = (
        engine.run_list(OperationList(program.cores, program.channel, mesh, tuple(operations)), cycles)
        for mesh in (program.mesh, free_links(program.mesh)))

    works = np.array([not (op.setup or isinstance(op, Wait)) for op in operations])
    of = np.array(samples)
    spans = (times.end - times.start).tolist()
    busy: Counter[str] = Counter()
    for held, span in zip(times.held, spans, strict=True):
        busy.update(dict.fromkeys(held, span))
    of_sample = [works & (of == s) for s in range(len(records))]
    return Streamed(
        first=np.array([times.start[mine].min() for mine in of_sample], np.int64),
        last=np.array([times.end[mine].max() for mine in of_sample], np.int64),
        last_free=np.array([unhindered.end[mine].max() for mine in of_sample], np.int64), busy=dict(busy),
        ticks=np.array([times.start[op.id] for op in operations if isinstance(op, Wait)], np.int64))


def without_links(program: Program, record: SampleRecord, engine: Engine) -> int:
    """Cycles of a sample if links were free: nothing waits for one, and nothing takes time on one (law 6)."""
    assert program.mesh is not None
    assert record.bits is not None
    operations = [replace(op, bits=int(record.bits[op.id]), cargo=None) if isinstance(op, Transfer) else op
                  for op in program.operations]
    cycles = (record.end - record.start).tolist()
    mesh = free_links(program.mesh)
    return int(engine.run_list(OperationList(program.cores, program.channel, mesh, tuple(operations)), cycles).end.max())


def free_links(mesh: MeshSpec) -> MeshSpec:
    """The same mesh, whose links take no time."""
    return replace(mesh, flit_bits=None, hop_cycles=0)


def _what(op: Operation) -> tuple[object, ...]:
    """What tells an operation from the others of its sample, of runs and of planes that travel."""
    return type(op), op.layer, op.tile, op.timesteps, op.label
