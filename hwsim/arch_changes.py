"""Fields of a design by their dotted names, as plain data has them: `core.lanes`, `memories.weight`, `cores.0.core.lanes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from hwsim.errors import HwsimError, shown


class FieldNameError(HwsimError):
    """A dotted name that leads nowhere; the text says how far it led, and what is there."""


def changed(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of plain data with other values in some fields. Raises FieldNameError where a field lies within a plain value."""
    data: dict[str, Any] = deepcopy(dict(base))
    for name, value in changes.items():
        *outer, last = name.split(".")
        at: Any = data
        for done, part in enumerate(outer):
            at = _within(at, part, name, outer[:done])
        _within(at, last, name, outer)
        at[int(last) if isinstance(at, list) else last] = value
    return data


def _within(at: Any, part: str, name: str, before: Sequence[str]) -> Any:
    """What stands at `part` of a mapping or list; a mapping that is not there yet is begun."""
    if isinstance(at, dict):
        return at.setdefault(part, {})
    if isinstance(at, list) and part.isdecimal() and int(part) < len(at):
        return at[int(part)]
    place = ".".join(before) or "the top"
    found = f"a list of {len(at)}" if isinstance(at, list) else shown(at)
    raise FieldNameError(f"{name}: found {found} at {place}, expected {part!r} in it; set {place} as a whole")
