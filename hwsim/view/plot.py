"""Figures of results: where the energy and the time of one sample go, for one design or for many side by side.

A bar is a result (for a single result: a layer) and is cut into Segments; a Segment holds one kind, a unit, a cause or
a layer, for all bars, in joules or seconds a sample. Segments are stacked in the order of the scopes, so the compute,
core and system totals are places along the bar; what the off-chip channel adds comes last and is hatched. Sizes are
inches. Figures are made without pyplot: nothing global is touched, and a notebook shows the Figure that is returned.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from hwsim.activity import SCOPES, VOCABULARY
from hwsim.view.style import (
    ARITHMETIC,
    CAUSES,
    CHANNEL,
    FONT,
    INK,
    INPUT,
    LARGE,
    LEAKAGE,
    NORMAL,
    ON_CHIP,
    PALE,
    RC,
    RULE,
    SMALL,
    UNITS,
    Look,
    layer_colours,
    number,
    percent,
    si_scale,
)

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.result import Result

Values = NDArray[np.float64]

_COMPUTE_UNITS = {event.unit for event in VOCABULARY if event.scope == "compute"}

SMALL_SHARE = 0.02
"""A unit of at most this share of the on-chip energy in every bar is merged into `other`."""
NEVER_MERGED = ("accumulator", LEAKAGE, CHANNEL)
CUT_AT = 1.3
"""The axis ends at this many times the longest bar without what may be cut (the hatched ends); the rest is cut."""

WIDTH, MARGIN, GAP = 11.5, 0.2, 0.3
HEADER, FOOTER = 1.0, 0.58
"""Above the bars: the titles. Below them: ticks and the axis label."""
PITCH, STRETCH, BAR, HEADING = 0.27, 1.5, 0.72, 1.05
"""Inches from bar to bar, how much a short panel may be stretched; the height of a bar and of a heading in pitches."""
LINE, LEAD = 0.19, 0.75
DPI = 160
WAIT = "wait_channel"
OVER_GRID = {"facecolor": "white", "edgecolor": "none", "pad": 1}
SETUP_NOTE = "setup (weights that are loaded once) is not included"


# -- what is shown: frames to segments ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Segment:
    """One kind of energy or time: its look and its value in every bar, joules or seconds a sample."""

    key: str
    look: Look
    values: Values


def energy_by_unit(results: Sequence[Result]) -> list[Segment]:
    """Joules a sample of each unit in each result; the sum is the system scope. Leakage is a unit of its own."""
    return _segments([_sums(_energy_cells(r), "kind") for r in results], UNITS)


def energy_by_layer(results: Sequence[Result]) -> list[Segment]:
    """Joules a sample of each layer on the chip; then, in no layer, the input, leakage and the off-chip channel."""
    looks = {"input": INPUT, **_layer_looks(results), LEAKAGE: UNITS[LEAKAGE], CHANNEL: UNITS[CHANNEL]}
    return _segments([_sums(_energy_cells(r), "place") for r in results], looks)


def energy_by_layer_and_unit(result: Result) -> tuple[list[str], list[Segment]]:
    """The layers of one result, then leakage; joules a sample of each unit in each of them, the channel included."""
    return _by_layer_and_kind(result, _energy_cells(result), UNITS, "leakage")


def time_by_cause(results: Sequence[Result]) -> list[Segment]:
    """Seconds a sample that the core spends on each cause; the sum is the latency."""
    return _segments([_sums(_time_cells(r), "kind") for r in results], CAUSES)


def time_by_layer(results: Sequence[Result]) -> list[Segment]:
    """Seconds a sample that the core spends in each layer, then the time in which it waits for the channel."""
    looks = {"input": INPUT, **_layer_looks(results), WAIT: CAUSES[WAIT]}
    return _segments([_sums(_time_cells(r), "place") for r in results], looks)


def time_by_layer_and_cause(result: Result) -> tuple[list[str], list[Segment]]:
    """The layers of one result, then the wait for the channel; seconds a sample of each cause in each of them."""
    return _by_layer_and_kind(result, _time_cells(result), CAUSES, CAUSES[WAIT].label)


def _energy_cells(result: Result) -> pd.DataFrame:
    """kind (unit), layer ("" for leakage), place (where a bar of layers shows it), value in joules a sample."""
    frame = result.energy
    # Leakage is told by its event, whichever memory it leaks from.
    kind = frame["unit"].where(~frame["event"].str.startswith("leakage"), LEAKAGE)
    layer = frame["layer"].where(kind != LEAKAGE, "")
    place = layer.where(~kind.isin([LEAKAGE, CHANNEL]), kind)
    return frame.assign(kind=kind, layer=layer, place=place, value=frame["energy_pj"] * (1e-12 / result.facts.samples))


def _time_cells(result: Result) -> pd.DataFrame:
    """kind (cause), layer ("" for the wait), place, value in seconds a sample."""
    frame = result.cycles_frame
    place = frame["layer"].where(frame["cause"] != WAIT, WAIT)
    seconds = frame["cycles"] / (result.architecture.clock * result.facts.samples)
    return frame.assign(kind=frame["cause"], place=place, value=seconds)


def _sums(cells: pd.DataFrame, column: str) -> dict[str, float]:
    return {str(key): float(value) for key, value in cells.groupby(column, sort=False)["value"].sum().items()}


def _by_layer_and_kind(result: Result, cells: pd.DataFrame, looks: dict[str, Look], nowhere: str,
                       ) -> tuple[list[str], list[Segment]]:
    nonzero = {str(n) for n in cells.loc[cells["value"] != 0, "layer"]}
    names = [n for n in ("input", *result.facts.layers, "") if n in nonzero or n in result.facts.layers]
    segments = _segments([_sums(cells[cells["layer"] == name], "kind") for name in names], looks)
    return [_layer_name(name or nowhere) for name in names], segments


def _segments(found: Sequence[dict[str, float]], looks: dict[str, Look]) -> list[Segment]:
    """One segment a key that has a value anywhere, in the order of `looks`; a key without a look is a mistake."""
    unknown = {key for row in found for key, value in row.items() if value and key not in looks}
    if unknown:
        raise ValueError(f"no colour for {', '.join(sorted(unknown))}; hwsim/view/style.py lists what can be shown")
    table = {key: np.array([row.get(key, 0.0) for row in found]) for key in looks}
    shown = [key for key, values in table.items() if values.any()] or list(table)[:1]
    return [Segment(key, looks[key], table[key]) for key in shown]


def _layer_looks(results: Sequence[Result]) -> dict[str, Look]:
    names = list(dict.fromkeys(name for r in results for name in r.facts.layers))
    colours = layer_colours(len(names))
    return {name: Look(_layer_name(name), colour) for name, colour in zip(names, colours, strict=True)}


def _merge_small(segments: list[Segment]) -> tuple[list[Segment], str]:
    """Units that are small in every bar become one segment a scope; the text says which and by what rule."""
    on_chip = _total([s for s in segments if s.key != CHANNEL])
    small = [s for s in segments if s.key not in NEVER_MERGED and (s.values <= SMALL_SHARE * on_chip).all()]
    kept = [s for s in segments if s not in small]
    notes = []
    for key, members in ((ARITHMETIC, [s for s in small if s.key in _COMPUTE_UNITS]),
                         (ON_CHIP, [s for s in small if s.key not in _COMPUTE_UNITS])):
        if len(members) < 2:
            kept += members
            continue
        kept.append(Segment(key, UNITS[key], _total(members)))
        notes.append(f"{UNITS[key].label}: {', '.join(s.look.label for s in members)}")
    order = list(UNITS)
    kept.sort(key=lambda s: order.index(s.key))
    rule = f"each at most {100 * SMALL_SHARE:.0f} % of the on-chip energy in every bar"
    return kept, f"{'; '.join(notes)}; {rule}." if notes else ""


def _total(segments: Sequence[Segment], axis: int = 0) -> Values:
    """Sum over the segments (axis 0: one number a bar) or over the bars (axis 1: one number a segment)."""
    width = len(segments[0].values) if segments else 1
    return np.array([s.values for s in segments], float).reshape(len(segments), width).sum(axis=axis)


def _scope_totals(results: Sequence[Result]) -> dict[str, Values]:
    """Cumulative joules a sample: compute, core (with compute), system (with core)."""
    parts = [r.energy.groupby("scope")["energy_pj"].sum() * (1e-12 / r.facts.samples) for r in results]
    table = np.array([[float(p.get(scope, 0.0)) for scope in SCOPES] for p in parts])
    return dict(zip(SCOPES, np.cumsum(table, axis=1).T, strict=True))


# -- how rows are named and grouped ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """Bars from top to bottom: their labels, and headings (bold, pale) by the row that they stand above."""

    labels: list[str]
    headings: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def centres(self) -> Values:
        """Place of each bar, in pitches from the top of the panel."""
        above = np.cumsum([HEADING if i in self.headings else 0.0 for i in range(len(self.labels))])
        return np.arange(len(self.labels)) + above + 0.5

    @property
    def height(self) -> float:
        """Of all bars and headings, in pitches."""
        return len(self.labels) + HEADING * len(self.headings)


_CODINGS = {"bit_serial": "bit-serial", "analog": "ANN", "single_spike": "single spike", "rate": "rate"}


def _family(result: Result) -> str:
    """An ANN twin, `event_core_64+mac`, is shown with the design that it was made for."""
    return result.facts.arch.split("+")[0]


def _grouped(results: Sequence[Result]) -> tuple[list[Result], Rows]:
    """Results by architecture, then coding, each where it first appears, then by T; and their labels."""
    families = list(dict.fromkeys(_family(r) for r in results))
    codings = list(dict.fromkeys((_family(r), r.facts.coding) for r in results))
    ordered = sorted(results, key=lambda r: (families.index(_family(r)), codings.index((_family(r), r.facts.coding)),
                                             r.facts.timesteps))
    labels = _told_apart(ordered, [_label(r) for r in ordered])
    heads = {}
    for family in families:
        members = [i for i, r in enumerate(ordered) if _family(r) == family]
        itself = next((ordered[i] for i in members if ordered[i].facts.arch == family), None)
        heads[members[0]] = (_shorten(family), _design(itself) if itself else "")
    return ordered, Rows([_shorten(label) for label in labels], heads)


_DISTINCTIONS: tuple[Callable[[Result], object], ...] = (
    lambda r: r.facts.trace, lambda r: r.facts.arch, lambda r: r.architecture.technology.units,
    lambda r: r.architecture.technology.memory, lambda r: r.architecture.technology.dram, lambda r: r.facts.spikes,
    lambda r: r.facts.engine,
)


def _told_apart(results: Sequence[Result], labels: list[str]) -> list[str]:
    """Equal labels of one family get the first things in which their results differ."""
    for tell in _DISTINCTIONS:
        alike: dict[tuple[str, str], set[object]] = {}
        for result, label in zip(results, labels, strict=True):
            alike.setdefault((_family(result), label), set()).add(tell(result))
        labels = [f"{label}, {tell(r)}" if len(alike[_family(r), label]) > 1 else label
                  for r, label in zip(results, labels, strict=True)]
    return labels


def _label(result: Result) -> str:
    """What tells a bar from the others of its family; schedules are all one to a quantised ANN, which has one step."""
    f, core = result.facts, result.architecture.core
    ann = f.coding == "analog"
    parts = [_CODINGS.get(f.coding, f.coding.replace("_", " ")) + ("" if ann else f" T={f.timesteps}")]
    if core.kind == "systolic":
        parts.append(f"{core.dataflow.replace('_', '-')} array")
    elif core.kind == "multiply_accumulate":
        parts.append("MAC core")
    if not ann:
        parts.append(f.schedule.replace("_", " "))
    if f.arch.endswith("@area"):
        parts.append("equal area")
    return ", ".join(parts)


def _shorten(text: str, longest: int = 44) -> str:
    """The start and the end of a long name: versions and time steps stand at the end."""
    return text if len(text) <= longest else f"{text[: longest // 2]}…{text[-(longest // 2 - 1):]}"


def _layer_name(name: str, longest: int = 30) -> str:
    """The end of a long name: dotted names differ there."""
    return name if len(name) <= longest else f"…{name[1 - longest:]}"


def _design(result: Result) -> str:
    core = result.architecture.core
    size = f"{core.rows} x {core.columns} array" if core.kind == "systolic" else f"{core.lanes:,} lanes"
    return f"{size}, {result.architecture.clock / 1e6:,.4g} MHz"


def _title(result: Result) -> str:
    f = result.facts
    order = "" if f.coding == "analog" else f", {f.schedule.replace('_', ' ')}"
    return f"{_shorten(f.trace)} on {_shorten(f.arch)}{order}"


def _traces(results: Sequence[Result]) -> str:
    return f"traces: {', '.join(dict.fromkeys(_shorten(r.facts.trace) for r in results))}."


def _mean_of(results: Sequence[Result]) -> str:
    counts = sorted({r.facts.samples for r in results})
    if counts == [1]:
        return "one sample"
    return f"mean of {counts[0]:,} samples" if len(counts) == 1 else f"means of {counts[0]:,} to {counts[-1]:,} samples"


# -- the figures ----------------------------------------------------------------------------------------------------


def save_figures(results: Sequence[Result], folder: str | Path) -> list[Path]:
    """Write energy.png and latency.png into `folder` (made if missing), each whole or not at all."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    return [_write(energy_figure(results), target / "energy.png"),
            _write(latency_figure(results), target / "latency.png")]


