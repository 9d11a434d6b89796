"""The sheet that panels are drawn on: a figure measured in inches, the paint of its parts, the width of its words.

Figures are made without pyplot: nothing global is touched, and a notebook shows the Figure that is returned.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from hwsim.files import whole_file
from hwsim.view.style import FONT, INK, NORMAL, PALE, RC, SMALL, Look

WIDTH, MARGIN, DPI = 11.5, 0.2, 160


class Page:
    """A figure measured in inches from its upper left corner."""

    def __init__(self, height: float) -> None:
        self.height = height
        self.figure = Picture(figsize=(WIDTH, height), facecolor="white", dpi=DPI)
        FigureCanvasAgg(self.figure)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        return self.figure.add_axes((x / WIDTH, 1 - (y + height) / self.height, width / WIDTH, height / self.height))

    def text(self, x: float, y: float, text: str, **look: Any) -> None:
        self.figure.text(x / WIDTH, 1 - y / self.height, text, va=look.pop("va", "baseline"), **look)

    def swatch(self, x: float, y: float, look: Look) -> None:
        size = (0.16 / WIDTH, 0.11 / self.height)
        self.figure.add_artist(Rectangle((x / WIDTH, 1 - y / self.height - size[1] / 2), *size,
                                         transform=self.figure.transFigure, **paint(look)))

    def marker(self, x: float, y: float, marker: str, filling: str) -> None:
        self.figure.add_artist(Line2D([x / WIDTH], [1 - y / self.height], marker=marker, markersize=5, color=INK,
                                      markerfacecolor=filling, markeredgewidth=0.7, linestyle=""))


class Picture(Figure):
    """A Figure that notebooks show even where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        held = io.BytesIO()
        self.savefig(held, format="png")
        return held.getvalue()


def write_png(figure: Figure, path: Path, words: str | None = None) -> Path:
    """The figure in a file, whole or not at all. `words`, if given, stand in the file's field Description."""
    with whole_file(path) as part, style.context(["default", RC]):
        figure.savefig(part, format="png", metadata={"Software": None} | ({} if words is None else {"Description": words}))
    return path


def words_of(figure: Figure) -> str:
    """All texts of a figure, one a line, sorted: whether a file that holds them is today's can be told without its pixels."""
    return "\n".join(sorted(text.get_text() for text in figure.findobj(Text) if text.get_text()))


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


def wrap(text: str, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if inches(longer, SMALL) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
