"""Single-spike hybrid networks of paper 004 (Datta, Kundu, Beerel), the training side: encoding, LIF, losses, gradients.

Time t runs from 1 to T. Thresholds V, leaks lambda and weights are trained, one threshold and leak a layer. Spikes are
0 or 1, so weights are those of the ANN with BatchNorm folded in; a folded bias is the initial potential, which costs no
operation (the paper trains without biases). Works on any graph of `hwsim.sources.networks`.

Eq. 4-5    hybrid encoding: the analog pixel at t = 1, then one spike, earlier for a brighter pixel.
Eq. 6-8    hidden neurons: leak, input, minus V after every step above threshold; they fire once, strictly above V.
           The reset without a spike is for training only: it moves potentials after the one spike and so no output.
Eq. 9-10   read-out: no leak, the time of its first crossing (>=), T when there is none.
Eq. 11-12  cross entropy of the final potentials plus cross entropy of minus the spike times. Text and Eq. 12 give the
           gradient of the times as (softmax - y); that is the one of minus the times, autograd has the sign right.
Eq. 17     gradient of a spike time with respect to V; the weights learn through the potential alone (Eq. 13-14).
Eq. 20     surrogate gradient of a spike, gamma * max(0, 1 - |z|), also after the spike, so that no neuron is dead.
Eq. 19, 21, 23 are what autograd gives for one time step; it adds the terms through the leak (back-propagation in time).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwsim.snn.network import INPUT
from hwsim.sources.activations import upper_quantile
from hwsim.sources.networks import SourceError, SourceNetwork, Synapses, with_dropout

GAMMA, BETA = 0.3, 0.2
"""Peak of the surrogate gradient (Eq. 20) and window of the threshold's (Eq. 17): section V-A."""
QUANTILE, SCALE = 0.997, 0.4
"""Thresholds start at this quantile of a layer's input, times this factor: section V-A."""
SMALLEST_THRESHOLD = 1e-3


def spike_times(intensity: Tensor, low: float, high: float, timesteps: int) -> Tensor:
    """Eq. 4: the step, 2 for the brightest to T for the darkest, in which each pixel spikes; int64, shape of `intensity`.

    low, high   the range of intensities; values outside it are clipped to it.      timesteps   T >= 2.
    """
    check_timesteps(timesteps)
    if not low < high:
        raise SourceError(f"pixel range {low} to {high} is empty; give the darkest and the brightest value")
    relative = (intensity.double().clamp(low, high) - low) / (high - low)
    return torch.floor(timesteps + (2 - timesteps) * relative + 0.5).long()


def encode(images: Tensor, times: Tensor, timesteps: int) -> Tensor:
    """Eq. 5: (T, N, C, H, W): the analog images at t = 1, then a 1 in the step that `times` names, 0 elsewhere."""
    steps = torch.arange(2, timesteps + 1, device=images.device).reshape(-1, *[1] * images.ndim)
    return torch.cat([images[None], (times[None] == steps).to(images.dtype)])


def check_timesteps(timesteps: int) -> None:
    """Raises SourceError below 2: step 1 is the analog image, spikes need at least one more."""
    if timesteps < 2:
        raise SourceError(f"timesteps = {timesteps}: single-spike networks need 2 or more, one for the image and one for spikes")


