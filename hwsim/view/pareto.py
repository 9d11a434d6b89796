"""Energy against delay of a study's points, with the front that no other point beats and lines of equal energy-delay product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hwsim.view.figure_file import FigureError, in_our_style
from hwsim.view.page import MARGIN, Mark
from hwsim.view.sheet import Sheet, log_ticks, one_axes, plain_frame
from hwsim.view.style import NORMAL, RULE, SMALL
from hwsim.view.width import Width

if TYPE_CHECKING:
    import pandas as pd

OTHER, FRONT = Mark("o", "#BBBBBB"), Mark("o", "#D55E00")
LABELS = {"energy_uj": "µJ per sample, system scope", "core_uj": "µJ per sample, core scope", "latency_ms": "ms per sample",
          "area_mm2": "mm²", "energy_uj_at_rate": "µJ per sample at the rate, system scope"}
MOST_NAMED = 26
"""Points of the front that have a letter."""
TOUCHING = 0.13
"""Inches between points whose letters would lie on each other."""


@in_our_style
def draw_pareto(
    points: pd.DataFrame, front: pd.DataFrame, axes: Axes | None = None, *, delay: str = "latency_ms", energy: str = "energy_uj"
) -> Axes:
    """All points, the front as a line through them with a letter for each, and lines of equal product; both axes are logarithmic.

    points, front   frames with the columns `delay` and `energy`, all above 0 (hwsim.study_frame, hwsim.pareto).
    axes            drawn on; left out, on a figure of its own.

    Returns the axes. Raises FigureError where no point has both numbers.
    """
    points = _with_both(points, delay, energy)
    if axes is None:
        return pareto_figure(points, front, [], delay=delay, energy=energy).axes[0]
    x, y = points[delay].to_numpy(float), points[energy].to_numpy(float)
    front = front.sort_values(delay)
    fx, fy = front[delay].to_numpy(float), front[energy].to_numpy(float)
    axes.set(xscale="log", yscale="log", xlim=(x.min() / 1.25, x.max() * 1.25), ylim=(y.min() / 1.25, y.max() * 1.25))
    _draw_products(axes, x * y)
    axes.plot(x, y, markersize=4, markeredgewidth=0, zorder=2, **OTHER.paint)
    axes.plot(fx, fy, drawstyle="steps-post", color=FRONT.colour, linewidth=1.2, zorder=3)
    axes.plot(fx, fy, markersize=6, markeredgewidth=0, zorder=4, **FRONT.paint)
    _write_letters(axes, fx, fy)
    plain_frame(axes, "none")
    for axis in (axes.xaxis, axes.yaxis):
        log_ticks(axis)
    axes.set_xlabel(LABELS.get(delay, delay), size=NORMAL, labelpad=3)
    axes.set_ylabel(LABELS.get(energy, energy), size=NORMAL, labelpad=3)
    return axes


def _write_letters(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Beside each point of the front its letter; points that lie on each other share a place, and have their letters there."""
    shared: list[tuple[float, float, list[str]]] = []
    for letter, px, py in zip(letters(len(x)), x.tolist(), y.tolist(), strict=False):
        at = axes.transData.transform((px, py)) / axes.figure.dpi
        for sx, sy, members in shared:
            there = axes.transData.transform((sx, sy)) / axes.figure.dpi
            if np.hypot(*(at - there)) < TOUCHING:
                members.append(letter)
                break
        else:
            shared.append((px, py, [letter]))
    for px, py, members in shared:
        axes.annotate(", ".join(members), (px, py), xytext=(4, 4), textcoords="offset points", size=SMALL, weight="bold",
                      zorder=5)


def letters(count: int) -> list[str]:
    """Names of the front's points, in the order of their delay."""
    return [chr(ord("a") + n) for n in range(min(count, MOST_NAMED))]


def _draw_products(axes: Axes, products: np.ndarray) -> None:
    """Lines on which energy times delay is the same, a factor of ten from one to the next."""
    (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    grid = np.geomspace(low, high, 50)
    for power in range(int(np.floor(np.log10(low * bottom))), int(np.ceil(np.log10(high * top))) + 1):
        axes.plot(grid, 10.0**power / grid, color=RULE, linewidth=0.8, zorder=0)


def _with_both(points: pd.DataFrame, delay: str, energy: str) -> pd.DataFrame:
    found = points[(points[delay] > 0) & (points[energy] > 0)]
    if found.empty:
        raise FigureError(f"no point has both {delay} and {energy}; the study's column error says why points failed")
    return found


@in_our_style
def pareto_figure(
    points: pd.DataFrame, front: pd.DataFrame, named: list[str], *, delay: str = "latency_ms", energy: str = "energy_uj",
    title: str = "", width: Width = "screen",
) -> Figure:
    """The plot with its title and legend; `named` says what each point of the front is, in the order of its delay."""
    points = _with_both(points, delay, energy)
    legend = [("point of the study", OTHER), ("Pareto front", FRONT)]
    names = [f"{letter}: {name}." for letter, name in zip(letters(len(front)), named, strict=False)]
    if len(front) > MOST_NAMED:
        names.append(f"The other {len(front) - MOST_NAMED} have no letter; `hwsim pareto` prints them.")
    sheet = Sheet("Energy against delay", "; ".join(filter(None, [title, f"{len(points):,} points, {len(front)} on the front"])),
                  {"screen": 4.4, "page": 3.6, "column": 2.8}[width], MARGIN + 0.62, legend,
                  ["Pale lines: equal products of energy and delay, a factor of ten from line to line.", *names])
    return one_axes(sheet, width, lambda axes: draw_pareto(points, front, axes, delay=delay, energy=energy))


__all__ = ["draw_pareto", "letters", "pareto_figure"]
