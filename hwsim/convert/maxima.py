"""Maxima of windows by neurons: max(a, b) = a + ReLU(b - a), which levels of one step keep exactly.

The maximum of bit planes or of levels is not the OR of anything (8 and 7 give 15), and no unit of the hardware takes it. A tree
of differences does, in layers of the kind that every conversion has: the values of a window meet in pairs, and each pair leaves
a + ReLU(b - a). Level n of the tree is one layer that holds the ReLUs of all its pairs, side by side as channels; a last layer
adds up what is left, so that whoever reads the maximum sees one layer of the source's step. All weights are 1, 0 and -1, and
all thresholds one level, so the levels of an ANN and of its bit-serial twin are the maximum exactly. Spikes in time only
approach it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsim.convert.folded import SourceConnection, SourceLayer
from hwsim.snn.network import Connection, Shape

Terms = Mapping[str, NDArray[np.int64]]
"""A sum: by the name of what is read, its weights for one channel. Of the source, (K * K,), one per place of the window; of a
layer of the tree, one per ReLU that it holds."""


def maximum_layers(name: str, source: SourceLayer, kernel: int, stride: int, padding: int, shape: Shape) -> list[SourceLayer]:
    """Layers of which the last, `name` of `shape`, has the maximum of each kernel x kernel window of `source`'s outputs.

    Padding counts as zeros, which no output is below.
    """
    places = kernel * kernel
    sums: list[dict[str, NDArray[np.int64]]] = [{source.name: np.eye(places, dtype=np.int64)[k]} for k in range(places)]
    made: list[SourceLayer] = []

    def layer(title: str, rows: list[dict[str, NDArray[np.int64]]]) -> SourceLayer:
        """A layer with one ReLU of each of `rows` per channel of the source."""
        channels, wires = source.shape[0], []
        for read in dict.fromkeys(key for row in rows for key in row):
            held = next(len(row[read]) for row in rows if read in row)
            block = np.array([row.get(read, np.zeros(held, np.int64)) for row in rows])
            weights = np.tile(block, (channels, 1)).astype(np.float64)
            if read == source.name:
                geometry = Connection(read, "conv2d", source.shape, None, kernel, stride, padding, channels)
                weights = weights.reshape(-1, 1, kernel, kernel)
            else:
                before = next(x for x in made if x.name == read)
                geometry = Connection(read, "conv2d", before.shape, None, groups=channels)
                weights = weights.reshape(-1, held, 1, 1)
            wires.append(SourceConnection(geometry, weights, step=1.0))
        return replace(source, name=title, shape=(channels * len(rows), *shape[1:]), connections=tuple(wires),
                       bias=np.zeros(channels * len(rows)))

    level = 1
    while len(sums) > 1:
        pairs = [(sums[i], sums[i + 1]) for i in range(0, len(sums) - 1, 2)]
        made.append(layer(f"{name}.{level}", [_minus(b, a) for a, b in pairs]))
        held = np.eye(len(pairs), dtype=np.int64)
        sums = [{**a, made[-1].name: held[i]} for i, (a, _) in enumerate(pairs)] + sums[2 * len(pairs):]
        level += 1
    return [*made, layer(name, sums)]


def _minus(b: Terms, a: Terms) -> dict[str, NDArray[np.int64]]:
    """b - a; terms that cancel are left out."""
    found = {key: (b[key] if key in b else 0 * a[key]) - (a[key] if key in a else 0 * b[key]) for key in {**b, **a}}
    return {key: weights for key, weights in found.items() if weights.any()}
