"""What several commands share: option types, JSON, tables, progress on stderr, prices from the command line."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hwsim.cost.energy import parse_overrides
from hwsim.errors import HwsimError, shown

LEAST_WRAPPED = 24
"""Characters of a wrapped column, however narrow the terminal is."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
PriceOption = Annotated[
    list[str] | None, typer.Option("--price", metavar="NAME=PJ", help=(
        "Override a price, e.g. acc_add=0.05, or a group by a factor, e.g. 'membrane_*=x0.5'; repeatable, the later wins."))]
LeakOption = Annotated[
    bool, typer.Option("--leak-unused", help="Memories that a trace does not use leak and take area; else they are off.")]
RateOption = Annotated[
    float | None, typer.Option("--rate", metavar="HZ", help="Samples per second to show beside full speed (default: 30).")]
PricesOption = Annotated[
    str | None, typer.Option("--prices", metavar="FILE", help="YAML file with prices by event, e.g. 'cmp: 0.02'.")]


class Width(StrEnum):
    """The words of --width, as hwsim.view.width has them."""

    screen = "screen"
    page = "page"
    column = "column"


WidthOption = Annotated[Width, typer.Option("--width", help=(
    "For a screen (292 mm), a paper's page (182 mm) or its column (89 mm)."))]


def print_json(value: Any) -> None:
    """One JSON value on stdout; numbers that JSON cannot say (inf, nan) would be a bug and raise."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


SHOWN_ORDERS = 6
"""Undecided orders that are printed."""


def print_undecided(orders: Sequence[str]) -> None:
    """Orders of designs that would be others if links cost nothing: the first ones, and how many there are more."""
    for order in orders[:SHOWN_ORDERS]:
        typer.echo(f"undecided, as free links reverse it: {order}")
    if len(orders) > SHOWN_ORDERS:
        typer.echo(f"and {len(orders) - SHOWN_ORDERS} more orders are undecided")


def print_table(
    rows: Sequence[dict[str, Any]], left: Sequence[str] = (), spare: Sequence[str] = (), wrapped: str | None = None,
) -> None:
    """Aligned columns, numbers to the right, the columns in `left` to the left. Every row has the same keys.

    Where the terminal is too narrow, columns of `spare` go, the first of them first, and a line says which; the last column, if
    it is `wrapped`, goes on in the next line.
    """
    if not rows:
        return
    names, room, gone = list(rows[0]), terminal_columns(), list[str]()
    for name in spare:
        if room is None or _table_width(rows, names) <= room:
            break
        if name in names:
            names.remove(name)
            gone.append(name)
    cells = [[str(row[name]) for name in names] for row in rows]
    if wrapped is not None and room is not None and wrapped == names[-1]:
        cells = _wrapped_last(cells, names, room)
    widths = [max(len(name), *(len(row[i]) for row in cells)) for i, name in enumerate(names)]

    def line(values: Sequence[str]) -> str:
        parts = (v.ljust(w) if n in left else v.rjust(w) for v, w, n in zip(values, widths, names, strict=True))
        return "  ".join(parts).rstrip()

    typer.echo(line(names))
    typer.echo("  ".join("-" * w for w in widths))
    for row in cells:
        typer.echo(line(row))
    if gone:
        typer.echo(f"left out, the terminal has {room} columns: {', '.join(gone)}")


def _wrapped_last(cells: list[list[str]], names: Sequence[str], room: int) -> list[list[str]]:
    """Rows whose last cell is no wider than what the others leave of `room`; what is left of it stands in rows of its own."""
    before = sum(max(len(name), *(len(row[i]) for row in cells)) + 2 for i, name in enumerate(names[:-1]))
    made: list[list[str]] = []
    for *first, last in cells:
        lines = textwrap.wrap(last, max(room - before, LEAST_WRAPPED), break_on_hyphens=False) or [""]
        made += [[*(first if i == 0 else [""] * len(first)), line] for i, line in enumerate(lines)]
    return made


def _table_width(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> int:
    return sum(max(len(name), *(len(str(row[name])) for row in rows)) for name in names) + 2 * (len(names) - 1)


def terminal_columns() -> int | None:
    """Of the terminal that stdout is, or what COLUMNS says; None for a file or a pipe, where nothing need be left out."""
    # A process that was started with a closed stream has None in its place.
    if (sys.stdout is None or not sys.stdout.isatty()) and not os.environ.get("COLUMNS", "").isdigit():
        return None
    return shutil.get_terminal_size().columns


def with_footnotes(rows: Sequence[dict[str, Any]], column: str = "source") -> tuple[list[dict[str, Any]], list[str]]:
    """Rows whose long `column` became a number, and the numbered texts: tables stay narrow, sources stay whole."""
    texts = list(dict.fromkeys(str(row[column]) for row in rows))
    short = [{**row, column: f"[{texts.index(str(row[column])) + 1}]"} for row in rows]
    return short, [f"[{n}] {text}" for n, text in enumerate(texts, start=1)]


def print_notes(notes: Sequence[str]) -> None:
    """Footnotes, wrapped for a terminal."""
    typer.echo("")
    for note in notes:
        print_wrapped(note, 4, 116)


def print_wrapped(text: str, indent: int = 0, most: int = 118) -> None:
    """A paragraph no wider than the terminal; lines after the first are indented."""
    typer.echo(textwrap.fill(text, min(most, (terminal_columns() or most + 2) - 2), subsequent_indent=" " * indent,
                             break_long_words=False, break_on_hyphens=False))


def file_to_write(out: str, force: bool) -> Path:
    """The file that a command will write. Raises HwsimError, before anything is computed, where it exists or has no folder."""
    target = Path(out)
    if target.exists() and not force:
        raise HwsimError(f"{target}: exists; give another name or --force")
    if not target.parent.is_dir():
        raise HwsimError(f"{target.parent}: no such folder; make it first")
    return target


def a_to_b(option: str, text: str | None) -> tuple[int, int] | None:
    """A:B as two numbers, the first and the one behind the last. Raises HwsimError."""
    if text is None:
        return None
    first, _, end = text.partition(":")
    if not (first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise HwsimError(f"{option}: found {shown(text)}, expected A:B, two whole numbers and B the larger, such as 0:1000")
    return int(first), int(end)


def read_overrides(price: list[str] | None, prices: str | None) -> dict[str, Any]:
    """Prices of a YAML file, then those of the command line on top of them."""
    if not price and not prices:
        return {}
    return parse_overrides(prices, price or [])


def listed(values: Sequence[str]) -> list[str]:
    """The names of an option that is repeated, or that has several between commas; a file's own comma stays."""
    return [name for value in values for name in ([value] if Path(value).is_file() else value.split(","))]


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """A callback that draws a bar with its rate and the time left on stderr; None when stderr is not a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    # Only a terminal draws a bar, and rich takes as long to load as the rest of a command's modules.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:,.3g} per s" if task.speed else "")

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
