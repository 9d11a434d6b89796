"""A 128 x 128 event camera on a core of 64 lanes: layers of which not even one group fits run by row tiles (R25)."""

from __future__ import annotations

import pytest

import hwsim
from hwsim.schedules import ANYWHERE
from hwsim.simulation import make_program
from hwsim.trace.reader import Trace
from hwsim.trace.synth import synthesise


@pytest.fixture(scope="module")
def trace() -> Trace:
    return synthesise("event-camera", timesteps=2, density=0.05, samples=1)


@pytest.mark.parametrize("schedule", ANYWHERE)
def test_an_event_camera_runs_on_the_shipped_core(trace: Trace, schedule: str) -> None:
    arch = hwsim.load_architecture("event_core_64")
    words = arch.capacities["membrane"] // arch.row_bits["membrane"]
    assert trace.network.layers[0].shape[1:] == (128, 128)
    assert 128 * 128 > 10 * words
    program = make_program(trace.network, arch, schedule)
    assert max(run.body.words for run in program.runs) <= words
    result = hwsim.simulate(trace, arch, schedule=schedule)
    assert (result.mismatches, result.facts.saturations) == (0, 0)


@pytest.mark.slow
def test_both_engines_run_an_event_camera_alike(trace: Trace) -> None:
    fast, reference = (hwsim.simulate(trace, "event_core_64", engine=engine) for engine in ("fast", "reference"))
    assert fast.cycles.tolist() == reference.cycles.tolist()
    assert (fast.layer_counts == reference.layer_counts).all()
    assert reference.mismatches == 0
