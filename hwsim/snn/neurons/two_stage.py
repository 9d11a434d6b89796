"""Two-stage integrate-and-fire of residual membrane potential, SRP (paper 002, Algorithm 1).

Stage one runs tau timesteps to learn which neurons end with V < 0: those fired more than they should and are flagged off.
Potentials then start again, and stage two runs the T timesteps that count, without the neurons that are off. The layer's
`timesteps` is tau + T and its `stages` (0, tau, tau + T); outputs of both stages are recorded. The paper masks what a
neuron sends; here a neuron that is off is left out altogether, which sends the same (docs/cycle-model.md R16, R17).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim.passes import Pass, PassTable
from hwsim.snn.neurons.base import Context, Neuron, NeuronLayer, even_spikes, fire_passes, spread, stepwise_table


@dataclass(frozen=True)
class TwoStage(Neuron):
    """Soft reset; `bias` is added in every timestep; V starts at `initial_potential` in both stages."""

    model: ClassVar[str] = "two_stage"
    coding: ClassVar[str] = "rate"
    staged: ClassVar[bool] = True

    def lower(self, layer: NeuronLayer, context: Context) -> PassTable:
        tau, fires = layer.stages[1], fire_passes(layer, context)
        mask = Pass(after_eot=tau, kind="mask", timestep=tau - 1)
        counted = (replace(one, flags="masked") for one in fires[tau:])
        return stepwise_table(layer, context, (*fires[:tau], mask, *counted), flagged=True)

    def emit(self, sums: NDArray[np.int64], layer: NeuronLayer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        start, bias = spread(layer.initial_potential, layer), spread(layer.bias, layer)
        tau = layer.stages[1]
        potential, on = start.copy(), np.ones(layer.shape, bool)
        fired = np.zeros((layer.timesteps, *layer.shape), np.int64)
        for t in range(layer.timesteps):
            theta = int(layer.thresholds[t])
            potential = np.where(on, potential + sums[t] + bias, 0)
            fired[t] = on & (potential >= theta)
            potential -= theta * fired[t]
            if t == tau - 1:
                on, potential = potential >= 0, start.copy()
        return fired, potential

    def even(self, sums: NDArray[np.int64], layer: NeuronLayer) -> NDArray[np.int64] | None:
        return even_spikes(sums, layer, layer.stages[1])

    def problems(self, layer: NeuronLayer) -> list[str]:
        stages = tuple(layer.stages)
        if len(stages) != 3 or stages[0] != 0 or not 0 < stages[1] < stages[2] or stages[2] != layer.timesteps:
            return [f"stages are {stages}; a two-stage neuron has (0, tau, tau + T) with timesteps tau + T"]
        return []
