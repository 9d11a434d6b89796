"""Latency and energy against the number of cores: a line for each schedule and placement.

Points come from results (`core_points`) or from whoever has measured them. Cycles, joules per sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from hwsim.view.figure_file import FigureError, in_our_style
from hwsim.view.heading import heading
from hwsim.view.labels import shortened
from hwsim.view.page import LINE, MARGIN, WIDTH, Page, fitted, inches, wrap
from hwsim.view.style import INK, NORMAL, PALE, RULE, SMALL
from hwsim.view.width import WIDTHS, Width, scaled

if TYPE_CHECKING:
    from hwsim.result import Result

Quantity = Literal["latency", "energy"]
QUANTITIES: dict[Quantity, str] = {"latency": "Latency", "energy": "Energy, core scope"}
SPREAD, WHOLE = "spread", "whole layers"
COLOURS = {"layer_by_layer": "#0072B2", "step_by_step": "#E69F00", "pipelined": "#009E73"}
THICK = {"layer_by_layer": 3.8, "step_by_step": 2.2, "pipelined": 1.1}
"""Points of a line: of lines that lie on each other all are seen."""
MARKS = {WHOLE: "o", SPREAD: "s"}
BELOW_HEADING, ROW, PANEL = 0.38, 3.3, 2.55
NOTE = ("A tick below a point is the latency if links cost nothing: a real network lies between the two. Grey: the time of one "
        "core, shared by all.")


@dataclass(frozen=True)
class CorePoint:
    """One design with so many cores, and what a sample takes on it.

    name       what is drawn together: a trace.             placement     SPREAD, WHOLE; None for one core, which is both.
    cycles     latency.      free_cycles   the same if links cost nothing; None where nobody knows.
    energy_j   joules in the core scope.
    """

    name: str
    schedule: str
    placement: str | None
    cores: int
    cycles: float
    energy_j: float
    free_cycles: float | None = None


def core_points(results: Iterable[Result]) -> list[CorePoint]:
    """A point for each result: its placement is SPREAD where any layer is on several cores."""
    found = []
    for result in results:
        cores, placement = len(result.architecture.core_names), result.task.placement
        split = not isinstance(placement, dict) or any(len(names) > 1 for names in placement.values())
        kind = None if cores == 1 else SPREAD if split else WHOLE
        found.append(CorePoint(result.facts.trace, result.facts.schedule, kind, cores, float(result.cycles.mean()),
                               1e-12 * result.energy_pj["core"]))
    return found


@in_our_style
def draw_against_cores(points: Sequence[CorePoint], quantity: Quantity = "latency", axes: Axes | None = None) -> Axes:
    """Thousands of cycles, or microjoules, against the number of cores; both axes are logarithmic.

    axes   drawn on; left out, on a figure of its own.     Returns the axes. Raises FigureError for no points.
    """
    if quantity not in QUANTITIES:
        raise FigureError(f"unknown quantity {quantity!r}, allowed are {', '.join(QUANTITIES)}")
    if not points:
        raise FigureError("no points to draw, expected at least one")
    if axes is None:
        axes = Page(PANEL + 1.4).axes(1.2, 0.5, WIDTH / 2, PANEL)
    if quantity == "latency":
        _draw_ideal(points, axes)
    for (schedule, placement), members in _series(points).items():
        xs, ys = [p.cores for p in members], [_value(p, quantity) for p in members]
        axes.plot(xs, ys, color=COLOURS.get(schedule, INK), linestyle=_dashes(schedule, placement), marker=MARKS[placement],
                  markersize=4.5 + THICK.get(schedule, 1.1), linewidth=THICK.get(schedule, 1.1),
                  markerfacecolor="white" if placement == SPREAD else COLOURS.get(schedule, INK), zorder=3)
        for point in members:
            if quantity == "latency" and point.free_cycles is not None:
                axes.plot([point.cores] * 2, [point.cycles / 1e3, point.free_cycles / 1e3], color=COLOURS.get(schedule, INK),
                          linewidth=0.8, marker="_", markersize=7, markevery=[1], zorder=2)
    _draw_frame(points, quantity, axes)
    return axes


@in_our_style
def cores_figure(points: Sequence[CorePoint], width: Width = "screen") -> Figure:
    """Latency and energy side by side, in a column below each other, for each name. Raises FigureError for no points."""
    if not points:
        raise FigureError("no points to draw, expected at least one")
    names = list(dict.fromkeys(p.name for p in points))
    across, columns = WIDTHS[width].sheet, 1 if width == "column" else 2
    notes = wrap(NOTE if any(p.free_cycles is not None for p in points) else NOTE.partition(". ")[2], across - 2 * MARGIN)
    entries = _legend(list(_series(points)), across)
    lines = 1 + entries[-1][1]
    above = heading("Latency and energy against the number of cores",
                    "means over the samples, each by itself; energy with the leakage of all cores", width)
    header, rows = above.height + BELOW_HEADING, len(names) * len(QUANTITIES) // columns
    page = Page(header + ROW * rows + LINE * (lines + len(notes)) + 0.1, across)
    above.draw(page)
    left = 0.85 if width == "screen" else 0.75
    wide = (across - 2 * MARGIN - 0.65 * columns - 0.1) / columns
    for i, (name, quantity) in enumerate((name, quantity) for name in names for quantity in QUANTITIES):
        x, top = left + i % columns * (wide + 0.75), header + ROW * (i // columns)
        title = partial(_panel_title, quantity, name)
        page.text(x, top, fitted(title, 44, wide, NORMAL + 1, "bold"), size=NORMAL + 1, weight="bold")
        draw_against_cores([p for p in points if p.name == name], quantity, page.axes(x, top + 0.12, wide, PANEL))
    below = header + ROW * rows
    _draw_legend(page, entries, below)
    for i, line in enumerate(notes):
        page.text(MARGIN, below + LINE * (lines + i) + 0.08, line, size=SMALL, color=PALE)
    return scaled(page.figure, width)


def _panel_title(quantity: Quantity, name: str, letters: int) -> str:
    return f"{QUANTITIES[quantity]}: {shortened(name, letters)}"


def _series(points: Iterable[CorePoint]) -> dict[tuple[str, str], list[CorePoint]]:
    """By (schedule, placement) its points from few cores to many. One core is a placement of both kinds where they go on."""
    points = list(points)
    placed = list(dict.fromkeys((p.schedule, p.placement) for p in points if p.placement is not None))
    alone = [(p.schedule, WHOLE) for p in points if p.placement is None and p.schedule not in {s for s, _ in placed}]
    found = {}
    for schedule, placement in dict.fromkeys([*placed, *alone]):
        mine = [replace(p, placement=placement) for p in points
                if p.schedule == schedule and p.placement in (None, placement)]
        assert placement is not None
        found[schedule, placement] = sorted(mine, key=lambda p: p.cores)
    return dict(sorted(found.items(), key=lambda one: (list(MARKS).index(one[0][1]), [*COLOURS, one[0][0]].index(one[0][0]))))


def _dashes(schedule: str, placement: str) -> tuple[float, tuple[float, ...] | None]:
    """Solid for whole layers; dashes of one length whatever the line's thickness, by which matplotlib multiplies them."""
    thick = THICK.get(schedule, 1.1)
    return (0.0, (6 / thick, 3.5 / thick)) if placement == SPREAD else (0.0, None)


