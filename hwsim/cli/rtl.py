"""`hwsim rtl`: one layer's core as Verilog with a self-checking testbench, and what synthesis makes of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.arch import load_architecture
from hwsim.cli.common import JsonOption, print_json, print_table
from hwsim.cores.event.runs import runs_of_tile
from hwsim.engine.single_run import payload_bits, replay_core
from hwsim.errors import HwsimError
from hwsim.rtl.synthesis import synthesise
from hwsim.rtl.verilog_names import file_problem
from hwsim.trace.reader import Trace
from hwsim.units import format_bits

if TYPE_CHECKING:
    from hwsim.arch import Architecture
    from hwsim.program import Program, Run
    from hwsim.record import CoreReplay
    from hwsim.snn.sample import Sample
    from hwsim.trace.reader import Trace

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  help="The core as hardware: Verilog, a testbench, and what synthesis makes of it.")

# A testbench that nobody cropped stops before this: Icarus needs a good half minute for it with 16 lanes.
CYCLES_BY_DEFAULT = 20_000


@app.command("export")
def export(
    arch: Annotated[str, typer.Option("--arch", help="Architecture: a YAML file or the name of a shipped design.")],
    trace: Annotated[str, typer.Option("--trace", help="Trace file (HDF5) with weights.")],
    layer: Annotated[str, typer.Option("--layer", help="Name of the layer whose core is written.")],
    out: Annotated[str, typer.Option("-o", "--out", metavar="FILE", help="Where the Verilog goes, e.g. core.v.")],
    schedule: Annotated[str, typer.Option(help="layer_by_layer or step_by_step.")] = "layer_by_layer",
    tile: Annotated[int, typer.Option(help="Which tile of the layer, where it is cut into several.")] = 0,
    timestep: Annotated[int, typer.Option(help="Which run of the tile: the one that begins with this timestep.")] = 0,
    testbench: Annotated[str | None, typer.Option("--testbench", metavar="FILE", help="Also write a self-checking testbench "
                                                  "here, and its data beside it (.mem).")] = None,
    sample: Annotated[int, typer.Option(help="The sample whose spikes the testbench feeds.")] = 0,
    eots: Annotated[int | None, typer.Option(help="Stop the testbench after N end-of-timestep marks (in gather order: of each "
                                             f"visit; default: all, or those of about {CYCLES_BY_DEFAULT:,} cycles).")] = None,
    activity: Annotated[bool, typer.Option("--activity", help="Make the activity strobes ports of the core.")] = False,
    module: Annotated[str, typer.Option(help="Name of the Verilog module.")] = "hwsim_core",
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the Verilog of the core that runs one tile of one layer: the RTL that the engines are proved against."""
    targets = _targets(out, testbench, (arch, trace), force)
    if eots is not None and testbench is None:
        raise HwsimError("--eots says where a testbench stops: give --testbench too")
    writer = _exporter()
    design = load_architecture(arch)
    with Trace.open(trace) as opened:
        _check_trace(opened, sample)
        program, runs = runs_of_tile(opened, design, layer, schedule=schedule, tile=tile, timestep=timestep)
        run = runs[-1].body
        made = writer.CoreExport(
            module=module, run=run, payload_bits=payload_bits(program.network, run), weight_bits=design.core.weight_bits,
            origin=_origin(opened, design, layer, tile, runs[-1], program.schedule), activity=activity)
        replay = _replay(program, runs, opened.sample(sample), eots) if testbench else None
    files = {targets[0]: made.verilog()}
    if replay is not None:
        # Loads Amaranth, an extra, which is there by now.
        from hwsim.rtl.testbench import Bench

        bench = Bench(made, replay)
        files |= {targets[1]: bench.verilog(targets[2].name), targets[2]: bench.data()}
    writer.write_files(files)
    body = _body(made, replay, runs[-1], list(files))
    if as_json:
        print_json(body)
    else:
        _print_export(body)


def _targets(out: str, testbench: str | None, inputs: tuple[str, ...], force: bool) -> list[Path]:
    """The files that will be written: the core, the testbench, its data. Refused before anything is computed."""
    targets = [Path(out)] + ([Path(testbench), Path(testbench).with_suffix(".mem")] if testbench else [])
    if len({path.resolve() for path in targets}) < len(targets):
        raise HwsimError(f"{out}, {testbench} and its data (.mem) must be different files")
    if problem := file_problem(targets[-1].name):
        raise HwsimError(f"{str(targets[-1])!r}: {problem}")
    for path in targets:
        if path.exists() and path.resolve() in {Path(name).resolve() for name in inputs}:
            raise HwsimError(f"{path}: is read by this command; name another file to write")
        if path.is_dir():
            raise HwsimError(f"{path}: is a folder; name a file")
        if path.exists() and not force:
            raise HwsimError(f"{path}: exists; give another name or --force")
        if not path.parent.is_dir():
            raise HwsimError(f"{path.parent}: no such folder; make it first")
    return targets


def _check_trace(opened: Trace, sample: int) -> None:
    if not opened.has_weights:
        raise HwsimError(f"{opened.name}: the trace has no weights; without them nobody knows the memories' widths and contents")
    if not 0 <= sample < opened.samples:
        raise HwsimError(f"{opened.name}: no sample {sample}; the trace has 0 to {opened.samples - 1}")


