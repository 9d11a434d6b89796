"""Accesses to potentials against T and sparsity, simulated: what paper 000's claim that they follow T and not sparsity comes to.

A recorded trace is scaled to other steps and rates (hwsim/trace/scaled.py) and replayed on the event-driven and the
output-stationary design. Counted are reads and writes of the membrane memory, and of the accumulators, per neuron and sample; a
word holds one potential per lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwsim.accounts.ours import fitted, our_data
from hwsim.activity import INDEX, VOCABULARY
from hwsim.arch import load_architecture
from hwsim.simulation import simulate
from hwsim.trace.reader import Trace
from hwsim.trace.scaled import Shape, scaled

STEPS, RATES = (2, 4, 8), (0.01, 0.05, 0.2)
DESIGNS = ("event_driven", "output_stationary")
MEMBRANE = [INDEX[event.name] for event in VOCABULARY if event.unit == "membrane_memory"]
ACCUMULATOR = INDEX["accumulator_access"]


@dataclass(frozen=True)
class Accesses:
    """Of one design at a number of steps and a rate: accesses per neuron and sample, to the memory and to accumulators."""

    design: str
    timesteps: int
    rate: float
    memory: float
    accumulators: float


def accesses(
    trace: Trace, samples: int, every_steps: Sequence[int] = STEPS, rates: Sequence[float] = RATES
) -> list[Accesses]:
    """Every design, number of steps and rate. Raises ScaleError for a trace that is not rate-coded."""
    found = []
    neurons = sum(layer.neurons for layer in trace.network)
    for name in DESIGNS:
        machine = load_architecture(our_data().designs[name].snn)
        for steps in every_steps:
            for rate in rates:
                with scaled(trace, Shape(rate, steps), samples=samples) as made:
                    counts = simulate(made, fitted(machine, made), check=False).layer_counts.sum(axis=(0, 1, 2))
                each = machine.core.lanes / (neurons * samples)
                # An operation on an accumulator reads it and writes it back.
                held = 2 * float(counts[ACCUMULATOR]) * each
                found.append(Accesses(name, steps, rate, float(counts[MEMBRANE].sum()) * each, held))
    return found
