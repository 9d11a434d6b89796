"""Glossary links at the first use of each term, as tests/docs/test_glossary.py asks of every page of docs/.

    python -m docs.tools.glossary_links docs/PAGE.md

adds those that a page lacks; generated pages (docs/tools/reference.py) get theirs in the same way.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from tests.docs.pages import LINK, prose
from tests.docs.test_glossary import EVERYDAY, GLOSSARY, TERMS, anchor


def linked(text: str, page: Path) -> str:
    """`text` of the page with a link at the first use of every term that is neither linked yet nor an everyday word.

    Looked at is what is neither code, nor heading, nor link; `page` is where the text will stand.
    """
    glossary = os.path.relpath(GLOSSARY, page.parent)
    for term in sorted(set(TERMS) - EVERYDAY, key=len, reverse=True):
        if f"{glossary}#{anchor(term)})" in text:
            continue
        plain = LINK.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), prose(text))
        words = r"\s".join(term.split())
        used = re.search(rf"(?<![\w/-]){words}(?:e?s)?(?![\w-])", plain, 0 if term.isupper() else re.IGNORECASE)
        if used:
            text = f"{text[:used.start()]}[{used.group()}]({glossary}#{anchor(term)}){text[used.end():]}"
    return text


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name).resolve()
        path.write_text(linked(path.read_text(encoding="utf-8"), path), encoding="utf-8")
