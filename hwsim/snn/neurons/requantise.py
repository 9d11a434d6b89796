"""The neuron of a quantised ANN: one value out, clip(V // step, 0, 2**bits - 1), no spikes in time (T = 1).

It makes the multiply-accumulate baseline run on the same pipeline: payload events in, one requant pass, payload events
out. `thresholds` holds the step (the LSB, theta / 2**T of the bit-serial twin); `initial_potential` the rounding half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim.passes import Pass, PassTable
from hwsim.snn.neurons.base import Context, Neuron, NeuronLayer, Received, Sent, biased_start


@dataclass(frozen=True)
class Requantise(Neuron):
    """Levels 0 .. 2**payload_bits - 1 of the layer's `payload_bits`."""

    model: ClassVar[str] = "requantise"
    coding: ClassVar[str] = "quantised"
    label: ClassVar[str] = "ANN"
    sends: ClassVar[Sent] = "values"
    reads: ClassVar[frozenset[Received]] = frozenset({"values", "payloads"})
    sums_planes: ClassVar[bool] = True
    adds_each_step: ClassVar[bool] = False
    twin: ClassVar[str] = "bit_serial"
    synthetic: ClassVar[bool] = True

    def lower(self, layer: NeuronLayer, context: Context) -> PassTable:
        step = Pass(after_eot=context.planes, kind="requant", threshold=int(layer.thresholds[0]))
        return PassTable(
            planes=context.planes, passes=(step,), max_level=(1 << layer.payload_bits) - 1,
            initial=biased_start(layer),
        )

    def emit(self, sums: NDArray[np.int64], layer: NeuronLayer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        potential = sums.sum(axis=0) + biased_start(layer)
        top = (1 << layer.payload_bits) - 1
        return np.clip(potential // int(layer.thresholds[0]), 0, top)[None], potential

    def problems(self, layer: NeuronLayer) -> list[str]:
        found = []
        if layer.timesteps != 1:
            found.append(f"timesteps is {layer.timesteps}; a quantised ANN layer has 1")
        if layer.payload_bits < 1:
            found.append("payload_bits is 0; a quantised ANN layer sends values, give their width in bits")
        return found
