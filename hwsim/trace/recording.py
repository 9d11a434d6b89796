"""A trace while it is written, sample by sample: constant memory, and either a whole file or none.

A Recording keeps one file open, in memory or beside its destination, and stores each sample's rows as one chunk per
dataset as they come. `seal` adds the network, the hashes and all that points at the chunks, and puts the file in its place.
docs/formats/trace.md says what is written; hdf5_writer writes the bytes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hwsim.files import WholeFile
from hwsim.snn.network import INPUT, Network
from hwsim.snn.sample import Sample
from hwsim.snn.validate import validate_network
from hwsim.trace.file import SHA256_BYTES, row_hash
from hwsim.trace.hdf5_writer import PAGE_BITS, Attribute, Chunk, Hdf5Writer, attribute_array
from hwsim.trace.manifest import (
    MAX_ATTRIBUTE_BYTES,
    Manifest,
    ManifestEntry,
    TraceError,
    array_hash,
    content_hash,
    trouble,
    writing,
)
from hwsim.trace.schema import (
    FORMAT,
    FORMAT_VERSION,
    ROW_HASHES,
    RecordedPlanes,
    capabilities,
    columns,
    encode,
    potential_dtype,
    potential_path,
)

NETWORK_CHUNK_BYTES = 1 << 24
MAX_NAME = 200
MAX_SAMPLES = 1 << PAGE_BITS


@dataclass
class _Rows:
    """A dataset of one row per sample: the shape and type of a row, where its chunks lie, their SHA-256."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: list[Chunk] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)


