"""The figure of `hwsim sensitivity`: a tornado for each comparison, and what decides more, prices or designs.

A bar is what one price does to the ratio while all others are nominal; the pale band is where 5 to 95 % of the ratios lie when
all prices are drawn. Ratios are on a logarithmic axis around 1, where the order flips. Colours are Okabe and Ito's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import style
from matplotlib.figure import Figure

from hwsim.files import whole_file
from hwsim.view.style import INK, LARGE, PALE, RC, RULE, SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, GREEN, ORANGE = "#0072B2", "#009E73", "#E69F00"
MOST_BARS, LEAST_WIDTH = 7, 1.004
"""Bars of a panel, and how far apart the ends of one must lie to be seen."""


@dataclass(frozen=True)
class Tornado:
    """One comparison: the ratio at nominal prices, its band, the probability that it flips in words, and its bars, widest first:
    (what is moved, lowest ratio, highest ratio)."""

    title: str
    ratio: float
    low: float
    high: float
    flips: str
    bars: Sequence[tuple[str, float, float]]


@dataclass(frozen=True)
class Split:
    """Parts of a variance in one scope, which add up to 1."""

    scope: str
    designs: float
    prices: float
    both: float


def sensitivity_figure(tornados: Sequence[Tornado], splits: Sequence[Split], title: str) -> Figure:
    """A panel for each tornado, two in a row, and one for the splits."""
    count = len(tornados) + bool(splits)
    rows = -(-count // 2)
    with style.context(RC):
        figure = Figure(figsize=(11.5, 0.7 + 2.35 * rows), layout="constrained")
        panels = figure.subplots(rows, min(2, count), squeeze=False).ravel()
        ends = [x for t in tornados for x in (t.low, t.high, t.ratio, *(end for _, *pair in t.bars for end in pair))]
        for axes, one in zip(panels, tornados, strict=False):
            _tornado(axes, one)
            axes.set_xlim(min([*ends, 0.8]) / 1.15, max([*ends, 1.25]) * 1.15)
        if splits:
            _splits(panels[len(tornados)], splits)
        for axes in panels[count:]:
            axes.set_visible(False)
        figure.suptitle(title, x=0.01, ha="left", fontsize=LARGE)
    return figure


def save_sensitivity_figure(tornados: Sequence[Tornado], splits: Sequence[Split], title: str, path: Path) -> Path:
    """Write the figure as PNG, whole or not at all."""
    figure = sensitivity_figure(tornados, splits, title)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=160)
    return path


def _tornado(axes: Axes, one: Tornado) -> None:
    bars = [bar for bar in one.bars[:MOST_BARS] if bar[2] / bar[1] > LEAST_WIDTH] or one.bars[:1]
    axes.axvspan(one.low, one.high, color=RULE, alpha=0.6, linewidth=0, zorder=0)
    for row, (_, low, high) in enumerate(bars):
        axes.barh(row, high - low, left=low, height=0.62, color=BLUE, alpha=0.85, zorder=2)
    axes.axvline(1, color=INK, linewidth=1.0, zorder=3)
    axes.axvline(one.ratio, color=ORANGE, linewidth=1.6, zorder=4)
    axes.set_yticks(range(len(bars)), [what for what, _, _ in bars], fontsize=SMALL)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    _log_axis(axes)
    axes.set_title(f"{one.title}: {one.ratio:.2f}, {one.flips}", loc="left", fontsize=SMALL + 1)


def _log_axis(axes: Axes) -> None:
    axes.set_xscale("log")
    ticks = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=SMALL)
    axes.minorticks_off()
    axes.set_xlabel("rival's energy / own energy", fontsize=SMALL)
    axes.grid(axis="x", color=RULE, linewidth=0.5, zorder=1)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _splits(axes: Axes, splits: Sequence[Split]) -> None:
    parts = (("design: dataflow, lanes, ports", "designs", GREEN), ("prices", "prices", BLUE), ("both together", "both", PALE))
    for row, split in enumerate(splits):
        left = 0.0
        for label, name, colour in parts:
            width = 100 * getattr(split, name)
            axes.barh(row, width, left=left, height=0.62, color=colour, alpha=0.85, label=label if row == 0 else None)
            if width > 6:
                axes.text(left + width / 2, row, f"{width:.0f} %", ha="center", va="center", color="white", fontsize=SMALL)
            left += width
    axes.set_yticks(range(len(splits)), [split.scope for split in splits], fontsize=SMALL)
    axes.set_ylim(len(splits) + 0.6, -0.6)
    axes.set_xlabel("percent of the variance of the ratio's logarithm", fontsize=SMALL)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.legend(loc="lower right", ncols=3, fontsize=SMALL, frameon=False)
    axes.set_title("what decides who wins", loc="left", fontsize=SMALL + 1)
