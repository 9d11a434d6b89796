"""The simulated part of `hwsim breakeven`: options as a grid, the table of crossings, and curves for the figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsim.accounts.crossing.crossings import Crossing, crossings
from hwsim.accounts.crossing.grid import Grid, points, run_grid
from hwsim.accounts.ours import our_data
from hwsim.accounts.work import WorkError, check_twins, count_work
from hwsim.cli.common import progress
from hwsim.errors import HwsimError
from hwsim.sweep.rows import save
from hwsim.trace.reader import Trace

RATES = "0.01,0.02,0.05,0.1,0.2,0.4"
SAMPLES = 2


@dataclass(frozen=True)
class Asked:
    """What the command line says of a grid, as it was typed."""

    rates: str
    widths: str
    kernels: str
    designs: list[str]
    memories: list[str]
    rates_hz: str
    study: str | None
    workers: int | None
    yes: bool


def simulated(trace: str, ann: str | None, steps: list[int], samples: int | None, asked: Asked) -> list[Crossing]:
    """The crossings of the grid. Raises HwsimError for what is missing or cannot be, GridError for a grid that takes long."""
    if ann is None:
        raise HwsimError("--simulate: needs the ANN's trace, which is replayed beside the SNN's; give it with --ann")
    if asked.study is None:
        raise HwsimError("--simulate: --study DIR is missing: where traces and rows are kept, so that a stopped grid goes on")
    grid = Grid(_numbers("--rates", asked.rates), steps, _numbers("--channels", asked.widths),
                [int(k) for k in _numbers("--kernel", asked.kernels)] or [None], asked.designs,
                asked.memories or ["cacti_lop"], [None, *_numbers("--at-hz", asked.rates_hz)])
    grid.check()
    folder = Path(asked.study)
    with Trace.open(trace) as snn, Trace.open(ann) as rival:
        if snn.network.is_ann:
            raise WorkError(f"{trace}: is a quantised ANN, expected an SNN; give the ANN with --ann, and the SNN first")
        check_twins(count_work(snn, 1), count_work(rival, 1))
        every = points(snn, rival, grid, folder, samples or SAMPLES)
    with progress("simulations") as report:
        rows = run_grid(every, folder, long_is_meant=asked.yes, workers=asked.workers, progress=report)
    save(folder, False)
    return crossings(rows)


def _numbers(option: str, text: str) -> list[float]:
    try:
        return sorted({float(part) for part in text.split(",") if part.strip()})
    except ValueError:
        raise HwsimError(f"{option}: found {text!r}, expected numbers with commas between them") from None


def title(one: Crossing, every: list[Crossing]) -> str:
    """A line's name: its design, and what of the grid varies besides."""
    varies = [name for name in ("width", "kernel", "memory") if len({getattr(c, name) for c in every}) > 1]
    more = "".join(f", {name} {getattr(one, name)}" for name in varies)
    return f"{our_data().designs[one.design].title}{more}"


def table_rows(found: list[Crossing], steps: list[int]) -> list[dict[str, str]]:
    """A row for each design, scope and rate of samples; a column for each number of steps."""
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for one in (one for one in found if not one.lacks):
        at = "full" if one.rate_hz is None else f"{one.rate_hz:g}/s"
        key = (title(one, found), one.scope, at)
        row = rows.setdefault(key, {"simulated": key[0], "scope": one.scope, "at": at, **{f"T = {t}, %": "-" for t in steps}})
        row[f"T = {one.timesteps}, %"] = one.said
    return list(rows.values())


def notes(found: list[Crossing]) -> list[str]:
    """How straight the lines are, and what could not be simulated."""
    both = [(c.rate, c.straight) for c in found if c.rate and c.straight and c.straight > 0]
    apart = max((abs(a / b - 1) for a, b in both), default=0.0)
    text = ("simulated on scaled traces: percent of neurons that may spike in a step, between two rates of the grid by a "
            "straight line; never: the SNN takes more at the lowest rate of the grid already; always: less at the highest")
    if both:
        text += f". A straight line through the ends of the grid gives the same within {100 * apart:.0f} %"
    return [text, *dict.fromkeys(f"{title(c, found)}: {c.lacks}" for c in found if c.lacks)]


def curve_points(found: list[Crossing], scope: str = "system") -> dict[str, list[tuple[int, float]]]:
    """Lines of the figure at full speed: by name, (steps, rate); above the highest rate of the grid there is no point."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for one in found:
        if one.scope == scope and one.rate_hz is None and one.rate is not None:
            lines.setdefault(f"simulated: {title(one, found)}", []).append((one.timesteps, one.rate))
    return {name: sorted(line) for name, line in lines.items()}


def plain(found: list[Crossing]) -> list[dict[str, Any]]:
    return [{**vars(one), "between": list(one.between) if one.between else None} for one in found]
