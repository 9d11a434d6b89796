"""Read-out: accumulate only, never fire; the potentials after the last timestep are the network's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim.passes import Pass, PassTable, horner_passes
from hwsim.snn.neurons.base import Context, Neuron, NeuronLayer, Received, Sent, biased_start


@dataclass(frozen=True)
class ReadOut(Neuron):
    """Potentials start at `initial_potential` plus `bias` (once, whatever T is) and leave after the last EOT.

    With `stages` (0, tau, tau + T) they start again after tau timesteps: only the last stage counts (paper 002).
    """

    model: ClassVar[str] = "read_out"
    coding: ClassVar[str] = "readout"
    sends: ClassVar[Sent] = "nothing"
    reads: ClassVar[frozenset[Received]] = frozenset({"spikes", "bits", "values", "payloads"})
    adds_each_step: ClassVar[bool] = False
    staged: ClassVar[bool] = True

    def lower(self, layer: NeuronLayer, context: Context) -> PassTable:
        horner = context.binary_weighted and context.shift_at == "membrane" and context.planes > 1
        start = biased_start(layer)
        out = Pass(after_eot=context.planes, kind="readout", add=horner, timestep=context.planes - 1)
        restarts = tuple(Pass(after_eot=t, kind="reinitialise", timestep=t - 1) for t in layer.stages[1:-1])
        return PassTable(
            planes=context.planes,
            passes=(*(horner_passes(context.planes) if horner else ()), *restarts, out),
            initial=np.zeros(layer.shape, np.int64) if horner else start,
            addend=start if horner else None,
            weigh_planes=context.binary_weighted and context.shift_at == "weight" and context.planes > 1,
            spike_shift=context.spike_shift,
        )

    def emit(self, sums: NDArray[np.int64], layer: NeuronLayer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        counted = sums[layer.stages[-2] :] if layer.stages else sums
        potential = counted.sum(axis=0) + biased_start(layer)
        return np.zeros((0, *layer.shape), np.int64), potential
