"""What a trace file says it holds: its manifest, and the errors of everything that reads or writes traces.

docs/formats/trace.md types every group, dataset and attribute. A file is read as a *manifest* first, the attributes of
all its objects and the types and shapes of its datasets; the manifest's SHA-256 is the trace's content hash. Only what
the manifest and the network agree on is then read. Whatever HDF5 itself raises comes out as one TraceError.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError
from hwsim.snn.validate import NAME
from hwsim.trace.hdf5_messages import ScanError
from hwsim.trace.hdf5_scan import MAX_DEPTH, MAX_OBJECTS, Node
from hwsim.trace.hdf5_writer import Attribute

if TYPE_CHECKING:
    import h5py

DTYPES = {"|u1": "uint8", "|i1": "int8", "<i2": "int16", "<u2": "uint16", "<i4": "int32", "<i8": "int64",
          "<f8": "float64"}
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32"}
FLETCHER32 = 3
MAX_ATTRIBUTE_BYTES = 1 << 16
MAX_ARRAY_BYTES = 1 << 31
# gzip cannot shrink more than 1,032 times: a dataset that claims to is a bomb, or was never written.
MAX_SHRINK = 1_100
# A chunk has its Fletcher32 checksum and its entry in the index: 4 + 8 bytes at least.
MIN_CHUNK_BYTES = 12


class TraceError(HwsimError):
    """A trace that cannot be trusted or made; the text names file, place, found, expected and what to do."""


def trouble(where: str, place: str, found: str, expected: str, do: str) -> TraceError:
    """The one error a reader sees."""
    return TraceError(f"{where}: {place}: found {found}, expected {expected}; {do}")


@contextmanager
def guard(where: str, place: str) -> Iterator[None]:
    """Turn whatever h5py or numpy raise on damaged data into a TraceError."""
    try:
        yield
    except TraceError:
        raise
    except Exception as error:
        said = str(error).strip("'\"") or type(error).__name__
        raise trouble(
            where, place, f"data that cannot be read ({said})", "what docs/formats/trace.md describes",
            "the file is damaged or not a trace: copy or make it again",
        ) from error


@contextmanager
def writing(where: str) -> Iterator[None]:
    """Turn what the system raises on writing into a TraceError."""
    try:
        yield
    except OSError as error:
        raise trouble(where, "file", f"that it cannot be written ({error.strerror or error})",
                      "a folder with leave and room to write", "check the path and the free space") from error


@contextmanager
def scanning(where: str) -> Iterator[None]:
    """Turn what a scanner refuses into a TraceError."""
    try:
        yield
    except ScanError as error:
        raise trouble(where, error.place, error.found, error.expected,
                      "the file is damaged or was not written as docs/formats/trace.md says: copy or make it again") from None


def close_refused(file: h5py.File) -> None:
    """Close a file that was refused: HDF5 may fail to close what it could not parse, and the refusal is what matters."""
    with suppress(Exception):
        file.close()


# -- manifest -----------------------------------------------------------------------------------------------------


@dataclass
class ManifestEntry:
    """One group (`shape` None) or dataset of a file."""

    attributes: dict[str, Attribute]
    dtype: str = ""
    shape: tuple[int, ...] | None = None

    def document(self) -> dict[str, Any]:
        """JSON form, as the content hash covers it."""
        kept = {k: v for k, v in self.attributes.items() if k != "content_sha256"}
        if self.shape is None:
            return {"attributes": kept}
        return {"attributes": kept, "dtype": self.dtype, "shape": list(self.shape)}


Manifest = dict[str, ManifestEntry]


def content_hash(manifest: Manifest) -> str:
    """SHA-256 of the canonical JSON of the manifest: the data (by their own SHA-256) and everything said of them."""
    document = {path: entry.document() for path, entry in manifest.items()}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def array_hash(array: NDArray[Any]) -> str:
    """SHA-256 of an array's bytes, little-endian, C order."""
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<"), order="C", copy=False).data).hexdigest()


def manifest_of(nodes: Mapping[str, Node], where: str) -> Manifest:
    """The manifest of a file that was scanned. Raises TraceError for names and types that a trace does not have."""
    manifest: Manifest = {}
    for path, node in nodes.items():
        _check_name(path.rpartition("/")[2], path, where)
        _check_count(len(node.attributes), path, where)
        if not node.is_dataset:
            manifest[path] = ManifestEntry(node.attributes)
            continue
        dtype = node.dataset.element.dtype
        if dtype.str not in DTYPES:
            raise trouble(where, path, f"elements of type {dtype}", f"one of {', '.join(DTYPES.values())}", "convert it")
        manifest[path] = ManifestEntry(node.attributes, DTYPES[dtype.str], node.dataset.shape)
    return manifest


def read_manifest(file: h5py.File, where: str) -> Manifest:
    """The same of a version 1 file, by the HDF5 library; refuses links, foreign types and storage outside of the file."""
    manifest: Manifest = {}
    with guard(where, "file"):
        _walk(file.id, b"/", "/", manifest, where, 0)
    return manifest


def _walk(parent: Any, name: bytes, path: str, manifest: Manifest, where: str, depth: int) -> None:
    import h5py

    if depth > MAX_DEPTH or len(manifest) >= MAX_OBJECTS:
        raise trouble(where, path, "more or deeper objects", f"at most {MAX_OBJECTS}, {MAX_DEPTH} deep", "refuse it")
    with guard(where, path):
        node = h5py.h5o.open(parent, name)
        if isinstance(node, h5py.h5d.DatasetID):
            manifest[path] = _dataset_entry(node, path, where)
        elif isinstance(node, h5py.h5g.GroupID):
            manifest[path] = ManifestEntry(_attributes(node, path, where))
            for child in sorted(node):
                text = child.decode("ascii", "backslashreplace")
                below = f"{path.rstrip('/')}/{text}"
                _check_link(node, child, text, below, where)
                _walk(node, child, below, manifest, where, depth + 1)
        else:
            raise trouble(where, path, "a named type", "a group or dataset", "remove it")


