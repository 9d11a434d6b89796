"""The figure of `hwsim breakeven`: by account, the spike rate below which the SNN wins, over the number of steps.

Traces are numbered points; thresholds of the literature are marks and bands. For one number of steps each account has a row of
its own. Colours are Okabe and Ito's, lines differ in dashes as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from hwsim.view.figure_file import in_our_style
from hwsim.view.labels import shortened
from hwsim.view.page import MARGIN, Mark, Stroke, Symbol, fitted, inches
from hwsim.view.sheet import Sheet, one_axes, plain_frame
from hwsim.view.style import INK, NORMAL, PALE, RULE, SMALL, Look
from hwsim.view.width import WIDTHS, Width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
DASHES = ("solid", "dashed", "dotted", "dashdot")
LOWEST, HIGHEST = 1e-3, 12.0
"""The lowest and highest rates that are drawn. Where the SNN never wins an arrow points down at the lowest, and no line leads
there."""
RATE = "spikes per neuron and step"
WHAT = "Spike rates at which SNN and ANN take the same"
NOTE = "Pale grey: more than one spike in each step, which cannot be."
LOST = "Arrows: never, or below the lowest rate simulated."
ROW = 0.24
"""Inches of an account's row."""
LONGEST_LABEL = 0.5
"""Of the sheet's width, that the names of rows may take."""
CLOSE, APART = 1.6, 14.0
"""Traces of one T whose rates differ by less than this factor are drawn so many points apart, side by side."""
BANDS = ("#DADADA", "#C4C4C4")
LINE_OF_BAND = "#8C8C8C"


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


@in_our_style
def breakeven_figure(
    curves: Sequence[Curve], traces: Traces, thresholds: Sequence[Threshold], title: str, width: Width = "screen"
) -> Figure:
    """One line for each account, a point for each trace, a band or a mark for each threshold; for one T rows instead of lines."""
    steps = sorted({t for curve in curves for t, _ in curve.points})
    if len(steps) == 1:
        return _rows_figure(curves, traces, thresholds, title, width, steps[0])
    legend: list[tuple[str, Symbol]] = [(curve.title, _stroke(n)) for n, curve in enumerate(curves) if _is_seen(curve)]
    legend += [(band.title, _symbol(n, band)) for n, band in enumerate(thresholds)]
    ticks = sorted({*steps, *(t for _, t, _ in traces)})
    sheet = Sheet(title, f"{WHAT}. Below a line the SNN wins.", {"screen": 4.6, "page": 3.8, "column": 3.2}[width],
                  MARGIN + 0.55, legend, [f"{NOTE} {LOST}" if _lost(curves) else NOTE, _names(traces)])
    return one_axes(sheet, width, lambda axes: _draw_lines(axes, curves, traces, thresholds, ticks))


def _rows_figure(
    curves: Sequence[Curve], traces: Traces, thresholds: Sequence[Threshold], title: str, width: Width, step: int
) -> Figure:
    here = [one for one in traces if one[1] == step]
    rows: list[Curve | Threshold] = [*sorted(curves, key=lambda curve: -curve.points[0][1]), *thresholds]
    room = LONGEST_LABEL * WIDTHS[width].sheet
    labels = [fitted(partial(shortened, row.title), len(row.title), room) for row in rows]
    sheet = Sheet(title, f"{WHAT}, T = {step}. Left of a mark the SNN wins.", ROW * (len(rows) + 1.5),
                  MARGIN + 0.12 + max(inches(label, NORMAL) for label in labels), (), [NOTE, _names(here)])
    return one_axes(sheet, width, lambda axes: _draw_rows(axes, rows, labels, here, step))


def _names(traces: Traces) -> str:
    """Which trace each number is."""
    return "; ".join(f"{n}: {shortened(name, 44)}" for n, (name, _, _) in enumerate(traces, start=1))


def _is_seen(curve: Curve) -> bool:
    """Whether any of it lies within the axes: what does not has no place in the legend."""
    return any(rate <= HIGHEST for _, rate in curve.points)


def _lost(curves: Sequence[Curve]) -> dict[int, list[Curve]]:
    """By T, the accounts under which the SNN never wins."""
    found: dict[int, list[Curve]] = {}
    for curve in curves:
        for t, rate in curve.points:
            if rate == 0:
                found.setdefault(t, []).append(curve)
    return found


