"""Single-spike leaky integrate-and-fire: a neuron fires at most once, then it is off (paper 004, Eq. 6-8).

The flag takes the place of a reset: a neuron that has fired is left out of every later pass, and its potential is zero.
The paper fires at U > V, strictly; with integers that is U >= V + 1, which the threshold holds. A leak of
lambda = 1 - 2**-k is V -= V >> k after the timestep; `leak_shift` None is lambda = 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim.passes import PassTable
from hwsim.snn.neurons.base import Context, Neuron, NeuronLayer, fire_passes, leak_problems, leaked, spread, stepwise_table


@dataclass(frozen=True)
class SingleSpike(Neuron):
    """Fires when V >= theta(t) for the first time; `bias` is added in every timestep until then."""

    model: ClassVar[str] = "single_spike"
    coding: ClassVar[str] = "single_spike"
    fires_once: ClassVar[bool] = True
    leak_shift: int | None = None

    def lower(self, layer: NeuronLayer, context: Context) -> PassTable:
        passes = tuple(replace(one, flags="fire_once") for one in fire_passes(layer, context))
        return stepwise_table(layer, context, passes, leak_shift=self.leak_shift, flagged=True)

    def emit(self, sums: NDArray[np.int64], layer: NeuronLayer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        potential, on = spread(layer.initial_potential, layer), np.ones(layer.shape, bool)
        bias = spread(layer.bias, layer)
        fired = np.zeros((layer.timesteps, *layer.shape), np.int64)
        for t in range(layer.timesteps):
            potential = potential + sums[t] + bias
            fires = on & (potential >= int(layer.thresholds[t]))
            fired[t], on = fires, on & ~fires
            potential = leaked(np.where(on, potential, 0), self.leak_shift)
        return fired, potential

    def problems(self, layer: NeuronLayer) -> list[str]:
        return leak_problems(self.leak_shift)
