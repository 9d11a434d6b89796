"""Kernels, strides and paddings that differ between the axes, and layers without connections: engines and hardware agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hwsim
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.program import ProgramError
from hwsim.rtl.coverage import uncovered
from hwsim.snn.forward import forward
from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import IntegrateAndFire
from hwsim.snn.sample import Sample
from hwsim.trace.writer import TraceWriter
from tests.engine.random_programs import both_engines, draw_design
from tests.engine.random_runs import random_run
from tests.engine.test_engines_agree import assert_same, assert_same_log
from tests.rtl.dataflows import scanned_differences

FAST, REFERENCE = FastEngine(), ReferenceEngine()
quietly = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 2**32 - 1)


@quietly
@given(seed=seeds)
def test_engines_agree_on_random_designs(seed: int) -> None:
    drawn = draw_design(seed, apart=True)
    if drawn is None:
        return
    for _, _, reference, fast in both_engines(drawn.program, drawn.rng, ("trace", "computed")):
        assert_same(fast, reference, drawn.program)


@settings(quietly, max_examples=25)
@given(seed=seeds)
def test_engines_agree_in_every_dataflow(seed: int) -> None:
    case = random_run(np.random.default_rng(seed), apart=True)
    try:
        reference = REFERENCE.run_planes(*case.arguments)
    except ProgramError:
        with pytest.raises(ProgramError):
            FAST.run_planes(*case.arguments)
        return
    fast = FAST.run_planes(*case.arguments)
    assert_same_log(fast, reference, case.kind)
    np.testing.assert_array_equal(fast.counts, reference.counts)


@pytest.mark.parametrize(("order", "runs"), [
    ("scatter", 1), ("gather", 1), pytest.param("scatter", 30, marks=pytest.mark.slow),
    pytest.param("gather", 30, marks=pytest.mark.slow)])
def test_hardware_agrees(order: str, runs: int) -> None:
    """Address generator and window scanner: runs of few words with two different axes."""
    pytest.importorskip("amaranth", reason="the golden hardware needs the extra: pip install 'hwsim[rtl]'")
    from hwsim.rtl.scan_machine import run_planes

    left, seed = runs, 0
    while left:
        seed += 1
        case = random_run(np.random.default_rng(seed), apart=True).with_core(order=order, buffer="bitmap", mask_first=False)
        wire, run = case.run.connections[0], case.run
        if not wire.differs_by_axis or run.words > 12 or run.core.lanes > 3 or run.rows or list(uncovered(run)):
            continue
        try:
            expected = REFERENCE.run_planes(*case.arguments)
        except ProgramError:
            continue
        if expected.done < 100:
            left -= 1
            assert not scanned_differences(run_planes(*case.arguments), expected), (seed, wire.kernel, wire.stride, wire.padding)


@pytest.mark.parametrize("schedule", ["layer_by_layer", "step_by_step"])
def test_a_layer_without_connections_fires_by_its_bias(schedule: str) -> None:
    """Neurons of bias b and threshold 12 with a hard reset: they fire in every ceil(12 / b)-th step, and others read them."""
    wire = Connection("driven", "conv2d", (3, 2, 2), np.ones((5, 3, 2, 1), np.int64), kernel=(2, 1))
    driven = Layer("driven", (3, 2, 2), (), IntegrateAndFire("hard"), 6, np.full(6, 12), np.array([12, 4, 0]).reshape(3, 1, 1))
    read = Layer("read", (5, 1, 2), (wire,), IntegrateAndFire("hard"), 6, np.full(6, 3))
    network = Network(InputSpec((1, 1, 1), "spikes", 6), (driven, read))
    planes = np.zeros((6, 1, 1, 1), np.uint8)
    recorded, _ = forward(network, planes)
    assert recorded["driven"][:, 0, 0].T.tolist() == [[1] * 6, [0, 0, 1, 0, 0, 1], [0] * 6]
    with TraceWriter(network, name="driven") as writer:
        writer.append(Sample(planes, recorded))
        trace = writer.finish()
    results = [hwsim.simulate(trace, "event_core_16", schedule=schedule, engine=engine, spikes="computed")
               for engine in ("fast", "reference")]
    assert [result.facts.mismatches for result in results] == [0, 0]
    assert results[0].cycles.tolist() == results[1].cycles.tolist()
    with pytest.raises(hwsim.TraceError, match="neither connections nor a bias"):
        TraceWriter(replace(network, layers=(replace(driven, bias=None), read)), name="nothing")