def _stroke(n: int) -> Stroke:
    return Stroke(COLOURS[n % len(COLOURS)], DASHES[(n // len(COLOURS)) % len(DASHES)])


def _symbol(n: int, band: Threshold) -> Symbol:
    if band.timesteps is not None:
        return Mark("D", INK)
    return Stroke(LINE_OF_BAND, thick=3.0) if band.low == band.high else Look(band.title, BANDS[n % len(BANDS)])


def _draw_lines(axes: Axes, curves: Sequence[Curve], traces: Traces, thresholds: Sequence[Threshold], steps: list[int]) -> None:
    axes.axhspan(1, 100, color=RULE, alpha=0.45, linewidth=0, zorder=0)
    for n, band in enumerate(thresholds):
        symbol = _symbol(n, band)
        if isinstance(symbol, Mark):
            axes.plot([band.timesteps or 1], [band.low / (band.timesteps or 1)], markersize=5, zorder=4, **symbol.paint)
        elif isinstance(symbol, Stroke):
            axes.plot(steps, [band.low / t for t in steps], zorder=2, **symbol.paint)
        else:
            axes.fill_between(steps, [band.low / t for t in steps], [band.high / t for t in steps], color=symbol.colour,
                              linewidth=0, zorder=1)
    lost = _lost(curves)
    for n, curve in enumerate(curves):
        drawn = [(t, rate) for t, rate in curve.points if rate > 0]
        axes.plot([t for t, _ in drawn], [rate for _, rate in drawn], zorder=3, marker="." if len(drawn) == 1 else None,
                  **_stroke(n).paint)
        for t in (t for t, _ in curve.points if curve in lost.get(t, [])):
            place = lost[t].index(curve) - (len(lost[t]) - 1) / 2  # side by side
            axes.plot([t * 2 ** (0.07 * place)], [LOWEST * 1.25], "v", color=COLOURS[n % len(COLOURS)], markersize=6,
                      clip_on=False)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_ylim(LOWEST, HIGHEST)
    axes.set_xlim(steps[0] / 1.15, steps[-1] * 1.15)
    axes.set_xticks(steps, [str(t) for t in steps])
    axes.minorticks_off()
    axes.set_xlabel("timesteps T", size=NORMAL, labelpad=3)
    axes.set_ylabel(RATE, size=NORMAL, labelpad=3)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    plain_frame(axes)
    for n, (x, y, shift) in enumerate(_placed(traces), start=1):
        _number(axes, n, (x, y), (shift, 0.0))


def _placed(traces: Traces) -> list[tuple[int, float, float]]:
    """Each trace's T and rate, and points by which its number stands beside them, where another's would cover it."""
    found = []
    for name, t, rate in traces:
        near = [one for one in traces if one[1] == t and max(one[2], rate) < CLOSE * min(one[2], rate)]
        near.sort(key=lambda one: one[2])
        found.append((t, rate, APART * (near.index((name, t, rate)) - (len(near) - 1) / 2)))
    return found


def _number(axes: Axes, n: int, at: tuple[float, float], shift: tuple[float, float]) -> None:
    """A trace's number in a white dot, `shift` points from where it is."""
    axes.annotate(str(n), at, xytext=shift, textcoords="offset points", size=SMALL, ha="center", va="center", zorder=7,
                  bbox={"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": INK, "linewidth": 1.1})


def _draw_rows(axes: Axes, rows: Sequence[Curve | Threshold], labels: list[str], traces: Traces, step: int) -> None:
    """Accounts from the highest rate to the lowest, then thresholds; a trace of this T is a line across all rows."""
    axes.axvspan(1, 100, color=RULE, alpha=0.5, linewidth=0, zorder=0)
    for row, one in enumerate(rows):
        if isinstance(one, Curve):
            rate = one.points[0][1]
            inside = LOWEST <= rate <= HIGHEST
            axes.plot([min(max(rate, LOWEST), HIGHEST)], [row], "o" if inside else "<" if rate < LOWEST else ">",
                      color=COLOURS[0], markersize=6, clip_on=False, zorder=3)
            continue
        t = one.timesteps or step
        axes.plot([one.low / t, one.high / t], [row, row], color=PALE, linewidth=5, solid_capstyle="butt", zorder=2)
        if one.low == one.high:
            axes.plot([one.low / t], [row], "D", color=INK, markersize=5, zorder=3)
    axes.set_xscale("log")
    axes.set(xlim=(LOWEST, HIGHEST), ylim=(len(rows) - 0.4, -1.9))
    axes.set_yticks(range(len(rows)), labels)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel(RATE, size=NORMAL, labelpad=3)
    plain_frame(axes)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=NORMAL)
    for n, ((_, _, rate), (_, _, shift)) in enumerate(zip(traces, _placed(traces), strict=True), start=1):
        axes.axvline(rate, ymax=(len(rows) + 0.5) / (len(rows) + 1.5), color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
        _number(axes, n, (rate, -1.3), (shift, 0.0))