def energy_figure(results: Sequence[Result]) -> Figure:
    """Energy of a sample. Several results: a bar each, by unit and by layer; one: a bar a layer, and a bar a unit.

    Raises ValueError when there is no result.
    """
    return _figure(results, _one_energy, _many_energies)


def latency_figure(results: Sequence[Result]) -> Figure:
    """Latency of a sample. Several results: a bar each, by cause and by layer; one: a bar a layer, and a bar a cause.

    Raises ValueError when there is no result.
    """
    return _figure(results, _one_latency, _many_latencies)


def _figure(results: Sequence[Result], one: Callable[[Result], Figure],
            many: Callable[[Sequence[Result]], Figure]) -> Figure:
    """Drawn in the style of this module, whatever the user's is; the user's is put back."""
    if not results:
        raise ValueError("no results to draw, expected at least one")
    with style.context(["default", RC]):
        return one(results[0]) if len(results) == 1 else many(results)


def _many_energies(results: Sequence[Result]) -> Figure:
    ordered, rows = _grouped(results)
    units, note = _merge_small(energy_by_unit(ordered))
    totals = _scope_totals(ordered)
    axis = Axis.fitting(units, "J")
    columns = [Column(f"{scope}\n{axis.unit}", [number(axis.scale * v) for v in values])
               for scope, values in totals.items()]
    left = Panel("By unit", rows, units, axis, columns, marks={k: totals[k] for k in MARKS})
    right = Panel("By layer", rows, energy_by_layer(ordered), axis, labelled=False)
    return _two_panels("Energy of one sample", f"{_mean_of(ordered)}; {SETUP_NOTE}", left, right,
                       [axis.note(_total(units)), note, _traces(ordered)], alike=True)


