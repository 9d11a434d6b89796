"""Writing a trace, sample by sample: constant memory, and either a whole file or none.

A TraceWriter keeps one HDF5 file open, in memory or beside its destination, appends each sample's planes as one chunk a
dataset, and on `finish` adds the hashes and moves the file into place. docs/formats/trace.md says what is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.program import Sample
from hwsim.snn.network import INPUT, Connection, Layer, Network
from hwsim.snn.trace_file import (
    LIBVER,
    MAX_ATTRIBUTE_BYTES,
    TraceError,
    array_hash,
    content_hash,
    read_manifest,
    trouble,
    writing,
)
from hwsim.snn.trace_schema import (
    FORMAT,
    FORMAT_VERSION,
    Column,
    capabilities,
    columns,
    potential_dtype,
    potential_path,
)
from hwsim.snn.validate import validate_network

if TYPE_CHECKING:
    from hwsim.snn.trace import Trace

GZIP = 4
NETWORK_CHUNK_BYTES = 1 << 24
MAX_NAME = 200


class TraceWriter:
    """Streams samples into a trace.

    >>> with TraceWriter(network, "mine.h5", name="mine") as writer:        # doctest: +SKIP
    ...     for inputs in images:
    ...         recorded, potentials = forward(network, inputs)
    ...         writer.append(Sample(inputs, recorded), label=3)

    The file appears under its name when the block ends without an exception, or on `finish()`, which also returns the
    open Trace. Without a path the trace stays in memory. Raises TraceError when the network or a sample is unsound.
    """

    def __init__(
        self, network: Network, path: str | Path | None = None, *, name: str | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        import h5py

        self.path = None if path is None else Path(path)
        self.where = str(path) if path is not None else "trace in memory"
        self.network, self.samples = network, 0
        problems = validate_network(network)
        if problems:
            raise network_trouble(self.where, problems)
        self._columns = columns(network)
        self._hashes: dict[str, Any] = {}
        self._extras: set[str] | None = None
        self._labels: list[int] = []
        self._temporary: Path | None = None
        self._finished = False
        if self.path is None:
            self._file = h5py.File(uuid.uuid4().hex, "w", driver="core", backing_store=False, libver=LIBVER)
        else:
            self._temporary = temporary_beside(self.path)
            with writing(self.where):
                self._file = h5py.File(self._temporary, "w", libver=LIBVER)
        try:
            title = name if name is not None else self.path.stem if self.path is not None else "trace"
            self._write_head(title, dict(provenance or {}))
            write_network(self._file, network)
        except BaseException:
            self.abort()
            raise

    def append(
        self, sample: Sample, *, label: int | None = None, logits: NDArray[Any] | None = None,
        potentials: Mapping[str, NDArray[np.integer]] | None = None,
    ) -> None:
        """Add one sample: planes (T, H, W, C); optional label, logits (K,) and final potentials {layer: (C, H, W)}.

        What is optional is given for every sample or for none.
        """
        place = f"sample {self.samples}"
        potentials = dict(potentials or {})
        given = {what for what, value in (("label", label), ("logits", logits)) if value is not None} | set(potentials)
        if self._extras is not None and given != self._extras:
            raise trouble(self.where, place, f"{sorted(given)}", f"{sorted(self._extras)} as for sample 0",
                          "give labels, logits and potentials for every sample or for none")
        last = self.network.layers[-1]
        if label is not None and not 0 <= whole_number(label, place) < (last.neurons if last.coding == "readout" else 1 << 31):
            raise trouble(self.where, place, f"label {label}", f"0 to {last.neurons - 1}, one a neuron of {last.name}",
                          "number the classes from 0")
        # All is checked before anything is written, so that a refused sample leaves no half of itself behind.
        rows = [(column, self._row(column, name, sample, place)) for name, column in self._columns.items()]
        extras = [self._potential_row(name, array, place) for name, array in potentials.items()]
        if logits is not None:
            extras.append(("/logits", self._logits_row(logits, place)))
        with writing(self.where):
            for column, row in rows:
                self._append_row(column.path, row)
            for path, row in extras:
                self._append_row(path, row)
        if label is not None:
            self._labels.append(label)
        self._extras = given
        self.samples += 1

    def finish(self) -> Trace:
        """Seal the trace, move it to its path and open it."""
        from hwsim.snn.trace import Trace

        if self._finished:
            raise trouble(self.where, "writer", "a finished one", "one that is open", "make a new TraceWriter")
        if not self.samples:
            self.abort()
            raise trouble(self.where, "samples", "none", "at least one", "append samples before finishing")
        self._finished = True
        try:
            with writing(self.where):
                self._seal()
                if self.path is None or self._temporary is None:
                    return Trace(self._file, self.where)
                self._file.close()
                replace_file(self._temporary, self.path)
        except BaseException:
            self.abort()
            raise
        return Trace.open(self.path)

    def abort(self) -> None:
        """Give up: nothing is left behind."""
        self._file.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is not None:
            self.abort()
        elif not self._finished:
            self.finish().close()

    def _write_head(self, name: str, provenance: dict[str, Any]) -> None:
        root = self._file
        if not name.isprintable() or not 0 < len(name) <= MAX_NAME:
            raise trouble(self.where, "name", repr(name[:MAX_NAME]), f"1 to {MAX_NAME} printable characters", "rename it")
        put(root, "format", FORMAT)
        put(root, "format_version", FORMAT_VERSION)
        put(root, "capabilities", list(capabilities(self.network)))
        put(root, "name", name)
        try:
            text = json.dumps(provenance, sort_keys=True, allow_nan=False, ensure_ascii=True)
        except (TypeError, ValueError) as error:
            raise trouble(self.where, "provenance", f"a value that is not JSON ({error})", "strings, numbers, lists, "
                          "dictionaries", "convert it") from None
        put(root, "provenance", text)

    def _seal(self) -> None:
        put(self._file, "samples", self.samples)
        if self._labels:
            write_array(self._file, "labels", np.array(self._labels, np.int64))
        for path, digest in self._hashes.items():
            put(self._file[path], "sha256", digest.hexdigest())
        put(self._file, "content_sha256", content_hash(read_manifest(self._file, self.where)))
        self._file.flush()

    def _row(self, column: Column, name: str, sample: Sample, place: str) -> NDArray[Any]:
        source = sample.inputs if name == INPUT else sample.recorded.get(name)
        place = f"{place}, {name}"
        if source is None:
            raise trouble(self.where, place, "nothing", f"planes of shape {column.planes}", "record this layer too")
        planes = np.asarray(source)
        if planes.shape != column.planes or planes.dtype.kind not in "biu":
            raise trouble(self.where, place, f"{planes.dtype} of shape {planes.shape}",
                          f"integers of shape (T, H, W, C) = {column.planes}", "record it so")
        if (wrong := column.outside(planes)) is not None:
            raise trouble(self.where, place, *wrong, "binary spikes are 0 or 1; declare payload_bits for values")
        if not column.payload_bits:
            return np.packbits(planes.astype(np.uint8).reshape(-1))
        return planes.astype(column.file_dtype)

    def _potential_row(self, name: str, potential: NDArray[np.integer], place: str) -> tuple[str, NDArray[Any]]:
        layer, potential = self.network.layer(name), np.asarray(potential)
        dtype = potential_dtype(layer)
        fits = potential.dtype.kind in "iu" and potential.shape == tuple(layer.shape)
        if not fits or int(potential.min()) < np.iinfo(dtype).min or int(potential.max()) > np.iinfo(dtype).max:
            raise trouble(self.where, f"{place}, final potentials of {name}",
                          f"{potential.dtype} of shape {potential.shape}",
                          f"{layer.potential_bits}-bit integers of shape {layer.shape}", "record it so")
        return potential_path(layer), potential.astype(dtype)

    def _logits_row(self, logits: NDArray[Any], place: str) -> NDArray[Any]:
        """Logits (K,) as int64 or finite float64, alike in all samples: HDF5 would cut floats off without a word."""
        row = np.asarray(logits)
        first = self._file["logits"] if "logits" in self._file else None
        if row.ndim != 1 or row.dtype.kind not in "iuf" or not len(row) or not np.isfinite(row).all():
            raise trouble(self.where, f"{place}, logits", f"{row.dtype} of shape {row.shape}",
                          "finite numbers of shape (K,)", "record them so")
        row = row.astype(np.float64 if row.dtype.kind == "f" else np.int64)
        if first is not None and (first.dtype != row.dtype or first.shape[1:] != row.shape):
            raise trouble(self.where, f"{place}, logits", f"{row.dtype} of shape {row.shape}",
                          f"{first.dtype} of shape {first.shape[1:]} as for sample 0", "make them alike")
        return row

    def _append_row(self, path: str, row: NDArray[Any]) -> None:
        if self.samples == 0 and path not in self._file:
            self._file.create_dataset(
                path, (0, *row.shape), row.dtype, maxshape=(None, *row.shape), chunks=(1, *row.shape),
                compression="gzip", compression_opts=GZIP, fletcher32=True,
            )
            self._hashes[path] = hashlib.sha256()
        dataset = self._file[path]
        dataset.resize(self.samples + 1, axis=0)
        dataset[self.samples] = row
        self._hashes[path].update(np.ascontiguousarray(row))


def temporary_beside(path: Path) -> Path:
    """A name in the same folder, so that the finished file can be renamed into place."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.part")


