"""VGG-16 on CIFAR in the two sizes that papers mean: multiply-accumulates, weights and neurons by layer, from its shapes
alone.
"""

from __future__ import annotations

from dataclasses import dataclass

CONVOLUTIONS = ((64, 32), (64, 32), (128, 16), (128, 16), (256, 8), (256, 8), (256, 8), (512, 4), (512, 4), (512, 4),
                (512, 2), (512, 2), (512, 2))
"""Output channels and width of the image, for each 3 x 3 convolution."""
HEADS = {"512-10": (512, 10), "512-4096-4096-10": (512, 4096, 4096, 10)}
"""The classifier: the small one, and the one of the usual code."""


@dataclass(frozen=True)
class Shape:
    """One layer, for one sample."""

    macs: int
    weights: int
    neurons: int


def layers(head: str) -> tuple[Shape, ...]:
    """All layers with one of HEADS, padding counted."""
    found, channels = [], 3
    for out, width in CONVOLUTIONS:
        weights = 9 * channels * out
        found.append(Shape(weights * width * width, weights, out * width * width))
        channels = out
    sizes = HEADS[head]
    found += [Shape(a * b, a * b, b) for a, b in zip(sizes, sizes[1:], strict=False)]
    return tuple(found)
