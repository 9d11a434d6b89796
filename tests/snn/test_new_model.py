"""A neuron model is one file and one line of the registry: a new one goes from a synthetic trace to figures and refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hwsim
from hwsim.convert.widths import worst_case_bits
from hwsim.snn.forward import forward, safe_potential_bits
from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import MODELS, BitSerial, IntegrateAndFire
from hwsim.snn.validate import validate_network
from hwsim.trace.reader import Trace
from hwsim.trace.synth import SynthError, synthesise
from hwsim.view.labels import grouped
from tests.extending.halving import Halving


@pytest.fixture(autouse=True)
def the_line_of_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, Halving.model, Halving)


@pytest.fixture
def trace() -> Trace:
    return synthesise("tiny", timesteps=3, density=0.25, samples=2, seed=3, coding="halving", pool="max")


def test_a_synthetic_trace_of_it_has_the_asked_density(trace: Trace) -> None:
    sending = [layer for layer in trace.network if layer.sends]
    assert {type(layer.neuron) for layer in sending} == {Halving}
    assert trace.coding == "halving"
    assert all(len(layer.thresholds) == 1 and layer.timesteps == 3 for layer in sending)
    spikes = sum(int(planes.sum()) for i in range(2) for planes in trace.sample(i).recorded.values())
    assert 0.1 < spikes / (2 * 3 * sum(layer.neurons for layer in sending)) < 0.4


@pytest.mark.parametrize("schedule", ["layer_by_layer", "step_by_step"])
def test_both_engines_compute_its_spikes(trace: Trace, schedule: str) -> None:
    fast, reference = (hwsim.simulate(trace, "event_core_64", schedule=schedule, engine=e) for e in ("fast", "reference"))
    assert fast.facts.mismatches == 0 == reference.facts.mismatches
    assert fast.cycles.tolist() == reference.cycles.tolist()


def test_it_is_saved_read_and_drawn(trace: Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "halving.h5")
    with Trace.open(tmp_path / "halving.h5") as opened:
        assert (opened.content_hash, opened.timesteps) == (trace.content_hash, 3)
        _, rows = grouped([hwsim.simulate(opened, "event_core_64")])
    assert rows.labels == ["halved T=3, layer by layer"]


def test_the_batched_simulation_is_its_emit(trace: Trace) -> None:
    pytest.importorskip("torch")
    from hwsim.convert.evaluate import run_batch

    inputs = np.stack([trace.sample(i).inputs for i in range(2)])
    planes, _ = run_batch(trace.network, inputs)
    for i, sample in enumerate(inputs):
        for name, expected in forward(trace.network, sample)[0].items():
            np.testing.assert_array_equal(planes[name][i].transpose(0, 2, 3, 1), expected)


def test_the_worst_case_holds_its_samples(trace: Trace) -> None:
    worst = worst_case_bits(trace.network)
    samples = [trace.sample(i).inputs for i in range(2)]
    assert all(bits <= max(2, worst[name]) for name, bits in safe_potential_bits(trace.network, samples).items())


def test_arrays_without_weights_get_its_threshold() -> None:
    images = np.ones((2, 2, 4, 4), np.int64)
    spikes = np.zeros((2, 3, 2, 4, 4), bool)
    layer = {"name": "a", "operator": "identity", "neuron": "halving_threshold"}
    made = hwsim.Trace.from_arrays(images, [layer], spikes={"a": spikes})
    assert made.network.layers[0].thresholds.tolist() == [4]


def problems(*layers: Layer) -> str:
    return "\n".join(validate_network(Network(InputSpec((2, 4, 4)), layers)))


def test_it_is_refused_like_the_others() -> None:
    wire = Connection("input", "identity", (2, 4, 4))
    sound = Layer("a", (2, 4, 4), (wire,), Halving(), 3, np.array([8]))
    assert not problems(sound)
    assert "has 3 thresholds, expected 1" in problems(replace(sound, thresholds=np.array([8, 8, 8])))
    assert "halving spikes are binary" in problems(replace(sound, payload_bits=2))
    assert "of several stages are two_stage and read_out neurons only" in problems(replace(sound, stages=(0, 1, 3)))
    reader = Layer("b", (2, 4, 4), (replace(wire, source="a"),), IntegrateAndFire(), 3, np.ones(3, np.int64))
    assert not problems(sound, reader)
    later = replace(reader, timesteps=4, thresholds=np.ones(4, np.int64))
    assert "its sources send 3 planes; expected 3" in problems(sound, later)
    assert "sends halving events; bit_serial layers read bit_serial or direct sources" in problems(
        sound, replace(reader, neuron=BitSerial(), thresholds=np.full(3, 8)))
    with pytest.raises(SynthError, match="allowed are rate, bit_serial, quantised, halving"):
        synthesise(coding="odd")
