"""What an event core and its multiply-accumulate twin are made of; names are the units of activity.VOCABULARY."""

from __future__ import annotations

from hwsim.cores.event.fields import EventDesign
from hwsim.cores.parts import Part, Term, multiplication, requantiser, shared_parts, shared_terms


def parts(design: EventDesign, registers_apart: bool) -> list[Part]:
    """The core's hardware, memories apart. `registers_apart`: the units table's operations are without their registers."""
    core = design.core
    held = core.weight_bits + core.potential_bits
    registers = [Part("registers", core.lanes, (("register", (held,)),))] if registers_apart else []
    lanes = _multiply_lanes(design) if core.requantises else _event_lanes(design)
    return [*lanes, *registers, *shared_parts(design, design.row_bits["mask"], core.requantises)]


def _event_lanes(design: EventDesign) -> list[Part]:
    core = design.core
    wide: tuple[int, ...] = (core.potential_bits,)
    found = [
        Part("accumulator", core.lanes, (("add", wide),)),
        Part("comparator", core.lanes, (("compare", wide),)),
        Part("reset", core.lanes, (("reset", wide),)),
        Part("shifter", core.lanes + 1, (("shift", wide),)),  # one more for the threshold, which all lanes share
    ]
    if core.payload_bits:
        found.append(Part("multiplier", core.lanes, (("mult", (core.weight_bits, core.payload_bits)),)))
    return found


def _multiply_lanes(design: EventDesign) -> list[Part]:
    core = design.core
    return [
        Part("multiplier", core.lanes, (("mult", (core.weight_bits, core.payload_bits)),)),
        Part("accumulator", core.lanes, (("add", (core.potential_bits,)),)),
        # Each lane tells whether its value is non-zero; these leave one per cycle, so one requantiser serves all lanes.
        Part("comparator", core.lanes, (("compare", (core.potential_bits,)),)),
        Part("requantiser", 1, requantiser(core.potential_bits)),
    ]


def terms(design: EventDesign, payload_bits: int | None) -> dict[str, tuple[Term, ...]]:
    """What each event uses."""
    return shared_terms(design, design.core.requantises) | multiplication(design, payload_bits)
