"""PilotNet on Loihi 2 (docs/loihi2.md): what its design is, and, with lava-dl's files, every bar and trap of the page.

Without HWSIM_PILOTNET the network's geometry with weights of our own stands for it.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

import hwsim
from benchmarks.headlines.blocks import block
from benchmarks.pilotnet import published
from benchmarks.pilotnet.__main__ import PAGE, VARIABLE, main
from benchmarks.pilotnet.measure import Frame, compute, design, energy_of, every_weight, frame_of
from benchmarks.pilotnet.page import correlation, inside, predicted_us, tables
from benchmarks.pilotnet.recording import read_recording
from hwsim.activity import INDEX
from hwsim.arch import Architecture, dump_architecture, rebuild_architecture
from hwsim.chip.placement import shares_of
from hwsim.chip.slices import laid_out
from hwsim.cores.event.misfits import misfits
from hwsim.schedules import schedule_by_name
from hwsim.snn.forward import forward
from hwsim.snn.network import Axis, Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import CubaLif, IntegrateAndFire, ReadOut
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter

FOLDER = os.environ.get(VARIABLE)
measured = pytest.mark.skipif(not FOLDER, reason=f"{VARIABLE} names no folder with lava-dl's PilotNet")


# --- without the files ---------------------------------------------------------------------------------------------------

CONVOLUTIONS = (("conv0", 24, 2, 0), ("conv1", 36, 2, 0), ("conv2", 48, 2, 0), ("conv3", 64, (2, 1), (1, 0)), ("conv4", 64, 1, 0))
DENSE = (("dense0", 100), ("dense1", 50), ("dense2", 10), ("dense3", 1))


def geometry() -> Network:
    """PilotNet's layers with weights that are all 64: what placement and sizes depend on."""
    shape = (3, 66, 200)
    layers = [Layer("input0", shape, (Connection("input", "identity", shape, np.full(3, 64)),), CubaLif(4096, 1024), 16,
                    thresholds=np.full(16, 1601))]
    for name, channels, stride, padding in CONVOLUTIONS:
        wire = Connection(layers[-1].name, "conv2d", layers[-1].shape, kernel=3, stride=stride, padding=padding)
        shape = wire.natural_shape(channels)
        wire = replace(wire, weights=np.full(wire.weight_shape(shape), 64))
        layers.append(replace(layers[0], name=name, shape=shape, connections=(wire,)))
    for name, channels in DENSE:
        wire = Connection(layers[-1].name, "linear", layers[-1].shape)
        wire = replace(wire, weights=np.full(wire.weight_shape((channels, 1, 1)), 64))
        layers.append(replace(layers[0], name=name, shape=(channels, 1, 1), connections=(wire,)))
    layers[-1] = replace(layers[-1], neuron=ReadOut(), thresholds=np.zeros(0, np.int64))
    return Network(InputSpec((3, 66, 200), "direct", 1, payload_bits=7), tuple(layers))


def test_the_design_places_the_layers_as_published() -> None:
    """Cores of each layer from the notebook, slices of full width; the last ones are 8, 1, 3, 0, 2 and 12 columns too wide."""
    chip = design()
    network = laid_out(geometry(), chip)
    shares = dict(zip([layer.name for layer in network], shares_of(chip, network), strict=True))
    assert [len(share) for share in shares.values()] == [13, 25, 13, 3, 3, 2, 12, 1, 1, 1]
    assert {name for share in shares.values() for name in share} == set(chip.core_names)
    spare = [sum(part.spare_rows for part in share.values()) for share in shares.values()]
    assert spare == [8, 1, 3, 0, 2, 12, 0, 0, 0, 0]
    updated = sum(layer.shape[2] * (part.channels[1] - part.channels[0]) * part.height
                  for layer in network for part in shares[layer.name].values())
    assert updated == 164_529, "164,528 that are compared, and the answer"
    assert network.layer("conv3").connections[0].axes == (Axis(3, 1, 0), Axis(3, 2, 1))
    assert not misfits(network, chip, schedule_by_name("pipelined"))


