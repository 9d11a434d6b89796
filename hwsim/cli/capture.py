"""`hwsim capture`: traces of PyTorch models, NIR graphs and lava-dl networks; events of a camera as inputs."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from hwsim.capture import capture_netx, capture_nir, capture_torch
from hwsim.cli.capture_events import capture_events_command
from hwsim.cli.common import JsonOption, file_to_write, print_json, progress
from hwsim.cli.user_model import load_model
from hwsim.errors import HwsimError
from hwsim.units import format_bits

if TYPE_CHECKING:
    from hwsim.trace.reader import Trace

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  help="Traces from PyTorch models (SpikingJelly, snnTorch), NIR graphs and lava-dl networks; events of a camera "
                       "as inputs.")
app.command("events")(capture_events_command)

InputsOption = Annotated[str, typer.Option("--inputs", metavar="FILE", help=(
    "NPZ with 'inputs' and perhaps 'labels', or NPY: images (samples, C, H, W) or (samples, N), "
    "or spikes (samples, T, C, H, W) or (samples, T, N)."))]
OutOption = Annotated[str, typer.Option("-o", "--out", metavar="FILE", help="Where to write the trace.")]
SamplesOption = Annotated[int | None, typer.Option(help="Take the first N samples (default: all).", min=1)]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the trace if it exists.")]


@app.command("torch")
def capture_torch_command(
    model: Annotated[str, typer.Argument(metavar="FILE.py:FUNCTION", help="A function without arguments that gives the model.")],
    inputs: InputsOption,
    out: OutOption,
    timesteps: Annotated[int | None, typer.Option(help=(
        "Call the model this many times, once a timestep. Left out: one call runs all timesteps, as a model that loops by itself "
        "does."))] = None,
    input_bits: Annotated[int, typer.Option(help="Bits that the trace gives to image values that are not whole numbers.")] = 8,
    samples: SamplesOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a spiking PyTorch model and record its spikes. THIS RUNS THE CODE IN FILE.py: only give files that you trust.

    The trace holds geometry and spikes, no weights: it replays open loop, and nothing is compared.
    """
    target = file_to_write(out, force)
    values, labels = read_arrays(inputs, samples)
    # What the user's code prints must not mix with the answer.
    with redirect_stdout(sys.stderr), progress("samples") as report:
        made_model = load_model(model)
        trace = capture_torch(made_model, values, labels, timesteps=timesteps, input_bits=input_bits, out=target, progress=report,
                              provenance={"script": f"hwsim capture torch {Path(model).name}"})
    _report(trace, target, as_json)


@app.command("nir")
def capture_nir_command(
    graph: Annotated[str, typer.Argument(help="NIR graph (nir 1.0, HDF5).")],
    inputs: InputsOption,
    out: OutOption,
    reset: Annotated[str, typer.Option(help="soft (subtract the threshold) or hard (to zero); NIR does not say.")],
    dt: Annotated[float, typer.Option(help="A timestep in the graph's unit of time; 1e-4 from SpikingJelly and snnTorch.")],
    timesteps: Annotated[int | None, typer.Option(help="T, when the inputs are images.")] = None,
    weight_bits: Annotated[int, typer.Option(help="Bits of weights that cannot be taken exactly.")] = 8,
    input_scale: Annotated[float, typer.Option(help="What one unit of an image is to the graph, e.g. 0.00392157.")] = 1.0,
    samples: SamplesOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a NIR graph over as integers and compute its spikes: the trace replays closed loop, every spike compared."""
    target = file_to_write(out, force)
    values, labels = read_arrays(inputs, samples)
    with progress("samples") as report:
        trace = capture_nir(graph, values, labels, reset=reset, dt=dt, timesteps=timesteps,  # type: ignore[arg-type]
                            weight_bits=weight_bits, input_scale=input_scale, out=target, progress=report)
    _report(trace, target, as_json)


@app.command("netx")
def capture_netx_command(
    file: Annotated[str, typer.Argument(help="Network that lava-dl exported for Loihi 2 (HDF5, .net).")],
    out: OutOption,
    inputs: Annotated[str | None, typer.Option("--inputs", metavar="FILE", help=(
        "NPZ with 'inputs' and perhaps 'labels', or NPY: images (samples, C, H, W) of whole numbers, the bias mantissas of the "
        "input layer. Left out: one sample without an image, driven by the biases alone."))] = None,
    timesteps: Annotated[int | None, typer.Option(help="T; left out: the file's simulation/tSample.")] = None,
    samples: SamplesOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a lava-dl network over in the chip's integers and compute its spikes, bit for bit."""
    target = file_to_write(out, force)
    values, labels = (None, None) if inputs is None else read_arrays(inputs, samples)
    with progress("samples") as report:
        trace = capture_netx(file, values, labels, timesteps=timesteps, out=target, progress=report)
    _report(trace, target, as_json)


def read_arrays(path: str, samples: int | None) -> tuple[Any, Any]:
    """Inputs and labels (or None) of an NPZ or NPY file, the first `samples` of them. Raises HwsimError."""
    if not Path(path).is_file():
        raise HwsimError(f"{path}: no such file; expected an NPZ with 'inputs' and perhaps 'labels', or an NPY; check the path")
    try:
        loaded = np.load(path, allow_pickle=False)
        found = {"inputs": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except Exception as error:
        raise HwsimError(f"{path}: found no readable arrays ({str(error)[:120]}), expected an NPZ or NPY of numbers; "
                         "write it with numpy.savez(path, inputs=..., labels=...)") from None
    held = [name for name in ("inputs", "images") if name in found]
    if len(held) != 1 or set(found) - {*held, "labels"}:
        raise HwsimError(f"{path}: found arrays {', '.join(sorted(found)) or 'none'}, expected 'inputs' and perhaps 'labels'; "
                         "write it with numpy.savez(path, inputs=..., labels=...)")
    values, labels = found[held[0]], found.get("labels")
    if samples is None:
        return values, labels
    if values.ndim == 0 or samples > len(values):
        raise HwsimError(f"{path}: --samples is {samples}, the file holds {len(values) if values.ndim else 0}; choose fewer")
    return values[:samples], None if labels is None or labels.ndim == 0 else labels[:samples]


def _report(trace: Trace, target: Path, as_json: bool) -> None:
    size = target.stat().st_size
    layers = [{"layer": layer.name, "neuron": layer.neuron.model, "shape": list(layer.shape),
               "from": [f"{c.operator} {c.source}" for c in layer.connections]} for layer in trace.network]
    body = {"trace": trace.name, "file": str(target), "samples": trace.samples, "timesteps": trace.timesteps, "bytes": size,
            "has_weights": trace.has_weights, "content_hash": trace.content_hash, "layers": layers,
            "provenance": trace.provenance}
    network = trace.network
    waits = [why for layer in network if (why := layer.neuron.not_lowered(any(map(network.is_direct, layer.connections))))]
    trace.close()
    if as_json:
        print_json(body)
        return
    typer.echo(f"wrote {target}: {body['trace']}, {body['samples']} samples, T = {body['timesteps']}, {len(layers)} layers, "
               f"{format_bits(8 * size)}")
    for key in ("weights", "float_comparison", "inputs"):
        if key in trace.provenance:
            typer.echo(f"  {key}: {trace.provenance[key]}")
    for note in trace.provenance.get("notes", []):
        typer.echo(f"  note: {note}")
    if waits:
        typer.echo(f"  {waits[0]}")
    else:
        typer.echo(f"try: hwsim run {target} --arch event_core_64")
