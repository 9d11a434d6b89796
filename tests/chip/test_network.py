"""C8's routes, trees, flits and bits: laws on random meshes, and the reference engine's own walk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwsim.chip.network import cargo_bits, flits, route, tree
from hwsim.engine.reference.order import Journey, walk
from hwsim.links import CHANNEL, LINK_ENCODINGS, MeshSpec, node_problems
from tests.engine.network_programs import random_mesh

NODE = st.tuples(st.integers(0, 7), st.integers(0, 7))


@given(NODE, NODE)
def test_a_route_goes_along_x_and_then_along_y(start: tuple[int, int], end: tuple[int, int]) -> None:
    links = route(start, end)
    assert len(links) == abs(start[0] - end[0]) + abs(start[1] - end[1])
    assert [link[0] for link in links] == [start, *(link[1] for link in links)][: len(links)]
    assert not links or links[-1][1] == end
    along_x = [here[1] == there[1] for here, there in links]
    assert along_x == sorted(along_x, reverse=True)
    assert links == list(walk(start, end))


@given(st.integers(0, 2**32 - 1))
def test_a_tree_is_the_union_of_its_routes_each_link_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cores = tuple(f"core{n}" for n in range(int(rng.integers(1, 8))))
    mesh = random_mesh(rng, cores)
    source, *targets = (str(one) for one in rng.choice([*cores, CHANNEL], int(rng.integers(2, 6))))
    found = tree(mesh, source, targets)
    paths = [route(mesh.node_of[source], mesh.node_of[target]) for target in targets]
    assert found.hops == max(map(len, paths))
    assert len(set(found.links)) == len(found.links)
    assert set(found.links) <= set(mesh.links)
    if mesh.flit_bits is not None or mesh.hop_cycles:
        assert set(found.links) == {link for path in paths for link in path}
        entered = [end for _, end in found.links]
        assert len(set(entered)) == len(entered), "x-then-y routes from one node never meet again: it is a tree"
    else:
        assert not found.links
    other = Journey(mesh, source, tuple(targets))
    assert (other.hops, set(other.links), len(other.links)) == (found.hops, set(found.links), len(found.links))


@given(st.integers(0, 10**6), st.one_of(st.none(), st.integers(1, 100)))
def test_flits_are_the_least_that_hold_the_bits(bits: int, width: int | None) -> None:
    mesh = MeshSpec((1, 1), width, 1, 0, 0, ())
    found = flits(mesh, bits)
    if width is None:
        assert found == 0
    else:
        assert found * width >= bits > (found - 1) * width or (bits, found) == (0, 0)
    assert flits(mesh, np.array([bits, bits])).tolist() == [found, found]
    assert flits(None, bits) == 0


@given(st.integers(0, 100), st.integers(0, 500), st.integers(0, 900), st.integers(0, 20), st.integers(0, 20))
def test_smaller_is_the_lesser_of_both_and_a_bit(messages: int, values: int, dense: int, address: int, header: int) -> None:
    mesh = MeshSpec((1, 1), None, 0, address, header, ())
    listed, drawn, smaller = (cargo_bits(mesh, word, messages, values, dense) for word in LINK_ENCODINGS)
    assert smaller == min(listed, drawn) + 1
    assert listed == messages * (address + header) + values + header
    assert drawn == dense + header, "the EOT has a header in every encoding"


def test_a_mesh_has_two_links_between_neighbours() -> None:
    for width, height in ((1, 1), (1, 5), (3, 4)):
        links = MeshSpec((width, height), 8, 1, 0, 0, ()).links
        assert len(set(links)) == len(links) == 2 * ((width - 1) * height + width * (height - 1))
        assert all((there, here) in links for here, there in links)
        assert all(abs(a - c) + abs(b - d) == 1 for (a, b), (c, d) in links)


@pytest.mark.parametrize(("nodes", "told"), [
    ([("core0", (0, 0)), ("core1", (1, 0)), (CHANNEL, (0, 0))], []),
    ([("core0", (0, 0)), (CHANNEL, (0, 0))], [("core1", "sits on no node")]),
    ([("core0", (1, 0)), ("core1", (1, 0)), (CHANNEL, (0, 0))], [("core1", "where core0 sits; one core per node")]),
    ([("core0", (0, 0)), ("core1", (2, 0)), (CHANNEL, (0, 1))], [
        ("core1", "outside of the mesh of 2 x 1"), (CHANNEL, "outside of the mesh")]),
    ([("core0", (0, 0)), ("core1", (1, 0)), ("core1", (1, 0)), (CHANNEL, (0, 0))], [("core1", "2 nodes")] * 2),
    ([("core0", (0, 0)), ("core1", (1, 0)), ("core4", (1, 0)), (CHANNEL, (0, 0))], [("core4", "is no core of the chip")]),
])
def test_who_sits_where(nodes: list[tuple[str, tuple[int, int]]], told: list[tuple[str, str]]) -> None:
    found = list(node_problems((2, 1), nodes, ("core0", "core1")))
    assert [name for name, _ in found] == [name for name, _ in told]
    assert all(text in said for (_, said), (_, text) in zip(found, told, strict=True))