def _many_latencies(results: Sequence[Result]) -> Figure:
    ordered, rows = _grouped(results)
    causes = time_by_cause(ordered)
    axis = Axis.fitting(causes, "s")
    total = _total(causes)
    busy = next((s.values for s in causes if s.key == "busy"), np.zeros(len(ordered)))
    columns = [
        Column("cycles", [f"{r.cycles.mean():,.0f}" for r in ordered], 0.8),
        Column(f"latency\n{axis.unit}", [number(axis.scale * v) for v in total]),
        Column("busy", [percent(b, t) for b, t in zip(busy, total, strict=True)]),
    ]
    left = Panel("By cause", rows, causes, axis, columns)
    right = Panel("By layer", rows, time_by_layer(ordered), axis, labelled=False)
    return _two_panels("Latency of one sample", f"{_mean_of(ordered)}; {SETUP_NOTE}", left, right,
                       [axis.note(total), _traces(ordered)], alike=True)


def _one_energy(result: Result) -> Figure:
    """Left a bar a layer, cut into units; right a bar a unit, under the scope that it belongs to."""
    names, stacked = energy_by_layer_and_unit(result)
    units = energy_by_unit([result])
    scopes = {name: float(values[0]) for name, values in _scope_totals([result]).items()}
    axis = Axis.fitting(stacked, "J", may_cut=(CHANNEL, LEAKAGE))
    unit_axis = Axis.fitting(_diagonal(units), "J", like=axis)
    said = {name: f"{number(axis.scale * value)} {axis.unit}" for name, value in scopes.items()}
    text = {"compute": (f"Compute scope, {said['compute']}", "arithmetic only"),
            "core": (f"Core scope, {said['core']}", "with everything else on chip"),
            "system": (f"System scope, {said['system']}", "with the off-chip channel")}
    starts = {_scope_of(s.key): i for i, s in reversed(list(enumerate(units)))}
    rows = Rows([s.look.label for s in units], {i: text[scope] for scope, i in starts.items()})
    left = Panel("By layer; colours as on the right", Rows(names), stacked, axis,
                 _value_columns(_total(stacked), axis, scopes["system"]))
    right = Panel("By unit", rows, _diagonal(units), unit_axis,
                  _value_columns(_total(units, axis=1), unit_axis, scopes["system"]))
    return _two_panels(f"Energy of one sample: {_title(result)}",
                       f"{_design(result)}; {_mean_of([result])}; {SETUP_NOTE}", left, right,
                       [axis.note(_total(stacked))])


