"""`hwsim run`: one trace on one architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.common import (
    JsonOption,
    PriceOption,
    PricesOption,
    percent,
    print_json,
    print_table,
    progress,
    read_overrides,
)
from hwsim.units import format_si

if TYPE_CHECKING:
    from hwsim.result import Result


def run_command(
    trace: Annotated[str, typer.Argument(help="Trace file (HDF5).")],
    arch: Annotated[str, typer.Option("--arch", help="Architecture: a YAML file or the name of a shipped design.")],
    schedule: Annotated[str, typer.Option(help="layer_by_layer or step_by_step.")] = "layer_by_layer",
    engine: Annotated[str, typer.Option(help="fast or reference; the same numbers to the cycle.")] = "fast",
    spikes: Annotated[str, typer.Option(help="trace: feed recorded spikes; computed: layer feeds layer.")] = "trace",
    samples: Annotated[int | None, typer.Option(help="Replay the first N samples (default: all).")] = None,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Save the result (CSV, JSON) and figures here.")] = None,
    price: PriceOption = None,
    prices: PricesOption = None,
    as_json: JsonOption = False,
) -> None:
    from hwsim.result_file import check_target
    from hwsim.simulation import simulate

    if out is not None:
        check_target(out)
    with progress("samples") as report:
        result = simulate(trace, arch, schedule=schedule, engine=engine, spikes=spikes, samples=samples,
                          overrides=read_overrides(price, prices), progress=report)
    if out:
        result.save(out)
        from hwsim.view.plot import save_figures

        save_figures([result], out)
    for problem in result.clock_problems:
        typer.echo(f"warning: {problem}", err=True)
    if as_json:
        print_json(result.summary())
        return
    _print_result(result)
    if out:
        typer.echo(f"\nsaved in {out}: result.json, CSV frames, energy.png, latency.png")


def _print_result(result: Result) -> None:
    f, n = result.facts, result.facts.samples
    energy = {k: format_si(v / n * 1e-12, "J") for k, v in result.energy_pj.items()}
    coding = f"{f.coding}, T = {f.timesteps}"
    lines = [
        ("trace", f"{f.trace} ({coding}), {n} sample{'s' if n > 1 else ''}"),
        ("architecture", f"{f.arch}, {f.schedule}, engine {f.engine}, spikes {f.spikes}"),
        ("cycles", f"{result.cycles.mean():,.0f} a sample ({result.cycles.min():,} to {result.cycles.max():,}), "
                   f"latency {format_si(result.latency_s, 's')}"),
        ("operations", f"{result.synaptic_operations / n:,.0f} synaptic operations a sample, "
                       f"utilisation {100 * result.utilisation:.1f} %"),
        ("energy", f"{energy['compute']} compute, {energy['core']} core, {energy['system']} system, a sample"),
        ("power, area", f"{format_si(result.power_w, 'W')}, {result.area_mm2:.3g} mm2"),
        ("setup", f"{f.setup_cycles:,} cycles, {format_si(result.setup_energy_pj * 1e-12, 'J')}, once, not in the above"),
        ("check", _check_text(result)),
        ("accuracy", _accuracy_text(result)),
        ("run", result.run_id),
    ]
    for name, text in lines:
        typer.echo(f"{name:<13} {text}")
    typer.echo("")
    print_table(_layer_rows(result), left=("layer",))
    leaked = result.energy[result.energy["event"] == "leakage"]["energy_pj"].sum() / n * 1e-12
    typer.echo(f"\nswitching energy is the core's without leakage, which belongs to no layer: {format_si(leaked, 'J')}.\n"
               "In the rest of its cycles a layer idles: no event has arrived yet, or the pipeline drains")


def _accuracy_text(result: Result) -> str:
    f = result.facts
    if f.accuracy is None and f.accuracy_test_set is None:
        return "unknown: the trace has no labels, or no recorded read-out"
    return f"{percent(f.accuracy)} on these samples, {percent(f.accuracy_test_set)} on the whole test set"


def _check_text(result: Result) -> str:
    f = result.facts
    if f.mismatches is None:
        return "the trace has no weights: nothing was computed, nothing compared"
    verdict = "every output is bit for bit the recorded one" if f.mismatches == 0 else f"{f.mismatches} outputs differ"
    return f"{verdict}; {f.saturations} saturations"


def _layer_rows(result: Result) -> list[dict[str, Any]]:
    """One row a layer: cycles and their causes, core energy, synaptic operations, a sample."""
    n = result.facts.samples
    cycles = result.cycles_frame.pivot_table(index="layer", columns="cause", values="cycles", aggfunc="sum", fill_value=0)
    energy = result.energy[result.energy["scope"] != "system"].groupby("layer")["energy_pj"].sum()
    adds = result.activity[result.activity["event"] == "acc_add"].groupby("layer")["count"].sum()
    rows = []
    for name in result.facts.layers:
        part = cycles.loc[name]
        total = part.drop(labels=["wait_channel"], errors="ignore").sum()
        stalls = sum(part.get(cause, 0) for cause in ("stall_hazard", "stall_port", "stall_serialiser"))
        rows.append({
            "layer": name, "cycles": f"{total / n:,.0f}", "busy": f"{100 * part.get('busy', 0) / max(1, total):.0f} %",
            "stalled": f"{100 * stalls / max(1, total):.0f} %", "synaptic operations": f"{adds.get(name, 0) / n:,.0f}",
            "switching energy": format_si(energy.get(name, 0.0) / n * 1e-12, "J"),
        })
    return rows