def replace_file(temporary: Path, path: Path) -> None:
    """Put a complete file in its place, in one step that leaves either the old or the new one."""
    with open(temporary, "rb") as handle:
        os.fsync(handle.fileno())
    os.replace(temporary, path)


def whole_number(value: Any, place: str) -> int:
    """A label as an integer; TraceError for one that is not whole."""
    number = np.asarray(value)
    if number.shape or number.dtype.kind not in "iu":
        raise trouble("trace", place, f"{value!r}", "an integer", "number the classes from 0")
    return int(number)


def network_trouble(where: str, problems: list[str]) -> TraceError:
    """One error with everything that is wrong with a network."""
    return TraceError(f"{where}: the network has {len(problems)} problem(s):\n  " + "\n  ".join(problems))


def put(node: Any, name: str, value: int | str | list[int] | list[str]) -> None:
    """One attribute: integers as int64, text as fixed-length UTF-8, whose bytes lie in the checksummed header."""
    import h5py

    if isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], str)):
        encoded = [str(v).encode() for v in ([value] if isinstance(value, str) else value)]
        if any(b"\0" in item for item in encoded):
            raise TraceError(f"attribute {name!r}: found a NUL character, expected text without; remove it")
        width = max(1, *map(len, encoded))
        data = np.array(encoded, f"S{width}")
        if data.nbytes > MAX_ATTRIBUTE_BYTES // 2:
            raise TraceError(f"attribute {name!r}: found {data.nbytes} bytes, expected at most "
                             f"{MAX_ATTRIBUTE_BYTES // 2}; shorten it")
        node.attrs.create(name, data[0] if isinstance(value, str) else data,
                          dtype=h5py.string_dtype("utf-8", width))
    else:
        node.attrs.create(name, np.array(value, np.int64))


