"""Which mutants run by default: the first of each rule and implementation. The others are marked slow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
BY_DEFAULT = 1


def by_default(mutants: Iterable[T], group: Callable[[T], object]) -> Iterator[tuple[T, bool]]:
    """Each mutant, and whether it is one of the first BY_DEFAULT of its group."""
    seen: Counter[object] = Counter()
    for one in mutants:
        seen[group(one)] += 1
        yield one, seen[group(one)] <= BY_DEFAULT
