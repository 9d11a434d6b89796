"""`python -m benchmarks.pilotnet [FOLDER] [--write]`: the tables of docs/loihi2.md, computed from lava-dl's files."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks.headlines.blocks import write_blocks
from benchmarks.pilotnet.page import tables
from hwsim.errors import HwsimError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "loihi2.md"
VARIABLE = "HWSIM_PILOTNET"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pilotnet",
                                     description="PilotNet on Loihi 2: what was measured beside what hwsim computes.")
    parser.add_argument("folder", nargs="?", default=os.environ.get(VARIABLE),
                        help=f"with network.net and recorded.npz; left out, what {VARIABLE} names (docs/capture.md)")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/loihi2.md")
    asked = parser.parse_args(arguments)
    if not asked.folder:
        parser.error(f"no folder: give the one with lava-dl's PilotNet, or name it in {VARIABLE} (docs/capture.md, From lava-dl)")
    try:
        found = tables(asked.folder)
    except HwsimError as error:
        sys.exit(f"pilotnet: {error}")
    if asked.write:
        write_blocks(PAGE, found)
    for name, text in found.items():
        print(f"{name}\n\n{text}\n")


if __name__ == "__main__":
    main()
