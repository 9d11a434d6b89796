"""Mapping: which part of which layer sits on the core at a time, and whether it fits.

A layer is cut into tiles of whole output groups (a group is `lanes` channels) so that a tile's weights fit the weight
memory and its potentials the membrane memory. Sizes are in rows: a weight row is `lanes` weights, a membrane row one word.
Everything that does not fit is refused here, all reasons at once, before a cycle is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.arch import Architecture
from hwsim.program import ProgramError
from hwsim.snn.network import INPUT, Connection, Layer, Network
from hwsim.snn.neurons import Context, PassTable
from hwsim.units import format_bits


class MappingError(ProgramError):
    """A network that does not run on an architecture; the text lists every reason."""


@dataclass(frozen=True)
class Tile:
    """Output groups [lo, hi) of a layer: `channels` they hold, weight rows, weights that are real, membrane words."""

    groups: tuple[int, int]
    channels: tuple[int, int]
    weight_rows: int
    weights: int
    words: int


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """How one layer runs: its pass table, its tiles, and what of its state is spilled between timesteps.

    spills   of `membrane` and `current`, the memories that cannot keep this layer's words from one run to the next.
    """

    layer: Layer
    table: PassTable
    tiles: tuple[Tile, ...]
    spills: tuple[str, ...]
    bias_words: int


@dataclass(frozen=True, eq=False)
class Mapping:
    """All layers' plans; `weights_resident` says that all weights fit together and are loaded once."""

    network: Network
    arch: Architecture
    plans: tuple[LayerPlan, ...]
    weights_resident: bool


