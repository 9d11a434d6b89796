"""A conversion that hwsim does not have, in one file: a clipped ReLU as a rate code whose potentials start at zero.

Data-based normalisation of Diehl et al. 2015 ("Fast-classifying, high-accuracy spiking deep networks through weight and threshold
balancing", IJCNN), with the trained clip mu as the largest activation: the threshold is mu, a spike is worth mu, and nothing is
added before the first timestep. A neuron that gets the same input d in every timestep spikes floor(T d / mu) times.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwsim.convert.base import Built, Method, Request, folded
from hwsim.convert.rate import to_rate
from hwsim.snn.network import Network
from hwsim.sources.checkpoint import Checkpoint
from hwsim.sources.data import Dataset


def _clipped_rate(request: Request, checkpoint: Checkpoint, data: Dataset) -> Built:
    source, inputs = folded(request, checkpoint)
    network = to_rate(source, request.timesteps, request.widths)
    zero = np.zeros((1, 1, 1), np.int64)
    layers = tuple(replace(layer, initial_potential=zero) if layer.sends else layer for layer in network)
    return Network(network.input, layers), inputs, {"first_potential": 0}


CLIPPED_RATE = Method("clipped_rate", "Diehl 2015", "clipped ReLU, potentials from zero", ("threshold_relu",), _clipped_rate)
