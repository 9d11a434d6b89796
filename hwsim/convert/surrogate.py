"""Integrate-and-fire neurons that a surrogate gradient trains: the SNN of paper 001, fine-tuned after Algorithm 1.

They take the place of activations in a source network that runs T timesteps of a batch at once: currents (T * N, C, H, W), the
timesteps one after the other, and the same image in each. A layer trains two numbers, the threshold V (alpha * mu at the start)
and what a spike is worth (beta * alpha * mu), and the network's answer is the mean over its timesteps.

The paper trains a leak as well and has no BatchNorm; here the leak stays 1, as the hardware's neuron has none, and BatchNorm
sees all timesteps alike, so that it folds into weights and a bias a timestep, as in every conversion.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SMALLEST = 1e-3
"""Thresholds are held at or above this: training cannot make one zero or negative."""
WINDOW = 2.0
"""The surrogate gradient is 1 for potentials from 0 to so many thresholds (section III-B)."""


class _Fire(torch.autograd.Function):
    """1 where the potential, in thresholds, is above 1, strictly; the gradient of it is 1 from 0 to WINDOW, else 0."""

    @staticmethod
    def forward(ctx: Any, ratio: Tensor) -> Tensor:
        ctx.save_for_backward(ratio)
        return (ratio > 1).to(ratio.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (ratio,) = ctx.saved_tensors
        return gradients[0] * ((ratio >= 0) & (ratio <= WINDOW))


class AlphaBeta(nn.Module):
    """Neurons that fire at U > V, are reset by V, and send `worth` a spike.

    timesteps   T; the first dimension of what comes in is T * N.      threshold   V and worth where training starts.
    Raises ValueError for a first dimension that is no multiple of T.
    """

    def __init__(self, timesteps: int, threshold: float) -> None:
        super().__init__()
        self.timesteps = timesteps
        self.raw_threshold = nn.Parameter(torch.tensor(float(threshold)))
        self.worth = nn.Parameter(torch.tensor(float(threshold)))

    @property
    def threshold(self) -> Tensor:
        """V."""
        return self.raw_threshold.clamp_min(SMALLEST)

    @property
    def ceiling(self) -> float:
        """The highest mean over timesteps that comes out: a spike in each."""
        return self.worth.item()

    @torch.no_grad()
    def start_at(self, threshold: float, worth: float | None = None) -> None:
        """Set V and what a spike is worth, V as well by default."""
        self.raw_threshold.fill_(threshold)
        self.worth.fill_(threshold if worth is None else worth)

    def forward(self, currents: Tensor) -> Tensor:
        if len(currents) % self.timesteps:
            raise ValueError(f"{len(currents)} currents are no multiple of the {self.timesteps} timesteps")
        threshold = self.threshold
        potential, sent = torch.zeros_like(currents[: len(currents) // self.timesteps]), []
        for current in currents.chunk(self.timesteps):
            potential = potential + current
            spikes = _Fire.apply(potential / threshold)
            # The reset is held constant for the potential, as in the training that the paper builds on (its reference 7).
            potential = potential - threshold * spikes.detach()
            sent.append(self.worth * spikes)
        return torch.cat(sent)
