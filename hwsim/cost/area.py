"""What a design is made of, and what it takes: the logic of its core, its silicon area (um2) and leakage (mW).

The blocks of synthesised logic (hwsim/cost/logic.py), or the parts of a core of which none was synthesised, and the memories that
are on: area and leakage are both sums over them, so that nothing leaks that takes no area. Everywhere below, `used` names the
memories that are on (hwsim/cores/provision.py tells which a network uses); None means every memory of the design. Figures come
from the design's tables (hwsim/cost/technology), each with its source. Wires, pads, the clock tree and white space are not in it
(docs/energy-model.md).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.activity import UNIT_OF
from hwsim.cores.model import core_model
from hwsim.cores.parts import Part
from hwsim.cost.links import ROUTER, router_leakage, router_part
from hwsim.cost.logic import LogicPrices, Piece, logic_prices
from hwsim.cost.memory import Macro, macros
from hwsim.cost.technology.tables import units
from hwsim.cost.units import unit_at
from hwsim.kept import kept

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.arch import Architecture
    from hwsim.cost.technology.tables import Quantity


@dataclass(frozen=True)
class ComponentAmount:
    """An amount with its source and how sure it is."""

    component: str
    count: int
    amount: float
    source: str


def parts(arch: Architecture) -> list[Part]:
    """The hardware of a chip of one core of which no logic was synthesised, by component, memories apart."""
    design = arch.only
    return core_model(design.core.kind).parts(design, not units(arch.technology.units).includes_registers)


# --- sums ------------------------------------------------------------------------------------------------------------


def area(arch: Architecture, used: Collection[str] | None = None) -> pd.DataFrame:
    """Area by component: component, count (units or banks), area_um2 (all of them), source.

    Raises TechnologyError, MemoryProfileError.
    """
    import pandas as pd

    rows = [(f.component, f.count, f.amount, f.source) for f in area_figures(arch, used)]
    return pd.DataFrame(rows, columns=["component", "count", "area_um2", "source"])


@kept
def area_mm2(arch: Architecture, used: Collection[str] | None = None) -> float:
    """Area of all units and of the memories that are on, in mm2."""
    return sum(f.amount for f in area_figures(arch, used)) / 1e6


def core_mm2(arch: Architecture, used: Collection[str] | None = None) -> float:
    """Area of the only core of a chip, with its memories that are on, in mm2; without the network."""
    return sum(f.amount for f in _core_areas(arch, used)) / 1e6


def area_figures(arch: Architecture, used: Collection[str] | None = None) -> list[ComponentAmount]:
    """The rows of `area`, of all cores and the network between them; um2."""
    part = router_part(arch)
    network = [] if part is None else [_figure(arch, part, "area_um2", 1.0)]
    return [*_of_all_cores(arch, lambda one: _core_areas(one, used)), *network]


def _core_areas(one: Architecture, used: Collection[str] | None) -> list[ComponentAmount]:
    memories = macros(one, used)
    banks = [ComponentAmount(UNIT_OF[n], m.banks, m.area_um2, m.rest_source) for n, m in memories.items()]
    return [*_units(one, memories, "area_um2", LogicPrices.areas, 1.0), *banks]


def leakage_figures(arch: Architecture, used: Collection[str] | None = None) -> list[ComponentAmount]:
    """What everything that is on leaks, working or not; mW, of all cores. Raises TechnologyError, MemoryProfileError."""
    temperature, routers = f"at {arch.technology.temperature_k} K, ", router_leakage(arch)

    def figures(one: Architecture) -> list[ComponentAmount]:
        memories = macros(one, used)
        banks = [ComponentAmount(UNIT_OF[n], m.banks, m.leakage_mw, temperature + m.rest_source) for n, m in memories.items()]
        return [*_units(one, memories, "leakage_nw", LogicPrices.leaks, 1e-6), *banks]

    cores = _of_all_cores(arch, figures)
    return cores if routers is None else [*cores, ComponentAmount(ROUTER, *routers)]


def _units(
    one: Architecture, memories: Mapping[str, Macro], quantity: Quantity, pieces: Callable[[LogicPrices], list[Piece]],
    scale: float,
) -> list[ComponentAmount]:
    """What a core has besides memories: its synthesised blocks, or its parts where none was synthesised."""
    logic = logic_prices(one, memories)
    if logic is None:
        return [_figure(one, part, quantity, scale) for part in parts(one)]
    return [ComponentAmount(p.component, p.count, scale * p.amount, p.source) for p in pieces(logic)]


def _of_all_cores(arch: Architecture, figures: Callable[[Architecture], list[ComponentAmount]]) -> list[ComponentAmount]:
    """The figures of each kind of core times its count; what has one name and one source is one figure."""
    found: dict[tuple[str, str], ComponentAmount] = {}
    for one, count in arch.kinds():
        for f in figures(one):
            before = found.get((f.component, f.source))
            more, amount = (before.count, before.amount) if before else (0, 0.0)
            found[f.component, f.source] = ComponentAmount(
                f.component, more + count * f.count, amount + count * f.amount, f.source)
    return list(found.values())


def leaking_components(arch: Architecture) -> list[str]:
    """Everything of a design that can leak: its parts, then its memories, those that are off included."""
    names = [name for one, _ in arch.kinds() for name in (
        *_components(one), *(UNIT_OF[n] for n, bits in one.capacities.items() if bits))]
    return list(dict.fromkeys([*names, *([] if router_leakage(arch) is None else [ROUTER])]))


def _components(arch: Architecture) -> list[str]:
    logic = logic_prices(arch, {})
    return [block.component for block in logic.logic.blocks] if logic else [part.component for part in parts(arch)]


def _figure(arch: Architecture, part: Part, quantity: Quantity, scale: float) -> ComponentAmount:
    costs = [unit_at(arch.technology, arch.technology.units, operation, quantity, widths) for operation, widths in part.terms]
    source = "; ".join(dict.fromkeys(c.citation for c in costs))
    return ComponentAmount(part.component, part.count, part.count * scale * sum(c.value for c in costs), source)
