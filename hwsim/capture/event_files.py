"""Recordings of an event camera as files: structured arrays (x, y, t, p) in NPY, NPZ or HDF5, read without ever unpickling.

A file holds one recording: an array with the fields x, y, t and p, or four arrays of these names (an HDF5 group, the arrays of an
NPZ). Other fields and arrays are not looked at. What the values may be is checked in events.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.capture.errors import CaptureError, refusal

FIELDS = ("x", "y", "t", "p")
"""Column, row, time, polarity of an event."""
KINDS = ".npy, .npz, .h5 or .hdf5"
MAX_FILE_BYTES = 1 << 30
"""Of the arrays of one recording."""

Columns = dict[str, NDArray[Any]]


def read_events(path: str | Path, key: str | None = None) -> Columns:
    """The arrays x, y, t and p of a recording, as they lie in the file.

    key   name of the array or group that holds them, where a file has several.
    Raises CaptureError.
    """
    file = Path(path)
    if not file.is_file():
        raise CaptureError(f"{path}: no such file; expected a recording, {KINDS}; check the path")
    ending = file.suffix.lower()
    if ending == ".npy":
        return columns_of(str(path), _numpy(file)["array"])
    if ending == ".npz":
        return _chosen(str(path), _candidates(_numpy(file)), key)
    if ending in (".h5", ".hdf5"):
        return _hdf5(file, key)
    raise refusal(str(path), "ending", repr(file.suffix), KINDS, "rename or convert the file")


def columns_of(where: str, events: Any) -> Columns:
    """The fields of a structured array, or the arrays of a mapping. Raises CaptureError for what has not all four."""
    names = tuple(events) if isinstance(events, Mapping) else getattr(getattr(events, "dtype", None), "names", None) or ()
    if missing := [name for name in FIELDS if name not in names]:
        found = f"fields {', '.join(map(str, names))}" if names else f"{type(events).__name__} without fields"
        raise refusal(where, "events", f"{found}: no {', '.join(missing)}", "a structured array with the fields x, y, t and p",
                      "rename its fields, numpy.lib.recfunctions.rename_fields")
    return {name: np.asarray(events[name]) for name in FIELDS}


def _numpy(file: Path) -> dict[str, Any]:
    """Every array of an NPY or NPZ, whole. An array of Python objects would be unpickled, and is refused."""
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"array": loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except Exception as error:
        raise refusal(str(file), "content", f"no readable arrays ({' '.join(str(error).split())[:120]})",
                      "arrays of numbers; arrays of Python objects are never unpickled",
                      "save it again with numpy.save, each field of a number type") from None


def _candidates(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """By name, what may be a recording: structured arrays, or all arrays together where they have the four names."""
    structured = {name: array for name, array in arrays.items() if array.dtype.names and set(FIELDS) <= set(array.dtype.names)}
    return structured | ({"": arrays} if set(FIELDS) <= set(arrays) else {}) or dict(arrays)


def _chosen(where: str, candidates: Mapping[str, Any], key: str | None) -> Columns:
    listed = ", ".join(map(repr, candidates)) or "nothing"
    if key is not None and key not in candidates:
        raise refusal(where, "key", repr(key), f"one of {listed}", "name one of them")
    if key is None and len(candidates) != 1:
        raise refusal(where, "content", f"arrays {listed}", "one recording: a structured array, or arrays x, y, t and p",
                      "name one of them (--key), if they have these fields")
    return columns_of(where, candidates[next(iter(candidates)) if key is None else key])


def _hdf5(file: Path, key: str | None) -> Columns:
    import h5py

    try:
        with h5py.File(file, "r") as root:
            found: dict[str, Any] = {}

            def visit(name: str, node: Any) -> None:
                is_group = isinstance(node, h5py.Group)
                names = tuple(node) if is_group else node.dtype.names or ()
                if set(FIELDS) <= set(names):
                    found[name] = node

            visit("", root)
            root.visititems(visit)  # follows no link into another file
            if not found:
                listed = list[str]()
                root.visit(listed.append)
                raise refusal(str(file), "content", f"{', '.join(listed[:8]) or 'nothing'}, without fields x, y, t and p",
                              "a compound dataset, or a group of four datasets, of these names", "rename them")
            return _chosen(str(file), {name: _read(str(file), name, node) for name, node in found.items()}, key)
    except OSError as error:
        raise refusal(str(file), "content", f"no HDF5 that can be read ({' '.join(str(error).split())[:120]})",
                      "an HDF5 file with a recording", "write it again") from None


def _read(where: str, name: str, node: Any) -> Any:
    """A compound dataset, or a group's four datasets by name, in memory."""
    import h5py

    parts = {"": node} if isinstance(node, h5py.Dataset) else {field: node.get(field) for field in FIELDS}
    for field, data in parts.items():
        place = f"{name}/{field}".strip("/")
        if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external or data.file.filename != node.file.filename:
            raise refusal(where, place, "no dataset of this file", "a dataset that lies in the file itself", "copy it in")
        if data.dtype.hasobject:
            raise refusal(where, place, f"{data.dtype}, values of no fixed size", "numbers", "save it with number types")
        if data.size * data.dtype.itemsize > MAX_FILE_BYTES:
            raise refusal(where, place, f"{data.size * data.dtype.itemsize} bytes", f"at most {MAX_FILE_BYTES}",
                          "cut the recording")
    return parts[""][()] if "" in parts else {field: data[()] for field, data in parts.items()}
