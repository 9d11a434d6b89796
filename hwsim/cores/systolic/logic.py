"""The logic of a systolic array: elements of synthesised arithmetic and flip-flops. Sizes: rows, columns, bits.

The tree has no RTL of an array, so what feeds it is lent by the event core: the sequencer's cycle, and a step of the address
generator for each row that a feeder or a drain addresses. Each use says so.
"""

from __future__ import annotations

from hwsim.cores.logic import Block, Clocked, Logic, Path, Sums, Use, Work, busiest, moves_of
from hwsim.cores.parts import POOL_BITS, requantiser, token_bits
from hwsim.cores.systolic.fields import SystolicDesign

BUSIEST = ("spike", "weight", "membrane", "bias", "mask", "current")
"""Activations and weights enter in every fold; sums leave and come back once a fold at most."""

LATCHED = "registers of the elements, which latch operands and sums"


def logic(design: SystolicDesign, payload_bits: int | None) -> Logic:
    """The array's logic; multiplications have an operand of `payload_bits` (None: the multiplier's own width)."""
    core, operand = design.core, design.core.payload_bits if payload_bits is None else payload_bits
    bits = core.potential_bits
    step: tuple[Use, ...] = (Work("address_generator", "address_generator", "operation", {}),)
    sent: tuple[Use, ...] = (*step, Work("serialiser", "serialiser", "spike", {"lanes": core.columns}))
    multiplied: tuple[Use, ...] = (Sums("multiplier", (("mult", (core.weight_bits, operand)),)),)
    product = {"mult": multiplied} if operand else {}
    return Logic(
        blocks=_blocks(design), every_cycle=(Work("sequencer", "sequencer", "cycle", {}),),
        events={
            **product, "acc_add": (Sums("accumulator", (("add", (bits,)),)),),
            "reg_bits": (Work("registers", "register", "bits", {"bits": 1}), Clocked(1, LATCHED)),
            "requant": (Sums("requantiser", requantiser(bits)),), "addr_gen": step, "buffer_write": sent, "weight_read": step,
            "buffer_read": step, "bias_read": step,
            "pool_update": (Sums("pooling_unit", (("add", (POOL_BITS,)),)), Clocked(POOL_BITS, "a window's sum")),
        },
        moves=moves_of(design.row_bits, {"weight": "weight", "membrane": "membrane"}),
        busiest=busiest(BUSIEST, design.capacities),
        paths=(Path("multiplier and adder of an element",
                    terms=(("mult", (core.weight_bits, core.payload_bits)), ("add", (bits,)))),),
    )


def _blocks(design: SystolicDesign) -> tuple[Block, ...]:
    core, elements = design.core, design.pe_count
    held = core.weight_bits + core.potential_bits + core.payload_bits
    token = {"token_bits": token_bits(design), "fifo_depth": core.fifo_depth}
    return (
        Block("multiplier", elements, terms=(("mult", (core.weight_bits, core.payload_bits)),)),
        Block("accumulator", elements, terms=(("add", (core.potential_bits,)),)),
        Block("registers", elements, "register", {"bits": held}),
        Block("requantiser", core.columns, terms=requantiser(core.potential_bits)),
        Block("fifo", 1, "fifo", token), Block("address_generator", 2, "address_generator"),
        Block("sequencer", 1, "sequencer"),
        Block("pooling_unit", 1, terms=(("add", (POOL_BITS,)),), flip_flops=POOL_BITS),
        Block("serialiser", 1, "serialiser", {"lanes": core.columns}),
    )
