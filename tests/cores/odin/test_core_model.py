"""ODIN as a core of hwsim: laws of a replay, both engines against each other, networks with feedback, refusals by name."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import hwsim
from hwsim.activity import EVENTS
from hwsim.cores.model import core_model
from hwsim.cost.energy import NotProvisionedError, price_list
from hwsim.cost.overrides import PRICED
from hwsim.result import Result
from hwsim.schedules import schedule_by_name
from hwsim.snn.network import INPUT, Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import BitSerial, FirstCrossing, IntegrateAndFire, Neuron, ReadOut, SingleSpike
from hwsim.trace.reader import Trace
from tests.conftest import ROOT

FOLDER = ROOT / "traces" / "odin"
SHIPPED = FOLDER / "fashion_mnist_100.h5"
HARD = IntegrateAndFire(reset="hard")


def counts(result: Result) -> dict[str, int]:
    """Total counts by event, all of them."""
    return dict(zip(EVENTS, result.layer_counts.sum(axis=(0, 1, 2)).tolist(), strict=True))


def one_at_a_time(rng: np.random.Generator, samples: int, steps: int, inputs: int) -> np.ndarray:
    """(samples, steps, inputs, 1, 1) spikes, at most one per timestep."""
    spikes = rng.integers(0, inputs + 2, (samples, steps))[:, :, None] == np.arange(inputs)
    return spikes[..., None, None]


def two_layers(seed: int) -> Trace:
    """Excitatory layers in which no timestep has two events of one layer, so that ODIN and integrate-and-fire are the same.

    Layer a has one neuron per input, so it fires at most once in a timestep; its recorded spikes are those of `forward`.
    """
    rng = np.random.default_rng(seed)
    inputs = int(rng.integers(3, 30))
    layers = [
        {"name": "a", "weights": np.diag(rng.integers(4, 8, inputs)), "thresholds": 7, "neuron": HARD},
        {"name": "b", "weights": rng.integers(0, 8, (9, inputs)), "thresholds": 11, "neuron": HARD},
        {"name": "out", "weights": rng.integers(-9, 10, (4, 9)), "neuron": "read_out", "bias": rng.integers(-5, 5, 4)},
    ]
    return Trace.from_arrays(one_at_a_time(rng, 2, 24, inputs), layers, labels=[0, 1])


@pytest.fixture(scope="module")
def to_trace() -> Iterator[ModuleType]:
    sys.path.insert(0, str(FOLDER))
    try:
        yield importlib.import_module("to_trace")
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def shipped() -> Result:
    return hwsim.simulate(SHIPPED, "odin")


# -- the shipped trace ----------------------------------------------------------------------------------------------------


def test_the_shipped_trace_is_what_the_script_makes(to_trace: ModuleType) -> None:
    assert SHIPPED.stat().st_size <= 200_000
    with np.load(to_trace.NETWORK) as file, Trace.open(SHIPPED) as trace:
        trace.check(deep=True)
        weights, thresholds = file["weights"].astype(np.int64), file["thresholds"].astype(np.int64)
        # The script's arithmetic is that of the training: PyTorch counted the same spikes.
        trained = to_trace.by_class(to_trace.spikes_of(weights, thresholds, file["order"]))
        np.testing.assert_array_equal(trained, file["counts"])
        made = to_trace.make(weights, thresholds, file["order"][: trace.samples], file["labels"][: trace.samples])
        assert (trace.content_hash, trace.format_version) == (made.content_hash, 2)


def test_every_spike_of_the_shipped_trace_is_the_recorded_one(shipped: Result) -> None:
    assert shipped.mismatches == 0
    assert set(shipped.facts.mismatches_by_layer) == {*shipped.facts.layers} - {"classes"}
    with Trace.open(SHIPPED) as trace:
        recorded = sum(int(planes.sum()) for sample in trace for planes in sample.recorded.values())
    assert counts(shipped)["spike_out"] == recorded > 10_000


def test_a_wrong_recording_is_found(shipped: Result) -> None:
    with Trace.open(SHIPPED) as trace:
        placed = core_model("odin").machine(trace.network, shipped.architecture, schedule_by_name("layer_by_layer"), "fast")
        sample = trace.sample(0)
        before = placed.run(sample, "trace").mismatches
        changed = {**sample.recorded, "threshold_14": 1 - sample.recorded["threshold_14"]}
        after = placed.run(replace(sample, recorded=changed), "trace").mismatches
        assert (after - before).tolist() == [
            changed["threshold_14"].size if layer.name == "threshold_14" else 0 for layer in trace.network]


def test_cycles_of_a_sample_by_the_closed_form(shipped: Result) -> None:
    """518 per input event and per clearing time reference, 6 per spike; the first decision is at cycle 3 instead of 1."""
    with Trace.open(SHIPPED) as trace:
        events = np.array([int(sample.inputs.sum()) for sample in trace])
        spikes = np.array([sum(int(p.sum()) for p in sample.recorded.values()) for sample in trace])
    np.testing.assert_array_equal(shipped.cycles, 518 * (events + 1) + 6 * spikes + 2)


def test_both_engines_are_found_by_name_and_say_the_same(shipped: Result) -> None:
    fast, reference = (hwsim.simulate(SHIPPED, "odin", engine=name, samples=2) for name in ("fast", "reference"))
    np.testing.assert_array_equal(fast.layer_counts, reference.layer_counts)
    np.testing.assert_array_equal(fast.spans, reference.spans)
    assert (fast.facts.engine, reference.facts.engine) == ("fast", "reference")
    assert fast.task.hash != reference.task.hash


@pytest.mark.parametrize(("name", "place"), [
    ("fast", "hwsim.cores.odin.fast.OdinFastEngine.run"), ("reference", "hwsim.cores.odin.reference.OdinReferenceEngine.run")])
def test_the_engine_that_is_named_is_the_one_that_runs(name: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: object) -> None:
        raise NotImplementedError(place)

    monkeypatch.setattr(place, run)
    with pytest.raises(NotImplementedError, match=place):
        hwsim.simulate(SHIPPED, "odin", engine=name, samples=1)


def test_a_timing_only_replay_is_refused() -> None:
    with pytest.raises(hwsim.HwsimError, match=r"odin: check=False: its engine, fast, always computes; use check=True"):
        hwsim.simulate(SHIPPED, "odin", samples=1, check=False)


def test_a_full_chip_fires_in_the_timestep_of_its_event() -> None:
    """256 neurons that fire with every event: the last one's spike belongs to its event as well, and stops the next event."""
    spikes = np.array([1, 0, 1, 1, 0], bool).reshape(1, 5, 1, 1, 1)
    layer = {"name": "a", "weights": np.full((256, 1), 7), "thresholds": 7, "neuron": HARD}
    with Trace.from_arrays(spikes, [layer]) as trace:
        result = hwsim.simulate(trace, "odin")
    assert result.mismatches == 0
    assert counts(result)["spike_out"] == 3 * 256
    assert counts(result)["cycles_busy"] == 512 * 4
    assert result.accuracy is None, "nothing reads it out"


