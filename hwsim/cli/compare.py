"""`hwsim compare`: one table, and figures of accuracy against energy, of energy and of latency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.common import (
    JsonOption,
    LeakOption,
    PriceOption,
    PricesOption,
    RateOption,
    listed,
    print_json,
    print_table,
    print_undecided,
    progress,
    read_overrides,
)
from hwsim.compare import compare
from hwsim.cost.rate import DEFAULT_RATE_HZ
from hwsim.errors import HwsimError
from hwsim.files import whole_folder
from hwsim.result import ResultError
from hwsim.result_file import FIGURES, RESULT, check_target, writing
from hwsim.schedules import SCHEDULES

if TYPE_CHECKING:
    from hwsim.compare import Comparison


app = typer.Typer(add_completion=False, rich_markup_mode=None)

TABLE = "compare.csv"
"""The file by which a saved comparison is known."""
FREE = ("us free", "core free")
"""Columns for what numbers would be if links cost nothing."""


@app.command()
def compare_command(
    traces: Annotated[list[str], typer.Argument(help="Trace files (HDF5).")],
    arch: Annotated[list[str], typer.Option("--arch", help=(
        "Architectures: YAML files or shipped designs, a,b or repeated."))],
    schedule: Annotated[list[str] | None, typer.Option(help="a,b or repeated; default: every schedule that runs.")] = None,
    engine: Annotated[str, typer.Option(help="fast or reference.")] = "fast",
    spikes: Annotated[str, typer.Option(help="trace or computed.")] = "trace",
    samples: Annotated[int | None, typer.Option(help="Replay the first N samples of each trace (default: all).")] = None,
    check: Annotated[
        bool, typer.Option(help="Compute every output and compare it; --no-check: timing only, without what always computes.")
    ] = True,
    baselines: Annotated[bool, typer.Option(help="Add the ANN baselines of each event core (needs a quantised trace).")] = True,
    out: Annotated[str, typer.Option(metavar="DIR", help="Where compare.csv and the figures go.")] = "hwsim-compare",
    price: PriceOption = None,
    prices: PricesOption = None,
    leak_unused: LeakOption = False,
    rate: RateOption = None,
    as_json: JsonOption = False,
) -> None:
    """One table and three figures: traces x architectures x schedules, and the ANN baselines."""
    _check_target(out)
    with progress("runs") as report:
        found = compare(
            traces, listed(arch), schedules=listed(schedule or []) or None, engine=engine, spikes=spikes, samples=samples,
            check=check, baselines=baselines, overrides=read_overrides(price, prices), leak_unused=leak_unused,
            rate_hz=DEFAULT_RATE_HZ if rate is None else rate,
            progress=(lambda what, done, total: report(done, total)) if report else None)
    if not found.results:
        raise HwsimError("none of the traces runs on any of the architectures:\n"
                         + "\n".join(f"{trace} {why}" for trace, _, _, why in found.refused))
    drawn = _save(found, out)
    if as_json:
        print_json(_json_rows(found))
    else:
        _print_table(found)
        typer.echo(f"\nsaved in {out}: {', '.join([TABLE, *drawn])}")
        if hint := _rivals_hint(found, traces):
            typer.echo(hint)
    for problem in dict.fromkeys(p for r in found.results for p in r.clock_problems):
        typer.echo(f"warning: {problem}", err=True)
    for line in _refusals(found):
        typer.echo(line, err=True)


def _rivals_hint(found: Comparison, traces: Sequence[str]) -> str:
    """The command that has the third column, equal latency, and all rivals: for the first spiking trace that has a twin here."""
    spiking = [r for r in found.results if not r.facts.is_ann]
    twins = [r for r in found.results if r.facts.is_ann and "+" in r.facts.arch]
    for ann in twins:
        for own in spiking:
            if own.facts.arch == ann.facts.arch.partition("+")[0]:
                by_name = {Path(trace).stem: trace for trace in traces}
                first, second = (by_name.get(r.facts.trace, r.facts.trace) for r in (own, ann))
                return ("these baselines have equal lanes or equal area, and the design's clock; every ANN machine, at equal "
                        f"latency too, each at its own clock:\nhwsim rivals {first} {second} --arch {own.facts.arch}")
    return ""


def _check_target(out: str) -> None:
    """Refuse a folder that holds something else than an earlier comparison: a saved run, or anybody's files."""
    if (Path(out) / RESULT).is_file():
        raise ResultError(f"{out}: holds a saved run, whose figures would be replaced; name an empty or new folder")
    check_target(out, TABLE, "a saved comparison", {TABLE, *FIGURES})


def _json_rows(found: Comparison) -> list[dict[str, Any]]:
    """Summaries; a baseline that cannot be built has the same keys, without numbers, and its reason."""
    rows: list[dict[str, Any]] = [{**r.summary(), "accuracy_flag": flag, "reason": ""}
                                  for r, flag in zip(found.results, found.flags, strict=True)]
    nothing: dict[str, Any] = dict.fromkeys(rows[0])
    return rows + [{**nothing, "trace": m.trace, "coding": m.coding, "timesteps": m.timesteps, "arch": m.arch,
                    "schedule": m.schedule, "accuracy_flag": "", "reason": m.reason} for m in found.missing]


def _refusals(found: Comparison) -> list[str]:
    """What did not run and why, one line for all traces that share the design, the schedule and the reason."""
    shared: dict[tuple[str, str, str], list[str]] = {}
    for trace, design, schedule, why in found.refused:
        shared.setdefault((design, schedule, _one_line(why)), []).append(trace)
    return [f"not run on {design}, {schedule}: {', '.join(traces)}: {reasons}"
            for (design, schedule, reasons), traces in shared.items()]


