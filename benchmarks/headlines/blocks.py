"""Generated blocks of Markdown pages, between `<!-- table NAME -->` and `<!-- end NAME -->`, written over in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hwsim.errors import HwsimError
from hwsim.files import whole_file


class BlockError(HwsimError):
    """A page without the comments that a block stands between; the text says which ones."""


def marks(name: str) -> tuple[str, str]:
    """The comments before and after a block."""
    return f"<!-- table {name} -->\n", f"<!-- end {name} -->"


def has_block(page: str, name: str) -> bool:
    return marks(name)[0] in page


def block(page: str, name: str, where: str | Path) -> str:
    """What a page has in a block, without the last line break. Raises BlockError."""
    return _parts(page, name, where)[1].removesuffix("\n")


def with_block(page: str, name: str, text: str, where: str | Path) -> str:
    """The page with another text in a block. Raises BlockError."""
    before, _, after = _parts(page, name, where)
    return f"{before}{text}\n{after}"


def _parts(page: str, name: str, where: str | Path) -> tuple[str, str, str]:
    begin, end = marks(name)
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(end) < page.index(begin):
        raise BlockError(f"{where}: {name}: found {page.count(begin)} times {begin.strip()} and {page.count(end)} times {end}, "
                         "expected each once, in this order; put them where the table belongs")
    head, rest = page.split(begin)
    found, tail = rest.split(end)
    return head + begin, found, end + tail


def write_blocks(page: Path, blocks: Mapping[str, str]) -> bool:
    """Write all blocks of a page at once; whether anything changed. Raises BlockError, and nothing is written then."""
    old = text = page.read_text(encoding="utf-8")
    for name, made in blocks.items():
        text = with_block(text, name, made, page)
    if text != old:
        with whole_file(page) as part:
            part.write_text(text, encoding="utf-8")
    return text != old


def table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines).replace("| --- |", "|---|").replace(" --- |", "---|")
