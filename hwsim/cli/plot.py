"""`hwsim plot`: pictures of saved runs and of studies, and with `--json` the numbers that are drawn.

Each command takes the same options: the file to write, its width, and whether its numbers are printed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.best import WhereOption
from hwsim.cli.common import JsonOption, Width, WidthOption, a_to_b, file_to_write, print_json
from hwsim.result_reader import load_result
from hwsim.sweep.front import candidates
from hwsim.sweep.front import pareto as pareto_front
from hwsim.sweep.rows import set_by_points, study_frame

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from hwsim.result import Result

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  help="Pictures of saved runs and of studies.")


Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="Folders that `hwsim run --out` saved.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A folder that `hwsim run --out` saved.")]
Out = Annotated[str, typer.Option("--out", "-o", metavar="FILE", help="A .png, .svg or .pdf.")]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that exists.")]
Rows = list[dict[str, Any]]


@app.command("schedule")
def schedule(
    runs: Runs, out: Out, force: Force = False, width: WidthOption = Width.screen,
    sample: Annotated[int, typer.Option(help="Which of the replayed samples, from 0.")] = 0,
    cycles: Annotated[str | None, typer.Option(metavar="A:B", help="Only cycles A up to B, B left out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Who works when: a lane for each core, colours by layer; several runs below each other."""
    window = a_to_b("--cycles", cycles)
    # matplotlib is only loaded once the arguments are known to be good.
    from hwsim.view.lanes import schedule_figure
    from hwsim.view.numbers_drawn import schedule_numbers

    _write(out, force, as_json, _loaded(runs),
           lambda found: schedule_figure(found, sample=sample, cycles=window, width=width.value),
           lambda one: schedule_numbers(one, sample, window))


@app.command("mesh")
def mesh(run: Run, out: Out, force: Force = False, width: WidthOption = Width.screen, as_json: JsonOption = False) -> None:
    """Maps of a chip's mesh: where layers are, the energy of each core, the load of each link."""
    from hwsim.view.mesh import mesh_figure  # as above
    from hwsim.view.numbers_drawn import mesh_numbers

    _write(out, force, as_json, _loaded([run]), lambda found: mesh_figure(found[0], width.value), mesh_numbers)


@app.command("cores")
def cores(runs: Runs, out: Out, force: Force = False, width: WidthOption = Width.screen, as_json: JsonOption = False) -> None:
    """Latency and energy against the number of cores, a line for each schedule and placement."""
    from hwsim.view.numbers_drawn import cores_numbers  # as above
    from hwsim.view.scaling import core_points, cores_figure

    _write(out, force, as_json, _loaded(runs), lambda found: cores_figure(core_points(found), width.value), cores_numbers)


@app.command("energy")
def energy(runs: Runs, out: Out, force: Force = False, width: WidthOption = Width.screen, as_json: JsonOption = False) -> None:
    """Energy of one sample: by unit and by layer, of one run or of several side by side."""
    from hwsim.view.numbers_drawn import energy_numbers  # as above
    from hwsim.view.plot import energy_figure

    _write(out, force, as_json, _loaded(runs), lambda found: energy_figure(found, width.value), energy_numbers)


@app.command("latency")
def latency(runs: Runs, out: Out, force: Force = False, width: WidthOption = Width.screen, as_json: JsonOption = False) -> None:
    """Latency of one sample: by cause and by layer, of one run or of several side by side."""
    from hwsim.view.numbers_drawn import latency_numbers  # as above
    from hwsim.view.plot import latency_figure

    _write(out, force, as_json, _loaded(runs), lambda found: latency_figure(found, width.value), latency_numbers)


@app.command("activity")
def activity(
    run: Run, out: Out, force: Force = False, width: WidthOption = Width.screen,
    event: Annotated[str, typer.Option(help="What is counted: spike_out, acc_add (synaptic operations), fifo_pop, ...")
                     ] = "spike_out",
    as_json: JsonOption = False,
) -> None:
    """How often an event happens in each layer and timestep."""
    from hwsim.view.activity import activity_figure  # as above
    from hwsim.view.run_numbers import activity_rows

    _write(out, force, as_json, _loaded([run]), lambda found: activity_figure(found[0], event=event, width=width.value),
           lambda one: _records(activity_rows(one, event)))


