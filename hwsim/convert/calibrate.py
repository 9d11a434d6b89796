"""What a source ANN's activations look like on training images: the percentiles that Algorithm 1 of paper 001 starts from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hwsim.convert.augment import Normaliser
from hwsim.convert.checkpoint import Checkpoint

PERCENTS = np.arange(101)


def activation_percentiles(
    checkpoint: Checkpoint, images: NDArray[np.uint8], batch: int = 50
) -> dict[str, NDArray[np.float64]]:
    """By layer, the 0, 1, ..., 100 % percentiles of its activations (after the ReLU) on images (N, H, W, C).

    Percentiles of each batch are averaged, so that memory does not grow with the number of images.
    """
    network = checkpoint.network()
    normalise = Normaliser(checkpoint.description.mean, checkpoint.description.std)
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in network.activations()}
    with torch.no_grad():
        for first in range(0, len(images), batch):
            outputs = network.outputs(normalise(torch.from_numpy(images[first : first + batch].copy())))
            for name, rows in found.items():
                rows.append(np.percentile(outputs[name].float().numpy(), PERCENTS))
    return {name: np.mean(rows, axis=0) for name, rows in found.items()}
