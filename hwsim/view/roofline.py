"""The roofline of a run: synaptic operations per second against operations per byte, off the chip and on it.

Williams, Waterman and Patterson (CACM 52, 2009): a machine does at most what its adders do, and what its bytes feed. A byte off
the chip moves over the channel; a byte on the chip is read from or written to a memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Bbox

from hwsim.view.figure_file import FigureError, in_our_style
from hwsim.view.labels import design, layer_name, mean_of, shortened, title
from hwsim.view.page import MARGIN, Mark, inches
from hwsim.view.run_numbers import roofline_rows, roofs, run_labels
from hwsim.view.sheet import RUN_MARKS, Sheet, log_ticks, one_axes, plain_frame
from hwsim.view.style import NORMAL, PALE, SMALL
from hwsim.view.width import Width

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.result import Result

WAYS = {"off_chip_bytes": "off chip", "on_chip_bytes": "on chip"}
LINES = {"off_chip_bytes": (0, (4, 2)), "on_chip_bytes": "solid"}
NOTE = ("Filled: operations per byte off the chip, below the roof of the channel (dashed). Hollow: per byte read or written in "
        "memories of the chip, below the roof of their ports (solid). The flat roof: all adders in every cycle.")
LAYER_NOTE = "Small marks: the layers, each over the time of its own runs; a name stands where it has room."


@in_our_style
def draw_roofline(results: Sequence[Result], axes: Axes | None = None) -> Axes:
    """A pair of marks for each run, and for a single run small ones for its layers; roofs of the first run's design.

    axes   drawn on; left out, on a figure of its own.

    Returns the axes. Raises FigureError for runs on designs with different roofs, and where nothing was added.
    """
    _check(results)
    if axes is None:
        return roofline_figure(results).axes[0]
    roof, points = roofs(results[0]), [(r, roofline_rows(r)) for r in results]
    shown = _points(points, len(results) == 1)
    xs = [x for x, _, _, _, _ in shown]
    ridges = [roof["operations_per_s"] / roof[f"{way}_per_s"] for way in WAYS]
    low, high = min(*xs, *ridges) / 2.5, max(*xs, *ridges) * 4
    peak = roof["operations_per_s"]
    bottom = min(y for _, y, _, _, _ in shown) / 3
    grid = np.geomspace(low, high, 200)
    for way, dashes in LINES.items():
        axes.plot(grid, np.minimum(peak, grid * roof[f"{way}_per_s"]), color=PALE, linewidth=1.2, linestyle=dashes, zorder=1)
    for x, y, mark, size, _ in shown:
        axes.plot([x], [y], markersize=size, markeredgewidth=1.0, zorder=3, **mark.paint)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(bottom, peak * 2.2))
    plain_frame(axes)
    for axis in (axes.xaxis, axes.yaxis):
        log_ticks(axis)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e9:,.10g}"))
    axes.set_xlabel("synaptic operations per byte", size=NORMAL, labelpad=3)
    axes.set_ylabel("10⁹ synaptic operations per second", size=NORMAL, labelpad=3)
    said = f"all adders: {peak / 1e9:,.4g}"
    axes.annotate(said, (high, peak), xytext=(-3, 3), textcoords="offset points", size=SMALL, color=PALE, ha="right")
    right, roof_at = axes.transData.transform((high, peak)) / axes.figure.dpi
    _name_layers(axes, shown, Bbox.from_extents(right - inches(said, SMALL) - 0.06, roof_at, right, roof_at + 0.18))
    return axes


def _name_layers(axes: Axes, shown: Sequence[tuple[float, float, Mark, float, str]], word: Bbox) -> None:
    """Names beside the marks of layers, where neither a mark nor another name nor the roof's word has the room (inches)."""
    dpi = axes.figure.dpi
    places = [axes.transData.transform((x, y)) / dpi for x, y, _, _, _ in shown]
    taken = [Bbox.from_bounds(px - size / 144, py - size / 144, size / 72, size / 72)
             for (px, py), (_, _, _, size, _) in zip(places, shown, strict=True)] + [word]
    for (px, py), (x, y, _, _, layer) in sorted(zip(places, shown, strict=True), key=lambda one: -one[0][1]):
        name = layer_name(layer, 24)
        box = Bbox.from_bounds(px + 0.07, py - 0.06, inches(name, SMALL), 0.12)
        inside = box.x1 < axes.bbox.x1 / dpi
        if layer and inside and not any(box.overlaps(other) for other in taken):
            taken.append(box)
            axes.annotate(name, (x, y), xytext=(5, 0), textcoords="offset points", size=SMALL, color=PALE, va="center_baseline")


def _check(results: Sequence[Result]) -> None:
    if not results:
        raise FigureError("no results to draw, expected at least one")
    if len({tuple(roofs(r).values()) for r in results}) > 1:
        raise FigureError("the runs are of designs with different roofs (adders, memories or channel); draw each by itself")
    if not any(r.synaptic_operations for r in results):
        raise FigureError("no synaptic operation was made in these runs, so there is nothing to draw")


def _points(points: Sequence[tuple[Result, pd.DataFrame]], layers: bool) -> list[tuple[float, float, Mark, float, str]]:
    """x, y, mark, size, layer of every mark. What moves no byte of a kind has no mark of it."""
    found = []
    for n, (_, rows) in enumerate(points):
        marker, colour = RUN_MARKS[n % len(RUN_MARKS)]
        for row in rows.to_dict("records"):
            if row["layer"] and not layers:
                continue
            for way in WAYS:
                if row[way] and row["operations"]:
                    mark = Mark(marker, colour if not row["layer"] else "#56B4E9", way == "on_chip_bytes")
                    found.append((row["operations"] / row[way], row["operations_per_s"], mark, 4.0 if row["layer"] else 7.5,
                                  str(row["layer"])))
    return found


@in_our_style
def roofline_figure(results: Sequence[Result], *, width: Width = "screen") -> Figure:
    """The roofline with its title and legend. Raises FigureError as `draw_roofline` does."""
    _check(results)
    first, alone = results[0], len(results) == 1
    labels = run_labels(results)
    legend = [] if alone else [(shortened(label, 40), Mark(*RUN_MARKS[n % len(RUN_MARKS)])) for n, label in enumerate(labels)]
    words = title(first) if alone else f"{shortened(first.facts.arch)}"
    sheet = Sheet("Roofline: operations against bytes", f"{words}; {design(first)}; {mean_of(results)}",
                  {"screen": 4.2, "page": 3.6, "column": 2.9}[width], MARGIN + 0.62, legend, [NOTE, LAYER_NOTE if alone else ""])
    return one_axes(sheet, width, lambda axes: draw_roofline(results, axes))


__all__ = ["draw_roofline", "roofline_figure"]
