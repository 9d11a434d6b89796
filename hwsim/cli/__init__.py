"""The command line: COMMANDS lists what `hwsim` can be asked. Text for people, `--json` for programs.

Results go to stdout, progress and warnings to stderr. A mistake in the input is one text on stderr and exit status 2.
Each command is a module with an `app`, which is imported when the command is called: `hwsim --help` loads none of them.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from hwsim import __version__
from hwsim.errors import HwsimError, shown

COMMANDS = {
    "demo": "The first minute: a small network in three forms.",
    "list": "Designs, example traces and price tables that come with hwsim.",
    "estimate": "From a PyTorch, ONNX or NIR model to cycles and energy.",
    "run": "Replay one trace on one architecture.",
    "compare": "Traces x architectures x schedules, beside ANN baselines.",
    "rivals": "A design against every ANN machine: equal lanes, area, latency.",
    "assume": "Who wins, SNN or ANN, under whose way of counting energy.",
    "breakeven": "The spike rate at which an SNN stops winning, by account.",
    "sensitivity": "Which comparisons survive the spread of published prices.",
    "suite": "Frozen suites of machines, prices and accounts.",
    "card": "One page on who wins, by a frozen suite; verify one.",
    "claims": "What the papers claim, computed again, with a verdict.",
    "sweep": "Many designs, traces, schedules and prices; resumable.",
    "search": "Reference designs: every machine at its best, chosen by search.",
    "pareto": "The points of a sweep that no other beats.",
    "best": "The best points of a sweep.",
    "plot": "Pictures of saved runs and of studies.",
    "report": "Saved runs as one page of HTML, with sources.",
    "diff": "What moved which number between two saved runs.",
    "trace": "Look at, check and make spike traces.",
    "capture": "Traces from PyTorch models and NIR graphs; events as inputs.",
    "train": "Train a source network with PyTorch.",
    "convert": "Convert a trained network by a paper's method, or your own ANN.",
    "deviation": "Where a converted network differs from its source, by layer.",
    "arch": "Look at and check architectures.",
    "energy": "Prices and where they come from.",
    "rtl": "The core as hardware: Verilog, testbench, synthesis.",
    "version": "The version, and what it runs on.",
}
"""Names and helps of the commands, in the order of `hwsim --help`; each is hwsim/cli/NAME.py."""


class _LazyGroup(TyperGroup):
    """Knows its commands by name and help, and imports the one that is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=text, rich_markup_mode=None) for name, text in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and load_command(str(name)), rest


def load_command(name: str) -> Any:
    """The click command `name` of COMMANDS, its module imported."""
    command = typer.main.get_command(import_module(f"hwsim.cli.{name}").app)
    command.name = name
    return command


app = typer.Typer(
    name="hwsim", cls=_LazyGroup, no_args_is_help=True, rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]}, pretty_exceptions_enable=False,
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


def _drop_stdout() -> None:
    """Send what stdout still holds to nowhere: the interpreter would fail once more on it when it ends."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _told(error: OSError) -> str:
    """What the system says of a file, without its number and with no more of a name than one reads; or of a stream."""
    why = error.strerror or str(error)
    if error.filename is None:
        return f"{why} while reading or writing a stream; is the disk behind stdout full?"
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else error.filename
    return f"{shown(name, 200, str)}: {why}; check the path"


def main() -> None:
    """Entry point of the `hwsim` command."""
    try:
        app()
    except HwsimError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except MemoryError:
        typer.echo("error: out of memory; free some, or give fewer samples or workers (--samples, --workers)", err=True)
        sys.exit(2)
    except BrokenPipeError:
        _drop_stdout()
        sys.exit(1)  # whoever read the output has gone, as `head` does: nobody waits for a word
    except OSError as error:
        typer.echo(f"error: {_told(error)}", err=True)
        _drop_stdout()
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
