"""C7 and C8 on the clock: cores and the channel as processes, each with its list, and a queue at every link of the network.

A transfer that is ready asks for its links. When nothing more can become ready in a cycle, those that asked in it join the queues
of all their links, in the order of the list. A transfer sets off when it is the first in each of its queues. Unit: cycles from
the start of the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import simpy

from hwsim.engine.reference.clock import CHIP, GRANT, Clock, Steps
from hwsim.links import Link, MeshSpec, Node, link_name
from hwsim.program import CHANNEL, CoreOperation, Listed, Operation, ProgramError, Transfer, Wait
from hwsim.record import ListTimes


class LinkQueues:
    """Who has been granted each link, in order; a link serves one transfer at a time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.last: dict[Link, simpy.Event] = {}  # by link: the end of the transfer that joined its queue last
        self.asking: list[tuple[int, list[Link], simpy.Event, simpy.Event]] = []

    def turn(self, number: int, links: list[Link], ended: simpy.Event) -> Steps:
        """Wait until operation `number` may set off over `links`; they are free again when it has `ended`."""
        if not self.asking:
            self.clock.process(self._grant())
        granted = simpy.Event(self.clock)
        self.asking.append((number, links, ended, granted))
        before = yield granted
        yield self.clock.all_of(before)

    def _grant(self) -> Steps:
        """C7: by ready time, then by position in the list; whoever is ready in this cycle has asked by now."""
        yield self.clock.at(self.clock.now, GRANT)
        asked, self.asking = sorted(self.asking, key=lambda one: one[0]), []
        for _, links, ended, granted in asked:
            granted.succeed([self.last[link] for link in links if link in self.last])
            self.last |= dict.fromkeys(links, ended)


class Journey:
    """The way of a transfer: its links, each once, and the hops to the farthest of its targets (C8)."""

    def __init__(self, mesh: MeshSpec | None, source: str, targets: tuple[str, ...]) -> None:
        self.links: list[Link] = []
        self.hops = 0
        if mesh is None:
            return
        for target in targets:
            path = list(walk(mesh.node_of[source], mesh.node_of[target]))
            self.hops = max(self.hops, len(path))
            self.links += [link for link in path if link not in self.links]
        if mesh.flit_bits is None and mesh.hop_cycles == 0:
            self.links = []


def walk(here: Node, there: Node) -> Iterator[Link]:
    """From node to node: as long as x is wrong a step along x, then along y."""
    while here != there:
        x, y = here
        if x != there[0]:
            following = (x + (1 if there[0] > x else -1), y)
        else:
            following = (x, y + (1 if there[1] > y else -1))
        yield here, following
        here = following


class Order:
    """A list in execution.

    run       what a core does in an operation of its own.       bits_of   what a transfer moves, asked when it is ready.
    """

    def __init__(
        self, clock: Clock, listed: Listed, run: Callable[[CoreOperation], Steps], bits_of: Callable[[Transfer], int]
    ) -> None:
        self.clock, self.listed, self.run, self.bits_of = clock, listed, run, bits_of
        self.queues = LinkQueues(clock)
        self.ended = {operation.id: simpy.Event(clock) for operation in listed.operations}
        size = len(listed.operations)
        self.ready, self.start, self.end, self.link_bits, self.link_hops = np.zeros((5, size), np.int64)
        self.held: list[tuple[str, ...]] = [()] * size

    def execute(self) -> None:
        """Run the clock until every operation has ended."""
        by_turn: dict[str, list[Operation]] = {}
        for operation in self.listed.operations:
            if operation.setup and isinstance(operation, Transfer):
                self._count_links(operation, self._journey(operation), self.bits_of(operation))
                self.ended[operation.id].succeed()
            elif operation.resource:
                by_turn.setdefault(operation.resource, []).append(operation)
            else:
                self.clock.process(self._in_turn([operation]))
        for operations in by_turn.values():
            self.clock.process(self._in_turn(operations))
        self.clock.run()

    def _in_turn(self, operations: list[Operation]) -> Steps:
        """A core or the channel at work: its operations in list order, one at a time. What takes no turn is by itself."""
        for operation in operations:
            for dependency in operation.deps:
                yield self.ended[dependency]
            yield self.clock.at(self.clock.now, CHIP)
            number = operation.id
            self.ready[number] = self.start[number] = self.clock.now
            self.held[number] = (operation.resource,) if operation.resource else ()
            if isinstance(operation, CoreOperation):
                yield from self.run(operation)
            elif isinstance(operation, Transfer):
                yield from self._transfer(operation)
            elif isinstance(operation, Wait):
                yield self.clock.at(self.clock.now + operation.cycles, CHIP)
            else:
                raise ProgramError(f"operation {number} is a {type(operation).__name__}, which nothing here executes")
            self.end[number] = self.clock.now
            self.ended[number].succeed()

    def _journey(self, operation: Transfer) -> Journey:
        return Journey(self.listed.mesh, operation.source, operation.targets)

    def _transfer(self, operation: Transfer) -> Steps:
        bits = self.bits_of(operation)
        if not bits:
            return  # takes no time and holds no link
        journey = self._journey(operation)
        if journey.links:
            yield from self.queues.turn(operation.id, journey.links, self.ended[operation.id])
            self.start[operation.id] = self.clock.now
            self.held[operation.id] += tuple(link_name(link) for link in journey.links)
        self._count_links(operation, journey, bits)
        yield self.clock.at(self.clock.now + self._cycles(operation, journey, bits), CHIP)

    def _flits(self, bits: int) -> int:
        """A flit for each `flit_bits` that have begun; none on links that are infinitely wide."""
        mesh = self.listed.mesh
        if mesh is None or mesh.flit_bits is None:
            return 0
        return (bits + mesh.flit_bits - 1) // mesh.flit_bits

    def _cycles(self, operation: Transfer, journey: Journey, bits: int) -> int:
        """C8, and without a network C1."""
        travel = self.listed.mesh.hop_cycles * journey.hops if self.listed.mesh else 0
        if operation.resource != CHANNEL:
            return travel + self._flits(bits)
        channel = self.listed.channel
        assert channel is not None
        return channel.latency_cycles + travel + max(
            (bits + channel.bits_per_cycle - 1) // channel.bits_per_cycle, self._flits(bits))

    def _count_links(self, operation: Transfer, journey: Journey, bits: int) -> None:
        """What each link that it holds carries."""
        self.link_bits[operation.id] = bits * len(journey.links)
        self.link_hops[operation.id] = self._flits(bits) * len(journey.links)

    def times(self) -> ListTimes:
        return ListTimes(self.ready, self.start, self.end, self.link_bits, self.link_hops, tuple(self.held))
