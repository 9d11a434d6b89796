"""The command line: `hwsim run`, `compare`, `trace`, `capture`, `train`, `convert`, `arch`, `energy`, `rtl`. Text for people,
`--json` for programs.

Results go to stdout, progress and warnings to stderr. A mistake in the input is one text on stderr and exit status 2.
Heavy libraries load inside the commands, so that `hwsim --help` is quick.
"""

from __future__ import annotations

import sys

import typer

from hwsim import __version__
from hwsim.cli.arch import arch_app
from hwsim.cli.capture import capture_app
from hwsim.cli.compare import compare_command
from hwsim.cli.convert import convert_command
from hwsim.cli.energy import energy_app
from hwsim.cli.rtl import rtl_app
from hwsim.cli.run import run_command
from hwsim.cli.trace import trace_app
from hwsim.cli.train import train_command
from hwsim.errors import HwsimError

app = typer.Typer(
    name="hwsim", no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Replay the spikes of a converted network on a described neuromorphic core: cycles, energy, area, and the "
         "bit-exact check of the result.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hwsim {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    pass


app.command("run", help="Replay one trace on one architecture.")(run_command)
app.command("compare", help="One table and two figures: traces x architectures x schedules, and the ANN baselines.")(
    compare_command)
app.add_typer(trace_app, name="trace", help="Look at, check and make spike traces.")
app.add_typer(capture_app, name="capture", help="Traces from PyTorch models (SpikingJelly, snnTorch) and NIR graphs.")
app.command("train", help="Train a source network (torch): every activation that the papers convert.")(train_command)
app.command("convert", help="A trained network by a paper's method: integers, accuracy, and a trace to replay.")(convert_command)
app.add_typer(arch_app, name="arch", help="Look at and check architectures.")
app.add_typer(energy_app, name="energy", help="Prices and where they come from.")
app.add_typer(rtl_app, name="rtl", help="The core as hardware: Verilog, a testbench, and what synthesis makes of it.")


def main() -> None:
    """Entry point of the `hwsim` command."""
    try:
        app()
    except HwsimError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except (OSError, MemoryError) as error:
        typer.echo(f"error: {error or 'out of memory'}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
