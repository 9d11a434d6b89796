"""All mutants: where each is caught, and the table of how many each rule has.

caught_by.json holds one place for each mutant, found by `python -m tests.mutants --scan` and checked by test_mutants.py.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path

from tests.cores.odin.mutants import MUTANTS as ODIN
from tests.engine.test_chip_mutants import MUTANTS as CHIP
from tests.mutants.dataflows import DATAFLOWS
from tests.mutants.fast import FAST
from tests.mutants.hardware_arithmetic import ARITHMETIC
from tests.mutants.hardware_counts import COUNTS
from tests.mutants.hardware_dataflows import HARDWARE_DATAFLOWS
from tests.mutants.hardware_sequence import SEQUENCE
from tests.mutants.mutation import Catch, Mutant, caught, difference, places
from tests.mutants.reference import REFERENCE
from tests.mutants.selection import by_default

MUTANTS: tuple[Mutant, ...] = (*SEQUENCE, *ARITHMETIC, *COUNTS, *HARDWARE_DATAFLOWS, *REFERENCE, *FAST, *DATAFLOWS)
RECORD = Path(__file__).with_name("caught_by.json")
TABLE = Path(__file__).with_name("table.md")
TARGETS = {"rtl": "rtl", "reference": "reference", "fast": "fast", "lists": "both engines"}
"""Columns of the table."""


# -- what catches them --------------------------------------------------------------------------------------------


@cache
def recorded() -> dict[str, str]:
    return dict(json.loads(RECORD.read_text(encoding="utf-8"))) if RECORD.exists() else {}


def record(mutant: Mutant, catch: Catch) -> None:
    recorded()[mutant.id] = catch.place
    kept = {one.id: recorded()[one.id] for one in MUTANTS if one.id in recorded()}
    RECORD.write_text(json.dumps(kept, indent=0) + "\n", encoding="utf-8")


def check(mutant: Mutant) -> Catch | None:
    """What the place recorded for a mutant shows of it; None when that is nothing, or when none is recorded."""
    place = recorded().get(mutant.id)
    return None if place is None else caught(mutant, place)


def scan(mutant: Mutant, most: int) -> Catch | None:
    """The first of `most` places that catches a mutant; those that catch others of its rule are tried first."""
    made = mutant.copies()
    for place in dict.fromkeys((*_alike(mutant), *islice(places(mutant), most))):
        catch = difference(mutant.target, made, place, mutant.receiver_waits)
        if catch is not None:
            return catch
    return None


def _alike(mutant: Mutant) -> Iterator[str]:
    """Places that catch a mutant of the same name elsewhere, then those of the same rule, in the list's order.

    Runs that are fed from planes are no places for hardware: it is given tiny ones.
    """
    known = [(other, recorded()[other.id]) for other in MUTANTS if other.id in recorded() and other.judge == mutant.judge
             and (other.judge == "tokens" or (other.target == "rtl") == (mutant.target == "rtl"))]
    yield from (place for other, place in known if other.name == mutant.name)
    yield from (place for other, place in known if other.rule == mutant.rule)


# -- how many there are -------------------------------------------------------------------------------------------


def table() -> str:
    """Rules by implementation: how many mutants run by default, and how many more are marked slow."""
    counts: Counter[tuple[str, str, bool]] = Counter(
        (one.rule, one.target, everyday) for one, everyday in by_default(MUTANTS, lambda one: (one.target, one.rule)))
    counts += Counter((one.rule, one.target, everyday) for one, everyday in by_default(CHIP, lambda one: (one.target, one.rule)))
    counts += Counter((one.rule, one.engine, everyday) for one, everyday in by_default(ODIN, lambda one: (one.engine, one.rule)))
    rules = sorted({rule for rule, *_ in counts}, key=lambda rule: ("RACO".index(rule[0]), int(rule[1:])))
    lines = [
        "# Mutants of each rule", "",
        "The number that runs by default, plus the number that is marked slow. O1 to O8 are rules of ODIN. Lists (C9) are made",
        "once for both engines. Written by `python -m tests.mutants --table`.", "",
        f"| rule | {' | '.join(TARGETS.values())} |", f"|---{'|---' * len(TARGETS)}|"]
    for rule in rules:
        cells = [_cell(counts[rule, target, True], counts[rule, target, False]) for target in TARGETS]
        lines.append(f"| {' | '.join([rule, *cells])} |")
    return "\n".join(lines) + "\n"


def _cell(everyday: int, slow: int) -> str:
    return f"{everyday} + {slow}" if slow else str(everyday) if everyday else ""
