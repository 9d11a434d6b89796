"""Accuracy against energy: a point for each result, since the short bar of a network that is wrong misleads.

Accuracy is the whole test set's where the trace knows it, else that of the samples, in percent. Energy is the system scope's,
joules per sample, on a logarithmic axis. Codings have colours, schedules and kinds of machines have markers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from hwsim.view.figure_file import FigureError, in_our_style
from hwsim.view.labels import Rows, coding_label, grouped, mean_of, shortened, traces
from hwsim.view.page import LINE, MARGIN, WIDTH, Page, inches, wrap
from hwsim.view.style import INK, LARGE, NORMAL, PALE, RULE, SMALL, si_scale

if TYPE_CHECKING:
    from hwsim.result import Result

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#5E2A00")
"""By coding, in the order in which they appear."""
MARKERS = "osD^vPX*<>hp"
"""By schedule and kind of machine, in the order in which they appear."""
TOP, PLOT, BOTTOM, LEFT = 0.78, 3.4, 0.55, 0.75


def accuracy_of(result: Result) -> float | None:
    """Percent: the whole test set's where the trace knows it; a few replayed samples say little."""
    known = result.facts.accuracy_test_set
    return result.facts.accuracy if known is None else known


def has_accuracies(results: Sequence[Result]) -> bool:
    """Whether there is something to compare: two results at least, all with an accuracy."""
    return len(results) > 1 and all(accuracy_of(r) is not None for r in results)


@in_our_style
def accuracy_figure(results: Sequence[Result]) -> Figure:
    """Accuracy of each result against its system energy per sample. Raises FigureError unless that is known of all of several."""
    if not has_accuracies(results):
        known = sum(accuracy_of(r) is not None for r in results)
        raise FigureError(f"accuracy against energy: found {len(results)} results, {known} with an accuracy, expected two or "
                          "more with one each")
    ordered, rows = grouped(results)
    joules = [1e-12 * r.energy_pj["system"] for r in ordered]
    scale, prefix = si_scale(max(joules) / 10)
    codings = list(dict.fromkeys(coding_label(r.facts.coding) for r in ordered))
    kinds = _kinds(ordered, rows)
    markers = {kind: MARKERS[i % len(MARKERS)] for i, kind in enumerate(dict.fromkeys(kinds))}
    legend = _legend(codings, markers)
    lines = wrap(traces(ordered), WIDTH - 2 * MARGIN)
    page = Page(TOP + PLOT + BOTTOM + LINE * (1 + max(line for _, line, *_ in legend) + len(lines)) + 0.1)
    page.text(MARGIN, 0.28, "Accuracy against energy of one sample", size=LARGE, weight="bold")
    page.text(MARGIN, 0.52, f"{mean_of(ordered)}; energy with the off-chip channel; better is up and to the left", size=NORMAL,
              color=PALE)
    axes = page.axes(LEFT, TOP, WIDTH - LEFT - MARGIN, PLOT)
    for result, kind, energy in zip(ordered, kinds, joules, strict=True):
        colour = COLOURS[codings.index(coding_label(result.facts.coding)) % len(COLOURS)]
        axes.plot([scale * energy], [accuracy_of(result) or 0.0], markers[kind], color=colour, markersize=8, linestyle="",
                  markeredgewidth=0.4, markeredgecolor="white")
    axes.set_xscale("log")
    low, high = min(joules) * scale, max(joules) * scale
    axes.set_xlim(low / 1.35, high * 1.35)
    axes.margins(y=0.16)
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(length=2.5, labelsize=SMALL)
    axes.set_xlabel(f"{prefix}J per sample", size=NORMAL, labelpad=3)
    axes.set_ylabel("accuracy, %", size=NORMAL, labelpad=3)
    axes.grid(color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    _name_networks(axes, ordered, joules, scale)
    top = TOP + PLOT + BOTTOM
    for x, line, text, marker, colour in legend:
        page.marker(x + 0.08, top + LINE * line, marker, colour)
        page.text(x + 0.22, top + LINE * line, text, size=SMALL, va="center_baseline")
    below = top + LINE * (1 + max(at for _, at, *_ in legend)) + 0.08
    for i, words in enumerate(lines):
        page.text(MARGIN, below + LINE * i, words, size=SMALL, color=PALE)
    return page.figure


def _name_networks(axes: Axes, results: Sequence[Result], joules: Sequence[float], scale: float) -> None:
    """The coding and T beside the cheapest point of each accuracy: what shares a height is one label."""
    heights: dict[float, list[int]] = {}
    for i, result in enumerate(results):
        heights.setdefault(round(accuracy_of(result) or 0.0, 2), []).append(i)
    for accuracy, members in heights.items():
        names = dict.fromkeys(coding_label(results[i].facts.coding) + (
            "" if results[i].facts.is_ann else f" T={results[i].facts.timesteps}") for i in members)
        axes.annotate(", ".join(names), (scale * min(joules[i] for i in members), accuracy), xytext=(-4, 7),
                      textcoords="offset points", size=SMALL, color=INK)


def _kinds(results: Sequence[Result], rows: Rows) -> list[str]:
    """What tells a point from the others of its network: of several designs the design, then what its label says besides."""
    families = [shortened(r.facts.arch.partition("+")[0], 34) for r in results]
    several = len(set(families)) > 1
    rests = [label.partition(", ")[2] for label in rows.labels]
    return [", ".join(filter(None, (family if several else "", rest))) or family
            for family, rest in zip(families, rests, strict=True)]


Symbol = tuple[float, int, str, str, str]
"""Inches from the left, line, text, marker, colour."""


def _legend(codings: Sequence[str], markers: dict[str, str]) -> list[Symbol]:
    """Colours, then markers, each on lines of their own."""
    found: list[Symbol] = []
    line = -1
    for words in ([(name, "o", COLOURS[i % len(COLOURS)]) for i, name in enumerate(codings)],
                  [(kind, marker, PALE) for kind, marker in markers.items()]):
        x, line = MARGIN, line + 1
        for text, marker, colour in words:
            needed = 0.22 + inches(text, SMALL)
            if x > MARGIN and x + needed > WIDTH - MARGIN:
                x, line = MARGIN, line + 1
            found.append((x, line, text, marker, colour))
            x += needed + 0.25
    return found
