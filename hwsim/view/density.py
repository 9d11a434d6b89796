"""Energy per synaptic operation against the density of spikes: a mark for each sample of each run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from hwsim.view.figure_file import FigureError, in_our_style
from hwsim.view.labels import mean_of, shortened
from hwsim.view.page import MARGIN, Mark
from hwsim.view.run_numbers import density_rows, run_labels
from hwsim.view.sheet import RUN_MARKS, Sheet, one_axes, plain_frame
from hwsim.view.style import NORMAL
from hwsim.view.width import Width

if TYPE_CHECKING:
    import pandas as pd

    from hwsim.result import Result

NOTE = ("Density: neurons that send, of those that are compared with a threshold or requantised: spikes per neuron and timestep. "
        "Energy: core scope, leakage included. Small: a sample. Large: the mean of the run.")


@in_our_style
def draw_density(results: Sequence[Result], axes: Axes | None = None) -> Axes:
    """Picojoules per synaptic operation (core scope) against spikes per neuron and timestep, in percent; marks by run.

    axes   drawn on; left out, on a figure of its own.

    Returns the axes. Raises FigureError where no sample has both.
    """
    frames = _frames(results)
    if axes is None:
        return density_figure(results).axes[0]
    for n, frame in enumerate(frames):
        marker, colour = RUN_MARKS[n % len(RUN_MARKS)]
        x, y = 100 * frame["density"].to_numpy(float), frame["pj_per_operation"].to_numpy(float)
        if len(x) > 1:
            axes.plot(x, y, marker, color=colour, markersize=3, markeredgewidth=0, alpha=0.45, zorder=2)
        if len(x):
            axes.plot([x.mean()], [y.mean()], marker, color=colour, markersize=7, markeredgecolor="white", markeredgewidth=0.8,
                      zorder=3)
    plain_frame(axes)
    axes.margins(0.1)
    axes.autoscale_view()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlabel("neurons that send in a timestep, %", size=NORMAL, labelpad=3)
    axes.set_ylabel("pJ per synaptic operation", size=NORMAL, labelpad=3)
    return axes


def _frames(results: Sequence[Result]) -> list[pd.DataFrame]:
    frames = [density_rows(r) for r in results]
    if not any(len(frame) for frame in frames):
        raise FigureError("no sample of these runs has a synaptic operation and a neuron that could send, so there is nothing to "
                          "draw")
    return frames


@in_our_style
def density_figure(results: Sequence[Result], *, width: Width = "screen") -> Figure:
    """The plot with its title and legend. Raises FigureError as `draw_density` does."""
    _frames(results)
    legend = [(shortened(label, 44), Mark(*RUN_MARKS[n % len(RUN_MARKS)])) for n, label in enumerate(run_labels(results))]
    designs = ", ".join(dict.fromkeys(shortened(r.facts.arch, 30) for r in results))
    sheet = Sheet("Energy per operation against density", f"{designs}; {mean_of(results)}",
                  {"screen": 4.0, "page": 3.4, "column": 2.6}[width], MARGIN + 0.5, legend if len(results) > 1 else [], [NOTE])
    return one_axes(sheet, width, lambda axes: draw_density(results, axes))
