"""Picojoules: a price for every event of the vocabulary, and activity times price. Nothing else makes energy.

A price is a sum of units of the design's table at the design's widths, a row of one of its memories, or a bit of its
channel; each carries its formula and its source (hwsim/technology, docs/energy-model.md). Energy is in pJ, leakage in
mW; one mW over one ns is one pJ. Repricing needs only activity frames, never a simulation. pandas loads on first use.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hwsim.activity import EVENTS, INDEX, SCOPES, VOCABULARY
from hwsim.area import (
    ADDRESS_BITS,
    POOL_BITS,
    Term,
    area,
    area_mm2,
    entry_bits,
    leakage_figures,
    requantiser,
    token_bits,
)
from hwsim.errors import HwsimError
from hwsim.memory import UNIT_OF, Macro, macros

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from hwsim.arch import Architecture

__all__ = [
    "NOT_MODELLED", "PRICED", "EnergyError", "NotProvisionedError", "Overrides", "Price", "PriceList", "area",
    "area_mm2", "explain", "explain_rows", "leakage", "parse_overrides", "price_activity", "price_hash", "price_list",
    "read_overrides", "scopes",
]

OVERRIDE = "override"
"""The source of a price that the user gave."""

PRICED: tuple[str, ...] = tuple(e.name for e in VOCABULARY if e.scope in SCOPES)
"""Events that cost energy; the others count cycles."""

NOT_MODELLED = (
    "clock tree", "wires between units", "input and output pads", "control and configuration",
    "second ports of memories", "DRAM refresh and background", "voltage regulators",
)
"""What no number here includes; docs/energy-model.md says why."""


class EnergyError(HwsimError):
    """A price that is missing, or an override that cannot be; the text names the event, the table and what to do."""


class NotProvisionedError(EnergyError):
    """A price of hardware that the design does not have: a memory of capacity 0, a multiplier of 0 bits."""


@dataclass(frozen=True)
class Price:
    """What one count of an event costs. `confidence` is that of the least sure number in it."""

    event: str
    pj: float
    formula: str
    source: str
    confidence: str

    @property
    def citation(self) -> str:
        return self.source if self.source == OVERRIDE else f"{self.source} ({self.confidence})"


# --- overrides -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Overrides:
    """Prices that replace those of the tables: pJ by event, mW by component."""

    prices: Mapping[str, float] = field(default_factory=dict)
    leakage_mw: Mapping[str, float] = field(default_factory=dict)


def read_overrides(given: Mapping[str, Any] | str | Path | Overrides | None) -> Overrides:
    """Overrides from a mapping {event: pJ, leakage_mw: {component: mW}} or a small YAML file with the same.

    Raises EnergyError, one text with every mistake and the names that are allowed.
    """
    if given is None:
        return Overrides()
    if isinstance(given, Overrides):
        return given
    where = "overrides"
    if not isinstance(given, Mapping):
        where, given = str(given), _read_yaml(given)
    prices = {name: value for name, value in given.items() if name != "leakage_mw"}
    leaks = given.get("leakage_mw", {})
    wrong = []
    for name in prices:
        if name not in PRICED:
            reason = "counts cycles, which are no energy" if name in INDEX else "no such event"
            wrong.append(f"{name}: {reason}; allowed are {', '.join(PRICED)} and leakage_mw")
    if not isinstance(leaks, Mapping):
        wrong.append(f"leakage_mw: found {leaks!r}, allowed a mapping of component to mW")
        leaks = {}
    for name, value in [*prices.items(), *((f"leakage_mw.{key}", mw) for key, mw in leaks.items())]:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            wrong.append(f"{name}: found {value!r}, allowed a number of at least 0")
    if wrong:
        raise EnergyError("\n".join(f"{where}: {text}" for text in wrong))
    return Overrides({k: float(v) for k, v in prices.items()}, {k: float(v) for k, v in leaks.items()})


def parse_overrides(path: str | Path | None, items: Iterable[str] = ()) -> dict[str, Any]:
    """Overrides of a command line as one mapping, JSON-ready: those of a YAML file, then the items, the last one wins.

    An item is `event=pJ` or `leakage_mw.component=mW`. Raises EnergyError.
    """
    file = read_overrides(path)
    prices: dict[str, Any] = dict(file.prices)
    leaks = dict(file.leakage_mw)
    for item in items:
        name, _, value = item.partition("=")
        try:
            number = float(value)
        except ValueError:
            raise EnergyError(f"override {item!r}: found {value!r}, expected a number, as in acc_add=0.05") from None
        component = name.strip().removeprefix("leakage_mw.")
        (leaks if component != name.strip() else prices)[component] = number
    if leaks:
        prices["leakage_mw"] = leaks
    read_overrides(prices)
    return prices


def _read_yaml(path: str | Path) -> Mapping[str, Any]:
    from pathlib import Path

    import yaml

    from hwsim.arch import duplicate_keys

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        data, root = yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EnergyError(f"{path}: cannot be read as YAML of event: pJ ({error})") from None
    if not isinstance(data, Mapping):
        raise EnergyError(f"{path}: found {type(data).__name__}, expected a mapping such as `acc_add: 0.05`")
    if doubled := duplicate_keys(root, Path(path)):
        raise EnergyError("\n".join(doubled))
    return data


# --- prices ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PriceList:
    """Every event's price for one design. Made by `price_list`, which checks that none is missing."""

    arch: Architecture
    overrides: Overrides
    memories: Mapping[str, Macro]

    def price(self, event: str, payload_bits: int | None = None) -> Price:
        """The price of one count of `event`, pJ. `payload_bits` is the width of a multiplication's event operand
        (the layer's; the multiplier's own when it is not given) and matters to `mult` only.

        Raises EnergyError when there is none, NotProvisionedError when the design has no such hardware.
        """
        if event not in PRICED:
            reason = "it counts cycles, which are no energy" if event in INDEX else "it is no event of hwsim.activity"
            raise EnergyError(f"{event}: no price, {reason}")
        if event in self.overrides.prices:
            pj = self.overrides.prices[event]
            return Price(event, pj, f"{pj:g}", OVERRIDE, OVERRIDE)
        known = VOCABULARY[INDEX[event]]
        if known.scope == "system":
            return self._channel(event)
        if known.unit == "accumulator_file":
            if self.arch.core_spec().order == "scatter":
                raise NotProvisionedError(f"{event}: {self.arch.name} has no accumulator file: it is event driven")
            raise EnergyError(f"{event}: no price; no table knows an accumulator file yet, so give the picojoules of one access "
                              f"yourself (--price {event}=...)")
        if known.unit in _MEMORY_OF:
            return self._row(event, _MEMORY_OF[known.unit])
        if event == "mult":
            return self._units(event, self._multiplication(payload_bits))
        terms = _terms(self.arch).get(event)
        if terms is None:
            raise EnergyError(f"{event}: no price; say in hwsim/energy.py, _terms, which units of table "
                              f"{self.arch.technology.units} one {known.counted} uses")
        return self._units(event, terms)

    def prices(self, payload_bits: int | None = None) -> list[Price]:
        """The prices of all events that the design can make happen, in the order of the vocabulary."""
        found = []
        for event in PRICED:
            try:
                found.append(self.price(event, payload_bits))
            except NotProvisionedError:  # the design cannot count it; asking for it by name still raises
                continue
        return found

    def _multiplication(self, payload_bits: int | None) -> tuple[Term, ...]:
        core = self.arch.core
        bits = core.payload_bits if payload_bits is None else payload_bits
        if bits < 1:
            raise NotProvisionedError(f"mult: there is nothing to multiply with payloads of {bits} bits "
                                      f"(core.payload_bits of {self.arch.name} is {core.payload_bits})")
        return (("mult", (core.weight_bits, bits)),)

    def _units(self, event: str, terms: tuple[Term, ...]) -> Price:
        from hwsim.technology import TechnologyError, unit_cost, units, weakest

        table = self.arch.technology.units
        if event == "reg_bits" and units(table).includes_registers:
            reason = units(table).sources[units(table).includes_registers_source]
            formula = f"0: the operations of {table} include their registers"
            return Price(event, 0.0, formula, reason.text, reason.confidence)
        try:
            costs = [unit_cost(table, operation, "energy_pj", widths) for operation, widths in terms]
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
        if memory is None:
            raise NotProvisionedError(f"{event}: {self.arch.name} has no {name} memory (its capacity is 0)")
        if "_write" not in event:
            return Price(event, memory.read_pj, memory.formula, memory.source, memory.confidence)
        from hwsim.technology import memory as profile
        from hwsim.technology import weakest

        table = profile(self.arch.technology.memory)
        ratio, reason = table.write_over_read, table.sources[table.write_over_read.source]
        return Price(event, memory.write_pj, f"{memory.formula} x {ratio.value:g} write / read",
                     f"{memory.source}; {reason.text}", weakest([memory.confidence, reason.confidence]))

    def _channel(self, event: str) -> Price:
        from hwsim.technology import dram

        given = self.arch.channel.energy_pj_per_bit
        if given is not None:
            text = f"architecture {self.arch.name}, channel.energy_pj_per_bit"
            return Price(event, given, f"{given:g} a bit", text, "assumption")
        table = dram(self.arch.technology.dram)
        source = table.sources[table.energy_pj_per_bit.source]
        pj = table.energy_pj_per_bit.value
        return Price(event, pj, f"{pj:g} a bit", source.text, source.confidence)