def write_array(group: Any, name: str, array: NDArray[Any]) -> None:
    """One dataset of the network, gzip, Fletcher32 and SHA-256."""
    array = np.ascontiguousarray(array)
    rows = max(1, NETWORK_CHUNK_BYTES // max(1, array.nbytes // len(array)))
    dataset = group.create_dataset(
        name, data=array, chunks=(min(len(array), rows), *array.shape[1:]), compression="gzip", compression_opts=GZIP,
        fletcher32=True,
    )
    put(dataset, "sha256", array_hash(array))


def write_network(file: Any, network: Network) -> None:
    """The groups /input and /layers of a network, without anything recorded."""
    spec = network.input
    group = file.create_group("input")
    for name, value in (("shape", list(spec.shape)), ("encoding", spec.encoding), ("timesteps", spec.timesteps),
                        ("payload_bits", spec.payload_bits), ("signed", int(spec.signed)), ("coding", spec.coding)):
        put(group, name, value)
    if spec.encoding == "hybrid":
        put(group, "spike_shift", spec.spike_shift)
    layers = file.create_group("layers")
    put(layers, "order", [layer.name for layer in network])
    for layer in network:
        _write_layer(layers.create_group(layer.name), layer)


def _write_layer(group: Any, layer: Layer) -> None:
    parameters = json.dumps(layer.neuron.parameters(), sort_keys=True, allow_nan=False)
    for name, value in (
        ("shape", list(layer.shape)), ("neuron", layer.neuron.model), ("neuron_parameters", parameters),
        ("coding", layer.coding), ("timesteps", layer.timesteps), ("potential_bits", layer.potential_bits),
        ("payload_bits", layer.payload_bits), ("signed", 0), ("connections", len(layer.connections)),
    ):
        put(group, name, value)
    if len(layer.thresholds):
        put(group, "thresholds", [int(theta) for theta in layer.thresholds])
    if layer.stages:
        put(group, "stages", list(layer.stages))
    if layer.bias is not None:
        write_array(group, "bias", layer.bias.astype(np.int64))
    write_array(group, "initial_potential", layer.initial_potential.astype(np.int64))
    for k, connection in enumerate(layer.connections):
        _write_connection(group.create_group(f"connection{k}"), connection)


def _write_connection(group: Any, c: Connection) -> None:
    for name, value in (
        ("source", c.source), ("operator", c.operator), ("source_shape", list(c.source_shape)), ("kernel", c.kernel),
        ("stride", c.stride), ("padding", c.padding), ("groups", c.groups), ("pool", c.pool),
        ("pool_mode", c.pool_mode), ("channel_offset", c.channel_offset),
    ):
        put(group, name, value)
    if c.weights is not None:
        write_array(group, "weights", narrowest(c.weights))


def narrowest(array: NDArray[np.integer]) -> NDArray[np.integer]:
    """The same integers in the smallest signed type of 1, 2, 4 or 8 bytes."""
    low, high = int(array.min()), int(array.max())
    for dtype in ("<i1", "<i2", "<i4"):
        info = np.iinfo(dtype)
        if info.min <= low and high <= info.max:
            return array.astype(dtype)
    return array.astype("<i8")
