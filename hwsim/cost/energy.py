"""Picojoules: a price for every event of the vocabulary, and activity times price. Nothing else makes energy.

There are two accounts, and no gate is in both. The compute scope is the papers': arithmetic at the prices of technology.units.
The core scope is the hardware: memories, and the synthesised logic (hwsim/cost/logic.py), whose lanes stand in place of the
papers' arithmetic; the system scope adds the channel to it. Each price carries its formula and its source (hwsim/cost/technology,
docs/energy-model.md). Energy is in pJ, leakage in mW; one mW over one ns is one pJ. Repricing needs only activity frames, never a
simulation. pandas loads on first use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.activity import EVENTS, INDEX, SCOPES, VOCABULARY
from hwsim.cores.model import core_model
from hwsim.cores.parts import Term
from hwsim.cores.power import MEMORY_OF, ON
from hwsim.cost import leakage as leaking
from hwsim.cost.area import area, area_mm2, core_mm2
from hwsim.cost.leakage import LEAKAGE, leakage_rows, waiting_leaks, working_leaks
from hwsim.cost.links import LinkPrice, link_price
from hwsim.cost.logic import Charge, LogicPrices, logic_prices
from hwsim.cost.memory import Macro, macros
from hwsim.cost.overrides import OVERRIDE, PRICED, Change, EnergyError, Overrides, meeting, parse_overrides, read_overrides
from hwsim.cost.technology.scaling import ScalingError
from hwsim.cost.technology.sources import TechnologyError, weakest
from hwsim.cost.technology.tables import dram, units
from hwsim.cost.units import unit_at
from hwsim.cost.what_works import what_works
from hwsim.errors import HwsimError
from hwsim.kept import kept

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.arch import Architecture

__all__ = [
    "CYCLE", "LEAKAGE", "NOT_MODELLED", "PRICED", "EnergyError", "NotProvisionedError", "Overrides", "Price", "PriceList", "area",
    "area_mm2", "check_prices", "leakage", "parse_overrides", "price_activity", "price_hash", "price_list", "read_overrides",
    "scopes",
]

WIDE = ("mult", "payload_read_bits")
"""Events whose price depends on how wide the layer's values are."""

CYCLE = "cycle"
"""Event of what logic costs in each elapsed cycle, whatever happens in it."""

NOT_MODELLED = (
    "wires within the logic and between cores", "input and output pads", "configuration registers and the host",
    "DRAM refresh and background", "voltage regulators",
)
"""What no number here includes; docs/energy-model.md says why."""


class NotProvisionedError(EnergyError):
    """A price of hardware that is not there: a memory of capacity 0 or one that is off, a multiplier of 0 bits."""


@dataclass(frozen=True)
class Price:
    """What one count of an event costs. `confidence` is that of the least sure number in it."""

    event: str
    pj: float
    formula: str
    source: str
    confidence: str

    @classmethod
    def of(cls, event: str, found: Charge | LinkPrice) -> Price:
        """What the gates or the links take for one count, as the event's price."""
        return cls(event, found.pj, found.formula, found.source, found.confidence)

    @property
    def citation(self) -> str:
        return self.source if self.confidence == OVERRIDE else f"{self.source} ({self.confidence})"


