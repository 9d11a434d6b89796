"""The figure of `hwsim breakeven`: by account, the spike rate below which the SNN wins, over the number of steps.

Traces are points; thresholds of the literature are marks and bands. For one number of steps each account has a row of its own.
Colours are Okabe and Ito's, lines differ in dashes as well.
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

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
DASHES = ("solid", "dashed", "dotted", "dashdot")
LOWEST, HIGHEST = 1e-3, 12.0
"""The lowest and highest rates that are drawn. Where the SNN never wins an arrow points down at the lowest, and no line leads
there."""
RATE = "spikes per neuron and step at which both take the same"
IMPOSSIBLE = "more than one spike in each step: cannot be"
ROW = 0.24
"""Inches of an account's row."""


@dataclass(frozen=True)
class Curve:
    """One account: (steps, spikes per neuron and step); 0: the SNN never wins, or below the lowest rate that was simulated."""

    title: str
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Threshold:
    """A published number of spikes per neuron (all steps), low to high; `timesteps` where it holds at one T only."""

    title: str
    low: float
    high: float
    timesteps: int | None = None


Traces = Sequence[tuple[str, int, float]]
"""(name, steps, spikes per neuron and step)."""


def save_breakeven_figure(
    curves: Sequence[Curve], traces: Traces, thresholds: Sequence[Threshold], title: str, path: Path
) -> Path:
    """Write the figure as PNG, whole or not at all."""
    figure = breakeven_figure(curves, traces, thresholds, title)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=160)
    return path


def breakeven_figure(curves: Sequence[Curve], traces: Traces, thresholds: Sequence[Threshold], title: str) -> Figure:
    """One line for each account, a point for each trace, a band or a mark for each threshold; for one T rows instead of lines."""
    steps = sorted({t for curve in curves for t, _ in curve.points})
    with style.context(RC):
        if len(steps) == 1:
            figure = Figure(figsize=(9.2, 1.6 + ROW * (len(curves) + len(thresholds))), layout="constrained")
            _draw_rows(figure.subplots(), curves, traces, thresholds, steps[0])
        else:
            figure = Figure(figsize=(9.2, 5.6), layout="constrained")
            axes = figure.subplots()
            _draw_lines(axes, curves, traces, thresholds, sorted({*steps, *(t for _, t, _ in traces)}))
            figure.legend(loc="outside right center", fontsize=SMALL - 0.5, frameon=False)
        figure.suptitle(title, x=0.01, ha="left", fontsize=LARGE)
    return figure


def _draw_lines(axes: Axes, curves: Sequence[Curve], traces: Traces, thresholds: Sequence[Threshold], steps: list[int]) -> None:
    lost = {t: [curve for curve in curves if (t, 0.0) in [*curve.points]] for t in steps}
    for n, curve in enumerate(curves):
        drawn = [(t, rate) for t, rate in curve.points if rate > 0]
        seen = any(rate <= HIGHEST for _, rate in curve.points)
        colour = COLOURS[n % len(COLOURS)]
        axes.plot([t for t, _ in drawn], [rate for _, rate in drawn], marker="." if len(drawn) == 1 else None,
                  label=curve.title if seen else None,  # what lies beyond the axes has no place in the legend
                  color=colour, linestyle=DASHES[(n // len(COLOURS)) % len(DASHES)], linewidth=1.4)
        for t in (t for t in steps if curve in lost[t]):
            place = lost[t].index(curve) - (len(lost[t]) - 1) / 2  # side by side
            axes.plot([t * 2 ** (0.07 * place)], [LOWEST * 1.25], "v", color=colour, markersize=6, clip_on=False)
    if any(lost.values()):
        axes.text(0.01, 0.055, "arrows: never, or below the lowest rate simulated", transform=axes.transAxes, fontsize=SMALL,
                  color=PALE)
    for number, band in enumerate(thresholds):
        if band.timesteps is not None:
            axes.plot([band.timesteps], [band.low / band.timesteps], "D", color=INK, markersize=6, label=band.title)
        elif band.low == band.high:
            axes.plot(steps, [band.low / t for t in steps], color=PALE, linewidth=3, alpha=0.5, label=band.title)
        else:
            axes.fill_between(steps, [band.low / t for t in steps], [band.high / t for t in steps], color=PALE,
                              alpha=0.15 + 0.1 * number, linewidth=0, label=band.title)
    for number, (name, t, rate) in enumerate(traces, start=1):  # names are longer than the way to the next point
        axes.plot([t], [rate], "o", color=INK, markersize=11, markerfacecolor="white", markeredgewidth=1.4, zorder=5,
                  label=f"{number}: {name}")
        axes.annotate(str(number), (t, rate), fontsize=SMALL, ha="center", va="center", zorder=6)
    axes.axhspan(1, 100, color=RULE, alpha=0.5, linewidth=0)
    axes.text(0.99, 0.985, IMPOSSIBLE, transform=axes.transAxes, fontsize=SMALL, color=PALE, ha="right", va="top",
              bbox={"facecolor": "#EEEEEE", "edgecolor": "none", "pad": 1})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_ylim(LOWEST, HIGHEST)
    axes.set_xticks(steps, [str(t) for t in steps])
    axes.set_xlabel("timesteps T")
    axes.set_ylabel(f"{RATE}\n(below a line the SNN wins)")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(color=RULE, linewidth=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_rows(axes: Axes, curves: Sequence[Curve], traces: Traces, thresholds: Sequence[Threshold], step: int) -> None:
    """Accounts from the highest rate to the lowest, then thresholds; a trace of this T is a line across all rows."""
    ordered = sorted(curves, key=lambda curve: -curve.points[0][1])
    for row, curve in enumerate(ordered):
        rate = curve.points[0][1]
        inside = LOWEST <= rate <= HIGHEST
        axes.plot([min(max(rate, LOWEST), HIGHEST)], [row], "o" if inside else "<" if rate < LOWEST else ">", color=COLOURS[0],
                  markersize=6, clip_on=False, zorder=3)
    for row, band in enumerate(thresholds, start=len(ordered)):
        t = band.timesteps or step
        axes.plot([band.low / t, band.high / t], [row, row], color=PALE, linewidth=5, solid_capstyle="butt", zorder=2)
        if band.low == band.high:
            axes.plot([band.low / t], [row], "D", color=INK, markersize=5, zorder=3)
    rows = len(ordered) + len(thresholds)
    axes.axvspan(1, 100, color=RULE, alpha=0.5, linewidth=0)
    axes.text(HIGHEST**0.5, -0.4, "more than one: cannot be", fontsize=SMALL, color=PALE, va="bottom", ha="center")
    for name, t, rate in traces:
        if t == step:
            axes.axvline(rate, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
            axes.annotate(name, (rate, 0), xycoords=("data", "axes fraction"), xytext=(4, 4), textcoords="offset points",
                          fontsize=SMALL, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    axes.set_xscale("log")
    axes.set(xlim=(LOWEST, HIGHEST), ylim=(rows + 0.4, -1.1))
    axes.set_yticks(range(rows), [*(curve.title for curve in ordered), *(band.title for band in thresholds)])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel(f"{RATE}, T = {step} (left of a mark the SNN wins)")
    axes.grid(color=RULE, linewidth=0.5)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
