"""What becomes of the lanes' cycles in each layer: additions, cycles without one, stalls, and waiting for events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hwsim.view.figure_file import in_our_style
from hwsim.view.labels import design, layer_name, mean_of, title
from hwsim.view.page import MARGIN, inches, paint
from hwsim.view.run_numbers import PARTS, utilisation_rows
from hwsim.view.sheet import Sheet, one_axes, plain_frame
from hwsim.view.style import CAUSES, NORMAL, SMALL, Look, percent
from hwsim.view.width import Width

if TYPE_CHECKING:
    from hwsim.result import Result

LOOKS = {"additions": Look(PARTS["additions"], CAUSES["busy"].colour), "no_addition": Look(PARTS["no_addition"], "#9CC7E4"),
         "stall": Look(PARTS["stall"], CAUSES["stall_hazard"].colour), "idle": Look(PARTS["idle"], CAUSES["idle"].colour)}
PITCH, BAR, NUMBERS = 0.25, 0.72, 0.5
"""Inches from bar to bar, a bar's share of it, inches of the numbers beside the bars."""
SEEN = 0.005
"""Share of a bar from which on a part of it is seen; less has no entry in the legend."""


@in_our_style
def draw_utilisation(result: Result, axes: Axes | None = None) -> Axes:
    """A bar per layer: shares of its lanes' cycles, in percent. The first share is the layer's utilisation, printed beside it.

    axes   drawn on; left out, on a figure of its own.     Returns the axes.
    """
    if axes is None:
        return utilisation_figure(result).axes[0]
    rows = utilisation_rows(result)
    layers = list(dict.fromkeys(rows["layer"]))
    places, left = np.arange(len(layers)), np.zeros(len(layers))
    for part, look in LOOKS.items():
        share = 100 * rows.loc[rows["part"] == part, "share"].to_numpy(float)
        if share.any():
            axes.barh(places, share, BAR, left=left, label=look.label, **paint(look))
        left = left + share
    used = rows.loc[rows["part"] == "additions", "share"].to_numpy(float)
    plain_frame(axes, "x")
    axes.spines["bottom"].set_visible(False)
    axes.set(xlim=(0, 100), ylim=(len(layers) - 0.5, -0.5))
    axes.set_yticks(places, [layer_name(name) for name in layers])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("% of the lanes' cycles while the layer runs", size=NORMAL, labelpad=3)
    for y, share in zip(places, used, strict=True):
        axes.annotate(percent(share, 1.0) if share else "0 %", (1, y), xycoords=("axes fraction", "data"), xytext=(5, 0),
                      textcoords="offset points", size=SMALL, va="center_baseline", ha="left")
    return axes


@in_our_style
def utilisation_figure(result: Result, *, width: Width = "screen") -> Figure:
    """The bars with their title and legend."""
    rows = utilisation_rows(result)
    layers = list(dict.fromkeys(rows["layer"]))
    drawn = set(rows.loc[rows["share"] > SEEN, "part"])
    left = MARGIN + max(inches(layer_name(name), SMALL) for name in layers) + 0.12
    words = f"{title(result)}; {design(result)}; {mean_of([result])}"
    sheet = Sheet("Lane utilisation by layer", words, PITCH * len(layers), left,
                  [(look.label, look) for part, look in LOOKS.items() if part in drawn],
                  [f"At the right: the share of cycles in which a lane adds. Over the whole sample, waits included: "
                   f"{percent(result.utilisation, 1.0)}."], right=MARGIN + NUMBERS)
    return one_axes(sheet, width, lambda axes: draw_utilisation(result, axes))
