"""One layer on a systolic array: its matrix products, what a run of one tile of it costs.

Counts are in the vocabulary of hwsim/activity.py; they depend on shapes only. Conventions, and what is not modelled, are in
docs/baselines.md. Units: cycles, bits, rows, words.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from hwsim.arch import Architecture
from hwsim.cores.systolic.array import Gemm, Stream, SystolicArray, fetched_rows, gemm_cost, tap_addresses, touched_rows
from hwsim.mapping import Tile
from hwsim.passes import PassTable
from hwsim.snn.network import Connection, Layer, Network


@dataclass(frozen=True, eq=False)
class Block:
    """Output channels [lo, hi) that share the groups of all their connections: one matrix product."""

    lo: int
    hi: int
    groups: tuple[int, ...]


@dataclass(eq=False)
class LayerWork:
    """A layer as the array does it: matrix products for its convolutions and linear connections, then residuals.

    Several dense connections are one product whose K is the sum of theirs.
    """

    network: Network
    arch: Architecture
    layer: Layer
    table: PassTable
    _rows_of: dict[tuple[int, ...], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        core = self.arch.core
        self.array = SystolicArray(core.rows, core.columns, core.dataflow)
        self.dense = tuple(c for c in self.layer.connections if c.operator != "identity")
        self.skips = tuple(c for c in self.layer.connections if c.operator == "identity")
        self.positions = self.layer.shape[1] * self.layer.shape[2]
        self.potential_bits = min(self.layer.potential_bits, core.potential_bits)
        self.reads_out = not self.layer.sends
        self.keeps_sums = self.reads_out or bool(self.skips)

    def per_row(self, connection: Connection) -> int:
        """Activations of the (pooled) source that one row of the activation buffer holds."""
        return self.arch.row_bits["spike"] // self.network.pooled_bits(connection)

    @property
    def group_count(self) -> int:
        """Groups of `columns` output channels, the grain of tiles."""
        return -(-self.layer.shape[0] // self.array.columns)

    @property
    def bias_words(self) -> int:
        """Words of the bias memory that the layer's initial sums take; a uniform one sits in a register."""
        return self.group_count if self.table.clear_reads_bias else 0

    def blocks(self, lo: int, hi: int) -> list[Block]:
        """Output channels [lo, hi) cut where a connection's group ends: one group after another."""
        sizes = [self.layer.shape[0] // c.groups for c in self.dense]
        cuts = sorted({lo, hi, *(c for size in sizes for c in range(-(-lo // size) * size, hi, size))})
        return [Block(a, b, tuple(a // size for size in sizes)) for a, b in zip(cuts, cuts[1:], strict=False)]

    def spans(self, lo: int, hi: int) -> list[tuple[int, int]]:
        """Channel ranges of the words in which the sums of [lo, hi) leave: column folds, or one channel at a time."""
        if self.array.dataflow == "input_stationary":
            return [(lo, hi)]
        step = self.array.columns
        blocks = [(b.lo, b.hi) for b in self.blocks(lo, hi)] if self.dense else [(lo, hi)]
        return [(a, min(a + step, end)) for start, end in blocks for a in range(start, end, step)]

    def words(self, lo: int, hi: int) -> int:
        """Membrane words of `columns` sums that channels [lo, hi) take when they leave the array."""
        if self.array.dataflow == "input_stationary":
            return (hi - lo) * -(-self.positions // self.array.columns)
        return self.positions * len(self.spans(lo, hi))

    def gemm(self, block: Block) -> Gemm:
        k = sum(c.taps * c.pooled_shape[0] // c.groups for c in self.dense)
        return Gemm(self.positions, block.hi - block.lo, k)

    def fetched(self, block: Block) -> int:
        """Buffer rows read to feed the block's inputs into the array once."""
        if block.groups not in self._rows_of:
            streams = []
            for connection, q in zip(self.dense, block.groups, strict=True):
                width = connection.pooled_shape[0] // connection.groups
                base = tap_addresses(connection, self.layer)
                streams.append(Stream(base, q * width, (q + 1) * width, self.per_row(connection)))
            whole = self.array.dataflow == "output_stationary"
            self._rows_of[block.groups] = fetched_rows(streams, self.gemm(block).k if whole else self.array.rows)
        return self._rows_of[block.groups]

    @property
    def position_folds(self) -> int:
        """How often weights and initial sums pass: once for each fold of positions that the array holds still."""
        held = {"output_stationary": self.array.rows, "weight_stationary": self.positions,
                "input_stationary": self.array.columns}
        return -(-self.positions // held[self.array.dataflow])

    def initial_reads(self, lo: int, hi: int) -> int:
        """Bias words read to start the sums of channels [lo, hi), once a fold; a uniform start sits in a register."""
        if not self.table.clear_reads_bias:
            return 0
        step = self.array.columns
        words = sum((min(a + step, hi) - 1) // step - a // step + 1 for a in range(lo, hi, step))
        return words * self.position_folds

    def membrane_words(self, lo: int, hi: int) -> int:
        """Membrane words that [lo, hi) takes while it runs: kept sums, or partial sums between two folds over K."""
        if self.keeps_sums:
            return self.words(lo, hi)
        if self.array.dataflow == "output_stationary":
            return 0
        products = [self.gemm(block) for block in self.blocks(lo, hi)]
        return max((self.array.extents(g)[2] for g in products if g.k > self.array.rows), default=0)

    def tile(self, first: int, last: int) -> Tile:
        """Groups [first, last) of `columns` output channels, with the weight rows and membrane words that they need."""
        columns = self.array.columns
        lo, hi = first * columns, min(last * columns, self.layer.shape[0])
        rows = weights = 0
        for block in self.blocks(lo, hi) if self.dense else ():
            _, n, k = self.gemm(block)
            rows, weights = rows + k * -(-n // columns), weights + n * k
        for connection in self.skips:
            real = [len(real_channels(connection, *span)) for span in self.spans(lo, hi)]
            rows, weights = rows + sum(-(-n // columns) for n in real), weights + sum(real)
        return Tile(core=self.arch.core_names[0], groups=(first, last), channels=(lo, hi), rows=(0, self.layer.shape[1]),
                    weight_rows=rows, weights=weights, words=self.membrane_words(lo, hi))


def real_channels(connection: Connection, lo: int, hi: int) -> range:
    """Source channels of an identity connection that feed output channels [lo, hi)."""
    d = connection.channel_offset
    return range(max(lo - d, 0), max(min(hi - d, connection.pooled_shape[0]), max(lo - d, 0)))


# --- what a run of a tile counts -------------------------------------------------------------------------------------


@dataclass
class RunCost:
    """Cycles and counts of one run; `macs` are those of the array."""

    cycles: int = 0
    macs: int = 0
    events: Counter[str] = field(default_factory=Counter)


def run_cost(work: LayerWork, tile: Tile, number: int) -> RunCost:
    """One run: pooling (with the first tile), matrix products block by block, residuals, and what leaves."""
    cost = RunCost()
    events, (lo, hi) = cost.events, tile.channels
    for connection in work.layer.connections if number == 0 else ():
        if connection.pool > 1:
            _pool(work, connection, cost)
    for block in work.blocks(lo, hi) if work.dense else ():
        _product(work, block, cost)
    for connection in work.skips:
        _residual(work, connection, lo, hi, cost)
    words, passes = work.words(lo, hi), len(work.skips)
    if work.dense:
        # The first pass takes what the array left; without an array's sums it starts from the initial ones.
        events["membrane_read_accumulate"] += words * passes
    elif passes:
        events["membrane_read_accumulate"] += words * (passes - 1)
        events["bias_read"] += work.initial_reads(lo, hi)
    if work.reads_out:
        events["membrane_write_accumulate"] += words * passes
        events["membrane_read_readout"] += words
    else:
        events["membrane_write_accumulate"] += words * max(0, passes - 1)
        events["requant"] += work.positions * (hi - lo)
        per_row = work.arch.row_bits["spike"] // work.layer.payload_bits
        positions = np.arange(work.positions, dtype=np.int64)
        events["buffer_write"] += touched_rows(positions, work.layer.shape[0], work.spans(lo, hi), per_row)
    events["addr_gen"] += sum(n for name, n in events.items() if name.startswith("membrane_"))
    events["cycles_busy"] += cost.cycles
    return cost


def _product(work: LayerWork, block: Block, cost: RunCost) -> None:
    """One block through the array. Weights that stay are read once, streamed ones again for each fold of positions;
    inputs likewise for each fold of channels."""
    array, events, gemm = work.array, cost.events, work.gemm(block)
    part = gemm_cost(array, gemm)
    folds_m, folds_n = work.position_folds, -(-gemm.n // array.columns)
    cost.cycles += part.cycles
    cost.macs += part.macs
    events["mult"] += part.macs
    events["acc_add"] += part.macs
    events["weight_read"] += gemm.k * folds_n * folds_m
    events["buffer_read"] += work.fetched(block) * (1 if array.dataflow == "input_stationary" else folds_n)
    events["bias_read"] += work.initial_reads(block.lo, block.hi)
    events["membrane_read_accumulate"] += part.partial_words
    events["membrane_write_accumulate"] += part.partial_words + (part.result_words if work.keeps_sums else 0)
    input_bits = max(work.network.pooled_bits(c) for c in work.dense)
    events["reg_bits"] += (part.input_registers * input_bits + part.weight_registers * work.arch.core.weight_bits
                           + part.sum_registers * work.potential_bits)


def _residual(work: LayerWork, connection: Connection, lo: int, hi: int, cost: RunCost) -> None:
    """One pass over the tile's words, a word of `columns` elements a cycle: read the sum, add scale x activation."""
    events = cost.events
    channels = [c for c in (real_channels(connection, *span) for span in work.spans(lo, hi)) if c]
    synapses = work.positions * sum(len(c) for c in channels)
    y, x = np.divmod(np.arange(work.positions, dtype=np.int64), work.layer.shape[2])
    rows, columns = connection.axes
    sources = y * rows.stride * connection.pooled_shape[2] + x * columns.stride
    cost.cycles += work.words(lo, hi)
    events["mult"] += synapses
    events["acc_add"] += synapses
    events["reg_bits"] += synapses * work.potential_bits
    # Scales sit in a register while the positions of a word of channels pass; by channel they pass once a fold.
    sweeps = work.position_folds if work.array.dataflow == "input_stationary" else 1
    events["weight_read"] += sweeps * sum(-(-len(c) // work.array.columns) for c in channels)
    events["buffer_read"] += touched_rows(
        sources, connection.pooled_shape[0], [(c.start, c.stop) for c in channels], work.per_row(connection))


def _pool(work: LayerWork, connection: Connection, cost: RunCost) -> None:
    """Sum the windows into a plane of their own, `columns` channels of a position a cycle."""
    channels, h, w = connection.pooled_shape
    step, k, events = work.array.columns, connection.pool, cost.events
    spans = [(a, min(a + step, channels)) for a in range(0, channels, step)]
    y, x = np.divmod(np.arange(h * k * w * k, dtype=np.int64), w * k)
    unpooled = replace(connection, pool=1, pool_mode="none")
    cost.cycles += h * w * len(spans) * k * k
    events["pool_update"] += h * w * channels * k * k
    events["buffer_read"] += touched_rows(y * connection.source_shape[2] + x, channels, spans, work.per_row(unpooled))
    events["buffer_write"] += touched_rows(
        np.arange(h * w, dtype=np.int64), channels, spans, work.per_row(connection))
