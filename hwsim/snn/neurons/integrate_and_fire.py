"""Integrate-and-fire, rate coded: one compare-fire-reset pass after each timestep (papers 001, 002, 003).

Soft reset subtracts the threshold, hard reset writes zero; an optional leak takes V >> k away after the reset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.passes import Pass, PassTable
from hwsim.snn.neurons.base import Context, Neuron, leak_problems, spread

if TYPE_CHECKING:
    from hwsim.snn.network import Layer


@dataclass(frozen=True)
class IntegrateAndFire(Neuron):
    """Fires when V >= theta(t); `bias` is added in every timestep; V starts at `initial_potential`."""

    model: ClassVar[str] = "integrate_and_fire"
    coding: ClassVar[str] = "rate"
    synthetic: ClassVar[bool] = True
    reset: Literal["soft", "hard"] = "soft"
    leak_shift: int | None = None

    def lower(self, layer: Layer, context: Context) -> PassTable:
        adds = layer.bias is not None or context.direct
        passes = tuple(
            Pass(after_eot=t + 1, kind="fire", threshold=int(layer.thresholds[t]), add=adds, timestep=t)
            for t in range(layer.timesteps)
        )
        return PassTable(
            planes=layer.timesteps, passes=passes, initial=spread(layer.initial_potential, layer),
            addend=None if layer.bias is None else spread(layer.bias, layer), direct=context.direct,
            reset=self.reset, leak_shift=self.leak_shift, spike_shift=context.spike_shift,
        )

    def emit(self, sums: NDArray[np.int64], layer: Layer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        potential = spread(layer.initial_potential, layer).copy()
        bias = spread(layer.bias, layer)
        fired = np.zeros((layer.timesteps, *layer.shape), np.int64)
        for t in range(layer.timesteps):
            theta = int(layer.thresholds[t])
            potential += sums[t] + bias
            fired[t] = potential >= theta
            potential = potential - theta * fired[t] if self.reset == "soft" else potential * (1 - fired[t])
            if self.leak_shift is not None:
                potential -= potential >> self.leak_shift
        return fired, potential

    def problems(self, layer: Layer) -> list[str]:
        found = []
        if self.reset not in ("soft", "hard"):
            found.append(f"reset is {self.reset!r}, allowed are 'soft' and 'hard'")
        return found + leak_problems(self.leak_shift)
