"""`hwsim run`: one trace on one architecture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.chip import print_busy, print_stream
from hwsim.cli.common import (
    JsonOption,
    LeakOption,
    PriceOption,
    PricesOption,
    RateOption,
    a_to_b,
    file_to_write,
    print_json,
    print_table,
    progress,
    read_overrides,
)
from hwsim.cost.rate import DEFAULT_RATE_HZ
from hwsim.counted import WORKING
from hwsim.errors import HwsimError
from hwsim.program import CHANNEL
from hwsim.result_card import card_text
from hwsim.result_file import SHARD, check_target, saved_run
from hwsim.simulation import simulate
from hwsim.trace.reader import Trace
from hwsim.units import format_si

if TYPE_CHECKING:
    from hwsim.result import Result
    from hwsim.stream import Stream


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def run_command(
    trace: Annotated[str, typer.Argument(help="Trace file (HDF5), or an example: bit_serial, rate, ann.")],
    arch: Annotated[str | None, typer.Option("--arch", help=(
        "Architecture: a YAML file or the name of a shipped design (default: the trace's, see hwsim list)."))
    ] = None,
    schedule: Annotated[str, typer.Option(help="layer_by_layer (layer), step_by_step (step), or pipelined on a chip with links.")
    ] = "layer_by_layer",
    engine: Annotated[str, typer.Option(help="fast or reference; the same numbers to the cycle.")] = "fast",
    spikes: Annotated[str, typer.Option(help="trace: feed recorded spikes; computed: layer feeds layer.")] = "trace",
    samples: Annotated[int | None, typer.Option(help="Replay the first N samples (default: all).")] = None,
    check: Annotated[
        bool, typer.Option(help="Compute every output and compare it; --no-check: timing only, from recorded spikes.")] = True,
    back_to_back: Annotated[int | None, typer.Option(
        metavar="N", help="Also: N samples in a row without a pause, and their period (a chip with a network).")] = None,
    out: Annotated[str | None, typer.Option(
        metavar="DIR", help="Save the result (CSV, JSON) and figures here; a long run that was stopped goes on.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help=(
        f"Processes for more than {2 * SHARD} samples (default: one for each processor)."))] = None,
    timeline: Annotated[str | None, typer.Option("--timeline", metavar="FILE", help=(
        "Write what every unit did in every cycle, for ui.perfetto.dev: a .json."))] = None,
    timeline_samples: Annotated[str | None, typer.Option(
        metavar="A:B", help="Of the replayed samples, those from place A up to B, B left out (default: all).")] = None,
    timeline_cycles: Annotated[str | None, typer.Option(
        metavar="A:B", help="Cycles A up to B, B left out, from the begin of the first of these samples (default: all).")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a timeline that exists.")] = False,
    price: PriceOption = None,
    prices: PricesOption = None,
    leak_unused: LeakOption = False,
    rate: RateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay one trace on one architecture, cycle by cycle, and check every output (unless --no-check)."""
    if out is not None:
        check_target(out)
    earlier = None if out is None else saved_run(out)
    window = _window(timeline, timeline_samples, timeline_cycles, force)
    with progress("samples") as report:
        how: dict[str, Any] = {
            "schedule": schedule, "engine": engine, "spikes": spikes, "samples": samples, "check": check,
            "overrides": read_overrides(price, prices), "leak_unused": leak_unused,
            "rate_hz": DEFAULT_RATE_HZ if rate is None else rate, "progress": report}
        result = _in_shards(trace, arch, out, workers, how) if _many(trace, samples) else simulate(trace, arch, **how)
    if rate is not None:
        result.at_rate(rate)  # refuses one that was asked for and that is out of reach
    if out:
        # matplotlib is only loaded for a run that is kept.
        from hwsim.view.plot import save_figures

        result.save(out, draw=save_figures, command=["hwsim", *sys.argv[1:]])
        if earlier is not None and earlier[0] != result.run_id:
            typer.echo(f"note: {out} held another run, which this one replaced: {earlier[1]}", err=True)
    for problem in result.clock_problems:
        typer.echo(f"warning: {problem}", err=True)
    row = None if back_to_back is None else _streamed(trace, result, back_to_back, schedule, spikes)
    if arch is None:
        typer.echo(f"design: {result.facts.arch}, the default for this trace; --arch names another (`hwsim list` shows them)",
                   err=True)
    if as_json:
        streamed = {} if row is None else {"back_to_back": row.summary() | {"energy_pj": row.energy_pj(result)}}
        print_json(result.summary() | streamed)
        _write_timeline(result, trace, timeline, window)
        return
    _print_result(result)
    if result.architecture.network is not None:
        print_busy(result)
    if row is not None:
        typer.echo("")
        print_stream(row, result)
    if out:
        typer.echo(f"\nsaved in {out}: result.json, CSV frames, energy.png, latency.png")
    if _write_timeline(result, trace, timeline, window):
        typer.echo(f"\nsaved {timeline}: open it in ui.perfetto.dev; one microsecond there is one cycle")


