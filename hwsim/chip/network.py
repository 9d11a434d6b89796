"""Rule C8 in arrays and plain functions: the links that a transfer holds, its flits, its cycles and its bits.

Routes go along x first, then along y. The reference engine walks them on its own. Bits and cycles may be integers or arrays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hwsim.links import Link, MeshSpec, Node
from hwsim.program import ChannelSpec

Amount = TypeVar("Amount", int, NDArray[np.int64])
"""A number, or an array of them."""


@dataclass(frozen=True)
class Tree:
    """The links of a transfer, each once, and the hops of its longest path."""

    links: tuple[Link, ...]
    hops: int


NOWHERE = Tree((), 0)
"""A transfer without a network."""


def route(start: Node, end: Node) -> list[Link]:
    """The links from one node to another: along x, then along y."""
    (x, y), (to_x, to_y) = start, end
    nodes = [(at, y) for at in _steps(x, to_x)] + [(to_x, at) for at in _steps(y, to_y)]
    path = [start, *nodes]
    return list(zip(path, nodes, strict=False))


def _steps(start: int, end: int) -> range:
    """The coordinates after `start` on the way to `end`."""
    return range(start + 1, end + 1) if end > start else range(start - 1, end - 1, -1)


def tree(mesh: MeshSpec | None, source: str, targets: Iterable[str]) -> Tree:
    """The tree from one place to others: what several paths share is held once (multicast)."""
    if mesh is None:
        return NOWHERE
    paths = [route(mesh.node_of[source], mesh.node_of[target]) for target in targets]
    links = dict.fromkeys(link for path in paths for link in path) if mesh.holds_links else {}
    return Tree(tuple(links), max(map(len, paths)))


def flits(mesh: MeshSpec | None, bits: Amount) -> Amount:
    """Flits of so many bits; 0 where links are infinitely wide, or where there are none."""
    return bits * 0 if mesh is None or mesh.flit_bits is None else -(-bits // mesh.flit_bits)


def link_cycles(mesh: MeshSpec, hops: Amount, bits: Amount) -> Amount:
    """Cycles of a transfer of more than 0 bits between cores; `hops` 0 is from the output buffer to the input buffer."""
    return mesh.hop_cycles * hops + flits(mesh, bits)


def channel_cycles(
    mesh: MeshSpec | None, channel: ChannelSpec, hops: NDArray[np.int64], bits: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Cycles of transfers of more than 0 bits from or to the channel; without a network C1's."""
    on_links = 0 if mesh is None else mesh.hop_cycles * hops
    return channel.latency_cycles + on_links + np.maximum(-(-bits // channel.bits_per_cycle), flits(mesh, bits))


def cargo_bits(mesh: MeshSpec, encoding: str, messages: int, message_bits: int, dense_bits: int) -> int:
    """Bits of what travels, with the EOT of the transfer.

    messages       spikes or values; of merged planes the neurons that spike in any of them.
    message_bits   of all messages together, beside their addresses and headers: values, or a bit for each of the merged planes.
    dense_bits     of a bitmap: positions x bits per position.
    """
    listed = messages * (mesh.address_bits + mesh.header_bits) + message_bits
    return mesh.header_bits + {"aer": listed, "bitmap": dense_bits, "smaller": min(listed, dense_bits) + 1}[encoding]