class _FireOnce(torch.autograd.Function):
    """Eq. 8 forward, Eq. 20 backward: 1 where z > 0 and the neuron has not fired before."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, fired: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return ((z > 0) & ~fired).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (z,) = ctx.saved_tensors
        return gradients[0] * GAMMA * (1 - z.abs()).clamp_min(0), None


class _FirstCrossing(torch.autograd.Function):
    """Eq. 10 forward, Eq. 17 backward: the time (N, C), 1 to T, at which potentials (T + 1, N, C), the initial one first,
    have reached the threshold."""

    @staticmethod
    def forward(ctx: Any, potentials: Tensor, threshold: Tensor) -> Tensor:
        ctx.save_for_backward(potentials, threshold)
        timesteps = len(potentials) - 1
        over = potentials[1:] >= threshold
        over[-1] = True  # forced to fire at T
        order = torch.arange(timesteps, 0, -1, device=potentials.device).reshape(-1, 1, 1)
        return (timesteps + 1 - (over * order).amax(0)).to(potentials.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        potentials, threshold = ctx.saved_tensors
        timesteps = len(potentials) - 1
        before, potentials = potentials[:-1], potentials[1:]
        a, b, c = potentials - threshold, threshold - before, threshold - potentials[-1]
        t = torch.arange(1, timesteps + 1, device=potentials.device).reshape(-1, 1, 1)
        terms = t * ((a >= 0) & (b.abs() < BETA)).long() - t * ((b >= 0) & (a.abs() < BETA)).long()
        slope = terms[:-1].sum(0) + timesteps * (c.abs() < BETA).long()
        return None, (gradients[0] * slope).sum().reshape(threshold.shape)


class SingleSpikeLayer(nn.Module):
    """One layer of LIF neurons that fire once, or of read-out neurons: folded synapses, threshold, leak, initial potential."""

    initial: Tensor

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.read_out = source.activation is None
        self.connections = nn.ModuleList(_without_norm(synapses) for synapses in source.connections)
        self.shape = source.shape
        self.dropout = source.spec.dropout
        initial = source.folded_bias().reshape(-1, 1, 1)
        if any(synapses.norm is not None or synapses.biased for synapses in source.connections):
            self.initial = nn.Parameter(initial)
        else:
            self.register_buffer("initial", initial)  # without biases there is nothing to train
        self.threshold = nn.Parameter(torch.tensor(1.0))
        if not self.read_out:
            self.leak = nn.Parameter(torch.tensor(1.0))

    def currents(self, outputs: dict[str, Tensor]) -> Tensor:
        """What reaches the neurons, (T, N, C, H, W), of the outputs (T, N, ...) of the layers before."""
        total, *others = (synapses(outputs[synapses.spec.source].flatten(0, 1)) for synapses in self.connections)
        for part in others:
            total = total + part
        return total.unflatten(0, outputs[self.connections[0].spec.source].shape[:2])

    def fire(self, currents: Tensor) -> Tensor:
        """Eq. 6-8: spikes (T, N, C, H, W), at most one a neuron."""
        threshold, leak = self.held()
        potential = self.initial.expand_as(currents[0])
        above = fired = torch.zeros_like(currents[0], dtype=torch.bool)
        spikes = []
        for current in currents:
            potential = leak * potential + current - threshold * above
            z = potential / threshold - 1
            above = z.detach() > 0
            spikes.append(_FireOnce.apply(z, fired))
            fired = fired | above
        return torch.stack(spikes)

    def held(self) -> tuple[Tensor, Tensor]:
        """Threshold and leak, in the ranges that they have a meaning in."""
        return self.threshold.clamp_min(SMALLEST_THRESHOLD), self.leak.clamp(0, 1)

    def sent(self, spikes: Tensor) -> Tensor:
        """What of the spikes (T, N, C, H, W) goes on: all, or in training what dropout leaves, the same neurons in all steps."""
        if not (self.training and self.dropout):
            return spikes
        return with_dropout(spikes.flatten(0, 1), self.dropout, len(spikes)).unflatten(0, spikes.shape[:2])

    def accumulate(self, currents: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 9-10: final potentials (N, C) and times of the first crossing, 1 to T (N, C)."""
        start = self.initial.expand_as(currents[:1])
        potentials = (start + torch.cumsum(torch.cat([torch.zeros_like(start), currents]), 0)).flatten(2)
        return potentials[-1], _FirstCrossing.apply(potentials, self.threshold)


