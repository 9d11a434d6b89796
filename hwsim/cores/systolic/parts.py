"""What a systolic array is made of; names are the units of activity.VOCABULARY."""

from __future__ import annotations

from hwsim.cores.parts import Part, Term, multiplication, requantiser, shared_parts, shared_terms
from hwsim.cores.systolic.fields import SystolicDesign


def parts(design: SystolicDesign, registers_apart: bool) -> list[Part]:
    """The array's hardware, memories apart. `registers_apart`: the units table's operations are without their registers."""
    core, count = design.core, design.pe_count
    held = core.weight_bits + core.potential_bits + core.payload_bits
    registers = [Part("registers", count, (("register", (held,)),))] if registers_apart else []
    return [
        Part("multiplier", count, (("mult", (core.weight_bits, core.payload_bits)),)),
        Part("accumulator", count, (("add", (core.potential_bits,)),)),
        Part("requantiser", core.columns, requantiser(core.potential_bits)),
        *registers,
        *shared_parts(design, design.row_bits["mask"], holds_value=True),
    ]


def terms(design: SystolicDesign, payload_bits: int | None) -> dict[str, tuple[Term, ...]]:
    """What each event uses."""
    return shared_terms(design, holds_value=True) | multiplication(design, payload_bits)
