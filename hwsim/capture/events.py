"""Events of a camera, (x, y, t, p), binned to the planes that a network takes as its inputs.

A plane is what the network sees in one timestep. Events come into planes by time (windows of one length), by number (as many
events each), or in a fixed number of planes for each recording. Polarity is a channel: 0 for darker, 1 for brighter. Planes are
binary (a pixel has sent an event or not), or counts, which a network takes as payloads of one direct input. No event is lost in
silence: what comes after the last plane, and what a count's width cuts off, is counted. Terms as in tonic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.capture.errors import refusal
from hwsim.capture.event_files import columns_of, read_events
from hwsim.capture.inputs import read_labels
from hwsim.errors import shown
from hwsim.files import whole_file
from hwsim.snn.validate import MAX_PAYLOAD_BITS, MAX_TIMESTEPS, is_int

MAX_PLANE_BYTES = 1 << 30
"""Of all planes of all recordings."""
MAX_PLANES = 1 << 16
"""Of a recording."""
LARGEST_SIDE = 1 << 13
"""Pixels along one side of a sensor."""

Values = Literal["binary", "counts"]
Polarity = Literal["channels", "merged"]


@dataclass(frozen=True, eq=False)
class EventPlanes:
    """Recordings as inputs of `capture_torch`, `capture_nir`, `Trace.from_arrays`.

    inputs    binary: booleans (samples, T, C, H, W). counts: integers (samples, T * C, H, W), channel t * C + polarity.
    labels    the class of each recording, or None.
    planes    T, of each recording; those that ended earlier have empty planes at the end.
    events    of all recordings; they are in the planes, but for
    late      that came after the last plane, and
    clipped   that exceeded the largest count of a pixel.
    merged    events of binary planes that came to a pixel which had sent one in the same plane. They are in the planes, unseen.
    """

    inputs: NDArray[Any]
    labels: list[int] | None
    planes: int
    events: int
    late: int
    clipped: int
    merged: int

    def save(self, path: str | Path) -> Path:
        """Write `inputs`, and `labels` if there are any, as the NPZ that `hwsim capture --inputs` reads. Raises FileError."""
        arrays: dict[str, Any] = {"inputs": self.inputs} | ({} if self.labels is None else {"labels": np.asarray(self.labels)})
        with whole_file(path) as part, part.open("wb") as file:
            np.savez_compressed(file, **arrays)
        return Path(path)


@dataclass(frozen=True)
class _Binning:
    """How events come into planes: one of three ways, and how many planes there are (None: as many as needed)."""

    time_window: float | None
    event_count: int | None
    time_bins: int | None
    timesteps: int | None


def event_planes(
    recordings: Any, size: tuple[int, int] | None = None, *, time_window: float | None = None, event_count: int | None = None,
    time_bins: int | None = None, timesteps: int | None = None, values: Values = "binary", polarity: Polarity = "channels",
    count_bits: int = MAX_PAYLOAD_BITS, labels: Sequence[int] | None = None, samples: int | None = None, key: str | None = None,
) -> EventPlanes:
    """Bin recordings to planes.

    recordings   structured arrays with the fields x, y, t, p, or paths of files that hold them (NPY, NPZ, HDF5); or a data set
                 of tonic: what has a length and gives (events, class) for each index.
    size         (width, height) of the sensor, pixels; None: the data set's `sensor_size`.
    time_window  a plane has the events of so much time, in the recordings' own unit, from the first event on.
    event_count  a plane has so many successive events.
    time_bins    each recording has so many planes, of equal time from its first event to its last.
    timesteps    with time_window and event_count, the number of planes; later events are left out and counted. None: as many as
                 the longest recording needs.
    values       binary or counts.             polarity   channels: two, darker and brighter; merged: one.
    count_bits   of a count; larger ones are clipped, and the events that this cuts off are counted.
    labels       the class of each recording, from 0.             samples   take the first ones only.
    key          the array or group of a file that has several.

    Polarities are 0 and 1, or -1 and 1, in the whole of a recording. Raises CaptureError.
    """
    binning = _checked_binning(time_window, event_count, time_bins, timesteps)
    _check_choices(values, polarity, count_bits)
    given = _first(recordings, samples)
    width, height = _checked_size(size if size is not None else getattr(recordings, "sensor_size", None))
    channels = 1 if polarity == "merged" else 2
    placed, own_labels = [], []
    for where, events, label in _each(given, key):
        x, y, t, p = checked_events(where, events, width, height)
        plane = _plane_of(t, binning)
        spot = ((plane * channels + (p if channels == 2 else 0)) * height + y) * width + x
        placed.append((plane, spot))
        own_labels.append(label)
    if not placed:
        raise refusal("events", "recordings", "none", "one or more", "name files or arrays")
    count = binning.time_bins or binning.timesteps or 1 + max(int(plane.max()) for plane, _ in placed)
    shape = _checked_shape(len(placed), count, channels, height, width, values, binning)
    return _counted(placed, count, shape, values, count_bits, _labels(labels, own_labels))


def _counted(
    placed: list[tuple[NDArray[np.int64], NDArray[np.int64]]], count: int, shape: tuple[int, ...], values: Values,
    count_bits: int, labels: list[int] | None,
) -> EventPlanes:
    top, binary = (1 << count_bits) - 1, values == "binary"
    inputs = np.zeros(shape, bool if binary else np.uint16)
    late = clipped = merged = 0
    for sample, (plane, spot) in zip(inputs, placed, strict=True):
        inside = plane < count
        found = np.bincount(spot[inside], minlength=sample.size).reshape(sample.shape)
        late += int((~inside).sum())
        if binary:
            sample[:] = found > 0
            merged += int(found.sum() - sample.sum())
        else:
            sample[:] = np.minimum(found, top)
            clipped += int(found.sum() - sample.sum(dtype=np.int64))
    return EventPlanes(inputs, labels, count, sum(len(plane) for plane, _ in placed), late, clipped, merged)


# -- one recording ------------------------------------------------------------------------------------------------------


def checked_events(
    where: str, events: Any, width: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
    """x, y, t and p (0 or 1) of a recording, as arrays of one length. Raises CaptureError with the first event that is wrong."""
    columns = columns_of(where, events)
    for name, values in columns.items():
        if values.ndim != 1 or values.dtype.kind not in ("biu" if name == "p" else "iuf" if name == "t" else "iu"):
            expected = {"p": "integers or booleans", "t": "numbers"}.get(name, "integers")
            raise refusal(where, name, f"{values.dtype} of shape {values.shape}", f"{expected}, one per event",
                          "convert them; arrays of Python objects are not taken")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise refusal(where, "events", ", ".join(f"{n} {name}" for name, n in lengths.items()), "as many of each",
                      "make them match")
    if not lengths["x"]:
        raise refusal(where, "events", "none", "at least one event", "leave the empty recording out, and its label")
    for name, most in (("x", width), ("y", height)):
        outside = (columns[name] < 0) | (columns[name] >= most)
        _refuse_where(outside, where, name, columns[name], f"0 to {most - 1}, of a sensor of {width} x {height}",
                      "give the sensor's size as width x height, or remove the event")
    t = columns["t"]
    _refuse_where(~np.isfinite(t), where, "t", t, "finite times", "remove the event")
    back = np.concatenate([[False], t[1:] < t[:-1]])
    _refuse_where(back, where, "t", t, "times that never fall", "sort the events by t, numpy.sort(events, order='t')")
    if t.dtype.kind != "f" and max(abs(int(t[0])), abs(int(t[-1]))) >> 62:
        raise refusal(where, "t", f"{t[0]} to {t[-1]}", "times between -2**62 and 2**62", "subtract the first time")
    return (columns["x"].astype(np.int64), columns["y"].astype(np.int64), t if t.dtype.kind == "f" else t.astype(np.int64),
            _polarity(where, columns["p"].astype(np.int64)))


def _refuse_where(wrong: NDArray[np.bool_], where: str, name: str, values: NDArray[Any], expected: str, do: str) -> None:
    if wrong.any():
        first = int(np.argmax(wrong))
        raise refusal(where, f"{name} of event {first}", f"{values[first]} ({int(wrong.sum()):,} such events)", expected, do)


def _polarity(where: str, p: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 for darker, 1 for brighter, from either of the two codings."""
    found = set(np.unique(p).tolist())
    if not (found <= {0, 1} or found <= {-1, 1}):
        raise refusal(where, "p", f"values {', '.join(map(str, sorted(found)[:6]))}", "0 and 1, or -1 and 1",
                      "map them to 0 (darker) and 1 (brighter)")
    return (p > 0).astype(np.int64)


