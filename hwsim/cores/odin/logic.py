"""The logic of an ODIN core: its blocks, and who works at what. Sizes: entries, bits.

Units are those of hwsim/rtl/odin_units.py, which were synthesised; the scheduler is the event core's FIFO with ODIN's depth and
width. One pair of adder and comparator serves all 256 neurons, so they work in every operation, whether or not a network uses
its neuron: an operation is charged with the word that it writes. docs/energy-model.md, "ODIN", has the numbers.
"""

from __future__ import annotations

from hwsim.cores.logic import Block, Clocked, Logic, Path, Use, Within, Work, busiest, moves_of
from hwsim.cores.odin.fields import OdinDesign

ENTRY_BITS = 13
"""Of the scheduler: 5 bits of a virtual event, 8 of an address."""
POINTER_FLIP_FLOPS = 8
"""Clocked with each entry besides its bits: the FIFO's pointers and counter."""
IDLE_FLIP_FLOPS = 22
"""Clocked in every cycle, whatever happens: the controller's 19, and the latches of the output link."""
SPIKE_FLIP_FLOPS = 10
"""Clocked with each spike: the address that leaves, the request, and that the link is busy."""
BUSIEST = ("membrane", "weight")
"""A neuron event touches a neuron's word in each operation, a synapse word in one of eight."""

FIELDS = dict.fromkeys(
    ("odin_neuron", "odin_controller", "odin_link", "odin_signs", "odin_bistability"), ("core.kind: odin", ""))


def logic(design: OdinDesign) -> Logic:
    """The core's logic."""
    entry = {"token_bits": ENTRY_BITS, "fifo_depth": design.core.scheduler.depth}
    operation: tuple[Use, ...] = (Work("neuron", "odin_neuron", "operation", {}),)
    within: tuple[Use, ...] = (
        Within("neuron", "the operation of the neuron, which is charged with the word that it writes (membrane_write_*)"),)
    return Logic(
        blocks=(
            Block("neuron", 1, "odin_neuron"), Block("controller", 1, "odin_controller"), Block("fifo", 1, "fifo", entry),
            Block("output_link", 1, "odin_link"), Block("sign_register", 1, "odin_signs"),
            Block("synapse_update", 1, "odin_bistability"),
        ),
        every_cycle=(Work("controller", "odin_controller", "cycle", {}),
                     Clocked(IDLE_FLIP_FLOPS, "states and latches that never rest")),
        events={
            "membrane_write_accumulate": operation, "membrane_write_fire": operation,
            **dict.fromkeys(("acc_add", "leak", "cmp", "reset_zero"), within),
            "weight_read": (Work("synapse_update", "odin_bistability", "word", {}),),
            "fifo_push": (Work("fifo", "fifo", "token", entry),
                          Clocked(ENTRY_BITS + POINTER_FLIP_FLOPS, "an entry and pointers")),
            "fifo_pop": (Work("sign_register", "odin_signs", "event", {}),),
            "spike_out": (Work("output_link", "odin_link", "spike", {}), Clocked(SPIKE_FLIP_FLOPS, "an address and a request")),
        },
        moves=moves_of(design.row_bits, {"weight": "weight", "membrane": "membrane"}),
        busiest=busiest(BUSIEST, design.capacities),
        paths=tuple(Path(f"{name} memory, neuron, write port", memory=memory, terms=(("add", (8,)), ("compare", (8,))))
                    for name, memory in (("neuron", "membrane"), ("synapse", "weight"))),
        fields=FIELDS,
    )
