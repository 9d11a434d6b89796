"""Panels of stacked bars, drawn side by side on a page: bars with labels, numbers and an axis; legend and notes below.

Sizes are inches, places along a panel from top to bottom are pitches: one from bar to bar. Where the end of a bar would
squeeze the rest, as what the off-chip channel adds may, the axis ends within it and the bar gets a gap.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from hwsim.view.labels import HEADING, Rows
from hwsim.view.page import LINE, MARGIN, WIDTH, LegendEntry, Page, inches, legend_lines, paint, ticks_that_fit, wrap
from hwsim.view.segments import WAIT, Segment, Values, total
from hwsim.view.style import CHANNEL, INK, LARGE, NORMAL, PALE, RULE, SMALL, Look, si_scale

CUT_AT = 1.3
"""The axis ends at this many times the longest bar without what may be cut (the hatched ends); the rest is cut."""

GAP = 0.3
"""Between the panels."""
HEADER, FOOTER = 1.0, 0.58
"""Above the bars: the titles. Below them: ticks and the axis label."""
PITCH, STRETCH, BAR = 0.27, 1.5, 0.72
"""Inches from bar to bar, how much a short panel may be stretched; the height of a bar in pitches."""
LEAD = 0.75
"""From the margin to the first entry of a legend."""
OVER_GRID = {"facecolor": "white", "edgecolor": "none", "pad": 1}


@dataclass(frozen=True)
class Axis:
    """How joules or seconds are drawn: `scale` brings them to `unit`, `limit` (in `unit`) is where the panel ends."""

    scale: float
    unit: str
    limit: float

    @classmethod
    def fitting(cls, segments: Sequence[Segment], base: str, may_cut: Container[str] = (CHANNEL, WAIT),
                like: Axis | None = None) -> Axis:
        """Long enough for all bars, but what may be cut must not squeeze the rest. The unit is that of `like`."""
        whole, solid = float(total(segments).max()), float(total([s for s in segments if s.key not in may_cut]).max())
        # A cut that hides little is not worth its gap.
        limit = CUT_AT * solid if solid and whole > 1.4 * CUT_AT * solid else 1.03 * whole
        # Small numbers share the unit with large ones: 1,234 nJ and 4.2 nJ, not 1.23 uJ and 0.0042 uJ.
        scale, prefix = si_scale(limit / 10)
        scale, unit = (like.scale, like.unit) if like else (scale, prefix + base)
        return cls(scale, unit, limit * scale or 1.0)

    def cut(self, value: float) -> bool:
        return value * self.scale > self.limit * (1 + 1e-9)

    def note(self, totals: Values) -> str:
        if not any(self.cut(v) for v in totals):
            return ""
        return "a bar with a gap goes on beyond the panel; the number in its row is the whole."


@dataclass(frozen=True)
class NumberColumn:
    """Numbers beside the bars of a panel, one a row, flush right."""

    header: str
    texts: list[str]
    width: float = 0.6


@dataclass(frozen=True)
class Panel:
    """Stacked bars with their labels to the left and columns of numbers to the right."""

    title: str
    rows: Rows
    segments: Sequence[Segment]
    axis: Axis
    columns: Sequence[NumberColumn] = ()
    labelled: bool = True
    marks: dict[str, Values] = field(default_factory=dict)

    @property
    def label_width(self) -> float:
        return max(inches(label) for label in self.rows.labels) + 0.1 if self.labelled else 0.0

    @property
    def column_width(self) -> float:
        return sum(c.width for c in self.columns)


MARKS = {"core": ("v", "white", "core scope: all on chip, up to here")}
"""Marker, its filling and its words for the scope that ends inside a bar; the system scope is the whole bar, and the compute
scope, the papers' account, is in no bar."""


def two_panels(title: str, subtitle: str, left: Panel, right: Panel, notes: Iterable[str],
               alike: bool = False) -> Figure:
    """Panels side by side, notes at the foot. `alike`: the same rows, equally wide, and legends, for want of labels."""
    free = WIDTH - 2 * MARGIN - GAP - sum(p.label_width + p.column_width for p in (left, right))
    share = 0.5 if alike else 0.58
    x_left, x_right = MARGIN + left.label_width, WIDTH - MARGIN - right.column_width - (1 - share) * free
    height = PITCH * max(left.rows.height, right.rows.height)
    legend = _legend(left, right) if alike else []
    lines = [line for note in notes if note for line in wrap(note, WIDTH - 2 * MARGIN)]
    below = LINE * (1 + max((entry.line for entry in legend), default=-1))
    page = Page(HEADER + height + FOOTER + below + LINE * len(lines) + (0.15 if lines else 0.05))
    page.text(MARGIN, 0.28, title, size=LARGE, weight="bold")
    page.text(MARGIN, 0.52, subtitle, size=NORMAL, color=PALE)
    _draw(page, left, x_left, share * free, height)
    _draw(page, right, x_right, (1 - share) * free, height)
    for entry in legend:
        _draw_entry(page, entry, HEADER + height + FOOTER)
    for i, line in enumerate(lines):
        page.text(MARGIN, HEADER + height + FOOTER + below + LINE * i + 0.12, line, size=SMALL, color=PALE)
    return page.figure


def _draw(page: Page, panel: Panel, x: float, width: float, height: float) -> None:
    """The panel with its upper left corner at x, HEADER; a panel of few rows is stretched towards `height`."""
    pitch = min(STRETCH * PITCH, height / panel.rows.height)
    axes = page.axes(x, HEADER, width, pitch * panel.rows.height)
    _draw_words(page, panel, x, width, pitch)
    draw_stack(axes, panel)


