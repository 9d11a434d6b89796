"""HDF5 as traces have it: the library reads what our writer wrote, and the scanner stops all else before the library sees it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.trace.hdf5_messages import ScanError
from hwsim.trace.hdf5_scan import Scanner
from hwsim.trace.hdf5_writer import SUPERBLOCK_BYTES, Hdf5Writer, fletcher32, lookup3
from hwsim.trace.reader import Trace, TraceError
from tests.snn.test_trace_fuzz import content

NEW = ("v110", "v110")
DTYPES = ("u1", "i1", "<u2", "<i2", "<i4", "<i8", "<f8")


def scan(data: bytes) -> Scanner:
    scanner = Scanner(io.BytesIO(data), len(data))
    scanner.walk(scanner.root())
    return scanner


def refusal(data: bytes) -> str:
    with pytest.raises(ScanError) as error:
        scan(data)
    return str(error.value)


# -- the writer and the library -----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_library_reads_what_the_writer_wrote(seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 2 if seed % 2 else 120, rng.integers(1, 9, rng.integers(1, 6))).astype(rng.choice(DTYPES))
    rows = int(rng.integers(1, len(array) + 1))
    said: dict[str, Any] = {f"n{k}": int(rng.integers(-9, 9)) for k in range(rng.integers(0, 20))}
    said |= {"text": "ä" * int(rng.integers(1, 9)), "list": [1, -2], "words": ["a", "bcd"]}
    handle = io.BytesIO()
    writer = Hdf5Writer(handle)
    padded = np.zeros((-(-len(array) // rows) * rows, *array.shape[1:]), array.dtype)
    padded[: len(array)] = array
    chunks = [writer.chunk(padded[k : k + rows]) for k in range(0, len(padded), rows)]
    address = writer.dataset(array.shape, array.dtype, (rows, *array.shape[1:]), chunks, said)
    groups = {f"g{k}": writer.group({"k": k}, {}) for k in range(rng.integers(0, 40))}
    writer.close(writer.group(said, {"data": address} | groups))
    scan(handle.getvalue())
    with h5py.File(h5py.h5f.open_file_image(handle.getvalue())) as file:
        np.testing.assert_array_equal(file["data"][...], array)
        assert file["data"].dtype == array.dtype
        assert set(file) == {"data", *groups}
        for node in (file, file["data"]):
            for name, value in said.items():
                found = node.attrs[name]
                plain = found.decode() if isinstance(found, bytes) else found.tolist()
                assert [x.decode() if isinstance(x, bytes) else x for x in plain] == value if isinstance(value, list) \
                    else plain == value


@pytest.mark.parametrize("size", [1, 2, 3, 719, 720, 721, 5000, 200_001])
@pytest.mark.parametrize("fill", [None, 0, 255])
def test_fletcher32_is_the_library_s(size: int, fill: int | None) -> None:
    raw = np.random.default_rng(size).integers(0, 256, size, np.uint8) if fill is None else np.full(size, fill, np.uint8)
    with h5py.File("x", "w", driver="core", backing_store=False) as file:
        made = file.create_dataset("x", data=raw, chunks=raw.shape, fletcher32=True)
        stored = made.id.read_direct_chunk((0,))[1]
    assert int.from_bytes(stored[-4:], "little") == fletcher32(raw.tobytes())


def test_lookup3_is_the_one_that_its_author_printed() -> None:
    """The self-test of lookup3.c."""
    assert lookup3(b"") == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago") == 0x17770551


# -- what is refused, and that the library never sees it ----------------------------------------------------------


def dense_attributes(file: Any) -> None:
    for k in range(9):
        file.attrs[f"x{k}"] = k


def ordered(file: Any) -> None:
    file.create_group("a", track_order=True).create_group("b")


def dataset(file: Any, maxshape: Any = None, **how: Any) -> None:
    how = {"chunks": (1, 2), "fletcher32": True} | how
    file.create_dataset("d", data=np.ones((3, 4), np.int16), maxshape=maxshape, **how)


def early(file: Any) -> None:
    """Chunks allocated at once and without filters have no index at all."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((1, 2))
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    h5py.h5d.create(file.id, b"d", h5py.h5t.STD_I16LE, h5py.h5s.create_simple((3, 4)), plist)