def test_the_designs_rates_are_the_published_ones() -> None:
    chip, core = design(), design().cores[0].core
    assert chip.period_ns == pytest.approx(published.OPERATION_NS.value / published.FASTER_OPERATIONS.value, rel=1e-6)
    assert (core.lanes, core.skip_zero_weights) == (1, True)
    assert chip.network is not None
    assert chip.network.hop_cycles == -(-published.HOP_NS.value / published.FASTER_SPIKES.value // chip.period_ns)
    assert chip.network.barrier_cycles == round(published.BARRIER_NS.value / chip.period_ns)


def small_trace(share_of_zeros: float) -> Trace:
    rng = np.random.default_rng(1)
    weights = rng.integers(1, 9, (8, 2, 3, 3)) * rng.choice([-1, 1], (8, 2, 3, 3))
    weights[rng.random(weights.shape) < share_of_zeros] = 0
    wire = Connection("input", "conv2d", (2, 6, 12), weights, kernel=3, padding=1)
    network = Network(InputSpec((2, 6, 12), "spikes", 8), (
        Layer("conv", (8, 6, 12), (wire,), IntegrateAndFire("hard"), 8, thresholds=np.full(8, 12)),))
    with TraceWriter(network, name="small") as writer:
        planes = (rng.random((8, 6, 12, 2)) < 0.4).astype(np.uint8)
        spikes, potentials = forward(network, planes)
        writer.append(Sample(planes, spikes), potentials=potentials)
        return writer.finish()


def small_chip(chip: Architecture, clock_hz: float) -> Architecture:
    """Three of its cores, four columns each."""
    data = dump_architecture(chip)
    data["clock"] = f"{clock_hz} Hz"
    data["cores"][0]["count"] = 3
    cores = ["core0", "core1", "core2"]
    data["network"] |= {"mesh": [3, 1], "placement": {"conv": cores}, "slice_widths": {"conv": 4}, "nodes": None}
    return rebuild_architecture(data)


def test_the_right_time_for_the_wrong_reason() -> None:
    """Slower operations that skip zeros take as long as fast ones that count them: only the work per core tells them apart."""
    trace = small_trace(0.24)
    found = []
    for chip, clock_hz in ((every_weight(), 1e9), (design(), 0.81e9)):
        result = hwsim.simulate(trace, small_chip(chip, clock_hz), schedule="pipelined", spikes="computed")
        assert result.facts.mismatches == 0
        found.append((result.latency_s, result.layer_counts[0, :, 0, INDEX["acc_add"]].tolist()))
    (time_s, every), (other_s, some) = found
    assert other_s == pytest.approx(time_s, rel=0.02)
    assert all(one < 0.85 * all_of_it for one, all_of_it in zip(some, every, strict=True))


def shifted(network: Network) -> Network:
    """The neurons that look like the chip's: V - (V >> 2), and V >= theta + 1 for V > theta (here thresholds are theta + 1)."""
    return replace(network, layers=tuple(
        replace(layer, neuron=IntegrateAndFire("hard", 2)) if layer.sends else layer for layer in network))


def test_a_leak_by_a_shift_looks_right_and_is_not() -> None:
    """Nearly as many spikes, not the same ones."""
    rng = np.random.default_rng(0)
    wire = Connection("input", "linear", (40, 1, 1), 128 * rng.integers(-12, 14, (400, 40)))
    layer = Layer("lif", (400, 1, 1), (wire,), CubaLif(4096, 1024), 40, thresholds=np.full(40, 1601))
    network = Network(InputSpec((40, 1, 1), "spikes", 40), (layer,))
    planes = (rng.random((40, 1, 1, 40)) < 0.1).astype(np.uint8)
    decayed, leaked = (forward(one, planes)[0]["lif"].astype(int) for one in (network, shifted(network)))
    assert leaked.sum() == pytest.approx(decayed.sum(), rel=0.01)
    assert decayed.sum() > 1000
    assert 0 < (decayed != leaked).sum() < 0.02 * decayed.sum()


def test_a_folder_without_the_files_is_one_error(
    tmp_path: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SystemExit, match=r"has no network.net and no recorded.npz; expected a folder with network.net"):
        main([str(tmp_path)])
    with pytest.raises(SystemExit, match="is no folder"):
        main([f"{tmp_path}/missing"])
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(SystemExit):
        main([])
    assert f"no folder: give the one with lava-dl's PilotNet, or name it in {VARIABLE}" in capsys.readouterr().err


# --- with the files ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def frame() -> Frame:
    return compute(frame_of(str(FOLDER)), design())


@measured
def test_work_per_core_is_that_of_the_activity_plot(frame: Frame) -> None:
    assert frame.mismatches == 0
    assert frame.count("acc_add") == frame.count("weight_read") == 36_646_923
    operations = frame.operations()
    for flat in published.FLAT:
        assert operations[flat.core] == pytest.approx(flat.operations, rel=0.005), flat
    assert frame.layer_operations("conv") == pytest.approx(published.CONVOLUTIONS_OPERATIONS, rel=0.001)
    assert frame.neurons() == 164_528


@measured
def test_without_spare_neurons_a_frame_has_less_work() -> None:
    data = dump_architecture(design())
    data["network"]["pad_slices"] = False
    bare = compute(frame_of(str(FOLDER)), rebuild_architecture(data))
    assert bare.count("acc_add") == 36_315_366
    assert bare.operations()["core16"] < 0.9 * next(flat.operations for flat in published.FLAT if flat.core == "core16")


@measured
def test_steps_are_within_a_quarter_unfitted_and_three_cores_set_the_pace(frame: Frame) -> None:
    mean = frame.steps_us.mean()
    assert all(mean == pytest.approx(run.step_us, rel=0.25) for run in published.RUNS)
    assert correlation(frame) > 0.95
    assert frame.busiest()[0] == ["core20", "core21", "core22"]
    assert frame.operations_by_step("core20")[:4] == [106_176, 177_184, 124_376, 195_104]
    assert len(frame.steps_us) == 128


@measured
def test_energy_is_inside_or_outside_of_intels_spread_and_no_closer(frame: Frame) -> None:
    energy = energy_of(frame)
    assert [inside(mj) for mj in (energy.total, energy.scaled(), 0.5, 1.1)] == ["inside", "inside", "outside", "outside"]
    assert energy.operations / energy.total > 0.8


@measured
def test_one_constant_of_january_predicts_october(frame: Frame) -> None:
    steps = predicted_us(frame)
    for run in (published.OCTOBER_25, published.OCTOBER_28):
        assert steps.mean() == pytest.approx(run.step_us, rel=0.02)
    np.testing.assert_allclose(steps, published.CYCLE_US, rtol=0.02)


@measured
def test_zeros_that_are_counted_give_the_right_time_for_the_wrong_reason(frame: Frame) -> None:
    """Closer to the measured step than zeros skipped, while no core does the work of the plot."""
    zeros = compute(frame_of(str(FOLDER)), every_weight())
    step = published.JANUARY.step_us
    assert abs(zeros.steps_us.mean() / step - 1) < 0.08 < 0.15 < abs(frame.steps_us.mean() / step - 1)
    for flat in published.FLAT[:3]:
        assert zeros.operations()[flat.core] > 1.2 * flat.operations


@measured
def test_the_chip_does_the_right_work_for_a_leak_that_is_wrong() -> None:
    """With the image: the work and time of V - (V >> 2) are within the page's bar, and its spikes are not right."""
    trace = frame_of(str(FOLDER), read_recording(str(FOLDER))["image"])
    network, sample = shifted(trace.network), trace.sample(0)
    with TraceWriter(network, name="leak by a shift") as writer:
        spikes, potentials = forward(network, sample.inputs)
        writer.append(Sample(sample.inputs, spikes), potentials=potentials)
        leaking = compute(writer.finish(), design())
    right = compute(trace, design())
    wrong = sum(int((spikes[name] != planes).sum()) for name, planes in sample.recorded.items())
    assert wrong > 1000
    assert leaking.count("acc_add") == pytest.approx(right.count("acc_add"), rel=0.005)
    assert leaking.steps_us.mean() == pytest.approx(right.steps_us.mean(), rel=0.01)


@measured
def test_the_page_says_what_is_computed() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, made in tables(str(FOLDER)).items():
        assert block(text, name, PAGE) == made, f"{name}: python -m benchmarks.pilotnet FOLDER --write"
