"""The figure of `hwsim deviation`: activity by layer and timestep, cases of uneven arrival by layer, distance from the source.

What papers 000 (Fig. 2 and 4) and 002 (Fig. 3 and 5) draw, for the layers of one network, first to last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from hwsim.files import whole_file
from hwsim.snn.evenness import CASES, Unevenness
from hwsim.view.style import INK, LARGE, PALE, RC, RULE, SMALL

Causes = Mapping[str, Mapping[str, float]]
"""By layer, its differences by the names of CAUSES, as shares."""

COLOURS = ("#D55E00", "#E69F00", "#56B4E9", "#0072B2")
"""Of CASES: warm for neurons that fire more, cool for those that fire less."""
CAUSES = {"clipping": ("clipping", "#CC79A7", "-"), "quantisation": ("quantisation", "#009E73", "--"),
          "rest": ("uneven arrival, earlier layers, rounding", "#D55E00", "-."), "total": ("all three together", INK, "-")}


def save_deviation_figure(name: str, layers: Sequence[Unevenness], causes: Causes, path: Path) -> Path:
    """Write the figure as PNG, whole or not at all."""
    figure = deviation_figure(name, layers, causes)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=160)
    return path


def deviation_figure(name: str, layers: Sequence[Unevenness], causes: Causes | None = None) -> Figure:
    """One panel for what there is: activity always; cases where even arrival says something; causes where a source is known."""
    panels = [_activity, *([_cases] if any(one.cases for one in layers) else []), *([_causes] if causes else [])]
    with style.context(RC):
        figure = Figure(figsize=(max(5.5, 2.4 + 0.42 * len(layers)), 0.8 + 2.3 * len(panels)), layout="constrained")
        axes = np.atleast_1d(figure.subplots(len(panels), sharex=True))
        figure.suptitle(name, x=0.01, ha="left", fontsize=LARGE)
        for draw, axis in zip(panels, axes, strict=True):
            draw(figure, axis, layers, causes or {})
            for side in ("top", "right"):
                axis.spines[side].set_visible(False)
        long = len(layers) > 6
        axes[-1].set_xticks(range(len(layers)), [one.layer for one in layers], rotation=60 if long else 0,
                            ha="right" if long else "center", rotation_mode="anchor" if long else "default")
    return figure


def _activity(figure: Figure, axis: Any, layers: Sequence[Unevenness], causes: Causes) -> None:
    """Percent of neurons that send, by layer and timestep; a layer of fewer timesteps leaves the rest empty."""
    shares = np.full((max(len(one.activity) for one in layers), len(layers)), np.nan)
    for column, one in enumerate(layers):
        shares[: len(one.activity), column] = 100 * np.array(one.activity)
    image = axis.imshow(shares, aspect="auto", cmap="viridis", vmin=0)
    axis.set_yticks(range(len(shares)))
    axis.set_ylabel("timestep or bit,\nfirst to last")
    axis.set_title("neurons that send, percent", loc="left", fontsize=SMALL)
    figure.colorbar(image, cax=axis.inset_axes((1.01, 0, 0.012, 1)))


def _cases(figure: Figure, axis: Any, layers: Sequence[Unevenness], causes: Causes) -> None:
    bottom = np.zeros(len(layers))
    for case, (text, colour) in enumerate(zip(CASES, COLOURS, strict=True)):
        shares = np.array([0.0 if one.cases is None else 100 * one.cases[case] for one in layers])
        axis.bar(range(len(layers)), shares, bottom=bottom, color=colour, width=0.7, label=f"case {case + 1}: {text}")
        bottom += shares
    for place, one in enumerate(layers):
        if one.cases is None:
            axis.text(place, 0, "-", ha="center", va="bottom", color=PALE)
    _finish(axis, "neurons that fire more or less than if their input came evenly, percent")


def _causes(figure: Figure, axis: Any, layers: Sequence[Unevenness], causes: Causes) -> None:
    places = {one.layer: place for place, one in enumerate(layers)}
    for name, (text, colour, dashes) in CAUSES.items():
        axis.plot([places[layer] for layer in causes], [100 * parts[name] for parts in causes.values()], dashes, color=colour,
                  marker="o", markersize=3, linewidth=1.4, label=text)
    axis.set_ylim(bottom=0)
    _finish(axis, "difference from max(y, 0), root mean square, percent of it")


def _finish(axis: Any, title: str) -> None:
    axis.set_title(title, loc="left", fontsize=SMALL)
    axis.grid(axis="y", color=RULE, linewidth=0.5)
    axis.set_axisbelow(True)
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=SMALL - 0.5, frameon=False)
