"""The simulated part of `hwsim breakeven`: options as a grid, the table of crossings, and curves for the figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsim.accounts.crossing.crossings import Crossing, crossings
from hwsim.accounts.crossing.grid import Grid, foresee, points, refuse_long, run_grid
from hwsim.accounts.ours import our_data
from hwsim.accounts.twin import opened_ann
from hwsim.accounts.work import check_twins, count_work
from hwsim.cli.common import progress
from hwsim.errors import HwsimError
from hwsim.sweep.rows import save
from hwsim.trace.reader import Trace

RATES = "0.01,0.02,0.05,0.1,0.2,0.4"
SAMPLES = 2
AT_HZ = "30"


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

    def given(self) -> list[str]:
        """The options of it that were typed."""
        kept = {"--rates": self.rates != RATES, "--channels": self.widths != "1", "--kernel": bool(self.kernels),
                "--design": bool(self.designs), "--memory": bool(self.memories), "--at-hz": self.rates_hz != AT_HZ,
                "--study": self.study is not None, "--workers": self.workers is not None, "--yes": self.yes}
        return [name for name, there in kept.items() if there]


def simulated(
    trace: str, ann: str | None, steps: list[int], samples: int, asked: Asked
) -> tuple[list[Crossing], dict[str, str]]:
    """The crossings of the grid, and the designs that the trace does not run on, with the reason.

    Raises HwsimError for what is missing or cannot be, GridError for a grid that takes long.
    """
    if asked.study is None:
        raise HwsimError("--simulate: --study DIR is missing: where traces and rows are kept, so that a stopped grid goes on")
    grid = Grid(_numbers("--rates", asked.rates), steps, _numbers("--channels", asked.widths), _kernels(asked.kernels),
                asked.designs, asked.memories or ["cacti_lop"], [None, *_numbers("--at-hz", asked.rates_hz)])
    grid.check()
    folder = Path(asked.study)
    with Trace.open(trace) as snn, opened_ann(snn, ann) as rival:
        check_twins(count_work(snn, 1), count_work(rival, 1))
        grid, reasons = grid.fitting(snn)
        refuse_long(0.0 if asked.yes else foresee(snn, grid, folder, samples, asked.workers), folder, asked.yes)
        every = points(snn, rival, grid, folder, samples)
    with progress("simulations") as report:
        rows = run_grid(every, folder, long_is_meant=asked.yes, workers=asked.workers, progress=report)
    save(folder, False)
    return crossings(rows), reasons


def _kernels(text: str) -> list[int | None]:
    numbers = _numbers("--kernel", text)
    if wrong := [k for k in numbers if k != int(k)]:
        raise HwsimError(f"--kernel: found {wrong[0]:g}, expected odd whole numbers with commas between them")
    return [int(k) for k in numbers] or [None]


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


def notes(found: list[Crossing], reasons: dict[str, str], samples: int) -> list[str]:
    """What the table says, how straight the lines are, and what could not be simulated."""
    text = (f"simulated on traces scaled from {samples} samples: percent of neurons that may spike in a step, between two rates "
            "of the grid by a straight line; < and >: beyond the lowest or highest rate of the grid; never, always: beyond it, "
            "and a straight line through its ends says: even without a spike, even if all neurons spike in each step")
    designs = our_data().designs
    return [text, *_straightness(found), *dict.fromkeys(f"{title(c, found)}: {c.lacks}" for c in found if c.lacks),
            *(f"{designs[name].title}: does not run: {why}" for name, why in reasons.items())]


def _straightness(found: list[Crossing]) -> list[str]:
    """The error of the closed form, a straight line through the grid's ends: of energies, and of the crossings between them."""
    bent = [c for c in found if c.bend is not None]
    if not bent:
        return []
    worst = max(bent, key=lambda c: c.bend or 0.0)
    apart = [(abs((c.straight or 0.0) / c.rate - 1), c) for c in bent if c.rate]
    text = ("closed form, a straight line through the ends of the grid: simulated energies lie within "
            f"{100 * (worst.bend or 0):.1f} % of it ({_place(worst, found)})")
    if apart:
        most, where = max(apart, key=lambda pair: pair[0])
        text += f", and it crosses within {100 * most:.1f} % of the rates above ({_place(where, found)})"
    return [text]


def _place(one: Crossing, found: list[Crossing]) -> str:
    return f"{title(one, found)}, {one.scope}, T = {one.timesteps}"


def curve_points(found: list[Crossing], scope: str = "system") -> dict[str, list[tuple[int, float]]]:
    """Lines of the figure at full speed: by name, (steps, rate), 0 below the lowest rate of the grid; above the highest none."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for one in found:
        if one.scope == scope and one.rate_hz is None and one.rate is not None:
            lines.setdefault(f"simulated: {title(one, found)}", []).append((one.timesteps, one.rate))
    return {name: sorted(line) for name, line in lines.items()}


def plain(found: list[Crossing]) -> list[dict[str, Any]]:
    return [{**vars(one), **{name: list(pair) if (pair := getattr(one, name)) else None for name in ("between", "ends")}}
            for one in found]
