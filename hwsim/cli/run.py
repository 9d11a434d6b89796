"""`hwsim run`: one trace on one architecture."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.chip import print_busy, print_stream
from hwsim.cli.common import (
    JsonOption,
    LeakOption,
    PriceOption,
    PricesOption,
    RateOption,
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
from hwsim.result_file import check_target
from hwsim.shards import SHARD, simulate_in_shards
from hwsim.simulation import simulate
from hwsim.stream import back_to_back as stream_samples
from hwsim.timeline.write import write_timeline
from hwsim.trace.reader import Trace
from hwsim.units import format_si

if TYPE_CHECKING:
    from hwsim.result import Result


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def run_command(
    trace: Annotated[str, typer.Argument(help="Trace file (HDF5).")],
    arch: Annotated[str | None, typer.Option("--arch", help=(
        "Architecture: a YAML file or the name of a shipped design (default: the first shipped one that the trace runs on)."))
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
    for problem in result.clock_problems:
        typer.echo(f"warning: {problem}", err=True)
    row = None if back_to_back is None else stream_samples(trace, result.architecture, back_to_back, schedule=schedule,
                                                           spikes=spikes)
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
    file_to_write(timeline, force)
    return {"samples": _range("--timeline-samples", samples), "cycles": _range("--timeline-cycles", cycles)}


def _range(option: str, text: str | None) -> tuple[int, int] | None:
    """A:B as two numbers."""
    if text is None:
        return None
    first, _, end = text.partition(":")
    if not (first.isdecimal() and end.isdecimal()):
        raise HwsimError(f"{option}: found {text!r}, expected A:B, two whole numbers such as 0:1000")
    return int(first), int(end)


def _many(trace: str, samples: int | None) -> bool:
    """Whether a run is worth several processes, and going on with."""
    if samples is not None:
        return samples > 2 * SHARD
    with Trace.open(trace) as opened:
        return opened.samples > 2 * SHARD


def _in_shards(trace: str, arch: str | None, out: str | None, workers: int | None, how: dict[str, Any]) -> Result:
    try:
        return simulate_in_shards(trace, arch, folder=out, workers=workers, **how)
    except KeyboardInterrupt:
        if out:
            typer.echo(f"stopped; {out} keeps what is done, and the same command goes on", err=True)
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
