"""A small writer of version 1 of the trace format, by h5py: only the tests still need one.

It writes what hwsim wrote before version 2: old names, one SHA-256 per dataset, extensible arrays, dense attributes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hwsim.snn.network import Network
from hwsim.trace.reader import Trace
from hwsim.trace.schema import capabilities, encode

OLD_CODINGS = {"quantised": "analog"}


def write_version_1(trace: Trace, path: Path) -> Path:
    """The content of a trace as a file of version 1; a synthetic trace's name and provenance have the old coding too."""
    document: dict[str, Any] = {}
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        groups, arrays = old_names(trace.network)
        groups = {"/": head(trace), **groups}
        for place, said in groups.items():
            node = file.require_group(place)
            for name, value in said.items():
                put(node, name, value)
            document[place] = {"attributes": said}
        for place, array in (arrays | recorded(trace)).items():
            by_sample = place.rsplit("/", 1)[1] in ("spikes", "values", "logits", "final_potentials")
            made = file.create_dataset(
                place, data=array, chunks=(1, *array.shape[1:]) if by_sample else array.shape,
                maxshape=(None, *array.shape[1:]), compression="gzip", fletcher32=True,
            )
            digest = hashlib.sha256(array.tobytes()).hexdigest()
            put(made, "sha256", digest)
            document[place] = {"attributes": {"sha256": digest}, "dtype": array.dtype.name, "shape": list(array.shape)}
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        put(file, "content_sha256", hashlib.sha256(text.encode()).hexdigest())
    return path


def head(trace: Trace) -> dict[str, Any]:
    known = [name.replace("coding:quantised", "coding:analog") for name in capabilities(trace.network)]
    name, provenance = trace.name, json.dumps(trace.provenance, sort_keys=True)
    if str(trace.provenance.get("origin")).startswith("synthetic"):
        name, provenance = name.replace("quantised", "analog"), provenance.replace("quantised", "analog")
    return {"format": "hwsim-trace", "format_version": 1, "capabilities": sorted(known), "name": name,
            "samples": trace.samples, "provenance": provenance}


def old_names(network: Network) -> tuple[dict[str, dict[str, Any]], dict[str, np.ndarray]]:
    groups, arrays = encode(network)
    for place, said in groups.items():
        if place.count("/") == 2:
            said["coding"] = OLD_CODINGS.get(str(said["coding"]), said["coding"])
        if place.count("/") == 3:
            said |= {name: said[name][0] for name in ("kernel", "stride", "padding", "pool")}  # type: ignore[index]
    return groups, arrays


def recorded(trace: Trace) -> dict[str, np.ndarray]:
    """Everything that is recorded by sample, and the labels, as the file holds it."""
    columns = trace._columns
    rows: dict[str, list[np.ndarray]] = {}
    for index, sample in enumerate(trace):
        for name, column in columns.items():
            planes = sample.inputs if name == "input" else sample.recorded[name]
            row = planes.astype(column.file_dtype) if column.payload_bits else np.packbits(planes.astype(np.uint8).reshape(-1))
            rows.setdefault(column.path, []).append(row)
        for name, potentials in trace.final_potentials(index).items():
            bits = trace.network.layer(name).potential_bits
            dtype = np.int16 if bits <= 16 else np.int32 if bits <= 32 else np.int64
            rows.setdefault(f"/layers/{name}/final_potentials", []).append(potentials.astype(dtype))
        if "/logits" in trace._file:
            rows.setdefault("/logits", []).append(trace.logits(index))
    arrays = {path: np.stack(found) for path, found in rows.items()}
    return arrays | ({} if trace.labels is None else {"/labels": trace.labels})


def put(node: Any, name: str, value: Any) -> None:
    if isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], str)):
        encoded = [item.encode() for item in ([value] if isinstance(value, str) else value)]
        data = np.array(encoded, f"S{max(1, *map(len, encoded))}")
        node.attrs.create(name, data[0] if isinstance(value, str) else data, dtype=h5py.string_dtype("utf-8", data.itemsize))
    else:
        node.attrs.create(name, np.array(value, np.int64))
