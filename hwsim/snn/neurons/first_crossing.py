"""Read-out of paper 004 (Eq. 9 to 12): the potentials at the end, minus the time in which each first reached its threshold.

The hardware notes no times. At the end of each timestep but the last it takes `unit` from a neuron that has not been at its
threshold yet (R28), and compares with a threshold that has come down by as much. So what leaves is

    U(T) - unit * (t - 1)

with t the first step, 1 to T, in which U >= theta, and T where there is none: the paper's answer, but for a constant that all
classes share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim.passes import Pass, PassTable
from hwsim.snn.neurons.base import Context, Neuron, NeuronLayer, Received, Sent, biased_start

LARGEST_UNIT = 1 << 30


@dataclass(frozen=True)
class FirstCrossing(Neuron):
    """Accumulates, never fires; `bias` enters once. One threshold a timestep, reached at U >= theta(t); the last is not used.

    unit   what one timestep of waiting costs, in the integers of the potential.
    """

    model: ClassVar[str] = "first_crossing"
    coding: ClassVar[str] = "first_crossing"
    label: ClassVar[str] = "read-out, first crossing"
    sends: ClassVar[Sent] = "nothing"
    reads: ClassVar[frozenset[Received]] = frozenset({"spikes"})
    adds_each_step: ClassVar[bool] = False
    judges_each_step: ClassVar[bool] = True
    unit: int = 1

    def thresholds_needed(self, timesteps: int) -> int:
        return timesteps

    def lower(self, layer: NeuronLayer, context: Context) -> PassTable:
        steps = layer.timesteps
        counts = tuple(Pass(after_eot=t + 1, kind="count", threshold=int(layer.thresholds[t]) - t * self.unit, timestep=t,
                            flags="fire_once") for t in range(steps - 1))
        return PassTable(
            planes=steps, passes=(*counts, Pass(after_eot=steps, kind="readout", timestep=steps - 1)),
            initial=biased_start(layer), spike_shift=context.spike_shift, flagged=bool(counts), wait=self.unit if counts else 0)

    def emit(self, sums: NDArray[np.int64], layer: NeuronLayer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        potentials = biased_start(layer) + np.cumsum(sums, axis=0)
        waits = np.logical_and.accumulate([u < int(theta) for u, theta in zip(potentials, layer.thresholds, strict=True)])
        return np.zeros((0, *layer.shape), np.int64), potentials[-1] - self.unit * waits[:-1].sum(axis=0)

    def takes(self, layer: NeuronLayer) -> int:
        return self.unit * (layer.timesteps - 1)

    def problems(self, layer: NeuronLayer) -> list[str]:
        if isinstance(self.unit, bool) or not isinstance(self.unit, int) or not 1 <= self.unit <= LARGEST_UNIT:
            return [f"unit is {self.unit!r}, expected a Python int from 1 to {LARGEST_UNIT}"]
        return []
