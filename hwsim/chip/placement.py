"""Where layers are placed: which core computes which channels and rows of which layer.

On a chip with a network a placement is given by layer, found (hwsim/chip/search.py), or `spread`. A layer on several cores is
split by rows, each core with all of the layer's weights; where there are fewer rows than cores, channels are split as well; what
is left has nothing to do. On a chip without a network every layer's channels are spread over all cores (docs/cycle-model.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.arch import Architecture
from hwsim.chip.network import tree
from hwsim.chip.search import SOURCE, Problem, search
from hwsim.cores.base import CoreDesign
from hwsim.links import CHANNEL
from hwsim.mapping import Share, lower, split_channels
from hwsim.passes import BANKS
from hwsim.schedules.base import runs_in_time
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network
from hwsim.snn.sample import Sample

NO_NETWORK = "spread"
"""The placement of a chip without a network, as a Task names it."""


def needs_placing(arch: Architecture) -> bool:
    """Whether the chip's layers are still to be given cores."""
    return arch.network is not None and isinstance(arch.network.placement, str)


def placed(arch: Architecture, network: Network, sample: Sample | None = None) -> Architecture:
    """The chip with the cores of every layer written out; a chip that has them, or needs none, as it is.

    sample   spikes from which the work of each layer is estimated; without it every neuron is taken to spike once.
    """
    links = arch.network
    if links is None or not isinstance(links.placement, str):
        return arch
    names = [layer.name for layer in network]
    everywhere = links.placement == "spread"
    cores = [arch.core_names] * len(names) if everywhere else [(core,) for core in _found(arch, network, sample)]
    return arch.model_copy(update={"network": links.model_copy(update={"placement": dict(zip(names, cores, strict=True))})})


def placement_of(arch: Architecture, network: Network) -> Any:
    """The placement as a Task names it, JSON-ready: by layer the names of its cores. Needs a chip that is `placed`."""
    if arch.network is None or isinstance(arch.network.placement, str):
        return NO_NETWORK
    return {layer.name: list(arch.network.placement.get(layer.name, ())) for layer in network}


def placement_problems(arch: Architecture, network: Network) -> list[str]:
    """What of a placement that names layers does not go with the network."""
    if arch.network is None or isinstance(arch.network.placement, str):
        return []
    given, names = arch.network.placement, [layer.name for layer in network]
    widths, what = arch.network.slice_widths or {}, arch.network.slices
    return [*(f"network.placement puts layer {name} on {', '.join(given[name])}, and there is no such layer; there are "
              f"{', '.join(names)}" for name in given if name not in names),
            *(f"network.placement leaves out layer {name}; give it a core" for name in names if name not in given),
            *(text for layer in network if layer.name in widths and layer.name in given
              for text in _slice_problems(layer, widths[layer.name], len(given[layer.name]), what))]


def _slice_problems(layer: Layer, width: int, cores: int, what: str) -> Iterator[str]:
    """Why a layer (its rows are what is cut) cannot lie in slices of a width on so many cores."""
    height = layer.shape[1]
    if height == 1:
        yield (f"network.slice_widths: layer {layer.name} has no {what}, and is split by channels; leave it out")
    elif cores * width < height:
        yield (f"network.slice_widths: layer {layer.name} has {height} {what}, and slices of {width} on its cores hold "
               f"{cores * width}; give it {-(-height // width)} cores")


def shares_of(arch: Architecture, network: Network) -> tuple[dict[str, Share], ...]:
    """By layer, what each core computes of it, of those that compute anything; in the order in which they stand.

    network   as the chip lays it out (hwsim/chip/slices.py). Needs a chip that is `placed`, without `placement_problems`.
    """
    lanes = {name: arch.design_of(name).pe_count for name in arch.core_names}
    if arch.network is None:
        return tuple(_by_channels(layer.shape, tuple(lanes.items())) for layer in network)
    assert not isinstance(arch.network.placement, str), "the chip is placed"
    links, placement = arch.network, arch.network.placement
    widths = links.slice_widths or {}
    return tuple(
        _sliced(layer.shape, placement[layer.name], widths[layer.name], links.pad_slices) if layer.name in widths
        else split(layer.shape, [(name, lanes[name]) for name in placement[layer.name]]) for layer in network)


