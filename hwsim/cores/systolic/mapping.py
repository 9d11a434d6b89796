"""A quantised ANN on a systolic array: what does not fit, and layers cut into tiles of whole groups of `columns` channels."""

from __future__ import annotations

from hwsim.arch import Architecture
from hwsim.chip.model import why_nothing_runs
from hwsim.cores.systolic.fields import SystolicDesign
from hwsim.cores.systolic.work import LayerWork
from hwsim.mapping import LayerPlan, Mapping, MappingError, Tile, lower, refusal, weight_misfits
from hwsim.schedules.base import Schedule
from hwsim.snn.network import INPUT, Layer, Network, Shape
from hwsim.units import format_bits

SHIFT_AT = "weight"
"""An array weighs no planes: any value gives the same tables."""


def map_systolic(network: Network, arch: Architecture, schedule: Schedule) -> tuple[Mapping, tuple[LayerWork, ...]]:
    """Cut a quantised ANN into tiles of whole groups of `columns` channels. Raises MappingError listing all reasons."""
    reasons = _misfits(network, arch, schedule)
    if reasons:
        raise MappingError(refusal(arch, schedule.name, reasons))
    works = tuple(LayerWork(network, arch, layer, lower(network, layer, SHIFT_AT)) for layer in network)
    rows = {name: arch.capacities[name] // arch.row_bits[name] for name in ("weight", "membrane", "bias")}
    resident = sum(work.tile(0, work.group_count).weight_rows for work in works) <= rows["weight"]
    core = arch.core_names[0]
    plans: list[LayerPlan] = []
    for work in works:
        try:
            tiles = _tiles(work, rows, resident)
            plans.append(LayerPlan(work.layer, {core: work.table}, tiles, bias_words={core: work.bias_words}))
        except MappingError as error:
            reasons.append(str(error))
    bias = sum(work.bias_words for work in works)
    if bias > rows["bias"]:
        reasons.append(f"bias memory: {bias} words needed, {rows['bias']} there; memories.bias at least "
                       f"{format_bits(bias * arch.row_bits['bias'])}")
    if reasons:
        raise MappingError(refusal(arch, schedule.name, reasons))
    resident = sum(tile.weight_rows for plan in plans for tile in plan.tiles) <= rows["weight"]
    return Mapping(network, arch, tuple(plans), frozenset([core] if resident else [])), works


def _misfits(network: Network, arch: Architecture, schedule: Schedule) -> list[str]:
    reasons = []
    if reason := why_nothing_runs(arch):
        return [reason]
    if not isinstance(arch.only, SystolicDesign):
        return [f"core.kind is {arch.core.kind}, expected systolic"]
    if schedule.states_wait:
        reasons.append("a systolic array has no timesteps; use layer_by_layer")
    codings = {layer.coding for layer in network if layer.sends and not layer.sends_values}
    if codings or not network.input.is_direct:
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
        reasons += weight_misfits(c, core.weight_bits, where)
    initial = lower(network, layer, SHIFT_AT).initial
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
