"""Answers about a design, kept: prices, leakage, area and clock are asked for many times of one design, and follow from it alone.

Designs are told apart by all that they hold, never by which object they are. Tables of prices are read once in a process
(hwsim/cost/technology), so an answer that is kept is the answer that would be found again. What is returned belongs to all who
ask: nobody changes it. Errors are not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from hwsim.arch import Architecture

MOST = 64
"""Answers that each function keeps, those asked for last."""

P = ParamSpec("P")
T = TypeVar("T")
_EVERY: list[Callable[[], None]] = []


class _Design:
    """A design that equals every other one of the same content; it cannot be hashed itself, since it holds mappings."""

    __slots__ = ("arch", "content")

    def __init__(self, arch: Architecture) -> None:
        self.arch, self.content = arch, arch.model_dump_json()

    def __hash__(self) -> int:
        return hash(self.content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Design) and self.content == other.content


def kept(function: Callable[Concatenate[Architecture, P], T]) -> Callable[Concatenate[Architecture, P], T]:
    """`function` of a design and of what has a hash, or is a collection of names, with its last answers kept."""

    @lru_cache(MOST)
    def answer(design: _Design, *more: Any, **named: Any) -> T:
        return function(design.arch, *more, **named)

    @wraps(function)
    def found(arch: Architecture, *more: P.args, **named: P.kwargs) -> T:
        return answer(_Design(arch), *map(_plain, more), **{name: _plain(value) for name, value in named.items()})

    _EVERY.append(answer.cache_clear)
    return found


def forget() -> None:
    """Drop all answers: for tests that change what an answer is made of."""
    for clear in _EVERY:
        clear()


def _plain(value: Any) -> Hashable:
    return frozenset(value) if isinstance(value, Collection) and not isinstance(value, str | tuple) else value
