"""What catches which mutant.

python -m tests.mutants                  every mutant: its rule, where it is caught, the field in which it first shows
python -m tests.mutants FIFO bypass      only mutants with one of these words in their names
python -m tests.mutants --scan 150       look through 150 places for those that are caught nowhere yet, and write them down
python -m tests.mutants --table          write tests/mutants/table.md: how many mutants each rule has
"""

from __future__ import annotations

import argparse
import time

from tests.mutants.edits import EditError
from tests.mutants.everything import MUTANTS, TABLE, check, record, scan, table
from tests.mutants.mutation import Catch, Mutant, stratum


def row(mutant: Mutant, catch: Catch | None) -> str:
    found = f"{stratum(catch.place):<34} {catch.field}" if catch else "SURVIVES"
    return f"{mutant.rule:<4} {mutant.id:<76} {found}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only mutants with one of these in their names")
    parser.add_argument("--scan", type=int, default=0, metavar="PLACES", help="look for places where the recorded one fails")
    parser.add_argument("--table", action="store_true", help="write table.md")
    given = parser.parse_args()
    if given.table:
        TABLE.write_text(table(), encoding="utf-8")
        return
    chosen = [m for m in MUTANTS if not given.words or any(word in m.id for word in given.words)]
    began, survivors = time.perf_counter(), 0
    for mutant in chosen:
        try:
            catch = check(mutant)
            if catch is None and given.scan:
                catch = scan(mutant, given.scan)
                if catch is not None:
                    record(mutant, catch)
        except EditError as error:
            print(f"DOES NOT FIT ANY MORE: {error}", flush=True)
            survivors += 1
            continue
        survivors += catch is None
        print(row(mutant, catch), flush=True)
    print(f"{len(chosen)} mutants, {survivors} survive, {time.perf_counter() - began:.0f} s")
    raise SystemExit(survivors > 0)


if __name__ == "__main__":
    main()
