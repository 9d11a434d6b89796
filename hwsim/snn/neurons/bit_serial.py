"""Bit-serial neuron: accumulate all bit planes, then T compare-fire-reset passes (paper 000, corrected).

The spike of pass p says bit T-1-p of clip(V / (theta / 2**T)): pass p compares with theta >> (p + 1) and subtracts it,
so spikes leave most significant first. Exact when theta is a multiple of 2**T and nothing saturates;
docs/cycle-model.md lists which printed equations of the paper differ. `initial_potential` holds the rounding offset
theta / 2**(T+1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim.passes import Pass, PassTable, horner_passes
from hwsim.snn.neurons.base import Context, Neuron, NeuronLayer, Received, Sent, biased_start


@dataclass(frozen=True)
class BitSerial(Neuron):
    """T planes in, T bits out. Bias and rounding offset enter once."""

    model: ClassVar[str] = "bit_serial"
    coding: ClassVar[str] = "bit_serial"
    label: ClassVar[str] = "bit-serial"
    sends: ClassVar[Sent] = "bits"
    reads: ClassVar[frozenset[Received]] = frozenset({"bits", "payloads"})
    in_time: ClassVar[bool] = False
    sums_planes: ClassVar[bool] = True
    adds_each_step: ClassVar[bool] = False
    twin: ClassVar[str] = "requantise"
    synthetic: ClassVar[bool] = True

    def threshold(self, unit: int, timesteps: int) -> int:
        return unit << timesteps

    def lower(self, layer: NeuronLayer, context: Context) -> PassTable:
        horner = context.shift_at == "membrane" and context.planes > 1
        start = biased_start(layer)
        theta = int(layer.thresholds[0])
        fires = tuple(
            Pass(after_eot=context.planes, kind="fire", threshold=theta, shift=p + 1, add=horner and p == 0, timestep=p)
            for p in range(layer.timesteps)
        )
        return PassTable(
            planes=context.planes,
            passes=(horner_passes(context.planes) if horner else ()) + fires,
            # With Horner what the clear wrote would be doubled too, so bias and offset wait for the first fire pass.
            initial=np.zeros(layer.shape, np.int64) if horner else start,
            addend=start if horner else None,
            weigh_planes=context.shift_at == "weight" and context.planes > 1,
        )

    def emit(self, sums: NDArray[np.int64], layer: NeuronLayer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        potential = biased_start(layer) + sums.sum(axis=0)
        bits = np.zeros((layer.timesteps, *layer.shape), np.int64)
        for p in range(layer.timesteps):
            theta = int(layer.thresholds[0]) >> (p + 1)
            bits[p] = potential >= theta
            potential -= theta * bits[p]
        return bits, potential

    def problems(self, layer: NeuronLayer) -> list[str]:
        theta, steps = layer.thresholds, layer.timesteps
        if len(set(theta.tolist())) > 1:
            return ["thresholds differ between timesteps; a bit-serial layer has one threshold, halved in each pass"]
        if len(theta) and int(theta[0]) >> steps < 1:
            return [f"threshold {int(theta[0])} shifted right {steps} times is zero; use at least {1 << steps}"]
        return []
