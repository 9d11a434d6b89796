"""Arithmetic of cores, as the units tables see it: terms of events, and parts of a core of which no logic was synthesised.

A term is an operation of the units table with its widths in bits. What a kind of core has is in its own folder
(hwsim/cores/KIND/parts.py); here is what several kinds share. Synthesised gates are in hwsim/cores/logic.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from hwsim.passes import DECAY_BITS

OperationName = Literal["add", "mult", "shift", "compare", "reset", "clear", "register"]
"""Operations of a units table (hwsim/cost/technology)."""
CONNECTION_BITS = 2
"""Tells apart the connections that feed a layer, up to four."""
POOL_BITS = 8
"""Adder of the pooling unit: sums of a window's payloads."""
RECIPROCAL_BITS = 16
"""The multiplier that replaces a requantiser's division, a fixed-point reciprocal of the threshold."""

WIDEST_BANK_BITS = 128
"""The widest bank of a memory; a wider row is split into banks that work together (hwsim/cost/memory.py)."""

Term = tuple[OperationName, tuple[int, ...]]


class ArrayKind(NamedTuple):
    """What a memory is built as: its ports, and what its organisation saves."""

    ports: Literal["1rw", "1r1w"]
    """One port that reads or writes, or one that reads and one that writes."""
    objective: Literal["read", "read_write"]
    """The least read energy, or the least mean of read and write energy."""

    def __str__(self) -> str:
        return f"{self.ports} for {'reads' if self.objective == 'read' else 'reads and writes'}"


WRITTEN_ONCE = ArrayKind("1rw", "read")
"""Weights and biases: nothing writes them during a run (R25)."""
ONE_PORT = ArrayKind("1rw", "read_write")
TWO_PORTS = ArrayKind("1r1w", "read_write")
"""A memory that is read and written in one cycle."""


@dataclass(frozen=True)
class Part:
    """`count` pieces of hardware, each made of `terms`: (operation of the units table, widths in bits)."""

    component: str
    count: int
    terms: tuple[Term, ...]


def bits_of_bank(row_bits: int) -> int:
    """Bits of a memory's row that lie in each of its banks."""
    return -(-row_bits // -(-row_bits // WIDEST_BANK_BITS))


def token_bits(design: Any) -> int:
    """Bits of a FIFO token: end-of-timestep mark, connection, address, payload."""
    bits: int = 1 + CONNECTION_BITS + design.spike_buffer.address_bits + design.core.payload_bits
    return bits


def requantiser(potential_bits: int) -> tuple[Term, ...]:
    """A multiplication by the threshold's reciprocal and an addition that rounds."""
    return ("mult", (potential_bits, RECIPROCAL_BITS)), ("add", (potential_bits,))


def shared_terms(design: Any) -> dict[str, tuple[Term, ...]]:
    """The papers' arithmetic on a core with lanes or an array: what each event of the compute scope uses."""
    bits: tuple[int, ...] = (design.core.potential_bits,)
    return {
        "acc_add": (("add", bits),),
        "bias_add": (("add", bits),),
        "sum_add": (("add", bits),),
        "weight_shift": (("shift", bits),),
        "membrane_shift": (("shift", bits),),
        "threshold_shift": (("shift", bits),),
        "leak": (("shift", bits), ("add", bits)),
        "decay": (("mult", (*bits, DECAY_BITS)),),
        "cmp": (("compare", bits),),
        "reset_sub": (("reset", bits),),
        "reset_zero": (("clear", bits),),
        "requant": requantiser(design.core.potential_bits),
    }


def multiplication(design: Any, payload_bits: int | None) -> dict[str, tuple[Term, ...]]:
    """The event `mult` of a product with an operand of `payload_bits` (None: the multiplier's own width), if there is one."""
    bits = design.core.payload_bits if payload_bits is None else payload_bits
    return {"mult": (("mult", (design.core.weight_bits, bits)),)} if bits >= 1 else {}