def _one_latency(result: Result) -> Figure:
    """Left a bar a layer, cut into causes; right a bar a cause."""
    names, stacked = time_by_layer_and_cause(result)
    causes = time_by_cause([result])
    axis = Axis.fitting(stacked, "s")
    cause_axis = Axis.fitting(_diagonal(causes), "s", like=axis)
    left = Panel("By layer; colours as on the right", Rows(names), stacked, axis,
                 _value_columns(_total(stacked), axis, result.latency_s))
    right = Panel("By cause", Rows([s.look.label for s in causes]), _diagonal(causes), cause_axis,
                  _value_columns(_total(causes, axis=1), cause_axis, result.latency_s))
    whole = f"{number(axis.scale * result.latency_s)} {axis.unit}, {result.cycles.mean():,.0f} cycles"
    return _two_panels(f"Latency of one sample: {_title(result)}",
                       f"{whole}; {_design(result)}; {_mean_of([result])}; {SETUP_NOTE}", left, right,
                       [axis.note(_total(stacked))])


def _value_columns(values: Values, axis: Axis, whole: float) -> list[Column]:
    return [Column(axis.unit, [number(axis.scale * v) for v in values]),
            Column("share", [percent(v, whole) for v in values], 0.5)]


def _scope_of(unit: str) -> str:
    if unit == CHANNEL:
        return "system"
    return "compute" if unit in _COMPUTE_UNITS else "core"


