"""What an event core cannot do: codings without their units, numbers that do not fit its widths, spikes that do not fit
its buffer."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence

from hwsim.arch import Architecture
from hwsim.chip.placement import placement_problems, shares_of
from hwsim.cores.event.fields import EventDesign
from hwsim.mapping import Share, lower, weight_misfits
from hwsim.passes import BANKS
from hwsim.schedules.base import Schedule, runs_in_time
from hwsim.snn.network import INPUT, Connection, Layer, Network
from hwsim.units import format_bits


def misfits(network: Network, arch: Architecture, schedule: Schedule) -> list[str]:
    """Reasons, other than the sizes of tiles, why the network cannot run; empty when there are none."""
    reasons = schedule.misfits(network) + schedule.links_misfits(arch.network is not None)
    reasons += _of_entries(network, arch, schedule) + placement_problems(arch, network) + _pipe_misfits(network, arch, schedule)
    if arch.network is not None:
        reasons += _link_misfits(network, arch, schedule)
    if not reasons:
        shares = shares_of(arch, network)
        reasons += _in_turn_misfits(network, arch, shares)
        for name in arch.core_names:
            reasons += _buffer_misfits(network, arch, name, schedule, shares)
    return list(dict.fromkeys(reasons))


def _pipe_misfits(network: Network, arch: Architecture, schedule: Schedule) -> list[str]:
    """What cannot run timestep by timestep, each with its events in one pipe and its passes in another (R27)."""
    if all(design.core_spec().pipes == "one" for design in arch.cores if isinstance(design, EventDesign)):
        return []
    one = "core.pipes: two lets passes go on beside the next timestep's events"
    if arch.network is None:
        return [f"{one}, on chips with a network of links; give the architecture `network`, a chip of one core too, and use the "
                "schedule pipelined, or use core.pipes: one"]
    if not schedule.stays:
        return [f"{one}, and {schedule.name} has no events that could: the next ones of a layer follow after other layers, or in "
                "the same run; use the schedule pipelined, or core.pipes: one"]
    if not runs_in_time(network):
        return [f"{one}, and the network's layers fire after all planes of a sample; use core.pipes: one"]
    return []


def _in_turn_misfits(network: Network, arch: Architecture, shares: Shares) -> list[str]:
    """Layers on cores of two pipes whose events work on potentials, in the memory that passes of other layers would work on."""
    found = []
    for name in arch.core_names:
        design = arch.design_of(name)
        assert isinstance(design, EventDesign)
        if design.core.pipes == "one":
            continue
        mine = [layer for layer, share in zip(network, shares, strict=True) if name in share]
        in_turn = [layer.name for layer in mine
                   if lower(network, layer, design.core.shift_at, design.core.pipes).current_banks < BANKS]
        if in_turn and len(mine) > 1:
            found.append(f"{name}: layer {in_turn[0]}'s events work on potentials, or on a current that lives on, so they share "
                         "the memory with the passes of the core's other layers (R27); place it on a core of its own, or use "
                         "core.pipes: one")
    return found


def _link_misfits(network: Network, arch: Architecture, schedule: Schedule) -> list[str]:
    """What does not go with the links of the chip's network."""
    assert arch.network is not None
    found = []
    items, need = schedule.items(network), max(_address_bits(network, s) for s in _producers(network))
    if need > arch.network.address_bits:
        found.append(f"addresses need {need} bits, network.address_bits is {arch.network.address_bits}")
    one = arch.entries()[0][1].only
    assert isinstance(one, EventDesign)
    short = [layer.name for layer in network if items > 1 and lower(network, layer, one.core.shift_at).planes != items]
    if short:
        found.append(f"layers {', '.join(short)} do not run in each of the {items} timesteps, so they do not run one by one with "
                     "the others; use layer_by_layer")
    steps = max(layer.timesteps for layer in network)
    if not schedule.apart and runs_in_time(network) and steps > (arch.network.buffer_planes or steps):
        found.append(f"network.buffer_planes is {arch.network.buffer_planes}, and {schedule.name} sends {steps} planes at once; "
                     "leave it out, or give at least so many")
    return found


def _of_entries(network: Network, arch: Architecture, schedule: Schedule) -> list[str]:
    """What does not fit the units and widths of the chip's cores; an entry of `cores` is named where others fit."""
    found: dict[str, list[str]] = {}
    for where, one in arch.entries():
        design = one.only
        assert isinstance(design, EventDesign)
        widths = [text for layer in network for text in _width_misfits(network, layer, design)]
        for reason in _unit_misfits(network, design) + _sum_misfits(network, design, schedule) + widths:
            found.setdefault(reason, []).append(where)
    return [text if len(set(places)) == len(arch.cores) else f"{', '.join(dict.fromkeys(places))}: {text}"
            for text, places in found.items()]


