"""The dense ANN baseline: a systolic array of R x C multiply-accumulate elements that skips nothing.

Owns the replay of a quantised ANN's layers on the array of baseline/array.py: counts in the vocabulary of
hwsim/activity.py, transfers and order as on the other cores. Cycles and counts depend on shapes only, so they are made
once for all samples. Conventions, and what is not modelled, are in docs/baselines.md. Units: cycles, bits, rows, words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX
from hwsim.arch import Architecture
from hwsim.baseline.array import (
    Gemm,
    Stream,
    SystolicArray,
    fetched_rows,
    gemm_cost,
    tap_addresses,
    touched_rows,
)
from hwsim.mapping import LayerPlan, Mapping, MappingError, Tile, lower, weight_misfits
from hwsim.program import Feed, Operation, Program, Sample, SampleRecord
from hwsim.schedules.builder import ProgramBuilder
from hwsim.snn.forward import layer_sums, to_planes
from hwsim.snn.network import INPUT, Connection, Layer, Network, Shape
from hwsim.snn.neurons import PassTable
from hwsim.units import format_bits

IntArray = NDArray[np.int64]
SCHEDULE = "layer_by_layer"

# --- one layer on the array ------------------------------------------------------------------------------------------


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
        self.array = SystolicArray(core.rows, core.columns, core.array_dataflow)
        self.dense = tuple(c for c in self.layer.connections if c.operator != "identity")
        self.skips = tuple(c for c in self.layer.connections if c.operator == "identity")
        self.positions = self.layer.shape[1] * self.layer.shape[2]
        self.potential_bits = min(self.layer.potential_bits, core.potential_bits)
        self.reads_out = self.layer.coding == "readout"
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
        k = sum(taps(c) * c.pooled_shape[0] // c.groups for c in self.dense)
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
        return Tile((first, last), (lo, hi), rows, weights, self.membrane_words(lo, hi))


def taps(connection: Connection) -> int:
    """Products that one source channel gives to one output: k x k, or all positions of a linear connection."""
    _, h, w = connection.pooled_shape
    return h * w if connection.operator == "linear" else connection.kernel**2


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
    sources = (y * connection.pooled_shape[2] + x) * connection.stride
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


# --- a network on the array ------------------------------------------------------------------------------------------


def map_systolic(network: Network, arch: Architecture) -> tuple[Mapping, tuple[LayerWork, ...]]:
    """Cut a quantised ANN into tiles of whole groups of `columns` channels. Raises MappingError listing all reasons."""
    reasons = _misfits(network, arch)
    if reasons:
        raise MappingError(_refusal(arch, reasons))
    works = tuple(LayerWork(network, arch, layer, lower(network, layer, arch)) for layer in network)
    rows = {name: arch.capacities[name] // arch.row_bits[name] for name in ("weight", "membrane", "bias")}
    resident = sum(work.tile(0, work.group_count).weight_rows for work in works) <= rows["weight"]
    plans: list[LayerPlan] = []
    for work in works:
        try:
            plans.append(LayerPlan(work.layer, work.table, _tiles(work, rows, resident), (), work.bias_words))
        except MappingError as error:
            reasons.append(str(error))
    bias = sum(work.bias_words for work in works)
    if bias > rows["bias"]:
        reasons.append(f"bias memory: {bias} words needed, {rows['bias']} there; memories.bias at least "
                       f"{format_bits(bias * arch.row_bits['bias'])}")
    if reasons:
        raise MappingError(_refusal(arch, reasons))
    resident = sum(tile.weight_rows for plan in plans for tile in plan.tiles) <= rows["weight"]
    return Mapping(network, arch, tuple(plans), resident), works


def _refusal(arch: Architecture, reasons: Sequence[str]) -> str:
    return f"does not run on {arch.name}:\n" + "\n".join(f"  - {r}" for r in reasons)


def _misfits(network: Network, arch: Architecture) -> list[str]:
    reasons = []
    codings = {layer.coding for layer in network} - {"analog", "readout"}
    if arch.core.kind != "systolic":
        reasons.append(f"core.kind is {arch.core.kind}, expected systolic")
    if codings or network.input.encoding != "direct":
        reasons.append(f"the trace holds {'/'.join(sorted(codings)) or 'input'} spikes, and a systolic array takes the "
                       "multi-bit activations of a quantised ANN; use an architecture with core.kind event")
    if reasons:
        return reasons
    for layer in network:
        reasons += _layer_misfits(network, layer, arch)
    return reasons or _buffer_misfits(network, arch)


def _layer_misfits(network: Network, layer: Layer, arch: Architecture) -> list[str]:
    core, row, where, reasons = arch.core, arch.row_bits["spike"], f"layer {layer.name}", []
    if layer.payload_bits > row:
        reasons.append(f"{where}: activations take {layer.payload_bits} bits, a buffer row has {row}")
    for c in layer.connections:
        bits = network.pooled_bits(c)
        if c.pool_mode == "max":
            reasons.append(f"{where}: max pooling of {c.source} is for binary spikes; use folded or unit pooling")
        if bits > min(core.payload_bits, row):
            reasons.append(f"{where}: activations from {c.source} take {bits} bits{' pooled' if c.pool > 1 else ''}, "
                           f"core.payload_bits is {core.payload_bits} and a buffer row {row} bits")
        reasons += weight_misfits(c, arch, where)
    initial = lower(network, layer, arch).initial
    if bool((initial != initial[:, :1, :1]).any()):
        reasons.append(f"{where}: the bias differs between positions of a channel; the array starts all sums of a "
                       "channel alike")
    return reasons


def _buffer_misfits(network: Network, arch: Architecture) -> list[str]:
    """The planes that wait, the plane being written and the pooled planes of a layer must fit the buffer together."""
    row, worst, at = arch.row_bits["spike"], 0, ""
    last_read = {c.source: i for i, layer in enumerate(network) for c in layer.connections}
    size = {INPUT: _plane_bits(network.input.shape, network.input.payload_bits, row)}
    size |= {layer.name: _plane_bits(layer.shape, layer.payload_bits, row) for layer in network}
    for i, layer in enumerate(network):
        need = size[layer.name] + sum(size[s] for s in size if network.index(s) < i <= last_read.get(s, -1))
        need += sum(_plane_bits(c.pooled_shape, network.pooled_bits(c), row) for c in layer.connections if c.pool > 1)
        worst, at = max((worst, at), (need, layer.name), key=lambda found: found[0])
    if worst <= arch.spike_buffer.capacity:
        return []
    return [f"activation buffer: {format_bits(worst)} needed while layer {at} runs, spike_buffer.capacity is "
            f"{format_bits(arch.spike_buffer.capacity)}"]


def _plane_bits(shape: Shape, bits: int, row_bits: int) -> int:
    """Whole rows of a plane; 0 for a read-out, whose sums stay in the membrane memory."""
    return -(-shape[0] * shape[1] * shape[2] // (row_bits // bits)) * row_bits if bits else 0


def _tiles(work: LayerWork, rows: dict[str, int], resident: bool) -> tuple[Tile, ...]:
    """As few tiles as fit; where weights are streamed, tiles of half the memory leave room for the next load."""
    count, columns = work.group_count, work.array.columns
    singles = [work.tile(g, g + 1) for g in range(count)]
    needs = {"weight": max(t.weight_rows for t in singles), "membrane": max(t.words for t in singles)}
    for name, need in needs.items():
        if need > rows[name]:
            size = format_bits(need * work.arch.row_bits[name])
            raise MappingError(
                f"layer {work.layer.name}: a tile of {columns} output channels needs {need} rows of {name} memory "
                f"({size}), {rows[name]} are there; memories.{name} must be larger")
    room = rows["weight"] if resident or needs["weight"] > rows["weight"] // 2 else rows["weight"] // 2
    tiles, lo = [], 0
    while lo < count:
        tile, hi = singles[lo], lo + 1
        while hi < count and (wider := work.tile(lo, hi + 1)).weight_rows <= room and wider.words <= rows["membrane"]:
            tile, hi = wider, hi + 1
        tiles.append(tile)
        lo = hi
    return tuple(tiles)


# --- the replay ------------------------------------------------------------------------------------------------------

TRANSFERS = {("load", "weight"): "weight_write", ("load", "bias"): "bias_write", ("load", "spike"): "buffer_write",
             ("store", "spike"): "buffer_read"}


@dataclass(frozen=True, eq=False)
class SystolicReplay:
    """A network on a systolic array: the same for every sample.

    program   operations in list order; their runs are None, the array's closed forms stand in `counts`.
    start, end   (operations,) cycles.    counts   (operations, 1, len(EVENTS)).    macs   (operations,) of the array.
    """

    program: Program
    arch: Architecture
    tables: tuple[PassTable, ...]
    start: IntArray
    end: IntArray
    counts: IntArray
    macs: IntArray

    @property
    def cycles(self) -> int:
        """Cycles of one sample, end to end."""
        return int(self.end.max(initial=0))

    @property
    def utilisation(self) -> float:
        """Multiply-accumulates over elements x elapsed cycles."""
        return float(self.macs.sum()) / (self.arch.pe_count * max(1, self.cycles))

    def record(self, sample: Sample, spikes: str = "trace") -> SampleRecord:
        """What an engine would report: cycles and counts as for every sample, outputs and sums computed exactly.

        `spikes` trace: layers read the recorded activations; computed: layer feeds layer. A final sum beyond the
        potential's width is clipped and counts one saturation.
        """
        network = self.program.network
        planes: dict[str, NDArray[np.integer]] = {INPUT: sample.inputs}
        outputs, potentials = dict[str, NDArray[np.integer]](), dict[str, IntArray]()
        saturations = np.zeros(len(network.layers), np.int64)
        mismatches = np.full(len(network.layers), -1, np.int64)
        for i, (layer, table) in enumerate(zip(network, self.tables, strict=True)):
            recorded = sample.recorded.get(layer.name)
            if network.has_weights:
                sums = layer_sums(network, layer, planes).sum(axis=0) + table.initial
                limit = 1 << (min(layer.potential_bits, self.arch.core.potential_bits) - 1)
                potentials[layer.name] = np.clip(sums, -limit, limit - 1)
                saturations[i] = int((potentials[layer.name] != sums).sum())
            if layer.coding == "readout":
                continue
            if network.has_weights:
                levels = np.clip(potentials[layer.name] // table.passes[0].threshold, 0, table.max_level)
                outputs[layer.name] = to_planes(levels[None])
            elif recorded is not None:
                outputs[layer.name] = recorded
            if network.has_weights and recorded is not None:
                mismatches[i] = int((outputs[layer.name] != recorded).sum())
            planes[layer.name] = recorded if spikes == "trace" and recorded is not None else outputs[layer.name]
        return SampleRecord(self.start, self.end, self.counts, saturations, mismatches, outputs, potentials)


def systolic_replay(network: Network, arch: Architecture) -> SystolicReplay:
    """Cycles and counts of a quantised ANN on a systolic array. Raises MappingError with every reason why not."""
    mapping, works = map_systolic(network, arch)
    build = ProgramBuilder(mapping, SCHEDULE)
    build.setup()
    build.load_input((0, 1))
    costs: dict[int, RunCost] = {}
    for i, (plan, work) in enumerate(zip(mapping.plans, works, strict=True)):
        feeds = tuple(Feed(n, (0,), ()) for n in range(len(plan.layer.connections)))
        for number, tile in enumerate(plan.tiles):
            loads = build.load_weights(i, number, tile, (0, 1))
            run = build.run(i, number, tile, plan.table, feeds, (), (0, 1), clear=True, loads=loads)
            costs[run] = run_cost(work, tile, number)
    build.store_outputs()
    program = build.program()
    operations = tuple(replace(op, run=None, feeds=(), eots=0) for op in program.operations)
    program = replace(program, operations=operations)
    durations = [costs[op.id].cycles if op.id in costs else program.channel.cycles(op.bits) for op in operations]
    start, end = _chip_times(operations, durations)
    counts = np.zeros((len(operations), 1, len(EVENTS)), np.int64)
    for op in operations:
        for name, n in (costs[op.id].events if op.id in costs else _transfer(op)).items():
            counts[op.id, 0, INDEX[name]] = n
    macs = np.array([costs[op.id].macs if op.id in costs else 0 for op in operations], np.int64)
    tables = tuple(plan.table for plan in mapping.plans)
    return SystolicReplay(program, arch, tables, start, end, counts, macs)


def _transfer(op: Operation) -> dict[str, int]:
    """Counts of a load or store: bits on the channel, rows of the memory that it fills or empties (cycle model A4)."""
    moved = {f"channel_{'read' if op.kind == 'load' else 'write'}_bits": op.bits}
    event = TRANSFERS.get((op.kind, op.memory))
    return moved | ({event: op.rows} if event else {})


def _chip_times(operations: Sequence[Operation], durations: Sequence[int]) -> tuple[IntArray, IntArray]:
    """Start and end of every operation by rule C1: list order on each resource, after all dependencies."""
    start, end = (np.zeros(len(operations), np.int64) for _ in range(2))
    free: dict[str, int] = {}
    for op in operations:
        if op.setup:
            continue
        start[op.id] = max([free.get(op.resource, 0), *(int(end[d]) for d in op.deps)])
        end[op.id] = free[op.resource] = int(start[op.id]) + durations[op.id]
    return start, end
