"""The contract between schedules and engines: a Program is data, a list of operations with dependencies.

It knows nothing of a sample. Cycles are made by the engines only: each resource executes its operations in list order,
an operation starts at max(end of its dependencies, resource free), a run's cycle 0 is its start and its end is `done`
(docs/cycle-model.md). hwsim/checks says whether a Program can be executed at all, and both engines ask it first. What they answer
is in hwsim/record.py. Nothing but this contract is shared between the two engines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hwsim.errors import HwsimError
from hwsim.passes import PassTable
from hwsim.snn.network import Connection, Network, Shape

CHANNEL = "channel"
"""The off-chip channel, as a place and as a resource."""


class ProgramError(HwsimError):
    """A schedule or mapping that cannot be executed; the text says why and what would help."""


@dataclass(frozen=True)
class CoreSpec:
    """The numbers of an architecture's core that decide cycles and arithmetic.

    buffer      aer: one token a cycle; bitmap: `scan_bits` bits of a plane scanned a cycle.

    The dataflow, R19 to R25 of docs/cycle-model.md; the first value of each field is R1 to R18 unchanged:
    order             scatter: an event goes to every word that it touches; gather: a word takes every event of its window.
    accumulators      gather: words that are held in registers at a time.
    planes_per_token  one: a token is one spike; all: a token carries the spikes of one neuron in all planes.
    adders            all: set bits of a token that a lane adds in one cycle.
    multiplier        parallel: one cycle per payload; bit_serial: `adders` set bits of a payload per cycle.
    writer            serial: one spike leaves per cycle; word: all spikes of a word leave at once.
    membrane_ports    1r1w: one read and one write port; 1rw: one port, for the membrane and for the current memory.
    passes            by_pass: each pass goes over all words; by_word: each word takes all passes that follow one EOT.
    mask_first        an event's operation reads the flags of its word before anything else, and is skipped if all are off.

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

    @property
    def plain(self) -> bool:
        """Whether this is the dataflow of R1 to R18: the first value of every field that decides cycles."""
        return (self.order, self.planes_per_token, self.writer, self.membrane_ports, self.passes, self.mask_first) == (
            "scatter", "one", "serial", "1r1w", "by_pass", False)


