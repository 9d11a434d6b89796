"""`hwsim arch`: what a design is, whether it can be built, and which traces run on it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.arch import LONGEST_NAME, NAME_PATTERN, dump_architecture, find_config, load_architecture
from hwsim.arch_schema import architecture_schema
from hwsim.chip.model import why_nothing_runs
from hwsim.chip.placement import placement_of, placement_problems
from hwsim.chip.slices import laid_out
from hwsim.cli.chip import placement_rows, print_placement
from hwsim.cli.common import JsonOption, file_to_write, print_json, print_notes, print_table, print_wrapped, with_footnotes
from hwsim.cli.list import design_rows, print_designs
from hwsim.cores.loop_nest import nest_text
from hwsim.cost.area import area
from hwsim.cost.clock import check_timing, macros
from hwsim.cost.energy import check_prices, leakage
from hwsim.errors import HwsimError
from hwsim.files import whole_file
from hwsim.schedules import SCHEDULES, schedules_for
from hwsim.simulation import placed_for, why_not
from hwsim.trace.reader import Trace
from hwsim.units import format_bits, format_si

if TYPE_CHECKING:
    from hwsim.arch import Architecture

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  help="Look at and check architectures.")


@app.command("list")
def list_designs(as_json: JsonOption = False) -> None:
    """Print the shipped designs and what each one is."""
    if as_json:
        print_json(design_rows())
    else:
        print_designs()


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="The name of the new design.")],
    start: Annotated[str, typer.Option("--from", metavar="DESIGN", help="A shipped design, or a YAML file, to start from.")
                     ] = "event_core_64",
    out: Annotated[str | None, typer.Option("-o", "--out", metavar="FILE", help="Default: NAME.yaml.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a design file of your own to edit: a copy of another one, comments included, under a new name."""
    source = find_config(start)
    load_architecture(source)  # what is no design is told as everywhere else
    if not re.fullmatch(NAME_PATTERN, name) or len(name) > LONGEST_NAME:
        raise HwsimError(f"{name!r} is no name for a design: expected up to {LONGEST_NAME} letters, digits and _.+@-, the first "
                         "of them a letter or digit")
    text = source.read_text()
    copied, found = re.subn(r"(?m)^name:.*$", f"name: {name}", text)
    target = file_to_write(out or f"{name}.yaml", force)
    if found != 1:
        raise HwsimError(f"{source}: has {found} lines 'name: ...' at its top; expected one; copy the file by hand")
    with whole_file(target) as made:
        made.write_text(copied)
        try:
            load_architecture(made)
        except HwsimError as error:  # the name cannot be; the file has not taken its place yet
            raise HwsimError(str(error).replace(str(made), str(target))) from None
    if as_json:
        print_json({"file": str(target), "copy_of": source.stem})
        return
    typer.echo(f"written: {target}, a copy of {source.stem}; next: hwsim arch check {target}")


@app.command("schema")
def schema(as_json: Annotated[bool, typer.Option("--json", help="The same: a schema is JSON.")] = False) -> None:
    """Print the JSON Schema of design files. Editors complete and check YAML with it."""
    print_json(architecture_schema())


@app.command("show")
def show(
    arch: Annotated[str, typer.Argument(help="A YAML file or the name of a shipped design.")],
    as_json: JsonOption = False,
) -> None:
    """Print a design: its parameters, the loop nest that it means, its memories, area and leakage."""
    design = load_architecture(arch)
    areas, leaks = area(design), leakage(design)
    if as_json:
        print_json({"architecture": dump_architecture(design), "area": areas.to_dict("records"),
                    "leakage": leaks.to_dict("records"), "memories": _memory_rows(design),
                    "loop_nest": [list(nest_text(one.loop_nest)) for one in design.cores]})
        return
    typer.echo(f"{design.name}: {design.description}\n")
    typer.echo(f"clock         {format_si(design.clock, 'Hz')} ({design.period_ns:.3g} ns)")
    for one in design.cores:
        many = f"{one.count} x " if one.count > 1 else ""
        print_wrapped(f"core          {many}{_fields(one.core.model_dump())}", 14)
    typer.echo(f"channel       {design.channel.bits_per_cycle} bits a cycle, {design.channel.latency_cycles} cycles latency")
    print_wrapped(f"technology    {_fields(design.technology.model_dump())}", 14)
    typer.echo("")
    _print_nests(design)
    print_table(_memory_rows(design), left=("memory",))
    typer.echo(f"\narea          {areas['area_um2'].sum() / 1e6:.3f} mm2, leakage {leaks['leakage_mw'].sum():.3g} mW\n")
    leak_of = dict(zip(leaks["component"], leaks["leakage_mw"], strict=True))
    lines, notes = with_footnotes([
        {"component": r["component"], "count": r["count"], "um2": f"{r['area_um2']:,.0f}",
         "leakage mW": f"{leak_of.get(r['component'], 0.0):.4g}", "source": r["source"]} for r in areas.to_dict("records")])
    print_table(lines, left=("component", "source"))
    print_notes(notes)


def _fields(values: Mapping[str, Any]) -> str:
    """Names and values as a design file has them; what has parts, in brackets."""
    def text(value: Any) -> str:
        if isinstance(value, Mapping):
            return f"({_fields(value)})"
        return str(value).lower() if isinstance(value, bool) else str(value)

    return ", ".join(f"{name} {text(value)}" for name, value in values.items() if value is not None)


