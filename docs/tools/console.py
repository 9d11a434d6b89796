"""Pages whose commands are run: each block of a page whose first line begins with `$ ` is a command and what it prints.

    python -m docs.tools.console docs/first-hour-architect.md

runs the commands of a page in order in one empty folder and writes the numbers that they print now into the page. A line of
output that the page leaves out is no mistake; a line that the page shows and the command does not print is one. `...` stands for
what was left out. tests/docs/test_first_hour.py runs the same steps and compares.

A comment before a block says more of it: `<!-- slow -->`, only slow tests run it; `<!-- fails -->`, the command ends with an
error.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.calling import call

BLOCK = re.compile(r"(?:<!-- (?P<mark>[a-z ]+) -->\n)?```console\n"
                   r"\$ (?P<command>(?:[^\n]*\\\n)*[^\n]*)\n(?P<shown>.*?)```", re.DOTALL)
COLUMNS = "100"
"""Of the terminal that pages show."""
WITH_PROCESSES = ("sweep",)
"""Commands that start processes of their own: these want a program that they can start again."""


@dataclass(frozen=True)
class Step:
    """One block of a page: its command, the lines that it shows, where in the page they stand, its marks."""

    command: str
    shown: tuple[str, ...]
    span: tuple[int, int]
    marks: frozenset[str]

    def run(self, folder: Path) -> str:
        """Everything that the command prints, what it says of its work (stderr) first.

        Raises AssertionError where it ends otherwise than the page says.
        """
        words = shlex.split(self.command.replace("\\\n", " "))
        if words[0] == "hwsim" and words[1] not in WITH_PROCESSES:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("COLUMNS", COLUMNS)
                done = call(*words[1:], cwd=folder)
            code, text = done.returncode, done.stderr + done.stdout
        else:
            line = [sys.executable, "-m", *words] if words[0] == "hwsim" else ["bash", "-c", self.command]
            other = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False,
                                   env=os.environ | {"COLUMNS": COLUMNS})
            code, text = other.returncode, other.stderr + other.stdout
        assert (code != 0) == ("fails" in self.marks), f"{self.command}: exit status {code}\n{text}"
        return text


def steps(page: str) -> list[Step]:
    """The steps of a page's text, in order."""
    return [Step(block["command"], tuple(block["shown"].splitlines()), block.span("shown"),
                 frozenset((block["mark"] or "").split())) for block in BLOCK.finditer(page)]


def words_of(line: str) -> list[str]:
    """A line without its numbers and units: what stays the same when a price moves, or another machine trains a network."""
    plain = re.sub(r"[-+±~%*]|(?<!\w)\d[\d.,e]*", " ", line)
    return [word for word in plain.split() if not re.search(r"\d", word) and word not in _UNITS and set(word) != {"-"}]


_UNITS = {f"{prefix}{unit}" for prefix in ("", "p", "n", "u", "m", "k", "Ki", "Mi") for unit in ("J", "s", "W", "B")}


def renewed(step: Step, printed: str) -> list[str]:
    """The shown lines with what the command prints now. Raises AssertionError for a line of which there is no like."""
    lines = [line.rstrip() for line in printed.splitlines()]
    found, at = [], 0
    for shown in step.shown:
        if shown.strip() in ("", "..."):
            found.append(shown)
            continue
        exact = next((n for n in range(at, len(lines)) if lines[n] == shown.rstrip()), None)
        alike = (n for n in range(at, len(lines)) if words_of(lines[n]) == words_of(shown))
        like = next(alike, None) if exact is None else exact
        assert like is not None, f"{step.command}\ndoes not print\n  {shown}\nbut\n{printed}"
        found.append(lines[like])
        at = like + 1
    return found


def renew(path: Path) -> None:
    """Run a page's commands and write their numbers into it."""
    text = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        made = [(step, renewed(step, step.run(Path(folder)))) for step in steps(text)]
    for step, lines in reversed(made):
        text = text[: step.span[0]] + "".join(f"{line}\n" for line in lines) + text[step.span[1]:]
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        renew(Path(name))
