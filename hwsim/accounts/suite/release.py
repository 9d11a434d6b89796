"""`python -m hwsim.accounts.suite.release FILE`: write the hashes of a new suite into its file, once.

A suite that has hashes was released and is refused, so that no released suite changes under its name.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hwsim.accounts.base import checked
from hwsim.accounts.suite.suite import HERE, Suite, SuiteError, parts
from hwsim.errors import HwsimError
from hwsim.files import whole_file
from hwsim.yaml_file import read_yaml


def release(path: Path) -> Suite:
    """The suite with its hashes, written into its file. Raises SuiteError for one that was released."""
    suite = checked(Suite, read_yaml(path))
    if suite.hashes:
        raise SuiteError(f"{path}: {suite.name} was released and never changes; copy the file, give it a new name and no hashes")
    lines = "".join(f"  {part}: {value}\n" for part, value in parts(suite).items())
    with whole_file(path) as part:
        part.write_text(f"{path.read_text().rstrip()}\nhashes:\n{lines}")
    return checked(Suite, read_yaml(path))


if __name__ == "__main__":
    try:
        made = release(HERE / sys.argv[1])
        print(f"{made.name}: {made.hash}")
    except (HwsimError, IndexError) as error:
        print(f"error: {error or 'name the file of a suite'}", file=sys.stderr)
        sys.exit(2)
