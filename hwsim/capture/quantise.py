"""Float synapses of one layer as integers on one scale, exactly where that is possible.

All weights, the bias and the threshold of a layer are multiplied by one scale S, so potentials are S times the graph's.
Whole numbers, and fractions with a small power of two (and the window's size, for average pooling) as denominator, are
exact; anything else is rounded to `weight_bits` bits with the largest weight at full range, and says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.capture.errors import UnsupportedError
from hwsim.capture.flow import Branch, Flow

MOST_FRACTION_BITS = 24


@dataclass(frozen=True, eq=False)
class Scaled:
    """Integer weights by branch, the float bias times `scale` as integers or None, the scale, and whether nothing was rounded."""

    weights: list[NDArray[np.int64]]
    bias: NDArray[np.int64] | None
    scale: float
    exact: bool


def effective_weights(branch: Branch) -> NDArray[np.float64]:
    """Float weights with the branch's gain; an identity has one weight a channel."""
    weights = np.ones(branch.source_shape[0]) if branch.weights is None else branch.weights
    return np.asarray(weights, np.float64) * branch.gain


def quantise(flow: Flow, weight_bits: int, threshold: float | None, leaky: bool) -> Scaled:
    """Integers for a layer's synapses. Raises UnsupportedError when there is nothing to scale by."""
    floats = [effective_weights(b) for b in flow.branches]
    heaviest = max(float(np.abs(w).max()) for w in floats)
    if heaviest == 0:
        raise UnsupportedError("weights that are all 0", "some that are not", "leave the layer out")
    limit = (1 << weight_bits - 1) - 1
    others = [] if flow.bias is None else [flow.bias]
    others += [] if threshold is None else [np.array(threshold)]
    scales = [s for s in _candidates(flow) if heaviest * s <= limit + 0.5 and all(_whole(a * s) for a in floats + others)]
    # A leak shifts bits out: the larger the scale, the less is lost.
    scale = (scales[-1] if leaky else scales[0]) if scales else limit / heaviest
    weights = [np.rint(w * scale).astype(np.int64) for w in floats]
    bias = None if flow.bias is None else np.rint(flow.bias * scale).astype(np.int64)
    return Scaled(weights, bias, scale, bool(scales))


def _candidates(flow: Flow) -> list[float]:
    window = math.lcm(*(b.pool**2 for b in flow.branches))
    return sorted({float(base << f) for base in (1, window) for f in range(MOST_FRACTION_BITS + 1)})


def _whole(values: NDArray[np.float64]) -> bool:
    """Whether all are whole to nine digits of the largest: 1 / 9 times 9 is, a small number is not 0."""
    return bool((np.abs(values - np.rint(values)) <= 1e-9 * np.abs(values).max()).all())
