"""The table of rooms in CONTRIBUTING.md: it has every room of the house in the order of the floors, and what each may import.

What imports what, and which floor a room stands on, is tests/test_house.py's to say; imports for type checkers count as there.
"""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.conftest import ROOT
from tests.test_house import FLOORS, imports, tree
from tests.test_house import ROOT as PACKAGE

NAMES = [name for names in FLOORS for name in names if name != "__main__"]


def shown(name: str) -> str:
    """A room of FLOORS as the table writes it: `snn/`, `arch`; `cores/` for what kinds share, `cores/KIND/` for a kind."""
    first, _, rest = name.partition(".")
    if rest and (PACKAGE / first / rest).is_dir():
        return f"{first}/KIND/"
    if rest and not any({first, name} <= set(floor) for floor in FLOORS):
        return f"{first}/{rest}"
    return f"{first}/" if (PACKAGE / first).is_dir() else first


def room_of(module: str) -> str:
    parts = module.split(".")
    return shown(next(name for end in range(len(parts), 0, -1) if (name := ".".join(parts[:end])) in NAMES))


@cache
def table() -> dict[str, frozenset[str]]:
    """By room, in the order of the table: the rooms that it may import. Rooms of one row may import each other."""
    allowed: dict[str, frozenset[str]] = {}
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for left, right in re.findall(r"^\| (`[^|]+) \| [^|]+ \| ([^|]+) \|$", text, flags=re.MULTILINE):
        rooms = re.findall(r"`([^`]+)`", left)
        named = {*rooms, *re.findall(r"`([^`]+)`", right)}
        named |= set(map(shown, FLOORS[0])) if "ground floor" in right else set()
        named |= set(allowed) if "all above" in right else set()
        allowed |= dict.fromkeys(rooms, frozenset(named))
    return allowed


def test_the_table_has_every_room_in_the_order_of_the_floors() -> None:
    assert list(table()) == list(dict.fromkeys(map(shown, NAMES)))


def test_a_row_names_rooms_that_stand_above_it() -> None:
    order = list(table())
    for room, allowed in table().items():
        row = {name for name in order if table()[name] == allowed}
        assert allowed <= {*order[: order.index(room)], *row}, f"{room} lists rooms that are not above it"


@pytest.mark.parametrize("room", table())
def test_a_room_imports_what_its_row_allows(room: str) -> None:
    wrong = [f"hwsim.{found.by} imports hwsim.{found.name}" for found in imports()
             if found.by not in ("", "__main__") and found.name in tree() and found.name and room_of(found.by) == room
             and room_of(found.name) not in table()[room]]
    assert not wrong, "\n".join(wrong)