class Recording:
    """A trace while it is written: samples go in one by one; `seal` makes a file of them, or `abort` gives up.

    hwsim.trace.writer.TraceWriter is one that opens what it has written. Without a path the file stays in memory. Raises
    TraceError when the network or a sample is unsound.
    """

    def __init__(
        self, network: Network, path: str | Path | None = None, *, name: str | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.where = str(path) if path is not None else "trace in memory"
        self.network, self.samples = network, 0
        problems = validate_network(network)
        if problems:
            raise network_trouble(self.where, problems)
        title = name if name is not None else self.path.stem if self.path is not None else "trace"
        groups, self._arrays = encode(network)
        self._manifest: Manifest = {"/": ManifestEntry(self._head(title, dict(provenance or {})))}
        self._manifest |= {place: ManifestEntry(attributes) for place, attributes in groups.items()}
        for place, entry in self._manifest.items():
            _check_attributes(self.where, place, entry.attributes)
        self._columns = columns(network)
        self._rows: dict[str, _Rows] = {}
        self._extras: set[str] | None = None
        self._labels: list[int] = []
        self.sealed = False
        with writing(self.where):
            self._file = None if self.path is None else WholeFile(self.path)
            self._handle: BinaryIO = io.BytesIO() if self._file is None else open(self._file.part, "wb")
            self._hdf5 = Hdf5Writer(self._handle)

    def append(
        self, sample: Sample, *, label: int | None = None, logits: NDArray[Any] | None = None,
        potentials: Mapping[str, NDArray[np.integer]] | None = None,
    ) -> None:
        """Add one sample: planes (T, H, W, C); optional label, logits (K,) and final potentials {layer: (C, H, W)}.

        What is optional is given for every sample or for none.
        """
        place = f"sample {self.samples}"
        if self.samples == MAX_SAMPLES:
            raise trouble(self.where, place, "one more sample", f"at most {MAX_SAMPLES}", "begin another trace")
        potentials = dict(potentials or {})
        given = {what for what, value in (("label", label), ("logits", logits)) if value is not None} | set(potentials)
        if self._extras is not None and given != self._extras:
            raise trouble(self.where, place, f"{sorted(given)}", f"{sorted(self._extras)} as for sample 0",
                          "give labels, logits and potentials for every sample or for none")
        last = self.network.layers[-1]
        if label is not None and not 0 <= whole_number(label, place) < (1 << 31 if last.sends else last.neurons):
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

    def seal(self) -> Path | bytes:
        """Add all that follows the samples and put the file in its place: its path, or without one its bytes."""
        if self.sealed:
            raise trouble(self.where, "writer", "a finished one", "one that is open", "make a new TraceWriter")
        if not self.samples:
            self.abort()
            raise trouble(self.where, "samples", "none", "at least one", "append samples before finishing")
        self.sealed = True
        try:
            with writing(self.where):
                self._write_rest()
                if self._file is None:
                    assert isinstance(self._handle, io.BytesIO)
                    return self._handle.getvalue()
                self._handle.close()
                self._file.put()
                return self._file.path
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        """Give up: nothing is left behind."""
        with suppress(OSError):  # closing writes what is still in memory, which a full disk refuses
            self._handle.close()
        if self._file is not None:
            self._file.drop()

    def _head(self, name: str, provenance: dict[str, Any]) -> dict[str, Attribute]:
        """Attributes of the root group that are known from the beginning."""
        if not name.isprintable() or not 0 < len(name) <= MAX_NAME:
            raise trouble(self.where, "name", repr(name[:MAX_NAME]), f"1 to {MAX_NAME} printable characters", "rename it")
        try:
            text = json.dumps(provenance, sort_keys=True, allow_nan=False, ensure_ascii=True)
        except (TypeError, ValueError) as error:
            raise trouble(self.where, "provenance", f"a value that is not JSON ({error})", "strings, numbers, lists, "
                          "dictionaries", "convert it") from None
        return {"format": FORMAT, "format_version": FORMAT_VERSION, "capabilities": list(capabilities(self.network)),
                "name": name, "provenance": text}

    def _write_rest(self) -> None:
        """Write everything but the rows, children before the groups that hold them."""
        rows = sorted(self._rows)
        hashes = b"".join(self._rows[path].hashes[index] for index in range(self.samples) for path in rows)
        arrays = self._arrays | {ROW_HASHES: np.frombuffer(hashes, np.uint8).reshape(self.samples, len(rows), SHA256_BYTES)}
        if self._labels:
            arrays["/labels"] = np.array(self._labels, np.int64)
        addresses = {path: self._write_array(path, array) for path, array in arrays.items()}
        addresses |= {path: self._write_rows(path, found) for path, found in self._rows.items()}
        head = self._manifest["/"].attributes
        head["samples"] = self.samples
        head["content_sha256"] = content_hash(self._manifest)
        groups = [path for path, entry in self._manifest.items() if entry.shape is None]
        for path in sorted(groups, key=_depth, reverse=True):
            links = {_name(below): at for below, at in addresses.items() if below != "/" and _parent(below) == path}
            addresses[path] = self._hdf5.group(self._manifest[path].attributes, links)
        self._hdf5.close(addresses["/"])

    def _write_array(self, path: str, array: NDArray[Any]) -> int:
        """A dataset that is not read by sample, with its SHA-256; in chunks of bounded size."""
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        rows = min(len(array), max(1, NETWORK_CHUNK_BYTES // max(1, array.nbytes // len(array))))
        chunks = []
        for start in range(0, len(array), rows):
            chunk = np.zeros((rows, *array.shape[1:]), array.dtype)  # HDF5 stores the last chunk whole
            part = array[start : start + rows]
            chunk[: len(part)] = part
            chunks.append(self._hdf5.chunk(chunk))
        entry = ManifestEntry({"sha256": array_hash(array)}, array.dtype.name, array.shape)
        self._manifest[path] = entry
        return self._hdf5.dataset(array.shape, array.dtype, (rows, *array.shape[1:]), chunks, entry.attributes)

    def _write_rows(self, path: str, rows: _Rows) -> int:
        shape = (self.samples, *rows.shape)
        self._manifest[path] = ManifestEntry({}, rows.dtype.name, shape)
        return self._hdf5.dataset(shape, rows.dtype, (1, *rows.shape), rows.chunks, {})

    def _row(self, column: RecordedPlanes, name: str, sample: Sample, place: str) -> NDArray[Any]:
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
        first = self._rows.get("/logits")
        if row.ndim != 1 or row.dtype.kind not in "iuf" or not len(row) or not np.isfinite(row).all():
            raise trouble(self.where, f"{place}, logits", f"{row.dtype} of shape {row.shape}",
                          "finite numbers of shape (K,)", "record them so")
        row = row.astype(np.float64 if row.dtype.kind == "f" else np.int64)
        if first is not None and (first.dtype != row.dtype or first.shape != row.shape):
            raise trouble(self.where, f"{place}, logits", f"{row.dtype} of shape {row.shape}",
                          f"{first.dtype} of shape {first.shape} as for sample 0", "make them alike")
        return row

    def _append_row(self, path: str, row: NDArray[Any]) -> None:
        rows = self._rows.setdefault(path, _Rows(row.shape, row.dtype))
        rows.chunks.append(self._hdf5.chunk(row))
        rows.hashes.append(row_hash(row))


def whole_number(value: Any, place: str) -> int:
    """A label as an integer; TraceError for one that is not whole."""
    number = np.asarray(value)
    if number.shape or number.dtype.kind not in "iu":
        raise trouble("trace", place, f"{value!r}", "an integer", "number the classes from 0")
    return int(number)


def network_trouble(where: str, problems: list[str]) -> TraceError:
    """One error with everything that is wrong with a network."""
    return TraceError(f"{where}: the network has {len(problems)} problem(s):\n  " + "\n  ".join(problems))


def _check_attributes(where: str, path: str, attributes: Mapping[str, Attribute]) -> None:
    """Refuse text that a file cannot hold."""
    for name, value in attributes.items():
        place = f"{path}, attribute {name!r}"
        if "\0" in (value if isinstance(value, str) else "".join(map(str, value)) if isinstance(value, list) else ""):
            raise trouble(where, place, "a NUL character", "text without", "remove it")
        if (size := attribute_array(value).nbytes) > MAX_ATTRIBUTE_BYTES // 2:
            raise trouble(where, place, f"{size} bytes", f"at most {MAX_ATTRIBUTE_BYTES // 2}", "shorten it")


def _depth(path: str) -> int:
    return 0 if path == "/" else path.count("/")


def _parent(path: str) -> str:
    return path.rsplit("/", 1)[0] or "/"


def _name(path: str) -> str:
    return path.rsplit("/", 1)[1]
