"""`hwsim sweep`: many designs, traces, schedules and prices in one go; resumable, one row for each point."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from hwsim.cli.common import JsonOption, print_json, progress
from hwsim.errors import HwsimError
from hwsim.study import Row, study_rows
from hwsim.sweep.definition import read_study, space_of_options
from hwsim.sweep.rows import CSV, save
from hwsim.sweep.space import MANY, Space

app = typer.Typer(add_completion=False, rich_markup_mode=None)

REASONS = 5
"""Different reasons of failed points that are printed."""


@app.command()
def sweep_command(
    what: Annotated[list[str], typer.Argument(metavar="STUDY.yaml | TRACE...", help="A study file, or traces (HDF5).")],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Where rows are kept; a stopped study goes on.")],
    arch: Annotated[list[str] | None, typer.Option("--arch", help="Design: a YAML file or a shipped one; repeatable.")] = None,
    settings: Annotated[list[str] | None, typer.Option(
        "--set", metavar="FIELD=VALUES", help="core.lanes=16,32 or clock={from: 100 MHz, to: 500 MHz, step: 50}.")] = None,
    schedule: Annotated[list[str] | None, typer.Option(help=(
        "layer_by_layer, step_by_step or (chips with a network) pipelined; repeatable."))] = None,
    samples: Annotated[int | None, typer.Option(help="Replay the first N samples (default: all).")] = None,
    hypercube: Annotated[int | None, typer.Option(
        "--latin-hypercube", metavar="N", min=1, help="N points drawn from the axes instead of the whole grid.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the Latin hypercube.")] = 1,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Timing only, without arithmetic, where it can be.")] = True,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes (default: one for each processor).")] = None,
    dask: Annotated[str | None, typer.Option(
        metavar="ADDRESS", help="Run on a Dask cluster instead: its scheduler, such as tcp://host:8786.")] = None,
    skip_proven: Annotated[bool, typer.Option("--skip-proven/--make-every-sum", help=(
        "Where another point's run showed that sums are right, they are not made again (default); the rows are the same."))
    ] = True,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write rows.parquet as well.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help=f"More than {MANY:,} points are meant.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run every point of a study, and write DIR/rows.csv. Then: hwsim pareto DIR, hwsim best DIR."""
    space = _space(what, arch, settings, schedule, samples, hypercube, seed, check)
    if len(space) > MANY and not yes:
        raise HwsimError(f"found {len(space):,} points, more than {MANY:,}; drop values, draw some with --latin-hypercube N, or "
                         "say --yes")
    if workers and dask:
        raise HwsimError("--workers: found --dask as well, expected one of them: a cluster has its own workers")
    # A long sweep is not held in memory: its rows are counted as they pass.
    failed, held, count = Counter[str](), dict[int, Row](), 0
    with progress("points") as report:
        for i, row in study_rows(space.points(), out, workers=workers, dask=dask, progress=report, skip_proven=skip_proven):
            count += 1
            failed.update([row["error"]] if "error" in row else [])
            if as_json:
                held[i] = row
    save(out, parquet)
    if as_json:
        print_json([held[i] for i in sorted(held)])
        return
    points = "1 point" if count == 1 else f"{count:,} points"
    typer.echo(f"{points}, {failed.total():,} failed; {Path(out) / CSV}")
    for reason, times in failed.most_common(REASONS):
        typer.echo(f"  {times:,} x {_in_a_line(reason)}", err=True)
    if len(failed) > REASONS:
        typer.echo(f"  and {len(failed) - REASONS:,} other reasons; the column `error` has them", err=True)
    if failed.total() == count:
        raise typer.Exit(1)


def _in_a_line(reason: str) -> str:
    """The first line of an error; where that is the head of a list, with the first of its reasons."""
    head, *rest = reason.splitlines()
    return f"{head} {rest[0].strip().removeprefix('- ')}" if rest and head.endswith(":") else head


def _space(
    what: list[str], arch: list[str] | None, settings: list[str] | None, schedule: list[str] | None, samples: int | None,
    hypercube: int | None, seed: int, check: bool,
) -> Space:
    if not what[0].endswith((".yaml", ".yml")):
        if not arch:
            raise HwsimError("--arch: missing; name a design for the traces, or a study file instead of them")
        return space_of_options(what, arch, settings or [], hypercube, seed, schedule=schedule, samples=samples,
                                check=None if check else False)
    if len(what) > 1 or arch or settings or schedule or samples is not None or hypercube or not check:
        raise HwsimError(f"{what[0]}: found options beside a study file, expected the file alone; write them into it")
    return read_study(what[0])
