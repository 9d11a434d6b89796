"""`hwsim capture events`: recordings of an event camera as the inputs of a network."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from hwsim.capture import EventPlanes, event_planes
from hwsim.capture.event_tonic import tonic_data_set
from hwsim.cli.common import JsonOption, file_to_write, print_json
from hwsim.errors import HwsimError


def capture_events_command(
    out: Annotated[str, typer.Option("-o", "--out", metavar="FILE.npz", help="Where to write inputs (and labels).")],
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help=(
        "Recordings, one per sample: arrays with the fields x, y, t, p in NPY, NPZ or HDF5."))] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="The sensor's pixels, such as 34x34.")] = None,
    time_window: Annotated[float | None, typer.Option(metavar="TIME", help="A plane for so much time, in the unit of t.")] = None,
    event_count: Annotated[int | None, typer.Option(metavar="N", help="A plane for every N events.")] = None,
    time_bins: Annotated[int | None, typer.Option(metavar="T", help="T planes for each recording, of equal time.")] = None,
    timesteps: Annotated[int | None, typer.Option(metavar="T", help=(
        "With --time-window or --event-count: T planes; later events are left out and counted."))] = None,
    values: Annotated[str, typer.Option(help="binary: spikes; counts: payloads of one direct input, planes as channels.")
                      ] = "binary",
    polarity: Annotated[str, typer.Option(help="channels: darker and brighter; merged: one channel.")] = "channels",
    count_bits: Annotated[int, typer.Option(help="Bits of a count; larger ones are clipped and counted.")] = 16,
    labels: Annotated[str | None, typer.Option(metavar="FILE.npy", help="The class of each recording, from 0.")] = None,
    folders: Annotated[bool, typer.Option("--folders", help="A recording's class is its folder, in sorted order.")] = False,
    key: Annotated[str | None, typer.Option(help="The array or group of files that have several.")] = None,
    tonic: Annotated[str | None, typer.Option(metavar="NAME", help="A data set of tonic, not files (extra tonic).")] = None,
    data: Annotated[str, typer.Option(metavar="DIR", help="Where tonic keeps data, or downloads it to.")] = "data",
    train: Annotated[bool, typer.Option("--train", help="tonic's training set, not its test set.")] = False,
    samples: Annotated[int | None, typer.Option(help="Take the first N recordings.", min=1)] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bin recordings of an event camera to planes: the inputs of `hwsim capture torch` and `hwsim capture nir`."""
    target = file_to_write(out, force)
    if target.suffix != ".npz":
        raise HwsimError(f"{out}: found the ending {target.suffix!r}, expected .npz; rename it")
    if bool(files) == bool(tonic):
        raise HwsimError(f"found {'both files and' if files else 'neither files nor'} --tonic, expected one of them; name "
                         "recordings, or a data set of tonic")
    if folders and (labels or tonic):
        raise HwsimError("found --folders beside --labels or --tonic, which have classes of their own; leave one out")
    recordings: Any = files
    if tonic:
        with redirect_stdout(sys.stderr):  # what tonic prints of its downloads
            recordings = tonic_data_set(tonic, data, train)
    names = None if not folders else sorted({_folder(file) for file in files or ()})
    classes = _read_labels(labels) if labels else [names.index(_folder(f)) for f in files or ()] if names else None
    if classes is not None and samples is not None and len(classes) > samples:
        classes = classes[:samples]
    found = event_planes(recordings, _size(size), time_window=_whole(time_window), event_count=event_count, time_bins=time_bins,
                         timesteps=timesteps, values=values, polarity=polarity,  # type: ignore[arg-type]
                         count_bits=count_bits, labels=classes, samples=samples, key=key)
    found.save(target)
    _report(found, target, names, as_json)


def _folder(file: str) -> str:
    return Path(file).absolute().parent.name


def _whole(value: float | None) -> float | None:
    """A window of whole units as an integer, which times are divided by exactly."""
    return int(value) if value is not None and value.is_integer() else value


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise HwsimError(f"--size: found {text[:40]!r}, expected width x height in pixels, such as 34x34")
    return int(width), int(height)


def _read_labels(path: str) -> Any:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise HwsimError(f"{path}: found no readable array ({str(error)[:120]}), expected an NPY with one class per recording; "
                         "write it with numpy.save") from None
    if not isinstance(found, np.ndarray):
        raise HwsimError(f"{path}: found several arrays, expected an NPY with one class per recording; write it with numpy.save")
    return found


def _report(found: EventPlanes, target: Path, names: list[str] | None, as_json: bool) -> None:
    shape, binary = found.inputs.shape, found.inputs.dtype == bool
    body = {"file": str(target), "shape": list(shape), "values": "binary" if binary else "counts", "planes": found.planes,
            "events": found.events, "late": found.late, "clipped": found.clipped, "merged": found.merged,
            "labels": found.labels, "classes": names}
    if as_json:
        print_json(body)
        return
    axes = "samples x T x C x H x W, spikes" if binary else "samples x (T x C) x H x W, counts"
    typer.echo(f"wrote {target}: {' x '.join(map(str, shape))} ({axes})")
    typer.echo(f"  {found.events:,} events in {shape[0]} recording{'s' * (shape[0] > 1)}, {found.planes} planes each")
    for count, text in ((found.late, "came after the last plane and are left out"),
                        (found.clipped, "are beyond the largest count of a pixel and are cut off"),
                        (found.merged, "came to a pixel that had sent one in the same plane: its spike is one")):
        if count:
            typer.echo(f"  {count:,} of them {text}")
    if names:
        typer.echo(f"  classes: {', '.join(f'{i} {name}' for i, name in enumerate(names))}")
    timesteps = "" if binary else " --timesteps T"
    typer.echo(f"try: hwsim capture torch model.py:make_model --inputs {target} --out mine.h5{timesteps}")
