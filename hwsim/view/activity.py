"""How often something happens by layer and timestep: a map, layers from top to bottom, timesteps from left to right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, to_rgb
from matplotlib.figure import Figure

from hwsim.activity import VOCABULARY
from hwsim.view.figure_file import FigureError, in_our_style
from hwsim.view.labels import design, layer_name, mean_of, title
from hwsim.view.page import MARGIN, inches
from hwsim.view.run_numbers import activity_rows
from hwsim.view.sheet import Sheet, one_axes
from hwsim.view.style import HEAT, INK, NORMAL, SMALL, number
from hwsim.view.width import Width

if TYPE_CHECKING:
    from hwsim.result import Result

ROW = 0.24
"""Inches of a layer."""
MANY = 40
"""Layers above which their names and numbers have no room."""
NAMES = {"spike_out": "spikes and values sent", "acc_add": "synaptic operations", "fifo_pop": "tokens taken from the FIFO"}


@in_our_style
def draw_activity(result: Result, axes: Axes | None = None, *, event: str = "spike_out") -> Axes:
    """Counts of an event per sample, by layer and timestep; darker is more, on a logarithmic scale.

    axes    drawn on; left out, on a figure of its own.
    event   of hwsim.activity, such as spike_out, acc_add (synaptic operations) or fifo_pop.

    Returns the axes. Raises FigureError for an unknown event, and for one that never happened.
    """
    if axes is None:
        return activity_figure(result, event=event).axes[0]
    rows = activity_rows(result, event)
    table = rows.pivot(index="layer", columns="timestep", values="count").loc[list(dict.fromkeys(rows["layer"]))]
    counts = table.to_numpy()
    if not counts.any():
        raise FigureError(f"{event} never happened in this run, so there is nothing to draw; give another event")
    low, high = counts[counts > 0].min(), counts.max()
    norm = LogNorm(low / 2, high) if low < high else Normalize(0, high)
    axes.imshow(counts.clip(low / 2), cmap=HEAT, norm=norm, aspect="auto", interpolation="nearest")
    steps = counts.shape[1]
    axes.set_xticks(range(0, steps, max(1, steps // 16)))
    axes.set_yticks(range(len(table)), [layer_name(str(name)) for name in table.index])
    axes.tick_params(axis="both", length=0, labelsize=SMALL)
    axes.set_xlabel("timestep", size=NORMAL, labelpad=3)
    for side in axes.spines.values():
        side.set_visible(False)
    for edge in range(1, len(table)):
        axes.axhline(edge - 0.5, color="white", linewidth=1.0)
    for edge in range(1, steps):
        axes.axvline(edge - 0.5, color="white", linewidth=1.0)
    _write_numbers(axes, counts, norm)
    return axes


def _said(value: float) -> str:
    return number(value) if value < 1000 else f"{value:,.0f}" if value < 1e5 else f"{value:.1e}"


def _write_numbers(axes: Axes, counts: object, norm: Normalize) -> None:
    """In each cell its number, where the widest has room."""
    values = counts.tolist()  # type: ignore[attr-defined]
    cell = axes.bbox.width / axes.figure.dpi / len(values[0]), axes.bbox.height / axes.figure.dpi / len(values)
    texts = [[_said(v) for v in row] for row in values]
    if cell[1] < 0.15 or max(inches(text, SMALL) for row in texts for text in row) + 0.06 > cell[0]:
        return
    for y, (row, said) in enumerate(zip(values, texts, strict=True)):
        for x, (value, text) in enumerate(zip(row, said, strict=True)):
            r, g, b = to_rgb(HEAT(norm(value))) if value else (1.0, 1.0, 1.0)
            axes.text(x, y, text, size=SMALL, ha="center", va="center_baseline",
                      color=INK if 0.299 * r + 0.587 * g + 0.114 * b > 0.5 else "white")


@in_our_style
def activity_figure(result: Result, *, event: str = "spike_out", width: Width = "screen") -> Figure:
    """The map with its title. Raises FigureError as `draw_activity` does."""
    rows = activity_rows(result, event)
    names = list(dict.fromkeys(map(str, rows["layer"])))
    what = NAMES.get(event) or f"{event}, one a {next(e.counted for e in VOCABULARY if e.name == event)}"
    left = MARGIN + max(inches(layer_name(name), SMALL) for name in names) + 0.1
    counts = rows.loc[rows["count"] > 0, "count"]
    ends = f" from {_said(counts.min())} (pale) to {_said(counts.max())} (dark)," if len(counts) else ","
    note = f"Per sample,{ends} on a logarithmic scale; the palest is 0." + (
        "" if result.facts.is_ann else " Timesteps are those of each layer, one below the other, whatever the schedule.")
    sheet = Sheet(f"Activity by layer and timestep: {what}", f"{title(result)}; {design(result)}; {mean_of([result])}",
                  max(1.0, (ROW if len(names) <= MANY else 0.15) * len(names)), left, notes=[note])
    return one_axes(sheet, width, lambda axes: draw_activity(result, axes, event=event))


__all__ = ["activity_figure", "draw_activity"]
