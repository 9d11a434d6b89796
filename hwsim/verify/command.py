"""The command line of `python -m hwsim.verify`.

Exit status: 0 all equal, 1 a difference, 2 input that cannot be used, 3 an engine or this program broke.
"""

from __future__ import annotations

import json
import sys
import traceback
from typing import Annotated, Any

import typer

from hwsim.cli.common import JsonOption, print_json, progress
from hwsim.errors import HwsimError
from hwsim.verify.verifier import Outcome, verify

DIFFERENT, UNUSABLE, BROKEN = 1, 2, 3

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def verify_command(
    file: Annotated[str, typer.Argument(metavar="CASES", help="Test vectors: JSON, plain or packed by gzip.")],
    engine: Annotated[
        str, typer.Option(help="Which engine is held to them: fast, reference or, for core and dataflow cases, rtl.")] = "fast",
    limit: Annotated[int | None, typer.Option(metavar="N", help="Compare the first N cases only.")] = None,
    case: Annotated[list[str] | None, typer.Option(metavar="ID", help="Compare this case only; repeatable.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Hold an engine to test vectors: prints how many cases are equal, or the first difference.

    Exit status 0: all equal; 1: a difference; 2: input that cannot be used.
    """
    with progress("cases") as report:
        outcome = verify(file, engine, limit=limit, cases=case or (), progress=report)
    if as_json:
        print_json(outcome.body())
    else:
        typer.echo(described(outcome))
    if outcome.difference is not None:
        raise typer.Exit(DIFFERENT)


def described(outcome: Outcome) -> str:
    """The outcome for people: one line when all is equal, else the difference and what came before it."""
    if outcome.difference is None:
        some = "" if outcome.chosen == outcome.cases else f" (of {outcome.cases:,} in the file)"
        return f"{outcome.file}: {outcome.equal:,} of {outcome.chosen:,} {outcome.format} equal{some}, engine {outcome.engine}"
    one = outcome.difference
    rows = {"case": outcome.case, "what": one.what, "position": ", ".join(map(str, one.position)) or "-",
            "expected": _value(one.expected), "found": _value(one.found)}
    return "\n".join([f"{outcome.file}: the first difference, after {outcome.equal:,} equal cases, engine {outcome.engine}",
                      *(f"  {name:<9} {text}" for name, text in rows.items())])


def _value(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)


def main() -> None:
    """Entry point of `python -m hwsim.verify`."""
    try:
        app(prog_name="python -m hwsim.verify")
    except HwsimError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(UNUSABLE)
    except (OSError, MemoryError) as error:
        typer.echo(f"error: {error or 'out of memory'}", err=True)
        sys.exit(UNUSABLE)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        # Python's own status for it is 1, which would pass for a difference.
        traceback.print_exc()
        sys.exit(BROKEN)
