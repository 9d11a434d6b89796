"""A design's loops as mappings are written in Timeloop and ZigZag: outermost first, `parallel-for` is spatial.

A nest is a list of lines. Each says how deep it stands, over which dimensions it goes (none: a statement), and what happens in
it. Dimensions: t planes; c, iy, ix source channel, row and column; oy, ox output row and column; k output channel, split into
k2, k1 and k0 where parts of it are looped over apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

NOTE_COLUMN = 66


class NestLine(NamedTuple):
    """One line. over: the dimensions of a loop, outermost first; (): a statement."""

    depth: int
    text: str
    over: tuple[str, ...] = ()
    note: str = ""


def nest_text(nest: Sequence[NestLine]) -> Iterator[str]:
    """Lines of text, notes in a column of their own."""
    for line in nest:
        loop = "  " * line.depth + line.text
        yield f"{loop:<{NOTE_COLUMN}} {line.note}".rstrip()
