"""Potentials that decay (cuba_lif, R10): both engines compute what the neuron model computes, and count one decay per neuron."""

from __future__ import annotations

from collections import Counter
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
from hwsim.snn.forward import forward
from hwsim.snn.neurons import CubaLif, Neuron
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter
from tests.laws.implementation import Laws, OnEngine
from tests.laws.runs import EOT, event, fire, flat, linear_run, spec
from tests.snn.networks import random_input, random_network

DESIGNS = ("event_core_16", "output_stationary", "event_driven", "event_core_64_flags")


def decaying(seed: int, currents: bool = False) -> Trace:
    """A trace of two samples of a random network of cuba_lif neurons with decays of their own; `currents`: of currents too."""
    rng = np.random.default_rng(seed)
    network = random_network(rng, "rate")
    layers = []
    for layer in network:
        if layer.sends:
            decay = int(rng.choice([0, 1, 1024, 4095, 4096, rng.integers(0, 4097)]))
            neuron = CubaLif(potential_decay=decay)
            if currents and not any(map(network.is_direct, layer.connections)):
                neuron = replace(neuron, current_decay=int(rng.choice([0, 1, 1024, 4095, 4096, rng.integers(0, 4097)])))
            layer = replace(layer, neuron=neuron, potential_bits=24)
        layers.append(replace(layer, potential_bits=24))
    network = replace(network, layers=tuple(layers))
    with TraceWriter(network, name="decaying") as writer:
        for _ in range(2):
            planes = random_input(rng, network.input)
            recorded, potentials = forward(network, planes)
            writer.append(Sample(planes, recorded), potentials=potentials)
        return writer.finish()


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32 - 1), st.sampled_from(DESIGNS), st.sampled_from(["layer_by_layer", "step_by_step"]), st.booleans())
def test_both_engines_compute_its_spikes(seed: int, design: str, schedule: str, currents: bool) -> None:
    """What is recorded is the neuron's own arithmetic in NumPy, which knows no pass and no memory."""
    trace = decaying(seed, currents)
    fast, reference = (hwsim.simulate(trace, design, schedule=schedule, engine=engine, spikes="computed")
                       for engine in ("fast", "reference"))
    assert fast.facts.mismatches == 0 == reference.facts.mismatches
    assert fast.cycles.tolist() == reference.cycles.tolist()
    counts = [result.activity.groupby("event")["count"].sum() for result in (fast, reference)]
    assert counts[0].to_dict() == counts[1].to_dict()
    expected = sum(x.neurons * x.timesteps * decays_of(x.neuron) for x in trace.network if x.sends)
    assert counts[0].get("decay", 0) == expected


def decays_of(neuron: Neuron) -> int:
    """Multiplications in each timestep: of the potential, and of a current of which something is left."""
    assert isinstance(neuron, CubaLif)
    return (neuron.potential_decay > 0) + (0 < neuron.current_decay < 4096)


@pytest.mark.parametrize("schedule", ["layer_by_layer", "step_by_step"])
@pytest.mark.parametrize("design", ["event_core_16", "event_driven"])
def test_a_current_that_is_lost_at_once_needs_no_memory(design: str, schedule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spikes and potentials are the same with a current memory whose words decay to zero, and so are the counts of V, its
    accesses for events aside, which are those of the current now. To write zero nothing is multiplied."""
    trace = next(each for each in map(decaying, range(50)) if not each.network.input.is_direct)
    plain = hwsim.simulate(trace, design, schedule=schedule, spikes="computed")
    monkeypatch.setattr(CubaLif, "keeps_current", True)
    kept = hwsim.simulate(trace, design, schedule=schedule, spikes="computed")
    assert plain.facts.mismatches == kept.facts.mismatches == 0
    before, after = (Counter(frame[frame["layer"] != trace.network.layers[-1].name].groupby("event")["count"].sum().to_dict())
                     for frame in (plain.activity, kept.activity))
    for name in ("cmp", "spike_out", "acc_add", "weight_read", "membrane_read_fire", "membrane_write_fire", "fifo_push"):
        assert before[name] == after[name], name
    events, passes = before["membrane_read_accumulate"], after["membrane_read_fire"]
    assert events > 0 == after["membrane_read_accumulate"]
    assert after["current_read"] == events + passes
    assert after["current_write"] == events + after["membrane_write_fire"] + before["membrane_write_clear"]
    assert after["decay"] == before["decay"]


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


def test_events_wait_for_a_current_that_decayed_where_many_timesteps_are_done_in_a_call() -> None:
    """R6 on the current's word: without a bypass the first event behind a pass waits for what the pass wrote last."""
    trace = decaying(1, currents=True)
    design = hwsim.load_architecture("event_core_16").with_core(bypass=False)
    fast, reference = (hwsim.simulate(trace, design, samples=1, engine=engine) for engine in ("fast", "reference"))
    assert fast.cycles.tolist() == reference.cycles.tolist()
    frame = fast.cycles_frame
    assert frame[frame["cause"] == "stall_hazard"]["cycles"].sum() > 0


@pytest.mark.parametrize("implementation", [Fast, Reference])
@pytest.mark.parametrize("decay", [1, 1365, 4096])
@pytest.mark.parametrize("bypass", [False, True])
def test_a_current_decays_after_it_was_added_and_is_written(implementation: type[Laws], decay: int, bypass: bool) -> None:
    """The last word that a pass writes is the first that an event reads: R6 looks for it in both memories."""
    core = spec(lanes=4, bypass=bypass)
    table = (fire(1, 100, add=True, timestep=0), fire(2, 100, add=True, timestep=1))
    run = linear_run([[7]] * 4, table, core, clear=False, reset="hard", direct=True, current_decay=decay, planes=2)
    law = implementation()
    log = law.execute(run, [EOT, event(), EOT], potentials=[0, 0, 95, -9], currents=[50, -50, 9, 8])
    once = [trunc(Fraction(i * (4096 - decay), 4096)) + 7 for i in (50, -50, 9, 8)]
    assert flat(log.currents) == [trunc(Fraction(i * (4096 - decay), 4096)) for i in once]
    summed = [v + i for v, i in zip((50, -50, 0, -1), once, strict=True)]
    assert flat(log.potentials) == [0 if v >= 100 else v for v in summed]
    counts = law.counted(log)
    multiplied = 8 if decay < 4096 else 0  # zero is written without a product
    assert (counts.get("decay", 0), counts["current_read"], counts["current_write"]) == (multiplied, 3, 3)
    assert counts.get("cycles_stall_hazard", 0) == (0 if bypass else 1)


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
    layer = decaying(1).network.layers[0]
    table = replace(lower(decaying(1).network, layer, "weight"), decay=1024)
    assert not list(table_misfits(table, layer))
    for wrong, says in ((replace(table, decay=4097), "decay 4097, allowed are 0 to 4096"),
                        (replace(table, leak_shift=2), "both leak_shift 2 and decay 1024"),
                        (replace(table, direct=True, current_decay=-1), "current_decay -1, allowed are 0 to 4096"),
                        (replace(table, direct=False, current_decay=7), "current_decay 7 and no current; only direct tables"),
                        (replace(table, direct=True, current_decay=7, passes=(fire(1, 9),)), "does not add the current")):
        assert says in "".join(table_misfits(wrong, layer))
    assert "let" in "".join(table_misfits(table, replace(layer, potential_bits=49)))
