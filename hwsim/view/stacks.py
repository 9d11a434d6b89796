"""Energy and latency as stacked bars on one pair of axes: a bar per layer of one run, or a bar per run of several.

What the bars hold is made in segments.py; panels.py draws the same bars on both panels of the wide figures (plot.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hwsim.counted import WAIT
from hwsim.view.figure_file import FigureError, in_our_style
from hwsim.view.labels import Rows, design, layer_name, mean_of, off, shortened, title
from hwsim.view.page import MARGIN, fitted, inches
from hwsim.view.panels import PITCH, Axis, Panel, draw_stack
from hwsim.view.run_numbers import run_labels
from hwsim.view.segments import (
    Segment,
    energy_by_layer_and_unit,
    energy_by_unit,
    merge_small,
    time_by_cause,
    time_by_layer_and_cause,
    total,
)
from hwsim.view.sheet import Sheet, one_axes
from hwsim.view.style import CAUSES, NORMAL, SMALL, number
from hwsim.view.width import WIDTHS, Width

if TYPE_CHECKING:
    from hwsim.result import Result

LONGEST_LABEL = 0.46
"""Of the sheet's width, that the names of the bars may take."""
NUMBERS = 0.62
"""Inches of the numbers beside the bars."""
SEEN = 0.002
"""Share of the longest bar from which on a segment is seen; less has no entry in the legend."""


@in_our_style
def draw_energy(results: Sequence[Result], axes: Axes | None = None) -> Axes:
    """Energy per sample by unit, the off-chip channel hatched: a bar per layer of one run, or a bar per run.

    axes   drawn on; left out, on a figure of its own.     Returns the axes. Raises FigureError for no runs.
    """
    if axes is None:
        return energy_stack(results).axes[0]
    labels, segments, _ = _energies(results)
    return _draw(axes, labels, segments, "J")


@in_our_style
def draw_latency(results: Sequence[Result], axes: Axes | None = None) -> Axes:
    """Latency per sample by cause: a bar per layer of one run, or a bar per run. As `draw_energy` otherwise."""
    if axes is None:
        return latency_stack(results).axes[0]
    labels, segments = _times(results)
    return _draw(axes, labels, segments, "s")


@in_our_style
def energy_stack(results: Sequence[Result], width: Width = "column") -> Figure:
    """The bars of `draw_energy` with title, legend and notes."""
    labels, segments, note = _energies(results)
    return _figure("Energy of one sample", results, labels, segments, "J", width, [note, off(results)])


@in_our_style
def latency_stack(results: Sequence[Result], width: Width = "column") -> Figure:
    """The bars of `draw_latency` with title, legend and notes."""
    labels, segments = _times(results)
    return _figure("Latency of one sample", results, labels, segments, "s", width, [])


def _energies(results: Sequence[Result]) -> tuple[list[str], list[Segment], str]:
    _check(results)
    one = len(results) == 1
    labels, segments = energy_by_layer_and_unit(results[0]) if one else (run_labels(results), energy_by_unit(results))
    return labels, *merge_small(segments)


def _times(results: Sequence[Result]) -> tuple[list[str], list[Segment]]:
    _check(results)
    if len(results) > 1:
        return run_labels(results), time_by_cause(results)
    names, segments = time_by_layer_and_cause(results[0])
    # The legend says what a load is: its whole name would leave the bars half of a column.
    return [name.partition(" (")[0] if name == CAUSES[WAIT].label else name for name in names], segments


def _check(results: Sequence[Result]) -> None:
    if not results:
        raise FigureError("no results to draw, expected at least one")


def _draw(axes: Axes, labels: list[str], segments: list[Segment], base: str) -> Axes:
    axis = Axis.fitting(segments, base)
    room = LONGEST_LABEL * float(axes.figure.bbox.width / axes.figure.dpi)
    draw_stack(axes, Panel("", Rows([_fitting(label, room) for label in labels]), segments, axis))
    for y, value in zip(np.arange(len(labels)) + 0.5, total(segments), strict=True):
        axes.annotate(number(axis.scale * value), (1, y), xycoords=("axes fraction", "data"), xytext=(5, 0),
                      textcoords="offset points", size=SMALL, va="center_baseline", ha="left")
    return axes


def _fitting(label: str, room: float) -> str:
    """The label, shortened until it has room: a sentence in its middle, a dotted name of a layer at its begin."""
    return fitted(lambda letters: (shortened if " " in label else layer_name)(label, letters), len(label), room)


def _figure(
    what: str, results: Sequence[Result], labels: list[str], segments: list[Segment], base: str,
    width: Width, notes: list[str],
) -> Figure:
    across = WIDTHS[width].sheet
    left = MARGIN + max(inches(_fitting(label, LONGEST_LABEL * across), NORMAL) for label in labels) + 0.12
    seen = [s for s in segments if s.values.max() > SEEN * total(segments).max()]
    axis = Axis.fitting(segments, base)
    sub = f"{title(results[0])}; {design(results[0])}" if len(results) == 1 else ", ".join(
        dict.fromkeys(shortened(r.facts.arch, 30) for r in results))
    sheet = Sheet(what, f"{sub}; {mean_of(results)}", PITCH * len(labels), left, [(s.look.label, s.look) for s in seen],
                  [*notes, f"At the right: the whole bar, {axis.unit}."], right=MARGIN + NUMBERS)
    return one_axes(sheet, width, lambda axes: _draw(axes, labels, segments, base))
