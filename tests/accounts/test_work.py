"""Counts from the trace alone: equal to a synapse-by-synapse count on random networks, and to the engines' on shipped traces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import hwsim
from hwsim.accounts.work import WorkError, carries_values, check_twins, count_network, count_work
from hwsim.activity import INDEX
from hwsim.snn.forward import forward
from hwsim.snn.network import INPUT, Connection, Network
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from tests.conftest import ROOT
from tests.snn.networks import CODINGS, events, random_input, random_network, synapses


def by_hand(network: Network, connection: Connection, shape: tuple[int, int, int], planes: np.ndarray) -> np.ndarray:
    """(3, 2): events, operations, and operations or products over non-zero weights, of values and of spikes, one by one."""
    counts = np.zeros((3, 2), np.int64)
    for plane, value in zip(planes, carries_values(network, connection, len(planes)), strict=True):
        met = [amount for _, amount in synapses(connection, plane, shape)]
        effective = met
        if value and connection.pool_mode == "folded":  # an ANN adds a window's values up before it multiplies
            effective = [amount for _, amount in synapses(*added_up(connection, plane), shape)]
        counts[:, 0 if value else 1] += [len(list(events(connection, plane))), len(met), np.count_nonzero(effective)]
    return counts


def added_up(connection: Connection, plane: np.ndarray) -> tuple[Connection, np.ndarray]:
    """The same connection behind its pooling, and the sums of its windows, each by itself."""
    c, h, w = connection.pooled_shape
    k = connection.pool
    sums = np.array([[plane[y * k:(y + 1) * k, x * k:(x + 1) * k].sum(axis=(0, 1)) for x in range(w)] for y in range(h)])
    return replace(connection, source_shape=(c, h, w), pool=1, pool_mode="none"), sums


@pytest.mark.parametrize("coding", CODINGS)
def test_counts_are_those_of_every_synapse_by_itself(coding: str) -> None:
    rng = np.random.default_rng(len(coding))
    seen: set[str] = set()
    for _ in range(12):
        network = random_network(rng, coding)
        samples = []
        for _ in range(2):
            inputs = random_input(rng, network.input)
            samples.append(Sample(inputs, forward(network, inputs)[0]))
        work = count_network(network, samples)
        for layer, found in zip(network, work.layers, strict=True):
            for connection, counted in zip(layer.connections, found.connections, strict=True):
                expected = sum(by_hand(network, connection, layer.shape, {INPUT: s.inputs, **s.recorded}[connection.source])
                               for s in samples)
                assert [counted.events["values"], counted.events["spikes"]] == expected[0].tolist()
                assert [counted.operations["values"], counted.operations["spikes"]] == expected[1].tolist()
                assert [counted.effective["values"], counted.effective["spikes"]] == expected[2].tolist()
                seen |= {connection.operator, connection.pool_mode, f"groups {connection.groups > 1}"}
            assert found.spikes == sum(int(np.count_nonzero(s.recorded[layer.name])) for s in samples if layer.sends)
    assert {"conv2d", "linear", "identity", "folded", "unit", "groups True"} <= seen


def test_without_padding_a_dense_plane_is_the_ann(rate_trace: Trace) -> None:
    """Synapses are multiply-accumulates without those of padding: equal where nothing is padded, fewer elsewhere."""
    for found in count_work(rate_trace).synaptic:
        if found.connection.padding:
            assert found.synapses < found.dense_macs
        else:
            assert found.synapses == found.dense_macs


@pytest.mark.parametrize(("name", "design"), [
    ("fashion_mnist_bit_serial_t4", "event_core_64"), ("fashion_mnist_ann", "mac_core_64"),
    ("methods/fashion_mnist_tiny_rate_t4", "event_core_64"),
    ("methods/fashion_mnist_tiny_single_spike_t5", "event_core_64_flags"),
    pytest.param("methods/cifar10_resnet20_ann_t4", "mac_core_64", marks=pytest.mark.slow),
    pytest.param("methods/cifar10_vgg16_bit_serial_t4", "event_core_64", marks=pytest.mark.slow),
])
def test_synaptic_operations_are_the_engines_own(name: str, design: str) -> None:
    path = ROOT / "traces" / f"{name}.h5"
    result = hwsim.simulate(path, design, samples=2)
    with Trace.open(path) as trace:
        work = count_work(trace, 2)
    assert round(work.operations() * 2) == result.total_synaptic_operations
    multiplied = result.layer_counts[..., INDEX["mult"]].sum()
    assert sum(c.operations["values"] for c in work.connections) == multiplied


def test_a_wrong_number_of_samples_and_a_foreign_ann_are_refused(rate_trace: Trace, quantised_trace: Trace) -> None:
    with pytest.raises(WorkError, match="samples is 9, allowed are 1 to 3"):
        count_work(rate_trace, 9)
    check_twins(count_work(rate_trace), count_work(quantised_trace))
    with pytest.raises(WorkError, match="is rate, expected a quantised ANN"):
        check_twins(count_work(rate_trace), count_work(rate_trace))
    with Trace.open(ROOT / "traces" / "fashion_mnist_ann.h5") as other, pytest.raises(WorkError, match="is not the ANN of"):
        check_twins(count_work(rate_trace), count_work(other, 1))
