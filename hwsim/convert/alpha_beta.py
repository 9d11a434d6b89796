"""Threshold and output scaling for very few timesteps (paper 001, section III-B, Algorithm 1).

The source is a threshold ReLU with trained mu. Its SNN fires at alpha * mu, and a spike is worth beta * alpha * mu, with
(alpha, beta) chosen a layer so that the staircase and the ReLU agree on average over the activations that occur. beta goes
into the weights of the layers that follow, so neither costs an operation. The paper fires at U > V, strictly, and leaves
out the shift of half a step; both are so here: U > V of integers is U - 1 >= V, so potentials start at -1 and a reset still
takes V away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwsim.convert.assemble import Fixed, assemble_source, neurons, read_out
from hwsim.convert.base import Built, Method, Request, check_trained_for, folded
from hwsim.convert.folded import FoldedSource, SourceLayer
from hwsim.convert.integers import USUAL_WIDTHS, ConversionError, Widths, biases, check_timesteps, threshold_at
from hwsim.snn.network import Network
from hwsim.snn.neurons import IntegrateAndFire
from hwsim.sources.activations import ALPHA_BETA as FINE_TUNED
from hwsim.sources.calibrate import activation_percentiles
from hwsim.sources.checkpoint import Checkpoint
from hwsim.sources.data import Dataset
from hwsim.sources.networks import SourceNetwork
from hwsim.sources.normaliser import Normaliser

FloatArray = NDArray[np.float64]
BETAS = np.arange(201) / 100  # 0 to 2 in steps of 0.01
ROUNDING = 1e-9  # what (p / mu) * mu may miss p by, in steps


@dataclass(frozen=True)
class Scaling:
    """What Algorithm 1 found for one layer; `loss` is the summed difference that it leaves."""

    alpha: float
    beta: float
    loss: float


def staircase(values: FloatArray, threshold: float, timesteps: int) -> FloatArray:
    """Spikes in `timesteps` of a neuron that gets each of `values` every timestep: clip(ceil(T v / theta) - 1, 0, T).

    A value on the border of two steps is on the lower one, as U > V has it: each alpha = P[j] / mu puts one there.
    """
    steps = values * timesteps / threshold
    return np.clip(np.ceil(steps - ROUNDING) - 1, 0, timesteps)


def loss(percentiles: FloatArray, mu: float, alpha: float, beta: float, timesteps: int) -> float:
    """ComputeLoss: the sum over all percentiles of ReLU minus SNN, segments I (stairs) and II (above alpha * mu)."""
    inside = percentiles[percentiles <= mu]
    sent = staircase(inside, alpha * mu, timesteps) / timesteps
    return float((inside - alpha * beta * mu * sent).sum())


def scaling_factors(percentiles: FloatArray, mu: float, timesteps: int) -> Scaling:
    """FindScalingFactors: the (alpha, beta) of least |loss| among alpha = P[j] / mu and BETAS; the first of equal ones.

    percentiles   of the layer's activations (0, 1, ..., 100 %). Those above mu are left out, as in the paper.
    """
    best = Scaling(1.0, 1.0, loss(percentiles, mu, 1.0, 1.0, timesteps))
    inside = percentiles[percentiles <= mu]
    total = inside.sum()
    for p in np.unique(inside[inside > 0]):
        # The loss is linear in beta, so one staircase serves all of them.
        sent = staircase(inside, p, timesteps).sum() * p / timesteps
        losses = total - BETAS * sent
        at = int(np.abs(losses).argmin())
        if abs(losses[at]) < abs(best.loss):
            best = Scaling(float(p / mu), float(BETAS[at]), float(losses[at]))
    return best


def algorithm_1(source: FoldedSource, timesteps: int, percentiles: Mapping[str, FloatArray]) -> dict[str, Scaling]:
    """The factors of each layer that fires.

    percentiles   by layer name, of its activations on training images (hwsim.sources.calibrate.activation_percentiles).
    """
    check_timesteps(timesteps)
    found = {}
    for layer in source.layers:
        if not layer.fires:
            continue
        if layer.name not in percentiles:
            raise ConversionError(f"layer {layer.name}: no percentiles of its activations, expected those of training "
                                  "images; calibrate first")
        found[layer.name] = scaling_factors(percentiles[layer.name], layer.threshold, timesteps)
    return found


def to_alpha_beta(source: FoldedSource, timesteps: int, factors: Mapping[str, Scaling], widths: Widths = USUAL_WIDTHS) -> Network:
    """The SNN of `timesteps` with the factors of each layer that fires: Algorithm 1's, or those that fine-tuning led to."""
    check_timesteps(timesteps)

    def fix(layer: SourceLayer, scale: float) -> Fixed:
        if not layer.fires:
            return read_out(layer, scale, timesteps, timesteps)
        threshold, beta = factors[layer.name].alpha * layer.threshold, factors[layer.name].beta
        made = neurons(layer, IntegrateAndFire(), timesteps, threshold_at(threshold, scale), bias=biases(layer, scale),
                       initial_potential=np.full((1, 1, 1), -1, np.int64))
        return Fixed(made, scale, unit=beta * threshold)

    return assemble_source(source, fix, widths)


def _alpha_beta(request: Request, checkpoint: Checkpoint, data: Dataset) -> Built:
    notes: dict[str, Any]
    source, inputs = folded(request, checkpoint)
    says, trained = checkpoint.description, checkpoint.network()
    assert isinstance(trained, SourceNetwork)
    if says.activation.kind == FINE_TUNED:
        check_trained_for(checkpoint, request, "its thresholds")
        learnt = {layer.name: (layer.threshold, trained.activations()[layer.name].ceiling)
                  for layer in source.layers if layer.fires}
        factors = {name: Scaling(1.0, scale / threshold, 0.0) for name, (threshold, scale) in learnt.items()}
        notes = {"fine_tuned": True, "threshold_and_scale": {
            name: [round(threshold, 4), round(scale, 4)] for name, (threshold, scale) in learnt.items()}}
    else:
        images = data.train_images[: request.calibration]
        normalised = Normaliser(says.mean, says.std)(torch.from_numpy(images.copy()))
        factors = algorithm_1(source, request.timesteps, activation_percentiles(trained, normalised))
        notes = {"calibration_images": len(images),
                 "alpha_beta": {name: [round(f.alpha, 4), f.beta] for name, f in factors.items()}}
    return to_alpha_beta(source, request.timesteps, factors, request.widths), inputs, notes


ALPHA_BETA = Method("alpha_beta", "001", "threshold and output scaling", ("threshold_relu", FINE_TUNED), _alpha_beta)
