"""What a source ANN's activations look like on training images: the percentiles that Algorithm 1 of paper 001 starts from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hwsim.sources.networks import SourceNetwork

PERCENTS = np.arange(101)
CALIBRATION_IMAGES = 500
"""Training images that a calibration looks at, if not asked for others."""


def activation_percentiles(
    network: SourceNetwork, images: torch.Tensor, batch: int = 50
) -> dict[str, NDArray[np.float64]]:
    """By layer, the 0, 1, ..., 100 % percentiles of its activations (after the ReLU) on normalised images (N, C, H, W).

    Percentiles of each batch are averaged, so that activations of a few images are in memory only.
    """
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in network.activations()}
    with torch.no_grad():
        for part in images.split(batch):
            outputs = network.outputs(part)
            for name, rows in found.items():
                rows.append(np.percentile(outputs[name].float().cpu().numpy(), PERCENTS))
    return {name: np.mean(rows, axis=0) for name, rows in found.items()}