def _write_timeline(
    result: Result, trace: str, timeline: str | None, window: dict[str, tuple[int, int] | None]
) -> bool:
    """After everything else: a timeline that is too long to draw must not cost the result. Whether there is one."""
    if timeline is not None:
        from hwsim.timeline.write import write_timeline  # only loaded for a run that writes one

        write_timeline(result, trace, timeline, **window)
    return timeline is not None


def _window(
    timeline: str | None, samples: str | None, cycles: str | None, force: bool
) -> dict[str, tuple[int, int] | None]:
    """What part of a timeline is written; refused before anything is replayed."""
    if timeline is None:
        if samples is not None or cycles is not None:
            option = "--timeline-samples" if samples is not None else "--timeline-cycles"
            raise HwsimError(f"{option} says what part of a timeline is written: give --timeline FILE too")
        return {}
    if Path(timeline).suffix.lower() != ".json":
        raise HwsimError(f"--timeline {timeline}: a timeline is written as JSON; expected a name that ends with .json")
    file_to_write(timeline, force)
    return {"samples": a_to_b("--timeline-samples", samples), "cycles": a_to_b("--timeline-cycles", cycles)}


def _many(trace: str, samples: int | None) -> bool:
    """Whether a run is worth several processes, and going on with."""
    if samples is not None:
        return samples > 2 * SHARD
    with Trace.open(trace) as opened:
        return opened.samples > 2 * SHARD


def _streamed(trace: str, result: Result, count: int, schedule: str, spikes: str) -> Stream:
    from hwsim.stream import back_to_back as stream_samples  # only loaded where it is asked for

    return stream_samples(trace, result.architecture, count, schedule=schedule, spikes=spikes)


def _in_shards(trace: str, arch: str | None, out: str | None, workers: int | None, how: dict[str, Any]) -> Result:
    from hwsim.shards import simulate_in_shards  # processes and what they need are only loaded for many samples

    try:
        return simulate_in_shards(trace, arch, folder=out, workers=workers, **how)
    except KeyboardInterrupt:
        if out:
            kept = f"{out} keeps what is done, and the same command goes on" if Path(out).is_dir() else "nothing was done yet"
            typer.echo(f"stopped; {kept}", err=True)
        raise


def _print_result(result: Result) -> None:
    n, summary = result.facts.samples, result.summary()
    typer.echo(card_text(summary))
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
        busy = sum(part.get(cause, 0) for cause in WORKING)
        rows.append({
            "layer": name, "cycles": f"{spent:,.0f}", "busy": f"{100 * busy / max(1, spent):.0f} %",
            "stalled": f"{100 * stalls / max(1, spent):.0f} %", "synaptic operations": f"{adds.get(name, 0):,.0f}",
            "switching energy": format_si(energy.get(name, 0.0) * 1e-12, "J"),
        })
    return rows
