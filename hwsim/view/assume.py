"""The figure of `hwsim assume`: for each account, by how much the SNN or its ANN wins, on a logarithmic axis around 1.

Above 1 the ANN takes more, so the SNN wins. Accounts that lack an input stand there with their reason and without a mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import log10
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from hwsim.view.figure_file import FigureError, in_our_style
from hwsim.view.labels import shortened
from hwsim.view.page import MARGIN, fitted, inches
from hwsim.view.page import Mark as Symbol
from hwsim.view.sheet import Sheet, one_axes, plain_frame
from hwsim.view.style import INK, NORMAL, PALE, SMALL, number
from hwsim.view.width import WIDTHS, Width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SNN, ANN, OPEN = "#009E73", "#D55E00", "#666666"
"""Okabe and Ito's: the SNN wins, the ANN wins, undecided."""
ROW_INCHES = 0.23
LONGEST_LABEL = 0.5
"""Of the sheet's width, that the names of accounts may take."""
GAP = 0.16
"""Inches from a mark to the end of the axis, beside the mark's number."""
LEGEND = [("the SNN wins", Symbol("o", SNN)), ("the ANN wins", Symbol("o", ANN)), ("undecided", Symbol("o", OPEN))]
NOTE = "Left of 1 the ANN wins, right of 1 the SNN. An account with a measure of its own is drawn in that measure."


@dataclass(frozen=True)
class Mark:
    """One account: the ratio of ANN to SNN and who wins; `low` and `high` are the ends of a threshold's band."""

    title: str
    ratio: float | None
    wins: str | None
    lacks: str = ""
    low: float | None = None
    high: float | None = None


@in_our_style
def assume_figure(marks: Sequence[Mark], title: str, width: Width = "screen") -> Figure:
    """One row for each mark. Raises FigureError without any that has a ratio."""
    if not any(m.ratio for m in marks):
        raise FigureError("no account has both sides: nothing can be drawn")
    across = WIDTHS[width].sheet
    labels = [fitted(partial(shortened, m.title), len(m.title), LONGEST_LABEL * across) for m in marks]
    left = MARGIN + 0.12 + max(inches(label, NORMAL) for label in labels)
    low, high = _limits(marks, across - left - MARGIN)
    room = (across - left - MARGIN) * log10(high / 1.06) / log10(high / low)
    said, notes = _reasons(marks, room)
    sheet = Sheet(title, "Energy of the ANN over energy of the SNN, by account.", ROW_INCHES * len(marks), left, LEGEND,
                  [NOTE, *notes])

    def draw(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.set(xlim=(low, high), ylim=(len(marks) - 0.4, -0.6))
        for row, mark in enumerate(marks):
            _draw(axes, row, mark, said.get(row, ""))
        axes.set_yticks(range(len(marks)), labels)
        axes.axvline(1, color=INK, linewidth=0.9, zorder=1)
        axes.minorticks_off()
        axes.set_xlabel("ANN / SNN", size=NORMAL, labelpad=3)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        plain_frame(axes, "x")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, labelsize=NORMAL)

    return one_axes(sheet, width, draw)


def _limits(marks: Sequence[Mark], across: float) -> tuple[float, float]:
    """Ends of the axis, `across` inches long, so that each number has room beside its mark."""
    texts = [(log10(at), to_right, inches(text, SMALL) + GAP) for text, at, to_right in map(_number, marks) if text]
    low, high = min(0.0, *(log10(m.low) for m in marks if m.low), log10(0.7)), log10(1.4)
    ends = low, high
    for _ in range(40):  # room for a number makes the axis longer, and the number with it
        each = (ends[1] - ends[0]) / across
        ends = (min([low, *(at - room * each for at, right, room in texts if not right)]),
                max([high, *(at + room * each for at, right, room in texts if right)]))
    return 10 ** ends[0], 10 ** ends[1]


def _number(mark: Mark) -> tuple[str, float, bool]:
    """What stands beside a mark, where, and whether to its right."""
    if mark.ratio is None:
        return "", 1.0, True
    if mark.low and mark.high and mark.low != mark.high:
        return f"{number(mark.low)} to {number(mark.high)}", mark.high, True
    return number(mark.ratio), mark.ratio, mark.ratio >= 1


def _reasons(marks: Sequence[Mark], room: float) -> tuple[dict[int, str], list[str]]:
    """What stands in the rows without a mark: the reason, or the number of the note that has it."""
    said, notes = {}, list[str]()
    for row, mark in enumerate(marks):
        if mark.ratio is not None:
            continue
        said[row] = mark.lacks
        if inches(mark.lacks, SMALL) > room:
            said[row] = f"lacks [{len(notes) + 1}]"
            notes.append(f"[{len(notes) + 1}] {mark.lacks}")
    return said, notes


def _draw(axes: Axes, row: int, mark: Mark, reason: str) -> None:
    if mark.ratio is None:
        axes.text(1.06, row, reason, va="center", fontsize=SMALL, color=PALE)
        return
    colour = {"SNN": SNN, "ANN": ANN}.get(mark.wins or "", OPEN)
    if mark.low and mark.high and mark.low != mark.high:
        # A band has no number of its own, so no point is drawn in it.
        axes.plot([mark.low, mark.high], [row, row], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt", zorder=2)
        _said(axes, row, mark, colour)
        return
    axes.plot([1, mark.ratio], [row, row], color=colour, linewidth=1.6, zorder=2)
    axes.plot([mark.ratio], [row], "o", color=colour, markersize=5, zorder=3)
    _said(axes, row, mark, colour)


def _said(axes: Axes, row: int, mark: Mark, colour: str) -> None:
    text, x, right = _number(mark)
    axes.annotate(text, (x, row), xytext=(7 if right else -7, 0), textcoords="offset points", va="center",
                  ha="left" if right else "right", fontsize=SMALL, color=colour,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})
