"""The contract between schedules and engines: a Program is data, a list of operations with dependencies.

It knows nothing of a sample. Cycles are made by the engines only: each core and the channel executes its operations in list
order, transfers between cores are granted their links in the order in which they become ready (C7), a run's cycle 0 is its start
and its end is `done` (docs/cycle-model.md). hwsim/checks says whether a Program can be executed at all, and both engines ask it
first. What they answer is in hwsim/record.py. Nothing but this contract is shared between the two engines; the words of
operations and of links are in hwsim/operations.py and hwsim/links.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from hwsim.errors import HwsimError
from hwsim.links import CHANNEL, Cargo, MeshSpec, event_pipe, link_name
from hwsim.operations import (
    BY_SAMPLE,
    TRANSFER_EVENTS,
    ChannelSpec,
    CoreOperation,
    Listed,
    Operation,
    OperationList,
    Transfer,
    Wait,
)
from hwsim.passes import BANKS, PassTable
from hwsim.snn.network import Connection, Network, Shape

__all__ = [
    "BY_SAMPLE", "CHANNEL", "TRANSFER_EVENTS", "Cargo", "ChannelSpec", "CoreOperation", "CoreRun", "CoreSpec", "Feed", "Listed",
    "MeshSpec", "Operation", "OperationList", "Program", "ProgramError", "Run", "Transfer", "Wait", "event_pipe",
]


class ProgramError(HwsimError):
    """A schedule or mapping that cannot be executed; the text says why and what would help."""


@dataclass(frozen=True)
class CoreSpec:
    """The numbers of an architecture's core that decide cycles and arithmetic.

    buffer      aer: one token a cycle; bitmap: `scan_bits` bits of a plane scanned a cycle.

    The dataflow, R19 to R27 of docs/cycle-model.md; the first value of each field is R1 to R18 unchanged:
    order             scatter: an event goes to every word that it touches; gather: a word takes every event of its window.
    accumulators      gather: words that are held in registers at a time.
    planes_per_token  one: a token is one spike; all: a token carries the spikes of one neuron in all planes.
    adders            all: set bits of a token that a lane adds in one cycle.
    multiplier        parallel: one cycle per payload; bit_serial: `adders` set bits of a payload per cycle.
    writer            serial: one spike leaves per cycle; word: all spikes of a word leave at once.
    membrane_ports    1r1w: one read and one write port; 1rw: one port, for the membrane and for the current memory.
    passes            by_pass: each pass goes over all words; by_word: each word takes all passes that follow one EOT.
    mask_first        an event's operation reads the flags of its word before anything else, and is skipped if all are off.
    skip_zero_weights an event's operation on a word whose weights are all zero is not made (R26).
    pipes             one: events and passes take turns; two: each has a pipe of its own (R27).

    membrane_bank_bits, current_bank_bits   bits of a row in one bank, where an access touches the banks that hold a real
    channel and they are counted; 0: a row is accessed whole, and no banks are counted.
    """

    lanes: int
    potential_bits: int
    current_bits: int
    fifo_depth: int
    bypass: bool
    shift_at: Literal["weight", "membrane"]
    buffer: Literal["aer", "bitmap"]
    scan_bits: int = 64
    order: Literal["scatter", "gather"] = "scatter"
    accumulators: int = 1
    planes_per_token: Literal["one", "all"] = "one"
    adders: int = 1
    multiplier: Literal["parallel", "bit_serial"] = "parallel"
    writer: Literal["serial", "word"] = "serial"
    membrane_ports: Literal["1r1w", "1rw"] = "1r1w"
    passes: Literal["by_pass", "by_word"] = "by_pass"
    mask_first: bool = False
    membrane_bank_bits: int = 0
    current_bank_bits: int = 0
    skip_zero_weights: bool = False
    pipes: Literal["one", "two"] = "one"

    @property
    def plain(self) -> bool:
        """Whether this is the dataflow of R1 to R18: the first value of every field that decides cycles."""
        return (self.order, self.planes_per_token, self.writer, self.membrane_ports, self.passes, self.mask_first,
                self.skip_zero_weights) == ("scatter", "one", "serial", "1r1w", "by_pass", False, False)


@dataclass(frozen=True, eq=False)
class CoreRun:
    """One run of a core over one tile of a layer: all that does not depend on the sample.

    A tile is channels [c0, c1) x rows [a, b) of the layer: output groups [lo, hi), c0 = lo * lanes; the last group may be cut
    at `last_channel`, c1, because the next tile belongs to a core of other lanes (None: at the end of its lanes or layer).
    Words of the run: word = ((y - a) * W + x) * (hi - lo) + (g - lo), lane = c - g * lanes. Potentials saturate at
    `potential_bits` (the narrower of layer and core), the current at `current_bits`. `first_plane` is the timestep of
    the run's first plane: activity is reported in absolute timesteps.

    rows          [a, b); None: all rows of the layer.
    spare_rows    behind the layer's last row, which the tile has besides: their neurons work and send nothing (C9).

    keep          a later run goes on with the state that this one leaves.
    current_fed   a feed of the run has a plane, so that the current of a direct table can change.
    bank          of the current memory, where a current lives for one timestep (R27).
    payload_bits  of each connection, the bits of its events' payloads, 0 for spikes; (): all send spikes. Only merged
                  tokens and `Engine.run_planes` look at it.
    """

    core: CoreSpec
    shape: Shape
    groups: tuple[int, int]
    connections: tuple[Connection, ...]
    table: PassTable
    potential_bits: int
    current_bits: int
    clear: bool
    first_plane: int = 0
    last_channel: int | None = None
    keep: bool = False
    current_fed: bool = True
    payload_bits: tuple[int, ...] = ()
    rows: tuple[int, int] | None = None
    spare_rows: int = 0
    bank: int = 0

    @property
    def group_count(self) -> int:
        """Groups of the whole layer, ceil(C / lanes)."""
        return -(-self.shape[0] // self.core.lanes)

    @cached_property
    def channels(self) -> tuple[int, int]:
        """Channels [c0, c1) of the layer that the run computes."""
        end = min(self.groups[1] * self.core.lanes, self.shape[0])
        return self.groups[0] * self.core.lanes, end if self.last_channel is None else min(end, self.last_channel)

    @cached_property
    def row_span(self) -> tuple[int, int]:
        """Rows [a, b) of the layer that the run computes."""
        return (0, self.shape[1]) if self.rows is None else self.rows

    @property
    def worked_rows(self) -> tuple[int, int]:
        """Rows [a, b) that events and passes go over: those of the layer, and spare ones behind them."""
        first, end = self.row_span
        return first, end + self.spare_rows

    @property
    def cut_by_rows(self) -> bool:
        """Whether it computes some rows only: it then reads the source rows of their fields, and no others (R25)."""
        return self.row_span != (0, self.shape[1])

    @cached_property
    def positions(self) -> int:
        """Output positions of the tile, spare ones included."""
        first, end = self.worked_rows
        return (end - first) * self.shape[2]

    @property
    def real_positions(self) -> int:
        """Output positions of the layer that the run computes."""
        first, end = self.row_span
        return (end - first) * self.shape[2]

    @cached_property
    def words(self) -> int:
        """N, the membrane words of this run."""
        return self.positions * (self.groups[1] - self.groups[0])

    @property
    def spare_words(self) -> int:
        """Words of its spare rows, which are the last of its words."""
        return self.spare_rows * self.shape[2] * (self.groups[1] - self.groups[0])

    @property
    def fixed_slots(self) -> dict[str, int]:
        """Busy slots that no event decides: `fire`, all passes over all words; `clear`; and `move`, words loaded into
        accumulators and stored from them (R1, R9, R19). What else is busy accumulates."""
        gathers, passes = self.core.order == "gather", self.words * len(self.table.passes)
        moved = (not self.clear) + self.keep if gathers else 0
        return {"fire": passes, "clear": self.words if self.clear and not gathers else 0, "move": moved * self.words}

    @property
    def current_changes(self) -> bool:
        """Whether the current of a direct table can be another after the run than before it."""
        return self.table.direct and (self.current_fed or self.table.current_decay > 0)

    @property
    def two_banks(self) -> bool:
        """Whether its current builds up in one bank while passes take what is in the other one (R27)."""
        return self.core.pipes == "two" and self.table.current_banks == BANKS

    @property
    def clears_current(self) -> bool:
        """Whether its clear writes zero to the current: a current of two banks has been left so by passes (R27)."""
        return self.clear and self.table.direct and not self.two_banks

    @property
    def uses_potentials(self) -> bool:
        """Whether it reads or writes a potential: all runs but those of events that build up a current only."""
        return self.clear or not self.table.direct or bool(self.table.passes)

    @cached_property
    def merged(self) -> bool:
        """Whether a token carries all planes (R21)."""
        return self.core.planes_per_token == "all"

    @property
    def masks_first(self) -> bool:
        """Whether its events look at flags before they read weights (R25)."""
        return self.core.mask_first and self.table.flags_are_off

    def sends_payloads(self, connection: int) -> bool:
        """Whether the events of a connection carry payloads, as `payload_bits` says."""
        return bool(self.payload_bits) and self.payload_bits[connection] > 0

    @cached_property
    def plane_sums(self) -> bool:
        """Whether spikes of merged planes are summed plane by plane before the passes (R21)."""
        spikes = any(not self.sends_payloads(i) for i in range(len(self.connections)))
        return self.merged and spikes and not self.table.weigh_planes


@dataclass(frozen=True)
class Feed:
    """Where a run's events of one connection come from.

    connection   position in the layer's connections.
    planes       the source's timesteps that this run reads, in the order in which it reads them: one EOT after each
                 plane of all feeds; a feed with fewer planes than EOTs (a direct input) gives its events first.
    tiles        channel ranges [lo, hi) of the source in the order its runs wrote them: an AER buffer gives the events
                 of a plane tile by tile, a bitmap in (y, x, c) order.
    rows         row ranges [a, b) of the same tiles; (): every tile has all rows of the source.
    """

    connection: int
    planes: tuple[int, ...]
    tiles: tuple[tuple[int, int], ...]
    rows: tuple[tuple[int, int], ...] = ()

    def regions(self, height: int) -> tuple[tuple[int, int, int, int], ...]:
        """(lo, hi, a, b) of each tile of a source that has `height` rows, in the order of the list."""
        rows = self.rows or ((0, height),) * len(self.tiles)
        return tuple((*channels, *span) for channels, span in zip(self.tiles, rows, strict=True))


@dataclass(frozen=True, eq=False, kw_only=True)
class Run(CoreOperation):
    """An event core at work on one tile.

    body    all that does not depend on the sample.    feeds   where its events come from.
    eots    EOTs that it receives.
    pools   whether the pooling units' work counts in it: once for each core and layer (A4).
    pipe    both: it is the core's only work while it lasts. events, passes: what it is made of, where each has a pipe (R27).
    """

    body: CoreRun
    feeds: tuple[Feed, ...]
    eots: int
    pools: bool = True
    pipe: Literal["both", "events", "passes"] = "both"

    @property
    def resource(self) -> str:
        return event_pipe(self.on) if self.pipe == "events" else self.on

    @property
    def label(self) -> str:
        return self.kind if self.pipe == "both" else self.pipe


@dataclass(frozen=True, eq=False)
class Program:
    """Operations in list order, the network that they refer to, and the cores by name.

    Most operations are Runs, Transfers and Waits; a kind of core with an engine of its own brings operations of its own.
    `mesh` is the network between the cores; without one they meet on the channel only.
    """

    network: Network
    cores: tuple[str, ...]
    channel: ChannelSpec
    schedule: str
    operations: tuple[Operation, ...]
    mesh: MeshSpec | None = None

    @property
    def resources(self) -> tuple[str, ...]:
        """All cores, event pipes that are apart, the channel, and every link by its name."""
        apart = dict.fromkeys(run.resource for run in self.runs if run.pipe == "events")
        return (*self.cores, *apart, CHANNEL, *(link_name(link) for link in (self.mesh.links if self.mesh else ())))

    @property
    def runs(self) -> Iterator[Run]:
        return (op for op in self.operations if isinstance(op, Run))


