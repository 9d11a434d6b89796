"""A hook of mkdocs: lists as GitHub reads them, written as Python-Markdown reads them.

On GitHub a list may follow a paragraph without a blank line, and what belongs to an item is indented as far as the item's text.
Python-Markdown wants the blank line, and four blanks for each level. The pages are written for both: in the tree they stay as
GitHub has them. tests/docs/test_site.py compares the lists of both.
"""

from __future__ import annotations

import re
from typing import Any

ITEM = re.compile(r"(?P<indent> *)(?P<marker>[*+-]|\d{1,9}\.) +(?=\S)")
FENCE = re.compile(r" *(```+|~~~+)")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    return relisted(markdown)


def relisted(markdown: str) -> str:
    """The same page with a blank line before each list and four blanks per level."""
    written: list[str] = []
    columns: list[int] = []
    """Of each open item, from the outermost: the column at which its text begins."""
    fence, blank = "", True
    for line in markdown.splitlines():
        if not line.strip():
            written.append("")
            blank = True
            continue
        indent = len(line) - len(line.lstrip(" "))
        item = None if fence else ITEM.match(line)
        if not fence and (item or blank or FENCE.match(line)):
            while columns and indent < columns[-1]:
                columns.pop()
        base = columns[-1] if columns else 0
        if item and indent > base + 3:
            item = None  # code by indentation
        if item and not blank and not _after_an_item(written):
            written.append("")
        # A line that goes on with a paragraph may stand anywhere; it is taken to the paragraph's level.
        written.append("    " * len(columns) + line[min(base, indent):])
        if item:
            columns.append(item.end())
        fence, blank = _fence_after(fence, line), False
    return "\n".join(written) + "\n"


def _after_an_item(written: list[str]) -> bool:
    """Whether the lines up to here are the first paragraph of an item, so that the next item may follow without a blank line."""
    for line in reversed(written):
        if not line or ITEM.match(line):
            return bool(line)
    return False


def _fence_after(fence: str, line: str) -> str:
    """The fence that is open after a line; "" where none is."""
    found = FENCE.match(line)
    if not found:
        return fence
    if not fence:
        return found[1]
    return "" if line.strip() == fence else fence
