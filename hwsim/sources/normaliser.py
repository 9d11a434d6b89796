"""From pixels to what a source network takes: normalised by channel, in channels-last memory."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


class Normaliser:
    """(pixel / 255 - mean) / std, a channel; then averaged over `shrink` x `shrink` pixels."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], device: torch.device | str = "cpu",
                 shrink: int = 1) -> None:
        self.shrink = shrink
        self.scale = (1 / (255 * torch.tensor(std, dtype=torch.float64))).float().to(device)
        self.shift = -(torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)).float().to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """float32 (N, C, H / shrink, W / shrink) of uint8 images (N, H, W, C)."""
        return self.shrunk(self.whole(images))

    def whole(self, images: Tensor) -> Tensor:
        """float32 (N, C, H, W) of uint8 images (N, H, W, C), of the size they have."""
        return torch.addcmul(self.shift, images.float(), self.scale).permute(0, 3, 1, 2)

    def shrunk(self, images: Tensor) -> Tensor:
        """Averages of normalised images (N, C, H, W)."""
        return images if self.shrink == 1 else functional.avg_pool2d(images, self.shrink)
