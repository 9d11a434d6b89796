"""What a count of two cycles per synapse says, beside the cycles that ODIN takes.

    python benchmarks/odin_counting.py [--events 2000]

Two streams at full rate on a chip whose neurons do not fire: neuron events (256 synapses each) and synapse events (one each).
Cycles are those of the fast engine, from cycle 0 to rest.
"""

from __future__ import annotations

import argparse

import numpy as np

from hwsim.cores.odin.configuration import OdinConfiguration
from hwsim.cores.odin.fast import OdinFastEngine
from hwsim.cores.odin.fields import NEURONS, OdinFields
from hwsim.cores.odin.record import OdinEngine
from hwsim.cores.odin.stimulus import OdinStimulus, neuron_event, synapse_event

CYCLES_PER_SYNAPSE = 2


def counted_and_exact(events: int, engine: OdinEngine | None = None) -> dict[str, tuple[int, int]]:
    """By kind of event: cycles by two per synapse, and cycles of the chip, for a stream of `events`."""
    rng = np.random.default_rng(0)
    sources, neurons = rng.integers(0, NEURONS, (2, events)).tolist()
    quiet = OdinConfiguration.blank(synapses=8 + rng.integers(0, 8, (NEURONS, NEURONS)), inhibitory=np.ones(NEURONS, int))
    streams = {
        "neuron events": (NEURONS, [neuron_event(source) for source in sources]),
        "synapse events": (1, [synapse_event(source, neuron) for source, neuron in zip(sources, neurons, strict=True)]),
    }
    found = {}
    for name, (synapses, addresses) in streams.items():
        record = (engine or OdinFastEngine()).run(OdinFields(), quiet, OdinStimulus.at_full_rate(addresses), 10**12)
        found[name] = (CYCLES_PER_SYNAPSE * synapses * events, record.done)
    return found


def rows(found: dict[str, tuple[int, int]], events: int) -> list[str]:
    """Lines of the table in docs/odin.md."""
    return [f"| {name} | {counted / events:.1f} | {exact / events:.1f} | {exact / counted:.3f} |"
            for name, (counted, exact) in found.items()]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=2000)
    events = options.parse_args().events
    print(f"| {events:,} at full rate, no spikes | two cycles per synapse, per event | cycles on the chip, per event | factor |")
    print("|---|---|---|---|")
    print("\n".join(rows(counted_and_exact(events), events)))


if __name__ == "__main__":
    main()