_MEMORY_OF = {unit: name for name, unit in UNIT_OF.items()}


def _terms(arch: Architecture) -> dict[str, tuple[Term, ...]]:
    """What each event uses: (operation of the units table, widths). docs/energy-model.md gives the reasons."""
    bits: tuple[int, ...] = (arch.core.potential_bits,)
    token: tuple[int, ...] = (token_bits(arch),)
    return {
        "acc_add": (("add", bits),),
        "bias_add": (("add", bits),),
        "sum_add": (("add", bits),),
        "weight_shift": (("shift", bits),),
        "membrane_shift": (("shift", bits),),
        "threshold_shift": (("shift", bits),),
        "leak": (("shift", bits), ("add", bits)),
        "cmp": (("compare", bits),),
        "reset_sub": (("reset", bits),),
        "reset_zero": (("clear", bits),),
        "requant": requantiser(arch),
        "fifo_push": (("register", token),),
        "fifo_pop": (("register", token),),
        "addr_gen": (("add", (ADDRESS_BITS,)), ("add", (ADDRESS_BITS,))),
        "pool_update": (("add", (POOL_BITS,)),),
        "spike_out": (("register", (entry_bits(arch),)),),
        "reg_bits": (("register", (1,)),),
    }


def price_list(arch: Architecture, overrides: Mapping[str, Any] | str | Path | Overrides | None = None) -> PriceList:
    """The prices of a design, all of them checked to be there.

    Raises EnergyError for a missing price or a wrong override, TechnologyError and MemoryProfileError for the tables.
    """
    prices = PriceList(arch, read_overrides(overrides), macros(arch))
    prices.prices()
    _leaks(arch, prices.overrides)
    return prices


