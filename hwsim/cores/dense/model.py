"""The dense bit-serial core as a core model: cycles and counts that no sample changes, values computed for each.

Zeros take their time: an operation on a value of n bits takes ceil(n / adders) cycles whatever the value, and every value is a
token. That is what a core that skips zeros does with values whose bits are all set, so its engine, fed with them once, tells what
every sample takes (docs/baselines.md has the closed form of a run, which the tests hold this to). Values are read packed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import INDEX
from hwsim.arch import Architecture
from hwsim.cores.base import CoreDesign
from hwsim.cores.dense.values import rows_of_values
from hwsim.cores.event.mapping import map_network
from hwsim.cores.event.model import EventModel
from hwsim.cores.model import CoreModel, Machine
from hwsim.engine import make_engine
from hwsim.mapping import MappingError, refusal
from hwsim.program import Program
from hwsim.record import SampleRecord
from hwsim.schedules import build_program
from hwsim.schedules.base import Schedule
from hwsim.snn.network import Network
from hwsim.snn.sample import Sample


class DenseModel(EventModel):
    """Implements hwsim.cores.model.CoreModel."""

    timed = several = False
    note = "a dense bit-serial core adds zero bits too: compare its pJ/SOP with care"

    def check(self, network: Network, arch: Architecture, schedule: Schedule) -> None:
        if reasons := _misfits(network):
            raise MappingError(refusal(arch, schedule.name, reasons))
        map_network(network, arch, schedule)

    def machine(self, network: Network, arch: Architecture, schedule: Schedule, engine: str) -> Machine:
        self.check(network, arch, schedule)
        program, chosen = build_program(map_network(network, arch, schedule), schedule), make_engine(engine)

        @cache
        def dense() -> SampleRecord:
            return logged(full_sample(network), "trace", False, ())

        def logged(sample: Sample, spikes: str, check: bool, operations: Collection[int]) -> SampleRecord:
            """Cycles, counts and outputs are those of the full sample, whatever the sample: nothing is compared with it."""
            return packed(program, chosen.run_sample(program, full_sample(network), "trace", operations, engine != "fast"))

        def always(record: SampleRecord) -> SampleRecord:
            return replace(record, start=dense().start, end=dense().end, counts=dense().counts)

        def timing(sample: Sample) -> SampleRecord:
            return always(chosen.run_sample(program, sample, "trace", check=False))

        run: Callable[[Sample, str], SampleRecord] = lambda sample, spikes: always(  # noqa: E731
            chosen.run_sample(program, sample, spikes))
        return Machine(program, run, engine, timing if engine == "fast" else None, logged=logged)

    def label(self, design: CoreDesign) -> str:
        return "dense bit-serial"


def full_sample(network: Network) -> Sample:
    """Values whose bits are all set; of signed ones, all bits of the magnitude."""
    spec = network.input
    recorded = {layer.name: _full((layer.timesteps, *layer.shape[1:], layer.shape[0]), layer.payload_bits)
                for layer in network if layer.sends}
    bits = spec.payload_bits - (1 if spec.signed else 0)
    return Sample(_full((1, *spec.shape[1:], spec.shape[0]), bits), recorded)


def _full(shape: tuple[int, ...], bits: int) -> NDArray[np.int32]:
    return np.full(shape, (1 << bits) - 1, np.int32)


def packed(program: Program, record: SampleRecord) -> SampleRecord:
    """The counts with values that are read packed, row by row, instead of one by one beside bits of presence."""
    counts = record.counts.copy()
    counts[:, :, INDEX["payload_read_bits"]] = 0
    for op in program.runs:
        counts[op.id, :, INDEX["buffer_read"]] = 0
        counts[op.id, 0, INDEX["buffer_read"]] = rows_of_values(program.network, op)
    return replace(record, counts=counts)


def _misfits(network: Network) -> list[str]:
    if not network.is_ann or not network.input.is_direct:
        return ["a dense bit-serial core takes the multi-bit activations of a quantised ANN; use an architecture with core.kind "
                "event for spikes"]
    return [f"layer {layer.name}: a pooling unit's sum of {c.source} has no fixed bits to add one by one; pool folded"
            for layer in network for c in layer.connections if c.pool_mode == "unit"]


MODEL: CoreModel = DenseModel()
