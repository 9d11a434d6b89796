"""This tree against another one: processor time of commands and of a replay, as the median of interleaved pairs.

    git worktree add --detach ../before COMMIT
    python benchmarks/pairs.py ../before [--pairs 20] [--only NAME]

Each pair runs the same work in both trees, one right after the other, and the tree that goes first changes from pair to pair.
So whatever else the machine does falls on both. Kernels are compiled before the first pair. Processor time is that of the whole
process for commands; for `replay` it is that of the simulation alone, the trace already open.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parents[1]
TRACE = "traces/fashion_mnist_bit_serial_t4.h5"
COMMAND = "from hwsim.cli import main; main()"
REPLAY = (
    "import sys, time, hwsim\n"
    "trace = hwsim.Trace.open(sys.argv[1])\n"
    "hwsim.simulate(trace, 'event_core_64', samples=2)\n"
    "begin = time.process_time()\n"
    "for _ in range(5):\n"
    "    hwsim.simulate(trace, 'event_core_64', samples=40)\n"
    "print(time.process_time() - begin)\n"
)
WORKS: dict[str, tuple[str, ...]] = {
    "hwsim --help": (COMMAND, "--help"),
    "hwsim arch show": (COMMAND, "arch", "show", "event_core_64"),
    "hwsim trace check": (COMMAND, "trace", "check", TRACE),
    "hwsim run": (COMMAND, "run", TRACE, "--arch", "event_core_64", "--samples", "10"),
    "replay": (REPLAY, TRACE),
}


def seconds(tree: Path, work: tuple[str, ...]) -> float:
    """Processor time of one run of `work` in `tree`: what it prints itself, or all of its process."""
    before = os.times()
    done = subprocess.run([sys.executable, "-c", *work], cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, check=True,
                          capture_output=True, text=True)
    after = os.times()
    if work[0] == REPLAY:
        return float(done.stdout)
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("before", type=Path, help="the root of the other tree")
    options.add_argument("--pairs", type=int, default=20)
    options.add_argument("--only", choices=WORKS, action="append", help="one of the works; repeatable")
    given = options.parse_args()
    before = given.before.resolve()
    print("| work | before, s | here, s | ratio (median of pairs) |\n|---|---|---|---|")
    for name in given.only or WORKS:
        for tree in (before, HERE):
            seconds(tree, WORKS[name])
        taken: dict[Path, list[float]] = {before: [], HERE: []}
        for pair in range(given.pairs):
            for tree in (before, HERE) if pair % 2 else (HERE, before):
                taken[tree].append(seconds(tree, WORKS[name]))
        ratio = median(new / old for old, new in zip(taken[before], taken[HERE], strict=True))
        print(f"| {name} | {median(taken[before]):.3f} | {median(taken[HERE]):.3f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
