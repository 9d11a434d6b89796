"""How many cycles of ODIN both engines simulate per second of processor time, by what keeps the chip busy.

    python benchmarks/odin_speed.py [--cycles 2000000]

Streams at full rate: neuron events without spikes, neuron events of which some neurons fire, single-synapse events, virtual
events. The reference engine runs the same streams, shorter. The yardstick is plain NumPy: int16 additions of 256-element rows.
Much longer streams of single-neuron events spend most of their time on memory for the record.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np

from hwsim.cores.odin.configuration import OdinConfiguration
from hwsim.cores.odin.fast import OdinFastEngine
from hwsim.cores.odin.fields import NEURONS, OdinFields, OdinScheduler
from hwsim.cores.odin.record import OdinEngine
from hwsim.cores.odin.reference import OdinReferenceEngine
from hwsim.cores.odin.stimulus import OdinStimulus, neuron_event, synapse_event, virtual_event

REFERENCE_SHARE = 40  # the reference engine runs this many times fewer cycles


def streams(rng: np.random.Generator, cycles: int) -> dict[str, tuple[OdinConfiguration, OdinStimulus]]:
    """Chips and streams by name, each about `cycles` long."""
    synapses = 8 + rng.integers(0, 8, (NEURONS, NEURONS))
    inhibitory = rng.random(NEURONS) < 0.5
    silent = OdinConfiguration.blank(synapses=synapses, inhibitory=np.ones(NEURONS, int))
    firing = OdinConfiguration.blank(synapses=synapses, inhibitory=inhibitory, thresholds=np.full(NEURONS, 40))

    def many(period: int, event: Callable[[int, int], int]) -> OdinStimulus:
        pairs = rng.integers(0, NEURONS, (max(1, cycles // period), 2)).tolist()
        return OdinStimulus.at_full_rate([event(one, other) for one, other in pairs])

    neurons = many(518, lambda source, _: neuron_event(source))
    return {
        "neuron events, no spikes": (silent, neurons),
        "neuron events, some neurons fire": (firing, neurons),
        "synapse events": (silent, many(8, synapse_event)),
        "virtual events": (silent, many(8, lambda neuron, other: virtual_event(neuron, other % 7 + 1))),
    }


def cycles_a_second(
    engine: OdinEngine, configuration: OdinConfiguration, stimulus: OdinStimulus, until: int, times: int
) -> float:
    """Of the quickest of several runs: noise only adds."""
    core, taken, record = OdinFields(scheduler=OdinScheduler(feedback=False)), [], None
    for _ in range(times):
        start = time.process_time()
        record = engine.run(core, configuration, stimulus, until)
        taken.append(time.process_time() - start)
    assert record is not None
    return (record.done if record.done >= 0 else until) / min(taken)


def numpy_rows_a_second() -> float:
    a, b = np.zeros(NEURONS, np.int16), np.ones(NEURONS, np.int16)
    start = time.process_time()
    for _ in range(1_000_000):
        np.add(a, b, out=a)
    return 1_000_000 / (time.process_time() - start)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cycles", type=int, default=2_000_000, help="cycles of each stream")
    cycles = options.parse_args().cycles
    rows = numpy_rows_a_second()
    print(f"yardstick: plain NumPy, {rows / 1e6:.2f} M int16 additions of 256-element rows per second")
    fast, reference = OdinFastEngine(), OdinReferenceEngine()
    fast.run(OdinFields(), OdinConfiguration.blank(), OdinStimulus.at_full_rate([0x07]), 1000)  # compiles
    for name, (configuration, stimulus) in streams(np.random.default_rng(1), cycles).items():
        quick = cycles_a_second(fast, configuration, stimulus, 10 * cycles, 9)
        slow = cycles_a_second(reference, configuration, stimulus, cycles // REFERENCE_SHARE, 1)
        print(f"{name}: fast {quick / 1e6:,.1f} M cycles per second ({quick / rows:.1f} cycles per yardstick row), "
              f"reference {slow / 1e3:,.1f} k, {quick / slow:,.0f} times")


if __name__ == "__main__":
    main()