@app.command("utilisation")
def utilisation(run: Run, out: Out, force: Force = False, width: WidthOption = Width.screen, as_json: JsonOption = False) -> None:
    """What becomes of the lanes' cycles in each layer."""
    from hwsim.view.run_numbers import utilisation_rows  # as above
    from hwsim.view.utilisation import utilisation_figure

    _write(out, force, as_json, _loaded([run]), lambda found: utilisation_figure(found[0], width=width.value),
           lambda one: _records(utilisation_rows(one)))


@app.command("roofline")
def roofline(runs: Runs, out: Out, force: Force = False, width: WidthOption = Width.screen, as_json: JsonOption = False) -> None:
    """Synaptic operations per second against operations per byte, off the chip and on it, below the roofs of the design."""
    from hwsim.view.roofline import roofline_figure  # as above
    from hwsim.view.run_numbers import roofline_rows, roofs

    _write(out, force, as_json, _loaded(runs), lambda found: roofline_figure(found, width=width.value),
           lambda one: _records(roofline_rows(one).assign(**{f"most_{name}": value for name, value in roofs(one).items()})))


@app.command("density")
def density(runs: Runs, out: Out, force: Force = False, width: WidthOption = Width.screen, as_json: JsonOption = False) -> None:
    """Energy per synaptic operation against the density of spikes, a mark for each sample."""
    from hwsim.view.density import density_figure  # as above
    from hwsim.view.run_numbers import density_rows

    _write(out, force, as_json, _loaded(runs), lambda found: density_figure(found, width=width.value),
           lambda one: _records(density_rows(one)))


@app.command("pareto")
def pareto(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of a study (`hwsim sweep --out`).")],
    out: Out, force: Force = False, width: WidthOption = Width.screen,
    delay: Annotated[str, typer.Option(help="Column along x.")] = "latency_ms",
    energy: Annotated[str, typer.Option(help="Column along y.")] = "energy_uj",
    where: WhereOption = None, as_json: JsonOption = False,
) -> None:
    """Energy against delay of a study's points, with the front that no other point beats."""
    from hwsim.view.figure_file import kind_of_file, write_figure  # as above
    from hwsim.view.pareto import pareto_figure

    kind_of_file(out)
    target = file_to_write(out, force)
    table = study_frame(folder)
    front = pareto_front(table, [delay, energy], where=where or []).sort_values(delay)
    points = candidates(table, [delay, energy], where or [])
    figure = pareto_figure(points, front, _names(table, front), delay=delay, energy=energy, title=folder, width=width.value)
    written = write_figure(figure, target)
    if as_json:
        print_json({"figure": str(written), "front": _records(front), "points": _records(points)})
    else:
        typer.echo(f"saved {written}")


def _names(table: pd.DataFrame, front: pd.DataFrame) -> list[str]:
    """What tells the points of the front apart: the labels that differ in the study."""
    varied = [name for name in set_by_points(table) if table[name].map(str).nunique() > 1]
    return [", ".join(f"{name.rpartition('.')[2]} {row[name]}" for name in varied) for row in front.to_dict("records")]


def _records(frame: pd.DataFrame) -> Rows:
    """A frame's rows as JSON can say them."""
    found: Rows = json.loads(frame.to_json(orient="records"))
    return found


def _loaded(runs: list[str]) -> Callable[[], dict[str, Result]]:
    return lambda: {run: load_result(run) for run in runs}  # a run that is named twice is drawn once


def _write(
    out: str, force: bool, as_json: bool, load: Callable[[], dict[str, Result]], draw: Callable[[list[Result]], Figure],
    numbers: Callable[[Result], Rows],
) -> None:
    """The name of the file is looked at before anything is read or drawn. numbers: what is drawn of one run."""
    from hwsim.view.figure_file import kind_of_file, write_figure  # as above

    kind_of_file(out)
    target = file_to_write(out, force)
    results = load()
    written = write_figure(draw(list(results.values())), target)
    if as_json:
        print_json({"figure": str(written), "rows": [{"run": run} | row for run, one in results.items() for row in numbers(one)]})
    else:
        typer.echo(f"saved {written}")
