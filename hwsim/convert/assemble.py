"""The skeleton of every conversion: the layers of a trained ANN in order, each in fixed point, wired to those before it.

A method says of one layer at a time what it is in integers (`FixedLayer`): its neuron, the scale that its real numbers are
multiplied by, its thresholds, and what one event that it sends is worth. `assemble` does the rest: weights at that scale times
the worth of what they receive, and potentials as wide as the worst case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from hwsim.convert.integers import IntArray, Widths, connections, input_spec, input_unit, scaled, weight_scale
from hwsim.convert.source import FoldedSource, SourceLayer
from hwsim.convert.widths import worst_case_bits
from hwsim.snn.network import INPUT, InputSpec, Layer, Network
from hwsim.snn.neurons import Neuron, ReadOut


@dataclass(frozen=True, eq=False)
class FixedLayer:
    """What a method makes of a layer; timesteps to stages are those of hwsim.snn.network.Layer.

    scale   integers of the layer per one of its real numbers.     worth   real value of one event that it sends.
    """

    neuron: Neuron
    scale: float
    worth: float
    timesteps: int
    thresholds: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    bias: IntArray | None = None
    initial_potential: IntArray = field(default_factory=lambda: np.zeros((1, 1, 1), np.int64))
    payload_bits: int = 0
    stages: tuple[int, ...] = ()


Fix = Callable[[SourceLayer, float], FixedLayer]
"""Makes integers of a layer, given the largest scale at which its weights fit."""


def read_out(layer: SourceLayer, scale: float, timesteps: int, times: int, stages: tuple[int, ...] = ()) -> FixedLayer:
    """The last layer: sums all it gets; its bias counts once for each of `times` timesteps that are summed."""
    return FixedLayer(ReadOut(), scale, 0.0, timesteps, bias=scaled(layer.bias * times, scale), stages=stages)


def assemble(spec: InputSpec, unit: float, layers: Iterable[SourceLayer], fix: Fix, widths: Widths) -> Network:
    """The network of `layers` behind an input whose payloads' least step is worth `unit`.

    Raises ConversionError for a layer whose weights are all zero, and whatever `fix` raises.
    """
    units, made = {INPUT: unit}, []
    for layer in layers:
        fixed = fix(layer, weight_scale(layer, units, widths.weight_bits))
        made.append(Layer(
            layer.name, layer.shape, connections(layer, units, fixed.scale, widths), fixed.neuron, fixed.timesteps,
            fixed.thresholds, fixed.bias, fixed.initial_potential, payload_bits=fixed.payload_bits, stages=fixed.stages))
        units[layer.name] = fixed.worth
    network = Network(spec, tuple(made))
    bits = worst_case_bits(network)
    sized = tuple(replace(layer, potential_bits=widths.potential_bits or bits[layer.name]) for layer in network)
    return Network(spec, sized)


def assemble_source(source: FoldedSource, fix: Fix, widths: Widths) -> Network:
    """The network of a folded ANN behind a direct input."""
    return assemble(input_spec(source, widths), input_unit(source, widths), source.layers, fix, widths)