def draw_stack(axes: Axes, panel: Panel) -> None:
    """The bars of a panel, their names and their axis; nothing of its title, headings and columns of numbers."""
    rows, axis = panel.rows, panel.axis
    width = float(axes.bbox.width / axes.figure.dpi)
    axes.set(xlim=(0, axis.limit), ylim=(rows.height, 0))
    _draw_frame(axes, panel)
    edges = np.cumsum([np.zeros(len(rows.labels)), *(s.values * axis.scale for s in panel.segments)], axis=0)
    for segment, lower, upper in zip(panel.segments, edges, edges[1:], strict=False):
        there = upper > lower
        axes.barh(rows.centres[there], (upper - lower)[there], BAR, left=lower[there], label=segment.look.label,
                  **paint(segment.look))
    _draw_separators(axes, rows, edges, axis.limit)
    for y, end in zip(rows.centres, edges[-1], strict=True):
        if end > axis.limit * (1 + 1e-9):
            _draw_cut(axes, y, width)
    for name, values in panel.marks.items():
        marker, filling, _ = MARKS[name]
        axes.plot(values * axis.scale, rows.centres - BAR / 2, marker, color=INK, markersize=4.5,
                  markerfacecolor=filling, markeredgewidth=0.7, clip_on=False, zorder=5)


def _draw_words(page: Page, panel: Panel, x: float, width: float, pitch: float) -> None:
    """The title, the headings above groups of bars, the columns of numbers."""
    rows = panel.rows
    page.text(x, HEADER - 0.1, panel.title, size=NORMAL + 1, weight="bold")
    for row, (name, more) in rows.headings.items() if panel.labelled else ():
        y = HEADER + pitch * (rows.centres[row] - 0.5 - HEADING / 2 + 0.12)
        page.text(x, y, name, size=NORMAL, weight="bold", va="center_baseline", bbox=OVER_GRID)
        page.text(x + inches(name, NORMAL, "bold") + 0.1, y, more, size=SMALL, color=PALE, va="center_baseline",
                  bbox=OVER_GRID)
    right = x + width
    for column in panel.columns:
        right += column.width
        page.text(right, HEADER - 0.1, column.header, size=SMALL, color=PALE, ha="right", linespacing=1.3)
        for y, text in zip(rows.centres, column.texts, strict=True):
            page.text(right, HEADER + pitch * y, text, size=SMALL, ha="right", va="center_baseline")


def _draw_frame(axes: Axes, panel: Panel) -> None:
    """Labels of the bars, the line that they start from, grid and ticks."""
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)
    starts = [*sorted({0, *panel.rows.headings}), len(panel.rows.labels)]
    for first, last in zip(starts, starts[1:], strict=False):
        axes.vlines(0, panel.rows.centres[first] - 0.5, panel.rows.centres[last - 1] + 0.5, color=PALE, linewidth=1.2,
                    zorder=4)
    axes.set_yticks(panel.rows.centres, panel.rows.labels if panel.labelled else [""] * len(panel.rows.labels))
    axes.tick_params(axis="y", length=0, labelsize=NORMAL, pad=5)
    axes.tick_params(axis="x", length=2.5, labelsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(ticks_that_fit(axes, 6, 0.55), steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.set_xlabel(f"{panel.axis.unit} per sample", size=NORMAL, labelpad=3)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_separators(axes: Axes, rows: Rows, edges: Values, limit: float) -> None:
    """White lines between neighbours that are both wide enough to survive one."""
    wide = np.diff(edges, axis=0) > 0.006 * limit
    for lower, upper, edge in zip(wide, wide[1:], edges[1:], strict=False):
        both = lower & upper
        y = rows.centres[both]
        axes.vlines(edge[both], y - BAR / 2, y + BAR / 2, color="white", linewidth=0.7)


def _draw_cut(axes: Axes, y: float, width: float) -> None:
    """A slanted gap in the bar: it goes on beyond the panel."""
    for right, colour, thick in ((0.14, "white", 4.0), (0.17, PALE, 0.6), (0.11, PALE, 0.6)):
        place, lean = 1 - right / width, 0.03 / width
        axes.plot([place - lean, place + lean], [y + BAR / 2 + 0.06, y - BAR / 2 - 0.06], color=colour, linewidth=thick,
                  transform=axes.get_yaxis_transform(), zorder=4)


def _legend(left: Panel, right: Panel) -> list[LegendEntry]:
    """A paragraph for each panel over the width of the page; what the right shares with the left is said once."""
    named: list[tuple[str, Look | str]] = [(s.look.label, s.look) for s in left.segments]
    named += [(MARKS[name][2], name) for name in left.marks]
    said = {s.key for s in left.segments}
    rest = [s for s in right.segments if s.key not in said]
    paragraphs = [(left.title, named)]
    for number in sorted({s.network for s in rest}):  # first what is in no network's layers
        symbols: list[tuple[str, Look | str]] = [(s.look.label, s.look) for s in rest if s.network == number]
        paragraphs.append((f"Network {number}" if number else right.title, symbols))
    entries: list[LegendEntry] = []
    for title, symbols in paragraphs:
        line = entries[-1].line + 1 if entries else 0
        entries += [LegendEntry(MARGIN, line, title, None), *legend_lines(symbols, MARGIN + LEAD, line)]
    return entries


def _draw_entry(page: Page, entry: LegendEntry, top: float) -> None:
    y = top + LINE * entry.line
    if entry.symbol is None:
        page.text(entry.x, y, entry.text, size=SMALL, weight="bold", va="center_baseline")
        return
    if isinstance(entry.symbol, Look):
        page.swatch(entry.x, y, entry.symbol)
    elif isinstance(entry.symbol, str):
        page.marker(entry.x + 0.08, y, *MARKS[entry.symbol][:2])
    page.text(entry.x + 0.22, y, entry.text, size=SMALL, va="center_baseline")