def _exporter() -> Any:
    """hwsim.rtl.export, which needs Amaranth."""
    try:
        # Amaranth is an extra.
        from hwsim.rtl import export as writer
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "amaranth":
            raise
        raise HwsimError("writing Verilog needs Amaranth: pip install 'hwsim[rtl]'") from None
    return writer


def _origin(
    opened: Trace, design: Architecture, layer: str, tile: int, run: Run, schedule: str
) -> tuple[tuple[str, str], ...]:
    first, end = run.timesteps
    which = f"timestep {first}" if end == first + 1 else f"timesteps {first} to {end - 1}"
    return (("trace", f"{opened.name} ({opened.content_hash[:16]})"), ("layer", f"{layer}, tile {tile}, {which}"),
            ("architecture", f"{design.name} ({design.timing_hash()[:16]}), {schedule}"))


def _replay(program: Program, runs: list[Run], recorded: Sample, eots: int | None) -> CoreReplay:
    """The run as the testbench feeds it: all of it, or as many whole timesteps as keep the simulation short."""
    replay = replay_core(program, runs, recorded, eots)
    if eots is not None or replay.log.done <= CYCLES_BY_DEFAULT:
        return replay
    if replay.visits > 1:  # each visit has all timesteps
        short = runs[-1].eots * CYCLES_BY_DEFAULT // replay.log.done
    else:
        short = int((replay.log.push[replay.tokens[:, 0] < 0] <= CYCLES_BY_DEFAULT).sum())
    return replay_core(program, runs, recorded, max(1, short))


def _body(made: Any, replay: CoreReplay | None, operation: Run, files: list[Path]) -> dict[str, Any]:
    body: dict[str, Any] = {
        "module": made.module, "files": [str(path) for path in files], "bytes": [path.stat().st_size for path in files],
        "lanes": made.run.core.lanes, "words": made.run.words,
        "memory_bits": {name: words * made.run.core.lanes * bits for name, (words, bits) in made.core.memories.items()},
    }
    if replay is not None:
        body["testbench"] = {"tokens": len(replay.tokens), "eots": replay.eots, "eots_of_run": operation.eots,
                             "visits": replay.visits,
                             "spikes": len(replay.log.spikes), "cycles": replay.log.done}
    return body


def _print_export(body: dict[str, Any]) -> None:
    memories = ", ".join(f"{name} {format_bits(bits)}" for name, bits in body["memory_bits"].items())
    typer.echo(f"wrote {body['files'][0]}: module {body['module']}, {body['lanes']} lanes, {body['words']} words; {memories}")
    if bench := body.get("testbench"):
        whole = "" if bench["eots"] == bench["eots_of_run"] else f" of {bench['eots_of_run']}"
        visits = f" in each of {bench['visits']:,} visits" if bench["visits"] > 1 else ""
        core, tb, data = body["files"]
        typer.echo(f"wrote {tb} and {data}: {bench['tokens']:,} tokens, {bench['eots']}{whole} EOTs{visits}, {bench['spikes']:,} "
                   f"spikes, {bench['cycles']:,} cycles")
        typer.echo("for a waveform (GTKWave, Surfer), put behind what follows: +wave=run.vcd, or: -fst +wave=run.fst")
        typer.echo(f"run it: {run_hint(Path(tb), Path(core))}")


def run_hint(testbench: Path, core: Path) -> str:
    """What a shell takes to run the testbench by Icarus: in its folder, where its data are looked for."""
    folder = testbench.parent
    same = core.parent.resolve() == folder.resolve()
    files = (Path(testbench.name), Path(core.name) if same else core.resolve())
    enter = "" if folder == Path(".") else f"cd {_for_shell(folder)} && "
    return f"{enter}iverilog -g2012 -o tb.vvp {' '.join(map(_for_shell, files))} && vvp -n tb.vvp"


def _for_shell(path: Path) -> str:
    """One word that no command takes for an option."""
    return shlex.quote(f"./{path}" if str(path).startswith("-") else str(path))


@app.command("report")
def report(
    verilog: Annotated[str, typer.Argument(help="Verilog of a core, as hwsim rtl export writes it.")],
    as_json: JsonOption = False,
) -> None:
    """Synthesise a core with yosys, memories left as they are: gates, flip-flops, memory bits, longest path."""
    made = synthesise(verilog)
    if as_json:
        print_json({"file": verilog, **made.body()})
        return
    typer.echo(f"{verilog}: module {made.module}, {made.yosys}\n")
    print_table([{"cells": name, "number": f"{number:,}"} for name, number in sorted(made.cells.items())], left=("cells",))
    for name, text in (("gates", f"{made.gates:,}"), ("flip-flops", f"{made.flip_flops:,}"),
                       ("memories", f"{made.memories}, {made.memory_bits:,} bits, not mapped to gates"),
                       ("longest path", f"{made.longest_path} gates, from {made.path_from} to {made.path_to}")):
        typer.echo(f"\n{name:<13} {text}" if name == "gates" else f"{name:<13} {text}")
    typer.echo("gates of yosys' own, without a library and without a clock to meet: for comparing cores, not for silicon")
