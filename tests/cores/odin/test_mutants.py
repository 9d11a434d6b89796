"""Every rule of ODIN is held by a check: break it in an engine, and a recorded case, or the other engine, differs."""

from __future__ import annotations

import inspect
import json
import re
from collections import Counter
from typing import Any

import pytest

from tests.cores.odin.engines import ENGINES
from tests.cores.odin.mutants import CAUGHT_BY, MUTANTS, RULES, Mutant, difference, in_place, plain_kernels
from tests.mutants.selection import by_default

CAUGHT: dict[str, str] = json.loads(CAUGHT_BY.read_text(encoding="utf-8"))
CHOSEN = tuple(by_default(MUTANTS, lambda mutant: (mutant.engine, mutant.rule)))
USED = {CAUGHT[mutant.id] for mutant, everyday in CHOSEN if everyday and mutant.id in CAUGHT}


@pytest.mark.parametrize("mutant", [
    pytest.param(mutant, id=mutant.id, marks=[] if everyday else pytest.mark.slow) for mutant, everyday in CHOSEN])
def test_mutant_is_caught(mutant: Mutant) -> None:
    place = CAUGHT.get(mutant.id)
    assert place is not None, f"{mutant.id}: run `python -m tests.cores.odin.mutants`; if nothing catches it, draw chips that do"
    with in_place(mutant):
        found = difference(mutant.engine, place)
    print(f"{mutant.id} | {place} | {found}")
    assert found is not None, f"{mutant.id}: {place} does not show it; run `python -m tests.cores.odin.mutants`"


def test_mutants_replace_functions_of_their_rules() -> None:
    for mutant in MUTANTS:
        original: Any = getattr(mutant.original, "fget", None) or getattr(mutant.original, "py_func", mutant.original)
        assert mutant.rule in re.findall(r"O\d", inspect.getdoc(original) or ""), mutant.id
        assert len(inspect.signature(original).parameters) == len(inspect.signature(mutant.instead).parameters), mutant.id


@pytest.mark.parametrize("engine", ENGINES)
def test_every_rule_is_broken_at_least_twice(engine: str) -> None:
    broken = Counter(mutant.rule for mutant in MUTANTS if mutant.engine == engine)
    assert set(broken) == set(RULES)
    assert min(broken.values()) >= 2
    assert len({mutant.id for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("place", [
    pytest.param(place, marks=[] if place in USED else pytest.mark.slow) for place in sorted(set(CAUGHT.values()))])
def test_unharmed_engines_agree_wherever_a_mutant_is_caught(place: str) -> None:
    """Or being caught would mean nothing. The kernels are also run as plain Python, as they are with a mutant in place."""
    assert difference("reference", place) is None
    with plain_kernels():
        assert difference("fast", place) is None


def test_an_engine_is_what_it_was_after_a_mutant() -> None:
    for mutant in MUTANTS:
        before = mutant.original
        with in_place(mutant):
            assert mutant.original is mutant.instead
        assert mutant.original is before
