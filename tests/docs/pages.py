"""The Markdown pages of the tree: their text without code, their links, and the anchors of their headings."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

FOLDERS = ("docs", "hwsim", "tests", "traces", "benchmarks", "notebooks", "arch_configs")
LINK = re.compile(r"!?\[([^\[\]]*)\]\(([^()\s]+)\)")


class Link(NamedTuple):
    """A link of a page: its line, its text, the page or file that it leads to (None: outside of the tree), the anchor."""

    line: int
    text: str
    target: Path | None
    anchor: str


def pages() -> list[Path]:
    """Every Markdown file of the tree; what a user keeps beside it is not looked at."""
    return sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def prose(page: Path | str) -> str:
    """The text, as long as the file's: code, comments, headings and titles of rules (`**R14 Read-out ...**`) are blanks.

    A page is given by its path, or by its text.
    """
    text = page.read_text() if isinstance(page, Path) else page
    for pattern, flags in ((r"```.*?```", re.DOTALL), (r"<!--.*?-->", re.DOTALL), (r"^#+ .*$", re.MULTILINE),
                           (r"(?<=\n\n)(?: {4,}(?![*-] ).*\n)+", 0), (r"\*\*[A-Z]\d+ [^*\n]*\*\*", 0),
                           (r"`[^`\n]+(?:\n[^`\n]+)?`", 0)):
        text = re.sub(pattern, lambda found: re.sub(r"[^\n]", " ", found.group()), text, flags=flags)
    return text


def links(path: Path) -> list[Link]:
    """All links outside of code."""
    text, found = prose(path), []
    for match in LINK.finditer(text):
        place, _, anchor = match.group(2).partition("#")
        outside = re.match(r"[a-z]+:", place)
        target = None if outside else (path.parent / place).resolve() if place else path
        found.append(Link(text.count("\n", 0, match.start()) + 1, match.group(1), target, "" if outside else anchor))
    return found


def headings(path: Path) -> list[tuple[int, str]]:
    """(level, text) of each heading, as it is written."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    return [(len(marks), words) for marks, words in re.findall(r"^(#+) (.*?)\s*$", text, flags=re.MULTILINE)]


@cache
def anchors(path: Path) -> frozenset[str]:
    """What `#` can name on a page, by the rule of GitHub: lower case, no punctuation, hyphens for blanks, repeats numbered."""
    found: dict[str, int] = {}
    for _, words in headings(path):
        plain = re.sub(r"[^\w\- ]", "", LINK.sub(r"\1", words).lower()).replace(" ", "-")
        found[plain] = found.get(plain, 0) + 1
    return frozenset(name if n == 0 else f"{name}-{n}" for name, times in found.items() for n in range(times))
