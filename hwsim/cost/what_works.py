"""What would work where a design's node or supply is beyond its tables: found by trying, so that it is what pricing really takes.

A rule of scaling names its own range in its error. A design has several tables, each with a range; this names the supplies and
nodes at which all of them can be priced together, and the memory profiles that can at the node and supply that were asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hwsim.cost.technology.sources import shipped
from hwsim.errors import HwsimError

if TYPE_CHECKING:
    from hwsim.arch import Architecture

SUPPLIES_V = tuple(n / 20 for n in range(6, 31))
"""0.3 to 1.5 V, all that an architecture may say, by 0.05 V."""
NODES_NM = (180.0, 130.0, 90.0, 65.0, 45.0, 32.0, 28.0, 22.0, 20.0, 16.0, 14.0, 10.0, 7.0)


def what_works(arch: Architecture, price: Callable[[Architecture], object]) -> str:
    """Sentences for an error; `price` raises for a chip that cannot be priced."""
    tech = arch.technology

    def works(**changes: Any) -> bool:
        try:
            price(arch.model_copy(update={"technology": tech.model_copy(update=changes)}))
        except HwsimError:
            return False
        return True

    memories = [name for name in shipped("memory") if name != tech.memory and works(memory=name)]
    supplies = [volts for volts in SUPPLIES_V if works(vdd_v=volts)]
    # At another node a design gives a number for leakage; any will do to find out about the rest.
    nodes = [node for node in NODES_NM if works(node_nm=node, leakage_over_table=tech.leakage_over_table or 1.0)]
    found = [
        f"technology.vdd_v of {_values(supplies, SUPPLIES_V)} V" if supplies else "",
        f"technology.node_nm of {_values(nodes, NODES_NM)}" if nodes else "",
        f"technology.memory: {' or '.join(memories)}" if memories else "",
    ]
    here = f"{tech.node_nm:g} nm, {tech.vdd_v:g} V"
    listed = [text for text in found if text]
    if not listed:
        return (f"What would work: more than one change; from {here}, no other supply (0.3 to 1.5 V), node or shipped memory "
                "profile alone works with these tables")
    nodes_note = " (with technology.leakage_over_table beside another node than the tables')" if nodes else ""
    return f"What would work, one at a time: {'; '.join(listed)}{nodes_note}"


def _values(works: Sequence[float], tried: Sequence[float]) -> str:
    """Numbers in rising order as ranges, within which every one that was tried works: `0.7 to 0.9`, `22, 45 to 65`."""
    runs: list[list[float]] = []
    for number in sorted(works):
        follows = runs and not any(runs[-1][-1] < between < number for between in tried)
        runs[-1].append(number) if follows else runs.append([number])
    return ", ".join(f"{run[0]:g} to {run[-1]:g}" if len(run) > 1 else f"{run[0]:g}" for run in runs)
