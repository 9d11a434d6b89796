"""Synthetic traces: the density asked for, spikes that are the network's own, and one seed is one trace anywhere."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwsim.snn.forward import forward, safe_potential_bits
from hwsim.trace.file import MAX_HELD_BYTES
from hwsim.trace.reader import Trace
from hwsim.trace.synth import NETWORKS, Integers, SynthError, check_asked, held_bytes, synthesise
from tests.snn.networks import naive_forward

CODINGS = ("rate", "bit_serial", "quantised")


def densities(trace: Trace) -> dict[str, float]:
    """Spikes (set bits) per neuron and timestep (bit) of every layer."""
    found: dict[str, list[float]] = {}
    for sample in trace:
        for name, planes in sample.recorded.items():
            bits = trace.network.layer(name).payload_bits or 1
            found.setdefault(name, []).append(float(np.bitwise_count(planes).mean()) / bits)
    return {name: float(np.mean(values)) for name, values in found.items()}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("density", [0.1, 0.2, 0.8])
def test_density_is_as_asked(coding: str, density: float) -> None:
    for name, found in densities(synthesise("tiny", 4, density, 8, 1, coding)).items():
        assert found == pytest.approx(density, abs=0.02), name


def test_density_of_a_real_network_is_within_a_few_percent() -> None:
    trace = synthesise("resnet20-cifar10", 2, 0.2, 4)
    found = densities(trace)
    assert len(found) == 19
    for name, value in found.items():
        assert value == pytest.approx(0.2, rel=0.03), name


@pytest.mark.parametrize("coding", CODINGS)
def test_the_spikes_are_those_of_the_network(coding: str) -> None:
    trace = synthesise("tiny", 3, 0.2, 2, 5, coding, pool="unit")
    for index, sample in enumerate(trace):
        expected, finals = naive_forward(trace.network, sample.inputs)
        assert set(expected) == set(sample.recorded)
        for name, planes in expected.items():
            np.testing.assert_array_equal(sample.recorded[name], planes)
        np.testing.assert_array_equal(trace.final_potentials(index)["out"], finals["out"])


@pytest.mark.parametrize("coding", CODINGS)
def test_no_potential_can_saturate_and_one_bit_less_would_not_do(coding: str) -> None:
    trace = synthesise("tiny", 4, 0.2, 3, 2, coding)
    needed = safe_potential_bits(trace.network, (sample.inputs for sample in trace))
    assert {layer.potential_bits for layer in trace.network} == {max(needed.values())}


def test_bit_serial_and_quantised_of_a_seed_are_the_same_numbers() -> None:
    bits, values = synthesise("tiny", 4, 0.2, 2, 3, "bit_serial"), synthesise("tiny", 4, 0.2, 2, 3, "quantised")
    for a, b in zip(bits, values, strict=True):
        np.testing.assert_array_equal(a.inputs, b.inputs)
        for name, planes in a.recorded.items():
            np.testing.assert_array_equal(np.tensordot([8, 4, 2, 1], planes, 1), b.recorded[name][0])


def test_one_seed_is_one_trace_and_more_samples_are_the_same_network() -> None:
    hashes = {synthesise("tiny", 4, 0.2, 2, 9).content_hash for _ in range(2)}
    hashes |= {synthesise("tiny", 4, 0.2, 2, 10).content_hash, synthesise("tiny", 4, 0.3, 2, 9).content_hash}
    assert len(hashes) == 3
    few, many = synthesise("tiny", 4, 0.2, 1, 9), synthesise("tiny", 4, 0.2, 6, 9)
    for a, b in zip(few.network, many.network, strict=True):
        np.testing.assert_array_equal(a.connections[0].weights, b.connections[0].weights)
        assert a.thresholds.tolist() == b.thresholds.tolist()
    np.testing.assert_array_equal(few.sample(0).inputs, many.sample(0).inputs)


def test_one_seed_is_one_trace_on_any_machine() -> None:
    """Recorded once; a change here is a change of every synthetic trace and belongs into the changelog."""
    assert Integers(0, stream=0)((6,), -31, 31).tolist() == RECORDED_INTEGERS
    for coding, expected in RECORDED_HASHES.items():
        assert synthesise("tiny", 4, 0.2, 2, 0, coding).content_hash == expected, coding


RECORDED_INTEGERS = [1, 22, 27, 9, 21, 1]
RECORDED_HASHES = {
    "rate": "edf191698e5689fbe92f66d18907e5151afb7d2d49bfa20cde05e4f861c775c4",
    "bit_serial": "e950905afa654eb7ee02bea6cb77f122203aa6d11ae54690c8ad0bc08e47ac45",
    "quantised": "6406ec8e99bdcca781fe0f965b1a7f934aab6d0f1e5a4fed31833b0cbb61d043",
}


def test_random_integers_fill_their_range_evenly() -> None:
    drawn = Integers(1, stream=0)((63_000,), -31, 31)
    counts = np.bincount(drawn.astype(int) + 31)
    assert len(counts) == 63
    assert np.abs(counts - 1000).max() < 160
    assert Integers(1, 0)((4, 5), 0, 255).shape == (4, 5)


def shape_only(name: str, head: int | None = None) -> tuple[list[str], int, int]:
    """Layer names, weights and neurons of a plan, without drawing anything."""
    shape, plans = NETWORKS[name](head)
    known, weights, neurons = {"input": shape}, 0, 0
    for plan in plans:
        for wire in plan.wires:
            c, h, w = known[wire.source]
            h, w = h // wire.pool, w // wire.pool
            if wire.operator == "conv2d":
                out = (plan.channels, -(-h // wire.stride), -(-w // wire.stride))
                weights += plan.channels * c * 9
            elif wire.operator == "linear":
                out = (plan.channels, 1, 1)
                weights += plan.channels * c * h * w
        known[plan.name] = out
        neurons += out[0] * out[1] * out[2]
    return [plan.name for plan in plans], weights, neurons


def test_the_named_networks_have_the_published_sizes() -> None:
    names, weights, neurons = shape_only("vgg16-cifar10")
    assert (len(names), weights) == (14, 14_715_584), "14.7 M, as published"
    assert neurons == 276_490
    assert shape_only("vgg16-cifar10", 4096)[2] == 284_682, "the size with the 4096-wide classifier"
    names, weights, _ = shape_only("resnet20-cifar10")
    assert len(names) == 20
    assert weights == 268_336, "He et al. 2016, table 6: 0.27 M"


def test_shortcuts_of_resnet_pad_the_new_channels_on_both_sides() -> None:
    _, plans = NETWORKS["resnet20-cifar10"](None)
    skips = {plan.name: plan.wires[1] for plan in plans if len(plan.wires) == 2}
    assert len(skips) == 9
    widened = {name: (wire.stride, wire.channel_offset) for name, wire in skips.items() if wire.stride != 1}
    assert widened == {"block2_1b": (2, 8), "block3_1b": (2, 16)}, "He et al. 2016, option A: 16 -> 32 -> 64"
    assert all(wire.channel_offset == 0 for wire in skips.values() if wire.stride == 1)


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    synthesise("tiny", samples=2, progress=lambda done, of: told.append((done, of)))
    assert told == [(done, 5 + 2 + 2) for done in range(1, 10)], "five layers, two samples measured, two written"


def test_max_pooling_pools_binary_spikes() -> None:
    trace = synthesise("tiny", samples=1, pool="max")
    assert {c.pool_mode for layer in trace.network for c in layer.connections} == {"none", "max"}
    planes = forward(trace.network, trace.sample(0).inputs)[0]
    assert planes["conv4"].max() == 1


@pytest.mark.parametrize(("wrong", "says"), [
    ({"network": "alexnet"}, "allowed are vgg16-cifar10, resnet20-cifar10, tiny"),
    ({"coding": "phase"}, "coding 'phase'"),
    ({"timesteps": 0}, "timesteps 0"), ({"timesteps": 17, "coding": "quantised"}, "1 to 16 for quantised"),
    ({"density": 0.0}, "density 0.0"), ({"density": 1.0}, "density 1.0"), ({"samples": 0}, "samples 0"),
    ({"seed": -1}, "seed -1"), ({"head": 7}, "for vgg16-cifar10 only"), ({"pool": "none"}, "pool 'none'"),
    ({"pool": "max", "coding": "bit_serial"}, "max with rate coding"),
    ({"network": "event-camera", "coding": "bit_serial"}, "event camera sends spikes"),
])
def test_what_cannot_be_made_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(SynthError, match=says):
        synthesise(**({"network": "tiny"} | wrong))


def test_a_replaced_width_is_another_trace() -> None:
    trace = synthesise("tiny", samples=1)
    wider = replace(trace.network, layers=tuple(replace(x, potential_bits=24) for x in trace.network))
    assert Trace.from_arrays(np.zeros((1, 2, 8, 8), int), wider.layers, input_bits=8).content_hash != trace.content_hash


def test_what_is_said_to_be_held_is_held() -> None:
    """By half at most it is wrong, for a network whose samples are so small that objects count as much as bits."""
    def peak(samples: int) -> int:
        tracemalloc.start()
        try:
            synthesise("tiny", 4, samples=samples)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    synthesise("tiny", 1, samples=1)  # what is loaded once
    measured, (_, stated) = (peak(20) - peak(4)) / 16, held_bytes("tiny", 4, None)
    assert measured == pytest.approx(stated, rel=0.5)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("samples", [2**31, 2**62, 10**400])
def test_more_samples_than_memory_holds_are_refused_before_anything_is_made(network: str, samples: int) -> None:
    with pytest.raises(SynthError, match=rf"of {network} would hold .*, at most 1 GiB are allowed; ask for at most [0-9,]+"):
        check_asked(network, samples=samples)


def test_as_many_samples_as_the_error_says_are_allowed() -> None:
    with pytest.raises(SynthError) as told:
        check_asked("tiny", samples=2**40)
    most = int(str(told.value).split("at most ")[-1].split(" ")[0].replace(",", ""))
    check_asked("tiny", samples=most)
    with pytest.raises(SynthError, match="would hold"):
        check_asked("tiny", samples=most + 1)
    assert most > 10_000
    assert MAX_HELD_BYTES == 1 << 30


def test_a_head_that_is_too_wide_is_refused() -> None:
    check_asked(head=4096)
    with pytest.raises(SynthError, match="head 1000000 is too wide"):
        check_asked(head=10**6)
