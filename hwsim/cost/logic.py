"""What the logic of a core costs: pJ of an event and of a cycle, area (um2), leakage (nW), paths (ns).

The core model says which gates work at what (`CoreModel.logic`), a logic table what they cost (hwsim/cost/technology/logic). A
unit that the table lacks is an error that names the unit, the field of the design that brings it, and what would work.
A charge is pJ with a formula and a source; its component tells who does the work. docs/energy-model.md, "Logic".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import TYPE_CHECKING

from hwsim.cores.logic import CLOCK, WIRES, Block, Clocked, Logic, Moves, Path, Sums, Use, Within, Work
from hwsim.cores.model import core_model
from hwsim.cost.memory import Macro
from hwsim.cost.operating_point import Factor, logic_factor
from hwsim.cost.overrides import EnergyError
from hwsim.cost.technology.logic_tables import Figure, LogicTable, LogicUnit, logic_table
from hwsim.cost.technology.sources import TechnologyError, weakest
from hwsim.cost.units import unit_at

if TYPE_CHECKING:
    from hwsim.arch import Architecture
    from hwsim.cost.operating_point import Logic as Quantity
    from hwsim.cost.technology.sources import SourcedValue


class UnpricedError(EnergyError):
    """Logic that a design has and no table prices; the text names the unit, the field that brings it, and what would work."""


@dataclass(frozen=True)
class Charge:
    """pJ that a component takes for one count of an event, or for a cycle."""

    component: str
    pj: float
    formula: str
    source: str
    confidence: str

    @property
    def citation(self) -> str:
        return f"{self.source} ({self.confidence})"


@dataclass(frozen=True)
class Piece:
    """What a component takes or leaks: um2 or nW, of `count` pieces together."""

    component: str
    count: int
    amount: float
    source: str


def logic_prices(arch: Architecture, memories: Mapping[str, Macro]) -> LogicPrices | None:
    """The prices of a core's logic; None for a kind of core of which none was synthesised. `memories`: those that are on."""
    if core_model(arch.core.kind).logic(arch.only, None) is None:
        return None
    return LogicPrices(arch, memories)


