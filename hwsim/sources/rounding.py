"""Weights that a source network rounds while it trains: integers times a step, the integers that `hwsim convert` then takes over.

Steps are chosen once, before such a training (hwsim.training.rounding), and stay as they are, as do the thresholds of the
network. The trained weights are real; every forward pass rounds them to the nearest integer. Gradients pass the
rounding as if it were the identity (straight-through estimator), and end where a weight is larger than its bits can say.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def rounded(x: Tensor) -> Tensor:
    """The nearest integers, with the gradient of x."""
    return x + (torch.round(x) - x).detach()


class Rounding(nn.Module):
    """The integers of one connection of `bits` bits: weights from -(2**(bits - 1) - 1) to 2**(bits - 1) - 1.

    weight_step   value of a weight of one.
    unit          value of one in the sum of the layer's inputs; biases are multiples of it.
    """

    weight_step: Tensor
    unit: Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.largest = (1 << (bits - 1)) - 1
        self.register_buffer("weight_step", torch.ones(()))
        self.register_buffer("unit", torch.ones(()))

    def weights(self, real: Tensor) -> Tensor:
        """The values of the integers nearest to real weights."""
        return rounded((real / self.weight_step).clamp(-self.largest, self.largest)) * self.weight_step

    def biases(self, real: Tensor) -> Tensor:
        """The multiples of `unit` nearest to real biases."""
        return rounded(real / self.unit) * self.unit
