"""This tree against another one: processor time of commands and of a replay, as the median of interleaved pairs.

    git worktree add --detach ../before COMMIT
    python benchmarks/pairs.py ../before [--pairs 20] [--only NAME]

Each pair runs the same work in both trees, one right after the other, and the tree that goes first changes from pair to pair.
So whatever else the machine does falls on both. Kernels are compiled before the first pair. Processor time is that of the whole
process for commands; `replay` is one simulation in a process of each tree that stays, the trace open and the kernels loaded.
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
    "for _ in sys.stdin:\n"
    "    begin = time.process_time()\n"
    "    hwsim.simulate(trace, 'event_core_64', samples=40)\n"
    "    print(time.process_time() - begin, flush=True)\n"
)
WORKS: dict[str, tuple[str, ...]] = {
    "hwsim --help": (COMMAND, "--help"),
    "hwsim arch show": (COMMAND, "arch", "show", "event_core_64"),
    "hwsim trace check": (COMMAND, "trace", "check", TRACE),
    "hwsim run": (COMMAND, "run", TRACE, "--arch", "event_core_64", "--samples", "10"),
    "replay": (REPLAY, TRACE),
}


class Tree:
    """One of both trees, and the process in it that replays."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.replayer: subprocess.Popen[str] | None = None

    def start(self, work: tuple[str, ...]) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", *work], cwd=self.root, env=os.environ | {"PYTHONPATH": str(self.root)},
                                text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def seconds(self, name: str) -> float:
        """Processor time of one run of a work."""
        if name == "replay":
            self.replayer = self.replayer or self.start(WORKS[name])
            print(file=self.replayer.stdin, flush=True)
            return float(self.replayer.stdout.readline())
        before = os.times()
        done = self.start(WORKS[name])
        done.communicate()
        after = os.times()
        if done.returncode:
            raise SystemExit(f"{self.root}: {name} ended with {done.returncode}")
        return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("before", type=Path, help="the root of the other tree")
    options.add_argument("--pairs", type=int, default=20)
    options.add_argument("--only", choices=WORKS, action="append", help="one of the works; repeatable")
    given = options.parse_args()
    trees = Tree(given.before.resolve()), Tree(HERE)
    print("| work | before, s | here, s | ratio (median of pairs) |\n|---|---|---|---|")
    for name in given.only or WORKS:
        for tree in trees:
            tree.seconds(name)
        pairs = []
        for pair in range(given.pairs):
            found = {tree: tree.seconds(name) for tree in (trees if pair % 2 else trees[::-1])}
            pairs.append([found[tree] for tree in trees])
        before, here = (median(column) for column in zip(*pairs, strict=True))
        print(f"| {name} | {before:.3f} | {here:.3f} | {median(new / old for old, new in pairs):.2f} |", flush=True)


if __name__ == "__main__":
    main()
