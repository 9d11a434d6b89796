"""A figure of one pair of axes at any width: the title above, the legend and notes below, room at the left for names.

The words of a title and of notes are wrapped to the width. Sizes are inches of the sheet (width.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from hwsim.view.heading import heading
from hwsim.view.page import LINE, MARGIN, Page, Symbol, legend_lines, wrap
from hwsim.view.style import PALE, RULE, SMALL
from hwsim.view.width import WIDTHS, Width, scaled

FOOT = 0.48
"""Below the axes: ticks and the axis label."""
RUN_MARKS = tuple(zip(
    "osD^vP*X", ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C3B00", "#222222"), strict=True))
"""Shape and colour of the runs of a figure: each has a shape of its own, so that nobody needs the colours to tell them apart."""


@dataclass(frozen=True)
class Sheet:
    """What stands around the axes.

    height   of the axes.       left, right   room beside them, the margin included.      foot   below them.
    """

    title: str
    subtitle: str
    height: float
    left: float
    legend: Sequence[tuple[str, Symbol]] = ()
    notes: Sequence[str] = ()
    right: float = MARGIN
    foot: float = FOOT


def one_axes(sheet: Sheet, width: Width, draw: Callable[[Axes], object]) -> Figure:
    """The figure, with what `draw` draws on its axes."""
    across = WIDTHS[width].sheet
    room = across - 2 * MARGIN
    above = heading(sheet.title, sheet.subtitle, width)
    head = above.height + 0.14
    entries = legend_lines(sheet.legend, MARGIN, width=across)
    lines = 1 + max((entry.line for entry in entries), default=-1)
    notes = [line for note in sheet.notes if note for line in wrap(note, room)]
    page = Page(head + sheet.height + sheet.foot + LINE * (lines + len(notes)) + 0.12, across)
    above.draw(page)
    axes = page.axes(sheet.left, head, across - sheet.left - sheet.right, sheet.height)
    draw(axes)
    below = head + sheet.height + sheet.foot
    page.legend(entries, below)
    for i, line in enumerate(notes):
        page.text(MARGIN, below + LINE * (lines + i) + 0.06, line, size=SMALL, color=PALE)
    return scaled(page.figure, width)


def log_ticks(axis: Axis) -> None:
    """Ticks of a logarithmic axis: decades, or 1, 2 and 5 of each, or even steps where it spans less than a decade."""
    low, high = axis.get_view_interval()
    if high < 8 * low:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    else:
        axis.set_major_locator(LogLocator(subs=(1.0,) if high > 300 * low else (1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def plain_frame(axes: Axes, grid: str = "both") -> None:
    """Two spines, a pale grid behind, small ticks: the look of every plot."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(which="major", length=2.5, labelsize=SMALL)
    axes.tick_params(which="minor", length=0, labelsize=SMALL)
    if grid in ("both", "x", "y"):
        axes.grid(axis=grid, color=RULE, linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