def _print_nests(design: Architecture) -> None:
    """How each kind of core goes through one layer."""
    for (where, _), one in zip(design.entries(), design.cores, strict=True):
        if one.loop_nest:
            typer.echo(f"loop nest of one layer{f' on {where}' if where else ''}, outermost first; parallel-for is spatial")
            for line in nest_text(one.loop_nest):
                typer.echo(f"  {line}")
            typer.echo("")


def _memory_rows(design: Any) -> list[dict[str, Any]]:
    rows = []
    for place, (one, _) in enumerate(design.kinds()):
        for name, macro in macros(one).items():
            which = name if len(design.cores) == 1 else f"cores[{place}] {name}"
            rows.append({
                "memory": which, "capacity": format_bits(macro.capacity_bits), "row": f"{macro.row_bits} bit",
                "banks": macro.banks, "bank": format_bits(macro.bank_bits), "read pJ": f"{macro.read_pj:.3g}",
                "write pJ": f"{macro.write_pj:.3g}", "access ns": f"{macro.access_ns:.3g}",
                "leakage mW": f"{macro.leakage_mw:.3g}", "mm2": f"{macro.area_um2 / 1e6:.3g}",
            })
    return rows


@app.command("place")
def place(
    arch: Annotated[str, typer.Argument(help="A YAML file or the name of a shipped design, with a network.")],
    trace: Annotated[str, typer.Option("--trace", help="The trace whose layers are placed.")],
    as_json: JsonOption = False,
) -> None:
    """Print which core computes which channels and rows (or columns) of each layer of a trace, and which schedules run so."""
    with Trace.open(trace) as opened:
        design = placed_for(load_architecture(arch), opened)
        network = laid_out(opened.network, design)
        if wrong := placement_problems(design, network):
            raise HwsimError("\n".join(wrong))
        why = {schedule: why_not(opened, design, schedule) for schedule in schedules_for(design)}
        runs = [schedule for schedule, reason in why.items() if reason is None]
        if as_json:
            print_json({"placement": placement_of(design, network), "shares": placement_rows(design, network), "runs": runs})
            return
        typer.echo(f"{opened.name} on {design.name}\n")
        print_placement(design, network)
        typer.echo(f"\nschedules that run: {', '.join(runs) or 'none'}")
        for reason in () if runs else dict.fromkeys(filter(None, why.values())):
            typer.echo(f"  {reason}")


@app.command("check")
def check(
    archs: Annotated[list[str], typer.Argument(help="YAML files or names of shipped designs.")],
    trace: Annotated[list[str] | None, typer.Option("--trace", help="Also: does this trace run on it? Repeatable.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check designs: fields, memory access times against the clock, cores that run networks together, and which traces run on
    them. Exit 1 if any fails."""
    designs, findings = [], []
    for name in archs:
        design, problems = _problems(name)
        designs += [design] if design and not problems else []
        findings.append({"arch": design.name if design else name, "problems": problems})
    fits = _fits(designs, trace or [])
    if as_json:
        print_json({"timing": findings, "runs": fits})
    else:
        for finding in findings:
            typer.echo(f"{finding['arch']}: " + ("ok" if not finding["problems"] else "cannot be built as it is"))
            for problem in finding["problems"]:
                typer.echo(f"  - {problem}")
        _print_fits(fits)
    if any(f["problems"] for f in findings):
        raise typer.Exit(1)


def _problems(source: str) -> tuple[Architecture | None, list[str]]:
    """A design and all that is wrong with it: its file, its prices and area, its cores, its memories' access times."""
    design = None
    try:
        design = load_architecture(source)
        check_prices(design)
        area(design)
        nothing = why_nothing_runs(design)
        return design, [*([f"nothing runs on it: {nothing}"] if nothing else []), *check_timing(design)]
    except HwsimError as error:
        return design, str(error).splitlines()


def _print_fits(fits: list[dict[str, Any]]) -> None:
    """Traces down, designs across, the schedules that run in the cells; below it every reason once."""
    if not fits:
        return
    cells: dict[str, dict[str, str]] = {}
    reasons: dict[str, list[str]] = {}
    for row in fits:
        line = cells.setdefault(row["trace"], {"trace": row["trace"]})
        runs = SCHEDULES[row["schedule"]].short if row["runs"] else ""
        line[row["arch"]] = " ".join(filter(None, (line.get(row["arch"], ""), runs)))
        if not row["runs"]:
            for reason in row["why"].splitlines()[1:] or [row["why"]]:
                where = f"{row['trace']} on {row['arch']}, {row['schedule']}"
                reasons.setdefault(reason.strip(" -"), []).append(where)
    typer.echo("\nschedules that run:")
    table = [{key: value or "-" for key, value in line.items()} for line in cells.values()]
    print_table(table, left=tuple(table[0]))
    for reason, places in reasons.items():
        more = f" and {len(places) - 2} more" if len(places) > 2 else ""
        typer.echo(f"\n{'; '.join(places[:2])}{more}:\n  {reason}")


def _fits(designs: list[Any], traces: list[str]) -> list[dict[str, Any]]:
    """One row for each trace, architecture and schedule: whether it runs, and why not."""
    rows = []
    for path in traces:
        with Trace.open(path) as opened:
            for design in designs:
                for schedule in schedules_for(design):
                    why = why_not(opened, design, schedule)
                    rows.append({"trace": opened.name, "arch": design.name, "schedule": schedule,
                                 "runs": why is None, "why": why})
    return rows
