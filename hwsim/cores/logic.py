"""What the logic of a core does, as the tables of synthesised logic see it: blocks of gates, and uses of them by event.

A core model says which blocks it has and what one count of an event, or one cycle, makes them do (hwsim/cores/KIND/logic.py).
What that costs is in hwsim/cost/logic.py, from hwsim/cost/technology/logic. Sizes are integers: lanes, bits, tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hwsim.activity import UNIT_OF, VOCABULARY
from hwsim.cores.parts import Term

CLOCK, WIRES = "clock", "wires"
"""Components that no core model owns: flip-flops as they are clocked, and wires between memories and logic."""


@dataclass(frozen=True)
class Work:
    """`times` operations of a unit of the logic table, at these sizes."""

    component: str
    unit: str
    operation: str
    sizes: Mapping[str, int]
    times: int = 1


@dataclass(frozen=True)
class Sums:
    """Arithmetic that was synthesised by itself: operations of the logic table's own units table, with widths in bits."""

    component: str
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Clocked:
    """Flip-flops that get a clock edge where clocks are gated; free-running ones get it in every cycle whatever happens."""

    flip_flops: int
    why: str


@dataclass(frozen=True)
class Within:
    """Work whose gates switch within another use that is priced; `where` says which."""

    component: str
    where: str


Use = Work | Sums | Clocked | Within


@dataclass(frozen=True)
class Block:
    """`count` pieces of hardware of one component: a unit of the logic table at some sizes, or a piece of arithmetic.

    flip_flops   of one piece, that a free-running clock reaches in each cycle.
    """

    component: str
    count: int
    unit: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    terms: tuple[Term, ...] = ()
    flip_flops: int = 0


@dataclass(frozen=True)
class Path:
    """A way that must fit into a clock period: through a memory, if one is named, then through gates.

    name    a path of the logic table, at `sizes`; or `terms`, arithmetic one behind the other.
    """

    what: str
    name: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    memory: str = ""
    terms: tuple[Term, ...] = ()


@dataclass(frozen=True)
class Moves:
    """Bits that one count of an event moves between a memory and the logic, in `times` accesses. `kind` names their toggles."""

    memory: str
    bits: int
    kind: str
    times: int = 1


@dataclass(frozen=True)
class Logic:
    """The logic of one core.

    events       what one count of an event uses; an event that is not here uses no gates.
    every_cycle  what each elapsed cycle uses.
    moves        what an event moves over wires.
    busiest      memories, the busiest first: wires of one reach over those before it.
    fields       of units that a field of the design brings: the field as a file has it, and a value without the unit.
    """

    blocks: tuple[Block, ...]
    events: Mapping[str, tuple[Use, ...]]
    every_cycle: tuple[Use, ...]
    moves: Mapping[str, tuple[Moves, ...]]
    busiest: tuple[str, ...]
    paths: tuple[Path, ...]
    fields: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def busiest(kinds: tuple[str, ...], there: Mapping[str, int]) -> tuple[str, ...]:
    """`kinds` without the memories that a design does not have."""
    return tuple(name for name in kinds if there.get(name))


def moves_of(rows: Mapping[str, int], kinds: Mapping[str, str]) -> dict[str, tuple[Moves, ...]]:
    """What each access to a memory moves: its whole row. `rows`: bits of a row by memory; `kinds`: toggles, else `other`."""
    return {event.name: (Moves(memory, rows[memory], kinds.get(memory, "other")),)
            for memory, unit in UNIT_OF.items() if memory in rows
            for event in VOCABULARY if event.unit == unit and event.name.endswith(_WHOLE_ROWS)}


_WHOLE_ROWS = ("_read", "_write", *(f"_{way}_{cause}" for way in ("read", "write") for cause in (
    "accumulate", "shift", "fire", "readout", "mask", "transfer", "load", "clear", "store")))
"""Ends of the names of events that access a row; a bank's access and a value's bit are parts of one."""
