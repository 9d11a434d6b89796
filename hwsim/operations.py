"""Operations: what a Program is a list of, as far as their order is concerned. All that C7 and C8 know is in here.

A run of an event core is in hwsim/program.py; other kinds of cores derive operations of their own. Bits, rows and cycles are
integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from hwsim.links import CHANNEL, Cargo, MeshSpec


@dataclass(frozen=True)
class ChannelSpec:
    """The off-chip channel: a transfer of n bits occupies it latency + ceil(n / bits_per_cycle) cycles."""

    bits_per_cycle: int
    latency_cycles: int

    def cycles(self, bits: int) -> int:
        return self.latency_cycles + -(-bits // self.bits_per_cycle) if bits else 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Operation:
    """One step of a Program: a Run, a Transfer or a Wait.

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
        """The core or the channel that it takes its turn on (C7); empty for what takes no turn."""
        raise NotImplementedError

    @property
    def core(self) -> str:
        """The core whose counts it moves; empty for a Wait, which counts nothing."""
        raise NotImplementedError

    @property
    def kind(self) -> str:
        """run, load, store, send or wait: a word for reports."""
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


BY_SAMPLE: Literal["by sample"] = "by sample"
"""Bits of a transfer that an engine counts for each sample: those of its `cargo`."""

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

    source, targets   a load comes from the channel, a store goes to it, a send goes from core to cores, its own among them
                      where it has a reader there. Several targets are one multicast.
    memory            what it fills or empties: one of TRANSFER_EVENTS.         rows  rows of that memory that it moves.
    banks             that those rows touch, where the memory's banks are counted (R25).
    bits              that travel: a number, or BY_SAMPLE.      cargo  what travels, where the bits are by sample.
    region            [lo, hi) bits of the memory that it touches, where books are kept of it.
    once              a setup transfer.
    """

    source: str
    targets: tuple[str, ...]
    memory: str
    bits: int | Literal["by sample"]
    cargo: Cargo | None = None
    rows: int = 0
    banks: int = 0
    region: tuple[int, int] = (0, 0)
    once: bool = False

    @property
    def resource(self) -> str:
        return CHANNEL if CHANNEL in (self.source, *self.targets) else ""

    @property
    def core(self) -> str:
        return self.targets[0] if self.source == CHANNEL else self.source

    @property
    def kind(self) -> str:
        return "load" if self.source == CHANNEL else "store" if CHANNEL in self.targets else "send"

    @property
    def setup(self) -> bool:
        return self.once

    @property
    def label(self) -> str:
        return f"{self.kind} {self.memory}"

    def counted(self, bits: int) -> dict[str, int]:
        """A4: its `bits` on the channel, its rows of the memory that it empties, and of each that it fills."""
        found = {"load": {"channel_read_bits": bits}, "store": {"channel_write_bits": bits}, "send": {}}[self.kind]
        if self.banks:
            found[f"{self.memory}_{'write' if self.source == CHANNEL else 'read'}_banks"] = self.banks
        filled, emptied = TRANSFER_EVENTS[self.memory]
        if emptied and self.source != CHANNEL:
            found[emptied] = self.rows
        if filled and CHANNEL not in self.targets:
            found[filled] = self.rows * len(self.targets)
        return found


@dataclass(frozen=True, eq=False, kw_only=True)
class Wait(Operation):
    """Cycles in which nothing is held (C7): a barrier."""

    layer: int = -1
    cycles: int

    @property
    def resource(self) -> str:
        return ""

    @property
    def core(self) -> str:
        return ""

    @property
    def kind(self) -> str:
        return "wait"


class Listed(Protocol):
    """What C7 and C8 need to know of a Program: who there is, and the operations in list order."""

    @property
    def cores(self) -> tuple[str, ...]: ...
    @property
    def channel(self) -> ChannelSpec | None: ...
    @property
    def mesh(self) -> MeshSpec | None: ...
    @property
    def operations(self) -> Sequence[Operation]: ...


@dataclass(frozen=True, eq=False)
class OperationList:
    """Operations without a network of neurons: a list by itself, whose runs take cycles that somebody else knows."""

    cores: tuple[str, ...]
    channel: ChannelSpec | None
    mesh: MeshSpec | None
    operations: tuple[Operation, ...]
