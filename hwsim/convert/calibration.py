"""Levels for an ANN that was trained without any: by layer, the step that loses least on images, and biases that make up for it.

Layers are taken in order. Beside the real activations run those of the network as it is quantised so far: payloads, rounded
weights, levels. A layer's bias first gets the mean difference that this made to each channel's sum (bias correction: Nagel et
al. 2019, section 4.2, on data). Then its step is the one of CEILINGS, fractions of the largest activation, whose levels are
nearest to the real activations: the least mean square, rounding and clipping together.

Values are (1, N, H, W, C) in single precision, as hwsim.convert.evaluate has them with a timestep in front.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hwsim.capture.ann import Ann, AnnLayer, Maximum
from hwsim.convert.evaluate import connection_sums, pooled
from hwsim.convert.folded import FoldedSource, SourceConnection, SourceLayer
from hwsim.convert.integers import ConversionError, Widths, connections, input_unit, payloads, weight_scale
from hwsim.convert.maxima import maximum_layers
from hwsim.snn.network import INPUT

CEILINGS = np.arange(1, 81) / 80
"""Candidates for a layer's highest level, as fractions of its largest activation."""

SAMPLED = 200_000
"""Activations of a layer that the choice among CEILINGS looks at, evenly spread over all."""

SMALLEST = 2.0**-20
"""Full scale of a layer that nothing is known of."""

BATCH = 50
"""Images that are computed at once where activations are not kept."""

Values = dict[str, Tensor]
Progress = Callable[[int, int], None] | None


@dataclass(frozen=True, eq=False)
class Calibrated:
    """The ANN with levels.

    source     its layers, maxima among them as layers of neurons: what the conversions take.
    real       by name, layers as they were, with real weights and biases; `ann` says which are maxima.
    """

    ann: Ann
    source: FoldedSource
    real: Mapping[str, SourceLayer]


def real_layers(ann: Ann) -> dict[str, SourceLayer]:
    """The ANN's layers in double precision, without thresholds; maxima have none."""
    found = {}
    for layer in ann.layers:
        if isinstance(layer, AnnLayer):
            wires = tuple(SourceConnection(b.connection(), (
                np.ones(b.source_shape[0]) if b.weights is None else b.weights.astype(np.float64)) * b.gain)
                for b in layer.flow.branches)
            bias = np.zeros(layer.shape[0]) if layer.flow.bias is None else layer.flow.bias.astype(np.float64).reshape(-1)
            found[layer.name] = SourceLayer(layer.name, layer.shape, wires, bias)
            if not any(c.weights.any() for c in wires):
                raise ConversionError(f"layer {layer.name} ({layer.place}): all its weights are zero, expected some that are "
                                      "not; train it again, or leave it out")
    return found


@torch.no_grad()
def calibrate(
    ann: Ann, source: FoldedSource, images: np.ndarray, bits: int, widths: Widths, progress: Progress = None
) -> Calibrated:
    """The ANN with 2**bits levels a layer, chosen on images (N, H, W, C).

    source   the encoding of images: a FoldedSource without layers.
    """
    real, top = real_layers(ann), (1 << bits) - 1
    unit = input_unit(source, widths)
    units: dict[str, float] = {INPUT: unit}
    plain: Values = {INPUT: as_values(source.normalised(images))}
    coarse: Values = {INPUT: as_values(payloads(source, images, unit)[:, 0] * unit)}
    made: dict[str, SourceLayer] = {}
    layers: list[SourceLayer] = []
    for index, layer in enumerate(ann.layers):
        if isinstance(layer, Maximum):
            plain[layer.name], coarse[layer.name] = (maxima(layer, kept[layer.source]) for kept in (plain, coarse))
            tree = maximum_layers(layer.name, made[layer.source], layer.kernel, layer.stride, layer.padding, layer.shape)
            layers += tree
            made[layer.name] = tree[-1]
        else:
            now, sums = real[layer.name], current(real[layer.name], plain)
            rough = current(_rounded(now, units, widths), coarse)
            lost = (sums - rough).double().mean((0, 1, 2, 3))
            now, rough = replace(now, bias=now.bias + lost.numpy()), rough + lost.float()
            if layer.ceiling:
                plain[layer.name] = sums.clamp_(0, layer.ceiling)
                step = best_step(layer, plain[layer.name], rough, top)
                coarse[layer.name] = quantised(rough, step, top)
                now = replace(now, threshold=step * top, levels=top, top=top)
            layers.append(now)
            made[layer.name] = now
        units[layer.name] = made[layer.name].threshold / top
        for name in _last_read(ann, index):
            del plain[name], coarse[name]
        if progress:
            progress(index + 1, len(ann.layers))
    return Calibrated(ann, replace(source, layers=tuple(layers)), real)