def leakage(
    arch: Architecture, overrides: Mapping[str, Any] | str | Path | Overrides | None = None
) -> pd.DataFrame:
    """What everything provisioned leaks, whether it works or not: component, leakage_mw, source.

    Raises EnergyError, TechnologyError, MemoryProfileError.
    """
    import pandas as pd

    return pd.DataFrame(_leaks(arch, read_overrides(overrides)), columns=["component", "leakage_mw", "source"])


def _leaks(arch: Architecture, overrides: Overrides) -> list[tuple[str, float, str]]:
    given, found = overrides.leakage_mw, leakage_figures(arch)
    names = [f.component for f in found]
    for name in given:
        if name not in names:
            raise EnergyError(f"overrides: leakage_mw.{name}: {arch.name} has no such component; allowed are "
                              f"{', '.join(names)}")
    return [(f.component, given[f.component], OVERRIDE) if f.component in given else (f.component, f.amount, f.source)
            for f in found]


def price_hash(arch: Architecture, overrides: Mapping[str, Any] | str | Path | Overrides | None = None) -> str:
    """Identity of all prices of a design, leakage included: equal numbers, equal hash, wherever they come from."""
    from hashlib import sha256

    prices = price_list(arch, overrides)
    lines = [f"{p.event} {p.pj:.12g}" for p in prices.prices()]
    lines += [f"mult {bits} {prices.price('mult', bits).pj:.12g}" for bits in range(1, 17)]
    lines += [f"{name} {mw:.12g}" for name, mw, _ in _leaks(arch, prices.overrides)]
    lines.append(f"period {arch.period_ns:.12g}")
    return sha256("\n".join(lines).encode()).hexdigest()[:16]


