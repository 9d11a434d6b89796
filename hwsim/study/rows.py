"""The rows of a study on disk: `rows.jsonl` in its folder, one JSON object per line, whole or not at all.

A killed study goes on where it stopped: a line that was cut off is no row, and its point runs again. An Index remembers where a
row lies, so that a study of any length is gone on with in little memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

from hwsim.files import append_lines, open_regular
from hwsim.study.point import Row, StudyError
from hwsim.study.proof import Proof, proof_of

ROWS = "rows.jsonl"
HELD_S = 0.5
"""Seconds that a row may wait before it is on the disk; a kill loses no more."""
BEGINNING = b'{"key": "'
"""Of every row, and so of every line that a kill cut off."""
SUMMARY = ("task", "samples", "cycles", "energy_pj", "run_id")
"""What a row has at least, of whatever model version, unless it has an `error`."""


def read_rows(folder: str | Path) -> list[Row]:
    """All rows of a study's folder in the order in which they were made, of any model version; none where there is no file.

    A line that a killed process left unfinished is no row. Raises StudyError for a file that is not a study's, or cannot be
    read.
    """
    return [row for _, row in each_row(folder)]


def each_row(folder: str | Path) -> Iterator[tuple[int, Row]]:
    """The rows of `read_rows` one by one, each with the byte at which its line begins. Raises StudyError as it does."""
    path = Path(folder) / ROWS
    try:
        with open_regular(path) as file:
            at = 0
            for number, line in enumerate(file, 1):
                if (row := _row_of(path, number, line.removesuffix(b"\n"))) is not None:
                    yield at, row
                at += len(line)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StudyError(f"{path}: cannot be read as rows of a study ({error.strerror}); name another folder") from None


def _row_of(path: Path, number: int, line: bytes) -> Row | None:
    """The row of a line; None where a kill cut it off. Raises StudyError for what is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        if line.startswith(BEGINNING) or BEGINNING.startswith(line):
            return None  # its point runs again
        row = line.decode(errors="replace")
    if wrong := _no_row(row):
        raise StudyError(f"{path}:{number}: found {str(row)[:60]!r}, expected a row of a study {wrong}; name another folder, "
                         "or delete the line")
    return dict(row)


def _no_row(row: Any) -> str:
    """What a line lacks to be a row; empty when it lacks nothing."""
    if not isinstance(row, dict) or not isinstance(row.get("key"), str):
        return "with its key"
    if isinstance(row.get("error"), str):
        return ""
    lacking = [name for name in SUMMARY if name not in row]
    return f"with an error, or with {', '.join(lacking)}" if lacking else ""


class Index:
    """The rows without an error that a folder has: where each lies, and what they prove of the arithmetic of others.

    keys    by the hash of a Task, the keys of its rows.
    """

    def __init__(self, folder: str | Path) -> None:
        self._path, self._at = Path(folder) / ROWS, dict[str, int]()
        self.keys: dict[str, set[str]] = {}
        self.proofs: list[Proof] = []
        for at, row in each_row(folder):
            if "error" in row:
                continue
            self._at[row["key"]] = at
            self.keys.setdefault(row["task"], set()).add(row["key"])
            if (proof := proof_of(row)) is not None:
                self.proofs.append(proof)

    def row(self, key: str) -> Row:
        """The row of a key that is there."""
        with self._path.open("rb") as file:
            file.seek(self._at[key])
            return dict(json.loads(file.readline()))


class Buffered:
    """Rows on their way to the file: those of HELD_S seconds are written at once, since each write waits for the disk."""

    def __init__(self, folder: str | Path) -> None:
        self._folder, self._rows, self._since = folder, list[Row](), monotonic()

    def __enter__(self) -> Buffered:
        return self

    def append(self, rows: Iterable[Row]) -> None:
        self._rows += rows
        if monotonic() - self._since > HELD_S:
            self._write()

    def _write(self) -> None:
        append(self._folder, self._rows)
        self._rows, self._since = [], monotonic()

    def __exit__(self, *_: object) -> None:
        self._write()


def append(folder: str | Path, rows: list[Row]) -> None:
    """Each row as one line, whole, and on the disk when this returns."""
    if not rows:
        return
    path = Path(folder) / ROWS
    try:
        append_lines(path, (json.dumps(row, allow_nan=False).encode() for row in rows))
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror}); rows made before are kept") from None