def _sliced(shape: tuple[int, int, int], cores: Sequence[str], width: int, padded: bool) -> dict[str, Share]:
    """A layer in slices of so many rows, one after the other; `padded`: the last one too, with spare rows."""
    channels, height, _ = shape
    return {name: Share((0, channels), (first, min(first + width, height)), max(0, first + width - height) * padded)
            for name, first in zip(cores, range(0, height, width), strict=False)}


def _by_channels(shape: tuple[int, int, int], cores: Sequence[tuple[str, int]]) -> dict[str, Share]:
    spans = split_channels(shape[0], [lanes for _, lanes in cores])
    return {name: Share(span, (0, shape[1])) for (name, _), span in zip(cores, spans, strict=True) if span[1] > span[0]}


def split(shape: tuple[int, int, int], cores: Sequence[tuple[str, int]]) -> dict[str, Share]:
    """A layer (C, H, W) on cores of so many lanes: rows in proportion to their lanes; where there are fewer rows than cores, each
    row's channels over as many cores as there are for a row. Cores that are left out have nothing to do."""
    channels, height, _ = shape
    each = max(1, len(cores) // height)
    bands = [cores[first : first + each] for first in range(0, len(cores), each)][:height]
    ends = _rows_in_proportion(height, [sum(lanes for _, lanes in band) for band in bands])
    return {name: Share(share.channels, rows) for band, rows in zip(bands, ends, strict=True) if rows[1] > rows[0]
            for name, share in _by_channels((channels, height, 1), band).items()}


def _rows_in_proportion(height: int, lanes: Sequence[int]) -> list[tuple[int, int]]:
    """Rows [a, b) for each; none for one of few lanes beside much larger ones."""
    total = sum(lanes)
    ends = [0, *(round(height * sum(lanes[: n + 1]) / total) for n in range(len(lanes)))]
    return list(zip(ends, ends[1:], strict=False))


def idle_cores(arch: Architecture, network: Network) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Layers that leave cores of their list without anything to do, and those cores."""
    placement = placement_of(arch, network)
    for layer, share in zip(network, shares_of(arch, network), strict=True):
        asked = arch.core_names if isinstance(placement, str) else placement[layer.name]
        if idle := tuple(name for name in asked if name not in share):
            yield layer.name, idle


# --- estimates -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Activity:
    """Events that a source sends per sample, and bits of a dense bitmap of them."""

    events: float
    dense_bits: int
    value_bits: int


def _activities(network: Network, sample: Sample | None) -> dict[str, _Activity]:
    found = {}
    specs: dict[str, InputSpec | Layer] = {INPUT: network.input, **{layer.name: layer for layer in network}}
    for name, spec in specs.items():
        c, h, w = spec.shape
        planes = None if sample is None else sample.inputs if name == INPUT else sample.recorded.get(name)
        values = spec.value_bits if isinstance(spec, InputSpec) else spec.payload_bits
        events = float(c * h * w) if planes is None else float(np.count_nonzero(planes))
        found[name] = _Activity(events, c * h * w * spec.timesteps * max(1, values), values)
    return found


def _work(layer: Layer, lanes: int, activity: dict[str, _Activity]) -> float:
    """An estimate of what a layer takes on a core of so many lanes: words that its events touch, and those of its passes."""
    events = (activity[wire.source].events * _words_per_event(wire, layer, lanes) for wire in layer.connections)
    return layer.timesteps * _words(layer, lanes) + sum(events)


def _words_per_event(wire: Connection, layer: Layer, lanes: int) -> float:
    along_y, along_x = wire.axes
    places = along_y.stride * along_x.stride
    if wire.operator == "identity":
        return 1 / places
    groups = -(-layer.shape[0] // wire.groups // lanes)
    if wire.operator == "linear":
        return groups
    _, height, width = wire.pooled_shape
    return groups * min(wire.taps / places, layer.shape[1] * layer.shape[2] * wire.taps / (height * width))


def weight_bits(layer: Layer, share: Share, design: CoreDesign) -> int:
    """About what the weights of a core's share of a layer take in its memory."""
    return _weight_rows(layer, design.pe_count, share.channels[1] - share.channels[0]) * design.row_bits.get("weight", 0)


def _weight_rows(layer: Layer, lanes: int, channels: int | None = None) -> int:
    """Rows of weights of so many channels, `lanes` to a row; None: of all."""
    rows = 0
    for wire in layer.connections:
        taps = 1 if wire.operator == "identity" else wire.pooled_shape[0] // wire.groups * wire.taps
        rows += taps * -(-(layer.shape[0] if channels is None else channels) // lanes)
    return rows


def _sent_bits(arch: Architecture, activity: _Activity) -> float:
    """What travels of a source in the encoding of the links."""
    links = arch.network
    assert links is not None
    listed = activity.events * (links.address_bits + links.header_bits + activity.value_bits)
    return {"aer": listed, "bitmap": float(activity.dense_bits)}.get(links.encoding, min(listed, activity.dense_bits))


def placement_problem(arch: Architecture, network: Network, sample: Sample | None = None) -> Problem:
    """What the search for a placement is given."""
    mesh, names = arch.mesh_spec(), arch.core_names
    assert mesh is not None
    designs = [arch.design_of(name) for name in names]
    activity = _activities(network, sample)
    place = {layer.name: i for i, layer in enumerate(network)} | {INPUT: SOURCE}
    readers = {at: tuple(i for i, layer in enumerate(network) if any(c.source == name for c in layer.connections))
               for name, at in place.items()}
    held = cache(lambda source, targets: len(tree(
        mesh, CHANNEL if source == SOURCE else names[source], tuple(names[target] for target in sorted(targets))).links))
    at = {name: mesh.node_of[name] for name in names}
    snake = sorted(range(len(names)), key=lambda n: (at[names[n]][1], at[names[n]][0] * (-1) ** at[names[n]][1]))
    waits = runs_in_time(network) and max(layer.timesteps for layer in network) > 1
    pipes = _of_two_pipes(network, designs)
    return Problem(
        cycles=np.array([[_work(layer, one.pe_count, activity) for one in designs] for layer in network]),
        needs={
            "weight": _bits([[_weight_rows(layer, one.pe_count) for one in designs] for layer in network], designs, "weight"),
            **({"membrane": _bits([[_words(layer, one.pe_count) for one in designs] for layer in network], designs, "membrane")}
               if waits else {}), **{name: need for name, (need, _) in pipes.items()}},
        rooms={**{name: np.array([one.capacities.get(name, 0) for one in designs], np.int64) for name in ("weight", "membrane")},
               **{name: room for name, (_, room) in pipes.items()}},
        sent_bits={where: _sent_bits(arch, activity[name]) for name, where in place.items()
                   if where == SOURCE or network.layers[where].sends},
        readers={source: found for source, found in readers.items() if found}, links=held, order=tuple(snake))


def _of_two_pipes(network: Network, designs: Sequence[CoreDesign]) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """What layers need of cores with two pipes, and what is there (R27): words of current, and company.

    A layer whose events work on potentials has its core for itself: it takes all places, and every other layer takes one.
    A place weighs more than all bits of currents, since more memory does not mend a placement that is not allowed.
    """
    specs = [one.core_spec() for one in designs]  # type: ignore[attr-defined]
    if all(spec.pipes == "one" for spec in specs):
        return {}
    banks = np.array([[lower(network, layer, spec.shift_at, spec.pipes).current_banks if spec.pipes == "two" else 0
                       for spec in specs] for layer in network], np.int64)
    two = np.array([spec.pipes == "two" for spec in specs])
    current = banks * _bits([[_words(layer, one.pe_count) for one in designs] for layer in network], designs, "current")
    place = 1 + int(current.sum())
    places = np.where(two, np.where(banks < BANKS, len(network.layers), 1), 0) * place
    return {"current": (current, np.array([one.capacities.get("current", 0) for one in designs], np.int64)),
            "company": (places, np.full(len(designs), len(network.layers) * place, np.int64))}


def _bits(rows: list[list[int]], designs: Sequence[CoreDesign], memory: str) -> NDArray[np.int64]:
    """Rows of a memory, by layer and core, as bits."""
    return np.array(rows, np.int64) * np.array([one.row_bits.get(memory, 0) for one in designs], np.int64)


def _words(layer: Layer, lanes: int) -> int:
    """Words of a layer's states."""
    return layer.shape[1] * layer.shape[2] * -(-layer.shape[0] // lanes)


def _found(arch: Architecture, network: Network, sample: Sample | None) -> list[str]:
    return [arch.core_names[core] for core in search(placement_problem(arch, network, sample))]
