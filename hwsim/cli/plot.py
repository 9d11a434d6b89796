"""`hwsim plot`: pictures of saved runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from hwsim.cli.common import file_to_write
from hwsim.errors import HwsimError
from hwsim.result_reader import load_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hwsim.result import Result

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Pictures of saved runs.")

Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="Folders that `hwsim run --out` saved.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A folder that `hwsim run --out` saved.")]
Out = Annotated[str, typer.Option("--out", "-o", metavar="FILE", help="A .png, .svg or .pdf.")]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that exists.")]


@app.command("schedule")
def schedule(
    runs: Runs, out: Out, force: Force = False,
    sample: Annotated[int, typer.Option(help="Which of the replayed samples, from 0.")] = 0,
    cycles: Annotated[tuple[int, int] | None, typer.Option(metavar="FIRST LAST", help="Only these cycles.")] = None,
) -> None:
    """Who works when: a lane for each core, colours by layer; several runs below each other."""
    if cycles is not None and not 0 <= cycles[0] < cycles[1]:
        raise HwsimError(f"--cycles {cycles[0]} {cycles[1]}: expected a first cycle from 0 on and a later last one")
    # matplotlib is only loaded once the arguments are known to be good.
    from hwsim.view.lanes import schedule_figure

    _write(out, force, lambda: schedule_figure(_loaded(runs), sample=sample, cycles=cycles))


@app.command("mesh")
def mesh(run: Run, out: Out, force: Force = False) -> None:
    """Maps of a chip's mesh: where layers are, the energy of each core, the load of each link."""
    from hwsim.view.mesh import mesh_figure  # as above

    _write(out, force, lambda: mesh_figure(load_result(run)))


@app.command("cores")
def cores(runs: Runs, out: Out, force: Force = False) -> None:
    """Latency and energy against the number of cores, a line for each schedule and placement."""
    from hwsim.view.scaling import core_points, cores_figure  # as above

    _write(out, force, lambda: cores_figure(core_points(_loaded(runs))))


@app.command("energy")
def energy(runs: Runs, out: Out, force: Force = False) -> None:
    """Energy of one sample: by unit and by layer, of one run or of several side by side."""
    from hwsim.view.plot import energy_figure  # as above

    _write(out, force, lambda: energy_figure(_loaded(runs)))


@app.command("latency")
def latency(runs: Runs, out: Out, force: Force = False) -> None:
    """Latency of one sample: by cause and by layer, of one run or of several side by side."""
    from hwsim.view.plot import latency_figure  # as above

    _write(out, force, lambda: latency_figure(_loaded(runs)))


def _loaded(runs: list[str]) -> list[Result]:
    return [load_result(run) for run in runs]


def _write(out: str, force: bool, draw: Callable[[], Figure]) -> None:
    """The name of the file is looked at before anything is read or drawn."""
    from hwsim.view.figure_file import kind_of_file, write_figure  # as above

    kind_of_file(out)
    target = file_to_write(out, force)
    typer.echo(f"saved {write_figure(draw(), target)}")
