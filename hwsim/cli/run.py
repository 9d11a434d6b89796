"""`hwsim run`: one trace on one architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.chip import print_busy, print_stream
from hwsim.cli.common import (
    JsonOption,
    LeakOption,
    PriceOption,
    PricesOption,
    RateOption,
    percent,
    print_json,
    print_table,
    progress,
    read_overrides,
)
from hwsim.cost.explanation import off_text
from hwsim.cost.rate import DEFAULT_RATE_HZ
from hwsim.program import CHANNEL
from hwsim.result_file import check_target
from hwsim.simulation import simulate
from hwsim.stream import back_to_back as stream_samples
from hwsim.units import format_si

if TYPE_CHECKING:
    from hwsim.result import Result


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def run_command(
    trace: Annotated[str, typer.Argument(help="Trace file (HDF5).")],
    arch: Annotated[str, typer.Option("--arch", help="Architecture: a YAML file or the name of a shipped design.")],
    schedule: Annotated[str, typer.Option(help="layer_by_layer, step_by_step, or pipelined on a chip with a network.")
    ] = "layer_by_layer",
    engine: Annotated[str, typer.Option(help="fast or reference; the same numbers to the cycle.")] = "fast",
    spikes: Annotated[str, typer.Option(help="trace: feed recorded spikes; computed: layer feeds layer.")] = "trace",
    samples: Annotated[int | None, typer.Option(help="Replay the first N samples (default: all).")] = None,
    check: Annotated[
        bool, typer.Option(help="Compute every output and compare it; --no-check: timing only, from recorded spikes.")] = True,
    back_to_back: Annotated[int | None, typer.Option(
        metavar="N", help="Also: N samples in a row without a pause, and their period (a chip with a network).")] = None,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Save the result (CSV, JSON) and figures here.")] = None,
    price: PriceOption = None,
    prices: PricesOption = None,
    leak_unused: LeakOption = False,
    rate: RateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay one trace on one architecture, cycle by cycle, and check every output (unless --no-check)."""
    if out is not None:
        check_target(out)
    with progress("samples") as report:
        result = simulate(trace, arch, schedule=schedule, engine=engine, spikes=spikes, samples=samples, check=check,
                          overrides=read_overrides(price, prices), leak_unused=leak_unused,
                          rate_hz=DEFAULT_RATE_HZ if rate is None else rate, progress=report)
    if rate is not None:
        result.at_rate(rate)  # refuses one that was asked for and that is out of reach
    if out:
        # matplotlib is only loaded for a run that is kept.
        from hwsim.view.plot import save_figures

        result.save(out, draw=save_figures)
    for problem in result.clock_problems:
        typer.echo(f"warning: {problem}", err=True)
    row = None if back_to_back is None else stream_samples(trace, result.architecture, back_to_back, schedule=schedule,
                                                           spikes=spikes)
    if as_json:
        streamed = {} if row is None else {"back_to_back": row.summary() | {"energy_pj": row.energy_pj(result)}}
        print_json(result.summary() | streamed)
        return
    _print_result(result)
    if result.architecture.network is not None:
        print_busy(result)
    if row is not None:
        typer.echo("")
        print_stream(row, result)
    if out:
        typer.echo(f"\nsaved in {out}: result.json, CSV frames, energy.png, latency.png")


def _print_result(result: Result) -> None:
    f, n, spread = result.facts, result.facts.samples, result.spread
    energy = {k: _si(v, spread["energy_pj"][k], 1e-12, "J") for k, v in result.energy_pj.items()}
    coding = f"{f.coding}, T = {f.timesteps}"
    deviation = "" if n == 1 else f" ± {spread['cycles']:,.0f}"
    lines = [
        ("trace", f"{f.trace} ({coding}), {n} sample{'s' if n > 1 else ''}"),
        ("architecture", f"{f.arch}, {f.schedule}, engine {f.engine}, spikes {f.spikes}"),
        ("cycles", f"{result.cycles.mean():,.0f}{deviation}, latency {_si(result.latency_s, spread['latency_s'], 1, 's')}"),
        ("operations", f"{result.synaptic_operations:,.0f} synaptic operations, utilisation {100 * result.utilisation:.1f} %"),
        ("energy", f"{energy['compute']} compute, {energy['core']} core, {energy['system']} system"),
        (f"at {result.rate_hz:g}/s", _rate_text(result.shown_rate)),
        ("power, area", f"{format_si(result.power_w, 'W')}, {result.area_mm2:.3g} mm2"),
        *([("off", off_text(result.memories_off).removeprefix("off: "))] if result.memories_off else []),
        ("setup", f"{f.setup_cycles:,} cycles, {format_si(result.setup_energy_pj * 1e-12, 'J')}, once, not in the above"),
        ("check", _check_text(result)),
        ("accuracy", _accuracy_text(result)),
        ("run", result.run_id),
    ]
    for name, text in lines:
        typer.echo(f"{name:<13} {text}")
    if n > 1:
        typer.echo(f"\nper sample: means of {n} samples, ± standard deviation over them")
    typer.echo("")
    print_table(_layer_rows(result), left=("layer",))
    core = result.energy[result.energy["scope"] != "system"]
    leaks = core["unit"] == "leakage"
    switched, leaked = (format_si(float(core.loc[rows, "energy_pj"].sum()) * 1e-12, "J", 4) for rows in (~leaks, leaks))
    typer.echo(f"\nswitching energy is the core's without leakage: {switched} in all, the input's included. Leakage,\n"
               f"{leaked}, belongs to no layer. In the rest of its cycles a layer idles: no event has arrived yet, or the\n"
               "pipeline drains")


