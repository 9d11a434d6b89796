"""Lemaire et al. 2022: operations, addresses, and every access of a memory of its own for each layer, priced by that memory's
size.

For each layer, theta spikes at its input, N neurons, T steps: an SNN's convolution reads theta inputs, theta C_out k k weights,
and reads and writes theta C_out k k + T N potentials; it adds theta ceil(k / S)^2 C_out + T N (bias) + theta_out, multiplies T
N where it leaks, and finds addresses with 2 multiply-accumulates per spike and theta C_out k k additions. Layers that receive
values are done densely. Two errors of the article are not followed: fully connected operations times N_in, and the missing
reset. Words of 32 bits, pJ.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, prod

import numpy as np

from hwsim.accounts.base import Account, Bill, Line
from hwsim.accounts.work import ConnectionWork, LayerWork, Work

WORD_BYTES = 4
SIZES = ("0", "8", "32", "1024")
"""KiB of the memories whose access is given; between them, straight lines."""


class Lemaire2022(Account):
    """An analytical estimation of spiking neural networks energy efficiency."""

    def snn(self, work: Work) -> Bill:
        return merged(line for layer in work.layers for line in self._snn_layer(work, layer))

    def ann(self, work: Work, ann: Work | None) -> Bill:
        return merged(line for layer in work.layers for line in self._ann_layer(layer))

    def access_pj(self, words: float) -> float:
        """Of a word of 32 bits in a memory of so many words."""
        kib = [float(size) for size in SIZES]
        return float(np.interp(words * WORD_BYTES / 1024, kib, [self.number(f"access_{size}_kib") for size in SIZES]))

    def _snn_layer(self, work: Work, layer: LayerWork) -> Iterator[Line]:
        steps = layer.neurons * layer.timesteps
        fifo = self.access_pj(self.number("fifo_words"))
        for n, c in enumerate(found for found in layer.connections if not found.is_identity):
            bias = layer.layer.bias is not None and n == 0
            rows = layer.neurons if bias else 0
            for _ in range(c.value_planes):
                yield from self._dense(layer, c, bias, rows)
            yield from self._event_driven(work, layer, c, bias, rows * (c.planes - c.value_planes))
        if layer.layer.sends:
            potential = self.access_pj(layer.neurons)
            yield Line("potentials", 2 * steps, potential)
            yield Line("outputs", work.per_sample(layer.spikes), fifo)
            yield Line("additions", work.per_sample(layer.spikes), self.number("e_add"))
            if layer.layer.neuron.leaks:
                yield Line("multiplications", steps, self.number("e_mul") + self.number("e_add"))

    def _event_driven(self, work: Work, layer: LayerWork, c: ConnectionWork, bias: bool, rows: int) -> Iterator[Line]:
        spikes = work.per_sample(c.events["spikes"])
        channels = c.shape[0] // c.connection.groups
        along = [(1, 1)] if c.connection.operator == "linear" else [(a.kernel, a.stride) for a in c.connection.axes]
        reached = spikes * channels * prod(k for k, _ in along)
        add, weights = self.number("e_add"), self.access_pj(self._weights(layer, c, bias))
        yield Line("inputs", spikes, self.access_pj(self.number("fifo_words")))
        yield Line("weights", reached + rows, weights)
        yield Line("potentials", 2 * reached, self.access_pj(layer.neurons))
        yield Line("additions", spikes * channels * prod(ceil(k / s) for k, s in along) + rows, add)
        yield Line("addresses", reached, add)
        if c.connection.operator != "linear":
            yield Line("addresses", 2 * spikes, self.number("e_mul") + add)

    def _dense(self, layer: LayerWork, c: ConnectionWork, bias: bool, rows: int) -> Iterator[Line]:
        inputs, linear = int(np.prod(c.grid)), c.connection.operator == "linear"
        add = self.number("e_add")
        yield Line("inputs", inputs if linear else c.dense_macs, self.access_pj(inputs))
        yield Line("weights", c.dense_macs + rows, self.access_pj(self._weights(layer, c, bias)))
        yield Line("multiplications", c.dense_macs, self.number("e_mul") + add)
        yield Line("additions", rows, add)
        yield Line("addresses", inputs + layer.neurons + (0 if linear else c.shape[0] * c.connection.taps), add)

    def _ann_layer(self, layer: LayerWork) -> Iterator[Line]:
        for n, c in enumerate(found for found in layer.connections if not found.is_identity):
            bias = layer.layer.bias is not None and n == 0
            yield from self._dense(layer, c, bias, layer.neurons if bias else 0)
            yield Line("outputs", layer.neurons, self.access_pj(layer.neurons))

    @staticmethod
    def _weights(layer: LayerWork, c: ConnectionWork, bias: bool) -> int:
        return c.weights + (layer.layer.shape[0] if bias else 0)


def merged(lines: Iterator[Line]) -> Bill:
    """One line for each thing: counts added up, at their mean price."""
    sums: dict[str, tuple[float, float]] = {}
    for line in lines:
        count, amount = sums.get(line.what, (0.0, 0.0))
        sums[line.what] = (count + line.count, amount + line.amount)
    return tuple(Line(what, count, amount / count if count else 0.0) for what, (count, amount) in sums.items())
