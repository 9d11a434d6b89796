"""The shipped vectors as JSON, for tests that change them, and `python -m hwsim.verify` within this process."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hwsim.verify.case_file import read_document
from hwsim.verify.command import main
from tests.engine.core_cases import PATH

Entry = dict[str, Any]


@cache
def _shipped() -> list[Entry]:
    return read_document(PATH)


def shipped() -> Iterator[Entry]:
    """Every shipped case, to be changed at will. A copy takes its time, so each is made when it is asked for."""
    return map(copy.deepcopy, _shipped())


def one_case(wanted: Callable[[Entry], bool] = lambda case: True, **fields: Any) -> Entry:
    """The first shipped case that is wanted and has these fields."""
    return copy.deepcopy(next(
        c for c in _shipped() if wanted(c) and all(c[name] == value for name, value in fields.items())))


def written(folder: Path, document: Any, name: str = "cases.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(document))
    return path


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit status of `python -m hwsim.verify ARGUMENTS`."""
    monkeypatch.setattr("sys.argv", ["verify", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)
