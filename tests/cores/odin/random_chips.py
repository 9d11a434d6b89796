"""Random cores, chips and stimuli, drawn so that what is rare on a chip is common here.

Profiles press on one thing each: bursts that fill the scheduler, chips that never rest, slow neighbours, bistability, small
schedulers. Everything follows from a seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwsim.cores.odin.configuration import OdinConfiguration
from hwsim.cores.odin.fields import NEURONS, OdinFields, OdinInput, OdinOutput, OdinScheduler
from hwsim.cores.odin.stimulus import OdinStimulus, bistability, neuron_event, synapse_event, time_reference

PROFILES = ("mix", "burst", "runaway", "slow", "bistability", "single", "quiet", "anything")


@dataclass(frozen=True, eq=False)
class Drawn:
    """Arguments of an engine's `run`, and where they come from."""

    profile: str
    core: OdinFields
    configuration: OdinConfiguration
    stimulus: OdinStimulus
    until_cycles: int


def draw(seed: int) -> Drawn:
    rng = np.random.default_rng(seed)
    profile = PROFILES[seed % len(PROFILES)]
    core = OdinFields(
        scheduler=OdinScheduler(depth=int(rng.choice([1, 2, 5, 32, 32])), feedback=bool(rng.random() < 0.7)),
        output=OdinOutput(source="controller" if rng.random() < 0.25 else "neuron"),
        input=OdinInput(latches=int(rng.choice([1, 2, 2, 2, 3]))),
    )
    until = int(rng.integers(1, 40)) if rng.random() < 0.1 else int(rng.integers(400, 5000))
    return Drawn(profile, core, _configuration(rng, profile), _stimulus(rng, profile), until)


def _configuration(rng: np.random.Generator, profile: str) -> OdinConfiguration:
    low, high = {"burst": (0, 12), "runaway": (0, 30), "quiet": (200, 256)}.get(profile, (0, 256))
    mapped = rng.random((NEURONS, NEURONS)) < rng.choice([0.2, 0.7, 1.0])
    weights = rng.integers(0, 8, (NEURONS, NEURONS)) * (rng.random((NEURONS, NEURONS)) < rng.choice([0.3, 1.0]))
    return OdinConfiguration(
        synapses=weights + 8 * mapped, inhibitory=rng.random(NEURONS) < rng.choice([0.0, 0.3]),
        thresholds=rng.integers(low, high, NEURONS), leak_enabled=rng.random(NEURONS) < 0.7,
        leaks=rng.integers(0, rng.choice([4, 128]), NEURONS), disabled=rng.random(NEURONS) < rng.choice([0.0, 0.2]),
        potentials=rng.integers(0, 256, NEURONS), propagate_unmapped=bool(rng.random() < 0.3),
        update_unmapped=bool(rng.random() < 0.3), monitor=int(rng.choice([0, 255, rng.integers(NEURONS)])),
    )


def _stimulus(rng: np.random.Generator, profile: str) -> OdinStimulus:
    count = int(rng.integers(0, 40))
    slow = 60 if profile == "slow" else 4
    spread = int(rng.choice([0, 0, 300, 3000]))
    events = np.zeros((count, 4), np.int64)
    events[:, 0] = np.sort(rng.integers(0, spread + 1, count))
    events[:, 1] = [_address(rng, profile) for _ in range(count)]
    events[:, 2:] = rng.integers(0, slow, (count, 2)) * rng.integers(0, 2)
    receiver = rng.integers(0, slow, (int(rng.integers(1, 9)), 2)) * rng.integers(0, 2)
    return OdinStimulus(events, receiver)


def _address(rng: np.random.Generator, profile: str) -> int:
    one, other = (int(number) for number in rng.integers(0, NEURONS, 2))
    choices = [
        synapse_event(one, other), neuron_event(one), time_reference(one), time_reference(), bistability(one),
        one << 8 | int(rng.integers(1, 32)) << 3 | 0x01, int(rng.integers(0, 1 << 17)),
    ]
    weights = {
        "burst": [1, 6, 1, 2, 0, 1, 0], "runaway": [1, 6, 0, 2, 0, 2, 0], "bistability": [2, 2, 0, 0, 4, 0, 0],
        "single": [4, 0, 2, 0, 0, 4, 0], "anything": [0, 0, 0, 0, 0, 0, 1],
    }.get(profile, [4, 2, 2, 1, 1, 4, 2])
    if profile == "bistability" and rng.random() < 0.03:
        return bistability()
    return int(choices[rng.choice(len(choices), p=np.array(weights) / sum(weights))])