def _check_link(group: Any, name: bytes, text: str, path: str, where: str) -> None:
    import h5py

    if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
        raise trouble(where, path, "a soft or external link", "the data itself", "a trace stands alone: copy it in")
    _check_name(text, path, where)


def _attributes(node: Any, path: str, where: str) -> dict[str, Attribute]:
    import h5py

    found: dict[str, Attribute] = {}
    count = h5py.h5a.get_num_attrs(node)
    _check_count(count, path, where)
    for index in range(count):
        attribute = h5py.h5a.open(node, index=index)
        name = attribute.name.decode("ascii", "backslashreplace")
        found[name] = _attribute_value(attribute, f"{path}, attribute {name!r}", where)
    return found


def _attribute_value(attribute: Any, place: str, where: str) -> Attribute:
    with guard(where, place):
        dtype, shape, size = attribute.dtype, attribute.shape, attribute.get_storage_size()
        if dtype.kind not in "iuS" or len(shape) > 1 or size > MAX_ATTRIBUTE_BYTES:
            raise trouble(
                where, place, f"type {dtype}, shape {shape}, {size} bytes",
                f"integers or fixed-length strings, scalar or one-dimensional, up to {MAX_ATTRIBUTE_BYTES} bytes",
                "write it as docs/formats/trace.md says",
            )
        value = np.empty(shape, dtype)
        attribute.read(value)
        plain: Any = value.tolist()
        if dtype.kind == "S":
            return plain.decode() if not shape else [item.decode() for item in plain]
        return plain


def _dataset_entry(node: Any, path: str, where: str) -> ManifestEntry:
    import h5py

    dtype, shape, creation = node.dtype, node.shape, node.get_create_plist()
    if dtype.str not in DTYPES:
        raise trouble(where, path, f"elements of type {dtype}", f"one of {', '.join(DTYPES.values())}", "convert it")
    if creation.get_layout() != h5py.h5d.CHUNKED or creation.get_external_count():
        raise trouble(where, path, "data stored unchunked, virtually or in another file", "chunks in this file",
                      "a trace stands alone: copy the data in, chunked")
    filters = [creation.get_filter(i)[0] for i in range(creation.get_nfilters())]
    if FLETCHER32 not in filters or set(filters) - set(FILTERS):
        raise trouble(where, path, f"filters {sorted(filters)}", "fletcher32, with gzip and shuffle at will",
                      "write it with fletcher32=True")
    entry = ManifestEntry(_attributes(node, path, where), DTYPES[dtype.str], tuple(int(n) for n in shape))
    check_claim(entry, creation.get_chunk(), h5py.h5i.get_file_id(node).get_filesize(), path, where)
    _check_chunks(node, creation.get_chunk(), 1 << filters.index(FLETCHER32), entry, path, where)
    return entry


def _check_name(name: str, path: str, where: str) -> None:
    if path != "/" and not NAME.fullmatch(name):
        raise trouble(where, path, f"the name {name!r}", "letters, digits, _ . -", "rename it")


def _check_count(attributes: int, path: str, where: str) -> None:
    if attributes > 64:
        raise trouble(where, path, f"{attributes} attributes", "at most 64", "remove the others")


def check_claim(entry: ManifestEntry, chunk: tuple[int, ...], available: int, path: str, where: str) -> None:
    """Refuse a shape that a file of `available` bytes is too short to hold, before anything is done in proportion to it."""
    shape, width = entry.shape or (), np.dtype(entry.dtype).itemsize
    if not shape or min(shape) < 1 or len(shape) > 5:
        raise trouble(where, path, f"shape {shape}", "one to five axes, none empty", "leave empty datasets out")
    if width * product(chunk) > MAX_ARRAY_BYTES or any(c > n for n, c in zip(shape, chunk, strict=True)):
        raise trouble(where, path, f"chunks of shape {chunk}", f"at most {shape} and {MAX_ARRAY_BYTES} bytes",
                      "use smaller ones")
    claimed, count = width * product(shape), _chunk_count(shape, chunk)
    if max(count * MIN_CHUNK_BYTES, claimed // MAX_SHRINK) > available:
        raise trouble(where, path, f"{claimed} bytes in {count} chunks", f"what {available} bytes of file can hold",
                      "the file is damaged or was made to mislead")


def _check_chunks(node: Any, chunk: tuple[int, ...], unchecked: int, entry: ManifestEntry, path: str, where: str) -> None:
    """Every chunk is there, has its checksum (bit `unchecked` of its mask is clear) and cannot inflate beyond bounds."""
    raw = np.dtype(entry.dtype).itemsize * product(chunk)
    count = largest = skipped = 0

    def look(info: Any) -> None:
        nonlocal count, largest, skipped
        count, largest, skipped = count + 1, max(largest, info.size), skipped | info.filter_mask

    node.chunk_iter(look)
    expected = _chunk_count(entry.shape or (), chunk)
    if count != expected or largest > raw + raw // 1000 + 1024 or skipped & unchecked:
        raise trouble(where, path, f"{count} chunks of up to {largest} bytes", f"{expected} of up to {raw}, checksums on",
                      "the file is incomplete or damaged: make it again")


def _chunk_count(shape: tuple[int, ...], chunk: tuple[int, ...]) -> int:
    return product(tuple(-(-n // c) for n, c in zip(shape, chunk, strict=True)))


def product(shape: tuple[int, ...]) -> int:
    total = 1
    for n in shape:
        total *= int(n)
    return total