# --- prices ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PriceList:
    """Every event's price for one design. Made by `price_list`, which checks that none is missing.

    logic   of its gates; None for a kind of core of which none was synthesised.
    """

    arch: Architecture
    overrides: Overrides
    memories: Mapping[str, Macro]
    logic: LogicPrices | None
    _prices: dict[tuple[str, int | None], Price] = field(default_factory=dict, repr=False)
    _charges: dict[tuple[str, int | None], list[tuple[str, Price]]] = field(default_factory=dict, repr=False)

    def price(self, event: str, payload_bits: int | None = None) -> Price:
        """The price of one count of `event` in the scope that the vocabulary names, pJ: of arithmetic the papers' price, of
        logic what the event's own unit takes. `charges` has all that it costs on chip.

        `payload_bits` is the width of a multiplication's event operand, or of the values that are read (the layer's; the
        multiplier's own when it is not given): it matters to WIDE only.

        Raises EnergyError when there is none, NotProvisionedError when the design has no such hardware.
        """
        if (event, payload_bits) not in self._prices:
            self._prices[event, payload_bits] = self._find(event, payload_bits)
        return self._prices[event, payload_bits]

    def _find(self, event: str, payload_bits: int | None) -> Price:
        if event not in PRICED:
            reason = "it counts cycles, which are no energy" if event in INDEX else "it is no event of hwsim.activity"
            raise EnergyError(f"{event}: no price, {reason}")
        change, instead = meeting(self.overrides.prices, event)
        if change is not None:
            return self._overridden(event, payload_bits, change, instead)
        return self.own(event, payload_bits)

    def own(self, event: str, payload_bits: int | None = None) -> Price:
        """The price of the tables, whatever the overrides. Raises what `price` raises."""
        known, model = VOCABULARY[INDEX[event]], core_model(self.arch.core.kind)
        if model.events is not None and event not in model.events:
            raise NotProvisionedError(f"{event}: cores of kind {self.arch.core.kind} count no such event")
        if known.scope == "system":
            return self._channel(event)
        if event == "payload_read_bits":
            return self._value_bit(event, payload_bits)
        if known.unit == "accumulator_file":
            if not self.arch.only.has_accumulator_file:
                raise NotProvisionedError(f"{event}: {self.arch.name} has no accumulator file: it is event driven")
        if known.unit in ("link", "router"):
            if self.arch.network is None:
                raise NotProvisionedError(f"{event}: {self.arch.name} has no network of links")
            found = link_price(self.arch, event, lambda: core_mm2(self.arch, list(self.memories)))
            return Price.of(event, found)
        if known.unit in MEMORY_OF:
            return self._row(event, MEMORY_OF[known.unit])
        if self.logic is not None and known.scope == "core":
            return self._gates(event, known.counted)
        design = self.arch.only
        terms = model.terms(design, payload_bits).get(event)
        if terms is None and event == "mult":
            bits = design.core.payload_bits if payload_bits is None else payload_bits
            raise NotProvisionedError(f"mult: there is nothing to multiply with payloads of {bits} bits "
                                      f"(core.payload_bits of {self.arch.name} is {design.core.payload_bits})")
        if terms is None:
            raise EnergyError(f"{event}: no price; say in the core model's terms (hwsim/cores) which units of table "
                              f"{self.arch.technology.units} one {known.counted} uses")
        return self._units(event, terms)

    def _overridden(self, event: str, payload_bits: int | None, change: Change, instead: str) -> Price:
        """The user's price, and in its formula what it was. `instead`: words on changes that this one replaces."""
        try:
            own = self.own(event, payload_bits)
        except NotProvisionedError:
            if not change.exact or change.factor:  # a group is of what is there
                raise
            own = None
        except HwsimError:
            if change.factor:
                raise
            own = None
        if own is None:
            return Price(event, change.number, f"{change}{instead}; no table has a price", OVERRIDE, OVERRIDE)
        if change.factor:
            return _multiplied(own, change, instead)
        return Price(event, change.number, f"{change}{instead} in place of {own.pj:.5g} pJ: {own.formula}", OVERRIDE, OVERRIDE)

    def charges(self, event: str, payload_bits: int | None = None) -> list[tuple[str, Price]]:
        """All that one count of `event` costs on chip and on the channel, by component; its own unit first.

        `payload_bits` as in `price`; of acc_add, the sums of planes to which a layer adds (R21), None for potentials.

        Arithmetic is charged by the gates that do it, at the design's supply. A price that the user gave replaces that of the
        event's own unit, in this account as in the papers'; a factor multiplies all that the event costs. Raises what `price`
        raises.
        """
        if (event, payload_bits) not in self._charges:
            self._charges[event, payload_bits] = self._find_charges(event, payload_bits)
        return self._charges[event, payload_bits]

    def _find_charges(self, event: str, payload_bits: int | None) -> list[tuple[str, Price]]:
        own, known = self.price(event, payload_bits), VOCABULARY[INDEX[event]]
        if self.logic is None or known.scope == "system":
            return [(known.unit, own)]
        gates = [(c.component, Price.of(event, c))
                 for c in self.logic.charges(event, payload_bits)]
        change, instead = meeting(self.overrides.prices, event)
        if change is not None and change.factor:
            gates = [(component, _multiplied(gate, change, instead)) for component, gate in gates]
        if known.scope == "core" and (known.unit in MEMORY_OF or known.unit in ("link", "router")):
            return [(known.unit, own), *gates]
        if not gates:
            if event == "sum_add":
                raise NotProvisionedError(f"{event}: {self.arch.name} keeps no sums of planes; give core.token sums: n, the "
                                          "planes of the rate code (R21), or token: {planes: single}")
            raise NotProvisionedError(
                f"{event}: no gates of {self.arch.name} are known for one {known.counted}, so it has no price on chip; "
                "docs/assumptions.md names what is not priced, and a core model says in its logic (hwsim/cores) which gates an "
                "event uses")
        return gates if change is None or change.factor else [(gates[0][0], own), *gates[1:]]

    def by_scope(self, event: str, payload: int) -> tuple[float, float, float]:
        """pJ of one count of `event` in compute, core and on the channel; `payload` 0: its width does not matter."""
        found = [0.0, 0.0, 0.0]
        for _, scope, pj, _, _ in _lines(self, event, payload):
            found[SCOPES.index(scope)] += pj
        return found[0], found[1], found[2]

    def of_sums(self) -> list[tuple[str, Price]]:
        """What an addition to a sum of a plane costs (R21) and one to a potential does not; empty for a core without sums."""
        sums = self.arch.only.plane_sums
        usual = self.charges("acc_add") if sums else []
        return [charge for charge in self.charges("acc_add", sums) if charge not in usual] if sums else []

    def _gates(self, event: str, counted: str) -> Price:
        """What the event's own unit takes."""
        assert self.logic is not None
        found = self.logic.charges(event)
        if not found:
            raise NotProvisionedError(f"{event}: {self.arch.name} has no gates that one {counted} uses")
        return Price.of(event, found[0])

    def prices(self, payload_bits: int | None = None) -> list[Price]:
        """The prices of all events that the design can make happen, in the order of the vocabulary.

        Raises EnergyError with every price that is missing.
        """
        found = []
        missing: dict[str, list[str]] = {}
        for event in PRICED:
            try:
                found.append(self.price(event, payload_bits))
            except NotProvisionedError:  # the design cannot count it; asking for it by name still raises
                continue
            except EnergyError as error:
                missing.setdefault(str(error).removeprefix(f"{event}: "), []).append(event)
        if missing:
            raise EnergyError("\n".join(f"{', '.join(events)}: {reason}" for reason, events in missing.items()))
        return found

    def every_charge(self, payload_bits: int | None = None) -> list[tuple[str, Price]]:
        """`charges` of all events that the design can make happen, in the order of the vocabulary; of additions to sums of planes
        (R21), what those to potentials do not cost."""
        found: list[tuple[str, Price]] = []
        for price in self.prices(payload_bits):
            try:
                found += self.charges(price.event, payload_bits)
            except NotProvisionedError:
                continue
            if price.event == "acc_add":
                found += self.of_sums()
        return found

    def multiplications(self) -> list[tuple[int, float]]:
        """Widths of the event operand and the pJ of a multiplication with it; none where the core has no multiplier."""
        try:
            return [(bits, self.price("mult", bits).pj) for bits in range(1, 17)]
        except NotProvisionedError:
            return []

    def _units(self, event: str, terms: tuple[Term, ...]) -> Price:
        table = self.arch.technology.units
        if event == "reg_bits" and units(table).includes_registers:
            reason = units(table).sources[units(table).includes_registers_source]
            formula = f"0: the operations of {table} include their registers"
            return Price(event, 0.0, formula, reason.text, reason.confidence)
        try:
            costs = [unit_at(self.arch.technology, table, operation, "energy_pj", widths) for operation, widths in terms]
        except TechnologyError as error:
            raise EnergyError(f"{event}: no price: {error}") from None
        shown = [f"{operation} {' x '.join(map(str, widths))} bit: {cost.formula}"
                 for (operation, widths), cost in zip(terms, costs, strict=True)]
        times = Counter(shown)
        formula = "; plus ".join(f"{n} x {text}" if n > 1 else text for text, n in times.items())
        return Price(event, sum(c.value for c in costs), formula,
                     "; ".join(dict.fromkeys(c.source for c in costs)), weakest([c.confidence for c in costs]))

    def _row(self, event: str, name: str) -> Price:
        memory = self.memories.get(name)
        if memory is None and self.arch.capacities.get(name):
            raise NotProvisionedError(f"{event}: the {name} memory of {self.arch.name} is off, the trace does not use it")
        if memory is None:
            raise NotProvisionedError(f"{event}: {self.arch.name} has no {name} memory (its capacity is 0)")
        gated = self.arch.only.gates_banks and name in ("membrane", "current")
        if event.endswith("_banks"):
            if not gated:
                raise NotProvisionedError(f"{event}: {self.arch.name} has no gated banks: an access to its {name} memory is to "
                                          "a whole row")
            access = memory.write if "_write" in event else memory.read
            return Price(event, access.pj, f"one of {memory.row_banks} banks of a row: {memory.bank(access)}", access.source,
                         access.confidence)
        if gated:
            return Price(event, 0.0, f"0: the banks that it touches are priced, {name}_read_banks and {name}_write_banks",
                         memory.read.source, memory.read.confidence)
        access = memory.write if "_write" in event else memory.read
        return Price(event, memory.row_banks * access.pj, memory.row(access), access.source, access.confidence)

    def _value_bit(self, event: str, value_bits: int | None) -> Price:
        """A bit of a value beside its event. An entry of a list holds both, so the bit costs its part of the entry, or nothing
        where the entry's row was priced with it. Beside a bitmap a value is an access of its own, of a whole row."""
        row, design = self._row(event, "spike"), self.arch.only
        if design.entry_holds_values:
            return Price(event, 0.0, "0: the row that is read holds its value", row.source, row.confidence)
        if design.lists_events:
            bits = design.row_bits["spike"]
            return Price(event, row.pj / bits, f"({row.formula}) / {bits} bits of an entry", row.source, row.confidence)
        bits = value_bits or max(1, design.core.payload_bits)
        return Price(event, row.pj / bits, f"({row.formula}) / {bits} bits of a value", row.source, row.confidence)

    def _channel(self, event: str) -> Price:
        given = self.arch.channel.energy_pj_per_bit
        if given is not None:
            text = f"architecture {self.arch.name}, channel.energy_pj_per_bit"
            return Price(event, given, f"{given:g} per bit", text, "assumption")
        table = dram(self.arch.technology.dram)
        source = table.sources[table.energy_pj_per_bit.source]
        pj = table.energy_pj_per_bit.value
        return Price(event, pj, f"{pj:g} per bit", source.text, source.confidence)


