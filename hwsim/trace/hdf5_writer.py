"""Writes the small part of HDF5 that a trace is made of, byte for byte, and nothing else.

The HDF5 library chooses between many structures by itself (dense attributes, B-trees, extensible arrays), and h5py has no
setting for some of these choices. A trace has to be readable by a strict scanner (hdf5_scan), so its structures are written
here: one superblock of version 3, one object header of version 2 per group and dataset with all its attributes and links
inside, and one fixed array per dataset that says where its chunks lie. Chunks are written as they come; everything that
points at them is written at the end, and the superblock last: a file that was cut off has no superblock. Sizes are in bytes.
Source: "HDF5 File Format Specification Version 3.0", sections II.A, IV.A, IV.A.2 and VII.C.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUPERBLOCK_BYTES = 48
UNDEFINED = (1 << 64) - 1
GZIP_LEVEL = 4
# Attributes and links stay in the object header even if somebody adds more of them with the HDF5 library.
MOST_COMPACT_ATTRIBUTES, MOST_COMPACT_LINKS = 64, (1 << 16) - 1
# A data block of at most 2**24 chunks is one piece, without pages.
PAGE_BITS = 24
FIXED_ARRAY, CHUNKED = 3, 2
NOT_DEFLATED = 1  # bit of the first filter in a chunk's filter mask
FLOAT64 = bytes.fromhex("11203f000800000000004000340b0034ff030000")

Attribute = int | str | list[int] | list[str]


@dataclass(frozen=True)
class Chunk:
    """Where one stored chunk lies: address, bytes, and the mask of filters that were left out."""

    address: int
    size: int
    mask: int


class Hdf5Writer:
    """Writes groups and datasets to an open binary file, children before their parents."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._end = 0
        self._place(bytes(SUPERBLOCK_BYTES))

    def chunk(self, array: NDArray[Any]) -> Chunk:
        """Store one chunk of a dataset: deflated where that makes it shorter, and with its Fletcher32 checksum."""
        raw = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        deflated = zlib.compress(raw, GZIP_LEVEL)
        mask = NOT_DEFLATED if len(deflated) >= len(raw) else 0
        stored = raw if mask else deflated
        stored += struct.pack("<I", fletcher32(stored))
        return Chunk(self._place(stored), len(stored), mask)

    def dataset(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], chunk_shape: tuple[int, ...], chunks: list[Chunk],
        attributes: Mapping[str, Attribute],
    ) -> int:
        """A dataset of all these chunks, in C order of the grid that they make up; returns its address."""
        chunk_bytes = dtype.itemsize * int(np.prod(chunk_shape, dtype=object))
        size_bytes = min(8, 2 + (chunk_bytes.bit_length() - 1) // 8)
        header = self._fixed_array(chunks, size_bytes)
        dims = (*chunk_shape, dtype.itemsize)
        width = max(1, -(-max(dims).bit_length() // 8))
        layout = struct.pack("<BBBBB", 4, CHUNKED, 0, len(dims), width)
        layout += b"".join(n.to_bytes(width, "little") for n in dims)
        layout += struct.pack("<BBQ", FIXED_ARRAY, PAGE_BITS, header)
        filters = struct.pack("<BBHHHIHHH", 2, 2, 1, 1, 1, GZIP_LEVEL, 3, 0, 0)
        return self._header([
            (0x01, 0, _dataspace(shape)), (0x03, 1, _datatype(dtype)), (0x05, 1, b"\x03\x0b"), (0x0B, 1, filters),
            (0x08, 0, layout), *_attributes(attributes),
        ])

    def group(self, attributes: Mapping[str, Attribute], links: Mapping[str, int]) -> int:
        """A group with hard links to addresses that were written before; returns its address."""
        made = [(0x02, 0, struct.pack("<BBQQ", 0, 0, UNDEFINED, UNDEFINED)),
                (0x0A, 1, struct.pack("<BBHH", 0, 1, MOST_COMPACT_LINKS, 0)), *_attributes(attributes)]
        for name, address in links.items():
            encoded = name.encode("ascii")
            made.append((0x06, 0, struct.pack("<BBB", 1, 0, len(encoded)) + encoded + struct.pack("<Q", address)))
        return self._header(made)

    def close(self, root: int) -> None:
        """Write the superblock: from now on the file is a file."""
        block = SIGNATURE + struct.pack("<BBBBQQQQ", 3, 8, 8, 0, 0, UNDEFINED, self._end, root)
        self._handle.seek(0)
        self._handle.write(block + struct.pack("<I", lookup3(block)))
        self._handle.flush()

    def _place(self, data: bytes) -> int:
        address, self._end = self._end, self._end + len(data)
        self._handle.write(data)
        return address

    def _header(self, messages: list[tuple[int, int, bytes]]) -> int:
        """An object header in one piece, checksummed. A message is (type, flags, body)."""
        body = b"".join(struct.pack("<BHB", kind, len(text), flags) + text for kind, flags, text in messages)
        # Bits 0 and 1: the length of the body takes four bytes; bit 4: how many attributes stay compact is stated.
        head = b"OHDR" + struct.pack("<BBHHI", 2, 0b10010, MOST_COMPACT_ATTRIBUTES, MOST_COMPACT_ATTRIBUTES // 2, len(body))
        return self._place(_checked(head + body))

    def _fixed_array(self, chunks: list[Chunk], size_bytes: int) -> int:
        """The index of a dataset's chunks: its header is written first and points at the data block behind it."""
        header_bytes, address = 28, self._end
        entries = b"".join(
            struct.pack("<Q", c.address) + c.size.to_bytes(size_bytes, "little") + struct.pack("<I", c.mask) for c in chunks
        )
        header = b"FAHD" + struct.pack("<BBBBQQ", 0, 1, 12 + size_bytes, PAGE_BITS, len(chunks), address + header_bytes)
        self._place(_checked(header))
        self._place(_checked(b"FADB" + struct.pack("<BBQ", 0, 1, address) + entries))
        return address


def _dataspace(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f"<BBBB{len(shape)}Q", 2, len(shape), 0, 1 if shape else 0, *shape)


def _datatype(dtype: np.dtype[Any]) -> bytes:
    """Little-endian integers, IEEE float64, and null-padded UTF-8 of a fixed length."""
    if dtype.kind == "S":
        return struct.pack("<BBBBI", 0x13, 0x11, 0, 0, dtype.itemsize)
    if dtype.kind == "f":
        return FLOAT64
    return struct.pack("<BBBBIHH", 0x10, 8 if dtype.kind == "i" else 0, 0, 0, dtype.itemsize, 0, 8 * dtype.itemsize)


def _attributes(attributes: Mapping[str, Attribute]) -> Iterator[tuple[int, int, bytes]]:
    yield 0x15, 4, struct.pack("<BBQQ", 0, 0, UNDEFINED, UNDEFINED)
    for name, value in attributes.items():
        array = attribute_array(value)
        kind, space = _datatype(array.dtype), _dataspace(array.shape)
        encoded = name.encode("ascii") + b"\0"
        head = struct.pack("<BBHHHB", 3, 0, len(encoded), len(kind), len(space), 0)
        yield 0x0C, 0, head + encoded + kind + space + array.tobytes()


def attribute_array(value: Attribute) -> NDArray[Any]:
    """An attribute as it lies in the file: int64, or UTF-8 padded to the longest."""
    if isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], str)):
        encoded = [str(item).encode() for item in ([value] if isinstance(value, str) else value)]
        array = np.array(encoded, f"S{max(1, *map(len, encoded))}")
        return array[0:1].reshape(()) if isinstance(value, str) else array
    return np.array(value, "<i8")


def _checked(data: bytes) -> bytes:
    return data + struct.pack("<I", lookup3(data))


def fletcher32(data: bytes) -> int:
    """HDF5's Fletcher32 filter: two sums modulo 65535 over big-endian words of 16 bits, a last odd byte being the high one."""
    words = np.frombuffer(data + b"\0" * (len(data) % 2), ">u2")
    first = second = 0
    for start in range(0, len(words), 1 << 16):
        block = words[start : start + (1 << 16)].astype(np.int64)
        second += first * len(block) + int(block @ np.arange(len(block), 0, -1, dtype=np.int64))
        first += int(block.sum())
    return (_folded(second) << 16) | _folded(first)


def _folded(total: int) -> int:
    """What adding carries back in gives: modulo 65535, but only zero itself is 0."""
    return total % 65535 or (65535 if total else 0)


def lookup3(data: bytes) -> int:
    """Bob Jenkins' hashlittle (2006, public domain) with initial value 0: the checksum of HDF5's own structures."""
    mask = 0xFFFFFFFF
    a = b = c = (0xDEADBEEF + len(data)) & mask
    if not data:
        return c
    words = struct.unpack(f"<{-(-len(data) // 12) * 3}I", data + b"\0" * (-len(data) % 12))
    for k in range(0, len(words) - 3, 3):
        a, b, c = (a + words[k]) & mask, (b + words[k + 1]) & mask, (c + words[k + 2]) & mask
        a = ((a - c) & mask) ^ _turned(c, 4)
        c = (c + b) & mask
        b = ((b - a) & mask) ^ _turned(a, 6)
        a = (a + c) & mask
        c = ((c - b) & mask) ^ _turned(b, 8)
        b = (b + a) & mask
        a = ((a - c) & mask) ^ _turned(c, 16)
        c = (c + b) & mask
        b = ((b - a) & mask) ^ _turned(a, 19)
        a = (a + c) & mask
        c = ((c - b) & mask) ^ _turned(b, 4)
        b = (b + a) & mask
    a, b, c = (a + words[-3]) & mask, (b + words[-2]) & mask, (c + words[-1]) & mask
    c = ((c ^ b) - _turned(b, 14)) & mask
    a = ((a ^ c) - _turned(c, 11)) & mask
    b = ((b ^ a) - _turned(a, 25)) & mask
    c = ((c ^ b) - _turned(b, 16)) & mask
    a = ((a ^ c) - _turned(c, 4)) & mask
    b = ((b ^ a) - _turned(a, 14)) & mask
    return ((c ^ b) - _turned(b, 24)) & mask


def _turned(x: int, bits: int) -> int:
    """x rotated left in 32 bits."""
    return ((x << bits) | (x >> (32 - bits))) & 0xFFFFFFFF
