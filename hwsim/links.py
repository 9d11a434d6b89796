"""The network between cores as a Program names it (C8): a mesh of nodes with directed links, and what travels on them.

Data only, like hwsim/program.py: routes are hwsim/chip/network.py's and each engine's own. Sizes in bits, hops in cycles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

Node = tuple[int, int]
"""(x, y) in the mesh, each from 0."""
Link = tuple[Node, Node]
"""From a node to its neighbour; the other direction is another link."""

CHANNEL = "channel"
"""The off-chip channel, as a place and as a resource."""
LinkEncoding = Literal["aer", "bitmap", "smaller"]
LINK_ENCODINGS: tuple[str, ...] = get_args(LinkEncoding)
"""How planes are written on links: a message per spike, a bit per position, or whichever takes fewer bits."""
RESERVED_ENCODINGS = {
    "stream": "single spikes that leave as they are made need routers with back-pressure, which are not built yet"}
"""Names that are kept for later, and why they are refused."""


def event_pipe(core: str) -> str:
    """A core's second resource, where events have a pipe of their own (R27); the core itself stands for its passes."""
    return f"{core} events"


def titled(resource: str, resources: Container[str]) -> str:
    """What a resource is called to people: where events have a pipe of their own (R27), what a core does besides is passes."""
    return f"{resource} passes" if event_pipe(resource) in resources else resource


def link_name(link: Link) -> str:
    """A link as a resource: `x,y>x,y`."""
    (x, y), (to_x, to_y) = link
    return f"{x},{y}>{to_x},{to_y}"


@dataclass(frozen=True)
class MeshSpec:
    """A mesh of links and who sits on its nodes.

    size           [X, Y] nodes.                              hop_cycles   of one hop over a link.
    flit_bits      bits that a link moves in a cycle; None: any number at once, and no flits.
    address_bits   of a neuron in a message (aer).            header_bits  of each message, and of the EOT of each transfer.
    nodes          (name, node) of every core and of the channel.
    """

    size: tuple[int, int]
    flit_bits: int | None
    hop_cycles: int
    address_bits: int
    header_bits: int
    nodes: tuple[tuple[str, Node], ...]

    @cached_property
    def node_of(self) -> dict[str, Node]:
        """The node of each core and of the channel."""
        return dict(self.nodes)

    @cached_property
    def links(self) -> tuple[Link, ...]:
        """Every directed link, those that leave a node together."""
        width, height = self.size
        return tuple(
            ((x, y), (x + dx, y + dy)) for y in range(height) for x in range(width)
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)) if 0 <= x + dx < width and 0 <= y + dy < height)

    @property
    def holds_links(self) -> bool:
        """Whether a transfer can hold a link at all; where bits and hops are free none does."""
        return self.flit_bits is not None or self.hop_cycles > 0


@dataclass(frozen=True)
class Cargo:
    """What of its operation's layer and timesteps a transfer carries, where the bits depend on the sample.

    channels, rows   [lo, hi) of the layer.        encoding   one of LINK_ENCODINGS.
    merged           the planes travel together: one message per neuron that spikes in any of them.
    """

    channels: tuple[int, int]
    rows: tuple[int, int]
    encoding: str
    merged: bool = False


def node_problems(
    size: tuple[int, int], nodes: Sequence[tuple[str, Node]], cores: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """What is wrong with where cores and the channel sit: the name of each that is, and a text that goes on from the name."""
    every = f"nodes are (0, 0) to ({size[0] - 1}, {size[1] - 1})"
    known, seen = (*cores, CHANNEL), dict[Node, str]()
    times = Counter(name for name, _ in nodes)
    for name in known:
        if name not in times:
            yield name, f"sits on no node of the mesh; give it one, {every}"
    for name, (x, y) in nodes:
        if name not in known:
            yield name, f"is no core of the chip, which has {', '.join(cores)}; leave it out"
        elif times[name] > 1:
            yield name, f"sits on {times[name]} nodes; give it one"
        elif not (0 <= x < size[0] and 0 <= y < size[1]):
            yield name, f"sits on node ({x}, {y}), outside of the mesh of {size[0]} x {size[1]}; {every}"
        elif name != CHANNEL and seen.setdefault((x, y), name) != name:
            yield name, f"sits on node ({x}, {y}), where {seen[x, y]} sits; one core per node, so give it another"


ROUNDING = 1e-12
"""Numbers that are equal come by different sums."""


def undecided(numbers: Mapping[str, tuple[float, float]]) -> list[tuple[str, str]]:
    """Pairs of names of which the first has the smaller number, and would not have if links cost nothing.

    numbers   by name: the number, and what it would be if links cost nothing (law 6); the same where there are no links.

    A link is held for whole planes, which no real network does, so what lies between both numbers is not known, nor is such an
    order (docs/schedules.md, "Honest about links").
    """
    return [(one, other) for one, (found, free) in numbers.items() for other, (more, more_free) in numbers.items()
            if found < more and free >= more_free * (1 - ROUNDING)]