def scale_offset(file: Any) -> None:
    dataset(file, scaleoffset=0, fletcher32=False)


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((3,), np.int16)
    layout[...] = h5py.VirtualSource("other.h5", "/x", (3,))
    file.create_virtual_dataset("d", layout)


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "dense attributes": (dense_attributes, "/: found dense attribute storage"),
    "dense links": (lambda f: [f.create_group(f"g{k}") for k in range(9)], "/: found dense link storage"),
    "order of links": (ordered, "/a: found an object header with flags .*an order of their own"),
    "extensible array": (lambda f: dataset(f, (None, 4)), "/d: found .*(a shape that may grow|an extensible array)"),
    "B-tree": (lambda f: dataset(f, (None, None)), "/d: found .*(a shape that may grow|a B-tree)"),
    "implicit index": (early, "/d: found .*an implicit index"),
    "unchunked": (lambda f: f.create_dataset("d", data=np.ones(3)), "/d: found data stored unchunked"),
    "in the header": (lambda f: f.create_dataset("d", data=1), "/d: found data stored unchunked"),
    "virtual": (virtual, "/d: found data stored virtually"),
    "another file": (lambda f: f.create_dataset("d", (3,), np.uint8, external=[("x", 0, 9)]), "/d: found data in another"),
    "soft link": (lambda f: f.__setitem__("d", h5py.SoftLink("/x")), "/d: found a soft or external link"),
    "external link": (lambda f: f.__setitem__("d", h5py.ExternalLink("x", "/x")), "/d: found a soft or external link"),
    "two links": (lambda f: f.__setitem__("/a/b", f.create_group("a")), "/a: found an object with several links"),
    "named type": (lambda f: f.__setitem__("t", np.dtype("i2")), "/t: found a named type"),
    "lzf": (lambda f: dataset(f, compression="lzf"), "/d: found filters .*32000"),
    "scale-offset": (scale_offset, r"/d: found filters \[6\]"),
    "no checksum": (lambda f: dataset(f, fletcher32=False, shuffle=True), r"/d: found filters \[2\]"),
    "text": (lambda f: f.create_dataset("d", data=np.array([b"ab"]), chunks=(1,), fletcher32=True), "/d: found elements of"),
    "compound": (lambda f: f.attrs.create("x", np.zeros((), "i2,i4")), "attribute 'x': found type compound"),
    "variable length": (lambda f: f.attrs.create("x", "abc"), "attribute 'x': found type variable length"),
    "float": (lambda f: f.attrs.create("x", 1.0), "attribute 'x': found type floating point"),
    "half": (lambda f: f.attrs.create("x", np.float16(1)), "attribute 'x': found type floating point"),
    "big-endian": (lambda f: f.attrs.create("x", np.array(1, ">i4")), "attribute 'x': found type integer"),
    "matrix": (lambda f: f.attrs.create("x", np.zeros((2, 2), int)), "attribute 'x': found type integer, shape"),
    "empty": (lambda f: f.attrs.create("x", h5py.Empty("i2")), "attribute 'x': found a dataspace"),
    "deep": (lambda f: f.create_group("a/b/c/d/e/f/g"), "a/b/c/d/e/f: found more or deeper objects"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_structures_that_traces_do_not_have_are_refused_before_hdf5_parses_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, says = REFUSED[name]
    with h5py.File(tmp_path / "x.h5", "w", libver=NEW) as file:
        make(file)
    monkeypatch.setattr(h5py, "File", lambda *_, **__: pytest.fail("the library was asked"))
    with pytest.raises(TraceError, match=says) as error:
        Trace.open(tmp_path / "x.h5")
    assert str(error.value).startswith(f"{tmp_path / 'x.h5'}: /")


def test_other_superblocks_are_refused(tmp_path: Path) -> None:
    for how, says in (
        ({"libver": "earliest"}, r"superblock version 0"), ({"libver": NEW, "userblock_size": 512}, "no HDF5 signature"),
        ({"libver": NEW, "fs_strategy": "fsm", "fs_persist": True}, "a superblock extension"),
    ):
        with h5py.File(tmp_path / "x.h5", "w", **how) as file:
            file.create_group("a")
        assert says in refusal((tmp_path / "x.h5").read_bytes())


def test_what_the_library_keeps_simple_is_accepted(tmp_path: Path) -> None:
    """Continuation blocks, gaps, times, fill values, one-chunk indexes: what an edited trace has."""
    with h5py.File(tmp_path / "x.h5", "w", libver=NEW) as file:
        for k in range(8):
            file.attrs[f"long_name_{k}"] = k
            file.create_group(f"group_with_a_long_name_{k}").attrs["text"] = np.bytes_(b"x" * 900)
        for k in range(0, 8, 2):
            del file[f"group_with_a_long_name_{k}"], file.attrs[f"long_name_{k}"]
        file.create_dataset("one", data=np.ones((3, 4)), chunks=(3, 4), fletcher32=True, fillvalue=7, track_times=True)
        file.create_dataset("many", data=np.ones((30, 4), np.uint8), chunks=(4, 3), fletcher32=True, shuffle=True,
                            compression="gzip")
    data = (tmp_path / "x.h5").read_bytes()
    assert b"OCHK" in data
    scan(data)


def written(build: Callable[[Hdf5Writer], int]) -> bytes:
    """A file whose root group `build` wrote."""
    handle = io.BytesIO()
    writer = Hdf5Writer(handle)
    root = build(writer)
    writer.chunk(np.random.default_rng(0).integers(0, 256, 4000, np.uint8))  # bytes that nothing claims
    writer.close(root)
    return handle.getvalue()


def one_dataset(writer: Hdf5Writer, chunks: int = 1) -> int:
    """A dataset of `chunks` chunks that all lie in the same place."""
    chunk = writer.chunk(np.arange(40, dtype=np.uint8).reshape(1, 40))
    return writer.dataset((chunks, 40), np.dtype(np.uint8), (1, 40), [chunk] * chunks, {})


def test_structures_that_share_bytes_are_refused() -> None:
    """Two names for one dataset, two chunks in one place, and groups in themselves, where a walk would take for ever."""
    scan(written(lambda w: w.group({}, {"a": one_dataset(w), "b": one_dataset(w)})))

    def two_names(w: Hdf5Writer) -> int:
        address = one_dataset(w)
        return w.group({}, {"a": address, "b": address})

    for build in (two_names, lambda w: w.group({}, {"a": one_dataset(w, 2)})):
        assert "two structures at byte" in refusal(written(build))
    for count, says in ((1, "more or deeper objects"), (60, "bytes of another structure")):
        looped = written(lambda w, n=count: w.group({}, {f"g{k}": SUPERBLOCK_BYTES for k in range(n)}))
        assert says in refusal(looped)


# -- forged files -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(3)
    layers = [{"name": "a", "weights": rng.integers(-5, 6, (3, 2, 3, 3)), "padding": 1, "thresholds": 30, "timesteps": 2},
              {"name": "out", "weights": rng.integers(-5, 6, (2, 12)), "pool": 2, "neuron": "read_out"}]
    path = tmp_path_factory.mktemp("forged") / "sound.h5"
    Trace.from_arrays(rng.integers(0, 16, (3, 2, 4, 4)), layers, labels=[0, 1, 0]).save(path).close()
    return path


def blocks_of(data: bytes) -> list[tuple[int, int]]:
    """The structures of a sound file, chunks left out."""
    found = [(start, length) for start, length in scan(data)._taken if data[start : start + 4] in STRUCTURES]
    return [(start, length) for start, length in found if length > 0]


STRUCTURES = (b"\x89HDF", b"OHDR", b"OCHK", b"FAHD", b"FADB")


def forged(data: bytes, blocks: list[tuple[int, int]], rng: np.random.Generator) -> bytes:
    """One to four bytes of one structure changed, and its checksum made right again: the library would believe it."""
    start, length = blocks[rng.integers(len(blocks))]
    block = bytearray(data[start : start + length - 4])
    at, width = int(rng.integers(4, len(block))), int(rng.integers(1, 5))
    value = (bytes(width), b"\xff" * width, rng.bytes(width), b"\x01" + bytes(width - 1))[rng.integers(4)]
    block[at : at + width] = value[: len(block[at : at + width])]
    return data[:start] + bytes(block) + lookup3(bytes(block)).to_bytes(4, "little") + data[start + length :]


class Counting(io.BytesIO):
    """Counts what is read of it."""

    total = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.total += len(data)
        return data


def test_the_scanner_reads_little_of_a_forged_file(sound: Path) -> None:
    """Each block once to look for the version and once to walk, and the first bytes of each header twice."""
    data, rng, refused = sound.read_bytes(), np.random.default_rng(7), 0
    blocks = blocks_of(data)
    for _ in range(250):
        handle = Counting(forged(data, blocks, rng))
        scanner = Scanner(handle, len(data))
        try:
            scanner.says_version_1()
            scanner.walk(scanner.root())
        except ScanError:
            refused += 1
        assert handle.total <= 4 * len(data)
    assert refused > 125


@pytest.mark.parametrize("count", [150, pytest.param(5000, marks=pytest.mark.slow)])
def test_forged_structures_are_refused_or_harmless(sound: Path, tmp_path: Path, count: int) -> None:
    """In a process of its own, so that a crash of the library is seen as one: no crash, no hang, no other numbers."""
    data = sound.read_bytes()
    blocks, rng = blocks_of(data), np.random.default_rng(count)
    with Trace.open(sound) as trace:
        expected = content(trace)
    child = os.fork()
    if not child:
        status = 1
        try:
            for _ in range(count):
                (tmp_path / "forged.h5").write_bytes(forged(data, blocks, rng))
                _open_and_compare(tmp_path / "forged.h5", expected)
            status = 0
        finally:
            os._exit(status)
    for _ in _seconds(60 + count // 10):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert status == 0, f"the process ended with {status}: see {tmp_path / 'forged.h5'}"
            return
    os.kill(child, 9)
    pytest.fail(f"a forged file hangs: {tmp_path / 'forged.h5'}")


def _open_and_compare(path: Path, expected: Any) -> None:
    try:
        with Trace.open(path) as trace:
            found = content(trace)
    except TraceError as error:
        if not str(error).startswith(str(path)):
            raise
        return
    assert found == expected


def _seconds(limit: int) -> Iterator[None]:
    import time

    for _ in range(limit * 20):
        yield
        time.sleep(0.05)