def _multiplied(own: Price, change: Change, instead: str) -> Price:
    """A price of the tables times the user's factor; its formula and its source keep those of the table."""
    return Price(own.event, change.number * own.pj, f"{change}{instead} of {own.pj:.5g} pJ: {own.formula}",
                 f"{OVERRIDE} x{change.number:g} of: {own.citation}", OVERRIDE)


Given = Mapping[str, Any] | str | Path | Overrides | None
"""Overrides as a user gives them: hwsim.cost.overrides.read_overrides."""


def price_list(arch: Architecture, overrides: Given = None, used: Collection[str] | None = None) -> PriceList:
    """The prices of a chip of one core, all of them checked to be there.

    used   names of the memories that are on (hwsim/cores/provision.py); None: every memory of the design. It means the same
           in all functions of this module.

    Raises EnergyError for a missing price or a wrong override, TechnologyError and MemoryProfileError for the tables.
    """
    prices = core_prices(arch, read_overrides(overrides), used)
    waiting_leaks(arch, prices.overrides, used)
    return prices


@kept
def core_prices(arch: Architecture, overrides: Overrides, used: Collection[str] | None) -> PriceList:
    """The prices of one of a chip's cores; what leaks is the whole chip's."""
    try:
        return _complete(arch, overrides, used)
    except ScalingError as error:
        works = what_works(arch, lambda one: (_complete(one, overrides, used), working_leaks(one, Overrides(), used)))
        raise ScalingError(f"{error}\n{works}") from None