def test_laws_of_the_counts(shipped: Result) -> None:
    found = counts(shipped)
    with Trace.open(SHIPPED) as trace:
        events = sum(int(sample.inputs.sum()) for sample in trace)
    samples = shipped.facts.samples
    assert found["fifo_push"] == found["fifo_pop"] == events
    assert found["acc_add"] == shipped.total_synaptic_operations == events * 100
    assert found["leak"] == samples * 100
    assert found["cmp"] == (events + samples) * 100
    assert found["reset_zero"] == found["spike_out"]
    assert found["membrane_write_accumulate"] == 256 * events
    assert found["membrane_write_fire"] == found["membrane_read_fire"] == 256 * samples
    assert found["weight_write"] == 32 * events
    assert found["cycles_busy"] == 512 * (events + samples)
    # Each spike holds the next operation for six cycles, and there is one: the last of the 256 neurons is not used.
    assert found["cycles_stall_serialiser"] == 6 * found["spike_out"]
    assert found["membrane_read_accumulate"] == 256 * events + 6 * found["spike_out"]
    assert {name for name, count in found.items() if count} <= {*core_model("odin").events, *(set(EVENTS) - set(PRICED))}


def test_cycles_are_accounted_for(shipped: Result) -> None:
    for _, mine in shipped.cycles_frame.groupby("resource"):
        assert mine["total_cycles"].sum() == shipped.total_cycles
        assert (mine["total_cycles"] >= 0).all()


def test_the_page_compares_the_same_network_on_both_cores(shipped: Result) -> None:
    """Accuracy, cycles and spikes per image, on the chip and on event_core_16, as docs/odin.md has them."""
    text = (ROOT / "docs" / "odin.md").read_text(encoding="utf-8")
    event = hwsim.simulate(SHIPPED, "event_core_16", spikes="computed")
    for name, result in (("`odin`", shipped), ("`event_core_16`", event)):
        spikes = counts(result)["spike_out"] / result.facts.samples
        row = (f"| {name} | {result.accuracy:.1f} % | {result.cycles.mean():,.0f} | {result.latency_s * 1e6:,.1f} us | "
               f"{spikes:.1f} | {result.synaptic_operations:,.0f} |")
        assert row in text, row


# -- prices ---------------------------------------------------------------------------------------------------------------


