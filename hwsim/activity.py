"""What the hardware did, in integers: the closed vocabulary of events and the frames that hold their counts.

An event has one unit (who did it), one scope (compute: arithmetic; core: everything else on chip; system: the channel)
and one meaning of a count. Engines fill arrays whose last axis is EVENTS; energy multiplies them by prices. An event
that is not in this list cannot be counted, and one that has no price is an error.
"""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """`counted` says what one count is."""

    name: str
    unit: str
    scope: str
    counted: str


VOCABULARY: tuple[Event, ...] = (
    Event("fifo_push", "fifo", "core", "token"),
    Event("fifo_pop", "fifo", "core", "token"),
    Event("addr_gen", "address_generator", "core", "membrane word addressed by an event or a pass"),
    Event("weight_read", "weight_memory", "core", "row"),
    Event("weight_write", "weight_memory", "core", "row, filled from the channel or written back"),
    Event("membrane_read_accumulate", "membrane_memory", "core", "word"),
    Event("membrane_read_shift", "membrane_memory", "core", "word"),
    Event("membrane_read_fire", "membrane_memory", "core", "word, fire, requant and count passes"),
    Event("membrane_read_readout", "membrane_memory", "core", "word"),
    Event("membrane_read_mask", "membrane_memory", "core", "word"),
    Event("membrane_read_transfer", "membrane_memory", "core", "word spilled to the channel"),
    Event("membrane_read_load", "membrane_memory", "core", "word loaded into an accumulator"),
    Event("membrane_write_clear", "membrane_memory", "core", "word, clear and reinitialise passes"),
    Event("membrane_write_accumulate", "membrane_memory", "core", "word"),
    Event("membrane_write_shift", "membrane_memory", "core", "word"),
    Event("membrane_write_fire", "membrane_memory", "core", "word"),
    Event("membrane_write_mask", "membrane_memory", "core", "word"),
    Event("membrane_write_readout", "membrane_memory", "core", "word, when the read-out pass adds a bias"),
    Event("membrane_write_store", "membrane_memory", "core", "word stored from an accumulator"),
    Event("membrane_write_transfer", "membrane_memory", "core", "word filled from the channel"),
    Event("membrane_read_banks", "membrane_memory", "core", "bank read, where banks without a real channel are gated"),
    Event("membrane_write_banks", "membrane_memory", "core", "bank written, where banks without a real channel are gated"),
    Event("accumulator_access", "accumulator_file", "core", "operation on a word held in accumulators (gather order)"),
    Event("current_read", "current_memory", "core", "word"),
    Event("current_write", "current_memory", "core", "word"),
    Event("current_read_banks", "current_memory", "core", "bank read, where banks without a real channel are gated"),
    Event("current_write_banks", "current_memory", "core", "bank written, where banks without a real channel are gated"),
    Event("bias_read", "bias_memory", "core", "word"),
    Event("bias_write", "bias_memory", "core", "word filled from the channel"),
    Event("mask_read", "mask_memory", "core", "word of flags, one a neuron"),
    Event("mask_write", "mask_memory", "core", "word of flags"),
    Event("buffer_read", "spike_buffer", "core", "row (AER: a token; bitmap: a scanned row)"),
    Event("buffer_write", "spike_buffer", "core", "row (a spike; a row cleared; a row filled from the channel)"),
    Event("payload_read_bits", "spike_buffer", "core", "bit of a value that is read beside its event"),
    Event("pool_update", "pooling_unit", "core", "spike counted or OR-ed by a pooling unit"),
    Event("acc_add", "accumulator", "compute", "real synapse"),
    Event("mult", "multiplier", "compute", "real synapse of a payload event"),
    Event("weight_shift", "shifter", "compute", "real synapse whose weight is shifted"),
    Event("membrane_shift", "shifter", "compute", "real neuron doubled"),
    Event("bias_add", "accumulator", "compute", "real neuron, bias or current added"),
    Event("sum_add", "accumulator", "compute", "real neuron, the sum of one plane added"),
    Event("leak", "leak", "compute", "real neuron that leaks, by a shift or by a constant"),
    Event("decay", "decay", "compute", "real neuron whose potential decays, a multiplication by 12 bits"),
    Event("cmp", "comparator", "compute", "real neuron compared with a threshold, or with zero by a mask pass"),
    Event("reset_sub", "reset", "compute", "neuron reset by subtraction, or that waits for its threshold (count pass)"),
    Event("reset_zero", "reset", "compute", "neuron reset to zero"),
    Event("requant", "requantiser", "compute", "real neuron requantised"),
    Event("threshold_shift", "shifter", "compute", "pass that compares with a shifted threshold"),
    Event("spike_out", "serialiser", "core", "spike or payload sent"),
    Event("reg_bits", "registers", "core", "operand register bit written at the lanes"),
    Event("link_bits", "link", "core", "bit moved over one link of the network"),
    Event("link_hops", "router", "core", "flit moved over one link of the network"),
    Event("channel_read_bits", "channel", "system", "bit"),
    Event("channel_write_bits", "channel", "system", "bit"),
    Event("cycles_busy", "core", "cycles", "cycle in which something issues"),
    Event("cycles_stall_hazard", "core", "cycles", "cycle lost to a read-after-write hazard"),
    Event("cycles_stall_port", "core", "cycles", "cycle lost because the memory's one port writes"),
    Event("cycles_stall_serialiser", "core", "cycles", "cycle in which EXEC waits for the serialiser"),
    Event("cycles_overlapped", "core", "cycles", "EOT or no-word event that issues while EXEC waits"),
)

EVENTS: tuple[str, ...] = tuple(event.name for event in VOCABULARY)
INDEX: dict[str, int] = {name: i for i, name in enumerate(EVENTS)}
LINK_EVENTS = frozenset(event.name for event in VOCABULARY if event.unit in ("link", "router"))
"""What the links between cores do."""
SCOPES = ("compute", "core", "system")

UNIT_OF = {
    "weight": "weight_memory", "membrane": "membrane_memory", "current": "current_memory", "bias": "bias_memory",
    "mask": "mask_memory", "spike": "spike_buffer",
}
"""The unit of VOCABULARY that each memory of an architecture is."""
