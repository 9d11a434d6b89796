"""Several runs in one table, and spiking runs beside the ANN runs that they can be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwsim.activity import SCOPES
from hwsim.compare import ACCURACY_POINTS
from hwsim.view.labels import coding_label

if TYPE_CHECKING:
    from hwsim.report.quantities import Quantity
    from hwsim.result import Result

COLUMNS = ("latency", "energy-core", "energy-system", "energy-compute", "at-rate", "per-operation", "accuracy", "area", "power",
           "cycles", "mismatches")
BARS = ("latency", "energy-core", "energy-system")
"""Columns whose cells have a bar: its length is the share of the largest in the column."""


def comparison(results: Sequence[Result], quantities: Sequence[dict[str, Quantity]]) -> dict[str, Any]:
    """What the template needs beside each run's own quantities: columns and their labels, those with bars, labels of rows."""
    labels = {key: list(dict.fromkeys(of_run[key].label for of_run in quantities)) for key in COLUMNS}
    columns = {key: names[0] if len(names) == 1 else "System energy at the run's own rate" for key, names in labels.items()}
    return {"columns": columns, "bars": BARS, "labels": [run_label(result) for result in results]}


def run_label(result: Result) -> tuple[str, str]:
    """A run in two lines: its design; its trace, coding and schedule, which says nothing of a quantised ANN's one step."""
    f = result.facts
    kind = "quantised ANN" if f.is_ann else f"{coding_label(f.coding)}, T = {f.timesteps}, {f.schedule.replace('_', ' ')}"
    return f.arch, f"{f.trace}; {kind}"


@dataclass(frozen=True)
class Beside:
    """A spiking run and an ANN run (their numbers on the page, from 1), ratios SNN / ANN, and what to keep in mind."""

    snn: int
    ann: int
    ratios: dict[str, float | None]
    cautions: list[str]


def spiking_beside_ann(results: Sequence[Result]) -> list[Beside]:
    """Every spiking run with every ANN run whose layers have the same names."""
    return [_beside(i, snn, j, ann) for i, snn in enumerate(results, 1) for j, ann in enumerate(results, 1)
            if not snn.facts.is_ann and ann.facts.is_ann and snn.facts.layers == ann.facts.layers]


def _beside(i: int, snn: Result, j: int, ann: Result) -> Beside:
    ratios = {"latency": _ratio(snn.latency_s, ann.latency_s),
              **{f"{scope} energy": _ratio(snn.energy_pj[scope], ann.energy_pj[scope]) for scope in SCOPES},
              "area": _ratio(snn.area_mm2, ann.area_mm2)}
    a, b, one, two = snn.facts, ann.facts, snn.architecture, ann.architecture
    left, right = ((f.accuracy_test_set, f.accuracy) for f in (a, b))
    pair = next(((x, y) for x, y in zip(left, right, strict=True) if x is not None and y is not None), None)
    found = [
        f"Accuracy differs by {pair[0] - pair[1]:+.2f} points." if pair and abs(pair[0] - pair[1]) > ACCURACY_POINTS else "",
        "The accuracy of one is not known." if pair is None else "",
        "They replayed other samples." if a.sample_indices != b.sample_indices else "",
        "Their prices come from other tables, nodes or supplies." if one.technology != two.technology else "",
        "Prices were overridden in one of them." if dict(snn.overrides) != dict(ann.overrides) else "",
        "Their clocks differ." if one.clock != two.clock else "",
        "They have other numbers of adders." if one.additions_per_cycle != two.additions_per_cycle else ""]
    return Beside(i, j, ratios, [text for text in found if text])


def _ratio(a: float, b: float) -> float | None:
    return a / b if b else None
