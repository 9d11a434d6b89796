"""What makes a unit work while its toggles are counted: streams of random words, and one measurement of a unit at one size."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hwsim.rtl.gates.simulate import Streams

STREAMS, STEPS, SEED = 32, 40, 1


@dataclass
class Stimulus:
    """Random words of STREAMS streams, each bit of which changes with some probability."""

    chance: random.Random = field(default_factory=lambda: random.Random(SEED))
    held: dict[str, list[int]] = field(default_factory=dict)

    def bits(self, probability: float, count: int) -> list[int]:
        """Each bit is set in each stream with this probability."""
        return [sum((self.chance.random() < probability) << s for s in range(STREAMS)) for _ in range(count)]

    def changed(self, name: str, toggles: float, count: int) -> list[int]:
        """The word of this name again, some of its bits the other way round."""
        before = self.held.get(name) or self.bits(0.5, count)
        self.held[name] = [a ^ b for a, b in zip(before, self.bits(toggles, count), strict=True)]
        return self.held[name]


def same(value: int, count: int) -> list[int]:
    """A number as a word that is the same in all streams."""
    mask = (1 << STREAMS) - 1
    return [mask if value >> i & 1 else 0 for i in range(count)]


@dataclass(frozen=True)
class Bench:
    """One unit at one size, and how it is made to work.

    sizes   as the csv has them.      drive   makes it work; yields (operation, energy in fJ of one).
    stimuli   what is said of the random words.
    """

    unit: str
    sizes: Mapping[str, int]
    component: Callable[[], Any]
    drive: Callable[[Streams], Iterator[tuple[str, float]]]
    stimuli: str = "with the toggles of real layers"


def per_operation(streams: Streams, name: str, step: Callable[[], Mapping[str, list[int]]]) -> Iterator[tuple[str, float]]:
    """An operation in every step."""
    streams.step(step())
    streams.energy_fj = 0.0
    for _ in range(STEPS):
        streams.step(step())
    yield name, streams.energy_fj / STEPS / STREAMS


def sliced(values: list[int], bits: int) -> list[int]:
    """Numbers, one a stream, as a word."""
    return [sum((value >> i & 1) << s for s, value in enumerate(values)) for i in range(bits)]
