"""The figures of a page: which ones of hwsim/view it shows of one run, and which of several, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.report.inline_svg import inline_svg
from hwsim.view.activity import activity_figure
from hwsim.view.figure_file import FigureError
from hwsim.view.plot import energy_figure, latency_figure
from hwsim.view.roofline import roofline_figure
from hwsim.view.utilisation import utilisation_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hwsim.result import Result

Draw = Callable[[Sequence["Result"]], "Figure"]
OF_ONE: tuple[tuple[str, str, Draw], ...] = (
    ("energy", "Energy of one sample of {trace} on {arch}, by layer and by unit", energy_figure),
    ("latency", "Latency of one sample of {trace} on {arch}, by layer and by cause", latency_figure),
    ("utilisation", "Utilisation of the lanes of {arch}, by layer of {trace}", lambda results: utilisation_figure(results[0])),
    ("activity", "Spikes of {trace}, by layer and timestep", lambda results: activity_figure(results[0])),
    ("roofline", "Roofline of {trace} on {arch}: operations against bytes", roofline_figure),
)
"""Name, words for who cannot see it, and what draws it."""
OF_SEVERAL: tuple[tuple[str, str, Draw], ...] = (
    ("energy", "Energy of one sample of each run, by unit and by layer", energy_figure),
    ("latency", "Latency of one sample of each run, by cause and by layer", latency_figure),
    ("roofline", "Roofline of all runs: operations against bytes", roofline_figure),
)


@dataclass(frozen=True)
class Drawn:
    """A figure as an `<svg>` element, or why the runs have none of it."""

    name: str
    svg: str = ""
    why_not: str = ""


def figures(results: Sequence[Result], place: str) -> list[Drawn]:
    """The figures of a run, or of several side by side; their identities begin with `place`."""
    return [_drawn(results, place, *one) for one in (OF_ONE if len(results) == 1 else OF_SEVERAL)]


def _drawn(results: Sequence[Result], place: str, name: str, words: str, draw: Draw) -> Drawn:
    f = results[0].facts
    try:
        return Drawn(name, inline_svg(draw(results), f"{place}-{name}", words.format(trace=f.trace, arch=f.arch)))
    except FigureError as error:
        return Drawn(name, why_not=str(error))
