"""Energy as sums alone, without a row for each price: counts in arrays times prices, pJ in each scope.

The frames of hwsim/cost/energy.py say what each picojoule is for, and take much longer to make. Both multiply the same counts by
the same prices. An array of energies has the scopes on its last axis: compute (the papers' arithmetic), core, and the channel,
which with the core is the system (`by_scope`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.activity import EVENTS, INDEX
from hwsim.cost.energy import EnergyError, core_prices, cycle_charges
from hwsim.cost.leakage import waiting_leaks, working_leaks
from hwsim.cost.overrides import PRICED, Overrides

if TYPE_CHECKING:
    from hwsim.arch import Architecture

_COSTS = np.array([event in PRICED for event in EVENTS])
"""Events of the vocabulary that have prices; the others count cycles."""


def counted_pj(
    counts: NDArray[Any], arch: Architecture, layers: Sequence[str], overrides: Overrides, used: Collection[str] | None,
    payload_bits: Mapping[str, int], value_bits: Mapping[str, int],
) -> NDArray[np.float64]:
    """(n, 3) pJ of (n, cores, layers + 1, events) counts, integers or means; the last layer is the input.

    Arguments are those of `price_activity`, and so are the errors: only what is counted needs a price.
    """
    places = np.argwhere(_COSTS & (counts != 0).any(axis=0))
    kinds = [core_prices(one, overrides, used) for one, _ in arch.kinds()]
    of_core = [kinds[i] for i, design in enumerate(arch.cores) for _ in range(design.count)]
    names, found = [*layers, ""], np.zeros((len(places), 3))
    for at, (core, layer, event) in enumerate(places.tolist()):
        name, bits = EVENTS[event], 0
        if name == "mult":
            if names[layer] not in payload_bits:
                raise EnergyError(f"mult: layer {names[layer]} multiplies; give its width in payload_bits")
            bits = payload_bits[names[layer]]
        elif name == "payload_read_bits":
            bits = value_bits.get(names[layer], 0)
        elif name == "acc_add" and counts[:, core, layer, INDEX["sum_add"]].any():
            bits = of_core[core].arch.only.plane_sums
        found[at] = of_core[core].by_scope(name, bits)
    kept = counts[:, places[:, 0], places[:, 1], places[:, 2]]
    # A sum for each scope and sample: a matrix product would round by how many samples there are.
    return np.stack([(kept * found[:, scope]).sum(axis=1) for scope in range(3)], axis=1)


def working_pj(arch: Architecture, overrides: Overrides, used: Collection[str] | None) -> NDArray[np.float64]:
    """(3,) pJ of one elapsed cycle of a sample, whatever happens in it: leakage, and what logic costs."""
    leaks = sum(leak.mw for leak in working_leaks(arch, overrides, used)) * arch.period_ns
    return np.array([0.0, leaks + clocked_pj(arch, used), 0.0])


def waiting_pj(arch: Architecture, overrides: Overrides, used: Collection[str] | None) -> NDArray[np.float64]:
    """(3,) pJ that leak in one cycle between samples."""
    return np.array([0.0, sum(leak.mw for leak in waiting_leaks(arch, overrides, used)) * arch.period_ns, 0.0])


def clocked_pj(arch: Architecture, used: Collection[str] | None) -> float:
    """pJ that logic costs in a cycle in which the clock goes, whatever happens in it."""
    return sum(pj for _, pj, _, _ in cycle_charges(arch, used))


def by_scope(pj: NDArray[np.float64]) -> dict[str, float]:
    """(3,) energies as the three scopes that results show: the system's is that of core and channel."""
    compute, core, channel = map(float, pj)
    return {"compute": compute, "core": core, "system": core + channel}
