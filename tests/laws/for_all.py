"""Laws that hold for whatever hypothesis draws; how many examples there are depends on what an example costs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

Law = Callable[..., None]


def for_all(**strategies: SearchStrategy[Any]) -> Callable[[Law], Law]:
    """Marks a method of a law class: it holds for all that the strategies draw."""
    def marked(law: Law) -> Law:
        vars(law)["strategies"] = strategies
        return law

    return marked


class Drawn:
    """A class that inherits laws marked with `for_all` asks `examples` of each."""

    examples: int = 40

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in dir(cls):
            law = getattr(cls, name)
            strategies = getattr(law, "strategies", None)
            if name.startswith("test_") and strategies:
                setattr(cls, name, _drawn(law, strategies, cls.examples))


def _drawn(law: Law, strategies: dict[str, Any], examples: int) -> Law:
    """The law as a test of its own, so that no two classes share settings."""
    inner = getattr(law, "law", law)

    @wraps(inner)
    def asked(self: Any, **drawn: Any) -> None:
        inner(self, **drawn)

    quietly = settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    test: Law = quietly(given(**strategies)(asked))
    vars(test).update(strategies=strategies, law=inner)
    return test
