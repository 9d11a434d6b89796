"""How a layer is cut for event cores: the rows that a tile needs in each memory, and as few tiles as fit.

A layer is cut by output groups. Only where not even one group of all its rows fits is it cut by rows as well (R25).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Mapping as MappingOf

import numpy as np

from hwsim.cores.event.fields import EventDesign
from hwsim.mapping import MappingError, Share, Tile
from hwsim.passes import PassTable
from hwsim.snn.network import Connection, Layer
from hwsim.units import format_bits

Span = tuple[int, int]


def connection_rows(connection: Connection, channels: int, lanes: int, span: Span) -> tuple[int, int]:
    """Weight rows and real weights of output channels [first, last): rows that hold at least one synapse, stored once.

    `channels` are those of the layer; `first` is a multiple of `lanes`.
    """
    first, last = span
    c_in = connection.pooled_shape[0]
    if connection.operator == "identity":
        start, stop = max(first, connection.channel_offset), min(last, connection.channel_offset + c_in)
        return (0, 0) if stop <= start else (-(-stop // lanes) - start // lanes, stop - start)
    per_group_in, per_group_out = c_in // connection.groups, channels // connection.groups
    rows = 0
    for q in range(connection.groups):
        start, stop = max(first, q * per_group_out), min(last, (q + 1) * per_group_out)
        if stop > start:
            rows += per_group_in * connection.taps * (-(-stop // lanes) - start // lanes)
    return rows, (last - first) * per_group_in * connection.taps


def stored_rows(connection: Connection, channels: int, lanes: int, span: Span) -> tuple[int, int]:
    """connection_rows of a core that skips zeros (R26): rows that hold a weight other than zero, and the real weights in them."""
    if connection.weights is None:
        return connection_rows(connection, channels, lanes, span)
    (first, last), weights = span, np.asarray(connection.weights)
    rows = held = 0
    for q in range(connection.groups):
        if connection.operator == "identity":
            low, high = connection.channel_offset, connection.channel_offset + len(weights)
        else:
            low, high = (at * channels // connection.groups for at in (q, q + 1))
        start, stop = max(first, low), min(last, high)
        if stop <= start:
            continue
        begins = [start, *range((start // lanes + 1) * lanes, stop, lanes)]
        offset = low if connection.operator == "identity" else 0
        some = (weights[start - offset : stop - offset] != 0).reshape(stop - start, -1)
        stored = np.logical_or.reduceat(some, np.array(begins) - start, axis=0).sum(axis=1)
        rows += int(stored.sum())
        held += int(stored @ np.diff([*begins, stop]))
    return rows, held


def make_tile(
    layer: Layer, core: str, lanes: int, span: Span, rows: Span | None = None, skips_zeros: bool = False, spare_rows: int = 0,
) -> Tile:
    """Channels [c0, c1) x rows [a, b) of a layer on a core of `lanes` lanes; c0 is a multiple of them, no rows mean all."""
    count = stored_rows if skips_zeros else connection_rows
    parts = [count(c, layer.shape[0], lanes, span) for c in layer.connections]
    groups = (span[0] // lanes, -(-span[1] // lanes))
    first, end = rows or (0, layer.shape[1])
    return Tile(
        core=core, groups=groups, channels=span, rows=(first, end), weight_rows=sum(r for r, _ in parts),
        weights=sum(n for _, n in parts), spare_rows=spare_rows,
        words=(end - first + spare_rows) * layer.shape[2] * (groups[1] - groups[0]),
    )


def cut(
    layer: Layer, table: PassTable, core: str, design: EventDesign, share: Share, rows: MappingOf[str, int],
    tile_rows: int | None = None,
) -> list[Tile]:
    """A core's share of a layer in the fewest tiles that fit `rows` of each memory of the core.

    tile_rows   a tile has at most so many rows, one block of rows after the other; None: no such limit.

    Each tile replays the layer's input, so it takes as many groups as there is room for; rows are cut only where one group
    of all rows does not fit. Raises MappingError when not even one row of one group does.
    """
    first, end = share.rows
    step = tile_rows or end - first
    return [tile for at in range(first, end, step) for tile in _cut_block(
        layer, table, core, design, share.channels, (at, min(at + step, end)), rows, share.spare_rows * (at + step >= end))]


def _cut_block(
    layer: Layer, table: PassTable, core: str, design: EventDesign, span: Span, block: Span, rows: MappingOf[str, int],
    spare_rows: int = 0,
) -> list[Tile]:
    """Channels [c0, c1) x rows [a, b) in the fewest tiles that fit; spare rows are those of the tiles with the last row."""
    lanes = design.core.lanes

    def tile(channels: Span, of_rows: Span) -> Tile:
        spare = spare_rows * (of_rows[1] == block[1])
        return make_tile(layer, core, lanes, channels, of_rows, design.core.skip_zero_weights, spare)

    def fits(channels: Span, of_rows: Span = block) -> bool:
        return not _shortage(tile(channels, of_rows), table, rows)

    first_groups = [(start, min(start + lanes, span[1])) for start in range(span[0], span[1], lanes)]
    if all(fits(group) for group in first_groups):
        return [tile(channels, block) for channels in _whole_rows(lanes, span, fits)]
    if spare_rows:
        need = max(tile(group, block).words for group in first_groups)
        raise MappingError(f"layer {layer.name}: one group of a slice with its spare neurons has {need} words, which do not "
                           "fit; make the core's memories larger, or give network.pad_slices: false")
    for group in first_groups:
        if lacking := _shortage(tile(group, (0, 1)), table, rows):
            raise MappingError(f"layer {layer.name}: " + "; ".join(
                f"{_least(layer, name)} of {lanes} output channels needs {need} rows of {name} memory "
                f"({format_bits(need * design.row_bits[name])}), {there} are there; memories.{name} must be larger"
                for name, need, there in lacking))
    return [tile(channels, part)
            for channels, part in _cut_rows(layer, table, lanes, span, block, rows, fits)]


def _least(layer: Layer, memory: str) -> str:
    """The smallest tile, as far as a memory can tell: weights do not depend on rows."""
    return "one group" if memory == "weight" or layer.shape[1] == 1 else "one row of one group"


def _whole_rows(lanes: int, span: Span, fits: Callable[[Span], bool]) -> Iterator[Span]:
    """Channels of tiles of all rows, each of as many groups as fit."""
    start = span[0]
    while start < span[1]:
        end = min(start + lanes, span[1])
        while end < span[1] and fits((start, min(end + lanes, span[1]))):
            end = min(end + lanes, span[1])
        yield start, end
        start = end


def _cut_rows(
    layer: Layer, table: PassTable, lanes: int, span: Span, within: Span, rows: MappingOf[str, int],
    fits: Callable[[Span, Span], bool],
) -> list[tuple[Span, Span]]:
    """Channels and rows of tiles of the rows `within`: blocks of equally many groups, each in row tiles of about the same height,
    one block after the other, so that the weights of a block are fetched once.

    Few groups make tall tiles whose input is replayed for every block; many groups make low ones that read more rows twice.
    Of all numbers of groups that fit, the one that reads the fewest source neurons is taken, the largest of equals.
    """
    height, groups = within[1] - within[0], -(-(span[1] - span[0]) // lanes)
    words = min(rows[name] // words for name, words in _state_memories(table).items())
    best: tuple[int, list[tuple[Span, Span]]] | None = None
    for number in range(groups, 0, -1):
        blocks = [(start, min(start + number * lanes, span[1])) for start in range(span[0], span[1], number * lanes)]
        most = words // (layer.shape[2] * number)
        if most == 0 or not all(fits(block, (0, 1)) for block in blocks):
            continue
        parts = _even(within, -(-height // most))
        read = len(blocks) * sum(_source_neurons(wire, part) for wire in layer.connections for part in parts)
        if best is None or read < best[0]:
            best = read, [(block, part) for block in blocks for part in parts]
    assert best is not None, "one row of every group fits"
    return best[1]


def _even(within: Span, parts: int) -> list[Span]:
    """Rows in so many parts, the first ones a row higher where they cannot be equal."""
    height, ends = within[1] - within[0], [within[0]]
    for k in range(parts):
        ends.append(ends[-1] + height // parts + (k < height % parts))
    return list(zip(ends, ends[1:], strict=False))


def _source_neurons(connection: Connection, rows: Span) -> int:
    """Neurons in the source rows that a field of output rows [a, b) touches (R25)."""
    channels, height, width = connection.pooled_shape
    if connection.operator == "linear":
        return channels * height * width
    kernel, stride, padding = connection.axes[0]
    touched = {stride * y - padding + k for y in range(*rows) for k in range(kernel)}
    return channels * width * len(touched & set(range(height))) * (connection.pool**2 if connection.pool_mode == "folded" else 1)


def least_height(layer: Layer) -> int:
    """Rows of a tile that reads no more source rows a second time than it computes: as many as its neighbours share with it."""
    axes = (c.axes[0] for c in layer.connections if c.operator == "conv2d")
    halos = [-(-max(0, axis.kernel - axis.stride) // axis.stride) for axis in axes]
    return min(layer.shape[1], max(1, *halos, 1))


def _state_memories(table: PassTable) -> dict[str, int]:
    """Memories that hold states, with how many words each has for a word of a tile."""
    return {"membrane": 1, **({"current": table.current_banks} if table.direct else {}), **({"mask": 1} if table.flagged else {})}


def _shortage(tile: Tile, table: PassTable, rows: MappingOf[str, int]) -> list[tuple[str, int, int]]:
    """Memories that a tile does not fit: (memory, rows needed, rows there)."""
    needs = [("weight", tile.weight_rows), *((name, tile.words * words) for name, words in _state_memories(table).items())]
    return [(name, need, rows[name]) for name, need in needs if need > rows[name]]


def bias_words(layer: Layer, table: PassTable, tiles: list[Tile]) -> int:
    """Bias-memory words of a core's tiles: one per group for biases by channel, one per membrane word for biases by neuron."""
    values = [v for v in (table.initial if table.clear_reads_bias else None, table.addend) if v is not None]
    if not values:
        return 0
    if not all(bool((v == v[:, :1, :1]).all()) for v in values):
        return sum(tile.words for tile in tiles)
    return sum(high - low for low, high in {tile.groups for tile in tiles})
