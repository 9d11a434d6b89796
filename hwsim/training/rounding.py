"""Where a training without BatchNorms begins, which are folded; with integer weights also the steps of weights and biases, which
it then keeps.

Steps are those that `hwsim convert` would choose for the same real weights (hwsim.convert.integers): the largest weight of a
layer fills its bits, and a level of the layer is a whole number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from hwsim.convert.folded import fold
from hwsim.convert.integers import Widths, input_unit, level_scale, weight_scale
from hwsim.snn.network import INPUT
from hwsim.sources.networks import SourceNetwork


@torch.no_grad()
def fold_into(network: SourceNetwork, source: SourceNetwork) -> None:
    """Give a network without BatchNorms the weights of `source`, its BatchNorms folded; all biases of a layer become that of its
    first connection, where it has one."""
    for mine, its in zip(network.layers.values(), source.layers.values(), strict=True):
        for to, synapses in zip(mine.connections, its.connections, strict=True):
            if to.operator is not None:
                to.operator.weight.copy_(synapses.folded()[0])
        for to in mine.connections[1:]:
            if to.operator is not None and to.biased:
                to.operator.bias.zero_()
        if mine.connections[0].biased:
            mine.connections[0].operator.bias.copy_(its.folded_bias())


@torch.no_grad()
def choose_steps(network: SourceNetwork, weight_bits: int, mean: Sequence[float], std: Sequence[float]) -> None:
    """Set the steps of a network whose weights are rounded; its weights and thresholds are those to begin with.

    mean, std   what images are normalised with, by channel, in units of 255; pixels then come in payloads of the usual width.
    Raises ConversionError for weights that are all zero, or levels too close for weights of so few bits.
    """
    source, widths = fold(network, mean, std), Widths(weight_bits)
    units = {INPUT: input_unit(source, widths)}
    for layer in source.layers:
        free = replace(layer, connections=tuple(replace(c, step=0.0) for c in layer.connections))
        scale = weight_scale(free, units, weight_bits)
        if layer.fires:
            level = layer.threshold / layer.levels
            _, scale = level_scale(free, scale, weight_bits, level)
            units[layer.name] = level
        for synapses, c in zip(network.layers[layer.name].connections, layer.connections, strict=True):
            synapses.rounding.unit.fill_(layer.window / scale)
            synapses.rounding.weight_step.fill_(c.window / (units[c.geometry.source] * scale))
