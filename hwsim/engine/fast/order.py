"""C7 and C8 over arrays: when each operation of a list starts and ends, given the cycles of runs and the bits of transfers.

A list is packed once: who waits for whom, which links each transfer holds. Then each sample costs a worklist (kernels/order.py).
Cycles from the start of the sample, bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hwsim import kernel_cache  # noqa: F401  decides where kernels are kept, before they are imported
from hwsim.chip.network import Tree, channel_cycles, flits, link_cycles, tree
from hwsim.engine.fast.kernels import order as ko
from hwsim.links import link_name
from hwsim.program import CHANNEL, ChannelSpec, Listed, Transfer, Wait
from hwsim.record import ListTimes

Ints = NDArray[np.int64]
NO_CHANNEL = ChannelSpec(1, 0)


@dataclass(frozen=True, eq=False)
class Times:
    """ready, start, end, link_bits and link_hops, (operations,) each, as hwsim.record.ListTimes has them."""

    ready: Ints
    start: Ints
    end: Ints
    link_bits: Ints
    link_hops: Ints


class ListPack:
    """A list's constants.

    bits     of transfers, 0 where they are by sample.        cycles   of waits, 0 for all else.
    trees    by operation; of what is no transfer None.
    """

    def __init__(self, listed: Listed) -> None:
        operations = listed.operations
        self.listed, size = listed, len(operations)
        self.setup = np.array([op.setup for op in operations], bool)
        self.cycles = np.array([op.cycles if isinstance(op, Wait) else 0 for op in operations], np.int64)
        self.runs = np.array([not isinstance(op, Transfer | Wait) for op in operations], bool)
        self.bits = np.zeros(size, np.int64)
        self.trees: list[Tree | None] = [None] * size
        known = cache(lambda source, targets: tree(listed.mesh, source, targets))
        for i, op in enumerate(operations):
            if isinstance(op, Transfer):
                self.trees[i] = known(op.source, op.targets)
                self.bits[i] = op.bits if isinstance(op.bits, int) else 0
        self.moves = np.array([one is not None for one in self.trees], bool)
        self.on_channel = np.array([op.resource == CHANNEL for op in operations], bool)
        self.hops = np.array([one.hops if one else 0 for one in self.trees], np.int64)
        self.links = np.array([len(one.links) if one else 0 for one in self.trees], np.int64)
        self._pack_links()
        self._pack_waiters()

    def _pack_links(self) -> None:
        """links of operation i: numbers[links_at[i] : links_at[i + 1]]."""
        mesh = self.listed.mesh
        number = {link: n for n, link in enumerate(mesh.links if mesh else ())}
        self.link_count = len(number)
        self.links_at = np.concatenate([[0], np.cumsum(self.links)]).astype(np.int64)
        self.numbers = np.array([number[link] for one in self.trees if one for link in one.links], np.int64)

    def _pack_waiters(self) -> None:
        """Who waits for operation i: waiters[waiters_at[i] : waiters_at[i + 1]]; `missing`: how many each waits for.

        Setup operations end at 0 and take no turn, so nobody waits for them.
        """
        last: dict[str, int] = {}
        pairs: list[tuple[int, int]] = []
        for i, op in enumerate(self.listed.operations):
            if op.setup:
                continue
            waits = {d for d in op.deps if not self.setup[d]}
            if op.resource:
                waits |= {last[op.resource]} if op.resource in last else set()
                last[op.resource] = i
            pairs += [(d, i) for d in waits]
        before, after = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
        size = len(self.listed.operations)
        self.missing = np.bincount(after, minlength=size).astype(np.int64)
        self.waiters_at = np.searchsorted(before, np.arange(size + 1)).astype(np.int64)
        self.waiters = np.ascontiguousarray(after)

    def times(self, cycles: Ints, bits: Ints) -> Times:
        """The times where operation i, if it is a run or a wait, takes cycles[i], and if it is a transfer moves bits[i]."""
        mesh, spans = self.listed.mesh, cycles.copy()
        moved = bits > 0
        between, over = self.moves & ~self.on_channel, self.moves & self.on_channel
        spans[self.moves] = 0
        if mesh is not None:
            spans = np.where(between & moved, link_cycles(mesh, self.hops, bits), spans)
        channel = self.listed.channel or NO_CHANNEL
        spans = np.where(over & moved, channel_cycles(mesh, channel, self.hops, bits), spans)
        held = np.where(moved, self.links, 0)
        ready, start, end = np.zeros((3, len(spans)), np.int64)
        ko.run_list(
            self.missing.copy(), self.setup, self.waiters_at, self.waiters, spans, held, self.links_at, self.numbers,
            np.zeros(self.link_count, np.int64), ready, start, end)
        return Times(ready, start, end, bits * held, flits(mesh, bits) * held)

    def list_times(self, cycles: Sequence[int]) -> ListTimes:
        """The times of a list by itself, with the names of what was held."""
        found = self.times(np.where(self.runs, np.array(cycles, np.int64), self.cycles), self.bits)
        held = []
        for op, bits, one in zip(self.listed.operations, self.bits.tolist(), self.trees, strict=True):
            links = [link_name(link) for link in one.links] if one and bits else []
            held.append((*([op.resource] if op.resource and not op.setup else []), *([] if op.setup else links)))
        return ListTimes(found.ready, found.start, found.end, found.link_bits, found.link_hops, tuple(held))
