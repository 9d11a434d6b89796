"""All mutants, the design that catches each, and the table that says so.

    python -m tests.rtl.mutants               every mutant: its rule, the check that catches it, where the difference shows first
    python -m tests.rtl.mutants --scan 150    look through 150 designs for those that none is recorded for any more
    python -m tests.rtl.mutants FIFO bypass   only mutants with these words in their names

caught_by.json holds one design (a seed of tests/rtl/cases.py) a mutant. It is found by --scan and checked by test_mutants.py.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.rtl.mutants_of_hardware import HARDWARE_MUTANTS
from tests.rtl.mutants_of_models import MODEL_MUTANTS
from tests.rtl.mutation import Catch, Mutant, caught, copies, difference, edited

MUTANTS = (*HARDWARE_MUTANTS, *MODEL_MUTANTS)
RECORD = Path(__file__).with_name("caught_by.json")


@cache
def recorded() -> dict[str, int]:
    return dict(json.loads(RECORD.read_text(encoding="utf-8"))) if RECORD.exists() else {}


def check(mutant: Mutant) -> Catch | None:
    """What the design recorded for a mutant shows of it; None when that is nothing, or when none is recorded."""
    seed = recorded().get(mutant.id)
    return None if seed is None else caught(mutant, seed)


def scan(mutant: Mutant, designs: int) -> Catch | None:
    """The first design that catches a mutant; those that catch others of its rule are tried first."""
    made = copies(mutant.target, edited(mutant))
    for seed in dict.fromkeys((*alike(mutant), *range(designs))):
        catch = difference(mutant.target, made, seed, mutant.receiver_waits)
        if catch is not None:
            return catch
    return None


def alike(mutant: Mutant) -> Iterator[int]:
    """Designs that catch a mutant of the same name elsewhere, then those of the same rule, in the list's order."""
    known = [(other, recorded()[other.id]) for other in MUTANTS if other.id in recorded()]
    yield from (seed for other, seed in known if other.name == mutant.name)
    yield from (seed for other, seed in known if other.rule == mutant.rule)


def row(mutant: Mutant, catch: Catch | None) -> str:
    check_of = f"{catch.check:<46} {catch.field}" if catch else "SURVIVES"
    return f"{mutant.rule:<4} {mutant.id:<76} {check_of}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.rtl.mutants", description="Which check catches which mutant.")
    parser.add_argument("words", nargs="*", help="only mutants with one of these in their names")
    parser.add_argument("--scan", type=int, default=0, metavar="DESIGNS", help="look for designs where the recorded one fails")
    given = parser.parse_args()
    chosen = [m for m in MUTANTS if not given.words or any(word in m.id for word in given.words)]
    began, survivors = time.perf_counter(), 0
    for mutant in chosen:
        catch = check(mutant)
        if catch is None and given.scan:
            catch = scan(mutant, given.scan)
            if catch is not None:
                recorded()[mutant.id] = catch.seed
                RECORD.write_text(json.dumps({m.id: recorded()[m.id] for m in MUTANTS if m.id in recorded()}, indent=0) + "\n")
        survivors += catch is None
        print(row(mutant, catch), flush=True)
    print(f"{len(chosen)} mutants, {survivors} survive, {time.perf_counter() - began:.0f} s")
    raise SystemExit(survivors > 0)


if __name__ == "__main__":
    main()
