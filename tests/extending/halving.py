"""A neuron model that hwsim does not have, in one file: integrate-and-fire whose one threshold halves in every timestep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim.passes import Pass, PassTable
from hwsim.snn.neurons import Context, Neuron
from hwsim.snn.neurons.base import NeuronLayer, spread, stepwise_table


@dataclass(frozen=True)
class Halving(Neuron):
    """Fires in timestep t when V >= theta >> t, and subtracts it; the bias is added in every timestep."""

    model: ClassVar[str] = "halving_threshold"
    coding: ClassVar[str] = "halving"
    label: ClassVar[str] = "halved"
    synthetic: ClassVar[bool] = True

    def thresholds_needed(self, timesteps: int) -> int:
        return 1

    def threshold(self, unit: int, timesteps: int) -> int:
        return unit << (timesteps - 1)

    def lower(self, layer: NeuronLayer, context: Context) -> PassTable:
        adds, theta = layer.bias is not None or context.direct, int(layer.thresholds[0])
        passes = (Pass(t + 1, "fire", theta, shift=t, add=adds, timestep=t) for t in range(layer.timesteps))
        return stepwise_table(layer, context, tuple(passes))

    def emit(self, sums: NDArray[np.int64], layer: NeuronLayer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        potential, fired = spread(layer.initial_potential, layer).copy(), np.zeros((layer.timesteps, *layer.shape), np.int64)
        for t in range(layer.timesteps):
            theta = int(layer.thresholds[0]) >> t
            potential = potential + sums[t] + spread(layer.bias, layer)
            fired[t] = potential >= theta
            potential -= theta * fired[t]
        return fired, potential
