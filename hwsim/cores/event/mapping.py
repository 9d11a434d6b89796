"""A network on event cores: its layers cut into tiles and spread over the cores, with what stays on chip and what does not."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from itertools import zip_longest

from hwsim.arch import Architecture
from hwsim.chip.placement import placed, shares_of
from hwsim.cores.event.fields import EventDesign
from hwsim.cores.event.link_buffers import link_buffer_misfits
from hwsim.cores.event.misfits import misfits
from hwsim.cores.event.tiles import bias_words, cut, least_height
from hwsim.mapping import LayerPlan, Mapping, MappingError, Share, Tile, lower, refusal
from hwsim.passes import PassTable
from hwsim.schedules.base import Schedule
from hwsim.snn.network import Network
from hwsim.units import format_bits


def map_network(network: Network, arch: Architecture, schedule: Schedule, samples: int = 1) -> Mapping:
    """Cut `network` into tiles for `arch`, where its layers are placed. Raises MappingError listing every reason why it does not
    run.

    samples   that are streamed in a row, which buffers have to hold planes of.
    """
    arch = placed(arch, network)
    if reasons := misfits(network, arch, schedule):
        raise MappingError(refusal(arch, schedule.name, reasons))
    shares = shares_of(arch, network)
    cores = {name: _CorePlan(network, arch, name, schedule, [share.get(name, NOTHING) for share in shares])
             for name in arch.core_names}
    plans = []
    for i, (layer, share) in enumerate(zip(network, shares, strict=True)):
        by_core = {name: cores[name].tiles(i) for name in share}
        # The first tile of every core before the second of any: all cores begin at once.
        tiles = [tile for turn in zip_longest(*by_core.values()) for tile in turn if tile is not None]
        tables = {name: cores[name].tables[i] for name in by_core}
        plans.append(LayerPlan(
            layer, tables, tuple(tiles), {name: cores[name].spills(i) for name in by_core},
            {name: bias_words(layer, tables[name], found) for name, found in by_core.items()}))
    reasons = [text for core in cores.values() for text in core.shortages(plans)]
    mapping = Mapping(network, arch, tuple(plans), frozenset(name for name, core in cores.items() if core.keeps_weights(plans)))
    if not reasons and arch.network is not None:
        reasons = link_buffer_misfits(mapping, schedule, samples)
    if reasons:
        raise MappingError(refusal(arch, schedule.name, reasons))
    return mapping


NOTHING = Share((0, 0), (0, 0))
"""What a core computes of a layer that is elsewhere."""


class _CorePlan:
    """One core's share of every layer: rows of its memories, which layers' states stay, and what it lacks."""

    def __init__(self, network: Network, arch: Architecture, name: str, schedule: Schedule, shares: list[Share]) -> None:
        design = arch.design_of(name)
        assert isinstance(design, EventDesign)
        self.name, self.design, self.schedule, self.shares = name, design, schedule, shares
        self.where = "" if arch.is_one_core else f"{name}: "
        self.lanes = design.core.lanes
        self.network, self.links = network, arch.network
        self.tables = [lower(network, layer, design.core.shift_at, design.core.pipes) for layer in network]
        self.rows = {memory: bits // design.row_bits[memory] for memory, bits in design.capacities.items() if memory != "spike"}
        # On links a schedule may run all timesteps at once, whatever it does elsewhere.
        self.waits = schedule.states_wait and (arch.network is None or schedule.items(network) > 1)
        self.words = [-(-(share.channels[1] - share.channels[0]) // self.lanes) * share.height * layer.shape[2]
                      for layer, share in zip(network, shares, strict=True)]
        spills = self.waits and not schedule.stays
        self.kept = _residency(network, self.tables, shares, self.words, self.rows) if spills else {}
        self.lacking: list[str] = []

    def spills(self, index: int) -> tuple[str, ...]:
        return self.kept[index][0] if index in self.kept else ()

    def tiles(self, index: int) -> list[Tile]:
        """The layer's tiles on this core; none, and a reason kept for `shortages`, where not even the smallest fits."""
        room = self.kept[index][1] if index in self.kept else self.rows["membrane"]
        layer, rows = self.network.layers[index], {**self.rows, "membrane": room}
        if self.design.has_accumulator_file and not self.waits and layer.sends:
            # R19: no potential of such a layer ever reaches a memory. A read-out leaves from one.
            rows["membrane"] = max(1, self.words[index])
        try:
            return cut(layer, self.tables[index], self.name, self.design, self.shares[index], rows, self._tile_rows())
        except MappingError as error:
            self.lacking.append(f"{self.where}{error}")
            return []

    def _tile_rows(self) -> int | None:
        """Rows that a tile has at most: where a pipeline has nothing else to be cut by, it is cut by rows."""
        if self.links is None or not self.schedule.stays:
            return None
        return self.links.tile_rows or (None if self.schedule.items(self.network) > 1 else 1)

    def shortages(self, plans: list[LayerPlan]) -> list[str]:
        """Everything that this core has too little of."""
        found = [*self.lacking, *self._flags(plans), *self._biases(plans)]
        return found + ([*self._states(), *self._weights(plans)] if self.schedule.stays else [])

    def _states(self) -> list[str]:
        """Where nothing may be spilled, the potentials and currents of all layers of a core wait at once."""
        if not self.waits:
            return []
        needs = {"membrane": sum(self.words),
                 "current": sum(words * table.current_banks for words, table in zip(self.words, self.tables, strict=True))}
        return [f"{self.where}{memory} memory: {need} words needed for the states of all its layers, which {self.schedule.name} "
                f"does not spill, {self.rows[memory]} there; memories.{memory} at least "
                f"{format_bits(need * self.design.row_bits[memory])}, or place layers otherwise"
                for memory, need in needs.items() if need > self.rows[memory]]

    def _weights(self, plans: list[LayerPlan]) -> list[str]:
        """Where weights must stay, those that do not."""
        if self.keeps_weights(plans) or (self.links is not None and self.links.stream_weights):
            return []
        need, there = (format_bits(rows * self.design.row_bits["weight"])
                       for rows in (sum(plan.weight_rows(self.name) for plan in plans), self.rows["weight"]))
        return [f"{self.where}weight memory: {need} needed for all its layers, {there} there; {self.schedule.name} would load "
                "weights again for every run, so make memories.weight larger, place layers otherwise, or give "
                "network.stream_weights: true"]

    def _flags(self, plans: list[LayerPlan]) -> list[str]:
        """Where states wait the flags of all layers wait at once, and none are spilled."""
        need = sum(t.words for plan in plans for t in plan.tiles if t.core == self.name and plan.tables[t.core].flagged)
        if not self.waits or need <= self.rows["mask"]:
            return []
        return [f"{self.where}mask memory: {need} words of flags needed for all layers, {self.rows['mask']} there; "
                f"memories.mask at least {format_bits(need * self.design.row_bits['mask'])}"]

    def _biases(self, plans: list[LayerPlan]) -> list[str]:
        need = sum(plan.bias_words.get(self.name, 0) for plan in plans)
        if need <= self.rows["bias"]:
            return []
        return [f"{self.where}bias memory: {need} words needed, {self.rows['bias']} there; memories.bias at least "
                f"{format_bits(need * self.design.row_bits['bias'])}"]

    def keeps_weights(self, plans: list[LayerPlan]) -> bool:
        """Whether all weights of its tiles fit together."""
        return sum(plan.weight_rows(self.name) for plan in plans) <= self.rows["weight"]