def _diagonal(segments: Sequence[Segment]) -> list[Segment]:
    """Segments of one bar, each in a bar of its own."""
    return [Segment(s.key, s.look, row) for s, row in zip(segments, np.diag(_total(segments, axis=1)), strict=True)]


# -- parts of a page ------------------------------------------------------------------------------------------------


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
        whole, solid = float(_total(segments).max()), float(_total([s for s in segments if s.key not in may_cut]).max())
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
class Column:
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
    columns: Sequence[Column] = ()
    labelled: bool = True
    marks: dict[str, Values] = field(default_factory=dict)

    @property
    def label_width(self) -> float:
        return max(_inches(label) for label in self.rows.labels) + 0.1 if self.labelled else 0.0

    @property
    def column_width(self) -> float:
        return sum(c.width for c in self.columns)


MARKS = {"compute": ("v", INK, "compute scope: arithmetic only, up to here"),
         "core": ("v", "white", "core scope: all on chip, up to here")}
"""Marker, its filling and its words for the scopes that end inside a bar; the system scope is the whole bar."""


def _two_panels(title: str, subtitle: str, left: Panel, right: Panel, notes: Iterable[str],
                alike: bool = False) -> Figure:
    """Panels side by side, notes at the foot. `alike`: the same rows, equally wide, and legends, for want of labels."""
    free = WIDTH - 2 * MARGIN - GAP - sum(p.label_width + p.column_width for p in (left, right))
    share = 0.5 if alike else 0.58
    x_left, x_right = MARGIN + left.label_width, WIDTH - MARGIN - right.column_width - (1 - share) * free
    height = PITCH * max(left.rows.height, right.rows.height)
    legend = _legend(left, right) if alike else []
    lines = [line for note in notes if note for line in _wrap(note, WIDTH - 2 * MARGIN)]
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
                                         transform=self.figure.transFigure, **_paint(look)))

    def marker(self, x: float, y: float, marker: str, filling: str) -> None:
        self.figure.add_artist(Line2D([x / WIDTH], [1 - y / self.height], marker=marker, markersize=5, color=INK,
                                      markerfacecolor=filling, markeredgewidth=0.7, linestyle=""))


