"""The table of rooms in CONTRIBUTING.md: every room is in it, and imports only what its row allows, which stands above it.

Imports for annotations alone (`if TYPE_CHECKING`) and of the package itself (`hwsim.__version__`) are free.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "hwsim"
FRONT = {"__init__", "__main__"}
"""The package's own face; it names homes and imports nothing."""


@cache
def table() -> dict[str, frozenset[str]]:
    """By room, in the order of the table: the rooms that it may import. Rooms of one row may import each other."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    allowed: dict[str, frozenset[str]] = {}
    ground: set[str] = set()
    for left, right in re.findall(r"^\| (`[^|]+) \| [^|]+ \| ([^|]+) \|$", text, flags=re.MULTILINE):
        rooms = re.findall(r"`([^`]+)`", left)
        ground = ground or set(rooms)
        right, _, barred = right.partition("except")
        named = {*rooms, *re.findall(r"`([^`]+)`", right)}
        named |= ground if "ground floor" in right else set()
        named |= set(allowed) if "all above" in right else set()
        allowed |= dict.fromkeys(rooms, frozenset(named - set(re.findall(r"`([^`]+)`", barred))))
    return allowed


def room_of(module: str) -> str:
    """`snn/`, `arch`, `cores/` for what kinds of cores share and `cores/KIND/` for a kind."""
    first, *rest = module.split(".")[1:]
    if not (PACKAGE / first).is_dir():
        return first
    return "cores/KIND/" if first == "cores" and rest and (PACKAGE / first / rest[0]).is_dir() else f"{first}/"


def modules() -> dict[str, Path]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths
            if path.parent != PACKAGE or path.stem not in FRONT}


def imported(path: Path) -> set[str]:
    """Modules of hwsim that a file imports anywhere, annotations left out."""
    known = modules()
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.ImportFrom) and node.module:
            found.update(name if (name := f"{node.module}.{alias.name}") in known else node.module for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        for child in ast.iter_child_nodes(node):
            walk(child)

    walk(ast.parse(path.read_text()))
    return found & set(known)


def test_every_room_is_in_the_table() -> None:
    assert {room_of(module) for module in modules()} == set(table())


def test_rows_name_rooms_that_stand_above_them() -> None:
    order = list(table())
    for room, allowed in table().items():
        assert allowed <= set(order), allowed - set(order)
        lower = {name for name in allowed if order.index(name) > order.index(room) and table()[name] != allowed}
        assert not lower, f"{room} lists {lower}, which stand below it"


@pytest.mark.parametrize("room", table())
def test_a_room_imports_what_its_row_allows(room: str) -> None:
    wrong = [f"{module} imports {name}" for module, path in modules().items() if room_of(module) == room
             for name in sorted(imported(path)) if room_of(name) not in table()[room]]
    assert not wrong, "\n".join(wrong)

