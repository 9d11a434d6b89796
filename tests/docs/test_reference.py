"""The pages of docs/reference are what the code says, and nothing of it is left out."""

from __future__ import annotations

import pytest

import hwsim
from docs.tools.glossary_links import linked
from docs.tools.reference import FOLDER, PAGES, page
from hwsim import __version__
from hwsim.arch_schema import architecture_schema
from hwsim.cli import COMMANDS
from hwsim.result_file import FORMAT as RESULT_FORMAT
from hwsim.task import MODEL_VERSION
from hwsim.trace.schema import FORMAT_VERSION as TRACE_VERSION
from tests.docs.pages import LINK


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == page(name), "run python -m docs.tools.reference"


def test_every_command_name_and_field_has_its_place() -> None:
    commands, names, fields = ((FOLDER / name).read_text(encoding="utf-8") for name in PAGES)
    assert all(f"\n## hwsim {name}\n" in commands for name in COMMANDS)
    public = [name for name in hwsim.__all__ if not name.startswith("__")]
    assert not [name for name in public if not {f"### {name}()", f"### class {name}", f"| `{name}` |"} & lines(names)]
    named = {field for body in architecture_schema()["$defs"].values() for field in body.get("properties", {})}
    assert not [field for field in named if f"| `{field}` |" not in fields]


def lines(text: str) -> set[str]:
    """Lines, and the first cells of rows."""
    return {*text.splitlines(), *(f"{line.split(' |')[0]} |" for line in text.splitlines() if line.startswith("| "))}


def test_the_page_on_versions_has_those_of_the_code() -> None:
    page = LINK.sub(r"\1", (FOLDER.parent / "versions.md").read_text(encoding="utf-8"))
    for value, place in ((__version__, "package"), (f'"{MODEL_VERSION}"', "model"), (RESULT_FORMAT, "result format"),
                         (TRACE_VERSION, "trace format")):
        assert f"| {place} | `{value}` |" in page, (place, value)


def test_glossary_links_are_mended() -> None:
    """One is missing, one comes twice, one comes too late."""
    where = FOLDER.parent / "page.md"
    text = "A trace.\n`trace`\n[Lanes](glossary.md#lane) and [lanes](glossary.md#lane).\nA tile\n\na [tile](glossary.md#tile).\n"
    mended = ("A [trace](glossary.md#trace).\n`trace`\n[Lanes](glossary.md#lane) and lanes.\nA [tile](glossary.md#tile)\n\n"
              "a tile.\n")
    assert linked(text, where) == mended
    assert linked(mended, where) == mended
