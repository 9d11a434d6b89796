"""Pages of docs/reference, made from what the code says: the command line, the Python names, the fields of design files.

    python -m docs.tools.reference            writes them
    python -m docs.tools.reference --check    says which ones differ, and writes nothing

Nothing on these pages is written by hand. tests/docs/test_reference.py holds the committed ones to what this makes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from docs.tools.glossary_links import linked
from docs.tools.reference_api import api_page
from docs.tools.reference_cli import cli_page
from docs.tools.reference_fields import fields_page

FOLDER = Path(__file__).resolve().parents[1] / "reference"
PAGES: dict[str, Callable[[], str]] = {"cli.md": cli_page, "api.md": api_page, "design-files.md": fields_page}
NOTE = "<!-- Made by `python -m docs.tools.reference`. Change the code, not this page. -->\n\n"


def page(name: str) -> str:
    """The text of one page of PAGES."""
    return linked(NOTE + PAGES[name](), FOLDER / name)


def main() -> int:
    checks, wrong = sys.argv[1:] == ["--check"], []
    for name in PAGES:
        path, text = FOLDER / name, page(name)
        if checks and (not path.is_file() or path.read_text(encoding="utf-8") != text):
            wrong.append(f"docs/reference/{name} is not what the code says; run python -m docs.tools.reference")
        elif not checks:
            path.write_text(text, encoding="utf-8")
    print("\n".join(wrong) or f"{len(PAGES)} pages {'are up to date' if checks else 'written'}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
