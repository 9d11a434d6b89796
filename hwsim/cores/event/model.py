"""The event core and its multiply-accumulate twin as a core model: mapped by tiles, run by the fast or the reference engine."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from hwsim.arch import Architecture
from hwsim.chip.slices import by_columns, laid_out, laid_out_sample
from hwsim.cores.base import CoreDesign
from hwsim.cores.event.fields import EventDesign
from hwsim.cores.event.logic import logic
from hwsim.cores.event.mapping import map_network
from hwsim.cores.event.parts import terms
from hwsim.cores.event.stream import stream, without_links
from hwsim.cores.model import CoreModel, Machine
from hwsim.cores.parts import Part
from hwsim.cores.provision import used_by_tables
from hwsim.engine import make_engine
from hwsim.mapping import lower
from hwsim.record import SampleRecord
from hwsim.schedules import build_program
from hwsim.schedules.base import Schedule
from hwsim.snn.network import Connection, Network
from hwsim.snn.sample import Sample
from hwsim.snn.turn import turned_planes, turned_states


class EventModel:
    """Implements hwsim.cores.model.CoreModel."""

    timed = several = True
    note = ""
    events: Collection[str] | None = None
    terms, logic = staticmethod(terms), staticmethod(logic)

    def engine_of(self, asked: str) -> str:
        return asked

    def check(self, network: Network, arch: Architecture, schedule: Schedule) -> None:
        map_network(laid_out(network, arch), arch, schedule)

    def machine(self, network: Network, arch: Architecture, schedule: Schedule, engine: str) -> Machine:
        network = laid_out(network, arch)
        program = build_program(map_network(network, arch, schedule), schedule)
        chosen = make_engine(engine)

        def run(sample: Sample, spikes: str, check: bool = True) -> SampleRecord:
            return _taken_back(chosen.run_sample(program, laid_out_sample(sample, arch), spikes, check=check), arch)

        def timing(sample: Sample) -> SampleRecord:
            return run(sample, "trace", check=False)

        def logged(sample: Sample, spikes: str, check: bool, operations: Collection[int]) -> SampleRecord:
            return chosen.run_sample(program, laid_out_sample(sample, arch), spikes, operations, check)

        return Machine(program, run, engine,
                       timing if engine == "fast" else None,
                       lambda records: stream(network, arch, schedule, records, chosen),
                       None if arch.network is None else lambda record: without_links(program, record, chosen), logged)

    def operand_bits(self, network: Network, connection: Connection) -> int:
        return network.carries_payload(connection)

    def memories_used(self, network: Network, arch: Architecture) -> tuple[str, ...]:
        cores = {(design.core.shift_at, design.core.pipes) for design in arch.cores if isinstance(design, EventDesign)}
        return used_by_tables(lower(network, layer, *core) for layer in network for core in sorted(cores))

    def parts(self, design: CoreDesign, registers_apart: bool) -> list[Part]:
        return []  # all of it was synthesised

    def size(self, design: CoreDesign) -> str:
        assert isinstance(design, EventDesign)
        return f"{design.core.lanes:,} lanes"

    def label(self, design: CoreDesign) -> str:
        assert isinstance(design, EventDesign)
        return "MAC core" if design.core.requantises else ""


def _taken_back(record: SampleRecord, arch: Architecture) -> SampleRecord:
    """What the chip made of a sample, with outputs and potentials as the network has them."""
    if not by_columns(arch):
        return record
    return replace(record, outputs=turned_planes(record.outputs), potentials=turned_states(record.potentials))


MODEL: CoreModel = EventModel()
