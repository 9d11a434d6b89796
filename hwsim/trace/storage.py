"""Where the data of a trace file come from: hwsim's own reader for all that a scan has cleared, the HDF5 library for the rest.

A scanned file is read by the addresses that the scan found, chunk by chunk, and every chunk is unpacked into as many bytes as
its shape says and no more. The HDF5 library never sees such a file. It is needed for version 1 alone, whose structures no scan
clears. Those of the traces that hwsim ships are known by their SHA-256; others are opened only if the caller says that they are
trusted. Sizes are in bytes. Fletcher32 checksums are not compared: all that is read has a SHA-256.
"""

from __future__ import annotations

import hashlib
import io
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from hwsim.trace.hdf5_messages import FLETCHER32, GZIP, SHUFFLE, Dataset
from hwsim.trace.hdf5_scan import Scanner
from hwsim.trace.manifest import Manifest, check_claim, close_refused, guard, manifest_of, read_manifest, scanning, trouble

if TYPE_CHECKING:
    import h5py

TRUST = "HWSIM_TRUST_VERSION_1"
"""Environment variable: 1 says that version 1 files are trusted, as `Trace.open(path, trust_version_1=True)` does."""
SHIPPED = Path(__file__).with_name("shipped_version_1.txt")
"""SHA-256 of the version 1 files that hwsim ships, one per line."""
MOST_HASHED = 1 << 25
"""Bytes; no shipped file is larger."""


class Storage(Protocol):
    """An open file."""

    def manifest(self) -> Manifest:
        """All that the file says, read now."""
        ...

    def chunk_shape(self, path: str) -> tuple[int, ...]:
        """Of a dataset."""
        ...

    def row(self, path: str, index: int) -> NDArray[Any]:
        """One chunk of a dataset whose chunks are one row each."""
        ...

    def read_into(self, path: str, array: NDArray[Any]) -> None:
        """A whole dataset."""
        ...

    def image(self) -> bytes:
        """The bytes of the file."""
        ...

    def close(self) -> None:
        """Nothing can be read any more."""
        ...


def open_storage(handle: BinaryIO, where: str, path: Path | None, trusted: bool) -> Storage:
    """The storage of an open file, which it owns from now on. Raises TraceError for what no trace needs."""
    with scanning(where):
        scanner = Scanner(handle, handle.seek(0, os.SEEK_END))
        if not scanner.says_version_1():
            return ScannedStorage(handle, where)
    if not (trusted or os.environ.get(TRUST) == "1" or _is_shipped(handle)):
        raise trouble(where, "/, attribute 'format_version'", "version 1, which the HDF5 library reads without a scan before it",
                      "a trace that hwsim ships, or version 2",
                      "a forged file can crash the library. If you trust where it comes from, set the environment variable "
                      f"{TRUST}=1, or call Trace.open(path, trust_version_1=True)")
    return LibraryStorage(handle, where, path)


def _is_shipped(handle: BinaryIO) -> bool:
    """Whether the file is a version 1 file of hwsim's own, to the last byte."""
    if handle.seek(0, os.SEEK_END) > MOST_HASHED:
        return False
    handle.seek(0)
    return hashlib.sha256(handle.read()).hexdigest() in SHIPPED.read_text().split()


