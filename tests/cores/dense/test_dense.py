"""The dense bit-serial core: what it takes is a closed form of shapes, and never less than what its zero-skipping twin takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hwsim
from hwsim.cores.dense.model import MODEL
from hwsim.cores.dense.values import rows_of_scan, rows_of_windows
from hwsim.program import Run
from hwsim.schedules import schedule_by_name
from hwsim.simulation import make_program
from hwsim.snn.network import Connection, by_axis
from hwsim.trace.reader import Trace
from hwsim.trace.synth import synthesise

GATHER = {"type": "output_stationary", "accumulators": 2}


def dense(**changes: Any) -> hwsim.Architecture:
    """event_core_16 as a dense bit-serial core with two adders per lane, which writes words."""
    fields = {"kind": "dense_bit_serial", "token": {"planes": "merged", "adders": 2}, "lane": {"multiplier": "bit_serial"},
              "writer": "word", **changes}
    base = hwsim.load_architecture("event_core_16").with_memories(weight="64 KiB")
    return base.with_fields({f"core.{name}": value for name, value in fields.items()})


@pytest.fixture(scope="module")
def ann() -> Trace:
    return synthesise("tiny", timesteps=4, density=0.3, samples=2, seed=5, coding="quantised")


@pytest.mark.parametrize("flow", [{"type": "event_driven"}, GATHER], ids=["scatter", "gather"])
def test_no_sample_changes_a_cycle_or_a_count(ann: Trace, flow: dict[str, Any]) -> None:
    result = hwsim.simulate(ann, dense(dataflow=flow))
    assert np.ptp(result.cycles) == 0
    assert result.mismatches == 0
    one, other = (hwsim.simulate(ann, dense(dataflow=flow), samples=[i], check=False) for i in (0, 1))
    assert one.energy_pj == other.energy_pj == result.energy_pj


def slots_and_words(run: Run, network: Any, adders: int) -> tuple[int, int]:
    """Sum of slots over all operations of a scatter run, and values that touch no word; by loops over every value and word."""
    body, slots, nowhere = run.body, 0, 0
    lo, hi = body.groups
    for feed in run.feeds:
        wire = body.connections[feed.connection]
        m = -(-network.carries_payload(wire) // adders)
        channels, height, width = wire.source_shape
        words = np.zeros((channels, height, width), np.int64)
        for oy, ox, c in np.ndindex(body.shape[1], body.shape[2], channels):
            groups = hi - lo if wire.operator != "identity" else int(lo <= (c + wire.channel_offset) // body.core.lanes < hi)
            for y, x in np.ndindex(height, width):
                py, px = y // wire.pool, x // wire.pool
                if wire.operator == "linear":
                    inside = True
                else:
                    inside = in_window(wire, oy, ox, py, px)
                words[c, y, x] += groups * inside
        slots += m * int(words.sum())
        nowhere += int((words == 0).sum())
    return slots, nowhere


@pytest.mark.parametrize("adders", [1, 3])
def test_a_run_is_its_closed_form(ann: Trace, adders: int) -> None:
    """Law 4 of the dataflows: clears, slots, values without a word, one EOT and the pass; then the last word is written, and
    leaves a cycle later where anything is sent."""
    design = dense(token={"planes": "merged", "adders": adders})
    network = ann.network
    program = make_program(network, design)
    record = MODEL.machine(network, design, schedule_by_name("layer_by_layer"), "fast").timing
    assert record is not None
    times = record(ann.sample(0))
    for op in list(program.runs)[2:]:  # the first two layers are large, and loops are slow
        slots, nowhere = slots_and_words(op, network, adders)
        words = op.body.words
        assert times.end[op.id] - times.start[op.id] == words + slots + nowhere + 1 + words + 2 + network.layers[op.layer].sends


def test_zeros_take_their_time(ann: Trace) -> None:
    for flow in ({"type": "event_driven"}, GATHER):
        every = dense(dataflow=flow)
        skipping = every.with_core(kind="multiply_accumulate")
        slow, fast = hwsim.simulate(ann, every), hwsim.simulate(ann, skipping)
        assert slow.cycles.min() > fast.cycles.max()
        assert slow.total_synaptic_operations > fast.total_synaptic_operations


@pytest.mark.parametrize(("operator", "kernel", "stride", "padding", "pool"), [
    ("conv2d", 3, 1, 1, 1), ("conv2d", 3, 2, 0, 1), ("conv2d", 1, 1, 0, 2), ("linear", 1, 1, 0, 1), ("identity", 1, 2, 0, 1)])
@pytest.mark.parametrize(("bits", "scan_bits"), [(4, 16), (3, 64), (8, 8)])
def test_rows_of_windows_are_those_of_a_walk(
    operator: Any, kernel: int, stride: int, padding: int, pool: int, bits: int, scan_bits: int
) -> None:
    wire = Connection("before", operator, (3, 8, 6), None, kernel, stride, padding, pool=pool,
                      pool_mode="folded" if pool > 1 else "none")
    channels, height, width = wire.natural_shape(3)
    total = 0
    for oy, ox in np.ndindex(height, width):
        read: list[int] = []
        for y in range(8):
            inside = [x for x in range(6) if in_window(wire, oy, ox, y // pool, x // pool)]
            places = [(y * 6 + x) * 3 * bits + n for x in inside for n in range(3 * bits)]
            rows = sorted({place // scan_bits for place in places})
            total += len(rows) - bool(rows and read and rows[0] == read[-1])
            read += rows
    assert channels
    assert rows_of_windows(wire, (0, height), width, bits, scan_bits) == total
    if operator == "linear":
        assert rows_of_scan(wire, np.arange(8), bits, scan_bits) == total, "one window is the whole plane"


def in_window(wire: Connection, oy: int, ox: int, y: int, x: int) -> bool:
    if wire.operator == "linear":
        return True
    sides = zip((y, x), (oy, ox), by_axis(wire.kernel), by_axis(wire.stride), by_axis(wire.padding), strict=True)
    return all(0 <= at - out * stride + padding < kernel for at, out, kernel, stride, padding in sides)


def test_what_cannot_be_is_refused(rate_trace: Trace) -> None:
    with pytest.raises(hwsim.HwsimError, match="takes the multi-bit activations of a quantised ANN"):
        hwsim.simulate(rate_trace, dense())
    with pytest.raises(hwsim.HwsimError, match="takes values bit by bit"):
        dense(lane={"multiplier": "parallel"})
    pooled = synthesise("tiny", timesteps=2, samples=1, seed=5, coding="quantised", pool="unit")
    with pytest.raises(hwsim.HwsimError, match="pool folded"):
        hwsim.simulate(pooled, dense())
