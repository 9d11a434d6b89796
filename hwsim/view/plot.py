"""Figures of results: where the energy and the time of one sample go, for one design or for many side by side.

Each figure is panels of bars: what the bars hold is made in segments.py, how they are named in labels.py, how they are drawn
in panels.py and page.py, how they look in style.py. Accuracy against energy is drawn in accuracy.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from hwsim.counted import WORKING
from hwsim.view.accuracy import accuracy_figure, has_accuracies
from hwsim.view.figure_file import in_our_style, write_figure
from hwsim.view.labels import Rows, design, grouped, mean_of, off, title, traces
from hwsim.view.panels import Axis, NumberColumn, Panel, beside_each_other
from hwsim.view.segments import (
    Segment,
    Values,
    diagonal,
    energy_by_layer,
    energy_by_layer_and_unit,
    energy_by_unit,
    merge_small,
    merge_units,
    networks,
    scope_of,
    scope_totals,
    time_by_cause,
    time_by_layer,
    time_by_layer_and_cause,
    total,
)
from hwsim.view.stacks import energy_stack, latency_stack
from hwsim.view.style import CHANNEL, UNITS, number, percent, with_spread
from hwsim.view.width import Width

if TYPE_CHECKING:
    from hwsim.result import Result

SETUP_NOTE = "setup (weights that are loaded once) is not included"
_SPREAD_NOTE = "±: standard deviation over the samples, of the number to its left."


def save_figures(results: Sequence[Result], folder: str | Path) -> list[Path]:
    """Write energy.png and latency.png into `folder` (made if missing), each whole or not at all; and before them accuracy.png,
    where several results have an accuracy: a short bar of a network that is wrong misleads."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    first = [write_figure(accuracy_figure(results), target / "accuracy.png")] if has_accuracies(results) else []
    return [*first, write_figure(energy_figure(results), target / "energy.png"),
            write_figure(latency_figure(results), target / "latency.png")]


def energy_figure(results: Sequence[Result], width: Width = "screen") -> Figure:
    """Energy per sample. Several results: a bar each, by unit and by layer; one: a bar per layer, and a bar per unit.

    Narrower than a screen it is one panel: by unit, a bar for each result, or for each layer of one. Raises ValueError when there
    is no result.
    """
    return _figure(results, _one_energy, _many_energies) if width == "screen" else energy_stack(results, width)


def latency_figure(results: Sequence[Result], width: Width = "screen") -> Figure:
    """Latency per sample. Several results: a bar each, by cause and by layer; one: a bar per layer, and a bar per cause.

    Narrower than a screen as `energy_figure`. Raises ValueError when there is no result.
    """
    return _figure(results, _one_latency, _many_latencies) if width == "screen" else latency_stack(results, width)


@in_our_style
def _figure(results: Sequence[Result], one: Callable[[Result], Figure],
            many: Callable[[Sequence[Result]], Figure]) -> Figure:
    if not results:
        raise ValueError("no results to draw, expected at least one")
    return one(results[0]) if len(results) == 1 else many(results)


def _many_energies(results: Sequence[Result]) -> Figure:
    """What is on the chip by unit and by layer; between them what leaves it, by an axis of its own."""
    ordered, rows = grouped(results)
    (units, channel), (layers, _) = _apart(energy_by_unit(ordered)), _apart(energy_by_layer(ordered))
    merged, note = merge_small(units)
    totals = scope_totals(ordered)
    axis, off_axis = Axis.fitting(units, "J"), Axis.fitting([channel], "J")
    columns = [NumberColumn(f"{scope}\n{axis.unit}", [number(axis.scale * v) for v in totals[scope]])
               for scope in ("compute", "core")]
    spreads = _spreads([r.spread["energy_pj"]["core"] for r in ordered], 1e-12 * axis.scale)
    system = NumberColumn(f"system\n{axis.unit}", [number(axis.scale * v) for v in totals["system"]])
    return beside_each_other("Energy of one sample", f"{mean_of(ordered)}; {SETUP_NOTE}", (
        Panel("On chip, by unit", rows, merged, axis, [*columns, *spreads], legend="By unit", share=0.42),
        Panel("Off-chip channel", rows, [channel], off_axis, [system], labelled=False, share=0.18, ticks=3),
        Panel("On chip, by layer", rows, layers, axis, labelled=False, legend="By layer", share=0.4),
    ), [note, off(ordered), _SPREAD_NOTE if spreads else "", _traces(ordered)])


def _apart(segments: Sequence[Segment]) -> tuple[list[Segment], Segment]:
    """What is on the chip, and what the off-chip channel takes."""
    none = Segment(CHANNEL, UNITS[CHANNEL], np.zeros_like(segments[0].values))
    return [s for s in segments if s.key != CHANNEL], next((s for s in segments if s.key == CHANNEL), none)


