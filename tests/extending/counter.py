"""A kind of core that hwsim does not have, in one file and as small as one can be: it counts the spikes of every layer.

Its fields are what a YAML file says of it (kind: counter). Its operations are its own, and their cycles a closed form:
ceil(spikes / counters).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from hwsim.activity import EVENTS, INDEX
from hwsim.arch import Architecture
from hwsim.checks.program import check_program
from hwsim.cores.base import CoreDesign, CoreFields
from hwsim.cores.model import Machine
from hwsim.cores.parts import Part, Term
from hwsim.fields import Bits, Fields
from hwsim.mapping import MappingError, refusal
from hwsim.program import CHANNEL, CoreOperation, Program, Transfer
from hwsim.record import SampleRecord
from hwsim.schedules.base import Schedule
from hwsim.snn.network import Connection, Network
from hwsim.snn.sample import Sample


class CounterFields(CoreFields):
    """The fields under `core:`."""

    kind: Literal["counter"]
    """Counts the spikes of every layer, one per cycle and counter."""
    counters: int = Field(default=1, ge=1, le=64)
    """Spikes counted in one cycle."""
    count_bits: int = Field(default=16, ge=1, le=32)
    """Width of a count."""


class CounterMemories(Fields):
    """Its one memory."""

    spike: Bits
    """Rows of 32 bits, one spike each."""


class CounterDesign(CoreDesign):
    """A counter core."""

    core: CounterFields
    memories: CounterMemories

    timing_fields = ("count", "core.counters", "memories.spike")
    price_fields = ("core.count_bits",)

    @property
    def pe_count(self) -> int:
        return self.core.counters

    @property
    def row_bits(self) -> Mapping[str, int]:
        return {"spike": 32}

    @property
    def capacities(self) -> Mapping[str, int]:
        return {"spike": self.memories.spike}


@dataclass(frozen=True, eq=False, kw_only=True)
class Count(CoreOperation):
    """All spikes of one layer, counted."""


class CounterModel:
    """Implements hwsim.cores.model.CoreModel."""

    timed = several = False
    note = ""
    events = frozenset({"acc_add", "buffer_read", "buffer_write", "channel_read_bits", "channel_write_bits"})

    def engine_of(self, asked: str) -> str:
        return "closed_form"

    def check(self, network: Network, arch: Architecture, schedule: Schedule) -> None:
        if network.is_ann:
            raise MappingError(refusal(arch, schedule.name, ["the trace holds values, and a counter counts spikes"]))

    def machine(self, network: Network, arch: Architecture, schedule: Schedule, engine: str) -> Machine:
        self.check(network, arch, schedule)
        core = arch.core_names[0]
        load = Transfer(id=0, layer=-1, source=CHANNEL, targets=(core,), memory="spike", bits=64, rows=2)
        sending = [i for i, layer in enumerate(network) if layer.sends]
        counts = tuple(Count(id=n, deps=(n - 1,), layer=i, on=core) for n, i in enumerate(sending, 1))
        program = Program(network, (core,), arch.channel_spec(), schedule.name, (load, *counts))
        check_program(program)
        counters = arch.core.counters

        def run(sample: Sample, spikes: str) -> SampleRecord:
            size = len(program.operations)
            found = np.zeros((size, 1, len(EVENTS)), np.int64)
            for event, count in load.counted(64).items():
                found[0, 0, INDEX[event]] = count
            end = np.full(size, program.channel.cycles(64))
            for op in counts:
                spiked = int(np.count_nonzero(sample.recorded[network.layers[op.layer].name]))
                cycles = -(-spiked // counters)
                found[op.id, 0, INDEX["acc_add"]] = found[op.id, 0, INDEX["buffer_read"]] = spiked
                found[op.id, 0, INDEX["cycles_busy"]] = cycles
                end[op.id] = end[op.id - 1] + cycles
            start = np.concatenate([[0], end[:-1]])
            layers = len(network.layers)
            return SampleRecord(start, end, found, np.zeros(layers, np.int64), np.full(layers, -1), {}, {
                layer.name: np.zeros(layer.shape, np.int64) for layer in network})

        return Machine(program, run, "closed_form")

    def operand_bits(self, network: Network, connection: Connection) -> int:
        return 0

    def memories_used(self, network: Network, arch: Architecture) -> tuple[str, ...]:
        return ("spike",)

    def parts(self, design: CounterDesign, registers_apart: bool) -> list[Part]:
        return [Part("accumulator", design.core.counters, (("add", (design.core.count_bits,)),))]

    def terms(self, design: CounterDesign, payload_bits: int | None) -> Mapping[str, tuple[Term, ...]]:
        return {"acc_add": (("add", (design.core.count_bits,)),)}

    def logic(self, design: CounterDesign, payload_bits: int | None) -> None:
        """Nobody synthesised it."""

    def size(self, design: CounterDesign) -> str:
        return f"{design.core.counters} counters"

    def label(self, design: CounterDesign) -> str:
        return "counter"


DESIGN = CounterDesign
MODEL = CounterModel()
