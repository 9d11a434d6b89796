"""The shipped traces: every output of every sample is bit for bit the recorded one, on both engines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hwsim
from hwsim.compare import why_not
from hwsim.schedules import SCHEDULES
from hwsim.trace.reader import Trace
from tests.conftest import ROOT

SHIPPED = sorted((ROOT / "traces").glob("*.h5"))
DESIGN = {"quantised": "mac_core_64"}


def ids(path: Path) -> str:
    return path.stem


def design_of(trace: Trace) -> str:
    return DESIGN.get(trace.coding, "event_core_64")


def test_what_is_shipped() -> None:
    found = {(t.coding, t.timesteps) for t in map(Trace.open, SHIPPED)}
    assert found == {("bit_serial", 4), ("rate", 4), ("rate", 8), ("rate", 16), ("quantised", 1)}
    assert sum(p.stat().st_size for p in SHIPPED) < 10_000_000


@pytest.mark.parametrize("path", SHIPPED, ids=ids)
def test_a_shipped_trace_is_sound(path: Path) -> None:
    with Trace.open(path) as trace:
        trace.check(deep=True)
        assert trace.samples >= 64
        assert trace.labels is not None
        report = json.loads((ROOT / "traces" / "fashion_mnist" / "accuracy.json").read_text())
        assert trace.provenance["accuracy_test_set"] in report["accuracy_percent"].values()
        assert "licence" in trace.provenance


@pytest.mark.parametrize("path", SHIPPED, ids=ids)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_fast_engine_reproduces_every_sample(path: Path, schedule: str) -> None:
    with Trace.open(path) as trace:
        design = hwsim.load_architecture(design_of(trace))
        why = why_not(trace, design, schedule)
        if why is not None:
            assert trace.coding == "bit_serial"
            assert schedule == "step_by_step"
            return
        result = hwsim.simulate(trace, design, schedule=schedule)
        assert result.mismatches == 0
        assert result.facts.saturations == 0
        assert set(result.facts.mismatches_by_layer) == {layer.name for layer in trace.network}


@pytest.mark.parametrize("path", SHIPPED, ids=ids)
def test_closed_loop_is_the_recorded_loop(path: Path) -> None:
    """When nothing saturates, feeding the hardware its own spikes changes nothing."""
    with Trace.open(path) as trace:
        fed, closed = (hwsim.simulate(trace, design_of(trace), spikes=s, samples=8) for s in ("trace", "computed"))
        assert closed.mismatches == 0
        np.testing.assert_array_equal(fed.cycles, closed.cycles)
        assert fed.accuracy == closed.accuracy


def reference_agrees(path: Path, samples: int | None) -> None:
    with Trace.open(path) as trace:
        slow, fast = (hwsim.simulate(trace, design_of(trace), engine=e, samples=samples) for e in ("reference", "fast"))
    assert slow.mismatches == 0
    assert slow.facts.saturations == 0
    np.testing.assert_array_equal(slow.spans, fast.spans)
    np.testing.assert_array_equal(slow.layer_counts, fast.layer_counts)
    np.testing.assert_array_equal(slow.operation_counts, fast.operation_counts)


@pytest.mark.parametrize("path", SHIPPED, ids=ids)
def test_reference_engine_reproduces_two_samples(path: Path) -> None:
    reference_agrees(path, 2)


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=ids)
def test_reference_engine_reproduces_every_sample(path: Path) -> None:
    reference_agrees(path, None)


def test_the_bit_serial_network_is_the_quantised_ann() -> None:
    """On every neuron of every sample: the planes, most significant first, spell the ANN's levels."""
    by_name = {p.stem: p for p in SHIPPED}
    with Trace.open(by_name["fashion_mnist_bit_serial_t4"]) as serial, Trace.open(by_name["fashion_mnist_ann"]) as ann:
        assert serial.samples == ann.samples
        for i in range(serial.samples):
            bits, levels = serial.sample(i), ann.sample(i)
            np.testing.assert_array_equal(bits.inputs, levels.inputs)
            for name, planes in bits.recorded.items():
                spelled = np.tensordot([8, 4, 2, 1], planes.astype(np.int64), axes=1)
                np.testing.assert_array_equal(spelled, levels.recorded[name][0], err_msg=f"sample {i}, {name}")
            assert {k: v.tolist() for k, v in serial.final_potentials(i).items()} == {
                k: v.tolist() for k, v in ann.final_potentials(i).items()}
