"""Batches of training images: normalised, flipped, shifted and with a square cut out, all on the whole batch at once.
AutoAugment, image by image, comes before (hwsim.training.autoaugment).

Images are uint8 (N, H, W, C) in, float32 (N, C, H, W) in channels-last memory out: the order of the bytes stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """flip: half of the images, left to right. shift: up to so many pixels each way, the mean colour comes in.
    cutout: side of a square of mean colour at a random place, 0 for none (DeVries, Taylor 2017). autoaugment: the policy of
    Cubuk et al. 2019 for CIFAR-10."""

    flip: bool = True
    shift: int = 4
    cutout: int = 0
    autoaugment: bool = False


def augmented(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Flipped, shifted and cut copies of normalised images (N, C, H, W); `generator` lives on the CPU.

    The mean colour is 0, because the images are normalised; the padding of the network's convolutions is the same.
    """
    n, _, height, width = images.shape
    draw = lambda high: torch.randint(0, high, (n, 1), generator=generator)  # noqa: E731
    rows = torch.arange(height) + draw(2 * how.shift + 1) - how.shift
    columns = torch.arange(width) + draw(2 * how.shift + 1) - how.shift
    if how.flip:
        columns = torch.where(draw(2) == 0, columns, columns.flip(1))
    keep = _inside(rows, height)[:, :, None] & _inside(columns, width)[:, None, :]
    if how.cutout:
        # A square that may reach over the edge: its centre is any pixel.
        row = _beside(torch.arange(height), draw(height), how.cutout)
        column = _beside(torch.arange(width), draw(width), how.cutout)
        keep &= ~(row[:, :, None] & column[:, None, :])
    device = images.device
    rows, columns = rows.clamp(0, height - 1).to(device), columns.clamp(0, width - 1).to(device)
    picked = images.permute(0, 2, 3, 1)[torch.arange(n, device=device)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return (picked * keep.to(device)[..., None]).permute(0, 3, 1, 2)


def _inside(index: Tensor, size: int) -> Tensor:
    return (index >= 0) & (index < size)


def _beside(index: Tensor, centre: Tensor, side: int) -> Tensor:
    """Which of the indices lie in the `side` ones around each centre: (N, len(index))."""
    first = centre - side // 2
    return (index >= first) & (index < first + side)
