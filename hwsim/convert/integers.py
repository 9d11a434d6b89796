"""From real weights to integers: one scale a layer, the same for weights, bias, threshold and potential.

An event of a source is worth `unit` (a spike: its threshold; a bit: its least significant bit; a pixel: one step of the
payload), so a layer's integer weight is round(w * unit * scale), and every other number of the layer is its real value
times `scale`. The scale is the largest at which all weights fit `weight_bits`. Averages that fold into the events
(pool) have divided the weights already, which is the same as multiplying threshold, bias, initial potential and
sibling connections by k**2, as the papers do, without losing bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.convert.folded import FoldedSource, SourceLayer
from hwsim.errors import HwsimError
from hwsim.snn.network import Connection, InputSpec

IntArray = NDArray[np.int64]


class ConversionError(HwsimError):
    """An ANN that cannot be converted as asked; the text names layer, found, expected and what to do."""


@dataclass(frozen=True)
class Widths:
    """Bits of the integers. potential_bits None: the worst case of each layer (hwsim.convert.widths).

    pool_mode   how average pooling is done: `folded` into the events, or by a pooling `unit` that sends counts. A maximum stays
                one: the OR of binary spikes.
    """

    weight_bits: int = 8
    payload_bits: int = 8
    potential_bits: int | None = None
    pool_mode: Literal["folded", "unit"] = "folded"

    def __post_init__(self) -> None:
        for name, low, high in (("weight_bits", 2, 16), ("payload_bits", 2, 16)):
            if not low <= getattr(self, name) <= high:
                raise ConversionError(f"{name} is {getattr(self, name)}, expected {low} to {high}")
        if self.potential_bits is not None and not 2 <= self.potential_bits <= 63:
            raise ConversionError(f"potential_bits is {self.potential_bits}, expected 2 to 63, or none for the worst case")


USUAL_WIDTHS = Widths()


def check_timesteps(timesteps: int, highest: int = 64) -> None:
    """Refuse a T that no trace can have."""
    if not 1 <= timesteps <= highest:
        raise ConversionError(f"timesteps is {timesteps}, expected 1 to {highest}")


def input_unit(source: FoldedSource, widths: Widths) -> float:
    """Value of one step of the payloads that carry normalised pixels."""
    return source.largest_input / ((1 << (widths.payload_bits - source.signed_input)) - 1)


def input_spec(source: FoldedSource, widths: Widths) -> InputSpec:
    """Direct input of payloads, signed where a mean is taken out. Folding the mean into a bias instead would be wrong at a
    padded border."""
    return InputSpec(source.input_shape, "direct", 1, widths.payload_bits, signed=source.signed_input)


def payloads(source: FoldedSource, images: NDArray[Any], unit: float) -> NDArray[np.integer]:
    """Images (N, H, W, C) as the integers (N, 1, H, W, C) that a direct input sends. Values outside of the source's range, which
    bytes do not have, count as its ends."""
    top = round(source.largest_input / unit)
    found = np.clip(np.round(source.normalised(images) / unit), -top if source.signed_input else 0, top)
    return found.astype(np.int16 if source.signed_input else np.uint16)[:, None]


def weight_scale(layer: SourceLayer, units: Mapping[str, float], weight_bits: int) -> float:
    """The scale that the layer's weights were trained with, or the largest at which every one of them fits `weight_bits`."""
    if layer.rounded:
        return 1 / max(c.step * units[c.geometry.source] for c in layer.connections)
    largest = max(float(np.abs(c.weights).max()) * units[c.geometry.source] for c in layer.connections)
    if largest <= 0:
        raise ConversionError(f"layer {layer.name}: all its weights are zero, expected some that are not; it sends nothing "
                              "of its input: train it again, or leave it out")
    return ((1 << (weight_bits - 1)) - 1) / largest


def scaled(value: float | NDArray[np.float64], scale: float) -> IntArray:
    """Real numbers at a layer's scale, rounded to the nearest integer, (C, 1, 1) for a number a channel."""
    rounded = np.round(np.asarray(value, np.float64) * scale)
    worst = float(np.abs(rounded).max(initial=0))
    if not worst < 1 << 53:
        raise ConversionError(f"a bias or threshold becomes {worst:.3g} at the scale of its layer's weights, expected less than "
                              "2**53; it is out of all proportion: the training diverged, take an earlier checkpoint")
    return rounded.astype(np.int64).reshape(-1, 1, 1)


def threshold_at(threshold: float, scale: float) -> int:
    """A threshold at a layer's scale, 1 at least."""
    return max(1, int(scaled(threshold, scale).item()))


def level_scale(layer: SourceLayer, largest: float, weight_bits: int, level: float) -> tuple[int, float]:
    """A level of the layer as a whole number, and the scale at which it is one: at most a little below `largest`,
    that of its weights.

    Raises ConversionError for a level that would be less than one.
    """
    # What was trained as a whole number is one, but for the floats that hold level and steps.
    whole = round(level * largest) if layer.rounded else int(level * largest)
    if whole < 1:
        raise ConversionError(f"layer {layer.name}: one of its levels is worth less than one step of its {weight_bits}-bit "
                              f"weights; raise weight_bits or use fewer timesteps")
    return whole, whole / level


def biases(layer: SourceLayer, scale: float) -> IntArray | None:
    """The layer's biases at its scale; None where there are none, which then cost no addition."""
    return bias_integers(layer, scale) if layer.bias.any() else None


def bias_integers(layer: SourceLayer, scale: float, times: int = 1) -> IntArray:
    """The layer's biases, added up `times` times, at its scale.

    Of weights that were trained as integers, biases are as they were trained: rounded at the scale of one place of a pooling
    window, which the sum has `layer.window` times.
    """
    if not layer.rounded:
        return scaled(layer.bias * times, scale)
    return scaled(layer.bias, scale / layer.window) * (layer.window * times)


def connections(layer: SourceLayer, units: Mapping[str, float], scale: float, widths: Widths) -> tuple[Connection, ...]:
    """The layer's connections with integer weights. Trained integers end at the largest, which their real weights may pass."""
    found, largest = [], (1 << (widths.weight_bits - 1)) - 1
    for c in layer.connections:
        weights = np.clip(np.round(c.weights * units[c.geometry.source] * scale), -largest, largest).astype(np.int64)
        pool_mode = widths.pool_mode if c.geometry.pool_mode == "folded" else c.geometry.pool_mode
        found.append(replace(c.geometry, weights=weights, pool_mode=pool_mode))
    return tuple(found)
