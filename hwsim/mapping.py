"""Mapping: which part of which layer sits on which core at a time, in the words that schedules read (Tile, LayerPlan, Mapping).

A layer is cut into tiles of whole output groups (a group is `lanes` channels of its core), and of some rows where a group of all
rows does not fit, so that a tile's weights and potentials fit the core's memories. On a chip of several cores a layer's
channels are spread over all of them. The cutting itself is the kind of core's (hwsim/cores/event/tiles.py and mapping.py for
event cores): it says what fits, and everything that does not is refused there, all reasons at once, before a cycle is
simulated. Here is also what kinds of cores share when they cut. Sizes are in rows: a weight row is `lanes` weights, a membrane
row one word.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass, field

from hwsim.arch import Architecture
from hwsim.passes import PassTable
from hwsim.program import ProgramError
from hwsim.snn.network import Connection, Layer, Network
from hwsim.snn.neurons import Context


class MappingError(ProgramError):
    """A network that does not run on an architecture; the text lists every reason."""


@dataclass(frozen=True)
class Tile:
    """Channels [c0, c1) x rows [a, b) of a layer on one core: its output groups [lo, hi), weight rows, real weights, words.

    spare_rows   beyond the layer's last, which the tile computes in vain (C9); its words count them.
    """

    core: str
    groups: tuple[int, int]
    channels: tuple[int, int]
    rows: tuple[int, int]
    weight_rows: int
    weights: int
    words: int
    spare_rows: int = 0


@dataclass(frozen=True)
class Share:
    """What one core computes of a layer: channels [c0, c1) x rows [a, b), which it then cuts into tiles.

    spare_rows   beyond the layer's last, of a slice that is padded to full width (C9).
    """

    channels: tuple[int, int]
    rows: tuple[int, int]
    spare_rows: int = 0

    @property
    def height(self) -> int:
        """Rows that the core computes, spare ones included."""
        return self.rows[1] - self.rows[0] + self.spare_rows


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """How one layer runs: its pass tables, its tiles in list order, what each core keeps for it.

    tables       by core, of those that have tiles of it: cores that weigh bit planes at different places differ in them.
    spills       by core: of `membrane` and `current`, the memories that cannot keep this layer's words between two runs.
    bias_words   by core: words of the bias memory.
    """

    layer: Layer
    tables: MappingOf[str, PassTable]
    tiles: tuple[Tile, ...]
    spills: MappingOf[str, tuple[str, ...]] = field(default_factory=dict)
    bias_words: MappingOf[str, int] = field(default_factory=dict)

    @property
    def planes(self) -> int:
        """EOTs in a period, which are the same on every core."""
        return next(iter(self.tables.values())).planes

    def spills_of(self, tile: Tile) -> tuple[str, ...]:
        return self.spills.get(tile.core, ())

    def neurons(self, tile: Tile) -> int:
        """Real neurons of a tile."""
        (low, high), (first, end) = tile.channels, tile.rows
        return (high - low) * (end - first) * self.layer.shape[2]

    def weight_rows(self, core: str) -> int:
        """Rows that the weights of a core's tiles take together; tiles of the same channels share theirs."""
        return sum({tile.channels: tile.weight_rows for tile in self.tiles if tile.core == core}.values())


@dataclass(frozen=True, eq=False)
class Mapping:
    """All layers' plans; `resident` names the cores on which all of their weights fit together and are loaded once."""

    network: Network
    arch: Architecture
    plans: tuple[LayerPlan, ...]
    resident: frozenset[str]

    def readers(self, source: str) -> list[str]:
        """Cores that read the planes of a layer or of the input, in the order of the chip."""
        reading = {tile.core for plan in self.plans for tile in plan.tiles
                   if any(c.source == source for c in plan.layer.connections)}
        return [name for name in self.arch.core_names if name in reading]


def refusal(arch: Architecture, schedule: str, reasons: Sequence[str]) -> str:
    """The text of a MappingError."""
    return f"does not run on {arch.name} under {schedule}:\n" + "\n".join(f"  - {r}" for r in dict.fromkeys(reasons))


def lower(network: Network, layer: Layer, shift_at: str, pipes: str = "one") -> PassTable:
    """The layer's pass table on a core that weighs bit planes at `shift_at`, the weight or the membrane, and has `pipes`.

    Raises MappingError for a neuron model that has no passes.
    """
    direct = any(network.is_direct(c) for c in layer.connections)
    if why := layer.neuron.not_lowered(direct):
        raise MappingError(f"layer {layer.name!r} cannot be mapped: {why}")
    table = layer.neuron.lower(layer, Context(
        planes=max((network.source_timesteps(c) for c in layer.connections), default=layer.timesteps),
        direct=direct,
        binary_weighted=any(network.weighs_planes(c) for c in layer.connections),
        shift_at="membrane" if shift_at == "membrane" else "weight",
        spike_shift=network.input.spike_shift if any(network.is_hybrid(c) for c in layer.connections) else 0,
    ))
    return table.by_current() if pipes == "two" else table


def weight_misfits(connection: Connection, weight_bits: int, where: str) -> list[str]:
    """Why a connection's weights do not fit the weight memory's words; empty when they do or none are recorded."""
    weights = connection.weights
    if weights is None or not weights.size:
        return []
    low, high, top = int(weights.min()), int(weights.max()), 1 << (weight_bits - 1)
    if -top <= low and high < top:
        return []
    return [f"{where}: weights {low} to {high} do not fit core.weight_bits {weight_bits}"]


def split_channels(channels: int, lanes: Sequence[int]) -> list[tuple[int, int]]:
    """Channels [c0, c1) for each of several cores, (0, 0) for one that gets none: in proportion to their lanes.

    c0 is a multiple of the lanes of its own core, so a core may get none of a layer of few channels (docs/cycle-model.md,
    Several cores).
    """
    found, start, total, before = [], 0, sum(lanes), 0
    for n, own in enumerate(lanes):
        before += own
        end = channels
        if n + 1 < len(lanes):
            grain = lanes[n + 1]
            end = round(channels * before / total / grain) * grain
            end = min(channels, end if end >= start else -(-start // grain) * grain)
        found.append((start, end) if end > start else (0, 0))
        start = max(start, end)
    return found
