"""Answers about a design, kept: its logic, prices, leakage and area are asked for many times, and follow from it alone.

Designs are told apart by all that they hold, never by which object they are. Tables of prices are read once in a process
(hwsim/cost/technology), so an answer that is kept is the answer that would be found again. What is returned belongs to all who
ask: nobody changes it. Errors are not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from hwsim.fields import Fields

MOST = 64
"""Answers that each function keeps, those asked for last."""

D = TypeVar("D", bound=Fields)
P = ParamSpec("P")
T = TypeVar("T")
_EVERY: list[Callable[[], None]] = []


class _Design:
    """A design that equals every other one of the same content; it cannot be hashed itself, since it holds mappings."""

    __slots__ = ("content", "design")

    def __init__(self, design: Fields) -> None:
        self.design, self.content = design, (type(design), design.model_dump_json())

    def __hash__(self) -> int:
        return hash(self.content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Design) and self.content == other.content


def kept(function: Callable[Concatenate[D, P], T]) -> Callable[Concatenate[D, P], T]:
    """`function` of a chip or a core, and of what has a hash or is a collection of names, with its last answers kept."""

    @lru_cache(MOST)
    def answer(one: _Design, *more: Any, **named: Any) -> T:
        return function(one.design, *more, **named)  # type: ignore[arg-type]

    @wraps(function)
    def found(design: D, *more: P.args, **named: P.kwargs) -> T:
        return answer(_Design(design), *map(_plain, more), **{name: _plain(value) for name, value in named.items()})

    _EVERY.append(answer.cache_clear)
    return found


def forget() -> None:
    """Drop all answers: for tests that change what an answer is made of."""
    for clear in _EVERY:
        clear()


def _plain(value: Any) -> Hashable:
    return frozenset(value) if isinstance(value, Collection) and not isinstance(value, str | tuple) else value
