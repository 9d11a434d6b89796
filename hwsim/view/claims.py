"""The figure of `hwsim claims`: what is printed, what the paper's own account gives on our traces, and what is simulated.

Each row is a claim on a trace: the ANN's energy over the SNN's on a logarithmic axis, above 1 the SNN wins. Colours are Okabe and
Ito's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import style
from matplotlib.figure import Figure

from hwsim.files import whole_file
from hwsim.view.style import INK, LARGE, RC, RULE, SMALL

KINDS = (("printed", "printed by the paper", "D", INK), ("account", "the paper's account on our trace", "o", "#0072B2"),
         ("compute", "simulated: arithmetic only", "^", "#E69F00"), ("core", "simulated: whole core", "s", "#009E73"),
         ("system", "simulated: whole system", "P", "#D55E00"))
ROW_INCHES = 0.42


@dataclass(frozen=True)
class ClaimRow:
    """Ratios by kind of KINDS; a kind may have several."""

    title: str
    ratios: Mapping[str, Sequence[float]]


def claims_figure(rows: Sequence[ClaimRow], title: str) -> Figure:
    """One row for each claim on a trace."""
    every = [r for row in rows for ratios in row.ratios.values() for r in ratios]
    with style.context(RC):
        figure = Figure(figsize=(9.2, 1.7 + ROW_INCHES * len(rows)), layout="constrained")
        axes = figure.subplots()
        for offset, (kind, label, marker, colour) in enumerate(KINDS):
            at = [(r, n + 0.13 * (offset - 2)) for n, row in enumerate(rows) for r in row.ratios.get(kind, ())]
            axes.plot([x for x, _ in at], [y for _, y in at], marker, color=colour, markersize=6, label=label, zorder=3)
        axes.axvline(1, color=INK, linewidth=1.0, zorder=1)
        axes.set_xscale("log")
        axes.set_xlim(min([*every, 0.5]) / 1.3, max([*every, 2]) * 1.3)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes.set_yticks(range(len(rows)), [row.title for row in rows], fontsize=SMALL)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel("energy of the ANN / energy of the SNN   <- ANN wins | SNN wins ->")
        axes.grid(color=RULE, linewidth=0.5, zorder=0)
        axes.tick_params(axis="y", length=0)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        figure.legend(loc="outside lower center", ncols=3, fontsize=SMALL, frameon=False)
        figure.suptitle(title, x=0.01, ha="left", fontsize=LARGE)
    return figure


def save_claims_figure(rows: Sequence[ClaimRow], title: str, path: Path) -> Path:
    """Write the figure as PNG, whole or not at all."""
    figure = claims_figure(rows, title)
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=160)
    return path
