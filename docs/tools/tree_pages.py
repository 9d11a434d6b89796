"""A hook of mkdocs: pages and files of the tree outside docs/ become part of the site, and links to them lead there.

On GitHub a page of docs/ links `../traces/README.md`. mkdocs knows the files of docs/ only. So whatever such a link leads to is
taken into the site at its path from the root, with what it links in turn. README.md becomes the start page. A notebook becomes a
page with its outputs. No page is written twice, and none is changed on disk.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
START = "index.md"
LINK = re.compile(r"```.*?```|(?P<text>!?\[[^\[\]]*\]\()(?P<place>[^()\s#]*)(?P<anchor>#[^()\s]*)?\)|`[^`\n]+`", re.DOTALL)
"""A link; or code, in which there are none: then `text` is None."""
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)

places: dict[Path, str] = {}
"""By file of the tree: its path in the site's sources."""
origins: dict[str, Path] = {}
"""By path in the site's sources: the file of the tree."""


def on_files(files: Files, config: Any) -> Files:
    """Add what pages link outside of docs/, and what that links in turn."""
    places.clear()
    origins.clear()
    docs = Path(config["docs_dir"]).resolve()
    waiting = [ROOT / "README.md"]
    for file in files:
        if file.abs_src_path:
            _place(Path(file.abs_src_path).resolve(), file.src_uri)
            if file.src_uri.endswith(".md"):
                waiting.append(Path(file.abs_src_path).resolve())
    seen: set[Path] = set()
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        for found in _targets(page):
            if found not in places and docs not in found.parents:
                _add(found, files, config)
            if found.suffix == ".md":
                waiting.append(found)
    return files


def on_page_read_source(page: Any, config: Any) -> str | None:
    """A notebook's text as Markdown; None for every other page, which mkdocs reads itself."""
    origin = origins[page.file.src_uri]
    return _notebook(origin)[0] if origin.suffix == ".ipynb" else None


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links as mkdocs wants them: relative to where pages stand in the site. Comments go: behind one, no table begins."""
    origin, here = origins[page.file.src_uri], posixpath.dirname(page.file.src_uri)

    def moved(link: re.Match[str]) -> str:
        target = _target(origin, link)
        if target not in places:
            return link[0]
        return f"{link['text']}{posixpath.relpath(places[target], here or '.')}{link['anchor'] or ''})"

    return LINK.sub(moved, COMMENT.sub("", markdown))


def _place(path: Path, uri: str) -> None:
    places[path] = uri
    origins[uri] = path


def _target(page: Path, link: re.Match[str]) -> Path | None:
    """The file that a link of a page leads to; None for code, for other places of the page, and for the rest of the world."""
    place = link["place"]
    return (page.parent / place).resolve() if place and ":" not in place else None


def _targets(page: Path) -> list[Path]:
    """The page, and the files of the tree that it links."""
    found = [page, *(_target(page, link) for link in LINK.finditer(page.read_text(encoding="utf-8")))]
    return [path for path in found if path and path.is_file() and ROOT in path.parents]


def _add(path: Path, files: Files, config: Any) -> None:
    """Take one file into the site."""
    uri = START if path == ROOT / "README.md" else path.relative_to(ROOT).as_posix()
    if path.suffix != ".ipynb":
        _place(path, uri)
        files.append(File.generated(config, uri, abs_src_path=str(path)))
        return
    uri = uri.removesuffix(".ipynb") + ".md"
    _place(path, uri)
    text, pictures = _notebook(path)
    files.append(File.generated(config, uri, content=text))
    for name, content in pictures.items():
        files.append(File.generated(config, posixpath.join(posixpath.dirname(uri), name), content=content))


def _notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by name."""
    from nbconvert import MarkdownExporter

    text, resources = MarkdownExporter().from_filename(
        str(path), resources={"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"})
    return text, resources["outputs"]
