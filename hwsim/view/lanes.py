"""A schedule as a picture: a lane for each core and one for the channel, time from left to right, colours by layer.

Runs fill their lane; what a core sends lies as a thin strip below them. An empty stretch is time in which a core waits. Places
are cycles along x and lanes along y: the channel on top, then cores in the order in which they begin.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from hwsim.links import CHANNEL, titled
from hwsim.view.figure_file import FigureError, in_our_style
from hwsim.view.heading import heading
from hwsim.view.labels import coding_label, design, layer_name, shortened
from hwsim.view.page import LINE, MARGIN, Page, inches, legend_lines, ticks_that_fit, wrap
from hwsim.view.style import INK, INPUT, NORMAL, PALE, RULE, SMALL, Look, layer_colours, percent
from hwsim.view.width import WIDTHS, Width, scaled

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.result import Result

MOST_LANES = 128
RUN, STRIP = (0.14, 0.56), (0.76, 0.1)
"""Where in its lane a run and a sent plane lie: top and height, in lanes."""
LANE, LOW_LANE = 0.36, 0.12
"""Inches of a lane where there are few, and at least."""
PANEL_HEAD, AXIS_FOOT, BELOW_HEADING, RIGHT = 0.38, 0.52, 0.2, 0.62
GAP = 0.12
"""Between panels."""
NOTE = ("A full bar is a run, t its timestep. A thin strip is a plane on its way to the cores that read it. White: the core "
        "waits. Right: the share of the sample's time in which a lane works.")


class _Bar(NamedTuple):
    """One operation: its lane, cycles, what it is of, and what may stand in it, the longest first."""

    lane: int
    start: float
    end: float
    layer: str
    run: bool
    texts: tuple[str, ...]


def layer_looks(result: Result) -> dict[str, Look]:
    """The look of the input and of each layer, the same in every picture of the network."""
    names = result.facts.layers
    return {"input": INPUT, **{name: Look(layer_name(name), colour)
                               for name, colour in zip(names, layer_colours(len(names)), strict=True)}}


@in_our_style
def draw_lanes(result: Result, axes: Axes | None = None, *, sample: int = 0, cycles: tuple[float, float] | None = None) -> Axes:
    """The schedule of one sample: lanes of the cores that work and of the channel, colours by layer, timesteps in the bars.

    axes     drawn on; left out, on a figure of its own.
    sample   which of the replayed samples, from 0.      cycles   from where to where; left out, the whole sample.

    Returns the axes. Raises FigureError for a sample that was not replayed or for more lanes than can be drawn.
    """
    if axes is None:
        return schedule_figure([result], sample=sample, cycles=cycles).axes[0]
    lanes, bars = _lanes_of(result, sample)
    last = max((bar.end for bar in bars), default=1.0)
    axes.set(xlim=cycles or (0.0, last), ylim=(len(lanes), 0))
    _draw_grid(axes, lanes)
    _draw_bars(axes, bars, layer_looks(result))
    if last <= axes.get_xlim()[1]:
        axes.axvline(last, color=INK, linewidth=0.8, linestyle=(0, (3, 2)), clip_on=False)
    return axes


@in_our_style
def schedule_figure(
    results: Sequence[Result], *, sample: int = 0, cycles: tuple[float, float] | None = None, width: Width = "screen",
) -> Figure:
    """Schedules of one network below each other on one axis of time.

    Raises FigureError where they are not of one network, and for cycles in which nothing happens any more.
    """
    if not results:
        raise FigureError("no results to draw, expected at least one")
    if len({tuple(r.facts.layers) for r in results}) > 1:
        raise FigureError("the results are of networks with different layers, which share no colours; draw each by itself")
    if len({r.architecture.clock for r in results}) > 1:
        raise FigureError("the results are of designs with different clocks, whose cycles are not alike; draw each by itself")
    parts = [_lanes_of(r, sample) for r in results]
    longest = max((bar.end for _, bars in parts for bar in bars), default=0.0)
    if cycles is not None and cycles[0] >= longest:
        which = f"sample {results[0].facts.sample_indices[sample]}"
        raise FigureError(f"cycles {cycles[0]:,.0f} to {cycles[1]:,.0f}: {which} ends after {longest:,.0f} cycles, so nothing "
                          f"happens there; give cycles from 0 to {longest:.0f}")
    span = (cycles[0], min(cycles[1], longest)) if cycles else (0.0, longest)
    across = WIDTHS[width].sheet
    above = heading(_title(results), _subtitle(results, sample), width)
    header = above.height + BELOW_HEADING
    drawn = {bar.layer for _, bars in parts for bar in bars if bar.end > span[0] and bar.start < span[1]}
    looks = [look for name, look in layer_looks(results[0]).items() if name in drawn]
    pitch = max(LOW_LANE, min(LANE, 8.0 / sum(len(lanes) for lanes, _ in parts)))
    entries = legend_lines([(look.label, look) for look in looks], MARGIN, width=across)
    lines = 1 + max((entry.line for entry in entries), default=-1)
    notes = wrap(NOTE, across - 2 * MARGIN)
    heights = [PANEL_HEAD + pitch * len(lanes) for lanes, _ in parts]
    page = Page(header + sum(heights) + GAP * (len(parts) - 1) + AXIS_FOOT + LINE * (lines + len(notes)) + 0.15, across)
    above.draw(page)
    left = MARGIN + max(inches(name) for lanes, _ in parts for name in _labels(lanes)) + 0.12
    top = header
    for result, (lanes, bars), height in zip(results, parts, heights, strict=True):
        last = max(bar.end for bar in bars)
        page.text(left, top + 0.24, _panel_title(result, results), size=NORMAL + 1, weight="bold")
        page.text(across - MARGIN - RIGHT, top + 0.24, f"{last:,.0f} cycles", size=NORMAL, ha="right")
        page.text(across - MARGIN, top + 0.24, "works", size=SMALL, color=PALE, ha="right")
        axes = page.axes(left, top + PANEL_HEAD, across - MARGIN - RIGHT - left, pitch * len(lanes))
        draw_lanes(result, axes, sample=sample, cycles=span)
        axes.tick_params(axis="x", labelbottom=result is results[-1])
        for lane in range(len(lanes)):
            busy = sum(bar.end - bar.start for bar in bars if bar.lane == lane and (bar.run or lanes[lane] == CHANNEL))
            page.text(across - MARGIN, top + PANEL_HEAD + pitch * (lane + 0.5), percent(busy, last), size=SMALL, ha="right",
                      va="center_baseline", color=INK if pitch > 0.15 else "none")
        top += height + GAP
    axes.set_xlabel("cycles of one sample", size=NORMAL, labelpad=3)
    below = top - GAP + AXIS_FOOT
    page.legend(entries, below)
    for i, line in enumerate(notes):
        page.text(MARGIN, below + LINE * (lines + i) + 0.08, line, size=SMALL, color=PALE)
    return scaled(page.figure, width)


def in_cycles(result: Result, sample: int, cycles: tuple[float, float] | None = None) -> pd.DataFrame:
    """The rows of Result.timeline of one sample, from 0, that take time, and that touch these cycles. Raises FigureError."""
    if not 0 <= sample < result.facts.samples:
        raise FigureError(f"sample {sample} was not replayed, found {result.facts.samples} samples; give 0 to "
                          f"{result.facts.samples - 1}")
    frame = result.timeline
    frame = frame[(frame["sample"] == result.facts.sample_indices[sample]) & (frame["end_cycle"] > frame["start_cycle"])]
    return frame if cycles is None else frame[(frame["end_cycle"] > cycles[0]) & (frame["start_cycle"] < cycles[1])]


def _lanes_of(result: Result, sample: int) -> tuple[list[str], list[_Bar]]:
    """The names of the lanes from top to bottom, and the bars in them."""
    frame = in_cycles(result, sample)
    begins = frame[frame["kind"] == "run"].groupby("resource")["start_cycle"].min()
    working = [name for name in result.pipes() if name in begins]
    names = [CHANNEL, *sorted(working, key=lambda name: float(begins[name]))]
    if len(names) > MOST_LANES:
        raise FigureError(f"{len(names) - 1} cores work, and {MOST_LANES - 1} have room in a picture; draw a chip of fewer")
    tiles = dict(frame[frame["kind"] == "run"].groupby("layer")["tile"].nunique())
    rows = [row for row in frame.to_dict("records") if row["resource"] in names or row["core"] in names]
    return names, [_bar(names, row, tiles, result.facts.timesteps) for row in rows]


def _bar(names: list[str], row: Mapping[Hashable, object], tiles: Mapping[Hashable, int], timesteps: int) -> _Bar:
    layer, first, last = str(row["layer"]), row["first_timestep"], row["last_timestep"]
    texts: tuple[str, ...] = (layer_name(layer),)
    if row["kind"] == "run" and first == last and tiles.get(layer, 1) == 1 and timesteps > 1:
        texts = (f"{layer_name(layer)} t{first}", f"t{first}")
    where = str(row["resource"]) or str(row["core"])
    return _Bar(names.index(where), float(str(row["start_cycle"])), float(str(row["end_cycle"])), layer,
                row["kind"] == "run" or where == CHANNEL, texts)


def _labels(lanes: list[str]) -> list[str]:
    """What lanes are called."""
    return [titled(lane, lanes) for lane in lanes]


def _draw_grid(axes: Axes, lanes: list[str]) -> None:
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_yticks(np.arange(len(lanes)) + 0.5, _labels(lanes))
    axes.tick_params(axis="y", length=0, labelsize=NORMAL if _lane_inches(axes) > 0.15 else 0, pad=5)
    axes.tick_params(axis="x", length=2.5, labelsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(ticks_that_fit(axes, 8, 0.8), steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.hlines(np.arange(1, len(lanes)), 0, 1, transform=axes.get_yaxis_transform(), color=RULE, linewidth=0.6, zorder=0)
    axes.grid(axis="x", color=RULE, linewidth=0.4)
    axes.set_axisbelow(True)


def _lane_inches(axes: Axes) -> float:
    low, high = axes.get_ylim()
    return float(axes.bbox.height / axes.figure.dpi / abs(low - high))


def _draw_bars(axes: Axes, bars: list[_Bar], looks: dict[str, Look]) -> None:
    first, last = axes.get_xlim()
    per_inch = (last - first) / (axes.bbox.width / axes.figure.dpi)
    grouped: dict[tuple[int, str, bool], list[_Bar]] = {}
    for bar in bars:
        if bar.end > first and bar.start < last:
            grouped.setdefault((bar.lane, bar.layer, bar.run), []).append(bar)
    for (lane, layer, run), members in grouped.items():
        top, height = RUN if run else STRIP
        # Bars of less than a hundredth of an inch would be thinner than the white line around them.
        edges = [0.5 if bar.end - bar.start > 0.03 * per_inch else 0.0 for bar in members]
        axes.broken_barh([(bar.start, max(bar.end - bar.start, 0.004 * per_inch)) for bar in members], (lane + top, height),
                         facecolors=looks[layer].colour, edgecolors="white" if run else "none", linewidth=edges if run else 0)
        if run and _lane_inches(axes) >= 0.2:
            _draw_texts(axes, members, looks[layer], per_inch)


def _draw_texts(axes: Axes, bars: list[_Bar], look: Look, per_inch: float) -> None:
    first, last = axes.get_xlim()
    r, g, b = to_rgb(look.colour)
    colour = INK if 0.299 * r + 0.587 * g + 0.114 * b > 0.55 else "white"
    said: set[str] = set()
    for bar in bars:
        start, end = max(bar.start, first), min(bar.end, last)
        text = next((text for text in bar.texts if inches(text, SMALL) + 0.06 < (end - start) / per_inch), None)
        if text and text not in said:  # tiles of a layer are named once
            said.add(text)
            axes.text((start + end) / 2, bar.lane + RUN[0] + RUN[1] / 2, text, size=SMALL, color=colour, ha="center",
                      va="center_baseline", clip_on=True)


def _title(results: Sequence[Result]) -> str:
    names = list(dict.fromkeys(shortened(r.facts.trace) for r in results))
    return f"Who works when: {', '.join(names)}"


def _subtitle(results: Sequence[Result], sample: int) -> str:
    designs = list(dict.fromkeys(f"{shortened(r.facts.arch)}, {design(r)}" for r in results))
    return f"{'; '.join(designs)}; sample {results[0].facts.sample_indices[sample]}"


def _panel_title(result: Result, results: Sequence[Result]) -> str:
    parts = [result.facts.schedule.replace("_", " ")]
    if len({r.facts.coding for r in results}) > 1:
        parts.append(coding_label(result.facts.coding))
    if len({r.facts.arch for r in results}) > 1:
        parts.append(shortened(result.facts.arch))
    return ", ".join(parts).capitalize()
