"""The messages of HDF5 object headers that a trace may have, each read to its last byte or refused.

A message is a body of bytes in a Cursor that never reads beyond it. What is allowed is what docs/formats/trace.md lists under
"The HDF5 inside"; whatever else the HDF5 library could write there is refused by name. Part of hdf5_scan.
Source: "HDF5 File Format Specification Version 3.0", section IV.A.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError
from hwsim.trace.hdf5_writer import CHUNKED, FIXED_ARRAY, FLOAT64, UNDEFINED, Attribute

NONE = np.zeros(0, np.int64)
MAX_ATTRIBUTE_BYTES = 1 << 16
MAX_ATTRIBUTE_NAME = 64
MAX_CHUNK_BYTES = 1 << 31
GZIP, SHUFFLE, FLETCHER32 = 1, 2, 3
SINGLE_CHUNK = 1
FILTER_VALUES = {GZIP: 1, SHUFFLE: 1, FLETCHER32: 0}
CLASSES = {0: "integer", 1: "floating point", 2: "time", 3: "string", 4: "bit field", 5: "opaque", 6: "compound",
           7: "reference", 8: "enumeration or bool", 9: "variable length", 10: "array", 11: "complex"}
LAYOUTS = {0: "unchunked, in its header", 1: "unchunked", 3: "virtually, in other datasets"}
INDEXES = {2: "an implicit index", 4: "an extensible array", 5: "a B-tree"}
REFUSED = {
    0x04: "a fill value of an old form", 0x07: "data in another file", 0x0F: "a table of shared messages",
    0x11: "a group of an old form", 0x13: "B-tree settings", 0x14: "driver settings", 0x16: "an object with several links",
    0x17: "free space that is tracked",
}


class ScanError(HwsimError):
    """What a scanner found, where, and what it expected."""

    def __init__(self, place: str, found: str, expected: str) -> None:
        super().__init__(f"{place}: found {found}, expected {expected}")
        self.place, self.found, self.expected = place, found, expected


class Cursor:
    """Reads a block from front to back; `place` is the path of the object that it belongs to."""

    def __init__(self, data: bytes, place: str) -> None:
        self._data, self.place, self.position, self._end = data, place, 0, len(data)

    @property
    def left(self) -> int:
        return self._end - self.position

    def take(self, length: int) -> bytes:
        """The next bytes."""
        if length > self.left:
            raise ScanError(self.place, f"{self.left} bytes where {length} are needed", "a structure that is whole")
        self.position += length
        return self._data[self.position - length : self.position]

    def integer(self, length: int) -> int:
        """The next bytes as an unsigned little-endian integer."""
        return int.from_bytes(self.take(length), "little")

    def expect(self, signature: bytes, what: str) -> None:
        """Refuse a block that begins otherwise."""
        if self.take(min(len(signature), self.left)) != signature:
            raise ScanError(self.place, "other bytes", f"an HDF5 {what}")

    def cut(self, length: int) -> None:
        """Leave the last bytes out: a checksum, which the HDF5 library verifies."""
        if length > self.left:
            raise ScanError(self.place, "a block without room for its checksum", "a whole one")
        self._end -= length

    def finish(self) -> None:
        """Refuse bytes that nobody read."""
        if self.left:
            raise ScanError(self.place, f"{self.left} bytes too many in an object header message", "none")


@dataclass(frozen=True)
class Element:
    """Type of an element: `integer`, `floating point` or `string`, its bytes, and whether it is signed."""

    kind: str
    size: int
    signed: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """As NumPy has it, little-endian."""
        letter = {"integer": "i" if self.signed else "u", "floating point": "f"}.get(self.kind, "S")
        return np.dtype(f"<{letter}{self.size}")


@dataclass(frozen=True)
class Chunking:
    """Shape of a chunk and where the index lies; `single`: the index entry of a dataset of one chunk."""

    shape: tuple[int, ...]
    element_size: int
    address: int = UNDEFINED
    page_bits: int = 0
    single: bytes | None = None


@dataclass
class Dataset:
    """What the messages of one dataset say together, and where its chunks lie.

    chunks   address, bytes and mask of left-out filters of every chunk, in C order of their grid: (chunks,) each.
    """

    shape: tuple[int, ...] = ()
    element: Element = field(default_factory=lambda: Element("integer", 1))
    filters: tuple[int, ...] = ()
    chunking: Chunking = field(default_factory=lambda: Chunking((), 1))
    chunks: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]] = field(default_factory=lambda: (NONE, NONE, NONE))

    @property
    def chunk_bytes(self) -> int:
        return self.element.size * prod(self.chunking.shape)

    @property
    def chunk_count(self) -> int:
        return prod(-(-n // c) for n, c in zip(self.shape, self.chunking.shape, strict=True))

    @property
    def optional_filters(self) -> int:
        """Bits of the filters that a chunk may leave out: gzip, where it would not shrink it."""
        return sum(1 << k for k, number in enumerate(self.filters) if number == GZIP)

    def check(self, place: str) -> None:
        """Refuse messages that do not fit together."""
        if self.element.kind == "string":
            raise ScanError(place, "elements of type string", "numbers")
        if FLETCHER32 not in self.filters:
            raise ScanError(place, f"filters {sorted(self.filters)}", "fletcher32, with gzip and shuffle at will")
        chunk = self.chunking
        fits = len(chunk.shape) == len(self.shape) and chunk.element_size == self.element.size
        if not fits or any(not 0 < c <= n for n, c in zip(self.shape, chunk.shape, strict=True)):
            raise ScanError(place, f"chunks of shape {chunk.shape}", f"at most {self.shape} and none empty")
        if self.chunk_bytes > MAX_CHUNK_BYTES:
            raise ScanError(place, f"chunks of shape {chunk.shape}", f"at most {MAX_CHUNK_BYTES} bytes each")
        if chunk.single is not None and self.chunk_count != 1:
            raise ScanError(place, f"one chunk of shape {chunk.shape}", f"chunks for all of {self.shape}")


def dataspace(at: Cursor) -> tuple[int, ...]:
    """The shape: () for a scalar. Refuses null spaces and shapes that may grow."""
    version, rank, flags, kind = at.integer(1), at.integer(1), at.integer(1), at.integer(1)
    if version != 2 or flags & ~1 or kind > 1 or rank > 5 or (kind == 0) != (rank == 0):
        raise ScanError(at.place, f"a dataspace of version {version}, kind {kind}, {rank} axes", "up to five axes")
    shape = tuple(at.integer(8) for _ in range(rank))
    if flags and tuple(at.integer(8) for _ in range(rank)) != shape:
        raise ScanError(at.place, "a shape that may grow", "a fixed one")
    if any(not 0 < n < 1 << 62 for n in shape):
        raise ScanError(at.place, f"shape {shape}", "one to five axes, none empty")
    return shape


def element_type(at: Cursor) -> Element:
    """Little-endian integers of 1, 2, 4 or 8 bytes, IEEE float64, strings of a fixed length."""
    head = at.take(4)
    size = at.integer(4)
    kind, version = head[0] & 15, head[0] >> 4
    if version in (1, 2, 3) and kind == 0 and size in (1, 2, 4, 8) and head[1] & ~8 == 0 and head[2:] == b"\0\0":
        if at.take(4) == bytes((0, 0, 8 * size, 0)):
            return Element("integer", size, bool(head[1]))
    elif version in (1, 2, 3) and kind == 1 and size == 8:
        if head[1:] + size.to_bytes(4, "little") + at.take(12) == FLOAT64[1:]:
            return Element("floating point", 8)
    elif version in (1, 2, 3) and kind == 3 and 0 < size <= MAX_ATTRIBUTE_BYTES and head[2:] == b"\0\0":
        if head[1] & 15 < 3 and head[1] >> 4 < 2:
            return Element("string", size)
    raise ScanError(at.place, f"elements of type {CLASSES.get(kind, kind)}, {size} bytes, flags {head[1:].hex()}",
                    "little-endian integers, float64, or strings of a fixed length")


def attribute(at: Cursor) -> tuple[str, Attribute]:
    """Name and value of an attribute: integers or text, one or a list."""
    version, flags = at.integer(1), at.integer(1)
    lengths = [at.integer(2) for _ in range(3)]
    if version != 3 or flags or at.integer(1) > 1 or not 1 < lengths[0] <= MAX_ATTRIBUTE_NAME + 1:
        raise ScanError(at.place, f"an attribute of version {version}, flags {flags}, a name of {lengths[0] - 1} bytes",
                        f"version 3, not shared, a name of up to {MAX_ATTRIBUTE_NAME}")
    name = at.take(lengths[0])[:-1].decode("ascii", "backslashreplace")
    place = f"{at.place}, attribute {name!r}"
    kind, space = Cursor(at.take(lengths[1]), place), Cursor(at.take(lengths[2]), place)
    try:
        element, shape = element_type(kind), dataspace(space)
    except ScanError as error:
        raise ScanError(place, error.found.replace("elements of ", ""),
                        "integers or fixed-length strings, scalar or one-dimensional") from None
    kind.finish()
    space.finish()
    if element.kind == "floating point" or len(shape) > 1 or at.left != element.size * prod(shape):
        raise ScanError(place, f"type {element.kind}, shape {shape}, {at.left} bytes",
                        "integers or fixed-length strings, scalar or one-dimensional, as many as stated")
    values = [_value(at.take(element.size), element, place) for _ in range(prod(shape))]
    return name, values if shape else values[0]  # type: ignore[return-value]


def _value(data: bytes, element: Element, place: str) -> int | str:
    if element.kind == "integer":
        return int.from_bytes(data, "little", signed=element.signed)
    try:
        return data.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        raise ScanError(place, "text that cannot be read as UTF-8", "UTF-8") from None


def attribute_info(at: Cursor) -> None:
    """Refuse attributes that lie outside of the object header."""
    if at.take(2) != b"\0\0" or at.take(16) != b"\xff" * 16:
        raise ScanError(at.place, "dense attribute storage", "all attributes in the object header")


def link_info(at: Cursor) -> None:
    """Refuse links that lie outside of the object header."""
    if at.take(2) != b"\0\0" or at.take(16) != b"\xff" * 16:
        raise ScanError(at.place, "dense link storage", "all links in the object header")


def group_info(at: Cursor) -> None:
    """Settings of a group that say nothing about what it holds."""
    version, flags = at.integer(1), at.integer(1)
    if version or flags & ~3:
        raise ScanError(at.place, f"group settings of version {version}, flags {flags}", "version 0")
    at.take(4 * (flags & 1) + 2 * (flags & 2))


def link(at: Cursor) -> tuple[str, int]:
    """Name and address of a hard link."""
    version, flags = at.integer(1), at.integer(1)
    if version != 1 or flags & ~0b11011:
        raise ScanError(at.place, f"a link of version {version}, flags {flags:#04x}", "version 1, without an order")
    kind = at.integer(1) if flags & 8 else 0
    if flags & 16 and at.integer(1) > 1:
        raise ScanError(at.place, "a link's name in an unknown character set", "ASCII")
    name = at.take(at.integer(1 << (flags & 3))).decode("ascii", "backslashreplace")
    if kind:
        raise ScanError(f"{at.place.rstrip('/')}/{name}", "a soft or external link",
                        "the data itself: a trace stands alone")
    return name, at.integer(8)


def fill_value(at: Cursor) -> None:
    """What unwritten elements would be; every element of a trace is written."""
    version, flags = at.integer(1), at.integer(1)
    if version != 3 or flags & ~0b111111:
        raise ScanError(at.place, f"a fill value of version {version}, flags {flags:#04x}", "version 3")
    if flags & 0b100000:
        at.take(at.integer(4))


def filters(at: Cursor) -> tuple[int, ...]:
    """Numbers of the filters that each chunk went through, in order."""
    version, count = at.integer(1), at.integer(1)
    if version != 2 or count > len(FILTER_VALUES):
        raise ScanError(at.place, f"{count} filters, version {version}", "gzip, shuffle and fletcher32")
    found: list[int] = []
    for _ in range(count):
        number = at.integer(2)
        if number not in FILTER_VALUES or number in found:
            raise ScanError(at.place, f"filters {sorted([*found, number])}", "fletcher32, with gzip and shuffle at will")
        flags, values = at.integer(2), at.integer(2)
        if flags > 1 or values != FILTER_VALUES[number] or (flags and number != GZIP and number != SHUFFLE):
            raise ScanError(at.place, f"filter {number} with {values} values, flags {flags}", "the standard settings")
        at.take(4 * values)
        found.append(number)
    return tuple(found)


def layout(at: Cursor) -> Chunking:
    """How a dataset is cut into chunks, and their index: a fixed array, or one entry for one chunk."""
    version, kind = at.integer(1), at.integer(1)
    if kind != CHUNKED or version != 4:
        raise ScanError(at.place, f"data stored {LAYOUTS.get(kind, 'in another way')} (version {version})",
                        "chunks in this file")
    flags, axes, width = at.integer(1), at.integer(1), at.integer(1)
    if not 2 <= axes <= 6 or not 1 <= width <= 8:
        raise ScanError(at.place, f"chunks of {axes - 1} axes", "one to five")
    *shape, element_size = (at.integer(width) for _ in range(axes))
    index = at.integer(1)
    if index == SINGLE_CHUNK and flags == 2:
        return Chunking(tuple(shape), element_size, single=at.take(20))
    if index != FIXED_ARRAY or flags:
        raise ScanError(at.place, f"chunks found by {INDEXES.get(index, f'index {index}')}, flags {flags}",
                        "a fixed array of filtered chunks")
    page_bits = at.integer(1)
    if page_bits > 32:
        raise ScanError(at.place, f"pages of 2**{page_bits} chunks", "at most 2**32")
    return Chunking(tuple(shape), element_size, at.integer(8), page_bits)
