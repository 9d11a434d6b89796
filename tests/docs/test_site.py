"""The docs as a site: it builds without a warning, which is what holds its links and anchors, and it asks no other server.

Skipped without the extra `docs`. Its lists and tables are compared with what GitHub's Markdown makes of the same pages.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.pages import name_of

pytest.importorskip("mkdocs")
pytest.importorskip("material")
pytest.importorskip("nbconvert")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)], cwd=ROOT,
                          env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def pages(site: Path) -> dict[Path, str]:
    """By page of docs/, its article in the site."""
    found = {}
    for path in sorted((ROOT / "docs").rglob("*.md")):
        text = site.joinpath(path.relative_to(ROOT / "docs")).with_suffix(".html").read_text(encoding="utf-8")
        found[path] = text[text.index("<article"):text.index("</article>")]
    return found


@pytest.mark.slow
def test_no_page_asks_another_server(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=[\"']?(https?:[^\"' >]+)", text)
        loaded += re.findall(r"<link[^>]*\shref=[\"']?(https?:[^\"' >]+)", text)
        assert not loaded, f"{path.relative_to(site)} loads {loaded[0]}"


@pytest.mark.slow
def test_what_stands_outside_of_docs_is_in_the_site(site: Path) -> None:
    for name in ("index.html", "CHANGELOG.html", "traces/index.html", "tests/mutants/table.html",
                 "notebooks/01_replay_and_compare.html", "examples/own_network.py"):
        assert (site / name).is_file(), name
    start = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="own-network.html"' in start
    assert "docs/own-network" not in re.sub(r"<code.*?</code>", "", start, flags=re.DOTALL)


@pytest.mark.slow
def test_lists_and_tables_are_those_of_github(site: Path) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    github = markdown_it.MarkdownIt("commonmark").enable("table")
    wrong = [name_of(path) for path, html in pages(site).items()
             if outline(html) != outline(github.render(path.read_text(encoding="utf-8")))]
    assert not wrong


def outline(html: str) -> list[tuple[str, int]]:
    """Every item with the depth of its list, every table."""
    found: list[tuple[str, int]] = []

    class Reader(HTMLParser):
        depth = 0

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.depth += tag in ("ul", "ol")
            if tag in ("li", "table"):
                found.append((tag, self.depth))

        def handle_endtag(self, tag: str) -> None:
            self.depth -= tag in ("ul", "ol")

    Reader().feed(html)
    return found
