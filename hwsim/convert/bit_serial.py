"""Bit-serial conversion (paper 000): T bit planes carry the T bits of an activation's level, exactly.

At T = log2 Q the network computes what its quantised ANN computes, on every neuron. Corrections to the printed
equations (docs/methods.md lists what each printed one would do): levels 0 to 2^T - 1, rounding offset theta / 2^(T+1) once,
spikes most significant first, BatchNorm shift gamma mu / sigma. The shift beta_c = beta / T + (1 - 1/T) gamma mu / sigma of the
appendix makes T per-plane BatchNorms add up to one; here BatchNorm is folded and its bias enters once, which is the same
sum (tests/convert/test_printed_equations.py proves it on the per-plane form).

Below log2 Q, `refire` quantises anew: thresholds and offset are those of the T that is run; `truncate` keeps the offset
of the trained Q, so a neuron sends the top T bits of its trained level (mean error -.100 against -.029 of a threshold at
T = 2, for uniform activations).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from hwsim.convert.assemble import Fixed, assemble_source, neurons, read_out
from hwsim.convert.base import Built, Method, Request, folded
from hwsim.convert.folded import FoldedSource, SourceLayer
from hwsim.convert.integers import USUAL_WIDTHS, ConversionError, Widths, bias_integers, check_timesteps, level_scale
from hwsim.snn.network import Network
from hwsim.snn.neurons import BitSerial, Requantise
from hwsim.sources.checkpoint import Checkpoint
from hwsim.sources.data import Dataset


def to_bit_serial(
    source: FoldedSource, timesteps: int, widths: Widths = USUAL_WIDTHS, below: Literal["refire", "truncate"] = "refire"
) -> Network:
    """The bit-serial SNN of `timesteps` bits. Its thresholds are multiples of 2**T, so every shift divides exactly."""
    check_timesteps(timesteps, 16)
    return _convert(source, timesteps, widths, below, spiking=True)


def to_quantised_ann(source: FoldedSource, bits: int, widths: Widths = USUAL_WIDTHS) -> Network:
    """The integer ANN of the same weights and levels: what the bit-serial SNN equals, and the baseline's workload."""
    check_timesteps(bits, 16)
    return _convert(source, bits, widths, "refire", spiking=False)


def _convert(source: FoldedSource, bits: int, widths: Widths, below: str, spiking: bool) -> Network:
    def fix(layer: SourceLayer, scale: float) -> Fixed:
        if not layer.fires:
            return read_out(layer, scale, bits if spiking else 1, times=1)
        return _fixed(layer, scale, bits, widths, below, spiking)

    return assemble_source(source, fix, widths)


def _level(layer: SourceLayer, bits: int) -> float:
    """Value of one level: the trained step where the trained levels fill the bits (Q = 2**T of QCFS, p = 2**T - 1 of LSQ)."""
    return layer.threshold / (layer.levels if layer.top == (1 << bits) - 1 else 1 << bits)


def _fixed(layer: SourceLayer, largest: float, bits: int, widths: Widths, below: str, spiking: bool) -> Fixed:
    """One level is a whole number: then every bit's threshold is too."""
    level = _level(layer, bits)
    lsb, scale = level_scale(layer, largest, widths.weight_bits, level)
    offset = lsb // 2
    if below == "truncate":
        if layer.levels < 1 << bits:
            raise ConversionError(f"layer {layer.name}: truncation drops bits of its {layer.levels} trained levels, and "
                                  f"{bits} timesteps need {1 << bits}; use fewer timesteps, or refire")
        offset = (lsb << bits) // (2 * layer.levels)
    held = {"bias": bias_integers(layer, scale), "initial_potential": np.full((1, 1, 1), offset, np.int64)}
    made = (neurons(layer, BitSerial(), bits, lsb << bits, **held) if spiking
            else neurons(layer, Requantise(), 1, lsb, payload_bits=bits, **held))
    return Fixed(made, scale, unit=level)


def _bit_serial(request: Request, checkpoint: Checkpoint, data: Dataset) -> Built:
    source, inputs = folded(request, checkpoint)
    network = to_bit_serial(source, request.timesteps, request.widths, request.below)
    return network, inputs, {"below": request.below}


def _ann(request: Request, checkpoint: Checkpoint, data: Dataset) -> Built:
    source, inputs = folded(request, checkpoint)
    return to_quantised_ann(source, request.timesteps, request.widths), inputs, {}


BIT_SERIAL = Method("bit_serial", "000", "bit planes, T = log2 Q is lossless", ("qcfs",), _bit_serial, maximum=False)
QUANTISED_ANN = Method("ann", "-", "quantised integer ANN, T bits", ("qcfs", "lsq"), _ann, maximum=False)