def map_network(network: Network, arch: Architecture, schedule: str) -> Mapping:
    """Cut `network` into tiles for `arch`. Raises MappingError listing every reason why it does not run."""
    reasons = misfits(network, arch, schedule)
    if reasons:
        raise MappingError(_refusal(arch, schedule, reasons))
    rows = {name: bits // arch.row_bits[name] for name, bits in arch.capacities.items() if name != "spike"}
    tables = [lower(network, layer, arch) for layer in network]
    residency = _residency(network, tables, arch, rows) if schedule == "step_by_step" else {}
    plans: list[LayerPlan] = []
    for i, (layer, table) in enumerate(zip(network, tables, strict=True)):
        spills, room = residency.get(i, ((), rows["membrane"]))
        try:
            tiles = _tiles(layer, table, arch, rows, room)
        except MappingError as error:
            reasons.append(str(error))
            continue
        plans.append(LayerPlan(layer, table, tiles, spills, _bias_words(layer, table, arch)))
    if schedule == "step_by_step":
        reasons += _flag_misfits(plans, arch, rows["mask"])
    bias = sum(p.bias_words for p in plans)
    if bias > rows["bias"]:
        reasons.append(f"bias memory: {bias} words needed, {rows['bias']} there; memories.bias at least "
                       f"{format_bits(bias * arch.row_bits['bias'])}")
    if reasons:
        raise MappingError(_refusal(arch, schedule, reasons))
    together = sum(t.weight_rows for p in plans for t in p.tiles) <= rows["weight"]
    return Mapping(network, arch, tuple(plans), together)


def _refusal(arch: Architecture, schedule: str, reasons: list[str]) -> str:
    return f"does not run on {arch.name} under {schedule}:\n" + "\n".join(f"  - {r}" for r in reasons)


def lower(network: Network, layer: Layer, arch: Architecture) -> PassTable:
    """The layer's pass table on this architecture."""
    codings = {network.source_coding(c) for c in layer.connections}
    planes = max(network.source_timesteps(c) for c in layer.connections)
    context = Context(
        planes=planes, direct="direct" in codings, binary_weighted="bit_serial" in codings, shift_at=arch.core.shift_at,
        spike_shift=network.input.spike_shift if "hybrid" in codings else 0,
    )
    return layer.neuron.lower(layer, context)


# --- what an architecture cannot do at all -----------------------------------------------------------------------------


def misfits(network: Network, arch: Architecture, schedule: str) -> list[str]:
    """Reasons, other than the sizes of tiles, why the network cannot run; empty when there are none."""
    reasons = _kind_misfits(network, arch, schedule)
    for layer in network:
        reasons += _width_misfits(network, layer, arch)
    return reasons or _buffer_misfits(network, arch, schedule)


def _kind_misfits(network: Network, arch: Architecture, schedule: str) -> list[str]:
    codings = {layer.coding for layer in network}
    kind, reasons = arch.core.kind, []
    if kind == "event" and "quantised" in codings:
        reasons.append("the trace holds multi-bit activations of an ANN, and an event core has no requantiser; use an "
                       "architecture with core.kind multiply_accumulate or systolic")
    if kind != "event" and codings - {"quantised", "readout"}:
        reasons.append(f"the trace holds {'/'.join(sorted(codings - {'readout'}))} spikes, and a {kind} core has no "
                       "comparators and resets; use an architecture with core.kind event")
    if schedule == "step_by_step" and ("bit_serial" in codings or network.input.coding == "bit_serial"):
        reasons.append("bit-serial layers fire only after all bit planes have been accumulated, so a layer cannot give "
                       "timestep t before it has seen every timestep; use layer_by_layer")
    if kind != "event" and network.input.encoding == "hybrid":
        reasons.append(f"a hybrid input sends spikes that weigh {1 << network.input.spike_shift}, and a {kind} core has no "
                       "weight shifters; use an architecture with core.kind event")
    steps = {layer.timesteps for layer in network if layer.coding not in ("readout",)}
    if schedule == "step_by_step" and len(steps) > 1:
        reasons.append(f"layers differ in timesteps ({sorted(steps)}); step_by_step needs one T, use layer_by_layer")
    return reasons


def weight_misfits(connection: Connection, arch: Architecture, where: str) -> list[str]:
    """Why a connection's weights do not fit the weight memory's words; empty when they do or none are recorded."""
    weights, bits = connection.weights, arch.core.weight_bits
    if weights is None or not weights.size:
        return []
    low, high, top = int(weights.min()), int(weights.max()), 1 << (bits - 1)
    return [f"{where}: weights {low} to {high} do not fit core.weight_bits {bits}"] if low < -top or high >= top else []


def _width_misfits(network: Network, layer: Layer, arch: Architecture) -> list[str]:
    core, where, reasons = arch.core, f"layer {layer.name}", []
    bits = min(layer.potential_bits, core.potential_bits)
    limit = 1 << (bits - 1)
    for connection in layer.connections:
        payload = network.carries_payload(connection)
        signed = connection.source == INPUT and network.input.signed
        if payload > core.payload_bits:
            reasons.append(f"{where}: events from {connection.source} carry {payload}-bit payloads"
                           f"{' (signed)' if signed else ''}, core.payload_bits is {core.payload_bits}")
        reasons += weight_misfits(connection, arch, where)
    if any(c.weights is None for c in layer.connections):
        return reasons  # nothing is computed, so no number needs to fit
    theta = int(layer.thresholds.max()) if len(layer.thresholds) else 0
    if theta >= limit * (2 if layer.coding == "bit_serial" else 1):
        reasons.append(f"{where}: threshold {theta} is beyond {bits}-bit potentials, it could never be reached; "
                       "core.potential_bits must be larger")
    table = lower(network, layer, arch)
    for name, values in (("initial potential", table.initial), ("bias", table.addend)):
        if values is not None and (int(values.min()) < -limit or int(values.max()) >= limit):
            reasons.append(f"{where}: {name} {int(values.min())} to {int(values.max())} does not fit {bits}-bit potentials")
    return reasons


def _buffer_misfits(network: Network, arch: Architecture, schedule: str) -> list[str]:
    """Spike buffers are sized for the worst case: every neuron spikes in every plane that waits."""
    buffer, reasons = arch.spike_buffer, []
    address = max(_address_bits(network, s) for s in _producers(network))
    if buffer.kind == "aer" and address > buffer.address_bits:
        reasons.append(f"addresses need {address} bits, spike_buffer.address_bits is {buffer.address_bits}")
    worst, at = 0, 0
    for i in range(len(network.layers)):
        live = sum(_buffer_bits(network, s, arch, schedule) for s in _producers(network) if _is_live(network, s, i))
        worst, at = max((worst, at), (live, i))
    if worst > buffer.capacity:
        reasons.append(
            f"spike buffer: {format_bits(worst)} needed in the worst case while layer {network.layers[at].name} runs "
            f"({buffer.kind}), spike_buffer.capacity is {format_bits(buffer.capacity)}")
    return reasons


def _producers(network: Network) -> list[str]:
    return [INPUT, *(layer.name for layer in network if layer.coding != "readout")]


def _is_live(network: Network, source: str, at: int) -> bool:
    """Whether `source`'s buffer holds planes while layer `at` runs: written by then, read then or later."""
    reads = [i for i, layer in enumerate(network) if any(c.source == source for c in layer.connections)]
    written = network.index(source)
    return written <= at and (at == written or (bool(reads) and max(reads) >= at))


def _address_bits(network: Network, source: str) -> int:
    c, h, w = network.input.shape if source == INPUT else network.layer(source).shape
    return max(1, (c * h * w - 1).bit_length())


def _buffer_bits(network: Network, source: str, arch: Architecture, schedule: str) -> int:
    spec = network.input if source == INPUT else network.layer(source)
    c, h, w = spec.shape
    binary = source == INPUT and network.input.encoding == "spikes"
    planes = 1 if schedule == "step_by_step" else spec.timesteps
    # Only the first plane of an input holds values; a layer of an ANN has one plane.
    payload = 0 if binary else spec.payload_bits
    if arch.spike_buffer.kind == "aer":
        return c * h * w * (planes * arch.spike_buffer.address_bits + payload)
    scan = arch.spike_buffer.scan_bits
    return planes * (-(-c * h * w // scan) * scan) + c * h * w * payload


# --- tiles ---------------------------------------------------------------------------------------------------------


def connection_rows(connection: Connection, channels: int, lanes: int, groups: tuple[int, int]) -> tuple[int, int]:
    """Weight rows and real weights of output groups [lo, hi): rows that hold at least one synapse, stored once."""
    lo, hi = groups
    first, last = lo * lanes, min(hi * lanes, channels)
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


def _tile(layer: Layer, lanes: int, lo: int, hi: int) -> Tile:
    parts = [connection_rows(c, layer.shape[0], lanes, (lo, hi)) for c in layer.connections]
    positions = layer.shape[1] * layer.shape[2]
    return Tile(
        groups=(lo, hi), channels=(lo * lanes, min(hi * lanes, layer.shape[0])), weight_rows=sum(r for r, _ in parts),
        weights=sum(n for _, n in parts), words=positions * (hi - lo),
    )


def _tiles(
    layer: Layer, table: PassTable, arch: Architecture, rows: dict[str, int], membrane_rows: int
) -> tuple[Tile, ...]:
    """The fewest tiles that fit: each replays the layer's input, so a tile takes as many groups as there is room for."""
    lanes = arch.core.lanes
    count = -(-layer.shape[0] // lanes)
    tiles, lo = [], 0
    while lo < count:
        hi = lo
        while hi < count and not _shortage(_tile(layer, lanes, lo, hi + 1), table, rows, membrane_rows):
            hi += 1
        if hi == lo:
            short = _shortage(_tile(layer, lanes, lo, lo + 1), table, rows, membrane_rows)
            memory, need, there = short[0]
            raise MappingError(
                f"layer {layer.name}: one group of {lanes} output channels needs {need} rows of {memory} memory "
                f"({format_bits(need * arch.row_bits[memory])}), {there} are there; memories.{memory} must be larger")
        tiles.append(_tile(layer, lanes, lo, hi))
        lo = hi
    return tuple(tiles)


def _flag_misfits(plans: list[LayerPlan], arch: Architecture, mask_rows: int) -> list[str]:
    """Step by step the flags of all layers wait at once, and none are spilled."""
    need = sum(tile.words for plan in plans if plan.table.flagged for tile in plan.tiles)
    if need <= mask_rows:
        return []
    return [f"mask memory: {need} words of flags needed for all layers, {mask_rows} there; memories.mask at least "
            f"{format_bits(need * arch.row_bits['mask'])}"]


def _shortage(
    tile: Tile, table: PassTable, rows: dict[str, int], membrane_rows: int
) -> list[tuple[str, int, int]]:
    needs = [("weight", tile.weight_rows, rows["weight"]), ("membrane", tile.words, membrane_rows)]
    if table.direct:
        needs.append(("current", tile.words, rows["current"]))
    if table.flagged:
        needs.append(("mask", tile.words, rows["mask"]))
    return [n for n in needs if n[1] > n[2]]


def _bias_words(layer: Layer, table: PassTable, arch: Architecture) -> int:
    """Bias-memory words of a layer: one a group for biases by channel, one a membrane word for biases by neuron."""
    groups, positions = -(-layer.shape[0] // arch.core.lanes), layer.shape[1] * layer.shape[2]
    values = [v for v in (table.initial if table.clear_reads_bias else None, table.addend) if v is not None]
    if not values:
        return 0
    by_channel = all(bool((v == v[:, :1, :1]).all()) for v in values)
    return groups if by_channel else groups * positions


def _residency(
    network: Network, tables: list[PassTable], arch: Architecture, rows: dict[str, int]
) -> dict[int, tuple[tuple[str, ...], int]]:
    """Step by step: for each layer, the memories that spill it between timesteps, and the words a tile may use."""
    positions = [layer.shape[1] * layer.shape[2] for layer in network]
    words = [-(-layer.shape[0] // arch.core.lanes) * p for layer, p in zip(network, positions, strict=True)]
    resident = kept_on_chip(words, positions, rows["membrane"])
    left = rows["membrane"] - sum(words[j] for j in resident)
    currents_fit = sum(w for w, t in zip(words, tables, strict=True) if t.direct) <= rows["current"]
    plans: dict[int, tuple[tuple[str, ...], int]] = {}
    for i, table in enumerate(tables):
        spills: tuple[str, ...] = () if i in resident else ("membrane",)
        spills += () if currents_fit or not table.direct else ("current",)
        plans[i] = (spills, words[i] if i in resident else left)
    return plans


def kept_on_chip(words: list[int], positions: list[int], rows: int) -> set[int]:
    """Layers whose potentials stay on chip so that few words are spilled.

    The spilled ones share a scratch area that must hold one group of the largest of them. For every size that this area
    could have, the layers that do not fit it must stay, and then the largest of the others that still find room.
    """
    best: set[int] = set()
    for scratch in sorted({0, *positions}):
        kept = {i for i, p in enumerate(positions) if p > scratch}
        room = rows - scratch - sum(words[i] for i in kept)
        if room < 0:
            continue
        for i in sorted(set(range(len(words))) - kept, key=lambda i: -words[i]):
            if words[i] <= room:
                kept.add(i)
                room -= words[i]
        if sum(words[i] for i in kept) > sum(words[i] for i in best):
            best = kept
    return best
