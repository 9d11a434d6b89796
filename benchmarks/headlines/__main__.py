"""`python -m benchmarks.headlines [--only STEP ...] [--check] [--work FOLDER] [--list]`: docs, figures and notebooks remade."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.headlines.blocks import block, write_blocks
from benchmarks.headlines.replays import ROOT, say
from benchmarks.headlines.steps import STEPS, Step
from hwsim.errors import HwsimError


def main() -> None:
    names = {step.name: step for step in STEPS}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.headlines",
                                     description="Remake all headline numbers of this tree.")
    parser.add_argument("--only", nargs="+", metavar="STEP", help="these steps; default: all but those that --list marks")
    parser.add_argument("--check", action="store_true",
                        help="write no page; say which tables are not what a step computes, and fail")
    parser.add_argument("--work", type=Path, metavar="FOLDER",
                        help="where rows of the search and of the schedules are kept, so that a stopped step goes on")
    parser.add_argument("--list", action="store_true", help="what each step writes, and how long it takes")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.only or ()) - set(names)):
        parser.error(f"--only {unknown[0]}: no such step; there are {', '.join(names)}")
    if asked.list:
        for step in STEPS:
            print(f"{step.name:10} {step.takes:>10}{'' if step.usual else ' *'}  {step.writes}")
        print("\n*: only when it is named. Times: on two shared cores, compiled kernels in the cache")
        return
    chosen = [step for step in STEPS if (step.name in asked.only if asked.only else step.usual)]
    if asked.check and (whole := [step.name for step in chosen if step.page is None]):
        if asked.only:
            parser.error(f"--check: {whole[0]} writes whole files, which are not compared; give steps that fill tables: "
                         f"{', '.join(step.name for step in STEPS if step.page)}")
        chosen = [step for step in chosen if step.page is not None]
    with tempfile.TemporaryDirectory() as nowhere:
        work = asked.work or Path(nowhere)
        work.mkdir(parents=True, exist_ok=True)
        stale = [name for step in chosen for name in run(step, work, asked.check)]
    if stale:
        sys.exit(f"headlines: not what the tree says: {', '.join(stale)}; run python -m benchmarks.headlines")


def run(step: Step, work: Path, check: bool) -> list[str]:
    """One step; with `check` the names of the tables that differ, and nothing is written into a page."""
    start = time.monotonic()
    made = step.make(work)
    stale: list[str] = []
    if step.page is not None:
        page = ROOT / step.page
        if check:
            text = page.read_text(encoding="utf-8")
            stale = [f"{step.page}: {name}" for name, found in made.items() if block(text, name, page) != found]
        else:
            write_blocks(page, made)
    say(f"{step.name}: {time.monotonic() - start:.0f} s")
    return stale


if __name__ == "__main__":
    try:
        main()
    except HwsimError as error:
        sys.exit(f"headlines: {error}")
