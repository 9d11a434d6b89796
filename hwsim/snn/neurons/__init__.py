"""Neuron models, one file each. A model says two things, and declares what others must know of it (`Neuron`).

`lower(layer, context)` gives its PassTable: which passes the hardware makes over the membrane words, after which
end-of-timestep mark, with which threshold. `emit(sums, layer)` is the same arithmetic without hardware: what
comes out for the given input sums, exact and without saturation; traces are made with it, engines never use it.
To add a model: write a file with both, add it to MODELS, and follow docs/recipes.md. No other module knows a model's name.
"""

from __future__ import annotations

from hwsim.snn.neurons.base import Context, Neuron
from hwsim.snn.neurons.bit_serial import BitSerial
from hwsim.snn.neurons.cuba_lif import CubaLif
from hwsim.snn.neurons.first_crossing import FirstCrossing
from hwsim.snn.neurons.integrate_and_fire import IntegrateAndFire
from hwsim.snn.neurons.read_out import ReadOut
from hwsim.snn.neurons.requantise import Requantise
from hwsim.snn.neurons.single_spike import SingleSpike
from hwsim.snn.neurons.two_stage import TwoStage

MODELS: dict[str, type[Neuron]] = {
    model.model: model
    for model in (IntegrateAndFire, BitSerial, TwoStage, SingleSpike, CubaLif, ReadOut, FirstCrossing, Requantise)
}

__all__ = [
    "MODELS", "BitSerial", "Context", "CubaLif", "FirstCrossing", "IntegrateAndFire", "Neuron", "ReadOut", "Requantise",
    "SingleSpike", "TwoStage",
]