def _unit_misfits(network: Network, design: EventDesign) -> list[str]:
    kind, multiplies = design.core.kind, design.core.requantises
    sending = [layer for layer in network if layer.sends]
    spiking = sorted({layer.coding for layer in sending if not layer.sends_values})
    reasons = []
    if not multiplies and any(layer.sends_values for layer in sending):
        reasons.append(f"the trace holds multi-bit activations of an ANN, and an {kind} core has no requantiser; use an "
                       "architecture with core.kind multiply_accumulate or systolic")
    if multiplies and spiking:
        reasons.append(f"the trace holds {'/'.join(spiking)} spikes, and a {kind} core has no comparators and resets; use an "
                       "architecture with core.kind event")
    if multiplies and network.input.is_hybrid:
        reasons.append(f"a hybrid input sends spikes that weigh {1 << network.input.spike_shift}, and a {kind} core has no "
                       "weight shifters; use an architecture with core.kind event")
    if design.merges_planes and network.input.is_hybrid:
        reasons.append("a hybrid input's first plane holds values and the others spikes, which share no merged token; use "
                       "token: {planes: single}")
    return reasons + _decay_misfits(network, design)


def _decay_misfits(network: Network, design: EventDesign) -> list[str]:
    """Decays that the lanes have no multipliers for, where the design says how many there are."""
    there = design.core.lane.decays
    if there is None:
        return []
    tables = ((layer.name, lower(network, layer, design.core.shift_at)) for layer in network)
    needs = {name: table.decays for name, table in tables}
    most = max(needs.values(), default=0)
    if most <= there:
        return []
    what = "the potential and the current decay" if most == 2 else "states decay"
    return [f"layer {next(name for name in needs if needs[name] == most)}: {what}, core.lane.decays is {there}; its lanes need "
            f"{most} multiplier{'s' if most > 1 else ''} of decays, so give core.lane: {{decays: {most}}}, or leave decays out"]


def _sum_misfits(network: Network, design: EventDesign, schedule: Schedule) -> list[str]:
    """Merged planes that are not weighed need a sum each, beside every accumulator (R21), and scatter order has none."""
    if not design.merges_planes:
        return []
    tables = ((layer, lower(network, layer, design.core.shift_at)) for layer in network
              if any(not network.carries_payload(c) and not network.weighs_planes(c) for c in layer.connections))
    needed = {layer.name: 1 if schedule.apart and runs_in_time(network) else table.planes
              for layer, table in tables if not table.weigh_planes}
    most = max(needed.values(), default=0)
    if most <= design.plane_sums:
        return []
    layers = ", ".join(name for name, planes in needed.items() if planes > design.plane_sums)
    if not design.has_accumulator_file:
        return [f"layers {layers}: planes of a rate code are merged, which takes {most} sums beside each accumulator, and an "
                "event-driven core has no accumulators; use core.dataflow: {type: output_stationary}, or token: {planes: single}"]
    return [f"layers {layers}: planes of a rate code are merged, which takes {most} sums beside each accumulator, and core.token "
            f"has sums: {design.plane_sums}; give it sums: {most}, or use token: {{planes: single}}"]


def _width_misfits(network: Network, layer: Layer, design: EventDesign) -> list[str]:
    core, where, reasons = design.core, f"layer {layer.name}", []
    bits = min(layer.potential_bits, core.potential_bits)
    limit = 1 << (bits - 1)
    for connection in layer.connections:
        payload = network.carries_payload(connection)
        signed = connection.source == INPUT and network.input.signed
        if payload > core.payload_bits:
            reasons.append(f"{where}: events from {connection.source} carry {payload}-bit payloads"
                           f"{' (signed)' if signed else ''}, core.payload_bits is {core.payload_bits}")
        reasons += weight_misfits(connection, core.weight_bits, where) + _index_misfits(layer, connection, design)
    if any(c.weights is None for c in layer.connections):
        return reasons  # nothing is computed, so no number needs to fit
    table = lower(network, layer, core.shift_at)
    # Who waits for a threshold may wait for ever (R28); who fires at one that cannot be reached is a mistake.
    theta = int(layer.thresholds.max()) if layer.sends and len(layer.thresholds) else 0
    if theta >> min((p.shift for p in table.passes if p.kind == "fire"), default=0) >= limit:
        reasons.append(f"{where}: threshold {theta} is beyond {bits}-bit potentials, it could never be reached; "
                       "core.potential_bits must be larger")
    for name, values in (("initial potential", table.initial), ("bias", table.addend)):
        if values is not None and (int(values.min()) < -limit or int(values.max()) >= limit):
            reasons.append(f"{where}: {name} {int(values.min())} to {int(values.max())} does not fit {bits}-bit potentials")
    return reasons


