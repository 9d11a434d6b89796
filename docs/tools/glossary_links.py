"""Glossary links at the first use of each term and nowhere else, as tests/docs/test_glossary.py asks of every page of docs/.

    python -m docs.tools.glossary_links docs/PAGE.md ...

adds links that a page lacks, takes away those of a term that was linked before, and moves those that come too late; so a page is
mended after a merge. Generated pages (docs/tools/reference.py) get theirs in the same way.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from tests.docs.pages import LINK, name_of, prose
from tests.docs.test_glossary import ELSEWHERE, EVERYDAY, GLOSSARY, TERMS, anchor


def linked(text: str, page: Path) -> str:
    """`text` of the page with one link per term, at its first use; `page` is where the text stands, or will.

    Looked at is what is neither code, nor heading, nor another link. A term that is also an everyday word keeps the first link
    that it has.
    """
    glossary = os.path.relpath(GLOSSARY, page.parent)
    for term in TERMS:
        there = [found for found in LINK.finditer(prose(text)) if found[2] == f"{glossary}#{anchor(term)}"]
        for found in reversed(there[1:]):
            text = _unlinked(text, found)
    for term in sorted(set(TERMS) - EVERYDAY, key=len, reverse=True):
        if (name_of(page), term) in ELSEWHERE:
            continue
        target = f"{glossary}#{anchor(term)}"
        now = next((found for found in LINK.finditer(prose(text)) if found[2] == target), None)
        plain = LINK.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), prose(text))
        words = r"\s".join(term.split())
        used = re.search(rf"(?<![\w/-]){words}(?:e?s)?(?![\w-])", plain, 0 if term.isupper() else re.IGNORECASE)
        if not used or (now and now.start() < used.start()):
            continue
        if now and text.count("\n", 0, now.start()) == text.count("\n", 0, used.start()):
            continue
        text = _unlinked(text, now) if now else text  # it stands behind the first use, whose place stays the same
        text = f"{text[:used.start()]}[{used.group()}]({target}){text[used.end():]}"
    return text


def _unlinked(text: str, link: re.Match[str]) -> str:
    return text[:link.start()] + link[1] + text[link.end():]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name).resolve()
        if path == GLOSSARY:
            continue  # its links lead within itself
        path.write_text(linked(path.read_text(encoding="utf-8"), path), encoding="utf-8")