class Picture(Figure):
    """A Figure that notebooks show even where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        held = io.BytesIO()
        self.savefig(held, format="png")
        return held.getvalue()


def _draw(page: Page, panel: Panel, x: float, width: float, height: float) -> None:
    """The panel with its upper left corner at x, HEADER; a panel of few rows is stretched towards `height`."""
    rows, axis = panel.rows, panel.axis
    pitch = min(STRETCH * PITCH, height / rows.height)
    axes = page.axes(x, HEADER, width, pitch * rows.height)
    axes.set(xlim=(0, axis.limit), ylim=(rows.height, 0))
    _draw_frame(axes, panel)
    _draw_words(page, panel, x, width, pitch)
    edges = np.cumsum([np.zeros(len(rows.labels)), *(s.values * axis.scale for s in panel.segments)], axis=0)
    for segment, lower, upper in zip(panel.segments, edges, edges[1:], strict=False):
        there = upper > lower
        axes.barh(rows.centres[there], (upper - lower)[there], BAR, left=lower[there], label=segment.look.label,
                  **_paint(segment.look))
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
        page.text(x + _inches(name, NORMAL, "bold") + 0.1, y, more, size=SMALL, color=PALE, va="center_baseline",
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
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.set_xlabel(f"{panel.axis.unit} a sample", size=NORMAL, labelpad=3)
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


def _paint(look: Look) -> dict[str, Any]:
    if look.hatched:
        return {"facecolor": "white", "edgecolor": PALE, "hatch": "//////", "linewidth": 0.6}
    return {"facecolor": look.colour, "linewidth": 0, "antialiased": False}


# -- legends and words ----------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """One word of the legend, placed: inches from the left, line, and what is drawn before it."""

    x: float
    line: int
    text: str
    symbol: Look | str | None


def _legend(left: Panel, right: Panel) -> list[Entry]:
    """A paragraph for each panel over the width of the page; what the right shares with the left is said once."""
    named: list[tuple[str, Look | str]] = [(s.look.label, s.look) for s in left.segments]
    named += [(MARKS[name][2], name) for name in left.marks]
    said = {s.key for s in left.segments}
    rest: list[tuple[str, Look | str]] = [(s.look.label, s.look) for s in right.segments if s.key not in said]
    entries: list[Entry] = []
    for title, symbols in ((left.title, named), (right.title, rest)):
        x, line = MARGIN + LEAD, entries[-1].line + 1 if entries else 0
        entries.append(Entry(MARGIN, line, title, None))
        for text, symbol in symbols:
            needed = 0.22 + _inches(text, SMALL)
            if x > MARGIN + LEAD and x + needed > WIDTH - MARGIN:
                x, line = MARGIN + LEAD, line + 1
            entries.append(Entry(x, line, text, symbol))
            x += needed + 0.2
    return entries


def _draw_entry(page: Page, entry: Entry, top: float) -> None:
    y = top + LINE * entry.line
    if entry.symbol is None:
        page.text(entry.x, y, entry.text, size=SMALL, weight="bold", va="center_baseline")
        return
    if isinstance(entry.symbol, Look):
        page.swatch(entry.x, y, entry.symbol)
    else:
        page.marker(entry.x + 0.08, y, *MARKS[entry.symbol][:2])
    page.text(entry.x + 0.22, y, entry.text, size=SMALL, va="center_baseline")


@cache
def _renderer() -> RendererAgg:
    return RendererAgg(1, 1, 72)


@cache
def _inches(text: str, size: float = NORMAL, weight: str = "normal") -> float:
    """Width of a text as it will be drawn."""
    font = FontProperties(family=FONT, size=size, weight=weight)
    return float(_renderer().get_text_width_height_descent(text, font, ismath=False)[0]) / 72


def _wrap(text: str, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _inches(longer, SMALL) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _write(figure: Figure, path: Path) -> Path:
    """A reader of `path` sees the old picture or the new one, never half of one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with style.context(["default", RC]):
            figure.savefig(temporary, format="png", metadata={"Software": None})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
