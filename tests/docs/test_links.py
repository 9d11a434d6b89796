"""Links of the Markdown files lead somewhere, and paths and modules that texts name are there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.pages import FOLDERS, anchors, links, name_of, pages

NAMED = re.compile(rf"(?<![\w/.])(?:{'|'.join(FOLDERS)})/[\w./-]*\w/?")
"""A path from the root of the tree, in a text or a docstring."""
BLANKS = re.compile(r"\b(?:NAME|KIND|FILE|FOLDER|GROUP|METHOD)")
"""Words that a reader fills in."""


def test_the_pages_are_found() -> None:
    found = {name_of(path) for path in pages()}
    assert {"README.md", "docs/glossary.md", "docs/formats/trace.md", "traces/README.md", "tests/data/odin_cases.md"} <= found


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_relative_links_resolve(page: Path) -> None:
    wrong = []
    for link in links(page):
        if link.target is None:
            continue
        where = f"{name_of(page)}:{link.line}: [{link.text}]"
        if not link.target.exists():
            wrong.append(f"{where}: no file {link.target}")
        elif ROOT not in (link.target, *link.target.parents):
            wrong.append(f"{where}: {link.target} is not in the tree")
        elif link.anchor and link.anchor not in anchors(link.target):
            wrong.append(f"{where}: {link.target.name} has no heading #{link.anchor}")
    assert not wrong, "\n".join(wrong)


def test_paths_that_texts_name_are_there() -> None:
    """In pages and in the modules of hwsim, docstrings and comments included."""
    texts = [*pages(), *sorted((ROOT / "hwsim").rglob("*.py"))]
    wrong = [f"{name_of(path)}: {named}" for path in texts for named in sorted(set(NAMED.findall(path.read_text())))
             if not BLANKS.search(named) and not (ROOT / named).exists()]
    assert not wrong, "\n".join(wrong)


def flaw(named: str) -> str:
    """Why `hwsim.a.b` is neither a module nor something in one; empty when it is, or when an optional package is missing."""
    parts = named.split(".")
    size = max(n for n in range(1, len(parts) + 1) if _is_module(parts[:n]))
    if size == len(parts):
        return ""
    try:
        found = import_module(".".join(parts[:size]))
    except ModuleNotFoundError as error:
        return str(error) if (error.name or "").startswith("hwsim") else ""
    for part in parts[size:]:
        if not hasattr(found, part):
            return f"{found} has no {part}"
        found = getattr(found, part)
    return ""


def _is_module(parts: list[str]) -> bool:
    path = ROOT.joinpath(*parts)
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_names_of_the_package_that_texts_use_are_there() -> None:
    """In pages, and in docstrings and comments of hwsim."""
    wrong = []
    for path in (*pages(), *sorted((ROOT / "hwsim").rglob("*.py"))):
        text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith(("from ", "import ")))
        for named in sorted(set(re.findall(r"\bhwsim(?:\.[A-Za-z_]\w*)+", text))):
            if reason := flaw(named):
                wrong.append(f"{name_of(path)}: {named}: {reason}")
    assert not wrong, "\n".join(wrong)
