"""The figure of `hwsim breakeven`: by account, the spike rate below which the SNN wins, over the number of steps.

Traces are points; thresholds of the literature are marks and bands. Colours are Okabe and Ito's, lines differ in dashes as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import style
from matplotlib.figure import Figure

from hwsim.files import whole_file
from hwsim.view.style import INK, LARGE, PALE, RC, RULE, SMALL

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
DASHES = ("solid", "dashed", "dotted", "dashdot")
LOWEST = 1e-3
"""The lowest rate that is drawn; an account under which the SNN never wins ends there."""


@dataclass(frozen=True)
class Curve:
    """One account: (steps, spikes per neuron and step)."""

    title: str
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Threshold:
    """A published number of spikes per neuron (all steps), low to high; `timesteps` where it holds at one T only."""

    title: str
    low: float
    high: float
    timesteps: int | None = None


def save_breakeven_figure(
    curves: Sequence[Curve], traces: Sequence[tuple[str, int, float]], thresholds: Sequence[Threshold], title: str, path: Path
) -> Path:
    """Write the figure as PNG, whole or not at all. `traces`: (name, steps, spikes per neuron and step)."""
    figure = breakeven_figure(curves, traces, thresholds, title)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=160)
    return path


def breakeven_figure(
    curves: Sequence[Curve], traces: Sequence[tuple[str, int, float]], thresholds: Sequence[Threshold], title: str
) -> Figure:
    """One line for each account, a point for each trace, a band or a mark for each threshold."""
    with style.context(RC):
        figure = Figure(figsize=(9.2, 5.6), layout="constrained")
        axes = figure.subplots()
        steps = sorted({t for curve in curves for t, _ in curve.points} | {t for _, t, _ in traces})
        for n, curve in enumerate(curves):
            axes.plot([t for t, _ in curve.points], [max(rate, LOWEST) for _, rate in curve.points], label=curve.title,
                      color=COLOURS[n % len(COLOURS)], linestyle=DASHES[(n // len(COLOURS)) % len(DASHES)], linewidth=1.4)
        for number, band in enumerate(thresholds):
            if band.timesteps is not None:
                axes.plot([band.timesteps], [band.low / band.timesteps], "D", color=INK, markersize=6, label=band.title)
            elif band.low == band.high:
                axes.plot(steps, [band.low / t for t in steps], color=PALE, linewidth=3, alpha=0.5, label=band.title)
            else:
                axes.fill_between(steps, [band.low / t for t in steps], [band.high / t for t in steps], color=PALE,
                                  alpha=0.15 + 0.1 * number, linewidth=0, label=band.title)
        for name, t, rate in traces:
            axes.plot([t], [rate], "o", color=INK, markersize=8, markerfacecolor="white", markeredgewidth=1.8, zorder=5)
            axes.annotate(name, (t, rate), xytext=(0, 9), textcoords="offset points", fontsize=SMALL, ha="center")
        axes.axhspan(1, 100, color=RULE, alpha=0.5, linewidth=0)
        axes.text(steps[-1], 8.5, "more than one spike in each step: cannot be", fontsize=SMALL, color=PALE, ha="right")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_ylim(LOWEST, 12)
        axes.set_xticks(steps, [str(t) for t in steps])
        axes.set_xlabel("timesteps T")
        axes.set_ylabel("spikes per neuron and step at which both take the same\n(below a line the SNN wins)")
        axes.grid(color=RULE, linewidth=0.5)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.set_title(title, loc="left", fontsize=LARGE)
        figure.legend(loc="outside right upper", fontsize=SMALL - 0.5, frameon=False)
    return figure
