"""ODIN as a core model: a crossbar with operations of its own, on two engines of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hwsim.arch import Architecture
from hwsim.cores.base import CoreDesign
from hwsim.cores.logic import Logic
from hwsim.cores.model import CoreModel, Machine
from hwsim.cores.odin.fields import OdinDesign
from hwsim.cores.odin.logic import logic
from hwsim.cores.odin.parts import terms
from hwsim.cores.odin.placement import place
from hwsim.cores.odin.replay import OdinReplay, odin_program
from hwsim.cores.parts import Part, Term
from hwsim.schedules.base import Schedule
from hwsim.snn.network import Connection, Network

ROWS = ("weight_read", "weight_write", "membrane_read_accumulate", "membrane_write_accumulate", "membrane_read_fire",
        "membrane_write_fire")
SENT = ("fifo_push", "fifo_pop", "spike_out")


class OdinModel:
    """Implements hwsim.cores.model.CoreModel."""

    timed = several = False
    note = ""
    events: Collection[str] | None = frozenset({*ROWS, *SENT, *terms()})

    def engine_of(self, asked: str) -> str:
        return asked

    def check(self, network: Network, arch: Architecture, schedule: Schedule) -> None:
        place(network, arch, schedule)

    def machine(self, network: Network, arch: Architecture, schedule: Schedule, engine: str) -> Machine:
        placement = place(network, arch, schedule)
        program = odin_program(placement, arch, schedule)
        return Machine(program, OdinReplay.by_name(placement, program, engine).record, engine)

    def operand_bits(self, network: Network, connection: Connection) -> int:
        return 0

    def memories_used(self, network: Network, arch: Architecture) -> tuple[str, ...]:
        return ("weight", "membrane")

    def parts(self, design: OdinDesign, registers_apart: bool) -> list[Part]:
        return []  # all that is modelled was synthesised

    def terms(self, design: OdinDesign, payload_bits: int | None) -> Mapping[str, tuple[Term, ...]]:
        return terms()

    def logic(self, design: OdinDesign, payload_bits: int | None) -> Logic:
        return logic(design)

    def size(self, design: CoreDesign) -> str:
        assert isinstance(design, OdinDesign)
        return f"{design.core.neurons} neurons"

    def label(self, design: CoreDesign) -> str:
        return "ODIN"


MODEL: CoreModel = OdinModel()