# --- activity times price --------------------------------------------------------------------------------------------


def price_activity(
    activity: pd.DataFrame, arch: Architecture, elapsed_cycles: int, payload_bits: Mapping[str, int],
    overrides: Mapping[str, Any] | str | Path | Overrides | None = None,
) -> pd.DataFrame:
    """Counts as picojoules, and leakage over `elapsed_cycles`.

    activity       layer, unit, event, count, and any of timestep, sample; rows of 0 and of cycles are left out.
    payload_bits   by layer, the width of the multiplications' event operand; needed where `mult` is counted.

    Returns the columns of `activity` with scope, price_pj, energy_pj, formula and source. Leakage rows have event
    `leakage`, layer "", timestep and sample -1, the component as unit, the cycles as count and pJ a cycle as price.
    Raises EnergyError for an unknown event, a price that is missing, a layer that multiplies without a payload width.
    """
    import pandas as pd

    prices = price_list(arch, overrides)
    unknown = sorted(set(activity["event"].unique()) - set(EVENTS))
    if unknown:
        raise EnergyError(f"activity: {', '.join(unknown)}: no such event; allowed are {', '.join(EVENTS)}")
    kept = activity[(activity["count"] != 0) & activity["event"].isin(PRICED)].reset_index(drop=True)
    if (kept["count"] < 0).any():
        raise EnergyError(f"activity: {kept.loc[kept['count'] < 0, 'event'].iloc[0]} is counted less than 0 times")
    multiplied = kept["event"] == "mult"
    without = sorted(set(kept.loc[multiplied, "layer"]) - set(payload_bits))
    if without:
        raise EnergyError(f"mult: layer {', '.join(map(str, without))} multiplies; give its width in payload_bits")
    kept["payload"] = kept["layer"].map(dict(payload_bits)).where(multiplied, 0).astype("int64")
    distinct = kept[["event", "payload"]].drop_duplicates()
    found = [prices.price(e, int(b) if e == "mult" else None) for e, b in distinct.itertuples(index=False)]
    distinct = distinct.assign(
        scope=[VOCABULARY[INDEX[p.event]].scope for p in found], price_pj=[p.pj for p in found],
        formula=[p.formula for p in found], source=[p.citation for p in found])
    priced = kept.merge(distinct, on=["event", "payload"], how="left")
    priced["energy_pj"] = priced["count"] * priced["price_pj"]
    keys = [c for c in activity.columns if c not in ("unit", "event", "count")]
    leaks = _leakage_frame(arch, prices.overrides, elapsed_cycles, keys)
    columns = [*keys, "unit", "event", "scope", "count", "price_pj", "energy_pj", "formula", "source"]
    return pd.concat([priced[columns], leaks[columns]], ignore_index=True) if len(priced) else leaks[columns]


