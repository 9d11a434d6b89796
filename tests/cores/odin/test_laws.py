"""Laws of ODIN, for both engines: periods at full rate, O2's closed form, conservation, order, and ranges."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from hwsim.cores.odin.configuration import OdinConfiguration
from hwsim.cores.odin.fields import NEURONS, OdinFields, OdinInput, OdinOutput, OdinScheduler
from hwsim.cores.odin.record import COUNTS, KINDS, OdinEngine, OdinRecord
from hwsim.cores.odin.stimulus import (
    OdinStimulus,
    bistability,
    neuron_event,
    synapse_event,
    time_reference,
    virtual_event,
)
from tests.cores.odin.engines import ENGINES
from tests.cores.odin.random_chips import draw

READ, WRITE, WORD_READ, WORD_WRITE = range(len(COUNTS))
SEEDS = [pytest.param(seed, marks=() if seed < 12 else pytest.mark.slow) for seed in range(40)]
OPEN_LOOP = OdinFields(scheduler=OdinScheduler(feedback=False))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> OdinEngine:
    return ENGINES[request.param]


def quiet(**given: object) -> OdinConfiguration:
    """All synapses mapped with weight 1, and thresholds that are not reached."""
    return OdinConfiguration.blank(synapses=np.full((NEURONS, NEURONS), 9), **given)


def run(engine: OdinEngine, configuration: OdinConfiguration, addresses: list[int], **more: object) -> OdinRecord:
    core = more.get("core", OdinFields())
    receiver = more.get("receiver", [[0, 0]])
    events = OdinStimulus.at_full_rate(addresses).events
    return engine.run(core, configuration, OdinStimulus(events, np.array(receiver)), 1_000_000, log=bool(more.get("log")))


def decisions(record: OdinRecord, kind: str) -> list[int]:
    return record.operations[record.operations[:, 0] == KINDS.index(kind), 1].tolist()


@pytest.mark.parametrize(("address", "kind", "period"), [
    (synapse_event(3, 7), "synapse", 8), (time_reference(9), "tref", 8), (virtual_event(9, weight=2), "pop_virtual", 8),
    (neuron_event(5), "pop_neuron", 518), (time_reference(), "tref", 518), (bistability(5), "bist", 70),
    (bistability(), "bist", 16_390),
])
def test_period_at_full_rate(engine: OdinEngine, address: int, kind: str, period: int) -> None:
    record = run(engine, quiet(), [address] * 4)
    assert [b - a for a, b in pairwise(decisions(record, kind))] == [period] * 3


@pytest.mark.parametrize("latches", [1, 2, 3, 5])
def test_period_by_input_latches(engine: OdinEngine, latches: int) -> None:
    """Two slots, an acknowledge, and each way through the latches: 2 + 1 + (latches + 1) + latches."""
    core = OdinFields(input=OdinInput(latches=latches))
    record = run(engine, quiet(), [synapse_event(0, 0)] * 3, core=core)
    assert [b - a for a, b in pairwise(decisions(record, "synapse"))] == [4 + 2 * latches] * 2


@pytest.mark.parametrize(("address", "membrane", "words"), [
    (synapse_event(3, 7), 1, 1), (time_reference(9), 1, 0), (time_reference(), 256, 0), (virtual_event(1, 3), 1, 0),
    (virtual_event(1, leak=True), 1, 0), (neuron_event(5), 256, 32), (bistability(5), 0, 32), (bistability(), 0, 8192),
])
def test_words_of_an_event_without_spikes(engine: OdinEngine, address: int, membrane: int, words: int) -> None:
    assert run(engine, quiet(), [address]).counts.tolist() == [membrane, membrane, words, words]


@pytest.mark.parametrize(("acknowledge", "release"), [(0, 0), (3, 0), (0, 4), (7, 11)])
def test_writes_of_a_neuron_event_by_the_closed_form(engine: OdinEngine, acknowledge: int, release: int) -> None:
    """Neuron n is written at t + 2n + 2 + H: each spike before it adds 6 + d + f."""
    firing = [0, 7, 8, 100, 254, 255]
    thresholds = np.full(NEURONS, 255)
    thresholds[firing] = 1
    record = run(engine, quiet(thresholds=thresholds), [neuron_event(5)], core=OPEN_LOOP, receiver=[[acknowledge, release]])
    decided, hold = decisions(record, "pop_neuron")[0], 6 + acknowledge + release
    assert record.spikes.tolist() == [[decided + 2 * n + 2 + hold * k, n] for k, n in enumerate(firing)]
    # 255 holds nobody; synapse words are read with neurons 8 and, after neuron 7 fired, again and again.
    assert record.counts.tolist() == [256 + 5 * hold, 256, 32 + hold, 32]
    assert record.done == record.outputs[-1, 5] == record.spikes[-1, 0] + 7 + acknowledge + release


def test_an_input_that_waits_for_the_output_is_decided_when_the_link_is_free(engine: OdinEngine) -> None:
    record = run(engine, quiet(thresholds=np.ones(NEURONS, int)), [synapse_event(0, 0)] * 2, core=OPEN_LOOP, receiver=[[40, 9]])
    assert decisions(record, "synapse")[1] == record.outputs[0, 5] == record.spikes[0, 0] + 7 + 49


@pytest.mark.parametrize("seed", SEEDS)
def test_conservation_and_order(engine: OdinEngine, seed: int) -> None:
    drawn = draw(seed)
    record = engine.run(drawn.core, drawn.configuration, drawn.stimulus, drawn.until_cycles)
    entered = np.concatenate([record.push, record.lost])
    by_input = record.operations[record.operations[:, 0] == KINDS.index("push"), 2]
    spikes = len(record.spikes) if drawn.core.scheduler.feedback else 0
    assert len(entered) == spikes + np.count_nonzero(by_input >= 0)
    assert set(by_input[by_input >= 0]) <= set(record.push[:, 0]), "an input push is never lost"
    assert record.pop[:, 1].tolist() == record.push[: len(record.pop), 1].tolist(), "first in, first out"
    assert (record.pop[:, 0] > record.push[: len(record.pop), 0]).all()
    if record.done >= 0:
        assert len(record.pop) == len(record.push)
        assert len(record.inputs) == len(drawn.stimulus.events)
    if drawn.core.output.source == "neuron":
        sent = record.outputs[:, :2].tolist()
        assert sent == [[n, cycle + 1] for cycle, n in record.spikes.tolist() if cycle + 1 < drawn.until_cycles]
    assert not drawn.configuration.disabled[record.spikes[:, 1]].any()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_push_of_the_input_is_followed_by_a_pop(engine: OdinEngine, seed: int) -> None:
    drawn = draw(seed)
    record = engine.run(drawn.core, drawn.configuration, drawn.stimulus, drawn.until_cycles)
    kinds = [KINDS[kind] for kind in record.operations[:, 0]]
    assert all(after.startswith("pop") for before, after in pairwise(kinds) if before == "push")


@pytest.mark.parametrize("seed", SEEDS)
def test_potentials_stay_in_range_and_reads_outnumber_writes_by_the_cycles_held(engine: OdinEngine, seed: int) -> None:
    drawn = draw(seed)
    record = engine.run(drawn.core, drawn.configuration, drawn.stimulus, drawn.until_cycles, log=True)
    assert record.log is not None
    assert 0 <= record.potentials.min() <= record.potentials.max() <= 255
    letters = [entry[0] for entry in record.log]
    assert [letters.count(letter) for letter in "RWrw"] == record.counts.tolist()
    if record.done >= 0:
        busy = {cycle for _, request, _, _, _, free in record.outputs.tolist() for cycle in range(request, free)}
        held = [entry for entry in record.log if entry[0] == "R" and entry[1] in busy]
        assert record.counts[READ] - record.counts[WRITE] == len(held)


@pytest.mark.parametrize("seed", SEEDS)
def test_four_phases_never_overlap(engine: OdinEngine, seed: int) -> None:
    drawn = draw(seed)
    record = engine.run(drawn.core, drawn.configuration, drawn.stimulus, drawn.until_cycles)
    for rows in (record.inputs[:, 1:], record.outputs[:, 1:]):
        whole = rows[(rows >= 0).all(axis=1)]
        assert (np.diff(whole, axis=1) >= 0).all()
        assert (whole[1:, 0] >= whole[:-1, -1]).all()


def test_a_full_scheduler_loses_what_neurons_push_but_still_sends_it(engine: OdinEngine) -> None:
    """256 neurons fire in one event: its own entry still stands in the scheduler, so 31 find room and 225 are lost."""
    record = engine.run(
        OdinFields(), quiet(thresholds=np.ones(NEURONS, int)), OdinStimulus.at_full_rate([neuron_event(0)]), 2600)
    first = record.pop[0, 0]
    assert np.count_nonzero(record.lost[:, 0] <= first) == 225
    assert np.count_nonzero(record.push[:, 0] <= first) == 32
    assert np.count_nonzero(record.outputs[:, 1] <= first + 1) == 256
    assert record.lost[224, 0] == first, "the pop in the cycle of the last push makes no room"


@pytest.mark.parametrize("feedback", [True, False])
def test_open_loop_leaves_the_scheduler_alone(engine: OdinEngine, feedback: bool) -> None:
    """A neuron that sets itself off: once in open loop, else once per neuron event, for ever."""
    core = OdinFields(scheduler=OdinScheduler(feedback=feedback))
    chip = OdinConfiguration.blank(synapses=np.eye(NEURONS, dtype=int) * 15, thresholds=np.full(NEURONS, 7))
    record = engine.run(core, chip, OdinStimulus.at_full_rate([synapse_event(4, 4)]), 5000)
    # From the scheduler a neuron event takes 512 cycles and one to decide; its spike holds it for 6.
    again = list(range(21, 5000, 519)) if feedback else []
    assert record.spikes.tolist() == [[cycle, 4] for cycle in [4, *again]]
    assert len(record.push) == (len(record.spikes) if feedback else 0)
    assert (record.done >= 0) != feedback


def test_virtual_event_of_weight_zero_is_a_neuron_event(engine: OdinEngine) -> None:
    record = run(engine, quiet(), [5 << 8 | 0x01])
    assert decisions(record, "pop_neuron")
    assert record.counts[WRITE] == NEURONS


def test_a_disabled_neuron_is_reset_and_silent(engine: OdinEngine) -> None:
    disabled = np.arange(NEURONS) % 2
    record = run(engine, quiet(thresholds=np.ones(NEURONS, int), disabled=disabled), [neuron_event(0)], core=OPEN_LOOP)
    assert (record.potentials == 0).all()
    assert record.spikes[:, 1].tolist() == list(range(0, NEURONS, 2))


def test_every_operation_compares_even_where_nothing_is_added(engine: OdinEngine) -> None:
    chip = OdinConfiguration.blank(potentials=np.full(NEURONS, 9), thresholds=np.full(NEURONS, 9))
    for address in (synapse_event(0, 3), time_reference(3), virtual_event(3, leak=True)):
        assert run(engine, chip, [address], core=OPEN_LOOP).spikes[:, 1].tolist() == [3]


@pytest.mark.parametrize(("mapped", "propagates", "arrives"), [(1, False, 5), (0, False, 0), (0, True, 5), (1, True, 5)])
@pytest.mark.parametrize("address", [synapse_event(2, 3), neuron_event(2)])
def test_mapping_bit_gates_synapse_and_neuron_events(
    engine: OdinEngine, address: int, mapped: int, propagates: bool, arrives: int
) -> None:
    synapses = np.full((NEURONS, NEURONS), 8 * mapped + 5)
    record = run(engine, OdinConfiguration.blank(synapses=synapses, propagate_unmapped=propagates), [address])
    assert record.potentials[3] == arrives


def test_signs_saturation_and_leak(engine: OdinEngine) -> None:
    inhibitory = np.zeros(NEURONS, int)
    inhibitory[1] = 1
    chip = OdinConfiguration.blank(
        synapses=np.full((NEURONS, NEURONS), 15), inhibitory=inhibitory, potentials=np.arange(NEURONS) % 250,
        leak_enabled=np.arange(NEURONS) % 2, leaks=np.full(NEURONS, 100))
    start = np.arange(NEURONS) % 250
    assert run(engine, chip, [neuron_event(1)]).potentials.tolist() == np.maximum(start - 7, 0).tolist()
    leaked = np.where(np.arange(NEURONS) % 2, np.maximum(start - 100, 0), start)
    assert run(engine, chip, [time_reference()]).potentials.tolist() == leaked.tolist()
    record = run(engine, chip, [neuron_event(0)], core=OPEN_LOOP)
    assert record.potentials.tolist() == np.where(start + 7 >= 255, 0, start + 7).tolist()
    assert record.spikes[:, 1].tolist() == np.flatnonzero(start + 7 >= 255).tolist()


def test_bistability_moves_mapped_weights_to_the_ends(engine: OdinEngine) -> None:
    rows = np.tile(np.arange(16), (NEURONS, NEURONS // 16))
    record = run(engine, OdinConfiguration.blank(synapses=rows), [bistability(9)] * 4)
    mapped = np.where(np.arange(16) % 8 >= 4, 15, 8)
    assert record.synapses[9].tolist() == np.where(np.arange(NEURONS) % 16 < 8, rows[9], np.tile(mapped, 16)).tolist()
    assert (np.delete(record.synapses, 9, axis=0) == np.delete(rows, 9, axis=0)).all()
    record = run(engine, OdinConfiguration.blank(synapses=rows, update_unmapped=True), [bistability(9)] * 4)
    assert record.synapses[9].tolist() == np.tile(np.where(np.arange(16) < 8, mapped - 8, mapped), 16).tolist()


@pytest.mark.parametrize("monitor", [0, 100, 255])
def test_controller_source_sends_popped_neuron_events_only(engine: OdinEngine, monitor: int) -> None:
    core = OdinFields(output=OdinOutput(source="controller"), scheduler=OdinScheduler(feedback=False))
    chip = quiet(monitor=monitor, thresholds=np.ones(NEURONS, int))
    record = run(engine, chip, [neuron_event(77), virtual_event(3, 1), synapse_event(1, monitor)], core=core)
    decided = decisions(record, "pop_neuron")[0]
    assert record.outputs[:, :2].tolist() == [[77, decided + 2 * monitor + 3]]
    assert len(record.spikes) == NEURONS + 2


def test_no_event_is_rest_at_once(engine: OdinEngine) -> None:
    record = run(engine, quiet(), [])
    assert record.done == 0
    assert not record.counts.any()
