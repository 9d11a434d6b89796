"""The title and the line below it, wrapped to the width of a figure. Inches of the sheet (width.py)."""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.view.page import MARGIN, Page, wrap
from hwsim.view.style import LARGE, NORMAL, PALE
from hwsim.view.width import WIDTHS, Width

NARROW = 9.5
"""Points of a title on paper, where a line holds fewer letters."""
TOP, STEP, SUB_STEP = 0.28, 0.19, 0.17
"""From the top to the title's first line, and from line to line."""


@dataclass(frozen=True)
class Heading:
    """Lines of the title and of what stands below it."""

    titles: list[str]
    subtitles: list[str]
    size: float

    @property
    def height(self) -> float:
        """From the top of the figure to the foot of the last line."""
        return TOP + STEP * (len(self.titles) - 1) + (0.24 + SUB_STEP * (len(self.subtitles) - 1) if self.subtitles else 0.0)

    def draw(self, page: Page) -> None:
        for i, line in enumerate(self.titles):
            page.text(MARGIN, TOP + STEP * i, line, size=self.size, weight="bold")
        below = TOP + STEP * (len(self.titles) - 1) + 0.24
        for i, line in enumerate(self.subtitles):
            page.text(MARGIN, below + SUB_STEP * i, line, size=NORMAL, color=PALE)


def heading(title: str, subtitle: str, width: Width) -> Heading:
    room, size = WIDTHS[width].sheet - 2 * MARGIN, LARGE if width == "screen" else NARROW
    return Heading(wrap(title, room, size, "bold"), wrap(subtitle, room, NORMAL) if subtitle else [], size)
