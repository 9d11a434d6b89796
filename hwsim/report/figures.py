"""The figures of a page: which ones of hwsim/view it shows of one run, and which of several, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hwsim.report.inline_svg import inline_svg
from hwsim.view.plot import energy_figure, latency_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hwsim.result import Result

Draw = Callable[[Sequence["Result"]], "Figure"]
OF_ONE: tuple[tuple[str, str, Draw], ...] = (
    ("energy", "Energy of one sample of {trace} on {arch}, by layer and by unit", energy_figure),
    ("latency", "Latency of one sample of {trace} on {arch}, by layer and by cause", latency_figure),
)
"""Name, words for who cannot see it, and what draws it."""
OF_SEVERAL: tuple[tuple[str, str, Draw], ...] = (
    ("energy", "Energy of one sample of each run, by unit and by layer", energy_figure),
    ("latency", "Latency of one sample of each run, by cause and by layer", latency_figure),
)


def figures(results: Sequence[Result], place: str) -> list[str]:
    """The figures of a run, or of several side by side, as `<svg>` elements; their identities begin with `place`."""
    f = results[0].facts
    return [inline_svg(draw(results), f"{place}-{name}", words.format(trace=f.trace, arch=f.arch))
            for name, words, draw in (OF_ONE if len(results) == 1 else OF_SEVERAL)]
