"""`hwsim compare`: one table and two figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.common import JsonOption, PriceOption, PricesOption, print_json, print_table, progress, read_overrides

if TYPE_CHECKING:
    from hwsim.compare import Comparison


def compare_command(
    traces: Annotated[list[str], typer.Argument(help="Trace files (HDF5).")],
    arch: Annotated[list[str], typer.Option("--arch", help="Architecture: a YAML file or a shipped design; repeatable.")],
    schedule: Annotated[list[str] | None, typer.Option(help="Repeatable; default: every schedule that runs.")] = None,
    engine: Annotated[str, typer.Option(help="fast or reference.")] = "fast",
    spikes: Annotated[str, typer.Option(help="trace or computed.")] = "trace",
    samples: Annotated[int | None, typer.Option(help="Replay the first N samples of each trace (default: all).")] = None,
    baselines: Annotated[bool, typer.Option(help="Add the ANN baselines of each event core (needs a quantised trace).")] = True,
    out: Annotated[str, typer.Option(metavar="DIR", help="Where compare.csv and the figures go.")] = "hwsim-compare",
    price: PriceOption = None,
    prices: PricesOption = None,
    as_json: JsonOption = False,
) -> None:
    from pathlib import Path

    from hwsim.compare import compare
    from hwsim.errors import HwsimError
    from hwsim.schedules import SCHEDULES

    if Path(out).exists() and not Path(out).is_dir():
        raise HwsimError(f"{out}: exists and is not a folder; give another --out")
    with progress("runs") as report:
        found = compare(
            traces, arch, schedules=tuple(schedule or SCHEDULES), engine=engine, spikes=spikes, samples=samples,
            baselines=baselines, overrides=read_overrides(price, prices),
            progress=(lambda what, done, total: report(done, total)) if report else None)
    if not found.results:
        raise HwsimError("none of the traces runs on any of the architectures:\n"
                         + "\n".join(f"{trace} {why}" for trace, _, _, why in found.refused))
    _save(found, out)
    if as_json:
        rows = [{**r.summary(), "accuracy_flag": flag} for r, flag in zip(found.results, found.flags, strict=True)]
        print_json(rows)
    else:
        _print_table(found)
        typer.echo(f"\nsaved in {out}: compare.csv, energy.png, latency.png")
    for problem in dict.fromkeys(p for r in found.results for p in r.clock_problems):
        typer.echo(f"warning: {problem}", err=True)
    for line in _refusals(found):
        typer.echo(line, err=True)


def _refusals(found: Comparison) -> list[str]:
    """What did not run and why, one line for all traces that share the design, the schedule and the reason."""
    shared: dict[tuple[str, str, str], list[str]] = {}
    for trace, design, schedule, why in found.refused:
        reasons = "; ".join(line.strip(" -") for line in why.splitlines()[1:]) or why
        shared.setdefault((design, schedule, reasons), []).append(trace)
    return [f"not run on {design}, {schedule}: {', '.join(traces)}: {reasons}"
            for (design, schedule, reasons), traces in shared.items()]


def _save(found: Comparison, out: str) -> None:
    from pathlib import Path

    from hwsim.view.plot import save_figures

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    found.table.to_csv(folder / "compare.csv", index=False)
    save_figures(found.results, folder)


def _print_table(found: Comparison) -> None:
    """The table for a terminal: one block an architecture family, energies in nanojoules a sample."""
    rows: list[dict[str, Any]] = []
    records = found.rows
    ambiguous = len({r["trace"] for r in records}) > len({(r["coding"], r["T"]) for r in records})
    for row in records:
        accuracy, wrong = row["accuracy_percent"], row["mismatches"]
        rows.append({
            **({"trace": row["trace"]} if ambiguous else {}),
            "coding": f"{row['coding']} T={row['T']}", "arch": row["arch"],
            "schedule": {"layer_by_layer": "layer", "step_by_step": "step"}.get(row["schedule"], row["schedule"]),
            "cycles": f"{row['cycles']:,.0f}", "us": f"{row['latency_us']:,.1f}",
            "compute": f"{row['compute_nj']:,.1f}", "core": f"{row['core_nj']:,.1f}",
            "system nJ": f"{row['system_nj']:,.1f}", "pJ/SOP": f"{row['core_pj_per_sop']:.2f}",
            "EDP nJs": f"{row['edp_njs']:.3g}", "util %": f"{row['utilisation_percent']:.1f}",
            "mW": f"{row['power_mw']:.1f}", "mm2": f"{row['area_mm2']:.2f}",
            "acc %": "-" if accuracy is None else f"{accuracy:.2f}" + ("*" if row["accuracy_flag"] else ""),
            "wrong": "-" if wrong is None else str(wrong),
        })
    print_table(rows, left=("trace", "coding", "arch", "schedule"))
    typer.echo("\na sample each: cycles, us latency, energy in nJ (compute: arithmetic only; core: + everything on chip and "
               "leakage;\nsystem: + off-chip channel), pJ/SOP core energy a synaptic operation, EDP energy-delay product; "
               "wrong: outputs\nunlike the recorded, all samples; acc: the whole test set's where the trace knows it")
    if any("systolic" in str(row["arch"]) for row in records):
        typer.echo("a systolic array's operations include the zeros and the padding that it multiplies: "
                   "compare its pJ/SOP with care")
    if any(found.flags):
        typer.echo("* accuracy is more than 0.5 points below the best row: compare its energy with care")