def _residency(
    network: Network, tables: list[PassTable], shares: list[Share], words: list[int], rows: MappingOf[str, int]
) -> dict[int, tuple[tuple[str, ...], int]]:
    """For each layer, the memories that spill it between timesteps, and the membrane words that a tile may use.

    words   by layer, of all that the core computes of it.
    Spilled layers are cut by rows only where there is no room for a group of all rows of the largest of them.
    """
    heights = [share.height for share in shares]
    widths = [layer.shape[2] for layer in network]
    for most in (heights, [least_height(layer) for layer in network], [1] * len(heights)):
        least = [min(height, limit) * width for height, limit, width in zip(heights, most, widths, strict=True)]
        resident = kept_on_chip(words, least, rows["membrane"])
        left = rows["membrane"] - sum(words[j] for j in resident)
        if all(least[i] <= left for i in range(len(words)) if i not in resident):
            break
    currents_fit = sum(w for w, t in zip(words, tables, strict=True) if t.direct) <= rows["current"]
    plans: dict[int, tuple[tuple[str, ...], int]] = {}
    for i, table in enumerate(tables):
        spills: tuple[str, ...] = () if i in resident else ("membrane",)
        spills += () if currents_fit or not table.direct else ("current",)
        plans[i] = (spills, words[i] if i in resident else left)
    return plans


def kept_on_chip(words: list[int], least: list[int], rows: int) -> set[int]:
    """Layers whose potentials stay on chip so that few words are spilled.

    The spilled ones share a scratch area that must hold the smallest tile of each, `least` words: one group. For every size
    that this area could have, the layers that do not fit it must stay, and then the largest of the others that still find room.
    """
    best: set[int] = set()
    for scratch in sorted({0, *least}):
        kept = {i for i, p in enumerate(least) if p > scratch}
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
