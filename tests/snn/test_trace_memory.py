"""What a trace may ask of memory: a small file that unpacks to gigabytes is refused before anything is allocated."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.snn.network import Connection, InputSpec, Layer, Network
from hwsim.snn.neurons import IntegrateAndFire, ReadOut
from hwsim.trace.file import row_hash
from hwsim.trace.hdf5_writer import GZIP_LEVEL, Chunk, Hdf5Writer
from hwsim.trace.recording import Recording, _Rows
from hwsim.trace.schema import columns
from hwsim.trace.storage import ScannedStorage

LONG = 1 << 18


def stored(data: bytes, length: int = LONG, mask: int = 0) -> ScannedStorage:
    """A file with one dataset of one chunk of `length` bytes, whose stored bytes are `data`."""
    handle = io.BytesIO()
    writer = Hdf5Writer(handle)
    chunk = Chunk(writer._place(data), len(data), mask)
    address = writer.dataset((1, length), np.dtype("u1"), (1, length), [chunk], {})
    writer.close(writer.group({}, {"d": address}))
    storage = ScannedStorage(handle, "file")
    storage.manifest()
    return storage


def test_a_chunk_is_unpacked_into_what_its_shape_says_and_no_more() -> None:
    bomb = zlib.compress(bytes(200_000_000), 9) + b"\0" * 4
    assert len(bomb) < LONG
    storage = stored(bomb)
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"a chunk that is cut off, or has more than {LONG + 4} bytes"):
        storage.row("/d", 0)
    assert tracemalloc.get_traced_memory()[1] < 8 * LONG
    tracemalloc.stop()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 300), st.booleans(), st.integers(0, 20))
def test_a_chunk_of_another_length_is_an_error_and_one_of_its_length_is_what_was_stored(
    data: bytes, length: int, deflated: bool, cut: int
) -> None:
    whole = (zlib.compress(data, GZIP_LEVEL) if deflated else data) + b"\0" * 4
    kept = whole[: len(whole) - cut]
    if not 4 < len(kept) <= length + length // 1000 + 1024:
        return
    storage = stored(kept, length, 0 if deflated else 1)
    try:
        found = storage.row("/d", 0).tobytes()
    except (ValueError, zlib.error):
        return
    assert len(found) == length
    assert found in (data, kept[:-4])


def test_a_small_file_of_a_large_sample_is_refused_in_little_memory(tmp_path: Path) -> None:
    """600 MB of planes in half a megabyte: written by hand, since recording it takes as much."""
    path = tmp_path / "t.h5"
    forge(path, side=384, planes=64)
    assert path.stat().st_size < 1_000_000
    program = ("import resource, sys\nfrom hwsim.trace.reader import Trace, TraceError\n"
               "import numpy\nbefore = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
               "try:\n    trace = Trace.open(sys.argv[1])\n    trace.sample(0)\nexcept TraceError as error:\n    print(error)\n"
               "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, 'KiB'\n")
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "bytes of planes per sample, expected at most" in done.stdout


def forge(path: Path, side: int, planes: int) -> None:
    """A sound trace of one sample of zeros: 64 channels, `side` squared, `planes` timesteps."""
    shape = (64, side, side)
    first = Layer("a", shape, (Connection("input", "conv2d", (1, side, side), np.ones((64, 1, 1, 1), np.int8)),),
                  IntegrateAndFire(), planes, np.ones(planes, np.int64))
    pooled = Connection("a", "linear", shape, np.ones((1, 64), np.int8), pool=side, pool_mode="folded")
    out = Layer("out", (1, 1, 1), (pooled,), ReadOut(), planes)
    network = Network(InputSpec((1, side, side), "direct", 1, 8), (first, out))
    writer = Recording(network, path, name="small")
    for column in columns(network).values():
        row = np.zeros(column.row_shape, column.file_dtype)
        rows = writer._rows.setdefault(column.path, _Rows(row.shape, row.dtype))
        rows.chunks.append(writer._hdf5.chunk(row))
        rows.hashes.append(row_hash(row))
    writer.samples = 1
    writer.seal()