def _value(point: CorePoint, quantity: Quantity) -> float:
    return point.cycles / 1e3 if quantity == "latency" else point.energy_j * 1e6


def _draw_ideal(points: Sequence[CorePoint], axes: Axes) -> None:
    """The time of one core over the number of cores."""
    alone = [p.cycles for p in points if p.cores == 1]
    if alone:
        most = max(p.cores for p in points)
        axes.plot([1, most], [min(alone) / 1e3, min(alone) / 1e3 / most], color="#BBBBBB", linewidth=1.0, linestyle=":", zorder=1)


def _draw_frame(points: Sequence[CorePoint], quantity: Quantity, axes: Axes) -> None:
    axes.set(xscale="log", yscale="log")
    counts = sorted({p.cores for p in points})
    axes.set_xticks(counts, [f"{n:,}" for n in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    values = [_value(p, quantity) for p in points]
    low, high = min(values) * 0.8, max(values) * 1.2
    axes.set_ylim(low, high)
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high) if high < 6 * low else _decades(low, high)
    axes.set_yticks([t for t in ticks if low < t < high])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=2.5, labelsize=SMALL)
    axes.grid(color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("cores", size=NORMAL, labelpad=3)
    axes.set_ylabel("thousand cycles per sample" if quantity == "latency" else "µJ per sample", size=NORMAL)


def _decades(low: float, high: float) -> list[float]:
    """1, 2, 3, 5 and 7 of every power of ten between."""
    return [m * 10.0**e for e in range(-6, 12) for m in (1, 2, 3, 5, 7) if low < m * 10.0**e < high]


def _legend(series: Sequence[tuple[str, str]], across: float) -> list[tuple[float, int, str, tuple[str, str]]]:
    """By series: inches from the left, line, words, and which it is."""
    x, line, found = MARGIN, 0, []
    for schedule, placement in series:
        text = f"{schedule.replace('_', ' ')}, {placement}"
        needed = 0.46 + inches(text, SMALL)
        if x > MARGIN and x + needed > across - MARGIN:
            x, line = MARGIN, line + 1
        found.append((x, line, text, (schedule, placement)))
        x += needed + 0.25
    return found


def _draw_legend(page: Page, entries: Sequence[tuple[float, int, str, tuple[str, str]]], top: float) -> None:
    for x, line, text, (schedule, placement) in entries:
        y = top + LINE * line
        colour, dashes = COLOURS.get(schedule, INK), _dashes(schedule, placement)
        page.figure.add_artist(Line2D(
            [x / page.width, (x + 0.19) / page.width, (x + 0.38) / page.width], [1 - y / page.height] * 3,
            color=colour, linestyle=dashes, linewidth=THICK.get(schedule, 1.1), marker=MARKS[placement], markevery=[1],
            markersize=5.5,
            markerfacecolor="white" if placement == SPREAD else colour))
        page.text(x + 0.46, y, text, size=SMALL, va="center_baseline")