def test_what_it_counts_has_a_price_and_nothing_else_has(shipped: Result) -> None:
    prices = price_list(shipped.architecture)
    assert {price.event for price in prices.prices()} == core_model("odin").events
    assert all(price.pj > 0 for price in prices.prices())
    for event in set(PRICED) - core_model("odin").events:
        with pytest.raises(NotProvisionedError, match="kind odin count no such event"):
            prices.price(event)
    assert set(shipped.area["component"]) == {
        "neuron", "controller", "fifo", "output_link", "sign_register", "synapse_update", "weight_memory", "membrane_memory"}


def test_what_has_no_price_is_listed() -> None:
    section = (ROOT / "docs" / "assumptions.md").read_text(encoding="utf-8").split("## ODIN")[1].split("\n## ")[0]
    for word in ("controller", "handshake", "SPI", "calcium", "Izhikevich", "unused neurons", "28 nm", "0.55 V", "receiver"):
        assert word in section, word


# -- feedback -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_layers_feed_each_other_on_the_chip_as_in_the_functional_model(seed: int) -> None:
    with two_layers(seed) as trace:
        fast = hwsim.simulate(trace, "odin", spikes="computed")
        assert fast.mismatches == 0, "spikes and read-out are those of hwsim.snn.forward"
        assert fast.facts.mismatches_by_layer.keys() >= {"a", "b"}
        found, recorded = counts(fast), [sum(int(s.recorded[name].sum()) for s in trace) for name in ("a", "b")]
        inputs = sum(int(sample.inputs.sum()) for sample in trace)
        assert min(recorded) > 0
        assert found["spike_out"] == sum(recorded)
        assert found["fifo_push"] == found["fifo_pop"] == inputs + sum(recorded)
        fan_in = trace.network.input.shape[0]
        assert found["acc_add"] == inputs * fan_in + recorded[0] * 9
        if seed < 2:
            reference = hwsim.simulate(trace, "odin", spikes="computed", engine="reference", samples=1)
            np.testing.assert_array_equal(reference.layer_counts, fast.layer_counts[:1])
            np.testing.assert_array_equal(reference.spans, fast.spans[:1])


def test_recorded_spikes_cannot_be_fed_to_layers_that_feed_each_other() -> None:
    with two_layers(0) as trace, pytest.raises(hwsim.HwsimError, match="use spikes='computed'"):
        hwsim.simulate(trace, "odin", spikes="trace")


def test_feedback_that_the_design_forbids() -> None:
    design = hwsim.load_architecture("odin").with_core(scheduler={"depth": 32, "feedback": False})
    assert hwsim.simulate(SHIPPED, design, samples=1).mismatches == 0, "one layer needs none"
    with two_layers(0) as trace, pytest.raises(hwsim.MappingError, match=r"core\.scheduler\.feedback is false"):
        hwsim.simulate(trace, design, spikes="computed")


# -- refusals -------------------------------------------------------------------------------------------------------------


def layer_of(neuron: Neuron = HARD, weights: Any = ((3, 1), (2, 5)), thresholds: Any = (4, 4), **other: Any) -> Layer:
    """Two neurons that two inputs feed, in two timesteps."""
    connection = Connection(INPUT, "linear", (2, 1, 1), None if weights is None else np.array(weights))
    connection = replace(connection, **other.pop("connection", {}))
    return Layer("a", (2, 1, 1), (connection,), neuron, 2, np.array(thresholds), **other)


SPIKES = InputSpec((2, 1, 1), "spikes", 2, 0)


def refused(*layers: Layer, spec: InputSpec = SPIKES, design: Any = "odin") -> str:
    network, arch = Network(spec, layers), hwsim.load_architecture(design)
    with pytest.raises(hwsim.MappingError) as error:
        core_model("odin").check(network, arch, schedule_by_name("layer_by_layer"))
    return str(error.value)


@pytest.mark.parametrize(("layer", "text"), [
    (layer_of(IntegrateAndFire()), "layer a: soft reset, expected hard"),
    (layer_of(IntegrateAndFire("hard", leak_shift=3)), "the leak is V >> 3, and ODIN's subtracts a constant"),
    (layer_of(bias=np.ones((2, 1, 1), np.int64)), "adds a bias in every timestep"),
    (layer_of(initial_potential=np.full((1, 1, 1), 2)), "potentials start from 2 to 2, expected 0"),
    (layer_of(thresholds=(4, 5)), "thresholds change from 4 to 5 over time"),
    (layer_of(thresholds=(256, 256)), "found threshold 256, expected 1 to 255"),
    (layer_of(BitSerial(), thresholds=(4, 4)), "a bit_serial neuron needs passes"),
    (layer_of(SingleSpike(), thresholds=(4, 4)), "a single_spike neuron needs passes"),
    (layer_of(weights=None), "no weights are recorded"),
    (layer_of(weights=((8, 1), (2, 5))), "found weight 8 at (0, 0), expected -7 to 7"),
    (layer_of(connection={"pool": 2, "pool_mode": "folded"}), "linear with 2 x 2 pooling, expected linear"),
    (layer_of(connection={"operator": "identity", "weights": np.array([1, 2])}), "identity, expected linear"),
])
def test_what_a_layer_cannot_be(layer: Layer, text: str) -> None:
    assert text in refused(layer)