def _rate_text(slow: dict[str, Any]) -> str:
    """Energy per sample at a rate of samples per second, and what the rate can be."""
    highest = slow["highest_rate_hz"]
    most = f"up to {highest:,.0f}/s" if highest >= 1000 else f"up to {highest:.4g}/s"
    if slow["energy_pj"] is None:
        return f"out of reach, {most}"
    energy = {scope: format_si(pj * 1e-12, "J") for scope, pj in slow["energy_pj"].items()}
    late = f"; {slow['late_samples']} samples take longer than the period" if slow["late_samples"] else ""
    return (f"{energy['core']} core, {energy['system']} system, {format_si(slow['power_w'], 'W')}; busy "
            f"{100 * slow['phase_s']['busy'] * slow['rate_hz']:.3g} % of the time, {most}{late}")


def _si(value: float, spread: float | None, scale: float, unit: str) -> str:
    """A mean and its standard deviation in one unit: "16.7 uJ ± 0.462"."""
    text = format_si(value * scale, unit)
    if spread is None:
        return text
    shown, prefixed = text.split()
    factor = float(shown) / (value * scale) if value else 1.0
    return f"{shown} ± {spread * scale * factor:.2g} {prefixed}"


def _accuracy_text(result: Result) -> str:
    f = result.facts
    if f.accuracy is None and f.accuracy_test_set is None:
        return "unknown: the trace has no labels, or no recorded read-out"
    return f"{percent(f.accuracy)} on these samples, {percent(f.accuracy_test_set)} on the whole test set"


def _check_text(result: Result) -> str:
    f = result.facts
    if not result.task.check:
        return "nothing was compared: timing only (--no-check), cycles and counts are those of the recorded spikes"
    if f.mismatches is None:
        return "nothing was compared: the trace has no weights or no outputs, or the core computes none"
    verdict = "every output is bit for bit the recorded one" if f.mismatches == 0 else f"{f.mismatches} outputs differ"
    where = "one sample" if f.samples == 1 else f"all {f.samples} samples"
    return f"{verdict}; {f.saturations} saturations, in {where}"


def _layer_rows(result: Result) -> list[dict[str, Any]]:
    """One row per layer: cycles and their causes, core energy, synaptic operations, per sample."""
    frame = result.cycles_frame
    cores = frame[frame["resource"] != CHANNEL]
    cycles = cores.pivot_table(index="layer", columns="cause", values="cycles", aggfunc="sum", fill_value=0)
    energy = result.energy[result.energy["scope"] != "system"].groupby("layer")["energy_pj"].sum()
    adds = result.activity[result.activity["event"] == "acc_add"].groupby("layer")["count"].sum()
    rows = []
    for name in result.facts.layers:
        part = cycles.loc[name]
        spent = part.drop(labels=["wait"], errors="ignore").sum()
        stalls = sum(part.get(cause, 0) for cause in ("stall_hazard", "stall_port", "stall_serialiser"))
        rows.append({
            "layer": name, "cycles": f"{spent:,.0f}", "busy": f"{100 * part.get('busy', 0) / max(1, spent):.0f} %",
            "stalled": f"{100 * stalls / max(1, spent):.0f} %", "synaptic operations": f"{adds.get(name, 0):,.0f}",
            "switching energy": format_si(energy.get(name, 0.0) * 1e-12, "J"),
        })
    return rows
