"""The Python snippets of README and recipes run as they stand, from the root of the tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "docs" / "recipes.md"]
SNIPPETS = [(page.name, n, text) for page in PAGES
            for n, text in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL))]


@pytest.mark.parametrize(("page", "number", "snippet"), SNIPPETS, ids=lambda v: str(v)[:12])
def test_snippet_runs(page: str, number: int, snippet: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(ROOT))
    exec(compile(snippet, f"{page} snippet {number}", "exec"), {})


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) >= 3