def _plane_of(t: NDArray[Any], binning: _Binning) -> NDArray[np.int64]:
    """The plane of each event, from 0."""
    if binning.event_count is not None:
        return np.arange(len(t)) // binning.event_count
    if binning.time_window is not None:
        return np.minimum(np.floor_divide(t - t[0], binning.time_window), MAX_PLANES).astype(np.int64)
    assert binning.time_bins is not None
    first, last, bins = t[0].item(), t[-1].item(), binning.time_bins
    if t.dtype.kind == "f":
        if first == last:
            return np.zeros(len(t), np.int64)
        edges = [first + (last - first) * k / bins for k in range(1, bins)]
    else:
        span = last - first + 1  # the last time belongs to the last bin, and integers lose nothing
        edges = [first + -(-k * span // bins) for k in range(1, bins)]
    return np.searchsorted(np.array(edges, t.dtype), t, side="right").astype(np.int64)


# -- what is asked for --------------------------------------------------------------------------------------------------


def _each(recordings: Iterable[Any], key: str | None) -> Iterator[tuple[str, Any, int | None]]:
    """Place, events and class (None: not said) of each recording."""
    for index, item in enumerate(recordings):
        if isinstance(item, str | Path):
            yield str(item), read_events(item, key), None
        elif isinstance(item, tuple) and len(item) == 2:
            yield f"recording {index}", item[0], _class(index, item[1])
        else:
            yield f"recording {index}", item, None


def _class(index: int, label: Any) -> int:
    if isinstance(label, np.integer | int) and not isinstance(label, bool):
        return int(label)
    raise refusal(f"recording {index}", "class", shown(label), "a whole number from 0", "give labels=[...] for arrays alone")


def _first(recordings: Any, samples: int | None) -> list[Any]:
    """The recordings as a list; of a data set, only as many as are wanted."""
    if isinstance(recordings, str | Path) or getattr(getattr(recordings, "dtype", None), "names", None):
        recordings = [recordings]
    if not hasattr(recordings, "__len__") or not hasattr(recordings, "__getitem__") or isinstance(recordings, dict):
        raise refusal("events", "recordings", type(recordings).__name__, "a list of arrays or paths, or a data set of tonic",
                      "put a single recording into a list")
    there = len(recordings)
    if samples is not None and not is_int(samples, 1, there):
        raise refusal("events", "samples", repr(samples), f"1 to {there}, the number of recordings", "choose fewer")
    return [recordings[i] for i in range(there if samples is None else samples)]


def _labels(given: Sequence[int] | None, own: list[int | None]) -> list[int] | None:
    if given is not None:
        return read_labels("events", given, len(own))
    known = [label for label in own if label is not None]
    return read_labels("events", known, len(own)) if known else None


def _checked_size(size: Any) -> tuple[int, int]:
    """(width, height); the third number of a data set's sensor_size is that of polarities."""
    sides = tuple(size) if isinstance(size, tuple | list) else ()
    if len(sides) not in (2, 3) or not all(is_int(n, 1, LARGEST_SIDE) for n in sides[:2]):
        raise refusal("events", "size", shown(size), f"(width, height) of the sensor, each 1 to {LARGEST_SIDE}",
                      "give the sensor's size; it is not guessed from the events")
    return int(sides[0]), int(sides[1])


def _checked_binning(
    time_window: float | None, event_count: int | None, time_bins: int | None, timesteps: int | None
) -> _Binning:
    ways = {"time_window": time_window, "event_count": event_count, "time_bins": time_bins}
    given = [name for name, value in ways.items() if value is not None]
    if len(given) != 1:
        raise refusal("events", "binning", " and ".join(given) or "nothing", "one of time_window, event_count, time_bins",
                      "choose how events come into planes")
    for name, count, most in (("event_count", event_count, 1 << 62), ("time_bins", time_bins, MAX_PLANES),
                              ("timesteps", timesteps, MAX_PLANES)):
        if count is not None and not is_int(count, 1, most):
            raise refusal("events", name, shown(count), f"a whole number from 1 to {most}", "change it")
    if time_window is not None and (isinstance(time_window, bool) or not isinstance(time_window, int | float)
                                    or not 0 < time_window < np.inf):
        raise refusal("events", "time_window", shown(time_window), "a time above 0, in the unit of t", "change it")
    if time_bins is not None and timesteps is not None:
        raise refusal("events", "timesteps", f"{timesteps} beside time_bins {time_bins}", "time_bins alone, which is T",
                      "leave timesteps out")
    return _Binning(time_window, event_count, time_bins, timesteps)


def _check_choices(values: Any, polarity: Any, count_bits: Any) -> None:
    for name, value, allowed in (("values", values, ("binary", "counts")), ("polarity", polarity, ("channels", "merged"))):
        if value not in allowed:
            raise refusal("events", name, shown(value), " or ".join(allowed), "choose one")
    if not is_int(count_bits, 1, MAX_PAYLOAD_BITS):
        raise refusal("events", "count_bits", shown(count_bits), f"1 to {MAX_PAYLOAD_BITS}", "choose a width")


def _checked_shape(
    samples: int, planes: int, channels: int, height: int, width: int, values: Values, binning: _Binning
) -> tuple[int, ...]:
    if values == "binary" and planes > MAX_TIMESTEPS:
        do = "choose fewer bins" if binning.time_bins else "choose longer planes, or cut them off with timesteps"
        raise refusal("events", "planes", f"{planes:,} per recording",
                      f"1 to {MAX_TIMESTEPS} timesteps, the trace format's limit", do)
    one = planes * channels * height * width * (1 if values == "binary" else 2)
    if samples * one > MAX_PLANE_BYTES:
        raise refusal("events", "planes", f"{samples} recordings of {one:,} bytes each", f"at most {MAX_PLANE_BYTES:,} in all",
                      f"take {MAX_PLANE_BYTES // one} samples, or fewer planes")
    if values == "binary":
        return (samples, planes, channels, height, width)
    return (samples, planes * channels, height, width)