def _complete(arch: Architecture, overrides: Overrides, used: Collection[str] | None) -> PriceList:
    memories = macros(arch, used)
    prices = PriceList(arch, overrides, memories, logic_prices(arch, memories))
    prices.prices()
    if prices.logic is not None:
        prices.logic.check()
    prices.every_charge()
    return prices


def check_prices(arch: Architecture, overrides: Given = None, used: Collection[str] | None = None) -> None:
    """Raises what `price_list` raises, for any of the chip's cores."""
    given = read_overrides(overrides)
    for one, _ in arch.kinds():
        core_prices(one, given, used)
    waiting_leaks(arch, given, used)


def leakage(arch: Architecture, overrides: Given = None, used: Collection[str] | None = None) -> pd.DataFrame:
    """What everything that is on leaks, whether it works or not: component, leakage_mw, source.

    Raises EnergyError, TechnologyError, MemoryProfileError.
    """
    return leaking.leakage(arch, read_overrides(overrides), used)


def price_hash(arch: Architecture, overrides: Given = None, used: Collection[str] | None = None) -> str:
    """Identity of all prices of a chip, leakage included: equal numbers, equal hash, wherever they come from."""
    return _price_hash(arch, read_overrides(overrides), used)


@kept
def _price_hash(arch: Architecture, given: Overrides, used: Collection[str] | None) -> str:
    lines = list[str]()
    for one, _ in groupby(one for one, _ in arch.kinds()):  # a core listed twice in a row and a count of 2 are the same
        prices = core_prices(one, given, used)
        lines += [f"{p.event} {p.pj:.12g}" for p in prices.prices()]
        lines += [f"mult {bits} {pj:.12g}" for bits, pj in prices.multiplications()]
        lines += [f"{c.event} {unit} {c.pj:.12g}" for unit, c in prices.every_charge()]
        lines += [f"mult {bits} {unit} {c.pj:.12g}" for bits, _ in prices.multiplications()
                  for unit, c in prices.charges("mult", bits)]
        lines += [f"{CYCLE} {c.component} {c.pj:.12g}" for c in (prices.logic.every_cycle() if prices.logic else [])]
    lines += [f"{leak.component} {leak.mw:.12g}" for leak in working_leaks(arch, given, used) if leak.state == ON]
    lines += [f"{leak.component} {leak.state} {leak.mw:.12g}" for leak in waiting_leaks(arch, given, used)
              if arch.power.between_samples(MEMORY_OF.get(leak.component)) != ON]
    lines.append(f"period {arch.period_ns:.12g}")
    return sha256("\n".join(lines).encode()).hexdigest()[:16]


