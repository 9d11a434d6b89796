"""Bad input: each mistake gets one clear error, and all mistakes of a configuration come together."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from hwsim.cores.odin.configuration import OdinConfiguration, synapses_of
from hwsim.cores.odin.engines import engine_named
from hwsim.cores.odin.errors import OdinError
from hwsim.cores.odin.fields import OdinFields, OdinMemories
from hwsim.cores.odin.stimulus import OdinStimulus, synapse_event, time_reference, virtual_event
from tests.cores.odin.engines import ENGINES


def at(place: int, value: int) -> np.ndarray:
    array = np.zeros(256, int)
    array[place] = value
    return array


@pytest.mark.parametrize(("fields", "text"), [
    ({"neurons": 257}, "found 257 neurons, expected 256"),
    ({"neurons": 128}, "give a smaller network to a core of 256"),
    ({"neurons": True}, "found True, allowed is a value of another kind"),
    ({"neuron": "izhikevich"}, "ODIN's Izhikevich neuron is not modelled"),
    ({"learning": True}, "online learning .SDSP. is not modelled"),
    ({"output": {"latches": 3}}, "only 2 is proved"),
    ({"input": {"latches": 0}}, "greater than or equal to 1"),
    ({"scheduler": {"depth": 0}}, "greater than or equal to 1"),
    ({"output": {"source": "host"}}, "'neuron' or 'controller'"),
    ({"lanes": 4}, "Extra inputs are not permitted"),
])
def test_fields(fields: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        OdinFields(**fields)


def test_fields_of_the_chip_are_the_defaults() -> None:
    given = {
        "kind": "odin", "neurons": 256, "scheduler": {"depth": 32, "feedback": True},
        "output": {"source": "neuron", "latches": 2}, "input": {"latches": 2},
    }
    assert OdinFields.model_validate(given) == OdinFields()
    memories = {
        "membrane": {"words": 256, "bits": 128, "ports": "1rw"}, "weight": {"words": 8192, "bits": 32, "ports": "1rw"}}
    assert OdinMemories.model_validate(memories) == OdinMemories()


@pytest.mark.parametrize("memory", [{"words": 512, "bits": 128}, {"words": 256, "bits": 64}])
def test_memories_cannot_be_resized(memory: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="expected 256 x 128 bits"):
        OdinMemories(membrane=memory)
    with pytest.raises(ValidationError, match="'1rw'"):
        OdinMemories(membrane={"words": 256, "bits": 128, "ports": "1r1w"})


@pytest.mark.parametrize(("given", "text"), [
    ({"synapses": np.full((256, 256), 16)},
     r"synapses: found 16 at \[source 0, neuron 0\], expected 0 to 15; a synapse has 4 bits"),
    ({"synapses": np.zeros((300, 300))}, r"synapses: found shape \(300, 300\).*split a larger network"),
    ({"thresholds": np.zeros(257)}, r"thresholds: found shape \(257,\), expected \(256,\): ODIN has 256 neurons"),
    ({"thresholds": np.zeros(255)}, r"thresholds: found shape \(255,\), expected \(256,\)$"),
    ({"thresholds": at(3, 256)}, r"thresholds: found 256 at \[3\], expected 0 to 255; a threshold has 8 bits"),
    ({"leaks": at(9, 128)}, r"leaks: found 128 at \[9\], expected 0 to 127; a leak has 7 bits"),
    ({"leaks": at(9, -1)}, r"leaks: found -1 at \[9\]"),
    ({"potentials": at(0, -4)}, r"potentials: found -4 at \[0\].*never negative"),
    ({"disabled": at(0, 2)}, r"disabled: found 2 at \[0\], expected 0 to 1"),
    ({"thresholds": np.full(256, 1.5)}, "thresholds: found values of type float64, expected whole numbers"),
    ({"monitor": 256}, "monitor: found neuron 256, expected 0 to 255"),
    ({"izhikevich": 1}, "izhikevich: no such field"),
])
def test_configuration(given: dict[str, object], text: str) -> None:
    with pytest.raises(OdinError, match=text):
        OdinConfiguration.blank(**given)


def test_all_mistakes_of_a_configuration_at_once() -> None:
    with pytest.raises(OdinError) as error:
        OdinConfiguration.blank(thresholds=at(0, 300), leaks=at(0, 300), monitor=-1)
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == ["thresholds", "leaks", "monitor"]


def test_a_weight_beyond_three_bits_or_with_a_sign() -> None:
    weights = np.zeros((256, 256), int)
    for wrong in (8, -1):
        weights[2, 5] = wrong
        with pytest.raises(OdinError, match=rf"weights: found {wrong} at \(2, 5\), expected 0 to 7"):
            synapses_of(weights, np.ones((256, 256)))


@pytest.mark.parametrize(("events", "receiver", "text"), [
    ([[5, 1, 0, 0], [4, 1, 0, 0]], [[0, 0]], "event 1: found earliest 4 after 5 of event 0, expected them in order.*sort"),
    ([[0, 1 << 17, 0, 0]], [[0, 0]], "event 0: found address 131072, expected 0 to 131071"),
    ([[0, 1, -1, 0]], [[0, 0]], "event 0: found down -1, expected 0 or more: a phase of the handshake"),
    ([[0, 1, 0, -2]], [[0, 0]], "event 0: found up -2"),
    ([[-1, 1, 0, 0]], [[0, 0]], "event 0: found earliest -1"),
    ([[0, 1, 0]], [[0, 0]], r"events: found int64 of shape \(1, 3\), expected integers of shape \(n, 4\)"),
    ([[0, 1, 0, 0]], [], "receiver: found no row"),
    ([[0, 1, 0, 0]], [[0, 0], [0, -1]], r"receiver: found \[0, -1\] in row 1"),
    ([[0.5, 1, 0, 0]], [[0, 0]], "events: found float64"),
])
def test_stimulus(events: list[list[float]], receiver: list[list[int]], text: str) -> None:
    with pytest.raises(OdinError, match=text):
        OdinStimulus(np.array(events), np.array(receiver))


def test_events_that_cannot_be_addressed() -> None:
    for wrong in (lambda: synapse_event(256, 0), lambda: synapse_event(0, -1), lambda: time_reference(256)):
        with pytest.raises(OdinError, match="expected 0 to 255"):
            wrong()
    with pytest.raises(OdinError, match="expected 0 to 7"):
        virtual_event(0, weight=8)
    with pytest.raises(OdinError, match="take this virtual event for a neuron event"):
        virtual_event(0, weight=0)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_without_cycles(engine: str) -> None:
    with pytest.raises(OdinError, match="until_cycles: found 0, expected 1 or more"):
        ENGINES[engine].run(OdinFields(), OdinConfiguration.blank(), OdinStimulus.at_full_rate([]), 0)


def test_an_engine_that_is_not_there() -> None:
    with pytest.raises(OdinError, match="engine: found 'rtl', expected one of fast, reference"):
        engine_named("rtl")


def test_what_was_given_can_be_changed_afterwards_without_harm() -> None:
    thresholds = np.full(256, 9)
    chip = OdinConfiguration.blank(thresholds=thresholds)
    thresholds[0] = 1
    assert chip.thresholds[0] == 9
    with pytest.raises(ValueError, match="read-only"):
        chip.thresholds[0] = 1
