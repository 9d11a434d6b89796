"""A result's energy as a vector: picojoules by price key, so that other prices are a product of matrices and no repricing.

Energy is linear in prices. All rows of an energy frame whose price is one number of one table share a key: `compute.add` (an
operation of the papers' account), `memory.1r1w.write` (a memory with two ports), `logic.lane`, `clock`, `wires`, `link`,
`channel`, `leakage.memory`. What is not linear (cells, supply, clock gating, links) is a Setting, and each has a vector of its
own, made once by repricing. Energies are pJ per sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from hwsim.activity import SCOPES
from hwsim.arch import Architecture
from hwsim.cores.logic import CLOCK, WIRES
from hwsim.cores.model import core_model
from hwsim.cores.power import MEMORY_OF
from hwsim.cost.energy import price_activity
from hwsim.cost.leakage import LEAKAGE
from hwsim.cost.rate import Work, energy_at_rate
from hwsim.cost.units import unit_at
from hwsim.result import Result

Bill = Mapping[tuple[str, str], float]
"""pJ by (scope, price key)."""


class Setting(NamedTuple):
    """What a bill is made at."""

    memory: str
    vdd_v: float
    clock_gating: str
    links: str


@dataclass(eq=False)
class Priced:
    """A result whose bills are made when they are asked for, each once.

    technology   settings that are the same in all of them.
    rate_hz      samples per second; None: at full speed.
    """

    result: Result
    technology: Mapping[str, Any]
    rate_hz: float | None = None

    def __post_init__(self) -> None:
        self.bill, self.frame = lru_cache(maxsize=None)(self._bill), lru_cache(maxsize=None)(self._frame)

    def at(self, rate_hz: float | None) -> Priced:
        """The same at a rate; what is priced at full speed is priced once for all rates."""
        other = Priced(self.result, self.technology, rate_hz)
        other.frame = self.frame
        return other

    def plain(self, setting: Setting) -> Setting:
        """The setting without what the design does not have: links of a chip of one core."""
        return setting if self.result.architecture.network is not None else setting._replace(links="noxim")

    @cached_property
    def _activity(self) -> Any:
        """Counts per sample by core, layer and event: all that prices tell apart."""
        by = ["core", "layer", "unit", "event"]
        return self.result.activity.groupby(by, sort=False, as_index=False)["count"].sum()

    def _frame(self, setting: Setting) -> tuple[Any, Architecture]:
        """Priced activity and leakage at full speed, and the design at this setting."""
        r = self.result
        technology = r.architecture.technology.model_copy(update={**self.technology, **setting._asdict()})
        design = r.architecture.model_copy(update={"technology": technology})
        return price_activity(self._activity, design, float(r.cycles.mean()), r.facts.payload_bits, None, r.used,
                              r.facts.value_bits), design

    def _bill(self, setting: Setting) -> Bill:
        """Raises what `Result.reprice` raises, and RateError."""
        frame, design = self.frame(setting)
        r = self.result
        if self.rate_hz is None:
            return bill_of(frame, design)
        if design.power.idle:  # something is off between samples, and perhaps loaded again
            return bill_of(replace(r, architecture=design, overrides={}).at_rate(self.rate_hz).accounts, design)
        sums = frame.groupby("scope")["energy_pj"].sum().reindex(SCOPES, fill_value=0.0).to_numpy(float)
        work = Work(lambda: frame, sums, float(r.cycles.mean()), lambda: r.setup_of([])[0], 0 * sums, 0, [], r.facts.payload_bits)
        return bill_of(energy_at_rate(work, design, self.rate_hz, None, r.used, {}, 0).accounts, design)


def bill_of(frame: Any, arch: Architecture) -> dict[tuple[str, str], float]:
    """The rows of an energy frame (`Result.accounts`) by scope and price key; their sum is the frame's."""
    found: dict[tuple[str, str], float] = {}
    sums = frame.groupby(["scope", "unit", "component", "event"], sort=False)["energy_pj"].sum()
    for (scope, unit, component, event), energy in sums.items():
        for key, share in _keys(arch, scope, unit, component, event):
            found[scope, key] = found.get((scope, key), 0.0) + share * float(energy)
    return found


def _keys(arch: Architecture, scope: str, unit: str, component: str, event: str) -> list[tuple[str, float]]:
    """The price keys of a row with the share that each has of its price."""
    if scope == "compute":
        return _operations(arch, event)
    if event == LEAKAGE:
        return [("leakage.memory" if component in MEMORY_OF else f"leakage.{component}" if component == "router"
                 else "leakage.logic", 1.0)]
    if component in MEMORY_OF:
        return [(f"memory.{_ports(arch, MEMORY_OF[component])}.{'write' if '_write' in event else 'read'}", 1.0)]
    if component in (CLOCK, WIRES, "channel"):
        return [(component, 1.0)]
    if component in ("link", "router"):
        return [("link", 1.0)]
    return [(f"logic.{component}", 1.0)]


def _ports(arch: Architecture, memory: str) -> str:
    """Of a memory; chips whose cores differ in it are named by the first that has it."""
    return next(one.only.arrays[memory].ports for one, _ in arch.kinds() if one.capacities.get(memory))


def _operations(arch: Architecture, event: str) -> list[tuple[str, float]]:
    """An event of the papers' arithmetic: the operations of the units table that it is made of."""
    one = arch.kinds()[0][0]
    terms = core_model(one.core.kind).terms(one.only, None).get(event)
    if terms is None or len(terms) == 1:
        return [(f"compute.{'mult' if event == 'mult' else terms[0][0] if terms else event}", 1.0)]
    costs = [unit_at(one.technology, one.technology.units, name, "energy_pj", widths).value for name, widths in terms]
    return [(f"compute.{name}", cost / sum(costs)) for (name, _), cost in zip(terms, costs, strict=True)]


