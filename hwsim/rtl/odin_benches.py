"""ODIN's units at work, for hwsim/rtl/priced_units.py: what each costs, in fJ at the library's supply, clock pins apart.

All streams keep step; their addresses, synapses and potentials differ. Potentials are drawn below thresholds of 10 to 60, those
that a network of the chip has (traces/odin). The controller is measured over whole neuron events at full rate, its input's
handshake included, and over whole synapse events beside them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from hwsim.rtl.gates.bench import SEED, STEPS, STREAMS, Bench, Stimulus, per_operation, same, sliced
from hwsim.rtl.gates.simulate import Streams
from hwsim.rtl.odin_units import (
    ENTRY_BITS,
    PER_WORD,
    SYNAPSE_BITS,
    OdinBistability,
    OdinController,
    OdinLink,
    OdinNeuron,
    OdinSigns,
)

WORD = PER_WORD * SYNAPSE_BITS
ONE, NONE = same(1, 1), same(0, 1)
NEURON_EVENT, SYNAPSE_EVENT = 0x07, 1 << 16


def drive_neuron(streams: Streams) -> Iterator[tuple[str, float]]:
    """Operations of neuron events: the next neuron each time, a fresh synapse word for every eighth."""
    stimulus, draw, place, word = Stimulus(), random.Random(SEED), 0, same(0, WORD)

    def step() -> dict[str, list[int]]:
        nonlocal place, word
        if place % PER_WORD == 0:
            word = stimulus.bits(0.5, WORD)
        thresholds = [draw.randint(10, 60) for _ in range(STREAMS)]
        given = {"word": word, "place": same(place % PER_WORD, 3), "leak": same(127, 7), "leak_enabled": ONE,
                 "threshold": sliced(thresholds, 8), "potential": sliced([draw.randrange(t) for t in thresholds], 8)}
        place += 1
        return given

    return per_operation(streams, "operation", step)


def drive_controller(streams: Streams) -> Iterator[tuple[str, float]]:
    """Cycles, the mean over events at full rate."""
    draw = random.Random(SEED)

    def drawn(kind: int) -> list[int]:
        return sliced([kind | draw.getrandbits(16) if kind == SYNAPSE_EVENT else kind | draw.getrandbits(8) << 8
                       for _ in range(STREAMS)], 17)

    for name, kind, events in (("cycle", NEURON_EVENT, 2), ("cycle_of_synapse_events", SYNAPSE_EVENT, STEPS)):
        cycles, done, waiting, request, address = 0, 0, list[list[int]](), True, drawn(kind)
        while done <= events:  # the first one is not measured
            streams.step({"request": ONE if request else NONE, "address": address, "empty": NONE if waiting else ONE,
                          "full": NONE, "head": waiting[0] if waiting else same(0, ENTRY_BITS), "link_busy": NONE}, clock=False)
            acknowledge, push, pop = (streams.output(port)[0] & 1 for port in ("acknowledge", "push", "pop"))
            entry = streams.output("pushed")
            streams.step({}, clock=True)
            waiting = [*waiting, *([entry] if push else [])][pop:]
            cycles += 1
            if acknowledge and request:
                request, done = False, done + 1
                if done == 1:
                    streams.energy_fj, cycles = 0.0, 0
            elif not acknowledge and not request:
                request, address = True, drawn(kind)
        yield name, streams.energy_fj / cycles / STREAMS


def drive_link(streams: Streams) -> Iterator[tuple[str, float]]:
    """Spikes, each with its whole handshake; the receiver answers at once."""
    stimulus = Stimulus()
    streams.energy_fj = 0.0
    for _ in range(STEPS):
        streams.step({"spikes": ONE, "neuron": stimulus.bits(0.5, 8)})
        while streams.output("busy")[0]:
            streams.step({"spikes": NONE, "acknowledge": streams.output("request")})
    yield "spike", streams.energy_fj / STEPS / STREAMS


def drive_signs(streams: Streams) -> Iterator[tuple[str, float]]:
    """Events of sources in no order; half of the signs are set."""
    stimulus = Stimulus()
    for byte in range(32):
        streams.step({"given": stimulus.bits(0.5, 8), "byte": same(byte, 5), "writes": ONE})
    streams.step({"writes": NONE})
    return per_operation(streams, "event", lambda: {"source": stimulus.bits(0.5, 8)})


def drive_bistability(streams: Streams) -> Iterator[tuple[str, float]]:
    """Words that are read and go back as they were."""
    stimulus = Stimulus()
    return per_operation(streams, "word", lambda: {"word": stimulus.bits(0.5, WORD)})


def odin_benches() -> Iterator[Bench]:
    """Every unit of ODIN; each has one size."""
    found: tuple[tuple[str, Callable[[], object], Callable[[Streams], Iterator[tuple[str, float]]]], ...] = (
        ("odin_neuron", OdinNeuron, drive_neuron), ("odin_controller", OdinController, drive_controller),
        ("odin_link", OdinLink, drive_link), ("odin_signs", OdinSigns, drive_signs),
        ("odin_bistability", OdinBistability, drive_bistability),
    )
    for unit, component, drive in found:
        yield Bench(unit, {}, component, drive, "of ODIN (hwsim/rtl/odin_benches.py)")