@dataclass(frozen=True)
class ChannelSpec:
    """The off-chip channel: a transfer of n bits occupies it latency + ceil(n / bits_per_cycle) cycles."""

    bits_per_cycle: int
    latency_cycles: int

    def cycles(self, bits: int) -> int:
        return self.latency_cycles + -(-bits // self.bits_per_cycle) if bits else 0


@dataclass(frozen=True, eq=False)
class CoreRun:
    """One run of a core over one tile of a layer: all that does not depend on the sample.

    A tile is channels [c0, c1) x rows [a, b) of the layer: output groups [lo, hi), c0 = lo * lanes; the last group may be cut
    at `last_channel`, c1, because the next tile belongs to a core of other lanes (None: at the end of its lanes or layer).
    Words of the run: word = ((y - a) * W + x) * (hi - lo) + (g - lo), lane = c - g * lanes. Potentials saturate at
    `potential_bits` (the narrower of layer and core), the current at `current_bits`. `first_plane` is the timestep of
    the run's first plane: activity is reported in absolute timesteps.

    rows          [a, b); None: all rows of the layer.

    keep          a later run goes on with the state that this one leaves.
    current_fed   a feed of the run has a plane, so that the current of a direct table can change.
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

    @property
    def group_count(self) -> int:
        """Groups of the whole layer, ceil(C / lanes)."""
        return -(-self.shape[0] // self.core.lanes)

    @property
    def channels(self) -> tuple[int, int]:
        """Channels [c0, c1) of the layer that the run computes."""
        end = min(self.groups[1] * self.core.lanes, self.shape[0])
        return self.groups[0] * self.core.lanes, end if self.last_channel is None else min(end, self.last_channel)

    @property
    def row_span(self) -> tuple[int, int]:
        """Rows [a, b) of the layer that the run computes."""
        return (0, self.shape[1]) if self.rows is None else self.rows

    @property
    def cut_by_rows(self) -> bool:
        """Whether it computes some rows only: it then reads the source rows of their fields, and no others (R25)."""
        return self.row_span != (0, self.shape[1])

    @property
    def positions(self) -> int:
        """Output positions of the tile."""
        first, end = self.row_span
        return (end - first) * self.shape[2]

    @property
    def words(self) -> int:
        """N, the membrane words of this run."""
        return self.positions * (self.groups[1] - self.groups[0])

    @property
    def merged(self) -> bool:
        """Whether a token carries all planes (R21)."""
        return self.core.planes_per_token == "all"

    @property
    def masks_first(self) -> bool:
        """Whether its events look at flags before they read weights (R25)."""
        return self.core.mask_first and self.table.flagged

    def sends_payloads(self, connection: int) -> bool:
        """Whether the events of a connection carry payloads, as `payload_bits` says."""
        return bool(self.payload_bits) and self.payload_bits[connection] > 0

    @property
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
class Operation:
    """One step of a Program: a Run or a Transfer.

    id          its position in the list.             deps   ids of operations that must have ended, all of them smaller.
    layer       position in the network, -1 for the input.      tile  position of the layer's tile.
    timesteps   [lo, hi) of the layer's planes that it covers.
    """

    id: int
    deps: tuple[int, ...] = ()
    layer: int
    tile: int = 0
    timesteps: tuple[int, int] = (0, 1)

    @property
    def resource(self) -> str:
        """What it takes its turn on (C1)."""
        raise NotImplementedError

    @property
    def core(self) -> str:
        """The core whose counts it moves."""
        raise NotImplementedError

    @property
    def kind(self) -> str:
        """run, load or store: a word for reports."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """What it does, in two words at most."""
        return self.kind

    @property
    def setup(self) -> bool:
        """Done once, before the first sample, and reported apart."""
        return False


@dataclass(frozen=True, eq=False, kw_only=True)
class CoreOperation(Operation):
    """A core at work. Each core model derives its own.

    on   the core, which is the resource that it takes.
    """

    on: str

    @property
    def resource(self) -> str:
        return self.on

    @property
    def core(self) -> str:
        return self.on

    @property
    def kind(self) -> str:
        return "run"


@dataclass(frozen=True, eq=False, kw_only=True)
class Run(CoreOperation):
    """An event core at work on one tile.

    body    all that does not depend on the sample.    feeds   where its events come from.
    eots    EOTs that it receives.
    pools   whether the pooling units' work counts in it: once for each core and layer (A4).
    """

    body: CoreRun
    feeds: tuple[Feed, ...]
    eots: int
    pools: bool = True


BY_SAMPLE: Literal["by sample"] = "by sample"
"""Bits of a transfer that an engine counts for each sample; refused until there is a network of links."""

TRANSFER_EVENTS = {
    "weight": ("weight_write", ""),
    "membrane": ("membrane_write_transfer", "membrane_read_transfer"),
    "current": ("current_write", "current_read"),
    "bias": ("bias_write", ""),
    "mask": ("mask_write", "mask_read"),
    "spike": ("buffer_write", "buffer_read"),
    "output": ("", ""),
}
"""A4: the event that one row of a memory counts as, when it is loaded from the channel and when it is stored to it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Transfer(Operation):
    """Bits on their way from a place to others; a place is a core or the channel.

    source, targets   a load comes from the channel, a store goes to it.
    memory            what it fills or empties: one of TRANSFER_EVENTS.         rows  rows of that memory that it moves.
    banks           that those rows touch, where the memory's banks are counted (R25).
    bits              that travel.         region  [lo, hi) bits of the memory that it touches, where books are kept of it.
    once              a setup transfer.
    """

    source: str
    targets: tuple[str, ...]
    memory: str
    bits: int | Literal["by sample"]
    rows: int = 0
    banks: int = 0
    region: tuple[int, int] = (0, 0)
    once: bool = False

    @property
    def resource(self) -> str:
        return CHANNEL

    @property
    def core(self) -> str:
        return self.targets[0] if self.source == CHANNEL else self.source

    @property
    def kind(self) -> str:
        return "load" if self.source == CHANNEL else "store"

    @property
    def setup(self) -> bool:
        return self.once

    @property
    def label(self) -> str:
        return f"{self.kind} {self.memory}"

    @property
    def counted(self) -> dict[str, int]:
        """A4: its bits on the channel, and its rows of the memory that it fills or empties."""
        load = self.kind == "load"
        event = TRANSFER_EVENTS[self.memory][0 if load else 1]
        banks = {f"{self.memory}_{'write' if load else 'read'}_banks": self.banks} if self.banks else {}
        rows = {event: self.rows} if event else {}
        return {"channel_read_bits" if load else "channel_write_bits": int(self.bits), **rows, **banks}


@dataclass(frozen=True, eq=False)
class Program:
    """Operations in list order, the network that they refer to, and the cores by name.

    Most operations are Runs and Transfers; a kind of core with an engine of its own brings operations of its own.
    """

    network: Network
    cores: tuple[str, ...]
    channel: ChannelSpec
    schedule: str
    operations: tuple[Operation, ...]

    @property
    def resources(self) -> tuple[str, ...]:
        """All cores, then the channel."""
        return (*self.cores, CHANNEL)

    @property
    def runs(self) -> Iterator[Run]:
        return (op for op in self.operations if isinstance(op, Run))


