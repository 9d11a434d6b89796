"""What a core model tells the rest of hwsim, whatever its kind. One object for each kind of core, found by `core_model`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hwsim.cores import member_of
from hwsim.cores.logic import Logic
from hwsim.cores.parts import Part, Term

if TYPE_CHECKING:  # only annotations name them, and prices, which ask what a core is made of, load nothing of them
    from hwsim.arch import Architecture
    from hwsim.cores.base import CoreDesign
    from hwsim.program import Program
    from hwsim.record import SampleRecord
    from hwsim.schedules.base import Schedule
    from hwsim.snn.network import Connection, Network
    from hwsim.snn.sample import Sample


@dataclass(frozen=True, eq=False)
class Streamed:
    """Samples in a row.

    first, last   (samples,) cycles in which each begins and ends.     last_free   in which each ends if links cost nothing.
    busy          cycles of all, by resource.
    ticks         cycles in which the ticks end that a barrier follows, in order; none without barriers.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    last_free: NDArray[np.int64]
    busy: Mapping[str, int]
    ticks: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Machine:
    """A network mapped on a chip and ready to run: its Program and what runs one sample of it.

    engine   the name of what runs it, as results carry it.
    timing   runs one sample without sums, from its recorded spikes (C6); None: what runs it always computes.
    stream   samples in a row, from the record of each by itself; None: it knows no such list.
    free     cycles of a sample if links cost nothing, from its record; None: it knows no links.
    logged   runs one sample (of these spikes, checked or not) and logs the runs of these operations, cycle by cycle; None: it
             knows no cycles within a run, or logs them in another form. Its record is the program's: rows are what is cut.
    """

    program: Program
    run: Callable[[Sample, str], SampleRecord]
    engine: str
    timing: Callable[[Sample], SampleRecord] | None = None
    stream: Callable[[Sequence[SampleRecord]], Streamed] | None = None
    free: Callable[[SampleRecord], int] | None = None
    logged: Callable[[Sample, str, bool, Collection[int]], SampleRecord] | None = None


class CoreModel(Protocol):
    """One kind of core. A chip's cores are all of one model.

    timed    whether timesteps and schedules mean anything to it; else every network runs in one way.
    several  whether a chip may have several of its cores; else nothing runs on such a chip.
    note     what must be said below a table with its results; empty for nothing.
    events   events of hwsim.activity that it can count, so that no other needs a price; None: every event.
    """

    timed: bool
    several: bool
    note: str
    events: Collection[str] | None

    def engine_of(self, asked: str) -> str:
        """The engine that runs when `asked` is asked for: itself, or the only one that the model has."""
        ...

    def check(self, network: Network, arch: Architecture, schedule: Schedule) -> None:
        """Raises ProgramError with every reason why the network does not run on the chip in this order; cheap."""
        ...

    def machine(self, network: Network, arch: Architecture, schedule: Schedule, engine: str) -> Machine:
        """The network on the chip. Raises ProgramError as `check` does."""
        ...

    def operand_bits(self, network: Network, connection: Connection) -> int:
        """Bits of a multiplication's event operand; 0 where events are binary."""
        ...

    def memories_used(self, network: Network, arch: Architecture) -> tuple[str, ...]:
        """Names of the memories that replaying the network can read or write; the others are off."""
        ...

    def parts(self, design: Any, registers_apart: bool) -> list[Part]:
        """What a core of which no logic was synthesised is made of, for area and leakage; else nothing.

        `registers_apart`: the table's operations are without registers.
        """
        ...

    def terms(self, design: Any, payload_bits: int | None) -> Mapping[str, tuple[Term, ...]]:
        """Arithmetic of each event, in the papers' account; `mult` with an operand of so many bits (None: its own). Of a kind
        without `logic` also what other events use that are no access to a memory."""
        ...

    def logic(self, design: Any, payload_bits: int | None) -> Logic | None:
        """Its gates and who works when, for the core scope; `mult` with an operand of so many bits (None: its own).

        None: nothing of it was synthesised; its core scope then holds the arithmetic of `terms`, its area that of `parts`.
        """
        ...

    def size(self, design: CoreDesign) -> str:
        """How large a core is, for headings: `64 lanes`."""
        ...

    def label(self, design: CoreDesign) -> str:
        """What tells this kind of core from an event core, for bars; empty for an event core."""
        ...


def core_model(kind: object) -> CoreModel:
    """What a core of this kind does. Raises CoreKindError."""
    found: CoreModel = member_of(kind, "MODEL", "model")
    return found
