"""`hwsim estimate`: from a model to cycles and energy in one call, as `hwsim.estimate` does it."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwsim.cli.capture import read_arrays
from hwsim.cli.common import JsonOption, print_json, print_table, print_wrapped
from hwsim.cli.train import need_torch
from hwsim.cli.user_model import load_model
from hwsim.cost.rate import DEFAULT_RATE_HZ
from hwsim.errors import HwsimError
from hwsim.one_call import SAMPLES, OptionError, estimate
from hwsim.trace.shipped import EXAMPLES, trace_file

if TYPE_CHECKING:
    from hwsim.one_call import Estimate

app = typer.Typer(add_completion=False, rich_markup_mode=None)

FILES = (".h5", ".nir", ".onnx")
"""Ends of names that are files to read. Anything else with a colon in it is a model in Python."""
OF_NIR = "NIR: "


@app.command()
def estimate_command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=(
        "FILE.py:FUNCTION or FILE.py:MODEL in PyTorch, spiking (SpikingJelly, snnTorch) or not; an ONNX file; a NIR file (.nir); "
        "or a trace (.h5, or an example's name)."))],
    inputs: Annotated[str | None, typer.Option("--inputs", metavar="FILE", help=(
        "NPZ with 'inputs' (or 'images') and perhaps 'labels', or NPY: what the model sees, a sample per row. For an ANN, a few "
        "hundred images. A trace needs none."))] = None,
    arch: Annotated[str | None, typer.Option("--arch", help=(
        "Design of the spiking forms: a YAML file or the name of a shipped one (default: the form's, see hwsim list)."))] = None,
    samples: Annotated[int, typer.Option(min=1, help="Replay the first N samples.")] = SAMPLES,
    rate: Annotated[float, typer.Option("--rate", metavar="HZ", help="Samples per second to show beside full speed.")
                    ] = DEFAULT_RATE_HZ,
    timesteps: Annotated[int | None, typer.Option(min=1, help="Spiking models: T, where the inputs are images.")] = None,
    levels: Annotated[int | None, typer.Option(help="ANNs: levels of an activation, 2, 4, 8, ..., 256 (default: 16).")] = None,
    weight_bits: Annotated[int | None, typer.Option(help="ANNs and NIR: bits of weights (default: 8).")] = None,
    reset: Annotated[str | None, typer.Option(help=f"{OF_NIR}soft (subtract the threshold) or hard (to zero).")] = None,
    dt: Annotated[float | None, typer.Option(help=f"{OF_NIR}a timestep in the graph's unit of time.")] = None,
    input_scale: Annotated[float | None, typer.Option(help=f"{OF_NIR}what one unit of an image is to the graph.")] = None,
    as_json: JsonOption = False,
) -> None:
    """From a model to cycles, latency and energy in one call. Of a .py THIS RUNS THE CODE IN IT: only give files that you trust.

    A plain ANN is quantised and converted: its bit-serial and rate-coded SNNs stand beside it.
    """
    options = {"timesteps": timesteps, "levels": levels, "weight_bits": weight_bits, "reset": reset, "dt": dt,
               "input_scale": input_scale}
    given = {name: value for name, value in options.items() if value is not None}
    values, labels = (None, None) if inputs is None else read_arrays(inputs, None)
    with redirect_stdout(sys.stderr):  # what the user's code prints must not mix with the answer
        try:
            found = estimate(_model(model), values, arch, labels=labels, samples=samples, rate_hz=rate, **given)
        except OptionError as error:
            takes = [_typed(name) for name in options if name in error.allowed]
            raise HwsimError(f"{_typed(error.unknown[0])}: is not for {model}, which takes {', '.join(takes) or 'none like it'}; "
                             "leave it out") from None
    if as_json:
        print_json({"forms": _records(found), "assumed": list(found.assumed), "refused": dict(found.refused)})
        return
    header, *rows = found.cells()
    print_table([dict(zip(header, row, strict=True)) for row in rows], left=("form", "design"),
                spare=("cycles", "compute", "core"))
    typer.echo("")
    for note in found.notes():
        print_wrapped(f"- {note}", 2)


def _typed(option: str) -> str:
    return "--" + option.replace("_", "-")


def _model(where: str) -> Any:
    """A file as its path, and what is in a Python file as it is."""
    path = trace_file(where)
    if path.suffix.lower() in FILES:  # that of an example too
        return path
    if ".py" in where:
        need_torch()
        return load_model(where)
    raise HwsimError(f"{where}: is no model; expected FILE.py:FUNCTION, a file that ends with {', '.join(FILES)}, or an example: "
                     f"{', '.join(EXAMPLES)}")


def _records(found: Estimate) -> list[dict[str, Any]]:
    """The table's rows, without the numbers that a rate out of reach does not have."""
    return [{"form": form, **{name: None if value != value else value for name, value in row.items()}}
            for form, row in found.rows().items()]
