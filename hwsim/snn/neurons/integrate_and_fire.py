"""Integrate-and-fire, rate coded: one compare-fire-reset pass after each timestep (papers 001, 002, 003).

Soft reset subtracts the threshold, hard reset writes zero; an optional leak takes V >> k away after the reset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.passes import PassTable
from hwsim.snn.neurons.base import (
    Context,
    Neuron,
    NeuronLayer,
    even_spikes,
    fire_passes,
    leak_problems,
    leaked,
    spread,
    stepwise_table,
)


@dataclass(frozen=True)
class IntegrateAndFire(Neuron):
    """Fires when V >= theta(t); `bias` is added in every timestep; V starts at `initial_potential`."""

    model: ClassVar[str] = "integrate_and_fire"
    coding: ClassVar[str] = "rate"
    synthetic: ClassVar[bool] = True
    reset: Literal["soft", "hard"] = "soft"
    leak_shift: int | None = None

    def lower(self, layer: NeuronLayer, context: Context) -> PassTable:
        return stepwise_table(layer, context, fire_passes(layer, context), reset=self.reset, leak_shift=self.leak_shift)

    def emit(self, sums: NDArray[np.int64], layer: NeuronLayer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        potential, bias = spread(layer.initial_potential, layer), spread(layer.bias, layer)
        fired = np.zeros((layer.timesteps, *layer.shape), np.int64)
        for t in range(layer.timesteps):
            theta = int(layer.thresholds[t])
            potential = potential + sums[t] + bias
            fired[t] = potential >= theta
            potential = potential - theta * fired[t] if self.reset == "soft" else potential * (1 - fired[t])
            potential = leaked(potential, self.leak_shift)
        return fired, potential

    def even(self, sums: NDArray[np.int64], layer: NeuronLayer) -> NDArray[np.int64] | None:
        return even_spikes(sums, layer) if self.reset == "soft" and self.leak_shift is None else None

    def problems(self, layer: NeuronLayer) -> list[str]:
        found = []
        if self.reset not in ("soft", "hard"):
            found.append(f"reset is {self.reset!r}, allowed are 'soft' and 'hard'")
        return found + leak_problems(self.leak_shift)
