"""Maps a spiking network onto ODIN's crossbar: populations of neurons, inputs, and signed weights between them.

A source of the crossbar is an address; a neuron's spike is an event of the source of the same address. So neurons and the
inputs of a network share 256 source addresses, unless nothing is fed back: then inputs and neurons count apart. A weight has 3
bits and the sign of its source. An input whose weights have both signs gets two sources, and two events per spike.
Units: the chip's own integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.cores.odin.configuration import MAPPED, OdinConfiguration
from hwsim.cores.odin.errors import OdinError, refuse
from hwsim.cores.odin.fields import NEURONS, OdinFields, OdinScheduler
from hwsim.cores.odin.stimulus import neuron_event

Ints = NDArray[np.int64]
INPUT = "input"
LARGEST_WEIGHT = 7


@dataclass(frozen=True, eq=False)
class Population:
    """Neurons. thresholds (n,) 0 to 255; leaks (n,) 0 to 127, subtracted by time reference events (0: no leak)."""

    thresholds: Ints
    leaks: Ints | None = None


@dataclass(frozen=True, eq=False)
class Connection:
    """weights (sources, neurons), -7 to 7, from `source` (a population, or "input") to the population `target`."""

    source: str
    target: str
    weights: Ints


@dataclass(frozen=True, eq=False)
class OdinMapping:
    """A network on the chip.

    input_sources   the sources of each input, one or two
    neurons         the addresses of each population
    """

    core: OdinFields
    configuration: OdinConfiguration
    input_sources: list[list[int]]
    neurons: Mapping[str, range] = field(default_factory=dict)

    def addresses(self, spikes: Iterable[int]) -> list[int]:
        """The input events of a sequence of input spikes, given by input."""
        return [neuron_event(source) for one in spikes for source in self.input_sources[one]]

    def spikes_of(self, population: str, spikes: ArrayLike) -> Ints:
        """How often each neuron of a population fired, of a record's spikes (n, 2)."""
        mine = self.neurons[population]
        fired = np.asarray(spikes)[:, 1]
        return np.bincount(fired[(fired >= mine.start) & (fired < mine.stop)] - mine.start, minlength=len(mine))


def map_network(inputs: int, populations: Mapping[str, Population], connections: Sequence[Connection]) -> OdinMapping:
    """Give every input and neuron its address. Feedback is on if a population is a source of any connection.

    Raises OdinError with every mistake: too many neurons or sources, weights beyond -7 to 7, neurons whose outgoing weights have
    both signs, shapes that do not fit, names that are not there.
    """
    sizes = {name: len(population.thresholds) for name, population in populations.items()}
    refuse(_mistakes(inputs, sizes, connections))
    feedback = any(connection.source != INPUT for connection in connections)
    starts = np.cumsum([0, *sizes.values()]).tolist()
    neurons = {name: range(start, start + size) for (name, size), start in zip(sizes.items(), starts, strict=False)}
    sources = _input_sources(inputs, connections, starts[-1] if feedback else 0)

    synapses, inhibitory = np.zeros((NEURONS, NEURONS), np.int64), np.zeros(NEURONS, np.int64)
    for connection in connections:
        target = neurons[connection.target]
        of_row = sources if connection.source == INPUT else [[address] for address in neurons[connection.source]]
        for addresses, row in zip(of_row, np.asarray(connection.weights), strict=True):
            for address, sign in zip(addresses, _signs_of(row, addresses, inhibitory), strict=True):
                weights = np.maximum(sign * row, 0)
                synapses[address, target.start : target.stop] = weights + MAPPED * (weights > 0)
                inhibitory[address] |= sign < 0 and weights.any()
    thresholds, leaks = np.full(NEURONS, 255), np.zeros(NEURONS, np.int64)
    for name, population in populations.items():
        mine = neurons[name]
        thresholds[mine.start : mine.stop] = population.thresholds
        leaks[mine.start : mine.stop] = 0 if population.leaks is None else population.leaks
    used = np.arange(NEURONS) < starts[-1]
    configuration = OdinConfiguration.blank(
        synapses=synapses, inhibitory=inhibitory, thresholds=thresholds, leaks=leaks, leak_enabled=leaks > 0, disabled=~used)
    return OdinMapping(OdinFields(scheduler=OdinScheduler(feedback=feedback)), configuration, sources, neurons)


def _signs_of(row: Ints, addresses: Sequence[int], inhibitory: Ints) -> list[int]:
    """The sign of each source of a row: excitatory first where there are two."""
    if len(addresses) == 2:
        return [1, -1]
    return [-1 if (row < 0).any() or inhibitory[addresses[0]] else 1]


def _input_sources(inputs: int, connections: Sequence[Connection], first: int) -> list[list[int]]:
    sources, at = [], first
    for count in _sources_needed(inputs, connections):
        sources.append(list(range(at, at + count)))
        at += count
    if at > NEURONS:
        found = f"{at} sources ({at - first} of {inputs} inputs, {first} neurons that feed back)"
        raise OdinError(
            f"inputs: found {found}, expected at most {NEURONS}: an input whose weights have both signs needs two; give each "
            "input one sign, or use fewer inputs")
    return sources


def _sources_needed(inputs: int, connections: Sequence[Connection]) -> list[int]:
    positive, negative = np.zeros(inputs, bool), np.zeros(inputs, bool)
    for connection in connections:
        if connection.source == INPUT:
            weights = np.asarray(connection.weights)
            positive |= (weights > 0).any(axis=1)
            negative |= (weights < 0).any(axis=1)
    return (1 + (positive & negative)).tolist()


def _mistakes(inputs: int, sizes: Mapping[str, int], connections: Sequence[Connection]) -> Iterator[str]:
    if (total := sum(sizes.values())) > NEURONS:
        yield f"populations: found {total} neurons, expected at most {NEURONS}: split the network over several cores"
    if INPUT in sizes:
        yield f"population {INPUT!r}: the name stands for the inputs of the network; take another one"
    signs: dict[str, Ints] = {}
    rows = {INPUT: inputs, **sizes}
    for number, connection in enumerate(connections):
        here = f"connection {number} ({connection.source} to {connection.target})"
        weights = np.asarray(connection.weights)
        if connection.source not in rows or connection.target not in sizes:
            yield f"{here}: no such population, expected a source of {', '.join(rows)} and a target of {', '.join(sizes)}"
        elif weights.shape != (shape := (rows[connection.source], sizes[connection.target])) or weights.dtype.kind not in "iu":
            yield f"{here}: found {weights.dtype} weights of shape {weights.shape}, expected integers of shape {shape}"
        elif weights.size and np.abs(weights).max() > LARGEST_WEIGHT:
            place = tuple(int(i) for i in np.argwhere(np.abs(weights) > LARGEST_WEIGHT)[0])
            yield f"{here}: found weight {weights[place]} at {place}, expected -7 to 7: a synapse has 3 bits, its source the sign"
        elif connection.source != INPUT:
            seen = signs.setdefault(connection.source, np.zeros((2, shape[0]), np.int64))
            seen |= np.array([(weights > 0).any(axis=1), (weights < 0).any(axis=1)])
    for name, (positive, negative) in signs.items():
        for neuron in np.flatnonzero(positive & negative)[:1]:
            yield (
                f"population {name}: the outgoing weights of neuron {neuron} have both signs, expected one: a sign belongs to a "
                "source; train with one sign per neuron")