def _leakage_frame(arch: Architecture, overrides: Overrides, elapsed_cycles: int, keys: list[str]) -> pd.DataFrame:
    import pandas as pd

    rows = _leaks(arch, overrides)
    frame = pd.DataFrame({
        "unit": [name for name, _, _ in rows], "event": "leakage", "scope": "core", "count": int(elapsed_cycles),
        "price_pj": [mw * arch.period_ns for _, mw, _ in rows],
        "formula": [f"{mw:.4g} mW x {arch.period_ns:.4g} ns a cycle" for _, mw, _ in rows],
        "source": [source for _, _, source in rows],
    })
    frame["energy_pj"] = frame["count"] * frame["price_pj"]
    return frame.assign(**{key: "" if key == "layer" else -1 for key in keys})


def scopes(energy: pd.DataFrame) -> dict[str, float]:
    """pJ in the three cumulative scopes: compute, core (with compute), system (with core)."""
    sums = energy.groupby("scope")["energy_pj"].sum()
    totals, running = {}, 0.0
    for scope in SCOPES:
        running += float(sums.get(scope, 0.0))
        totals[scope] = running
    return totals


def explain_rows(energy: pd.DataFrame) -> list[dict[str, Any]]:
    """One row for each event and price, by scope and falling energy: scope, unit, event, count, price_pj, energy_pj,
    share (of the system's energy), formula, source. The rows add up to the system's energy."""
    keys = ["scope", "unit", "event", "price_pj", "formula", "source"]
    grouped = energy.groupby(keys, as_index=False, sort=False)[["count", "energy_pj"]].sum()
    total = float(grouped["energy_pj"].sum())
    grouped["share"] = grouped["energy_pj"] / total if total else 0.0
    grouped["order"] = grouped["scope"].map({scope: i for i, scope in enumerate(SCOPES)})
    ordered = grouped.sort_values(["order", "energy_pj"], ascending=[True, False], kind="stable")
    names = ["scope", "unit", "event", "count", "price_pj", "energy_pj", "share", "formula", "source"]
    return [{str(k): v for k, v in row.items()} for row in ordered[names].to_dict("records")]


def explain(energy: pd.DataFrame) -> str:
    """`explain_rows` as text of at most 120 columns: count x price = energy, its formula, and numbered sources."""
    from textwrap import wrap

    from hwsim.units import format_si

    rows, totals = explain_rows(energy), scopes(energy)
    numbers = {source: i for i, source in enumerate(dict.fromkeys(r["source"] for r in rows), 1)}
    lines: list[str] = []
    for scope in SCOPES:
        lines += ["", f"{scope}: {format_si(totals[scope] * 1e-12, 'J', 4)}"
                      + (f", with {SCOPES[SCOPES.index(scope) - 1]}" if scope != SCOPES[0] else "")]
        for row in (r for r in rows if r["scope"] == scope):
            name = row["event"] if row["event"] != "leakage" else f"leakage {row['unit']}"
            joules = format_si(row["energy_pj"] * 1e-12, "J", 4)
            lines.append(f"  {name:<27}{row['count']:>20,} x {row['price_pj']:>10.5g} pJ = {joules:>9} "
                         f"{100 * row['share']:>6.2f}%  [{numbers[row['source']]}]")
            lines += wrap(row["formula"], 120, initial_indent=" " * 6, subsequent_indent=" " * 8)
    lines += ["", "sources"]
    for source, number in numbers.items():
        lines += wrap(source, 120, initial_indent=f"  [{number}] ".ljust(7), subsequent_indent=" " * 7)
    lines += ["", *wrap(f"not modelled: {', '.join(NOT_MODELLED)}", 120, subsequent_indent="  ")]
    return "\n".join(lines[1:])
