"""Layers as the order of work sees them: tiles on cores, who reads what, and how deep a layer lies (C9). No networks, no numbers.

Pure data: the lists of hwsim/schedules/listing.py are made of it, for a mapped network or for a drawing on paper. Rows are output
rows of a layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

Rows = tuple[int, int]
"""Output rows [a, b)."""
INPUT = -1
"""The network's input, as the position of a stage."""


@dataclass(frozen=True)
class StageTile:
    """A tile on its core: rows [a, b) of the layer, of some of its channels. The input's tiles come from the channel.

    spare_rows   behind the layer's last, which the tile computes in vain, and reads for.
    banks        on a core whose events and passes have a pipe each (R27): items whose sums it holds at once, 2 or 1; else 0.
    """

    core: str
    rows: Rows
    spare_rows: int = 0
    banks: int = 0


@dataclass(frozen=True)
class Stage:
    """A layer: how many output rows it has, its tiles in the order in which they stand in a list, and whether it sends anything;
    a read-out keeps its potentials. `name` is for words in errors; left out, a stage is named by its position."""

    height: int
    tiles: tuple[StageTile, ...]
    sends: bool = True
    name: str = ""


@dataclass(frozen=True)
class Wire:
    """A connection from one stage to another, as far as rows go.

    kernel, stride, padding   in source rows: output row y reads the rows [stride * y - padding, stride * y - padding + kernel).
                              A folded pool makes all three so many times as large. Kernel None: every row reads everything.
    seen                      source rows from this one on are in no field: they are beyond a pooled grid. None: there are none.
    whole                     output rows of the target: a tile of all of them reads every row of the source, also rows that no
                              field holds (R25). None: it reads what its fields hold, as any tile does.
    """

    source: int
    target: int
    kernel: int | None = None
    stride: int = 1
    padding: int = 0
    seen: int | None = None
    whole: int | None = None

    def field(self, rows: Rows, height: int, spare_rows: int = 0) -> frozenset[int]:
        """The source rows, of `height`, that output rows read: each row's field, not the range between them (C9)."""
        if self.kernel is None or rows == (0, self.whole):
            return frozenset(range(height))
        worked = range(rows[0], rows[1] + spare_rows)
        firsts, end = (self.stride * y - self.padding for y in worked), height if self.seen is None else self.seen
        return frozenset(row for first in firsts for row in range(first, first + self.kernel) if 0 <= row < end)


@dataclass(frozen=True)
class Pipeline:
    """Stages and their wires, and how often they work.

    stages      in the order of the network; a wire's source comes before its target.
    items       how often each stage works: timesteps of a rate code; 1 where all planes of a sample are one item.
    source      the input, whose planes come over the channel; None: the first stages wait for nothing.
    every       the input has something to send in each so manyth item: a direct input once per sample.
    travels     whether what a tile makes travels to its readers, by a transfer; else they read it where it is.
    leaves      whether what no stage reads leaves over the channel; only where things travel.
    """

    stages: tuple[Stage, ...]
    wires: tuple[Wire, ...]
    items: int
    source: Stage | None = None
    travels: bool = True
    leaves: bool = False
    every: int = 1

    def works(self, number: int, item: int) -> bool:
        """Whether a stage, or the input, has something to do in an item."""
        return number != INPUT or item % self.every == 0

    def before(self, number: int, items: int) -> int:
        """How far back in items the item lies that is so many of a stage's, or of the input's, before."""
        return items * (self.every if number == INPUT else 1)

    def stage(self, number: int) -> Stage:
        """The stage at a position, INPUT for the input."""
        if number != INPUT:
            return self.stages[number]
        assert self.source is not None
        return self.source

    @cached_property
    def readers(self) -> dict[tuple[int, int], tuple[tuple[int, int], ...]]:
        """By (stage, tile): the (stage, tile) of everyone who reads any row of the tile, in order."""
        numbers = range(INPUT if self.source is not None else 0, len(self.stages))
        found: dict[tuple[int, int], set[tuple[int, int]]] = {
            (number, tile): set() for number in numbers for tile in range(len(self.stage(number).tiles))}
        for wire in self.wires:
            if wire.source not in numbers:
                continue
            source = self.stage(wire.source)
            for reader, tile in enumerate(self.stages[wire.target].tiles):
                rows = wire.field(tile.rows, source.height, tile.spare_rows)
                for place, made in enumerate(source.tiles):
                    if not rows.isdisjoint(range(*made.rows)):
                        found[wire.source, place].add((wire.target, reader))
        return {key: tuple(sorted(readers)) for key, readers in found.items()}

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """By stage: 0 where it reads no stage, else 1 + the greatest depth that it reads; the input is no stage."""
        found: list[int] = []
        for number in range(len(self.stages)):
            before = [found[wire.source] for wire in self.wires if wire.target == number and wire.source != INPUT]
            found.append(1 + max(before) if before else 0)
        return tuple(found)

    def depth(self, number: int) -> int:
        """The depth of a stage; 0 for the input."""
        return 0 if number == INPUT else self.depths[number]