class ScannedStorage:
    """A file whose structures were all walked before."""

    def __init__(self, handle: BinaryIO, where: str) -> None:
        self._handle, self._where = handle, where
        self._datasets: dict[str, Dataset] = {}

    def manifest(self) -> Manifest:
        with scanning(self._where):
            size = self._handle.seek(0, os.SEEK_END)
            scanner = Scanner(self._handle, size)
            root = scanner.root()
            nodes = scanner.walk(root)
            self._datasets = {path: node.dataset for path, node in nodes.items() if node.is_dataset}
            found = manifest_of(nodes, self._where)
            for path, dataset in self._datasets.items():
                check_claim(found[path], dataset.chunking.shape, size, path, self._where)
            return found

    def chunk_shape(self, path: str) -> tuple[int, ...]:
        return self._datasets[path].chunking.shape

    def row(self, path: str, index: int) -> NDArray[Any]:
        dataset = self._datasets[path]
        return self._chunk(dataset, index).reshape(dataset.shape[1:])

    def read_into(self, path: str, array: NDArray[Any]) -> None:
        dataset = self._datasets[path]
        grid = [range(0, n, c) for n, c in zip(dataset.shape, dataset.chunking.shape, strict=True)]
        for number, starts in enumerate(np.ndindex(*map(len, grid))):
            corner = [steps[k] for steps, k in zip(grid, starts, strict=True)]
            place = tuple(slice(at, at + c) for at, c in zip(corner, dataset.chunking.shape, strict=True))
            target = array[place]
            target[...] = self._chunk(dataset, number)[tuple(slice(0, n) for n in target.shape)]

    def _chunk(self, dataset: Dataset, number: int) -> NDArray[Any]:
        """One chunk, unpacked into as many bytes as its shape has."""
        address, size, mask = (int(column[number]) for column in dataset.chunks)
        data = self._bytes(address, size)
        for position in range(len(dataset.filters) - 1, -1, -1):
            if mask >> position & 1:
                continue
            if dataset.filters[position] == FLETCHER32:
                data = data[:-4]
            elif dataset.filters[position] == GZIP:
                data = _inflate(data, dataset.chunk_bytes + 4)  # a checksum may come before it
            elif dataset.filters[position] == SHUFFLE:
                width = dataset.element.size
                data = np.frombuffer(data, np.uint8).reshape(width, -1).T.tobytes()
        if len(data) != dataset.chunk_bytes:
            raise ValueError(f"a chunk of {len(data)} bytes where {dataset.chunk_bytes} are expected")
        return np.frombuffer(data, dataset.element.dtype).reshape(dataset.chunking.shape)

    def _bytes(self, address: int, size: int) -> bytes:
        if isinstance(self._handle, io.BytesIO):
            data = bytes(self._handle.getbuffer()[address : address + size])
        else:
            data = os.pread(self._handle.fileno(), size, address)
        if len(data) != size:
            raise ValueError(f"{len(data)} bytes of a chunk of {size}: the file was cut off")
        return data

    def image(self) -> bytes:
        self._handle.seek(0)
        return self._handle.read()

    def close(self) -> None:
        self._handle.close()


def _inflate(data: bytes, most: int) -> bytes:
    """What a deflated chunk holds, refused beyond `most` bytes before memory is asked for."""
    unpacker = zlib.decompressobj()
    found = unpacker.decompress(data, most)
    if not unpacker.eof:
        raise ValueError(f"a chunk that is cut off, or has more than {most} bytes")
    return found


class LibraryStorage:
    """A version 1 file, read by the HDF5 library."""

    def __init__(self, handle: BinaryIO, where: str, path: Path | None) -> None:
        import h5py

        self._where, self._rows = where, dict[str, _LibraryRows]()
        with guard(where, "file"), handle:
            if path is not None:
                self._file: h5py.File = h5py.File(path, "r", rdcc_nbytes=0)
            else:
                handle.seek(0)
                self._file = h5py.File(h5py.h5f.open_file_image(handle.read()))

    def manifest(self) -> Manifest:
        return read_manifest(self._file, self._where)

    def chunk_shape(self, path: str) -> tuple[int, ...]:
        return tuple(self._file[path].chunks)

    def row(self, path: str, index: int) -> NDArray[Any]:
        if path not in self._rows:
            self._rows[path] = _LibraryRows(self._file[path])
        return self._rows[path].read(index)

    def read_into(self, path: str, array: NDArray[Any]) -> None:
        self._file[path].read_direct(array)

    def image(self) -> bytes:
        self._file.flush()
        return bytes(self._file.id.get_file_image())

    def close(self) -> None:
        self._rows = {}
        close_refused(self._file)


class _LibraryRows:
    """Reads rows of one dataset with as little in between as h5py allows: 30 us a row besides inflating it."""

    def __init__(self, dataset: Any) -> None:
        import h5py

        self._id, self._shape, self._dtype = dataset.id, dataset.shape[1:], dataset.dtype
        self._start = (0,) * len(self._shape)
        self._memory = h5py.h5s.create_simple((1, *self._shape))

    def read(self, index: int) -> NDArray[Any]:
        row: NDArray[Any] = np.empty(self._shape, self._dtype)
        space = self._id.get_space()
        space.select_hyperslab((index, *self._start), (1, *self._shape))
        self._id.read(self._memory, space, row)
        return row
