"""AutoAugment's policy for CIFAR-10 (Cubuk et al., "AutoAugment: Learning Augmentation Policies from Data", CVPR 2019).

Each image gets one of 25 sub-policies: two operations, each with a probability and a magnitude of ten, evenly spaced over the
range of Table 6. As torchvision and the public code of QCFS read it: translations are shares of the side (150 of 331 pixels),
enhancements go 0.9 at most up or down from 1, and a random sign decides where there are two ways. What comes in from outside is
the mean colour, as in the authors' code, which also applies the policy before images are shifted, flipped and cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

Fill = int | tuple[int, ...]
Operation = Callable[[Image.Image, float, Fill], Image.Image]
Step = tuple[str, float, int]

POLICY: tuple[tuple[Step, Step], ...] = (
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("auto_contrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 7), ("auto_contrast", 0.4, 8)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("auto_contrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
    (("color", 0.9, 9), ("equalize", 0.6, 6)),
    (("auto_contrast", 0.8, 4), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("auto_contrast", 0.9, 3)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("auto_contrast", 0.9, 2), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate_y", 0.7, 9), ("auto_contrast", 0.9, 1)),
)
"""Sub-policies: (operation, probability, magnitude 0 to 9) twice. Table 7 of the paper, in its order."""
HIGHEST = 9


def _moved(image: Image.Image, matrix: tuple[float, ...], fill: Fill) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=fill)


def _pixels(side: int, strength: float) -> int:
    """How far a translation goes: towards zero, as torchvision rounds."""
    return math.trunc(150 / 331 * side * strength)


def _enhanced(how: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    return lambda image, strength, fill: how(image).enhance(1 + 0.9 * strength)


# Strength: magnitude / 9, negative half of the time where an operation has two ways.
SIGNED: dict[str, Operation] = {
    "shear_x": lambda image, strength, fill: _moved(image, (1, 0.3 * strength, 0, 0, 1, 0), fill),
    "shear_y": lambda image, strength, fill: _moved(image, (1, 0, 0, 0.3 * strength, 1, 0), fill),
    "translate_x": lambda image, strength, fill: _moved(image, (1, 0, -_pixels(image.width, strength), 0, 1, 0), fill),
    "translate_y": lambda image, strength, fill: _moved(image, (1, 0, 0, 0, 1, -_pixels(image.height, strength)), fill),
    "rotate": lambda image, strength, fill: image.rotate(30 * strength, Image.Resampling.NEAREST, fillcolor=fill),
    "color": _enhanced(ImageEnhance.Color),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
}
UNSIGNED: dict[str, Operation] = {
    "posterize": lambda image, strength, fill: ImageOps.posterize(image, 8 - round(4 * strength)),
    "solarize": lambda image, strength, fill: ImageOps.solarize(image, math.ceil(255 - 255 * strength)),
    "auto_contrast": lambda image, strength, fill: ImageOps.autocontrast(image),
    "equalize": lambda image, strength, fill: ImageOps.equalize(image),
    "invert": lambda image, strength, fill: ImageOps.invert(image),
}
"""The operations of Table 6, by their names there."""


def apply(name: str, image: Image.Image, magnitude: int, negative: bool, fill: Fill) -> Image.Image:
    """One operation at a magnitude 0 to 9; `fill` is the colour of what comes in from outside."""
    strength = magnitude / HIGHEST
    if name in SIGNED:
        return SIGNED[name](image, -strength if negative else strength, fill)
    return UNSIGNED[name](image, strength, fill)


def auto_augmented(images: NDArray[np.uint8], mean: tuple[float, ...], generator: torch.Generator) -> NDArray[np.uint8]:
    """Copies of images (N, H, W, C), 1 or 3 channels, each by a sub-policy of its own. mean: a number a channel, in units of 255.

    `generator` lives on the CPU; as many numbers are drawn for one batch as for another of the same size.
    """
    n, channels = len(images), images.shape[3]
    chosen = torch.randint(len(POLICY), (n,), generator=generator).tolist()
    happens = torch.rand((n, 2), generator=generator, dtype=torch.float64).tolist()
    negative = torch.randint(2, (n, 2), generator=generator).tolist()
    colour = tuple(round(255 * m) for m in mean)
    fill = colour if channels > 1 else colour[0]
    out = images.copy()
    for index, policy in enumerate(chosen):
        steps = [(name, magnitude, bool(sign)) for (name, probability, magnitude), draw, sign
                 in zip(POLICY[policy], happens[index], negative[index], strict=True) if draw < probability]
        if not steps:
            continue
        image = Image.fromarray(images[index] if channels > 1 else images[index, :, :, 0])
        for name, magnitude, sign in steps:
            image = apply(name, image, magnitude, sign, fill)
        out[index] = np.asarray(image).reshape(images.shape[1:])
    return out
