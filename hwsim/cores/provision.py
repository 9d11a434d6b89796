"""Which memories of a design a network uses. One that it does not use is off: no access, no leakage, no area.

This is the one rule of it, for spiking cores, their ANN twins and arrays alike. The network decides, never the data: a
replay without spikes keeps the memories that spikes would need. A core model asks here which
(`memories_used`). Names are those of `Architecture.capacities`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import UNIT_OF, VOCABULARY

if TYPE_CHECKING:
    from hwsim.passes import PassTable


def used_by_tables(tables: Iterable[PassTable]) -> tuple[str, ...]:
    """What cores that make passes use: weights, potentials and spikes always; the rest where a pass table asks for it.

    current   a layer with a direct input and several timesteps keeps the input's sum, or its neurons' currents outlive a step, or
              its events have a pipe of their own (R27).
    bias      a layer adds a bias, or its potentials start from values that differ.
    mask      a layer has flags.
    """
    used = {"weight", "membrane", "spike"}
    for table in tables:
        if table.direct:
            used.add("current")
        if table.addend is not None or table.clear_reads_bias:
            used.add("bias")
        if table.flagged:
            used.add("mask")
    return tuple(name for name in UNIT_OF if name in used)


def used_by_counts(counts: NDArray[np.int64]) -> tuple[str, ...]:
    """What a machine uses whose counts (..., len(EVENTS)) are the same for every sample: the memories that count."""
    sums = counts.reshape(-1, len(VOCABULARY)).sum(axis=0)
    units = {event.unit for event, count in zip(VOCABULARY, sums, strict=True) if count}
    return tuple(name for name, unit in UNIT_OF.items() if unit in units)
