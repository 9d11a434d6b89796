"""A conversion that hwsim does not have, in one file: a clipped ReLU as a rate code whose potentials start at zero.

Data-based normalisation of Diehl et al. 2015 ("Fast-classifying, high-accuracy spiking deep networks through weight and threshold
balancing", IJCNN), with the trained clip mu as the largest activation: the threshold is mu, a spike is worth mu, and nothing is
added before the first timestep. A neuron that gets the same input d in every timestep spikes floor(T d / mu) times.
"""

from __future__ import annotations

import numpy as np

from hwsim.convert.base import Built, Method, Request, folded
from hwsim.convert.integers import (
    biases,
    check_timesteps,
    connections,
    finish,
    input_spec,
    read_out,
    scaled,
    units_of_input,
    weight_scale,
)
from hwsim.snn.network import Layer
from hwsim.snn.neurons import IntegrateAndFire
from hwsim.sources.checkpoint import Checkpoint
from hwsim.sources.data import Dataset


def _clipped_rate(request: Request, checkpoint: Checkpoint, data: Dataset) -> Built:
    source, inputs = folded(request, checkpoint)
    steps, widths = request.timesteps, request.widths
    check_timesteps(steps)
    units = units_of_input(source, widths)
    layers: list[Layer] = []
    for layer in source.layers:
        if not layer.fires:
            layers.append(read_out(layer, units, widths, steps, steps))
            continue
        scale = weight_scale(layer, units, widths.weight_bits)
        theta = max(1, int(scaled(layer.threshold, scale).item()))
        layers.append(Layer(layer.name, layer.shape, connections(layer, units, scale, widths), IntegrateAndFire(), steps,
                            np.full(steps, theta), biases(layer, scale)))
        units[layer.name] = layer.threshold
    return finish(input_spec(source, widths), layers, widths), inputs, {"first_potential": 0}


CLIPPED_RATE = Method("clipped_rate", "Diehl 2015", "clipped ReLU, potentials from zero", ("threshold_relu",), _clipped_rate)
