"""A unit of a units table at the node and supply of a design: what the table says, scaled by a declared rule or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwsim.cost.operating_point import Logic, logic_factor
from hwsim.cost.technology.sources import weakest
from hwsim.cost.technology.tables import unit_cost

if TYPE_CHECKING:
    from hwsim.arch import Technology
    from hwsim.cost.technology.tables import Cost, Quantity

_SCALED_AS: dict[Quantity, Logic] = {"energy_pj": "energy", "area_um2": "area", "leakage_nw": "leakage", "path_ns": "delay"}


def unit_at(technology: Technology, table: str, operation: str, quantity: Quantity, widths: tuple[int, ...]) -> Cost:
    """`quantity` of an operation at `widths` on the design's node and supply.

    Raises TechnologyError for the table, ScalingError where no rule reaches.
    """
    cost = unit_cost(table, operation, quantity, widths)
    factor = logic_factor(technology, cost.conditions, _SCALED_AS[quantity], f"units table {table}")
    if not factor:
        return cost
    return replace(cost, value=cost.value * factor.value, formula=factor.after(cost.formula), source=factor.cited(cost.source),
                   confidence=weakest([cost.confidence, factor.confidence]))
