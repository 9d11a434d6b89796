"""What a format of test vectors must offer, and what it reports: the first difference between an answer and the expected one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hwsim.errors import HwsimError


class VerifyError(HwsimError):
    """A file of test vectors that cannot be used, or an engine that cannot be held to it; the text says why and what to do."""


class CaseError(VerifyError):
    """What is wrong with one case: `problems`, one sentence each ("connections[0].pool: found ..., expected ...")."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Difference:
    """The first place where an engine's answer is not the expected one.

    what       the field, e.g. "push", "activity.mult".
    position   indices within the field, () for a number.
    expected, found   JSON values; None where that side has nothing at this position.
    """

    what: str
    position: tuple[int, ...]
    expected: Any
    found: Any


class Format(ABC):
    """One format of test vectors. Stateless; `entry` is JSON, a case is whatever `read` makes of it.

    title     what its cases are called in a sentence.       engines   names of the engines that it can hold.
    """

    title: ClassVar[str]
    engines: ClassVar[tuple[str, ...]]

    @abstractmethod
    def recognises(self, document: Any) -> bool:
        """Whether a file's JSON is of this format, sound or not. At most one format recognises a document."""

    def entries(self, document: Any) -> list[tuple[str, Any]]:
        """(id, entry) of every case in file order; ids differ. This one reads a list of objects with an `id`.

        Raises VerifyError.
        """
        found: dict[str, Any] = {}
        for position, entry in enumerate(document):
            if not isinstance(entry, dict):
                raise VerifyError(f"case at position {position}: found {brief(entry)}, expected an object")
            if "id" not in entry:
                raise VerifyError(f"case at position {position}: id: missing, it must be given")
            name = entry["id"]
            if isinstance(name, bool) or not isinstance(name, int | str):
                raise VerifyError(f"case at position {position}: id: found {brief(name)}, expected an integer or a string")
            if str(name) in found:
                raise VerifyError(f"case at position {position}: id: {name!r} is used twice; ids must differ")
            found[str(name)] = entry
        return list(found.items())

    @abstractmethod
    def read(self, entry: Any) -> Any:
        """The case in `entry`, checked. Raises CaseError with all that is wrong."""

    @abstractmethod
    def compare(self, case: Any, engine: str) -> Difference | None:
        """Run a case that `read` made on one of `engines`; its first difference, or None when all is equal."""


def first_difference(expected: Mapping[str, Any], found: Mapping[str, Any], rows: frozenset[str]) -> Difference | None:
    """The first field of `expected`, in its order, that is not the same in `found`; an object's fields are named with a dot.

    Lists are entered down to the number that differs, those named in `rows` down to the row.
    """
    for name, answer in expected.items():
        if isinstance(answer, Mapping):
            inner = first_difference({f"{name}.{key}": value for key, value in answer.items()},
                                     {f"{name}.{key}": value for key, value in found[name].items()}, rows)
            if inner is not None:
                return inner
        elif answer != found[name]:
            return _located(name, answer, found[name], (), 1 if name in rows else None)
    return None


def _located(what: str, expected: Any, found: Any, position: tuple[int, ...], depth: int | None) -> Difference:
    """Where two unequal values first differ, at most `depth` lists deep."""
    if depth == 0 or not (isinstance(expected, list) and isinstance(found, list)):
        return Difference(what, position, expected, found)
    deeper = None if depth is None else depth - 1
    for index, (one, other) in enumerate(zip(expected, found, strict=False)):
        if one != other:
            return _located(what, one, other, (*position, index), deeper)
    end = min(len(expected), len(found))
    return Difference(what, (*position, end), *(side[end] if end < len(side) else None for side in (expected, found)))


def brief(value: Any) -> str:
    """A JSON value for an error's text: short, its kind visible."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
