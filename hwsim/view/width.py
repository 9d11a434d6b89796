"""How wide a figure is: for a screen, a page or a paper's column.

Figures are laid out on a sheet in inches, with letters of 8 points or more. For paper the sheet is smaller, and the finished
figure is then scaled to the width that is asked for, letters, lines and marks alike. Letters are then 6.8 points or more.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axis import Axis, Tick
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Annotation, Text

Width = Literal["screen", "page", "column"]


class Size(NamedTuple):
    """Inches of the finished figure, and what the sheet is scaled by."""

    inches: float
    scale: float

    @property
    def sheet(self) -> float:
        """Inches of the sheet that the figure is laid out on."""
        return self.inches / self.scale


WIDTHS: dict[Width, Size] = {"screen": Size(11.5, 1.0), "page": Size(7.16, 0.85), "column": Size(3.5, 0.85)}
"""A page and a column are those of IEEE's papers, 182 and 89 mm."""


def scaled(figure: Figure, width: Width) -> Figure:
    """The figure, laid out on the sheet of this width, at its finished size. It is changed in place and returned."""
    scale = WIDTHS[width].scale
    if scale == 1.0:
        return figure
    ticks = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    of_ticks = {id(part) for axis in ticks for part in _parts_of_ticks(axis)}
    for axis in ticks:
        _scale_ticks(axis, scale)
    for one in figure.findobj():
        if id(one) in of_ticks:
            continue
        if isinstance(one, Text):
            one.set_fontsize(float(one.get_fontsize()) * scale)
            if isinstance(one, Annotation) and isinstance(one.anncoords, str) and "points" in one.anncoords:
                one.xyann = (one.xyann[0] * scale, one.xyann[1] * scale)
        elif isinstance(one, Line2D):
            one.set_linewidth(one.get_linewidth() * scale)
            one.set_markersize(one.get_markersize() * scale)
            one.set_markeredgewidth(one.get_markeredgewidth() * scale)
        elif isinstance(one, Patch):
            one.set_linewidth(one.get_linewidth() * scale)
        elif isinstance(one, Collection):
            one.set_linewidth([float(thick) * scale for thick in np.atleast_1d(one.get_linewidth())])
    wide, tall = figure.get_size_inches()
    figure.set_size_inches(wide * scale, tall * scale)
    return figure


def _parts_of_ticks(axis: Axis) -> list[object]:
    return [part for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
            for part in (tick.label1, tick.label2, tick.tick1line, tick.tick2line, tick.gridline)]


def _scale_ticks(axis: Axis, scale: float) -> None:
    """Ticks are made anew when they are drawn, so the axis must know."""
    kinds: tuple[tuple[Literal["major", "minor"], list[Tick]], ...] = (
        ("major", axis.get_major_ticks()), ("minor", axis.get_minor_ticks()))
    for which, made in kinds:
        for tick in made[:1]:
            pad: Any = tick.get_pad()  # type: ignore[func-returns-value]  # the stubs say that it returns nothing
            axis.set_tick_params(
                which=which, length=tick.tick1line.get_markersize() * scale, pad=pad * scale,
                width=tick.tick1line.get_markeredgewidth() * scale, labelsize=float(tick.label1.get_fontsize()) * scale,
                grid_linewidth=tick.gridline.get_linewidth() * scale)
    axis.labelpad *= scale