def _many_latencies(results: Sequence[Result]) -> Figure:
    ordered, rows = grouped(results)
    causes = time_by_cause(ordered)
    axis = Axis.fitting(causes, "s")
    latency = total(causes)
    works = [s for s in causes if s.key in WORKING]
    busy = total(works) if works else np.zeros(len(ordered))
    spreads = _spreads([r.spread["latency_s"] for r in ordered], axis.scale)
    columns = [
        NumberColumn("cycles", [f"{r.cycles.mean():,.0f}" for r in ordered], 0.8),
        NumberColumn(f"latency\n{axis.unit}", [number(axis.scale * v) for v in latency]), *spreads,
        NumberColumn("busy", [percent(b, t) for b, t in zip(busy, latency, strict=True)]),
    ]
    return beside_each_other("Latency of one sample", f"{mean_of(ordered)}; {SETUP_NOTE}", (
        Panel("By cause", rows, causes, axis, columns, legend="By cause"),
        Panel("By layer", rows, time_by_layer(ordered), axis, labelled=False, legend="By layer"),
    ), [_SPREAD_NOTE if spreads else "", _traces(ordered)])


def _traces(results: Sequence[Result]) -> str:
    """The traces as a note; of several networks, whose layers have colours of their own, those of each."""
    every = networks(results)
    if len(every) == 1:
        return traces(results)
    return " ".join(f"Network {n}, {traces([r for r in results if tuple(r.facts.layers) == names])}"
                    for n, names in enumerate(every, start=1))


def _spreads(spreads: Sequence[float | None], scale: float) -> list[NumberColumn]:
    """A column of standard deviations, right of the means that they belong to; none where nothing has one."""
    if all(spread is None for spread in spreads):
        return []
    return [NumberColumn("±", ["" if spread is None else number(scale * spread) for spread in spreads], 0.62)]


def _one_energy(result: Result) -> Figure:
    """Left a bar a layer, cut into units; right a bar a unit, under the scope that it belongs to."""
    names, stacked = energy_by_layer_and_unit(result)
    every = energy_by_unit([result])
    units, note = merge_small(every)  # a row for each of a dozen small ones leaves the left half empty
    stacked, _ = merge_units(stacked, {s.key for s in every} - {s.key for s in units})
    scopes = {name: float(values[0]) for name, values in scope_totals([result]).items()}
    axis = Axis.fitting(stacked, "J")
    unit_axis = Axis.fitting(diagonal(units), "J", like=axis)
    said = {name: f"{number(axis.scale * value)} {axis.unit}" for name, value in scopes.items()}
    spread = result.spread["energy_pj"]["core"]
    deviation = "" if spread is None else f", core scope ± {number(1e-12 * axis.scale * spread)} {axis.unit}"
    text = {"core": (f"Core scope, {said['core']}", f"on chip; compute: {said['compute']}"),
            "system": (f"System scope, {said['system']}", "with the off-chip channel")}
    starts = {scope_of(s.key): i for i, s in reversed(list(enumerate(units)))}
    rows = Rows([s.look.label for s in units], {i: text[scope] for scope, i in starts.items()})
    left = Panel("By layer; colours as on the right", Rows(names), stacked, axis,
                 _value_columns(total(stacked), axis, scopes["system"]), share=0.58)
    right = Panel("By unit", rows, diagonal(units), unit_axis,
                  _value_columns(total(units, axis=1), unit_axis, scopes["system"]), share=0.42)
    return beside_each_other(f"Energy of one sample: {title(result)}",
                             f"{design(result)}; {mean_of([result])}{deviation}; {SETUP_NOTE}", (left, right),
                             [note, off([result])])


def _one_latency(result: Result) -> Figure:
    """Left a bar a layer, cut into causes; right a bar a cause."""
    names, stacked = time_by_layer_and_cause(result)
    causes = time_by_cause([result])
    axis = Axis.fitting(stacked, "s")
    cause_axis = Axis.fitting(diagonal(causes), "s", like=axis)
    left = Panel("By layer; colours as on the right", Rows(names), stacked, axis,
                 _value_columns(total(stacked), axis, result.latency_s), share=0.58)
    right = Panel("By cause", Rows([s.look.label for s in causes]), diagonal(causes), cause_axis,
                  _value_columns(total(causes, axis=1), cause_axis, result.latency_s), share=0.42)
    spread = result.spread
    cycles = f"{spread['cycles']:,.0f}" if spread["cycles"] is not None else ""
    whole = (f"{with_spread(axis.scale * result.latency_s, _scaled(spread['latency_s'], axis.scale))} {axis.unit}, "
             f"{result.cycles.mean():,.0f}{' ± ' + cycles if cycles else ''} cycles")
    return beside_each_other(f"Latency of one sample: {title(result)}",
                             f"{whole}; {design(result)}; {mean_of([result])}; {SETUP_NOTE}", (left, right), [])


def _scaled(spread: float | None, scale: float) -> float | None:
    return None if spread is None else scale * spread


def _value_columns(values: Values, axis: Axis, whole: float) -> list[NumberColumn]:
    return [NumberColumn(axis.unit, [number(axis.scale * v) for v in values]),
            NumberColumn("share", [percent(v, whole) for v in values], 0.5)]
