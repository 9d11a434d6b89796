"""Figures as files: PNG, SVG and PDF, whole or not at all, the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.text import Text

from hwsim.errors import HwsimError
from hwsim.files import whole_file
from hwsim.view.style import RC

METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None}, "svg": {"Creator": None, "Date": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None}}
"""By kind of file, what matplotlib would write of itself and of the day; left out, so that equal figures are equal files."""

P = ParamSpec("P")
T = TypeVar("T")


class FigureError(HwsimError):
    """A figure that cannot be drawn or written; the text says what was found and what is allowed."""


def in_our_style(draw: Callable[P, T]) -> Callable[P, T]:
    """Draws in the style of style.py, whatever the user's is; the user's is put back."""
    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> T:
        with style.context(["default", RC]):
            return draw(*args, **kwargs)

    return drawn


def kind_of_file(path: str | Path) -> str:
    """png, svg or pdf, by the end of the name. Raises FigureError for another."""
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in METADATA:
        raise FigureError(f"{path}: a figure is written as {', '.join('.' + one for one in METADATA)}; found "
                          f"{'no ending' if not kind else '.' + kind}, give the file one of these")
    return kind


@in_our_style
def write_figure(figure: Figure, path: str | Path, words: str | None = None) -> Path:
    """Write a figure as PNG, SVG or PDF, by the end of the name. `words`, of a PNG, stand in its field Description.

    Raises FigureError, OSError.
    """
    kind, target = kind_of_file(path), Path(path)
    with whole_file(target) as part:
        figure.savefig(part, format=kind, metadata=METADATA[kind] | ({} if words is None else {"Description": words}))
    return target


def words_of(figure: Figure) -> str:
    """All texts of a figure, one a line, sorted: whether a file that holds them is today's can be told without its pixels."""
    return "\n".join(sorted(text.get_text() for text in figure.findobj(Text) if text.get_text()))
