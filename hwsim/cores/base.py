"""What every core on a chip has as a design, whatever its kind: how many there are, and memories with rows.

The fields of a kind are its own (hwsim/cores/KIND/fields.py). Sizes in bits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from hwsim.cores.loop_nest import NestLine
from hwsim.cores.parts import TWO_PORTS, WRITTEN_ONCE, ArrayKind
from hwsim.fields import Fields


class CoreFields(Fields):
    """The fields under `core:` of any kind."""

    kind: str
    """Which core model it is: hwsim.cores.KINDS."""


class CoreDesign(Fields):
    """One kind of core on a chip, and the memories that each of its `count` cores has.

    A subclass declares `core`, its memories, and in `timing_fields` the names of all fields that decide cycles or counts.
    """

    count: int = Field(default=1, ge=1, le=4096)
    """Cores of this kind on the chip, each with memories of its own."""
    core: CoreFields

    timing_fields: ClassVar[tuple[str, ...]] = ()
    """Dotted names of the fields that decide cycles and counts; a test holds that every field is here or in `price_fields`."""
    first_values: ClassVar[Mapping[str, Any]] = {}
    """Of timing fields that came later, the values that change nothing: a design that has them is the design that it was."""
    width_fields: ClassVar[tuple[str, ...]] = ()
    """Timing fields that are widths of sums. A wider sum than one that never saturated is the same sum. Empty: of a kind whose
    replays always compute, so nobody asks."""
    sum_free_fields: ClassVar[tuple[str, ...]] = ()
    """Timing fields that decide when sums are made and where they lie, and never a sum nor the order of its terms."""
    price_fields: ClassVar[tuple[str, ...]] = ()
    """Dotted names of the fields that decide energy or area only."""

    @property
    def pe_count(self) -> int:
        """Lanes, or elements of an array, that can work in one cycle."""
        raise NotImplementedError

    @property
    def additions_per_cycle(self) -> int:
        """Synaptic operations that can be done in one cycle: one per lane, or several where a lane has several adders."""
        return self.pe_count

    @property
    def row_bits(self) -> Mapping[str, int]:
        """Bits of one row of each memory, by memory."""
        raise NotImplementedError

    @property
    def capacities(self) -> Mapping[str, int]:
        """Bits of each memory, by memory; 0 where there is none."""
        raise NotImplementedError

    @property
    def least_banks(self) -> Mapping[str, int]:
        """Banks that a memory has at least, by memory; a memory that is not named has as few as its row needs."""
        return {}

    @property
    def arrays(self) -> Mapping[str, ArrayKind]:
        """What each memory is built as: weights and biases are written once, the others read and written in one cycle."""
        return {name: WRITTEN_ONCE if name in ("weight", "bias") else TWO_PORTS for name in self.capacities}

    @property
    def constant_memories(self) -> Collection[str]:
        """Memories that hold what every sample needs and none makes; without a supply it must be loaded again."""
        return ("weight", "bias")

    @property
    def loop_nest(self) -> tuple[NestLine, ...]:
        """The loops of one layer, outermost first; () of a kind that says nothing about them."""
        return ()

    @property
    def has_accumulator_file(self) -> bool:
        """Whether words are held in registers whose accesses are counted (R19)."""
        return False

    @property
    def weight_index_bits(self) -> int:
        """Bits of a weight row that are no weights: where only some rows are stored, which one it is (R26)."""
        return 0

    @property
    def gates_banks(self) -> bool:
        """Whether banks without a real channel rest, and those that work are counted, in membrane and current memory (R25)."""
        return False

    @property
    def plane_sums(self) -> int:
        """Planes whose sums a lane keeps beside each accumulator (R21)."""
        return 0

    @property
    def lists_events(self) -> bool:
        """Whether a row of the spike buffer is an event's entry of a list."""
        return False

    @property
    def entry_holds_values(self) -> bool:
        """Whether a row of the spike buffer holds the values of its events, so that reading the row reads them."""
        return False

    def timing(self) -> dict[str, Any]:
        """What decides cycles and counts, JSON-ready: `timing_fields` with their values, and the kind."""
        found = {name: _value(self, name) for name in self.timing_fields}
        said = {name: value for name, value in found.items() if name not in self.first_values or value != self.first_values[name]}
        return {"kind": self.core.kind, **said}


def _value(design: CoreDesign, dotted: str) -> Any:
    found: Any = design
    for part in dotted.split("."):
        found = getattr(found, part)
    if isinstance(found, BaseModel):
        return found.model_dump()
    return dict(sorted(found.items())) if isinstance(found, dict) else found
