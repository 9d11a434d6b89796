"""Two saved runs held against each other: `difference(a, b)` says what differs and what moved what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.diff.moved import Moved, by_scope, grouped, moved_lines
from hwsim.diff.numbers import Number, counts_by_event, cycles_by_cause, numbers_that_differ
from hwsim.diff.settings import Alone, Setting, moved_alone, settings_that_differ
from hwsim.errors import HwsimError
from hwsim.links import undecided
from hwsim.result_reader import load_result, made_with

if TYPE_CHECKING:
    from hwsim.result import Result
    from hwsim.result_reader import MadeWith


class DiffError(HwsimError):
    """Two folders that cannot be held against each other; the text says why."""


@dataclass(frozen=True, eq=False)
class Difference:
    """What differs between the runs a and b; every change is b minus a. Numbers are per sample, energy in pJ."""

    a: Result
    b: Result
    made: tuple[MadeWith | None, MadeWith | None] = (None, None)

    @cached_property
    def same_network(self) -> bool:
        """Whether layers can be compared by name: both networks have the same ones, in the same order."""
        return self.a.facts.layers == self.b.facts.layers

    @cached_property
    def same_counts(self) -> bool:
        """Whether both are one simulation: whatever differs then, prices made it."""
        return self.a.sim_id == self.b.sim_id

    @cached_property
    def settings(self) -> list[Setting]:
        return settings_that_differ(self.a, self.b, self.made)

    @cached_property
    def alone(self) -> list[Alone]:
        """What each price setting moves alone, on the counts of a."""
        return moved_alone(self.a, self.b, self.settings)

    @cached_property
    def numbers(self) -> list[Number]:
        return numbers_that_differ(self.a, self.b)

    @cached_property
    def lines(self) -> list[Moved]:
        """Every line of both accounts, by layer where the network is the same, the largest change first."""
        return moved_lines(self.a.accounts, self.b.accounts, self.same_network)

    @cached_property
    def scopes(self) -> dict[str, dict[str, float]]:
        """Energy in the three scopes: a_pj, b_pj, change_pj, and its two parts price_moved_pj and count_moved_pj."""
        return by_scope(self.lines)

    def only_in(self, which: str) -> dict[str, list[str]]:
        """Names that only run "A" or "B" has: layers, units and events."""
        def names(result: Result) -> dict[str, list[str]]:
            accounts = result.accounts
            return {"layers": result.facts.layers, "units": list(accounts["unit"].unique()),
                    "events": list(accounts["event"].unique())}

        mine, theirs = (names(self.a), names(self.b)) if which == "A" else (names(self.b), names(self.a))
        return {kind: [str(name) for name in found if name not in theirs[kind]] for kind, found in mine.items()}

    def notes(self) -> list[str]:
        """What a reader must know before a number is quoted."""
        a, b = self.a.facts, self.b.facts
        found = []
        if not self.same_network:
            found.append("The networks are not the same: their layers differ in names or number. Only totals are compared.")
        elif a.trace_hash != b.trace_hash:
            found.append("The layers have the same names, but the traces differ: changes of counts include other spikes.")
        if a.sample_indices != b.sample_indices:
            found.append("The runs replayed other samples: means over them differ for that reason too.")
        if self.same_counts:
            found.append("Both runs are one simulation: cycles and counts are equal, so prices made every change of energy.")
        for what, orders in self.undecided().items():
            found += [f"{what}: run {one} needs less than run {other}, and would not if links cost nothing: that is not decided."
                      for one, other in orders]
        return found

    def undecided(self) -> dict[str, list[tuple[str, str]]]:
        """By number, the runs of which the first has the smaller one, and would not have it if links cost nothing."""
        runs = {"A": self.a, "B": self.b}
        return {"Latency": undecided({name: _latency_s(run) for name, run in runs.items()}),
                "Core energy": undecided({name: _core_pj(run) for name, run in runs.items()})}

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        return {
            "a": _who(self.a), "b": _who(self.b), "same_network": self.same_network, "same_counts": self.same_counts,
            "notes": self.notes(), "settings": [row._asdict() for row in self.settings],
            "numbers": [row.row() for row in self.numbers], "cycles": cycles_by_cause(self.a, self.b, self.same_network),
            "events": counts_by_event(self.a, self.b, self.same_network), "energy": self.scopes,
            "energy_by_unit": grouped(self.lines, "unit"),
            "energy_by_layer": grouped(self.lines, "layer") if self.same_network else [],
            "price_settings_alone": [row._asdict() for row in self.alone],
            "lines": [line.row() for line in self.lines], "only_in_a": self.only_in("A"), "only_in_b": self.only_in("B")}


def _who(result: Result) -> dict[str, str]:
    f = result.facts
    return {"run_id": result.run_id, "sim_id": result.sim_id, "price_id": result.price_id, "trace": f.trace,
            "trace_hash": f.trace_hash, "arch": f.arch, "schedule": f.schedule}


def _latency_s(run: Result) -> tuple[float, float]:
    """Of a sample, and what it would be if links cost nothing."""
    free = run.free_links
    cycles = float(run.cycles.mean())
    return cycles / run.architecture.clock, (cycles if free is None else free["cycles"]) / run.architecture.clock


def _core_pj(run: Result) -> tuple[float, float]:
    """The same of the energy in the core."""
    free = run.free_links
    return run.energy_pj["core"], run.energy_pj["core"] if free is None else free["energy_pj"]["core"]


def difference(a: str | Path, b: str | Path) -> Difference:
    """What differs between the results saved in two folders. Raises DiffError for one folder twice, ResultError for no result."""
    left, right = Path(a), Path(b)
    if left.exists() and right.exists() and left.samefile(right):
        raise DiffError(f"{a} and {b}: found one folder twice, expected two runs; name another folder that `hwsim run --out` "
                        "wrote")
    return Difference(load_result(left), load_result(right), (made_with(left), made_with(right)))