class LogicPrices:
    """The logic of a chip of one core, priced by the design's logic table at its node and supply."""

    def __init__(self, arch: Architecture, memories: Mapping[str, Macro]) -> None:
        self.arch, self.memories = arch, memories
        self.technology = arch.technology
        self.table: LogicTable = logic_table(arch.technology.logic)
        self._by_width: dict[int | None, Logic] = {}

    def _logic(self, payload_bits: int | None) -> Logic:
        if payload_bits not in self._by_width:
            found = core_model(self.arch.core.kind).logic(self.arch.only, payload_bits)
            assert found is not None, "logic_prices asked"
            self._by_width[payload_bits] = found
        return self._by_width[payload_bits]

    @cached_property
    def logic(self) -> Logic:
        return self._logic(None)

    # -- energy

    def charges(self, event: str, payload_bits: int | None = None) -> list[Charge]:
        """What one count of `event` costs, the unit that it names first; empty for one that uses no gates.

        Raises UnpricedError for a unit without a price, ScalingError where no rule reaches the design's node and supply.
        """
        logic = self._logic(payload_bits)
        found = [charge for use in logic.events.get(event, ()) for charge in self._charges(use)]
        return [*found, *(self._wire(moves) for moves in logic.moves.get(event, ()) if moves.memory in self.memories)]

    def every_cycle(self) -> list[Charge]:
        """What each elapsed cycle costs: the sequencer, and the clock."""
        found = [charge for use in self.logic.every_cycle for charge in self._charges(use)]
        flip_flop = self.table.flip_flop
        if self.technology.clock_gating == "gated":
            return [*found, self._charge(CLOCK, flip_flop.gates_pj.value, f"{flip_flop.gates_pj.value:g}, all clock gates",
                                         (flip_flop.gates_pj,))]
        return [*found, self._clock(self.flip_flops, "all flip-flops, the clock runs free")]

    def _charges(self, use: Use) -> Iterable[Charge]:
        if isinstance(use, Within):
            table = self.table.name
            return [Charge(use.component, 0.0, f"0: within {use.where}", f"logic table {table}, which holds both", "computed")]
        if isinstance(use, Clocked):
            return [self._clock(use.flip_flops, use.why)] if self.technology.clock_gating == "gated" and use.flip_flops else []
        if isinstance(use, Sums):
            return [self._sums(use)]
        return [self._work(use)]

    def _work(self, use: Work) -> Charge:
        unit = self._unit(use.unit)
        figure = unit.energy_pj.get(use.operation)
        if figure is None:
            raise UnpricedError(f"{use.unit}: logic table {self.table.name} has no energy of its operation {use.operation!r}; "
                                f"add units.{use.unit}.energy_pj.{use.operation} with a source")
        cited = self.table.sources[figure.source]
        factor = self._factor("energy")
        many = f"{use.times} x ({figure.formula(use.sizes)})" if use.times > 1 else figure.formula(use.sizes)
        return Charge(use.component, use.times * figure.at(use.sizes) * factor.value, factor.after(f"{use.operation}: {many}"),
                      factor.cited(cited.text), weakest([cited.confidence, factor.confidence]))

    def _sums(self, use: Sums) -> Charge:
        try:
            costs = [unit_at(self.technology, self.table.arithmetic, name, "energy_pj", bits) for name, bits in use.terms]
        except TechnologyError as error:
            raise UnpricedError(f"{use.component}: no price: {error}") from None
        said = "; plus ".join(f"{name} {' x '.join(map(str, bits))} bit: {cost.formula}"
                              for (name, bits), cost in zip(use.terms, costs, strict=True))
        return Charge(use.component, sum(c.value for c in costs), said, "; ".join(dict.fromkeys(c.source for c in costs)),
                      weakest([c.confidence for c in costs]))

    def _clock(self, flip_flops: float, why: str) -> Charge:
        cell, tree = self.table.flip_flop.cell_pj, self.table.flip_flop.tree_pj
        return self._charge(CLOCK, flip_flops * (cell.value + tree.value),
                            f"{flip_flops:.4g} flip-flops x ({cell.value:g} cell + {tree.value:g} tree), {why}", (cell, tree))

    def _charge(self, component: str, pj: float, formula: str, values: tuple[SourcedValue, ...]) -> Charge:
        cited = [self.table.sources[value.source] for value in values]
        factor = self._factor("energy")
        return Charge(component, pj * factor.value, factor.after(formula), factor.cited("; ".join(c.text for c in cited)),
                      weakest([*(c.confidence for c in cited), factor.confidence]))

    def _wire(self, moves: Moves) -> Charge:
        """Toggles x C V^2 / 2 x length. The capacitance of a mm is taken to be the same at every node."""
        wires, volts, length = self.table.wires, self.technology.vdd_v, self.wire_mm(moves.memory)
        toggles, farads = wires.toggles_per_bit[moves.kind], wires.pf_per_mm  # type: ignore[index]
        cited = [self.table.sources[value.source] for value in (farads, toggles)]
        many = f"{moves.times} x " if moves.times > 1 else ""
        return Charge(WIRES, moves.times * moves.bits * toggles.value * farads.value * volts**2 / 2 * length,
                      f"{moves.memory}: {many}{moves.bits} bit x {toggles.value:g} toggles x "
                      f"{farads.value:g} pF/mm x ({volts:g} V)^2 / 2 x {length:.3g} mm",
                      "; ".join(dict.fromkeys(c.text for c in cited)), weakest([c.confidence for c in cited]))

    def wire_mm(self, memory: str) -> float:
        """How far a bit of a memory goes: half the side of the square of the logic and the memories at least as busy."""
        order = self.logic.busiest
        near = order[:order.index(memory) + 1]
        return sqrt(self.area_um2 + sum(self.memories[name].area_um2 for name in near if name in self.memories)) / 2e3

    # -- what there is

    def areas(self) -> list[Piece]:
        """Area by block, um2."""
        return [self._piece(block, "area_um2", "area") for block in self.logic.blocks]

    def leaks(self) -> list[Piece]:
        """Leakage by block, nW, at every temperature."""
        return [self._piece(block, "leakage_nw", "leakage") for block in self.logic.blocks]

    @cached_property
    def area_um2(self) -> float:
        return sum(piece.amount for piece in self.areas())

    @cached_property
    def flip_flops(self) -> float:
        """Those that a free-running clock reaches."""
        return sum(block.count * (block.flip_flops + self._of_unit(block)) for block in self.logic.blocks)

    def _of_unit(self, block: Block) -> float:
        found = self._unit(block.unit).flip_flops if block.unit else None
        return found.at(block.sizes) if found else 0.0

    def _piece(self, block: Block, name: str, quantity: Quantity) -> Piece:
        if not block.unit:
            costs = [unit_at(self.technology, self.table.arithmetic, operation, name, bits)  # type: ignore[arg-type]
                     for operation, bits in block.terms]
            amount, sources = sum(c.value for c in costs), [c.citation for c in costs]
            if block.flip_flops:
                figure = self._figure("register", name)
                amount += self._factor(quantity).value * figure.at({"bits": block.flip_flops})
                sources.append(str(self.table.sources[figure.source]))
            return Piece(block.component, block.count, block.count * amount, "; ".join(dict.fromkeys(sources)))
        figure, factor = self._figure(block.unit, name), self._factor(quantity)
        return Piece(block.component, block.count, block.count * figure.at(block.sizes) * factor.value,
                     factor.cited(str(self.table.sources[figure.source])))

    def _figure(self, unit: str, name: str) -> Figure:
        found: Figure = getattr(self._unit(unit), name)
        return found

    # -- how fast it is

    def paths(self) -> list[tuple[Path, float]]:
        """Paths with the ns of their gates, memories apart."""
        return [(path, self._gates_ns(path)) for path in self.logic.paths]

    def _gates_ns(self, path: Path) -> float:
        if path.name:
            return self.table.paths_ns[path.name].at(path.sizes) * self._factor("delay").value
        return sum(unit_at(self.technology, self.table.arithmetic, name, "path_ns", bits).value for name, bits in path.terms)

    # -- what has no price

    def unpriced(self) -> dict[str, str]:
        """Units of this design that the table lacks, with the field of the design that brings each."""
        names = [block.unit for block in self.logic.blocks if block.unit]
        names += [use.unit for uses in self.logic.events.values() for use in uses if isinstance(use, Work)]
        return {name: self.logic.fields.get(name, ("core.kind", ""))[0]
                for name in dict.fromkeys(names) if name not in self.table.units}

    def check(self) -> None:
        """Raises UnpricedError with every unit that has no price."""
        if missing := self.unpriced():
            raise UnpricedError("\n".join(self._why(unit) for unit in missing))

    def _unit(self, name: str) -> LogicUnit:
        if name not in self.table.units:
            raise UnpricedError(self._why(name))
        return self.table.units[name]

    def _why(self, unit: str) -> str:
        field, instead = self.logic.fields.get(unit, ("", ""))
        brings = f", which {field} brings" if field else ""
        works = f"; {instead} needs none, or" if instead else ";"
        return (f"{self.arch.name}: no price of the unit {unit}{brings}: logic table {self.table.name} lacks it{works} give a "
                f"table with units.{unit} (technology.logic), which `python -m hwsim.rtl.priced_units` makes of the hardware")

    def _factor(self, quantity: Quantity) -> Factor:
        return logic_factor(self.technology, self.table.conditions, quantity, f"logic table {self.table.name}")


def unpriced_fields(arch: Architecture) -> dict[str, str]:
    """Fields of a design whose hardware has no price, with the unit that lacks one. A search takes no design that has any."""
    found: dict[str, str] = {}
    for one, _ in arch.kinds():
        prices = logic_prices(one, {})
        found |= {field: unit for unit, field in (prices.unpriced() if prices else {}).items()}
    return found
