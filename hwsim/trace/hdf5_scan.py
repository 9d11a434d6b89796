"""Reads the structures of an HDF5 file before the HDF5 library does, and refuses all that a trace has no use for.

The library parses far more than a trace needs, and a forged file can make it crash or loop: in dense attribute storage, in
extensible arrays, in B-trees. This scanner walks from the superblock through every object header, message by message, and
knows only what docs/formats/trace.md lists under "The HDF5 inside". Every field is read within its block, every block within
the file, and no two blocks may share a byte, so the walk ends after at most one file's length, whatever the file says.
HDF5's checksums are not compared: what a trace says is covered by its content hash, its data by their own. Sizes are in bytes.
Source: "HDF5 File Format Specification Version 3.0".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hwsim.trace.hdf5_messages import (
    REFUSED,
    Chunking,
    Cursor,
    Dataset,
    ScanError,
    attribute,
    attribute_info,
    dataspace,
    element_type,
    fill_value,
    filters,
    group_info,
    layout,
    link,
    link_info,
)
from hwsim.trace.hdf5_writer import SIGNATURE, SUPERBLOCK_BYTES, UNDEFINED, Attribute

MAX_OBJECTS, MAX_DEPTH = 50_000, 5
MAX_MESSAGES = 200_000
VERSION_1 = (1).to_bytes(8, "little")
NIL, DATASPACE, LINK_INFO, DATATYPE, FILL, LINK, LAYOUT = 0x00, 0x01, 0x02, 0x03, 0x05, 0x06, 0x08
GROUP_INFO, FILTERS, ATTRIBUTE, CONTINUATION, ATTRIBUTE_INFO = 0x0A, 0x0B, 0x0C, 0x10, 0x15
OF_GROUPS, OF_DATASETS = {LINK_INFO, GROUP_INFO, LINK}, {DATASPACE, DATATYPE, FILL, LAYOUT, FILTERS}
OF_ALL = {NIL, ATTRIBUTE, ATTRIBUTE_INFO, CONTINUATION}
REPEATED = {NIL, ATTRIBUTE, LINK, CONTINUATION}


@dataclass
class Node:
    """What one object header says: a dataset if it has a dataspace, else a group."""

    kinds: set[int] = field(default_factory=set)
    attributes: dict[str, Attribute] = field(default_factory=dict)
    links: dict[str, int] = field(default_factory=dict)
    dataset: Dataset = field(default_factory=Dataset)

    @property
    def is_dataset(self) -> bool:
        return DATASPACE in self.kinds


class Scanner:
    """Walks one open binary file of `size` bytes. Raises ScanError with place, found and expected."""

    def __init__(self, handle: BinaryIO, size: int) -> None:
        self._handle, self._size = handle, size
        self._taken: list[tuple[int, int]] = []
        self._chunks_taken: list[NDArray[np.int64]] = []
        self._taken_bytes = 0

    def says_version_1(self) -> bool:
        """Whether the root group's `format_version` is 1. Such files have other structures, which `walk` would refuse."""
        root = self._superblock()
        found = False
        for kind, body in self._messages("/", root):
            text = body.take(body.left)
            name = text[9 if text[:1] == b"\x03" else 8 :]  # attribute messages of version 3 also have a character set
            found |= kind == ATTRIBUTE and name.startswith(b"format_version\0") and text[-8:] == VERSION_1
        self._taken, self._chunks_taken, self._taken_bytes = [], [], 0
        return found

    def root(self) -> Node:
        """The root group's own attributes and links."""
        return self._header("/", self._superblock())

    def _superblock(self) -> int:
        """Check the superblock; returns the root group's address."""
        self._handle.seek(0)
        if self._handle.read(len(SIGNATURE)) != SIGNATURE:
            raise ScanError("file", "no HDF5 signature at its beginning", "an HDF5 file")
        at = Cursor(self._take("file", 0, SUPERBLOCK_BYTES, "superblock"), "file")
        at.take(len(SIGNATURE))
        if (version := at.integer(1)) != 3:
            raise ScanError("file", f"HDF5 structures without checksums (superblock version {version})",
                            "those of HDF5 1.10 or newer, superblock version 3")
        if at.take(3) != b"\x08\x08\x00":
            raise ScanError("file", "other sizes of offsets and lengths, or a file that is still open for writing",
                            "8 bytes each, and a closed file")
        base, extension, end, root = (at.integer(8) for _ in range(4))
        if base or extension != UNDEFINED:
            raise ScanError("file", "a superblock extension or another base address", "neither")
        if end != self._size:
            raise ScanError("file", f"{self._size} bytes", f"{end}, as its superblock says: the whole file")
        return root

    def walk(self, root: Node) -> dict[str, Node]:
        """Every object by its path, the root as "/"; at the end, that no two blocks overlap."""
        waiting, objects, found = [("", root, 0)], 1, {"/": root}
        while waiting:
            path, node, depth = waiting.pop()
            for name, address in node.links.items():
                place, objects = f"{path}/{name}", objects + 1
                if depth >= MAX_DEPTH or objects > MAX_OBJECTS:
                    raise ScanError(place, "more or deeper objects", f"at most {MAX_OBJECTS}, {MAX_DEPTH} deep")
                below = found[place] = self._header(place, address)
                if below.is_dataset:
                    self._chunks(place, below.dataset)
                else:
                    waiting.append((place, below, depth + 1))
        taken = np.concatenate([np.array(self._taken, np.int64).reshape(-1, 2), *self._chunks_taken])
        starts, lengths = taken[np.lexsort((taken[:, 1], taken[:, 0]))].T
        if len(shared := np.flatnonzero(starts[1:] < (starts + lengths)[:-1])):
            at, before = starts[shared[0] + 1], starts[shared[0]]
            raise ScanError("file", f"two structures at byte {at}, the first being that at byte {before}", "one")
        return found

    def _take(self, place: str, address: int, length: int, what: str) -> bytes:
        """A block of the file; the sum of all blocks is bounded, as they may not overlap."""
        if address + length > self._size or length < 0:
            raise ScanError(place, f"the {what} from byte {address} to {address + length}", f"it within {self._size} bytes")
        self._taken_bytes += length
        if self._taken_bytes > self._size:
            raise ScanError(place, f"bytes of another structure in the {what}", "a place of its own")
        self._taken.append((address, length))
        self._handle.seek(address)
        data = self._handle.read(length)
        if len(data) != length:
            raise ScanError(place, f"{len(data)} bytes of the {what}", f"{length}; the file is cut off")
        return data

    # -- object headers ---------------------------------------------------------------------------------------

    def _header(self, place: str, address: int) -> Node:
        node = Node()
        for kind, body in self._messages(place, address):
            if kind in REFUSED:
                raise ScanError(place, REFUSED[kind], "none: a trace stands alone in simple structures")
            if kind not in OF_GROUPS | OF_DATASETS | OF_ALL:
                raise ScanError(place, f"an object header message of type {kind:#04x}", "one that traces use")
            if kind in node.kinds and kind not in REPEATED:
                raise ScanError(place, f"two object header messages of type {kind:#04x}", "one")
            node.kinds.add(kind)
            self._message(node, kind, body)
            if kind != NIL:
                body.finish()
        if DATASPACE in node.kinds:
            missing = {DATASPACE, DATATYPE, LAYOUT} - node.kinds
            if node.kinds & OF_GROUPS or missing:
                raise ScanError(place, "an object that is neither a group nor a dataset", "either")
            node.dataset.check(place)
        elif node.kinds & OF_DATASETS or LINK_INFO not in node.kinds:
            raise ScanError(place, "a named type, or a group of an old form", "a group or dataset of HDF5 1.10 or newer")
        return node

    def _message(self, node: Node, kind: int, at: Cursor) -> None:
        if kind == ATTRIBUTE:
            name, value = attribute(at)
            if name in node.attributes:
                raise ScanError(at.place, f"the attribute {name!r} twice", "once")
            node.attributes[name] = value
        elif kind == ATTRIBUTE_INFO:
            attribute_info(at)
        elif kind == LINK:
            name, address = link(at)
            if name in node.links:
                raise ScanError(at.place, f"the name {name!r} twice", "once")
            node.links[name] = address
        elif kind == LINK_INFO:
            link_info(at)
        elif kind == GROUP_INFO:
            group_info(at)
        elif kind == DATASPACE:
            node.dataset.shape = dataspace(at)
        elif kind == DATATYPE:
            node.dataset.element = element_type(at)
        elif kind == FILL:
            fill_value(at)
        elif kind == FILTERS:
            node.dataset.filters = filters(at)
        elif kind == LAYOUT:
            node.dataset.chunking = layout(at)

    def _messages(self, place: str, address: int) -> Iterator[tuple[int, Cursor]]:
        """Messages of an object header and of its continuation blocks, each as (type, body)."""
        blocks, count = [self._first_block(place, address)], 0
        while blocks:
            at = blocks.pop(0)
            while at.left >= 4:
                kind, length, flags = at.integer(1), at.integer(2), at.integer(1)
                # Bit 0: the body is constant; bit 2: it may not be shared. Shared bodies lie elsewhere (bit 1).
                if flags & ~0b101:
                    raise ScanError(place, f"an object header message of type {kind:#04x} with flags {flags:#04x}",
                                    "one that is not shared")
                body = Cursor(at.take(length), place)
                if (count := count + 1) > MAX_MESSAGES:
                    raise ScanError(place, "more object header messages", f"at most {MAX_MESSAGES}")
                if kind == CONTINUATION:
                    start, length = body.integer(8), body.integer(8)
                    if length < 8:
                        raise ScanError(place, f"a continuation block of {length} bytes", "at least 8")
                    block = Cursor(self._take(place, start, length, "continuation block"), place)
                    block.expect(b"OCHK", "continuation block")
                    block.cut(4)
                    blocks.append(block)
                yield kind, body

    def _first_block(self, place: str, address: int) -> Cursor:
        """The messages in the header itself; what comes before them has a length that its flags give."""
        self._handle.seek(address if address <= self._size else self._size)
        start = Cursor(self._handle.read(34), place)
        start.expect(b"OHDR\x02", "object header of version 2")
        flags = start.integer(1)
        # Bits 0, 1: bytes of the length; 2, 3: order of attributes; 4: phase change; 5: times.
        if flags & 0b11001100:
            raise ScanError(place, f"an object header with flags {flags:#04x}", "attributes without an order of their own")
        start.take((16 if flags & 0b100000 else 0) + (4 if flags & 0b10000 else 0))
        length = start.integer(1 << (flags & 0b11))
        whole = Cursor(self._take(place, address, start.position + length + 4, "object header"), place)
        whole.take(start.position)
        whole.cut(4)
        return whole

    # -- chunks -----------------------------------------------------------------------------------------------

    def _chunks(self, place: str, dataset: Dataset) -> None:
        """Where the chunks are: that every one is there, within the file, and stored with its checksum."""
        chunking, count = dataset.chunking, dataset.chunk_count
        if chunking.single is not None:
            entry = np.frombuffer(chunking.single, np.dtype([("size", "<u8"), ("mask", "<u4"), ("address", "<u8")]))
            addresses, sizes, masks = entry["address"], entry["size"], entry["mask"]
        else:
            width = min(8, 2 + (dataset.chunk_bytes.bit_length() - 1) // 8)
            block = self._fixed_array(place, chunking, count, 12 + width)
            raw = np.frombuffer(block.take(count * (12 + width)), np.uint8).reshape(count, 12 + width)
            padded = np.zeros((count, 8), np.uint8)
            padded[:, :width] = raw[:, 8 : 8 + width]
            addresses, sizes = raw[:, :8].copy().view("<u8")[:, 0], padded.view("<u8")[:, 0]
            masks = raw[:, 8 + width :].copy().view("<u4")[:, 0]
        if (addresses == UNDEFINED).any():
            raise ScanError(place, "a chunk that is not there", f"{count} chunks; the dataset is incomplete")
        limit = dataset.chunk_bytes + dataset.chunk_bytes // 1000 + 1024
        wrong = (masks & np.uint32(0xFFFFFFFF ^ dataset.optional_filters) != 0) | (sizes <= 4) | (sizes > limit)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise ScanError(place, f"a chunk of {sizes[first]} bytes with filter mask {masks[first]:#x}",
                            f"up to {dataset.chunk_bytes}, checksums on")
        if (addresses > self._size).any() or (addresses + sizes > self._size).any():
            raise ScanError(place, "a chunk beyond the end of the file", f"it within {self._size} bytes")
        self._taken_bytes += int(sizes.sum())
        if self._taken_bytes > self._size:
            raise ScanError(place, "bytes of another structure in the chunks", "a place of their own")
        dataset.chunks = (addresses.astype(np.int64), sizes.astype(np.int64), masks.astype(np.int64))
        self._chunks_taken.append(np.stack(dataset.chunks[:2], axis=1))

    def _fixed_array(self, place: str, chunking: Chunking, count: int, entry_bytes: int) -> Cursor:
        header = Cursor(self._take(place, chunking.address, 28, "chunk index"), place)
        header.expect(b"FAHD\x00\x01", "fixed array of filtered chunks")
        found = (header.integer(1), header.integer(1), header.integer(8))
        if found != (entry_bytes, chunking.page_bits, count) or count > 1 << chunking.page_bits:
            raise ScanError(place, f"a chunk index of {found[2]} entries of {found[0]} bytes, in pages of 2**{found[1]}",
                            f"{count} of {entry_bytes}, in one page")
        length = 14 + count * entry_bytes + 4
        block = Cursor(self._take(place, header.integer(8), length, "chunk index's data block"), place)
        block.expect(b"FADB\x00\x01", "data block of filtered chunks")
        if block.integer(8) != chunking.address:
            raise ScanError(place, "a chunk index's data block that belongs to another", "its own")
        block.cut(4)
        return block