def as_values(images: np.ndarray) -> Tensor:
    """Images (N, H, W, C) as values (1, N, H, W, C)."""
    return torch.from_numpy(np.ascontiguousarray(images, np.float32))[None]


def current(layer: SourceLayer, values: Mapping[str, Tensor]) -> Tensor:
    """What the layer's activation sees."""
    total = torch.from_numpy(layer.bias).to(next(iter(values.values())).dtype)
    for c in layer.connections:
        x = pooled(c.geometry, values[c.geometry.source])
        total = total + connection_sums(c.geometry, c.weights, x, layer.shape)
    return total


def maxima(layer: Maximum, x: Tensor) -> Tensor:
    """The largest value of each window."""
    flat = x.flatten(0, 1).permute(0, 3, 1, 2)
    flat = functional.pad(flat, (layer.padding,) * 4)
    return functional.max_pool2d(flat, layer.kernel, layer.stride).permute(0, 2, 3, 1)[None]


def quantised(sums: Tensor, step: float, top: int) -> Tensor:
    """step * clip(floor(z / step + 1/2), 0, top)."""
    return (sums / step + 0.5).floor_().clamp_(0, top) * step


def best_step(layer: AnnLayer, real: Tensor, rough: Tensor, top: int) -> float:
    """The step whose levels of `rough` sums are nearest to the real activations; the smaller of equally good ones."""
    stride = max(1, real.numel() // SAMPLED)
    wanted, sums = real.flatten()[::stride], rough.flatten()[::stride]
    largest = float(real.max())
    if largest <= 0 and layer.half:  # nothing of this sign: a full scale as large as the other sign's values
        return max(float(rough.abs().max()), SMALLEST) / top
    if largest <= 0:
        raise ConversionError(f"layer {layer.name} ({layer.place}): no activation is above zero on the {real.shape[1]} images, "
                              "expected some; give images as the network was trained on: scale, normalisation, channels")
    errors = [float((quantised(sums, largest * c / top, top) - wanted).square().sum(dtype=torch.float64)) for c in CEILINGS]
    return largest * float(CEILINGS[int(np.argmin(errors))]) / top


def real_outputs(ann: Ann, real: Mapping[str, SourceLayer], source: FoldedSource, images: np.ndarray) -> Values:
    """Real outputs of every layer for images (N, H, W, C), the logits last."""
    values: Values = {INPUT: as_values(source.normalised(images))}
    with torch.no_grad():
        for layer in ann.layers:
            if isinstance(layer, Maximum):
                values[layer.name] = maxima(layer, values[layer.source])
            else:
                sums = current(real[layer.name], values)
                values[layer.name] = sums.clamp_(0, layer.ceiling) if layer.ceiling else sums
    return values


def _rounded(layer: SourceLayer, units: Mapping[str, float], widths: Widths) -> SourceLayer:
    """The layer with weights as wide as the conversion's, which makes their scale a little smaller for a whole threshold."""
    scale = weight_scale(layer, units, widths.weight_bits)
    wires = connections(layer, units, scale, widths)
    rounded = []
    for c, wire in zip(layer.connections, wires, strict=True):
        assert wire.weights is not None
        rounded.append(replace(c, weights=wire.weights / (units[wire.source] * scale)))
    return replace(layer, connections=tuple(rounded))


def _last_read(ann: Ann, index: int) -> Sequence[str]:
    """What nobody reads any more after layer `index`, so that few activations are kept."""
    later = {name for layer in ann.layers[index + 1:] for name in layer.sources}
    return [name for name in dict.fromkeys(ann.layers[index].sources) if name not in later]
