"""The search behind automatic placements: which core works for which layer, so that the busiest core has little to do and what
travels does not travel far.

Numbers only: no networks, no architectures. Cycles and bits are estimates per sample. The cost of an assignment is a pair,
compared in this order: bits of weights and states that cores have no room for; and the cycles of the busiest core, made larger by
HOP_SHARE for each link that a bit passes in the mean. Where there are as many cores as layers, each layer has a core of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

HOP_SHARE = 0.05
"""What one more link for every bit is worth, in parts of the busiest core's cycles."""
SOURCE = -1
"""The input, as the position of a layer; it comes from where the channel is attached."""
STARTS = 8
"""Random assignments that the search also starts from."""
NORM = 6
"""Of the loads in the smooth cost."""
Cost = tuple[float, float]
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be placed.

    cycles        (layers, cores) that a layer takes on a core.
    needs         by memory (layers, cores), bits that a layer takes there for good.
    rooms         by memory (cores,), bits that there are.
    sent_bits     by layer, and SOURCE for the input: what it sends.
    readers       by layer, and SOURCE: the layers that read it.
    links         (core or SOURCE, cores) -> links that a transfer from one to the others holds.
    order         all cores, each next to the one before: a walk over the mesh.
    """

    cycles: NDArray[np.float64]
    needs: Mapping[str, NDArray[np.int64]]
    rooms: Mapping[str, NDArray[np.int64]]
    sent_bits: Mapping[int, float]
    readers: Mapping[int, tuple[int, ...]]
    links: Callable[[int, frozenset[int]], int]
    order: tuple[int, ...]

    @property
    def layers(self) -> int:
        return len(self.cycles)

    @property
    def cores(self) -> int:
        return self.cycles.shape[1]

    @property
    def one_each(self) -> bool:
        """Whether each layer has a core of its own."""
        return self.cores >= self.layers

    def sources_of(self, layer: int) -> tuple[int, ...]:
        """Who sends to a layer, SOURCE for the input."""
        return tuple(source for source, readers in self.readers.items() if layer in readers)

    def bit_hops(self, owners: Sequence[int], source: int) -> float:
        """Bits x links of what one source sends."""
        targets = frozenset(owners[reader] for reader in self.readers.get(source, ()))
        bits = self.sent_bits.get(source, 0.0)
        return bits * self.links(owners[source] if source != SOURCE else SOURCE, targets) if targets and bits else 0.0

    def cost(self, owners: Sequence[int]) -> Cost:
        """The cost of an assignment, by layer the position of its core."""
        return _Assignment(self, owners).cost


class _Assignment:
    """An assignment with its sums, so that a change costs no more than what it touches."""

    def __init__(self, problem: Problem, owners: Sequence[int]) -> None:
        self.problem, self.owners = problem, list(owners)
        self.sources = {layer: problem.sources_of(layer) for layer in range(problem.layers)}
        # Most cores of a large chip have nothing to do, so only those that have are summed up.
        self.load: dict[int, float] = {}
        self.held: dict[str, dict[int, int]] = {name: {} for name in problem.needs}
        for layer, core in enumerate(self.owners):
            self._put(layer, core, 1)
        self.hops = {source: problem.bit_hops(self.owners, source) for source in problem.readers}
        self.bits = sum(problem.sent_bits.get(source, 0.0) for source in problem.readers) or 1.0

    def _put(self, layer: int, core: int, sign: int) -> None:
        _add(self.load, core, sign * float(self.problem.cycles[layer, core]))
        for name, held in self.held.items():
            _add(held, core, sign * int(self.problem.needs[name][layer, core]))

    @property
    def over(self) -> float:
        """Bits that cores have no room for."""
        return float(sum(max(0, bits - int(self.problem.rooms[name][core])) for name, held in self.held.items()
                         for core, bits in held.items()))

    @property
    def travels(self) -> float:
        """What the links make of the cycles."""
        return 1 + HOP_SHARE * sum(self.hops.values()) / self.bits

    @property
    def cost(self) -> Cost:
        return self.over, max(self.load.values(), default=0.0) * self.travels

    @property
    def smooth(self) -> Cost:
        """The cost with a norm of all cores' loads in the place of the largest: it sees what brings a core that is not yet the
        busiest down, too, so that a search by it is not stuck where two cores are equally busy."""
        top = max(self.load.values(), default=0.0) or 1.0
        # In the order of the cores: the same assignment has the same sum, however it was reached.
        return self.over, top * sum((self.load[core] / top) ** NORM for core in sorted(self.load)) ** (1 / NORM) * self.travels

    def change(self, layers: Mapping[int, int]) -> None:
        """Put layers on other cores."""
        for layer, core in layers.items():
            self._put(layer, self.owners[layer], -1)
            self.owners[layer] = core
            self._put(layer, core, 1)
        for source in {one for layer in layers for one in (layer, *self.sources[layer])}:
            if source in self.hops:
                self.hops[source] = self.problem.bit_hops(self.owners, source)

    def changes(self) -> Iterator[dict[int, int]]:
        """Each layer to another core, and each two that change places, of the assignment as it then is."""
        problem = self.problem
        for layer in range(problem.layers):
            for core in range(problem.cores):
                taken = problem.one_each and core in self.owners
                if core != self.owners[layer] and not taken:
                    yield {layer: core}
        for one, other in combinations(range(problem.layers), 2):
            if self.owners[one] != self.owners[other]:
                yield {one: self.owners[other], other: self.owners[one]}


def _add(sums: dict[int, Number], core: int, value: Number) -> None:
    """Onto the sum of a core; a core with nothing has none."""
    sums[core] = sums[core] + value if core in sums else value
    if not sums[core]:
        del sums[core]


def search(problem: Problem) -> tuple[int, ...]:
    """By layer, the position of the core that computes it. The same problem has the same answer."""
    found = min((_improved(problem, start) for start in _starts(problem)), key=lambda one: (one.cost, one.owners))
    return tuple(found.owners)


def _improved(problem: Problem, start: Sequence[int]) -> _Assignment:
    """Changes that make it better, first by the smooth cost, then by the cost itself, until there is none."""
    at = _Assignment(problem, start)
    for cost_of in (lambda: at.smooth, lambda: at.cost):
        _descend(at, cost_of)
    return at


def _descend(at: _Assignment, cost_of: Callable[[], Cost]) -> None:
    best, better = cost_of(), True
    while better:
        better = False
        for change in at.changes():
            before = {layer: at.owners[layer] for layer in change}
            at.change(change)
            cost = cost_of()
            if cost[0] < best[0] or (cost[0] == best[0] and cost[1] < best[1] * (1 - 1e-12)):
                best, better = cost, True
            else:
                at.change(before)


def _starts(problem: Problem) -> Iterator[list[int]]:
    """Layers in order along a walk over the mesh; the largest layers first, each where it ends soonest; and some at random."""
    yield _in_a_row(problem)
    yield _largest_first(problem)
    rng = np.random.default_rng(problem.layers * 4099 + problem.cores)
    for _ in range(1 if problem.one_each else STARTS):
        yield (rng.permutation(problem.cores)[: problem.layers] if problem.one_each
               else rng.integers(0, problem.cores, problem.layers)).tolist()


def _in_a_row(problem: Problem) -> list[int]:
    """Neighbouring layers on a core, so that the busiest is as little busy as such cuts allow."""
    layers, order = problem.layers, problem.order
    if problem.one_each:
        return list(order[:layers])
    # best[k][n]: the least of what is the most of k cores that share the first n layers, and where the last one begins.
    best: list[list[tuple[float, int]]] = [[(0.0 if n == 0 else np.inf, 0) for n in range(layers + 1)]]
    for core in order:
        sums = np.concatenate([[0.0], np.cumsum(problem.cycles[:, core])])
        best.append([min((max(best[-1][m][0], sums[n] - sums[m]), m) for m in range(n + 1)) for n in range(layers + 1)])
    owners, n = [0] * layers, layers
    for k in range(len(order), 0, -1):
        m = best[k][n][1]
        owners[m:n] = [order[k - 1]] * (n - m)
        n = m
    return owners


def _largest_first(problem: Problem) -> list[int]:
    load = np.zeros(problem.cores)
    owners = [0] * problem.layers
    for layer in sorted(range(problem.layers), key=lambda one: -float(problem.cycles[one].max())):
        after = load + problem.cycles[layer]
        owners[layer] = int(after.argmin())
        load[owners[layer]] = np.inf if problem.one_each else after[owners[layer]]
    return owners
