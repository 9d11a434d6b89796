"""What is said of a layer whose input comes unevenly: neurons that fire more or less than if it came evenly (paper 002)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.snn.network import Layer

CASES = ("fires for nothing", "fires more", "fires less", "fires less than always")
"""Cases 1 to 4 of paper 002: evenly 0, more; evenly some, more; evenly some, less; evenly in each timestep, less."""


@dataclass(frozen=True)
class Unevenness:
    """A layer, over the neurons and samples that were counted.

    neurons   of the layer.        timesteps   T, those of the stage that counts.
    activity  (all planes,) share of neurons that send something, by timestep or bit.
    cases     (4,) share of neurons in each of CASES; None where even arrival says nothing.
    error     root mean square of fired less even count, as a share of T; `size` that of the even count.
    """

    layer: str
    neurons: int
    timesteps: int
    activity: tuple[float, ...]
    cases: tuple[float, ...] | None = None
    error: float | None = None
    size: float | None = None

    @property
    def uneven(self) -> float | None:
        """Share of neurons that fire another number of times than they would evenly."""
        return None if self.cases is None else sum(self.cases)


def cases_of(even: NDArray[np.int64], fired: NDArray[np.int64], timesteps: int) -> NDArray[np.int64]:
    """How many neurons are in each of CASES."""
    inside = (even > 0) & (even < timesteps)
    masks = ((even == 0) & (fired > 0), inside & (fired > even), inside & (fired < even), (even == timesteps) & (fired < even))
    return np.array([np.count_nonzero(mask) for mask in masks])


def first_counted(layer: Layer) -> int:
    """The timestep with which the stage that counts begins."""
    return layer.stages[-2] if layer.stages else 0


def counted_steps(layer: Layer) -> int:
    """Timesteps of the stage that counts."""
    return layer.timesteps - first_counted(layer)