def _index_misfits(layer: Layer, connection: Connection, design: EventDesign) -> list[str]:
    """Why the rows of an event's list cannot be told apart, or which of them are zero is not known (R26)."""
    core, where = design.core, f"layer {layer.name}"
    if not core.skip_zero_weights:
        return []
    if connection.weights is None:
        return [f"{where}: the trace has no weights, so which of them are zero is not known; use core.skip_zero_weights: false"]
    rows = (connection.taps if connection.operator == "conv2d" else 1) * -(-layer.shape[0] // core.lanes)
    need = 0 if connection.operator == "identity" else (rows - 1).bit_length()
    if need <= core.weight_index_bits:
        return []
    return [f"{where}: an event from {connection.source} has {rows} rows of weights, and core.weight_index_bits "
            f"{core.weight_index_bits} cannot tell which of them are stored; at least {need}"]


# --- spike buffers -----------------------------------------------------------------------------------------------------


Shares = Sequence[MappingOf[str, Share]]
"""By layer and core, what the core computes."""


def _buffer_misfits(network: Network, arch: Architecture, name: str, schedule: Schedule, shares: Shares) -> list[str]:
    """A spike buffer is sized for the worst case: every neuron spikes in every plane that waits.

    Where there are links it holds what C9 says, which hwsim/cores/event/link_buffers.py looks at.
    """
    design = arch.design_of(name)
    assert isinstance(design, EventDesign)
    buffer, place = design.spike_buffer, "" if arch.is_one_core else f"{name}: "
    address = max(_address_bits(network, s) for s in _producers(network))
    if buffer.kind == "aer" and address > buffer.address_bits:
        return [f"{place}addresses need {address} bits, spike_buffer.address_bits is {buffer.address_bits}"]
    if arch.network is not None:
        return []
    worst, at = 0, 0
    reads = _readers(network)
    bits = {source: _plane_bits(network, source, _channels_held(network, shares, name, source, reads[source]), design, schedule)
            for source in reads}
    for i in range(len(network.layers)):
        live = sum(bits[source] for source in reads if _is_live(network, source, i, reads[source], schedule))
        worst, at = max((worst, at), (live, i))
    if worst <= buffer.capacity:
        return []
    return [f"{place}spike buffer: {format_bits(worst)} needed in the worst case while layer {network.layers[at].name} runs "
            f"({buffer.kind}), spike_buffer.capacity is {format_bits(buffer.capacity)}"]


def _producers(network: Network) -> list[str]:
    return [INPUT, *(layer.name for layer in network if layer.sends)]


def _readers(network: Network) -> dict[str, list[int]]:
    """By producer, in network order: the layers that read it."""
    found: dict[str, list[int]] = {source: [] for source in _producers(network)}
    for i, layer in enumerate(network):
        for source in {connection.source for connection in layer.connections}:
            found[source].append(i)
    return found


def _is_live(network: Network, source: str, at: int, reads: list[int], schedule: Schedule) -> bool:
    """Whether the source's planes wait while layer `at` runs: made by then, read then or later, or on their way off the chip."""
    written = network.index(source)
    if schedule.states_wait and source == INPUT and not network.input.is_direct:
        return True  # the next plane comes as soon as the last reader of this one has ended, while later layers run
    if not reads and source != INPUT:
        # What no layer reads leaves the chip: each plane while other layers run, or all of them at the end.
        return schedule.states_wait or written <= at
    return written <= at and (at == written or (bool(reads) and max(reads) >= at))


def _channels_held(network: Network, shares: Shares, name: str, source: str, reads: list[int]) -> int:
    """Channels of a source that a core holds: its own, and those of other cores too where it reads them."""
    reads_it = any(name in shares[i] for i in reads)
    if source == INPUT:
        return network.input.shape[0] if reads_it else 0
    low, high = shares[network.index(source)][name].channels if name in shares[network.index(source)] else (0, 0)
    return network.layer(source).shape[0] if reads_it else high - low


def _address_bits(network: Network, source: str) -> int:
    c, h, w = network.input.shape if source == INPUT else network.layer(source).shape
    return max(1, (c * h * w - 1).bit_length())


def _plane_bits(network: Network, source: str, channels: int, design: EventDesign, schedule: Schedule) -> int:
    """Bits that `channels` of a source take in the buffer, for as many planes as wait at once."""
    spec = network.input if source == INPUT else network.layer(source)
    return buffer_bits(network, source, channels * spec.shape[1] * spec.shape[2], schedule.planes_wait(spec.timesteps), design)


def buffer_bits(network: Network, source: str, neurons: int, planes: int, design: EventDesign) -> int:
    """Bits that planes of some neurons of a source take in a core's spike buffer."""
    buffer, spec = design.spike_buffer, network.input if source == INPUT else network.layer(source)
    # Only the first plane of an input holds values; a layer of an ANN has one plane.
    binary = source == INPUT and not network.input.is_direct and not network.input.is_hybrid
    payload = 0 if binary else spec.payload_bits
    if buffer.kind == "aer":
        return neurons * (planes * buffer.address_bits + payload)
    return planes * (-(-neurons // buffer.scan_bits) * buffer.scan_bits) + neurons * payload
