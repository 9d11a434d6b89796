"""The data of a trace file: arrays and rows whose place, type and hash were verified before they are given out."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.trace import version1
from hwsim.trace.manifest import ManifestEntry, array_hash, guard, product, trouble
from hwsim.trace.storage import LibraryStorage, Storage

SHA256_BYTES = 32
MAX_HELD_BYTES = 1 << 30
"""Of the network, labels and hashes of rows, which are held as long as a trace is open; weights of 8 bits count 1 each."""


class TraceFile:
    """An open file and its manifest; gives out arrays whose place, type, size and SHA-256 were verified.

    stated     the manifest as the file has it, which the content hash covers.
    manifest   the same in the words of version 2.        version    of the format.
    """

    def __init__(self, storage: Storage, where: str) -> None:
        self.storage, self.where = storage, where
        self.stated = storage.manifest()
        self.version = self.stated["/"].attributes.get("format_version")
        if isinstance(storage, LibraryStorage) and self.version != version1.VERSION:
            raise trouble(where, "/, attribute 'format_version'", repr(self.version), "an integer from 1 to 2",
                          "see docs/formats/trace.md")
        self.manifest = version1.in_words_of_version_2(self.stated) if self.version == version1.VERSION else self.stated
        self._rows: set[str] = set()
        self._held_bytes = 0
        self._row_hashes: NDArray[np.uint8] | None = None
        self._position: dict[str, int] = {}
        self._verified: set[str] = set()

    def __contains__(self, path: str) -> bool:
        return path in self.manifest

    def dataset(self, path: str) -> ManifestEntry:
        """The entry of a dataset that must be there, with its SHA-256 and nothing else said of it."""
        entry = self.entry(path)
        if set(entry.attributes) != {"sha256"}:
            raise trouble(self.where, path, f"attributes {sorted(entry.attributes)}", "only 'sha256'", "correct it")
        return entry

    def entry(self, path: str) -> ManifestEntry:
        """The entry of a dataset that must be there."""
        entry = self.manifest.get(path)
        if entry is None or entry.shape is None:
            raise trouble(self.where, path, "no such dataset", "one", "the file is incomplete: make it again")
        return entry

    def expect(self, path: str, shape: tuple[int, ...], *dtypes: str) -> None:
        """Refuse a dataset that is not of this shape and one of these types."""
        self._expect(self.dataset(path), path, shape, dtypes)

    def _expect(self, entry: ManifestEntry, path: str, shape: tuple[int, ...], dtypes: tuple[str, ...]) -> None:
        if entry.shape != shape or entry.dtype not in dtypes:
            raise trouble(self.where, path, f"{entry.dtype} of shape {entry.shape}",
                          f"{' or '.join(dtypes)} of shape {shape}", "the file is mislabelled: make it again")

    def expect_rows(self, path: str, shape: tuple[int, ...], *dtypes: str) -> None:
        """The same for a dataset of one row per sample, which `row` will read; from version 2 on its hashes lie elsewhere."""
        entry = self.entry(path) if self.hashes_rows else self.dataset(path)
        if self.hashes_rows and entry.attributes:
            raise trouble(self.where, path, f"attributes {sorted(entry.attributes)}", "none", "correct it")
        self._expect(entry, path, shape, dtypes)
        if (chunk := self.storage.chunk_shape(path)) != (1, *shape[1:]):
            raise trouble(self.where, path, f"chunks of shape {chunk}", f"{(1, *shape[1:])}, one sample each",
                          "make the file again")
        self._rows.add(path)

    def placeholder(self, path: str) -> NDArray[Any]:
        """Zeros of a dataset's shape and type that take no memory, to check a claim before believing it."""
        entry = self.dataset(path)
        self._check_held(path, entry)
        return np.broadcast_to(np.zeros((), entry.dtype), entry.shape or ())

    def array(self, path: str) -> NDArray[Any]:
        """A whole dataset, compared with its SHA-256."""
        entry = self.dataset(path)
        self._held_bytes += self._check_held(path, entry)
        with guard(self.where, path):
            array: NDArray[Any] = np.empty(entry.shape or (), entry.dtype)
            self.storage.read_into(path, array)
        self._compare(path, array_hash(array))
        return array

    def _check_held(self, path: str, entry: ManifestEntry) -> int:
        """Bytes of a dataset. Refuses it, before any memory is asked for, where all that is held would be too large with it."""
        size = product(entry.shape or ()) * np.dtype(entry.dtype).itemsize
        if (held := self._held_bytes + size) > MAX_HELD_BYTES:
            raise trouble(self.where, path, f"shape {entry.shape}: {held} bytes to hold beside samples",
                          f"at most {MAX_HELD_BYTES}", "split the trace")
        return size

    @property
    def hashes_rows(self) -> bool:
        """Whether the format has a SHA-256 per row: from version 2 on."""
        return self.version != version1.VERSION

    @property
    def row_paths(self) -> list[str]:
        """Datasets of one row per sample, in the order of their hashes."""
        return sorted(self._rows)

    def read_row_hashes(self, path: str, samples: int) -> None:
        """Read the SHA-256 of every row that `expect_rows` announced: uint8 (samples, datasets, 32)."""
        self.expect(path, (samples, len(self._rows), SHA256_BYTES), "uint8")
        self._row_hashes = self.array(path)
        self._position = {name: k for k, name in enumerate(self.row_paths)}

    def row(self, path: str, index: int) -> NDArray[Any]:
        """One sample's row, compared with its SHA-256; in version 1 the whole dataset is, when its first row is read."""
        if self._row_hashes is None:
            if path not in self._verified:
                self.check_hash(path)
                self._verified.add(path)
            return self._read_row(path, index)
        row = self._read_row(path, index)
        found, expected = row_hash(row), self._row_hashes[index, self._position[path]].tobytes()
        if found != expected:
            raise trouble(
                self.where, f"{path}[{index}]",
                f"other data for sample {index} of {_owner(path)} (SHA-256 {found.hex()[:12]}...)",
                f"{expected.hex()[:12]}... as recorded", "the row was altered or damaged: make the file again",
            )
        return row

    def _read_row(self, path: str, index: int) -> NDArray[Any]:
        with guard(self.where, f"{path}[{index}]"):
            return self.storage.row(path, index)

    def check_hash(self, path: str) -> None:
        """Compare a dataset with its SHA-256; one of rows, of any length, a row at a time."""
        digest, entry = hashlib.sha256(), self.dataset(path)
        with guard(self.where, path):
            if path in self._rows:
                for index in range((entry.shape or (0,))[0]):
                    digest.update(self.storage.row(path, index).data)
            else:
                array: NDArray[Any] = np.empty(entry.shape or (), entry.dtype)
                self.storage.read_into(path, array)
                digest.update(array.data)
        self._compare(path, digest.hexdigest())

    def _compare(self, path: str, found: str) -> None:
        expected = str(self.dataset(path).attributes["sha256"])
        if found != expected:
            raise trouble(self.where, path, f"data with SHA-256 {found[:12]}...", f"{expected[:12]}...",
                          "the data were altered or damaged: make the file again")


def _owner(path: str) -> str:
    """Who sent or computed the rows of a dataset, in words."""
    parts = path.split("/")
    return f"layer {parts[2]!r}" if parts[1] == "layers" else "the input" if parts[1] == "input" else "the network"


def row_hash(row: NDArray[Any]) -> bytes:
    """SHA-256 of one sample's row, little-endian and in C order."""
    return hashlib.sha256(np.ascontiguousarray(row, row.dtype.newbyteorder("<")).data).digest()
