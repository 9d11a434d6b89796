"""Where tokens come from (C2 to C4), on planes small enough to list by hand: order, payloads, gaps, rows, pooling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwsim.engine.reference import ReferenceEngine
from hwsim.engine.reference.tokens import TokenStream, run_stream
from hwsim.passes import PassTable
from hwsim.program import CoreRun, CoreSpec, Feed, ProgramError, Run
from hwsim.snn.network import INPUT, Connection
from hwsim.snn.sample import Sample
from tests.laws.chip import sample_of_two_layers, two_layers


def operation(
    connections: list[Connection], feeds: list[Feed], eots: int, buffer: str = "aer", scan_bits: int = 64,
) -> Run:
    core = CoreSpec(lanes=4, potential_bits=16, current_bits=24, fifo_depth=4, bypass=True, shift_at="weight",
                    buffer=buffer, scan_bits=scan_bits)  # type: ignore[arg-type]
    run = CoreRun(core=core, shape=(1, 1, 1), groups=(0, 1), connections=tuple(connections),
                  table=PassTable(planes=eots, passes=(), initial=np.zeros((1, 1, 1), np.int64)),
                  potential_bits=16, current_bits=24, clear=True)
    return Run(id=0, layer=0, on="core", body=run, feeds=tuple(feeds), eots=eots)


def wire(shape: tuple[int, int, int], **changes: Any) -> Connection:
    return Connection(changes.pop("source", "a"), "linear", shape, **changes)


def stream(op: Run, sources: dict[str, np.ndarray], payload_bits: int = 0) -> TokenStream:
    """The stream as the engine would make it; pooling units always send payloads."""
    return run_stream(op, lambda wire: sources[wire.source],
                      lambda wire: 3 if wire.pool_mode == "unit" else payload_bits)


def places(made: TokenStream) -> list[Any]:
    """(c, y, x) of each event, 'eot' between planes."""
    return ["eot" if token.is_eot else (token.c, token.y, token.x) for token in made.tokens]


PLANE = np.zeros((1, 2, 2, 3), np.uint8)  # (T, H, W, C)
for y, x, c in ((0, 0, 2), (0, 1, 0), (1, 1, 1), (1, 1, 2)):
    PLANE[0, y, x, c] = 1
IN_ORDER = [(2, 0, 0), (0, 0, 1), (1, 1, 1), (2, 1, 1)]


def test_an_aer_list_is_in_y_x_c_order_with_gaps_of_one() -> None:
    made = stream(operation([wire((3, 2, 2))], [Feed(0, (0,), ((0, 3),))], 1), {"a": PLANE})
    assert places(made) == [*IN_ORDER, "eot"]
    assert made.gaps == [1] * 5
    assert made.earliest == [0] * 5
    assert all(token.has_payload == 0 and token.payload == 0 for token in made.tokens)
    assert made.tokens[-1] == (-1, 0, 0, 0, 0, 0)


def test_an_aer_list_is_written_tile_by_tile_and_a_bitmap_is_not() -> None:
    feeds = [Feed(0, (0,), ((2, 3), (0, 2)))]
    made = stream(operation([wire((3, 2, 2))], feeds, 1), {"a": PLANE})
    assert places(made) == [(2, 0, 0), (2, 1, 1), (0, 0, 1), (1, 1, 1), "eot"]
    made = stream(operation([wire((3, 2, 2))], feeds, 1, buffer="bitmap"), {"a": PLANE})
    assert places(made) == [*IN_ORDER, "eot"]


def test_planes_come_in_the_order_of_the_feed_and_short_feeds_give_theirs_first() -> None:
    planes = np.zeros((3, 1, 1, 3), np.uint8)
    planes[0, 0, 0, 0] = planes[1, 0, 0, 1] = planes[2, 0, 0, 2] = 1
    image = np.array([[[[-7, 0, 9]]]], np.int16)
    wires = [wire((3, 1, 1)), wire((3, 1, 1), source="image")]
    feeds = [Feed(0, (2, 1, 0), ((0, 3),)), Feed(1, (0,), ((0, 3),))]
    made = stream(operation(wires, feeds, 3), {"a": planes, "image": image}, payload_bits=8)
    assert [tuple(token) for token in made.tokens] == [
        (0, 2, 0, 0, 1, 1), (1, 0, 0, 0, -7, 1), (1, 2, 0, 0, 9, 1), (-1, 0, 0, 0, 0, 0),
        (0, 1, 0, 0, 1, 1), (-1, 0, 0, 0, 0, 0), (0, 0, 0, 0, 1, 1), (-1, 0, 0, 0, 0, 0),
    ]


def bitmap(plane_bits: list[list[int]], scan_bits: int) -> TokenStream:
    """One feed whose planes are a row of neurons."""
    planes = np.array(plane_bits, np.uint8)[:, None, None, :]
    n = planes.shape[-1]
    feeds = [Feed(0, tuple(range(len(planes))), ((0, n),))]
    return stream(operation([wire((n, 1, 1))], feeds, len(planes), buffer="bitmap", scan_bits=scan_bits), {"a": planes})


@pytest.mark.parametrize(("planes", "scan_bits", "gaps", "rows"), [
    ([[0, 1, 0, 0, 1, 0]], 2, [1, 2, 1], [1, 2, 0]),             # rows 0, 2; the EOT needs no further row
    ([[0, 1, 0, 0, 1, 0, 0]], 2, [1, 2, 1], [1, 2, 1]),          # a seventh bit is a fourth row
    ([[0, 0, 0, 0, 0, 0]], 2, [3], [3]),                         # an empty plane is scanned all the same
    ([[1, 1, 0, 0, 0, 0]], 2, [1, 1, 2], [1, 0, 2]),             # two events of one row, then two rows
    ([[0, 0, 1, 0], [1, 0, 0, 0]], 2, [2, 1, 1, 1], [2, 0, 1, 1]),
    ([[0, 0, 0, 1]], 64, [1, 1], [1, 0]),
])
def test_a_bitmap_costs_the_rows_scanned(planes: list[list[int]], scan_bits: int, gaps: list[int],
                                         rows: list[int]) -> None:
    made = bitmap(planes, scan_bits)
    assert (made.gaps, made.rows) == (gaps, rows)


def test_rows_left_of_one_feed_are_scanned_before_the_next() -> None:
    first = np.array([[1, 0, 0, 0, 0]], np.uint8)[:, None, None, :]
    second = np.array([[0, 0, 1]], np.uint8)[:, None, None, :]
    wires = [wire((5, 1, 1)), wire((3, 1, 1), source="b")]
    feeds = [Feed(0, (0,), ((0, 5),)), Feed(1, (0,), ((0, 3),))]
    made = stream(operation(wires, feeds, 2, buffer="bitmap", scan_bits=2), {"a": first, "b": second})
    # rows: a0 | a1 a2 b0 b1 | - EOT | nothing left to scan: EOT
    assert made.rows == [1, 4, 0, 0]
    assert made.gaps == [1, 4, 1, 1]


def test_every_row_of_every_plane_is_scanned_once() -> None:
    rng = np.random.default_rng(3)
    for scan_bits in (1, 2, 3, 5, 64):
        planes = (rng.random((4, 3, 3, 5)) < 0.2).astype(np.uint8)
        op = operation([wire((5, 3, 3))], [Feed(0, (0, 1, 2, 3), ((0, 5),))], 4, "bitmap", scan_bits)
        made = stream(op, {"a": planes})
        assert sum(made.rows) == 4 * -(-45 // scan_bits)
        assert made.gaps == [max(1, rows) for rows in made.rows]


# -- C4: pooling ------------------------------------------------------------------------------------------------------

WIDE = np.zeros((1, 4, 5, 2), np.int16)  # pooled by 2: a 2 x 2 grid, column 4 is dropped
for y, x, c, value in (
    (0, 0, 1, 1), (0, 1, 1, 2), (0, 2, 0, 1), (0, 4, 0, 1), (1, 0, 0, 3), (1, 1, 1, 4), (3, 3, 0, 1)
):
    WIDE[0, y, x, c] = value
BINARY = (WIDE > 0).astype(np.uint8)


@pytest.mark.parametrize("buffer", ["aer", "bitmap"])
def test_a_pooling_unit_sends_the_sum_of_complete_windows(buffer: str) -> None:
    pooled = wire((2, 4, 5), pool=2, pool_mode="unit")
    feeds = [Feed(0, (0,), ((1, 2), (0, 1)))]
    made = stream(operation([pooled], feeds, 1, buffer), {"a": WIDE})
    assert [tuple(token) for token in made.tokens[:-1]] == [
        (0, 0, 0, 0, 3, 1), (0, 1, 0, 0, 7, 1), (0, 0, 0, 1, 1, 1), (0, 0, 1, 1, 1, 1)]
    assert made.pool_updates == [6]


def test_values_that_cancel_in_a_window_make_no_event() -> None:
    plane = np.array([5, -5, 0, 0]).reshape(1, 2, 2, 1)
    made = stream(operation([wire((1, 2, 2), pool=2, pool_mode="unit")], [Feed(0, (0,), ((0, 1),))], 1), {"a": plane})
    assert places(made) == ["eot"]
    assert made.pool_updates == [2]


def test_max_pooling_lists_a_position_when_its_first_spike_arrives() -> None:
    pooled = wire((2, 4, 5), pool=2, pool_mode="max")
    one_tile = [Feed(0, (0,), ((0, 2),))]
    made = stream(operation([pooled], one_tile, 1), {"a": BINARY})
    # unpooled order: c1 (0,0), c1 (0,1), c0 (0,2), c0 (1,0) ...: the window of c0 at (0, 0) arrives behind (0, 1)'s
    assert places(made) == [(1, 0, 0), (0, 0, 1), (0, 0, 0), (0, 1, 1), "eot"]
    assert made.pool_updates == [6]
    two_tiles = [Feed(0, (0,), ((1, 2), (0, 1)))]
    made = stream(operation([pooled], two_tiles, 1), {"a": BINARY})
    assert places(made) == [(1, 0, 0), (0, 0, 1), (0, 0, 0), (0, 1, 1), "eot"]
    first_c0 = [Feed(0, (0,), ((0, 1), (1, 2)))]
    made = stream(operation([pooled], first_c0, 1), {"a": BINARY})
    assert places(made) == [(0, 0, 1), (0, 0, 0), (0, 1, 1), (1, 0, 0), "eot"]
    made = stream(operation([pooled], one_tile, 1, "bitmap", scan_bits=4), {"a": BINARY})
    assert places(made) == [(0, 0, 0), (1, 0, 0), (0, 0, 1), (0, 1, 1), "eot"]
    assert made.rows == [1, 0, 0, 1, 0], "the grid that is scanned is the pooled one"


def test_a_folded_pool_keeps_the_source_address() -> None:
    made = stream(operation([wire((2, 4, 5), pool=2, pool_mode="folded")], [Feed(0, (0,), ((0, 2),))], 1),
                  {"a": BINARY})
    assert (0, 0, 4) in places(made)
    assert (0, 3, 3) in places(made)
    assert made.pool_updates == [0]


def test_max_pooling_of_values_is_refused() -> None:
    op = operation([wire((2, 4, 5), pool=2, pool_mode="max")], [Feed(0, (0,), ((0, 2),))], 1)
    with pytest.raises(ProgramError, match="max pooling of 'a', which sends values"):
        stream(op, {"a": WIDE}, payload_bits=4)


# -- C2, C3: hybrid inputs --------------------------------------------------------------------------------------------

EOT = (-1, 0, 0, 0, 0, 0)
HYBRID = np.array([[-7, 0, 9], [1, 0, 0], [0, 1, 1]], np.int16).reshape(3, 1, 1, 3)
PLANES_OF_EVENTS = [[(0, 0, 0, 0, -7, 1), (0, 2, 0, 0, 9, 1)], [(0, 0, 0, 0, 0, 0)], [(0, 1, 0, 0, 0, 0), (0, 2, 0, 0, 0, 0)]]


@pytest.mark.parametrize("buffer", ["aer", "bitmap"])
@pytest.mark.parametrize("bits", [0, 8])
@pytest.mark.parametrize("planes", [(0, 1, 2), (1,), (2, 0), (0,)])
def test_plane_zero_of_a_hybrid_input_alone_carries_payloads(planes: tuple[int, ...], bits: int, buffer: str) -> None:
    op = operation([wire((3, 1, 1), source=INPUT)], [Feed(0, planes, ((0, 3),))], len(planes), buffer, scan_bits=2)
    made = run_stream(op, lambda _: HYBRID, lambda _: bits, lambda _: True)
    assert [tuple(token) for token in made.tokens] == [t for n in planes for t in (*PLANES_OF_EVENTS[n], EOT)]
    as_bits = run_stream(op, lambda _: HYBRID != 0, lambda _: 0)
    assert places(made) == places(as_bits)
    assert (made.gaps, made.rows) == (as_bits.gaps, as_bits.rows), "a payload has one presence bit"


def test_pooling_of_a_hybrid_input_that_is_not_defined_is_refused() -> None:
    plane = np.zeros((2, 2, 2, 1), np.int16)
    plane[:, 0, 0] = 1
    for mode, text in (("unit", "hybrid"), ("max", "max pooling")):
        op = operation([wire((1, 2, 2), source=INPUT, pool=2, pool_mode=mode)], [Feed(0, (0, 1), ((0, 1),))], 2)
        with pytest.raises(ProgramError, match=text):
            run_stream(op, lambda _: plane, lambda _: 0, lambda _: True)


def test_a_recording_that_is_missing_is_named_beside_those_that_are_there() -> None:
    sample = sample_of_two_layers()
    with pytest.raises(ProgramError, match="no recorded outputs of layer 'hidden', found .'b'."):
        ReferenceEngine().run_sample(two_layers(), Sample(sample.inputs, {"b": sample.recorded["hidden"]}), "trace")
