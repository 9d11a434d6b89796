"""Commands called in the tests' own process: starting another one takes longer than most commands."""

from __future__ import annotations

import io
import json
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hwsim.cli import main


@dataclass(frozen=True)
class Called:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def call(*arguments: object, cwd: Path | None = None) -> Called:
    """`hwsim ARGUMENTS`, in the folder `cwd`."""
    code, out, err = 0, io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), chdir(cwd or Path.cwd()), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["hwsim", *map(str, arguments)])
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
    return Called(code, out.getvalue(), err.getvalue())


def answer(*arguments: object, cwd: Path | None = None) -> Any:
    done = call(*arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