class SingleSpikeNetwork(nn.Module):
    """A source network run as the SNN of paper 004. Built from a graph; `adopt` takes weights of a trained one.

    timesteps   T.      mean, std   what images were normalised with: Eq. 4 reads the pixel, 0 to 1, behind the value.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, source: SourceNetwork, timesteps: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        check_timesteps(timesteps)
        self.name, self.input_shape, self.options, self.timesteps = source.name, source.input_shape, source.options, timesteps
        self.layers = nn.ModuleDict({name: SingleSpikeLayer(layer) for name, layer in source.layers.items()})
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1))

    @torch.no_grad()
    def adopt(self, source: SourceNetwork, ceilings: Mapping[str, float]) -> None:
        """Weights of a trained network of the same graph, BatchNorm folded; thresholds need `calibrate` after it.

        ceilings   the highest output of every layer of the source. One spike stands for it, so weights are multiplied by it;
                   where an identity, which has no weight, brings spikes, its layer's scale is divided instead.
        """
        scales = {INPUT: 1.0, **ceilings}
        for mine, its in zip(self.layers.values(), source.layers.values(), strict=True):
            scale = 1.0
            for synapses in its.connections:
                if synapses.operator is None:
                    scale = 1 / scales[synapses.spec.source]
            for to, synapses in zip(mine.connections, its.connections, strict=True):
                if to.operator is not None:
                    to.operator.weight.copy_(synapses.folded()[0] * scales[synapses.spec.source] * scale)
            mine.initial.copy_(its.folded_bias().reshape(-1, 1, 1) * scale)

    def encode(self, images: Tensor) -> Tensor:
        """Hybrid encoding of normalised images (N, C, H, W): (T, N, C, H, W)."""
        return encode(images, spike_times(images * self.std + self.mean, 0.0, 1.0, self.timesteps), self.timesteps)

    def spikes(self, images: Tensor) -> dict[str, Tensor]:
        """Spikes (T, N, C, H, W) of every hidden layer, and of the input as `input`."""
        outputs = {INPUT: self.encode(images)}
        for name, layer in self.layers.items():
            if not layer.read_out:
                outputs[name] = layer.sent(layer.fire(layer.currents(outputs)))
        return outputs

    def read_out(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Potentials (N, classes) and spike times (N, classes) of the read-out."""
        last = list(self.layers.values())[-1]
        potentials, times = last.accumulate(last.currents(self.spikes(images)))
        return potentials, times

    def forward(self, images: Tensor) -> Tensor:
        """Scores (N, classes), the logarithm of the product in Eq. 12: potential minus spike time."""
        potentials, times = self.read_out(images)
        return potentials - times

    def loss(self, images: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Eq. 12, mean over the batch."""
        return hybrid_loss(*self.read_out(images), labels, label_smoothing)

    @torch.no_grad()
    def calibrate(self, images: Tensor, quantile: float = QUANTILE, scale: float = SCALE) -> None:
        """Section V-A: layer after layer, V = scale * quantile of the layer's input over neurons, images and steps.

        The read-out's V, which the paper leaves open, is the same quantile of its final potential, without the scale.
        """
        outputs = {INPUT: self.encode(images)}
        for name, layer in self.layers.items():
            currents = layer.currents(outputs)
            seen = layer.initial + currents.sum(0) if layer.read_out else currents
            factor = 1.0 if layer.read_out else scale
            layer.threshold.fill_(max(SMALLEST_THRESHOLD, factor * upper_quantile(seen, quantile)))
            if not layer.read_out:
                outputs[name] = layer.fire(currents)


def hybrid_loss(potentials: Tensor, times: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Eq. 11-12: -log of softmax(U) * softmax(-t) at the label, mean over the batch."""
    return (functional.cross_entropy(potentials.float(), labels, label_smoothing=label_smoothing)
            + functional.cross_entropy(-times.float(), labels, label_smoothing=label_smoothing))


def _without_norm(synapses: Synapses) -> Synapses:
    """The same connection with plain weights: no BatchNorm, no bias."""
    spec = replace(synapses.spec, norm=False, bias=False)
    plain = Synapses(spec, synapses.source_shape, synapses.shape[0])
    if plain.operator is not None:
        plain.operator.weight.data.copy_(synapses.folded()[0])
    return plain
