"""The figure of `hwsim assume`: for each account, by how much the SNN or its ANN wins, on a logarithmic axis around 1.

Above 1 the ANN takes more, so the SNN wins. Accounts that lack an input stand there with their reason and without a mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import style
from matplotlib.figure import Figure

from hwsim.files import whole_file
from hwsim.view.style import LARGE, PALE, RC, RULE, SMALL, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SNN, ANN, OPEN = "#009E73", "#D55E00", "#666666"
"""Okabe and Ito's: the SNN wins, the ANN wins, undecided."""
ROW_INCHES = 0.23


@dataclass(frozen=True)
class Mark:
    """One account: the ratio of ANN to SNN and who wins; `low` and `high` are the ends of a threshold's band."""

    title: str
    ratio: float | None
    wins: str | None
    lacks: str = ""
    low: float | None = None
    high: float | None = None


def assume_figure(marks: Sequence[Mark], title: str) -> Figure:
    """One row for each mark. Raises ValueError without any that has a ratio."""
    ratios = [x for m in marks for x in (m.ratio, m.low, m.high) if x]
    if not ratios:
        raise ValueError("no account has both sides: nothing can be drawn")
    with style.context(RC):
        figure = Figure(figsize=(9.2, 1.5 + ROW_INCHES * len(marks)), layout="constrained")
        axes = figure.subplots()
        for row, mark in enumerate(marks):
            _draw(axes, row, mark)
        axes.set_xscale("log")
        axes.set_xlim(min(*ratios, 0.5) / 1.6, max(*ratios, 2.0) * 2.4)
        axes.set_ylim(len(marks) - 0.4, -0.6)
        axes.set_yticks(range(len(marks)), [m.title for m in marks])
        axes.axvline(1, color="#222222", linewidth=0.9, zorder=1)
        axes.set_xlabel("energy of the ANN / energy of the SNN (or the account's own measure)   <- ANN wins | SNN wins ->")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes.grid(axis="x", color=RULE, linewidth=0.5, zorder=0)
        axes.tick_params(axis="y", length=0)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.set_title(title, loc="left", fontsize=LARGE)
    return figure


def save_assume_figure(marks: Sequence[Mark], title: str, path: Path) -> Path:
    """Write the figure as PNG, whole or not at all."""
    figure = assume_figure(marks, title)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=160)
    return path


def _draw(axes: Axes, row: int, mark: Mark) -> None:
    if mark.ratio is None:
        axes.text(1.06, row, mark.lacks, va="center", fontsize=SMALL - 1, color=PALE)
        return
    colour = {"SNN": SNN, "ANN": ANN}.get(mark.wins or "", OPEN)
    if mark.low and mark.high and mark.low != mark.high:
        # A band has no number of its own, so no point is drawn in it.
        axes.plot([mark.low, mark.high], [row, row], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt", zorder=2)
        _said(axes, row, f"{number(mark.low)} to {number(mark.high)}", mark.high, True, colour)
        return
    axes.plot([1, mark.ratio], [row, row], color=colour, linewidth=1.6, zorder=2)
    axes.plot([mark.ratio], [row], "o", color=colour, markersize=5, zorder=3)
    _said(axes, row, number(mark.ratio), mark.ratio, mark.ratio >= 1, colour)


def _said(axes: Axes, row: int, text: str, x: float, right: bool, colour: str) -> None:
    axes.annotate(text, (x, row), xytext=(7 if right else -7, 0), textcoords="offset points", va="center",
                  ha="left" if right else "right", fontsize=SMALL, color=colour)
