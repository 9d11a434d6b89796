"""The systolic array as a core model: closed forms instead of an engine, quantised ANNs only."""

from __future__ import annotations

from collections.abc import Collection

from hwsim.arch import Architecture
from hwsim.cores.base import CoreDesign
from hwsim.cores.model import CoreModel, Machine
from hwsim.cores.parts import Part
from hwsim.cores.provision import used_by_counts
from hwsim.cores.systolic.fields import SystolicDesign
from hwsim.cores.systolic.logic import logic
from hwsim.cores.systolic.mapping import map_systolic
from hwsim.cores.systolic.parts import terms
from hwsim.cores.systolic.replay import systolic_replay
from hwsim.schedules.base import Schedule
from hwsim.snn.network import Connection, Network

ENGINE = "closed_form"


class SystolicModel:
    """Implements hwsim.cores.model.CoreModel."""

    timed = several = False
    note = "a systolic array's operations include the zeros and the padding that it multiplies: compare its pJ/SOP with care"
    events: Collection[str] | None = None
    terms, logic = staticmethod(terms), staticmethod(logic)

    def engine_of(self, asked: str) -> str:
        return ENGINE

    def check(self, network: Network, arch: Architecture, schedule: Schedule) -> None:
        map_systolic(network, arch, schedule)

    def machine(self, network: Network, arch: Architecture, schedule: Schedule, engine: str) -> Machine:
        replay = systolic_replay(network, arch, schedule)
        return Machine(replay.program, replay.record, ENGINE)

    def operand_bits(self, network: Network, connection: Connection) -> int:
        # Pooled windows are added up before they are multiplied.
        return network.pooled_bits(connection)

    def memories_used(self, network: Network, arch: Architecture) -> tuple[str, ...]:
        return used_by_counts(systolic_replay(network, arch).counts)

    def parts(self, design: CoreDesign, registers_apart: bool) -> list[Part]:
        return []  # all of it was synthesised

    def size(self, design: CoreDesign) -> str:
        assert isinstance(design, SystolicDesign)
        return f"{design.core.rows} x {design.core.columns} array"

    def label(self, design: CoreDesign) -> str:
        assert isinstance(design, SystolicDesign)
        return f"{design.core.dataflow.replace('_', '-')} array"


MODEL: CoreModel = SystolicModel()
