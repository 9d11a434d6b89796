"""How a layer is cut for event cores: the rows that a tile needs in each memory, and as few tiles as fit."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf

from hwsim.cores.event.fields import EventDesign
from hwsim.mapping import MappingError, Tile
from hwsim.passes import PassTable
from hwsim.snn.network import Connection, Layer
from hwsim.units import format_bits


def connection_rows(connection: Connection, channels: int, lanes: int, span: tuple[int, int]) -> tuple[int, int]:
    """Weight rows and real weights of output channels [first, last): rows that hold at least one synapse, stored once.

    `channels` are those of the layer; `first` is a multiple of `lanes`.
    """
    first, last = span
    c_in, h, w = connection.pooled_shape
    if connection.operator == "identity":
        start, stop = max(first, connection.channel_offset), min(last, connection.channel_offset + c_in)
        return (0, 0) if stop <= start else (-(-stop // lanes) - start // lanes, stop - start)
    taps = h * w if connection.operator == "linear" else connection.kernel**2
    per_group_in, per_group_out = c_in // connection.groups, channels // connection.groups
    rows = 0
    for q in range(connection.groups):
        start, stop = max(first, q * per_group_out), min(last, (q + 1) * per_group_out)
        if stop > start:
            rows += per_group_in * taps * (-(-stop // lanes) - start // lanes)
    return rows, (last - first) * per_group_in * taps


def make_tile(layer: Layer, core: str, lanes: int, span: tuple[int, int]) -> Tile:
    """Channels [c0, c1) of a layer on a core of `lanes` lanes; c0 is a multiple of them."""
    parts = [connection_rows(c, layer.shape[0], lanes, span) for c in layer.connections]
    groups = (span[0] // lanes, -(-span[1] // lanes))
    return Tile(
        core=core, groups=groups, channels=span, rows=(0, layer.shape[1]), weight_rows=sum(r for r, _ in parts),
        weights=sum(n for _, n in parts), words=layer.shape[1] * layer.shape[2] * (groups[1] - groups[0]),
    )


def cut(
    layer: Layer, table: PassTable, core: str, design: EventDesign, span: tuple[int, int], rows: MappingOf[str, int],
) -> list[Tile]:
    """Channels [c0, c1) of a layer in the fewest tiles that fit `rows` of each memory of a core.

    Each tile replays the layer's input, so it takes as many groups as there is room for. Raises MappingError when not
    even one group fits.
    """
    lanes, tiles, start = design.core.lanes, list[Tile](), span[0]
    while start < span[1]:
        end, tile = start, None
        while end < span[1]:
            wider = make_tile(layer, core, lanes, (start, min(end + lanes, span[1])))
            if _shortage(wider, table, rows):
                break
            tile, end = wider, wider.channels[1]
        if tile is None:
            memory, need, there = _shortage(make_tile(layer, core, lanes, (start, min(start + lanes, span[1]))), table, rows)[0]
            raise MappingError(
                f"layer {layer.name}: one group of {lanes} output channels needs {need} rows of {memory} memory "
                f"({format_bits(need * design.row_bits[memory])}), {there} are there; memories.{memory} must be larger")
        tiles.append(tile)
        start = end
    return tiles


def _shortage(tile: Tile, table: PassTable, rows: MappingOf[str, int]) -> list[tuple[str, int, int]]:
    """Memories that a tile does not fit: (memory, rows needed, rows there)."""
    needs = [("weight", tile.weight_rows), ("membrane", tile.words)]
    needs += [("current", tile.words)] if table.direct else []
    needs += [("mask", tile.words)] if table.flagged else []
    return [(name, need, rows[name]) for name, need in needs if need > rows[name]]


def bias_words(layer: Layer, table: PassTable, tiles: list[Tile]) -> int:
    """Bias-memory words of a core's tiles: one per group for biases by channel, one per membrane word for biases by neuron."""
    values = [v for v in (table.initial if table.clear_reads_bias else None, table.addend) if v is not None]
    if not values:
        return 0
    groups = sum(tile.groups[1] - tile.groups[0] for tile in tiles)
    by_channel = all(bool((v == v[:, :1, :1]).all()) for v in values)
    return groups if by_channel else groups * layer.shape[1] * layer.shape[2]
