"""`python -m tests.faults COUNT [NAME ...]`: COUNT cases of every fuzzer, and their verdicts as docs/reliability.md has them."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.faults.fuzzers import FUZZERS
from tests.faults.worker import VERDICTS, run_cases


def main() -> None:
    count, names = int(sys.argv[1]), sys.argv[2:] or list(FUZZERS)
    print(f"| fuzzer | cases | {' | '.join(VERDICTS)} |\n|---|{'---|' * (1 + len(VERDICTS))}", flush=True)
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            found = run_cases(FUZZERS[name](Path(folder)), count, seed=2)
        print(f"| {name} | {count:,} | {' | '.join(f'{found[verdict]:,}' for verdict in VERDICTS)} |", flush=True)


if __name__ == "__main__":
    main()
