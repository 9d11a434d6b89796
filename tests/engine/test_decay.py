"""Potentials that decay (cuba_lif, R10): both engines compute what the neuron model computes, and count one decay per neuron."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import trunc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hwsim
from hwsim.checks.operations import table_misfits
from hwsim.cost.technology.tables import unit_cost
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.reference import ReferenceEngine
from hwsim.mapping import lower
from hwsim.rtl.coverage import uncovered
from hwsim.snn.forward import forward
from hwsim.snn.neurons import CubaLif
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter
from tests.laws.implementation import Laws, OnEngine
from tests.laws.runs import EOT, fire, flat, linear_run, spec
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


class Fast(OnEngine, Laws):
    engine = FastEngine()


class Reference(OnEngine, Laws):
    engine = ReferenceEngine()


VALUES = [-100, -9, -5, -4, -1, 0, 1, 4, 5, 9, 99, 100]


@pytest.mark.parametrize("implementation", [Fast, Reference])
@pytest.mark.parametrize("decay", [1, 1024, 1365, 4095, 4096])
def test_what_is_left_is_rounded_toward_zero_after_the_reset(implementation: type[Laws], decay: int) -> None:
    run = linear_run([[0]] * len(VALUES), (fire(1, 100),), spec(), clear=False, reset="hard", decay=decay)
    law = implementation()
    log = law.execute(run, [EOT], potentials=VALUES)
    assert flat(log.potentials) == [trunc(Fraction(v * (4096 - decay), 4096)) for v in VALUES[:-1]] + [0]
    counts = law.counted(log)
    assert (counts["decay"], counts["cmp"], counts["reset_zero"]) == (len(VALUES), len(VALUES), 1)
    assert "leak" not in counts


@pytest.mark.parametrize("implementation", [Fast, Reference])
def test_who_is_off_does_not_decay(implementation: type[Laws]) -> None:
    run = linear_run([[0]] * 4, (fire(1, 100, flags="masked"),), spec(), clear=False, reset="hard", decay=1024, flagged=True)
    law = implementation()
    log = law.execute(run, [EOT], potentials=[8, -9, 8, 200], flags=[0, 0, 1, 0])
    assert flat(log.potentials) == [6, -6, 0, 0]
    assert law.counted(log)["decay"] == 3


def test_a_decay_costs_a_multiplication_of_v_by_12_bits() -> None:
    """By the papers' table, and by gates."""
    result = hwsim.simulate(decaying(1), "event_core_64")
    for frame, table in ((result.arithmetic, "datta_45nm"), (result.energy, "nangate_45nm")):
        prices = frame[frame["event"] == "decay"]["price_pj"].unique()
        assert prices.tolist() == pytest.approx([unit_cost(table, "mult", "energy_pj", (24, 12)).value])


def test_what_cannot_decay_says_so() -> None:
    run = linear_run([[0]], (fire(1, 100),), spec(), clear=False, reset="hard", decay=1024)
    assert "decay 1024 of a PassTable, a field that it does not know" in "".join(uncovered(run))
    layer = decaying(1).network.layers[0]
    table = replace(lower(decaying(1).network, layer, "weight"), decay=1024)
    assert not list(table_misfits(table, layer))
    for wrong, says in ((replace(table, decay=4097), "decay 4097, allowed are 0 to 4096"),
                        (replace(table, leak_shift=2), "both leak_shift 2 and decay 1024")):
        assert says in "".join(table_misfits(wrong, layer))
    assert "let" in "".join(table_misfits(table, replace(layer, potential_bits=49)))
