"""The sheet that panels are drawn on: a figure measured in inches, the paint of its parts, the width of its words.

Figures are made without pyplot: nothing global is touched, and a notebook shows the Figure that is returned.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from hwsim.view.style import FONT, NORMAL, PALE, SMALL, Look

WIDTH, MARGIN, DPI = 11.5, 0.2, 160
LINE = 0.19
"""From line to line of legends and notes."""


class Mark(NamedTuple):
    """A mark of a plot in a legend: its shape as matplotlib names it, and its colour; a hollow one is white inside."""

    marker: str
    colour: str
    hollow: bool = False

    @property
    def paint(self) -> dict[str, Any]:
        """For a plot's line: the mark alone."""
        return {"marker": self.marker, "color": self.colour, "markerfacecolor": "white" if self.hollow else self.colour,
                "linestyle": ""}


class Stroke(NamedTuple):
    """A line of a plot in a legend: its colour, dashes as matplotlib names them, points of thickness."""

    colour: str
    dashes: str = "solid"
    thick: float = 1.4

    @property
    def paint(self) -> dict[str, Any]:
        """For a plot's line."""
        return {"color": self.colour, "linestyle": self.dashes, "linewidth": self.thick}


Symbol = Look | Mark | Stroke
"""What stands before a word of a legend."""


class LegendEntry(NamedTuple):
    """One word of a legend, placed: inches from the left, line, and what is drawn before it."""

    x: float
    line: int
    text: str
    symbol: Symbol | None


class Page:
    """A figure measured in inches from its upper left corner."""

    def __init__(self, height: float, width: float = WIDTH) -> None:
        self.height, self.width = height, width
        self.figure = Picture(figsize=(width, height), facecolor="white", dpi=DPI)
        FigureCanvasAgg(self.figure)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        return self.figure.add_axes(
            (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height))

    def text(self, x: float, y: float, text: str, **look: Any) -> None:
        self.figure.text(x / self.width, 1 - y / self.height, text, va=look.pop("va", "baseline"), **look)

    def swatch(self, x: float, y: float, look: Look) -> None:
        size = (0.16 / self.width, 0.11 / self.height)
        self.figure.add_artist(Rectangle((x / self.width, 1 - y / self.height - size[1] / 2), *size,
                                         transform=self.figure.transFigure, **paint(look)))

    def legend(self, entries: Iterable[LegendEntry], top: float) -> None:
        """Entries whose symbols are looks or marks, from `top` on."""
        for entry in entries:
            if isinstance(entry.symbol, Look):
                self.swatch(entry.x, top + LINE * entry.line, entry.symbol)
            elif isinstance(entry.symbol, Mark):
                self.mark(entry.x + 0.08, top + LINE * entry.line, entry.symbol)
            elif isinstance(entry.symbol, Stroke):
                x, y = entry.x / self.width, 1 - (top + LINE * entry.line) / self.height
                self.figure.add_artist(Line2D([x, x + 0.17 / self.width], [y, y], **entry.symbol.paint))
            self.text(entry.x + 0.22, top + LINE * entry.line, entry.text, size=SMALL, va="center_baseline")

    def mark(self, x: float, y: float, mark: Mark) -> None:
        self.figure.add_artist(Line2D([x / self.width], [1 - y / self.height], markersize=5, markeredgewidth=1.0, **mark.paint))

    def marker(self, x: float, y: float, marker: str, colour: str) -> None:
        self.figure.add_artist(Line2D([x / self.width], [1 - y / self.height], marker=marker, markersize=6, color=colour,
                                      markeredgewidth=0, linestyle=""))


class Picture(Figure):
    """A Figure that notebooks show even where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        held = io.BytesIO()
        self.savefig(held, format="png")
        return held.getvalue()


def paint(look: Look) -> dict[str, Any]:
    if look.hatched:
        return {"facecolor": "white", "edgecolor": PALE, "hatch": "//////", "linewidth": 0.6}
    return {"facecolor": look.colour, "linewidth": 0, "antialiased": False}


@cache
def _renderer() -> RendererAgg:
    return RendererAgg(1, 1, 72)


@cache
def inches(text: str, size: float = NORMAL, weight: str = "normal") -> float:
    """Width of a text as it will be drawn."""
    font = FontProperties(family=FONT, size=size, weight=weight)
    return float(_renderer().get_text_width_height_descent(text, font, ismath=False)[0]) / 72


def ticks_that_fit(axes: Axes, most: int, each: float) -> int:
    """How many numbers have room along x, where one takes `each` inches; `most` at most, and two at least."""
    return min(most, max(2, int(axes.bbox.width / axes.figure.dpi / each)))


def fitted(shorten: Callable[[int], str], longest: int, room: float, size: float = NORMAL, weight: str = "normal") -> str:
    """The longest text that `shorten` makes of so many letters, from `longest` down, and that takes at most `room` inches."""
    while longest > 8 and inches(shorten(longest), size, weight) > room:
        longest -= 2
    return shorten(longest)


def wrap(text: str, width: float, size: float = SMALL, weight: str = "normal") -> list[str]:
    """Lines of at most so many inches; a word that is longer has a line of its own."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and inches(longer, size, weight) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def legend_lines(
    symbols: Iterable[tuple[str, Symbol]], left: float, line: int = 0, width: float = WIDTH
) -> list[LegendEntry]:
    """Words of a legend with their symbols, side by side from `left` on, wrapped at the margin; `line` is the first."""
    entries: list[LegendEntry] = []
    x = left
    for text, symbol in symbols:
        needed = 0.22 + inches(text, SMALL)
        if x > left and x + needed > width - MARGIN:
            x, line = left, line + 1
        entries.append(LegendEntry(x, line, text, symbol))
        x += needed + 0.2
    return entries
