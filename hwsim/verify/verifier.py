"""Cases of a file against an engine, in file order, up to the first difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hwsim.errors import HwsimError
from hwsim.verify.case_file import read_document
from hwsim.verify.format import CaseError, Difference, Format, VerifyError
from hwsim.verify.formats import format_of

MAX_PROBLEMS = 20


@dataclass(frozen=True)
class Outcome:
    """What came of a file. cases: in the file; chosen: to be compared; equal: compared without a difference.

    case, difference   the id of the first case that differs and what differs; None when all chosen cases are equal.
    """

    file: str
    format: str
    engine: str
    cases: int
    chosen: int
    equal: int
    case: str | None = None
    difference: Difference | None = None

    def body(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def verify(
    path: str | Path, engine: str = "fast", *, limit: int | None = None, cases: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Hold `engine` to the test vectors in `path`.

    engine     a name that the file's format knows, e.g. fast, reference, rtl.
    cases      ids of the cases to compare (default: all); limit: at most so many of them.
    progress   called with (cases done, cases chosen).

    Raises VerifyError when the file cannot be used, when there is no such case, when the format does not know the engine, or
    when the engine refuses a case.
    """
    document = read_document(path)
    try:
        found = format_of(document)
        _check_engine(found, engine)
        entries = found.entries(document)
        chosen = _choose(entries, cases, limit)
        read = _read(found, chosen)
    except VerifyError as error:
        raise VerifyError(f"{path}: {error}") from None
    done = Outcome(str(path), found.title, engine, len(entries), len(chosen), 0)
    for number, (name, case) in enumerate(read):
        try:
            difference = found.compare(case, engine)
        except HwsimError as error:
            raise VerifyError(f"{path}: case {name}: engine {engine}: {error}") from None
        except Exception as error:
            error.add_note(f"in case {name} of {path}, engine {engine}")
            raise
        if difference is not None:
            return replace(done, equal=number, case=name, difference=difference)
        if progress:
            progress(number + 1, len(read))
    return replace(done, equal=len(read))


def _check_engine(found: Format, engine: str) -> None:
    if engine not in found.engines:
        raise VerifyError(f"{found.title} cannot hold engine {engine!r}; they hold {', '.join(found.engines)}")


def _choose(entries: list[tuple[str, Any]], cases: Sequence[str], limit: int | None) -> list[tuple[str, Any]]:
    if limit is not None and limit < 1:
        raise VerifyError(f"the limit is {limit}, expected at least 1 case")
    missing = sorted(set(cases) - {name for name, _ in entries})
    if missing:
        raise VerifyError(f"no case {', '.join(missing)}; the file has {len(entries)} cases"
                          + (f"; the first is {entries[0][0]}, the last {entries[-1][0]}" if entries else ""))
    if not entries:
        raise VerifyError("holds no cases, so nothing would be compared")
    return [(name, entry) for name, entry in entries if not cases or name in cases][:limit]


def _read(found: Format, chosen: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Every chosen case, or one error with what is wrong with all of them."""
    made: list[tuple[str, Any]] = []
    problems: list[str] = []
    for name, entry in chosen:
        try:
            made.append((name, found.read(entry)))
        except CaseError as error:
            problems += [f"case {name}: {text}" for text in error.problems]
    if problems:
        more = len(problems) - MAX_PROBLEMS
        raise VerifyError("\n  ".join([*problems[:MAX_PROBLEMS], *([f"and {more:,} more"] if more > 0 else [])]))
    return made
