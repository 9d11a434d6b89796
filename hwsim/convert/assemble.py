"""The skeleton of every conversion: the layers of a trained ANN in order, each in fixed point, wired to those before it.

A method says of one layer at a time what it is in integers (`Fixed`): its neurons, the scale that its real numbers are multiplied
by, and what one event that it sends is worth. `assemble` does the rest: weights at that scale times the unit of what they
receive, and potentials as wide as the worst case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwsim.convert.folded import FoldedSource, SourceLayer
from hwsim.convert.integers import Widths, bias_integers, connections, input_spec, input_unit, weight_scale
from hwsim.convert.widths import worst_case_bits
from hwsim.snn.network import INPUT, InputSpec, Layer, Network
from hwsim.snn.neurons import Neuron, ReadOut


@dataclass(frozen=True, eq=False)
class Fixed:
    """What a method makes of a layer.

    layer   all of it but its connections and its width.
    scale   integers of the layer per one of its real numbers.     unit   real value of one event that it sends.
    """

    layer: Layer
    scale: float
    unit: float = 0.0


Fix = Callable[[SourceLayer, float], Fixed]
"""Makes integers of a layer, given the largest scale at which its weights fit."""


def neurons(layer: SourceLayer, neuron: Neuron, timesteps: int, threshold: int | None = None, **more: Any) -> Layer:
    """The neurons of a layer, with one threshold for all timesteps or none; `more` are other fields of Layer."""
    theta = np.zeros(0, np.int64) if threshold is None else np.full(timesteps, threshold)
    return Layer(layer.name, layer.shape, (), neuron, timesteps, theta, **more)


def read_out(layer: SourceLayer, scale: float, timesteps: int, times: int, stages: tuple[int, ...] = ()) -> Fixed:
    """The last layer: sums all it gets; its bias counts once for each of `times` timesteps that are summed.

    Its potentials start at initial potential plus bias, so either can hold the bias: the initial potential does for weights
    that were trained as integers, as in the traces of such a network that are shipped.
    """
    made, bias = neurons(layer, ReadOut(), timesteps, stages=stages), bias_integers(layer, scale, times)
    return Fixed(replace(made, initial_potential=bias) if layer.rounded else replace(made, bias=bias), scale)


def assemble(spec: InputSpec, unit: float, layers: Iterable[SourceLayer], fix: Fix, widths: Widths) -> Network:
    """The network of `layers` behind an input whose payloads' least step is worth `unit`.

    Raises ConversionError for a layer whose weights are all zero, and whatever `fix` raises.
    """
    units, made = {INPUT: unit}, []
    for layer in layers:
        fixed = fix(layer, weight_scale(layer, units, widths.weight_bits))
        made.append(replace(fixed.layer, connections=connections(layer, units, fixed.scale, widths)))
        units[layer.name] = fixed.unit
    network = Network(spec, tuple(made))
    bits = worst_case_bits(network)
    sized = tuple(replace(layer, potential_bits=widths.potential_bits or bits[layer.name]) for layer in network)
    return Network(spec, sized)


def assemble_source(source: FoldedSource, fix: Fix, widths: Widths) -> Network:
    """The network of a folded ANN behind a direct input."""
    return assemble(input_spec(source, widths), input_unit(source, widths), source.layers, fix, widths)
