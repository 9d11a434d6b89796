"""Laws of C7 and C8 on random operation lists, and both engines equal in every start, end and grant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.links import CHANNEL, MeshSpec, link_name
from hwsim.program import BY_SAMPLE, ChannelSpec, CoreOperation, Listed, OperationList, ProgramError, Transfer, Wait
from hwsim.record import ListTimes
from tests.engine.random_lists import other_order, random_list, random_operations, reordered

FAST, REFERENCE = FastEngine(), ReferenceEngine()
SEEDS = st.integers(0, 2**32 - 1)


def answer(listed: Listed, cycles: list[int]) -> ListTimes:
    """What both engines say, which is the same."""
    fast, reference = FAST.run_list(listed, cycles), REFERENCE.run_list(listed, cycles)
    for name in ("ready", "start", "end", "link_bits", "link_hops"):
        np.testing.assert_array_equal(getattr(fast, name), getattr(reference, name), err_msg=name)
    assert [set(held) for held in fast.held] == [set(held) for held in reference.held]
    assert all(len(set(held)) == len(held) for held in fast.held)
    return fast


def links_of(times: ListTimes) -> list[set[str]]:
    return [{name for name in held if ">" in name} for held in times.held]


def previous(listed: Listed) -> list[int | None]:
    """By operation, the one before it on its core or on the channel."""
    last: dict[str, int] = {}
    found: list[int | None] = []
    for op in listed.operations:
        found.append(None if op.setup or not op.resource else last.get(op.resource))
        if op.resource and not op.setup:
            last[op.resource] = op.id
    return found


def check_law_2(listed: Listed, times: ListTimes) -> None:
    """Nothing is held twice at once, nothing starts before its time, and no wait is without its reason (C7)."""
    ready, start, end = times.ready.tolist(), times.start.tolist(), times.end.tolist()
    before, links = previous(listed), links_of(times)
    length = [0] * len(ready)  # of the longest way of work that ends with the operation
    for op in listed.operations:
        i = op.id
        if op.setup:
            assert (ready[i], start[i], end[i], times.held[i]) == (0, 0, 0, ())
            continue
        waits = [*op.deps, *([before[i]] if before[i] is not None else [])]
        assert ready[i] == max([0, *(end[d] for d in waits)])
        assert start[i] >= ready[i]
        assert links[i] or start[i] == ready[i]
        length[i] = end[i] - start[i] + max([0, *(length[d] for d in waits)])
    busy: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for held, begin, stop in zip(times.held, start, end, strict=True):
        for name in held:
            busy[name].append((begin, stop))
    latency = max(end)
    assert latency >= max(length)
    for name, spans in busy.items():
        spans.sort()
        assert all(one[1] <= other[0] for one, other in zip(spans, spans[1:], strict=False)), name
        assert latency >= sum(stop - begin for begin, stop in spans)
    # Grants: in order of (ready, id), each at the end of what was granted before it and shares a link.
    granted: list[int] = []
    for i in sorted((i for i, some in enumerate(links) if some), key=lambda i: (ready[i], i)):
        assert start[i] == max([ready[i], *(end[j] for j in granted if links[j] & links[i])])
        granted.append(i)


@settings(max_examples=150, deadline=None)
@given(seed=SEEDS)
def test_law_2_engines_agree_and_nothing_is_held_twice(seed: int) -> None:
    listed, cycles = random_list(np.random.default_rng(seed))
    check_law_2(listed, answer(listed, cycles))


@pytest.mark.slow
def test_law_2_on_many_lists() -> None:
    for seed in range(20_000):
        listed, cycles = random_list(np.random.default_rng(seed))
        check_law_2(listed, answer(listed, cycles))


def test_random_lists_contend() -> None:
    """The laws would be empty if transfers never waited for links, or never were ready at the same time."""
    seen = np.zeros(5, int)
    for seed in range(200):
        listed, cycles = random_list(np.random.default_rng(seed), with_mesh=True)
        times = FAST.run_list(listed, cycles)
        held = [i for i, links in enumerate(links_of(times)) if links]
        ready = times.ready[held].tolist()
        seen += (
            any(times.start[held] > times.ready[held]), len(set(ready)) < len(ready),
            any(op.kind == "send" and len(op.targets) > 1 for op in listed.operations),
            any(op.kind != "send" and links for op, links in zip(listed.operations, links_of(times), strict=True)),
            # Granted in another order than the list's: the rule of (ready, id) says more than the ids do.
            sorted(held, key=lambda i: (times.ready[i], i)) != held)
    assert seen.min() > 60, seen


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
def test_law_3_moving_independent_operations_changes_grants_only_through_ready_and_id(seed: int) -> None:
    rng = np.random.default_rng(seed)
    listed, cycles = random_list(rng)
    times, order = answer(listed, cycles), other_order(rng, listed)
    moved, moved_cycles = reordered(listed, cycles, order)
    after = answer(moved, moved_cycles)
    place = {old: new for new, old in enumerate(order)}
    links = links_of(times)
    # Transfers that were ready in the same cycle and want the same link are told apart by their ids, and by these only.
    tied = [(i, j) for i in range(len(links)) for j in range(i) if links[i] & links[j] and times.ready[i] == times.ready[j]]
    if all(place[j] < place[i] for i, j in tied):
        for name in ("ready", "start", "end", "link_bits", "link_hops"):
            np.testing.assert_array_equal(getattr(after, name), getattr(times, name)[order], err_msg=name)
    check_law_2(moved, after)


def test_law_3_is_no_truism() -> None:
    """Most moves leave the order of ties as it is, some do not, and these do change starts."""
    kept = changed = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        listed, cycles = random_list(rng, with_mesh=True)
        order = other_order(rng, listed)
        moved, moved_cycles = reordered(listed, cycles, order)
        same = (FAST.run_list(moved, moved_cycles).start == FAST.run_list(listed, cycles).start[order]).all()
        kept, changed = kept + bool(same), changed + (not same)
    assert min(kept, changed) > 20, (kept, changed)


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
def test_law_6_free_links_make_the_network_vanish(seed: int) -> None:
    """Between cores nothing takes time; the channel's transfers are C1's."""
    listed, cycles = random_list(np.random.default_rng(seed), with_mesh=True)
    assert listed.mesh is not None
    free = replace(listed, mesh=replace(listed.mesh, flit_bits=None, hop_cycles=0))
    times = answer(free, cycles)
    assert not any(links_of(times))
    assert not times.link_bits.any()
    assert not times.link_hops.any()
    bare = replace(listed, mesh=None, operations=tuple(
        Wait(id=op.id, deps=op.deps, cycles=0) if isinstance(op, Transfer) and op.kind == "send" and not op.setup
        else replace(op, source=CHANNEL, targets=op.targets[:1]) if isinstance(op, Transfer) and op.kind != "store"
        else op for op in listed.operations))
    bare = bare if bare.channel else replace(bare, channel=ChannelSpec(1, 0))
    without = answer(bare, cycles)
    np.testing.assert_array_equal(times.start, without.start)
    np.testing.assert_array_equal(times.end, without.end)


@settings(max_examples=80, deadline=None)
@given(seed=SEEDS)
def test_without_a_network_it_is_rule_c1(seed: int) -> None:
    listed, cycles = random_list(np.random.default_rng(seed), with_mesh=False)
    times = answer(listed, cycles)
    free: dict[str, int] = {}
    end = [0] * len(cycles)
    for op in listed.operations:
        if op.setup:
            continue
        assert listed.channel is not None
        taken = (cycles[op.id] if isinstance(op, CoreOperation) else op.cycles if isinstance(op, Wait)
                 else listed.channel.cycles(op.bits))
        begin = max([free.get(op.resource, 0), *(end[d] for d in op.deps)])
        end[op.id] = begin + taken
        if op.resource:
            free[op.resource] = end[op.id]
    assert times.end.tolist() == end


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
def test_a_wait_of_no_cycles_that_all_wait_for_separates_the_list_in_two(seed: int) -> None:
    """What comes after a barrier takes as long as it would by itself, however much links were wanted before."""
    rng = np.random.default_rng(seed)
    first, cycles = random_list(rng)
    second, more = random_operations(rng, first)
    at = len(cycles)
    alone = answer(second, more)
    joined = replace(first, operations=(
        *first.operations, Wait(id=at, deps=tuple(range(at)), cycles=0),
        *(replace(op, id=op.id + at + 1, deps=() if op.setup else (at, *(d + at + 1 for d in op.deps)))
          for op in second.operations)))
    whole = answer(joined, [*cycles, 0, *more])
    begin = int(whole.end[at])
    counted = np.array([not op.setup for op in second.operations])
    np.testing.assert_array_equal(whole.start[at + 1 :][counted], (alone.start + begin)[counted])


# -- by hand ------------------------------------------------------------------------------------------------------------


def line(*bits: int, deps: tuple[tuple[int, ...], ...] = ()) -> OperationList:
    """Three cores in a row, flits of 8 bits, 2 cycles per hop; transfers core0 -> core2 of so many bits."""
    nodes = (("core0", (0, 0)), ("core1", (1, 0)), ("core2", (2, 0)), (CHANNEL, (1, 0)))
    return OperationList(("core0", "core1", "core2"), ChannelSpec(4, 3), MeshSpec((3, 1), 8, 2, 0, 0, nodes), tuple(
        Transfer(id=n, deps=deps[n] if deps else (), layer=0, source="core0", targets=("core2",), memory="spike", bits=size)
        for n, size in enumerate(bits)))


def test_a_transfer_takes_its_hops_and_its_flits_and_the_next_one_waits() -> None:
    times = answer(line(16, 17, 0, 8), [0] * 4)
    assert times.start.tolist() == [0, 6, 0, 13]
    assert times.end.tolist() == [6, 13, 0, 18], "two hops of 2, and 2, 3, no and 1 flits"
    assert times.ready.tolist() == [0, 0, 0, 0]
    assert times.link_bits.tolist() == [32, 34, 0, 16]
    assert times.link_hops.tolist() == [4, 6, 0, 2]
    assert times.held[0] == ("0,0>1,0", "1,0>2,0")


@pytest.mark.parametrize(("source", "targets", "bits", "cycles", "links"), [
    ("core0", ("core1",), 8, 2 + 1, 1), ("core0", ("core0",), 17, 3, 0), ("core0", ("core0", "core2"), 8, 4 + 1, 2),
    ("core1", ("core0", "core2"), 8, 2 + 1, 2), ("core2", ("core0", "core1"), 9, 4 + 2, 2),
    # the channel sits with core1: latency 3, 4 bits a cycle are slower than flits of 8
    (CHANNEL, ("core1",), 9, 3 + 3, 0), (CHANNEL, ("core0", "core2"), 9, 3 + 2 + 3, 2), ("core2", (CHANNEL,), 4, 3 + 2 + 1, 1),
])
def test_cycles_and_links_by_hand(source: str, targets: tuple[str, ...], bits: int, cycles: int, links: int) -> None:
    one = line(bits)
    one = replace(one, operations=(replace(one.operations[0], source=source, targets=targets),))
    times = answer(one, [0])
    assert (times.end[0], len(links_of(times)[0])) == (cycles, links)
    assert times.link_hops[0] == links * -(-bits // 8)


def test_a_granted_transfer_keeps_its_links_from_those_that_could_go_before_it() -> None:
    """Transfer 1 waits for link 0>1 and has reserved 1>2 as well: transfer 3, ready later, does not slip in between."""
    base = line(80, 8, 8)
    near, far, late = base.operations
    times = answer(replace(base, operations=(
        replace(near, targets=("core1",)), far, Wait(id=2, cycles=5), replace(late, id=3, source="core1", deps=(2,)))), [0] * 4)
    assert times.ready.tolist() == [0, 0, 0, 5]
    assert times.start.tolist() == [0, 12, 0, 12 + 5], "ten flits and a hop, then a flit and two hops"


def test_links_are_named_by_their_ends() -> None:
    assert link_name(((0, 1), (0, 2))) == "0,1>0,2"


def lists_that_cannot_be() -> Iterator[tuple[OperationList, str]]:
    good = line(8, 8)
    one, other = good.operations
    yield replace(good, operations=(one, replace(other, id=5))), "operation 5 stands at position 1"
    yield replace(good, operations=(replace(one, deps=(1,)), other)), r"depends on \[1\], which do not stand before it"
    yield replace(good, operations=(one, replace(other, deps=(0,), once=True))), r"is setup.* depends on \[0\]"
    yield replace(good, operations=(replace(one, bits=BY_SAMPLE),)), "a list by itself has no sample"
    yield replace(good, operations=(CoreOperation(id=0, layer=0, on="core7"),)), "runs on 'core7'"
    yield replace(good, channel=None, operations=(replace(one, targets=(CHANNEL,)),)), "the chip has no channel"
    yield replace(good, operations=(replace(one, bits=-1),)), "moves -1 bits"


@pytest.mark.parametrize(("listed", "text"), list(lists_that_cannot_be()))
def test_a_list_that_cannot_be_is_refused(listed: OperationList, text: str) -> None:
    for engine in (FAST, REFERENCE):
        with pytest.raises(ProgramError, match=text):
            engine.run_list(listed, [0, 0])
