"""A CACTI table between its points: a power law in capacity, linear in width, exact at the points.

Bytes, bits; values in the units of their column (hwsim/cost/technology/memory_tables.py). A bank below the smallest capacity, or
narrower than the narrowest word, has the figures of the smallest: an upper bound, since decoders and sense amplifiers do not
shrink.
"""

from __future__ import annotations

from hwsim.cores.parts import ArrayKind
from hwsim.cost.technology.curves import log_log
from hwsim.cost.technology.memory_tables import Metric, TableMemory


class Sweep:
    """One kind of array of a profile at one temperature."""

    def __init__(self, table: TableMemory, kind: ArrayKind, temperature_k: int) -> None:
        self.temperature_k = temperature_k
        self.arrays = table.of_kind(kind)

    @property
    def source(self) -> str:
        """Key of the profile's sources."""
        return self.arrays[0].source

    @property
    def smallest_bytes(self) -> int:
        return round(max(a.capacity_bytes[0] for a in self.arrays))

    @property
    def largest_bytes(self) -> int:
        return round(min(a.capacity_bytes[-1] for a in self.arrays))

    def at(self, metric: Metric, size: float, word_bits: int) -> float:
        """The figure of a bank of `size` bytes and words of `word_bits`, which are at most those of the widest array."""
        width = max(word_bits, self.arrays[0].word_bits)
        place = next(i for i, array in enumerate(self.arrays) if array.word_bits >= width)
        high = self.arrays[place]
        above = self._along(place, metric, size)
        if high.word_bits == width:
            return above
        low = self.arrays[place - 1]
        below = self._along(place - 1, metric, size)
        return below + (above - below) * (width - low.word_bits) / (high.word_bits - low.word_bits)

    def _along(self, place: int, metric: Metric, size: float) -> float:
        array = self.arrays[place]
        return log_log(array.capacity_bytes, array.column(metric, self.temperature_k), max(size, array.capacity_bytes[0]))
