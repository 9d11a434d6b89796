"""Rate-coded conversion: integrate-and-fire neurons whose firing rate approaches the activation as T grows.

The threshold is the activation's full-scale value, the first potential half of it, reset by subtraction: QCFS (paper 002
and its predecessors), and quantised ANNs with or without noise adaptor (paper 003, Eq. 6: theta = p * s, U(0) = theta / 2).
With two stages (SRP, paper 002, Algorithm 1) a first run of tau timesteps finds the neurons that end below zero; they are
off in the T timesteps that count.
"""

from __future__ import annotations

import numpy as np

from hwsim.convert.assemble import Fixed, assemble_source, neurons, read_out
from hwsim.convert.base import Built, Method, Request, folded
from hwsim.convert.folded import FoldedSource, SourceLayer
from hwsim.convert.integers import USUAL_WIDTHS, ConversionError, Widths, biases, check_timesteps, threshold_at
from hwsim.snn.network import Network
from hwsim.snn.neurons import IntegrateAndFire, Neuron, TwoStage
from hwsim.sources.checkpoint import Checkpoint
from hwsim.sources.data import Dataset


def to_rate(source: FoldedSource, timesteps: int, widths: Widths = USUAL_WIDTHS) -> Network:
    """The rate-coded SNN of `timesteps` timesteps."""
    check_timesteps(timesteps)
    return _convert(source, timesteps, timesteps, widths, IntegrateAndFire(), ())


def to_two_stage(source: FoldedSource, timesteps: int, tau: int = 4, widths: Widths = USUAL_WIDTHS) -> Network:
    """SRP: `tau` timesteps to find the neurons to leave out, then `timesteps` that count. Latency is their sum."""
    if tau < 1:
        raise ConversionError(f"tau is {tau}, expected 1 or more timesteps in the first stage; without one use rate")
    check_timesteps(timesteps)
    check_timesteps(tau + timesteps)
    return _convert(source, tau + timesteps, timesteps, widths, TwoStage(), (0, tau, tau + timesteps))


def _convert(
    source: FoldedSource, steps: int, counted: int, widths: Widths, neuron: Neuron, stages: tuple[int, ...]
) -> Network:
    def fix(layer: SourceLayer, scale: float) -> Fixed:
        if not layer.fires:
            return read_out(layer, scale, steps, counted, stages)
        theta = threshold_at(layer.threshold, scale)
        made = neurons(layer, neuron, steps, theta, bias=biases(layer, scale),
                       initial_potential=np.full((1, 1, 1), theta // 2, np.int64), stages=stages)
        return Fixed(made, scale, unit=layer.threshold)

    return assemble_source(source, fix, widths)


def _rate(request: Request, checkpoint: Checkpoint, data: Dataset) -> Built:
    source, inputs = folded(request, checkpoint)
    return to_rate(source, request.timesteps, request.widths), inputs, {}


def _two_stage(request: Request, checkpoint: Checkpoint, data: Dataset) -> Built:
    source, inputs = folded(request, checkpoint)
    return to_two_stage(source, request.timesteps, request.tau, request.widths), inputs, {"tau": request.tau}


RATE = Method("rate", "QCFS", "integrate-and-fire, soft reset", ("qcfs",), _rate)
TWO_STAGE = Method("two_stage", "002", "SRP: tau timesteps to find neurons to leave out", ("qcfs",), _two_stage)
NOISE_ADAPTOR = Method("noise_adaptor", "003", "quantised ANN, threshold p * s", ("lsq",), _rate)