def test_sizes_signs_and_inputs() -> None:
    many = Layer("a", (257, 1, 1), (Connection(INPUT, "linear", (2, 1, 1), np.ones((257, 2), np.int64)),), HARD, 2, np.full(2, 4))
    assert "found 257 neurons, expected at most 256" in refused(many)
    wide = InputSpec((200, 1, 1), "spikes", 2, 0)
    signs = Connection(INPUT, "linear", (200, 1, 1), np.repeat([[1], [-1]], 200, axis=1))
    assert "an input whose weights have both signs needs two" in refused(
        Layer("a", (2, 1, 1), (signs,), HARD, 2, np.full(2, 4)), spec=wide)
    assert "events carry payloads of 8 bits" in refused(layer_of(), spec=InputSpec((2, 1, 1), "direct"))
    second = Layer("b", (2, 1, 1), (Connection("a", "linear", (2, 1, 1), np.array([[1, 1], [-1, 1]])),), HARD, 2, np.full(2, 4))
    assert "the outgoing weights of neuron 0 have both signs" in refused(layer_of(), second)
    read_out = Layer("out", (2, 1, 1), (Connection(INPUT, "linear", (2, 1, 1), np.eye(2, dtype=np.int64)),), ReadOut(), 2)
    text = refused(read_out)
    assert "put a spiking layer between" in text
    assert "no layer spikes" in text
    waits = Layer("out", (2, 1, 1), (Connection("a", "linear", (2, 1, 1), np.eye(2, dtype=np.int64)),), FirstCrossing(3), 2,
                  np.full(2, 4))
    assert "layer out: a first_crossing layer compares in every timestep" in refused(layer_of(), waits)


def test_all_reasons_come_at_once() -> None:
    design = hwsim.load_architecture("odin").with_core(output={"source": "controller", "latches": 2})
    layer = layer_of(IntegrateAndFire("soft", 2), weights=((9, 1), (2, 5)), thresholds=(300, 300))
    text = refused(layer, design=design)
    for reason in ("soft reset", "V >> 2", "threshold 300", "found weight 9", "core.output.source is 'controller'"):
        assert reason in text, reason


def test_a_convolutional_network_is_told_its_size_as_well() -> None:
    with Trace.open(ROOT / "traces" / "fashion_mnist_rate_t4.h5") as trace, pytest.raises(hwsim.MappingError) as error:
        hwsim.simulate(trace, "odin", schedule="step_by_step")
    for reason in ("layer conv1: soft reset", "conv2d, expected linear", "payloads of 8 bits", "neurons, and ODIN has 256",
                   "identity, expected linear", "use --schedule layer_by_layer"):
        assert reason in str(error.value), reason


def test_one_core_only() -> None:
    one = hwsim.load_architecture("odin")
    two = one.model_copy(update={"cores": (one.only.model_copy(update={"count": 2}),)})
    assert "odin has 2 cores" in refused(layer_of(), design=two)


def test_a_design_file_with_mistakes_names_all_of_them(tmp_path: Any) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\ncore:\n  kind: odin\n  neurons: 300\n  neuron: izhikevich\n  learning: true\n"
                    "memories:\n  membrane: {words: 512, bits: 128}\n")
    with pytest.raises(hwsim.ArchitectureError) as error:
        hwsim.load_architecture(path)
    for text in (f"{path}:4: core.neurons: found 300 neurons, expected 256", "Izhikevich neuron is not modelled",
                 "online learning (SDSP) is not modelled", f"{path}:8: memories.membrane: found 512 x 128 bits"):
        assert text in str(error.value), text


# -- what it costs others ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "absent"), [
    ("import hwsim, hwsim.cli", "hwsim.cores.odin"),
    ("import hwsim; from hwsim.trace.synth import synthesise; hwsim.simulate(synthesise('tiny', samples=1), 'event_core_64')",
     "hwsim.cores.odin"),
    ("import hwsim; hwsim.load_architecture('odin')", "hwsim.cores.odin.kernels"),
    ("import hwsim.verify.command", "hwsim.cores.odin.kernels"),
    ("import hwsim.verify.command", "hwsim.cores.odin.reference"),
])
def test_unused_it_is_not_loaded(code: str, absent: str) -> None:
    full = f"{code}; import sys; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", full], check=False, cwd=ROOT).returncode == 0