def _save(found: Comparison, out: str) -> list[str]:
    """Write the table and the figures; the names of the figures."""
    # matplotlib is not loaded before there is something to draw.
    from hwsim.view.plot import save_figures

    with writing(out), whole_folder(out) as made:
        found.table.to_csv(made / TABLE, index=False)
        return [path.name for path in save_figures(found.results, made)]


def _print_table(found: Comparison) -> None:
    """The table for a terminal: one block per architecture family, energies in nanojoules per sample."""
    records, rate = found.rows, found.results[0].rate_hz
    ambiguous = len({r["trace"] for r in records}) > len({(r["coding"], r["T"]) for r in records})
    families = {str(r["arch"]).split("+")[0] for r in records}
    stem = families.pop() if len(families) == 1 else ""
    reasons = list(dict.fromkeys(m.reason for m in found.missing))
    off = {name: name[0] for row in records for name in row["memories_off"].split()}
    rows = [{**({"trace": row["trace"]} if ambiguous else {}), **_cells(row, stem, reasons, off, _numbers(rate))}
            for row in records]
    unused = {*(() if off else ("off",)), *(() if any(row.get("core_nj_free_links") for row in records) else FREE)}
    rows = [{name: cell for name, cell in row.items() if name not in unused} for row in rows]
    print_table(_folded(rows), left=("trace", "coding", "arch", "order", "off"), spare=(
        "pJ/SOP", "EDP", "util %", "±", "mW", "off", "cycles", f"uJ at {rate:g}/s", "mm2", "wrong", "compute"))
    for number, reason in enumerate(reasons, start=1):
        typer.echo(f"[{number}] cannot be built: {_one_line(reason)}")
    typer.echo("\nper sample, means: cycles, us latency, energy in nJ (compute: arithmetic only; core: + everything on chip and "
               "leakage,\n± its standard deviation over the samples; system: + off-chip channel), "
               f"uJ at {rate:g}/s system energy in uJ at {rate:g} samples\nper second, leaking between them (-: out of reach), "
               "pJ/SOP core energy per synaptic operation, EDP energy-delay product\nin nJs; acc: the whole test set's where "
               "the trace knows it. wrong: outputs unlike the recorded, in all samples" + (
                   "" if all(r.task.check for r in found.results) else " (-: timing only, nothing was compared)"))
    if off:
        typer.echo(f"off: memories that the trace does not use, without leakage and area (--leak-unused counts them): "
                   f"{', '.join(f'{letter} {name}' for name, letter in off.items())}")
    if stem and any(row["arch"].startswith("+") for row in rows):
        typer.echo(f"+: the ANN baselines of {stem}; @area: as large as it is")
    if FREE[0] not in unused:
        typer.echo(f"{FREE[0]}, {FREE[1]}: if links cost nothing; a real network lies between (docs/schedules.md)")
    print_undecided(found.undecided)
    for note in found.notes:
        typer.echo(note)
    if any(found.flags):
        typer.echo("* accuracy is more than 0.5 points below the best row: compare its energy with care")


def _folded(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows that differ in nothing but the schedule, as one row: its order is "layer = step"."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        same = tuple(cell for name, cell in row.items() if name != "order")
        if same in found:
            found[same]["order"] += f" = {row['order']}"
        else:
            found[same] = dict(row)
    return list(found.values())


def _numbers(rate_hz: float) -> tuple[str, ...]:
    """Names of the columns after `cycles`."""
    return ("us", FREE[0], "compute", "core", FREE[1], "±", "system", f"uJ at {rate_hz:g}/s", "pJ/SOP", "EDP", "util %", "mW",
            "mm2", "off", "acc %", "wrong")


def _cells(row: dict[str, Any], stem: str, reasons: list[str], off: dict[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """One row as text; dashes and the number of the reason for a baseline that cannot be built.

    stem   the one design whose baselines follow; they go without its name.     off   letters of memories.
    names   of the columns after `cycles`.
    """
    arch = str(row["arch"])
    cells = {
        "coding": f"{row['coding']} T={row['T']}", "arch": arch.removeprefix(stem) or arch,
        "order": SCHEDULES[row["schedule"]].short if row["schedule"] in SCHEDULES else row["schedule"],
    }
    if row["reason"]:
        return cells | {"cycles": f"[{reasons.index(row['reason']) + 1}]"} | dict.fromkeys(names, "-")
    accuracy, wrong, spread = row["accuracy_percent"], row["mismatches"], row["core_spread_nj"]
    numbers = (
        f"{row['latency_us']:,.1f}", _or_dash(row["latency_us_free_links"], ",.1f"), f"{row['compute_nj']:,.1f}",
        f"{row['core_nj']:,.0f}", _or_dash(row["core_nj_free_links"], ",.0f"), _or_dash(spread, ",.0f"),
        f"{row['system_nj']:,.0f}",
        "-" if row["system_at_rate_nj"] is None else f"{row['system_at_rate_nj'] / 1e3:,.0f}", f"{row['core_pj_per_sop']:.2f}",
        f"{row['edp_njs']:.3g}", f"{row['utilisation_percent']:.1f}", f"{row['power_mw']:.1f}", f"{row['area_mm2']:.2f}",
        " ".join(off[name] for name in row["memories_off"].split()),
        "-" if accuracy is None else f"{accuracy:.2f}" + ("*" if row["accuracy_flag"] else ""),
        "-" if wrong is None else str(wrong))
    return cells | {"cycles": f"{row['cycles']:,.0f}"} | dict(zip(names, numbers, strict=True))


def _or_dash(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)


def _one_line(reason: str) -> str:
    return "; ".join(line.strip(" -") for line in reason.splitlines()[1:]) or reason
