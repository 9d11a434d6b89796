"""Integrate-and-fire neurons that a surrogate gradient trains: the SNN of paper 001, fine-tuned after Algorithm 1.

They take the place of activations in a source network that runs T timesteps of a batch at once: currents (T * N, C, H, W), the
timesteps one after the other, and the same image in each. A layer trains two numbers, the threshold V (alpha * mu at the start)
and what a spike is worth (beta * alpha * mu), and the network's answer is the mean over its timesteps.

What the paper does not have: a scale that is trained on its own, and BatchNorm, which sees all timesteps alike, so that it folds
into weights and a bias a timestep, as in every conversion. What it has and this has not: a leak, which the hardware's neuron
does not have.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SMALLEST = 1e-3
"""Thresholds, steps and scales are held at or above this: training cannot make one zero or negative."""
WINDOW = 2.0
"""The surrogate gradient is that of the identity for potentials from 0 to so many thresholds (section III-B)."""
ROUNDING = 1e-5
"""In thresholds: a potential so little below 0 counts as 0. Without biases it is 0 in every neuron that no spike reaches, and a
convolution that rounds (Winograd's) makes a little less of half of them."""


class _Fire(torch.autograd.Function):
    """1 where the potential, in thresholds, is above 1, strictly; its gradient is 1 from 0 (within ROUNDING) to WINDOW."""

    @staticmethod
    def forward(ctx: Any, ratio: Tensor) -> Tensor:
        ctx.save_for_backward(ratio)
        return (ratio > 1).to(ratio.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (ratio,) = ctx.saved_tensors
        return gradients[0] * ((ratio >= -ROUNDING) & (ratio <= WINDOW))


class _Send(torch.autograd.Function):
    """scale * spikes; spikes get a gradient as if one were worth V, so that what is sent follows the potential with slope 1, the
    paper's. With the slope scale / V = beta, gradients would grow by beta a layer."""

    @staticmethod
    def forward(ctx: Any, spikes: Tensor, scale: Tensor, threshold: Tensor) -> Tensor:
        ctx.save_for_backward(spikes, threshold)
        return spikes * scale.to(spikes.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        spikes, threshold = ctx.saved_tensors
        of_scale = (gradients[0] * spikes).sum(dtype=torch.float64).to(threshold.dtype)
        return gradients[0] * threshold.to(spikes.dtype), of_scale, None


def held(x: Tensor) -> Tensor:
    """x, at SMALLEST or above; its gradient passes, so that training can lift it again."""
    return x.detach().clamp_min(SMALLEST) + (x - x.detach())


class AlphaBeta(nn.Module):
    """Neurons that fire at U > V, are reset by V, and send `scale` a spike. The reset passes its gradient on.

    timesteps   T; the first dimension of what comes in is T * N.      threshold   V and scale where training starts.
    Raises ValueError for a first dimension that is no multiple of T.
    """

    def __init__(self, timesteps: int, threshold: float) -> None:
        super().__init__()
        self.timesteps = timesteps
        self.raw_threshold = nn.Parameter(torch.tensor(float(threshold)))
        self.raw_scale = nn.Parameter(torch.tensor(float(threshold)))

    @property
    def threshold(self) -> Tensor:
        """V."""
        return held(self.raw_threshold)

    @property
    def scale(self) -> Tensor:
        """What a spike is worth."""
        return held(self.raw_scale)

    @property
    def ceiling(self) -> float:
        """The highest mean over timesteps that comes out: a spike in each."""
        return self.scale.item()

    @torch.no_grad()
    def start_at(self, threshold: float, scale: float) -> None:
        """Set V and what a spike is worth."""
        self.raw_threshold.fill_(threshold)
        self.raw_scale.fill_(scale)

    def forward(self, currents: Tensor) -> Tensor:
        if len(currents) % self.timesteps:
            raise ValueError(f"{len(currents)} currents are no multiple of the {self.timesteps} timesteps")
        threshold, scale = self.threshold, self.scale
        potential, sent = torch.zeros_like(currents[: len(currents) // self.timesteps]), []
        for current in currents.chunk(self.timesteps):
            potential = potential + current
            spikes = _Fire.apply(potential / threshold)
            potential = potential - threshold * spikes
            sent.append(_Send.apply(spikes, scale, threshold.detach()))
        return torch.cat(sent)