# --- activity times price --------------------------------------------------------------------------------------------


def price_activity(
    activity: pd.DataFrame, arch: Architecture, elapsed_cycles: float, payload_bits: Mapping[str, int],
    overrides: Given = None, used: Collection[str] | None = None, value_bits: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Counts as picojoules, and leakage over `elapsed_cycles`.

    activity       layer, unit, event, count, and any of timestep, sample, core; rows of 0 and of cycles are left out. Counts
                   may be means, and the cycles with them: the energy is then a mean as well. A chip of several cores needs
                   `core`, because each core has prices of its own.
    payload_bits   by layer, the width of the multiplications' event operand; needed where `mult` is counted.
    value_bits     by layer, the width of the values that its runs read; where a layer is left out, the multiplier's own.

    Returns the columns of `activity` with component, state, scope, price_pj, energy_pj, formula and source. Rows of the scope
    compute are the papers' account of arithmetic; those of core and system are the hardware, and add up to it by unit as by
    component. `unit` tells who does the work; what leaks is the unit `leakage`, whichever component it leaks from. Rows of
    leakage and of what logic costs in each cycle have the events `leakage` and `cycle`, layer "", core "", timestep and
    sample -1, the cycles as count and pJ per cycle as price; they are those of the whole chip. The state of a row of leakage is
    on, or off for a memory that is not used. Other rows have their unit as component and the state "".
    Raises EnergyError for an unknown event, a price that is missing, a layer that multiplies without a payload width.
    """
    import pandas as pd

    unknown = sorted(set(activity["event"].unique()) - set(EVENTS))
    if unknown:
        raise EnergyError(f"activity: {', '.join(unknown)}: no such event; allowed are {', '.join(EVENTS)}")
    if not arch.is_one_core and "core" not in activity:
        raise EnergyError(f"activity: {arch.name} has {len(arch.core_names)} cores; give a column core")
    given = read_overrides(overrides)
    kinds = [(core_prices(one, given, used), count) for one, count in arch.kinds()]
    waiting_leaks(arch, given, used)
    keys = [c for c in activity.columns if c not in ("unit", "event", "count")]
    columns = [*keys, "unit", "component", "event", "state", "scope", "count", "price_pj", "energy_pj", "formula", "source"]
    found, names = [], list(arch.core_names)
    for prices, count in kinds:
        mine = activity if arch.is_one_core else activity[activity["core"].isin(names[:count])]
        found.append(_priced(mine, prices, payload_bits, value_bits or {})[columns])
        names = names[count:]
    cycles = cycle_rows(arch, used, elapsed_cycles, keys)[columns]
    leaks = leakage_rows(arch, working_leaks(arch, given, used), elapsed_cycles, keys)[columns]
    return pd.concat([frame for frame in (*found, cycles, leaks) if len(frame)], ignore_index=True)


def _priced(
    activity: pd.DataFrame, prices: PriceList, payload_bits: Mapping[str, int], value_bits: Mapping[str, int]
) -> pd.DataFrame:
    """One core's counts times its prices."""
    import pandas as pd

    kept = activity[(activity["count"] != 0) & activity["event"].isin(PRICED)].reset_index(drop=True)
    if (kept["count"] < 0).any():
        raise EnergyError(f"activity: {kept.loc[kept['count'] < 0, 'event'].iloc[0]} is counted less than 0 times")
    multiplied = kept["event"] == "mult"
    without = sorted(set(kept.loc[multiplied, "layer"]) - set(payload_bits))
    if without:
        raise EnergyError(f"mult: layer {', '.join(map(str, without))} multiplies; give its width in payload_bits")
    read = kept["event"] == "payload_read_bits"
    kept["payload"] = kept["layer"].map(dict(payload_bits)).where(multiplied, 0).fillna(0).astype("int64")
    kept["payload"] += kept["layer"].map(dict(value_bits)).where(read, 0).fillna(0).astype("int64")
    with_sums = set(kept.loc[kept["event"] == "sum_add", "layer"])
    kept.loc[(kept["event"] == "acc_add") & kept["layer"].isin(with_sums), "payload"] = prices.arch.only.plane_sums
    distinct = kept[["event", "payload"]].drop_duplicates()
    rows = [(e, b, *line) for e, b in distinct.itertuples(index=False) for line in _lines(prices, e, b)]
    table = pd.DataFrame(rows, columns=["event", "payload", "unit", "scope", "price_pj", "formula", "source"])
    priced = kept.drop(columns="unit").merge(table, on=["event", "payload"], how="left")
    priced["energy_pj"] = priced["count"] * priced["price_pj"]
    priced = priced.assign(component=priced["unit"], state="")
    return priced


def _lines(prices: PriceList, event: str, payload: int) -> list[tuple[str, str, float, str, str]]:
    """(unit, scope, pJ, formula, source) of all that one count of an event costs, in both accounts."""
    bits = payload if event == "mult" else payload or None
    known = VOCABULARY[INDEX[event]]
    found = [(unit, "system" if known.scope == "system" else "core", p) for unit, p in prices.charges(event, bits)]
    if known.scope == "compute":
        found.insert(0, (known.unit, "compute", prices.price(event, bits)))
    return [(unit, scope, p.pj, p.formula, p.citation) for unit, scope, p in found]


@kept
def cycle_charges(arch: Architecture, used: Collection[str] | None = None) -> list[tuple[str, float, str, str]]:
    """(component, pJ per elapsed cycle, formula, source) of what logic costs whatever happens, of all cores."""
    found: dict[tuple[str, str, str], float] = {}
    for one, count in arch.kinds():
        prices = logic_prices(one, macros(one, used))
        for c in prices.every_cycle() if prices else []:
            key = (c.component, c.formula, c.citation)
            found[key] = found.get(key, 0.0) + count * c.pj
    return [(component, pj, formula, source) for (component, formula, source), pj in found.items()]


def cycle_rows(arch: Architecture, used: Collection[str] | None, elapsed_cycles: float, keys: Collection[str]) -> pd.DataFrame:
    """What logic costs in so many cycles as rows of an energy frame; `keys` are its columns that name no unit, event or price."""
    import pandas as pd

    rows = [(name, name, pj, text, source) for name, pj, text, source in cycle_charges(arch, used)]
    frame = pd.DataFrame(rows, columns=["unit", "component", "price_pj", "formula", "source"])
    frame = frame.assign(event=CYCLE, state="", scope="core", count=elapsed_cycles)
    frame["energy_pj"] = frame["count"] * frame["price_pj"]
    return frame.assign(**{key: "" if key in ("layer", "core") else -1 for key in keys})


def scopes(energy: pd.DataFrame) -> dict[str, float]:
    """pJ in the three scopes: compute (the papers' arithmetic), core (the chip), system (core and channel)."""
    sums = energy.groupby("scope")["energy_pj"].sum()
    compute, core, channel = (float(sums.get(scope, 0.0)) for scope in SCOPES)
    return {"compute": compute, "core": core, "system": core + channel}
