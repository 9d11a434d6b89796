"""Potentials that decay (cuba_lif, R10): both engines compute what the neuron model computes, and count one decay per neuron."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hwsim
from hwsim.snn.forward import forward
from hwsim.snn.neurons import CubaLif
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter
from tests.snn.networks import random_input, random_network

DESIGNS = ("event_core_16", "output_stationary", "event_driven", "event_core_64_flags")


def decaying(seed: int) -> Trace:
    """A trace of two samples of a random network of cuba_lif neurons with decays of their own."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, "rate")
    layers = []
    for layer in network:
        if layer.sends:
            decay = int(rng.choice([0, 1, 1024, 4095, 4096, rng.integers(0, 4097)]))
            layer = replace(layer, neuron=CubaLif(potential_decay=decay), potential_bits=24)
        layers.append(replace(layer, potential_bits=24))
    network = replace(network, layers=tuple(layers))
    with TraceWriter(network, name="decaying") as writer:
        for _ in range(2):
            planes = random_input(rng, network.input)
            recorded, potentials = forward(network, planes)
            writer.append(Sample(planes, recorded), potentials=potentials)
        return writer.finish()


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32 - 1), st.sampled_from(DESIGNS), st.sampled_from(["layer_by_layer", "step_by_step"]))
def test_both_engines_compute_its_spikes(seed: int, design: str, schedule: str) -> None:
    trace = decaying(seed)
    fast, reference = (hwsim.simulate(trace, design, schedule=schedule, engine=engine, spikes="computed")
                       for engine in ("fast", "reference"))
    assert fast.facts.mismatches == 0 == reference.facts.mismatches
    assert fast.cycles.tolist() == reference.cycles.tolist()
    counts = [result.activity.groupby("event")["count"].sum() for result in (fast, reference)]
    assert counts[0].to_dict() == counts[1].to_dict()
    expected = sum(x.neurons * x.timesteps for x in trace.network if x.sends and x.neuron.potential_decay)
    assert counts[0].get("decay", 0) == expected


@pytest.mark.parametrize("event", ["decay"])
def test_a_decay_costs_a_multiplication_of_v_by_12_bits(event: str) -> None:
    design = hwsim.load_architecture("event_core_64")
    trace = decaying(1)
    result = hwsim.simulate(trace, design)
    row = result.energy[result.energy["unit"] == event]
    assert (row["energy_pj"] > 0).all()
    assert len(row)
