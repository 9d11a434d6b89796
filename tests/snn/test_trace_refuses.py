"""Every file that is not a sound trace is refused with one TraceError that names file, place and what was found.

A sound file is altered with h5py in one respect each. Its content hash is then made to agree again, so that it is the
rule under test that refuses it and not the hash.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hwsim.trace.file import row_hash
from hwsim.trace.manifest import array_hash, content_hash, read_manifest
from hwsim.trace.reader import Trace, TraceError

Surgery = Callable[[Any], None]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A trace with a convolution, a residual join, a quantised input, labels, logits and potentials."""
    rng = np.random.default_rng(5)
    layers = [
        {"name": "a", "weights": rng.integers(-5, 6, (3, 2, 3, 3)), "padding": 1, "thresholds": 30, "timesteps": 2},
        {"name": "b", "thresholds": [9, 8], "bias": [1, 2, 3],
         "connections": [{"weights": rng.integers(-5, 6, (3, 3, 1, 1))}, {"source": "a", "weights": [4, 5, 6]}]},
        {"name": "out", "weights": rng.integers(-5, 6, (2, 12)), "pool": 2, "neuron": "read_out"},
    ]
    trace = Trace.from_arrays(rng.integers(0, 16, (3, 2, 4, 4)), layers, labels=[0, 1, 0],
                              logits=rng.integers(0, 9, (3, 2)))
    trace.save(tmp_path / "sound.h5").close()
    return tmp_path / "sound.h5"


ROWS = ("spikes", "values", "logits", "final_potentials")


def seal(file: Any) -> None:
    """Make the hashes of rows and the content hash agree with what the file says now."""
    hash_rows(file)
    put(file, "content_sha256", content_hash(read_manifest(file, "test")))


def hash_rows(file: Any) -> None:
    """Write `/row_hashes` anew where all recorded datasets are small and have as many rows as the first."""
    rows: dict[str, Any] = {}

    def look(path: str, node: Any) -> None:
        if path.rsplit("/", 1)[-1] in ROWS and isinstance(node, h5py.Dataset) and node.ndim and node.size < 1 << 20:
            rows[f"/{path}"] = node[...]

    try:
        file.visititems(look)
    except OSError:
        return  # a chunk that cannot be read is what is under test
    count = {len(node) for node in rows.values()}
    if len(count) == 1:
        hashes = b"".join(row_hash(rows[path][i]) for i in range(count.pop()) for path in sorted(rows))
        replace_data(file, "row_hashes", np.frombuffer(hashes, np.uint8).reshape(-1, len(rows), 32))


def put(node: Any, name: str, value: Any) -> None:
    """An attribute with the types of the format: fixed-length strings, int64; anything else as it comes."""
    if isinstance(value, str):
        encoded = value.encode()
        node.attrs.create(name, np.bytes_(encoded), dtype=h5py.string_dtype("utf-8", max(1, len(encoded))))
    elif isinstance(value, list) and value and isinstance(value[0], str):
        encoded = [v.encode() for v in value]
        node.attrs.create(name, np.array(encoded, f"S{max(map(len, encoded))}"))
    elif isinstance(value, int | list):
        node.attrs.create(name, np.array(value, np.int64))
    else:
        node.attrs.create(name, value)


def replace_data(node: Any, name: str, array: np.ndarray, **how: Any) -> None:
    """A dataset of the format with other data, its SHA-256 right; recorded ones have none of their own."""
    how = {"chunks": array.shape, "fletcher32": True} | how
    if name in node:
        del node[name]
    made = node.create_dataset(name, data=array, **how)
    if name not in ROWS:
        put(made, "sha256", array_hash(array))


def attribute(path: str, name: str, value: Any) -> Surgery:
    return lambda file: put(file[path], name, value)


def data(path: str, array: np.ndarray, **how: Any) -> Surgery:
    parent, name = path.rsplit("/", 1)
    return lambda file: replace_data(file[parent or "/"], name, array, **how)


def drop(path: str, name: str | None = None) -> Surgery:
    def cut(file: Any) -> None:
        if name is None:
            del file[path]
        else:
            del file[path].attrs[name]
    return cut


A, B, OUT, WIRE = "/layers/a", "/layers/b", "/layers/out", "/layers/a/connection0"
SPIKES = np.zeros((3, 12), np.uint8)
MISLABELLED: dict[str, tuple[Surgery, str]] = {
    # head
    "format": (attribute("/", "format", "other"), "'format'.*found 'other', expected 'hwsim-trace'"),
    "no format": (drop("/", "format"), "'format'.*found nothing"),
    "format as number": (attribute("/", "format", 1), "'format'.*found 1"),
    "newer version": (attribute("/", "format_version", 3), "'format_version'.*found 3, expected an integer from 1 to 2"),
    "version as text": (attribute("/", "format_version", "1"), "'format_version'.*found '1'"),
    "version as float": (attribute("/", "format_version", np.float64(1)), "'format_version'.*type float"),
    "version as bool": (attribute("/", "format_version", np.bool_(True)), "'format_version'.*found type enumeration or bool"),
    "version as array": (attribute("/", "format_version", [2]), "expected an integer"),
    "unknown capability": (attribute("/", "capabilities", ["neuron:lif", "coding:rate"]), "found neuron:lif"),
    "reserved capability": (attribute("/", "capabilities", ["masks"]), "found masks .pruned neurons.*reserved in version 2"),
    "too few capabilities": (attribute("/", "capabilities", ["coding:rate"]), "mislabelled: list what it uses"),
    "capabilities as text": (attribute("/", "capabilities", "coding:rate"), "array of strings"),
    "no samples": (attribute("/", "samples", 0), "'samples'.*found 0"),
    "more samples than rows": (attribute("/", "samples", 4), r"of shape \(3, 8\).*expected int16|expected .*\(4, "),
    "absurd samples": (attribute("/", "samples", 1 << 61), "'samples'"),
    "provenance not JSON": (attribute("/", "provenance", "{'a'"), "'provenance'.*JSON object"),
    "provenance with NaN": (attribute("/", "provenance", '{"a": NaN}'), "'provenance'.*NaN"),
    "provenance a list": (attribute("/", "provenance", "[]"), "JSON object"),
    "deep JSON": (attribute("/", "provenance", "[" * 60_000), "'provenance'"),
    "variable-length text": (lambda f: f.attrs.create("name", "x", dtype=h5py.string_dtype()), "'name'.*type variable length"),
    "not UTF-8": (lambda f: f.attrs.create("name", np.bytes_(b"\xff\xfe")), "'name'.*cannot be read"),
    "unknown attribute": (attribute("/", "extra", 1), "unknown attributes extra"),
    "many attributes": (lambda f: [put(f, f"x{k}", k) for k in range(99)], "/: found dense attribute storage"),
    "huge attribute": (attribute("/", "name", "x" * 70_000), "dense attribute storage"),
    "matrix attribute": (attribute("/", "name", np.zeros((2, 2), np.int64)), "one-dimensional"),
    "unknown object": (lambda f: f.create_group("extra"), "/extra: found an object that the format does not know"),
    # layers
    "no layers": (drop("/layers"), "/layers: found no such group"),
    "no input": (drop("/input"), "/input: found no such group"),
    "order names a stranger": (attribute("/layers", "order", ["a", "b", "c"]), "/layers/c: found no such group"),
    "order leaves one out": (attribute("/layers", "order", ["a", "b"]), "mislabelled: list what it uses"),
    "order twice": (attribute("/layers", "order", ["a", "a", "b", "out"]), "name is used twice"),
    "order backwards": (attribute("/layers", "order", ["b", "a", "out"]), "'a'.*source is not an earlier layer"),
    "name with dots": (attribute("/layers", "order", ["../input"]), "no such group"),
    "unknown neuron": (attribute(A, "neuron", "lif"), "/layers/a, attribute 'neuron'.*found 'lif'"),
    "parameter missing": (attribute(A, "neuron_parameters", "{}"), "exactly the parameters"),
    "parameter unknown": (attribute(A, "neuron_parameters", '{"reset": "soft", "leak_shift": null, "x": 1}'),
                          "exactly the parameters"),
    "parameter wrong": (attribute(A, "neuron_parameters", '{"reset": "none", "leak_shift": null}'), "reset is 'none'"),
    "parameter of wrong type": (attribute(A, "neuron_parameters", '{"reset": "soft", "leak_shift": 1.5}'), "or null"),
    "leak as text": (attribute(A, "neuron_parameters", '{"reset": "soft", "leak_shift": "2"}'), "leak_shift"),
    "coding of another model": (attribute(A, "coding", "bit_serial"), "found 'bit_serial', expected 'rate'"),
    "signed spikes": (attribute(A, "signed", 1), "'signed'.*signed_spikes is reserved in version 2 and not supported"),
    "signed twice": (attribute(A, "signed", 2), "'signed'.*expected an integer from 0 to 1"),
    "driven by a bias": (attribute(A, "connections", 0), "layer 'a': has neither connections nor a bias"),
    "shape of four": (attribute(A, "shape", [3, 4, 4, 1]), "3 integers"),
    "giant shape": (attribute(A, "shape", [1 << 20, 1 << 20, 1 << 20]), "more than 268435456 neurons"),
    "negative shape": (attribute(A, "shape", [-3, 4, 4]), "each from 1"),
    "another shape": (attribute(A, "shape", [3, 4, 5]), r"gives an output of shape \(3, 4, 4\)"),
    "timesteps": (attribute(A, "timesteps", 3), "has 2 thresholds, expected one a timestep: 3"),
    "absurd timesteps": (attribute(A, "timesteps", 1 << 40), "timesteps is 1099511627776"),
    "threshold zero": (attribute(A, "thresholds", [0, 1]), "thresholds must be 1 or more"),
    "thresholds as floats": (attribute(A, "thresholds", np.array([1.0, np.nan])), "'thresholds'.*type float"),
    "no thresholds": (drop(A, "thresholds"), "has 0 thresholds"),
    "potential width": (attribute(A, "potential_bits", 64), "potential_bits is 64"),
    "payload on spikes": (attribute(A, "payload_bits", 4), "rate spikes are binary"),
    "stages": (attribute(A, "stages", [0, 1, 2]), "of several stages are two_stage and read_out"),
    "fewer connections": (attribute(B, "connections", 1), "mislabelled: list what it uses"),
    "more connections": (attribute(A, "connections", 2), "/layers/a/connection1: found no such group"),
    "absurd connections": (attribute(A, "connections", 1 << 60), "'connections'"),
    "unsigned beyond int64": (attribute(A, "timesteps", np.uint64(2**64 - 1)), "'timesteps'"),
    # connections and arrays
    "reads itself": (attribute(WIRE, "source", "a"), "source is not an earlier layer"),
    "reads a later layer": (attribute(WIRE, "source", "b"), "source is not an earlier layer"),
    "source shape": (attribute(WIRE, "source_shape", [2, 4, 5]), r"the source's shape is \(2, 4, 4\)"),
    "operator": (attribute(WIRE, "operator", "conv3d"), "'operator'.*found 'conv3d'"),
    "stride": (attribute(WIRE, "stride", [0, 0]), "stride is 0"),
    "kernel": (attribute(WIRE, "kernel", [5, 5]), "gives an output|weights have shape"),
    "kernel per axis": (attribute(WIRE, "kernel", [3, 5]), r"weights have shape|gives an output"),
    "stride per axis": (attribute(WIRE, "stride", [1, 2]), r"gives an output of shape \(3, 4, 2\)"),
    "padding per axis": (attribute(WIRE, "padding", [1, 0]), "gives an output"),
    "pool per axis": (attribute(WIRE, "pool", [2, 1]), "'pool'.*pool_per_axis is reserved in version 2 and not supported"),
    "one number for two axes": (attribute(WIRE, "kernel", 3), "'kernel'.*found 3, expected a one-dimensional array"),
    "groups": (attribute(WIRE, "groups", 2), "does not divide"),
    "pool": (attribute(WIRE, "pool", [2, 2]), "pool is 2 and pool_mode 'none'"),
    "absurd pool": (attribute(f"{OUT}/connection0", "pool", [1 << 40, 1 << 40]), "pool is 1099511627776"),
    "weights of wrong shape": (data(f"{WIRE}/weights", np.zeros((3, 2, 3, 2), np.int8)), "weights have shape"),
    "weights as floats": (data(f"{WIRE}/weights", np.zeros((3, 2, 3, 3))), "weights must be an array of integers"),
    "weights as text": (lambda f: swap(f, f"{WIRE}/weights", np.full((2,), b"ab")), "elements of type"),
    "weights as objects": (lambda f: objects(f, f"{WIRE}/weights"), "elements of type variable length"),
    "weights big-endian": (lambda f: swap(f, f"{WIRE}/weights", np.zeros((3, 2, 3, 3), ">i2")),
                           "elements of type integer.*expected little-endian"),
    "weights gone": (drop(f"{WIRE}/weights"), ""),
    "bias of wrong shape": (data(f"{B}/bias", np.zeros((2, 1, 1), np.int64)), "bias has shape"),
    "bias too large": (data(f"{B}/bias", np.full((1, 1, 1), 1 << 23)), "which 24-bit potentials cannot"),
    "no initial potential": (drop(f"{A}/initial_potential"), "initial_potential: found no such dataset"),
    # recorded
    "no spikes": (drop(f"{A}/spikes"), "/layers/a/spikes: found no such dataset"),
    "spikes of wrong shape": (data(f"{A}/spikes", np.zeros((3, 13), np.uint8), chunks=(1, 13)), r"of shape \(3, 12\)"),
    "spikes as int8": (data(f"{A}/spikes", SPIKES.astype(np.int8), chunks=(1, 12)), "found int8"),
    "spikes as values": (lambda f: f.move(f"{A}/spikes", f"{A}/values"), "/layers/a/spikes: found no such dataset"),
    "spikes for a read-out": (data(f"{OUT}/spikes", SPIKES, chunks=(1, 12)),
                              "/row_hashes: found uint8 of shape .3, 5, 32.|/layers/out/spikes: found an object"),
    "chunks of all samples": (data(f"{A}/spikes", SPIKES), r"chunks of shape \(3, 12\)"),
    "labels too short": (data("/labels", np.zeros(2, np.int64)), r"/labels: found int64 of shape \(2,\)"),
    "labels as bytes": (data("/labels", np.zeros(3, np.uint8)), "/labels: found uint8"),
    "logits of wrong rank": (data("/logits", np.zeros(3), chunks=(1,)), "/logits"),
    "a group for a dataset": (lambda f: (drop("/labels")(f), f.create_group("labels"))[0], "/labels: found no such"),
    "attribute on a dataset": (attribute(f"{A}/spikes", "unit", "mV"), "'unit'.*expected none"),
    "attribute on an array": (attribute(f"{WIRE}/weights", "unit", "mV"), "only 'sha256'"),
    "hash gone": (drop(f"{WIRE}/weights", "sha256"), "only 'sha256'"),
    # storage
    "no checksums": (data(f"{A}/spikes", SPIKES, chunks=(1, 12), fletcher32=False), "fletcher32"),
    "unchunked": (data(f"{A}/spikes", SPIKES, chunks=None, fletcher32=False), "unchunked"),
    "unknown filter": (data(f"{A}/spikes", SPIKES, chunks=(1, 12), compression="lzf"), "filters"),
    "soft link": (lambda f: relink(f, f"{A}/spikes", h5py.SoftLink(f"{B}/spikes")), "/layers/a/spikes: found a soft"),
    "external link": (lambda f: relink(f, f"{A}/spikes", h5py.ExternalLink("other.h5", "/x")), "soft or external link"),
    "a loop of groups": (lambda f: f.__setitem__("/layers/a/loop", f["/layers"]), "/layers: found an object with several links"),
    "virtual dataset": (lambda f: virtual(f, f"{A}/spikes"), "virtually"),
    "external storage": (lambda f: external(f, f"{A}/spikes"), "another file|external"),
    "missing chunk": (lambda f: hollow(f, f"{A}/spikes", (3, 12)), "incomplete"),
    "a chunk without its checksum": (lambda f: raw_chunk(f, f"{A}/spikes", bytes(12), 2), "checksums on"),
    "a chunk that inflates": (lambda f: raw_chunk(f, f"{A}/spikes", zlib.compress(bytes(1 << 22)), 0), "up to 12, checksums"),
    "a chunk larger than its data": (lambda f: unwritten(f, "/labels", (3,), (1 << 20,)), "/labels: found a shape that may grow"),
    "a chunk of gigabytes": (lambda f: unwritten(f, "/labels", (1 << 30,), ((1 << 28) + 1,), None),
                             "at most 2147483648 bytes"),
    "bomb": (lambda f: hollow(f, f"{WIRE}/weights", (1 << 20, 1 << 20)), "in pages of"),
    "bomb in one chunk": (lambda f: bomb(f, f"{WIRE}/weights", 1 << 28), "268435456 bytes in 1 chunks, expected what"),
    "giant spikes": (lambda f: hollow(f, f"{A}/spikes", (3, 1 << 40)), "in pages of"),
    "empty dataset": (data("/labels", np.zeros(0, np.int64), chunks=(1,), maxshape=(None,)), "a shape that may grow"),
    "scalar dataset": (lambda f: swap(f, "/labels", np.int64(3)), "unchunked"),
    "named type": (lambda f: f.__setitem__("type", np.dtype(np.int8)), "/type: found a named type"),
    "odd name": (lambda f: f.create_group("a b"), "the name 'a b'"),
}


def swap(file: Any, path: str, array: np.ndarray) -> None:
    del file[path]
    how = {} if np.ndim(array) == 0 else {"chunks": array.shape, "fletcher32": True}
    put(file.create_dataset(path, data=array, **how), "sha256", "0" * 64)


def objects(file: Any, path: str) -> None:
    del file[path]
    made = file.create_dataset(path, (3,), h5py.vlen_dtype(np.int8), chunks=(3,))
    made[0] = [1, 2]
    put(made, "sha256", "0" * 64)


def relink(file: Any, path: str, link: Any) -> None:
    del file[path]
    file[path] = link


def virtual(file: Any, path: str) -> None:
    layout = h5py.VirtualLayout((3, 12), np.uint8)
    layout[...] = h5py.VirtualSource("other.h5", "/x", (3, 12))
    del file[path]
    put(file.create_virtual_dataset(path, layout), "sha256", "0" * 64)


def external(file: Any, path: str) -> None:
    del file[path]
    made = file.create_dataset(path, (3, 12), np.uint8, external=[("/etc/passwd", 0, 36)])
    put(made, "sha256", "0" * 64)


def hollow(file: Any, path: str, shape: tuple[int, ...]) -> None:
    """A dataset that claims a shape and stores next to nothing."""
    del file[path]
    chunks = (1, min(shape[1], 1 << 26))
    made = file.create_dataset(path, shape, np.int8, chunks=chunks, fletcher32=True, compression="gzip")
    made[0, :4] = 1
    put(made, "sha256", "0" * 64)


def bomb(file: Any, path: str, size: int) -> None:
    """One chunk of a few bytes that claims to inflate to `size`."""
    del file[path]
    made = file.create_dataset(path, (1, size), np.int8, chunks=(1, size), fletcher32=True, compression="gzip")
    made.id.write_direct_chunk((0, 0), bytes(9))
    put(made, "sha256", "0" * 64)


def unwritten(
    file: Any, path: str, shape: tuple[int, ...], chunks: tuple[int, ...], most: tuple[None] | None = (None,)
) -> None:
    """A dataset of int64 of which nothing was written."""
    del file[path]
    made = file.create_dataset(path, shape, np.int64, chunks=chunks, maxshape=most, fletcher32=True)
    put(made, "sha256", "0" * 64)


def raw_chunk(file: Any, path: str, stored: bytes, skipped: int) -> None:
    """The first chunk stored as given, with the filters of the mask `skipped` (gzip 1, Fletcher32 2) left out."""
    replace_data(file[A], "spikes", SPIKES, chunks=(1, 12), compression="gzip")
    file[path].id.write_direct_chunk((0, 0), stored, skipped)


def altered(sound: Path, surgery: Surgery) -> Path:
    with h5py.File(sound, "r+", libver=("v110", "v110")) as file:
        surgery(file)
        try:
            seal(file)
        except TraceError:
            pass  # refused while reading the manifest, which is the point
    return sound


def assert_clear(error: pytest.ExceptionInfo[TraceError], path: Path) -> None:
    text = str(error.value)
    assert text.startswith(f"{path}: "), text
    assert "expected" in text or "problem(s)" in text, text
    assert len(text) < 1500, text


@pytest.mark.parametrize("name", MISLABELLED)
def test_a_file_that_is_not_what_it_says_is_refused(sound: Path, name: str) -> None:
    surgery, says = MISLABELLED[name]
    path = altered(sound, surgery)
    if name == "weights gone":
        with Trace.open(path) as trace:
            assert not trace.has_weights, "weights are optional"
        return
    with pytest.raises(TraceError, match=says) as error:
        Trace.open(path).close()
    assert_clear(error, path)


def test_arrays_beyond_the_limit_are_refused_unread(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    altered(sound, data(f"{WIRE}/weights", np.zeros((3, 2, 3, 3), np.int8), chunks=(1, 2, 3, 3)))
    with Trace.open(sound) as trace:
        held = trace._file._held_bytes
        planes = sum(column.size * column.dtype.itemsize for column in trace._columns.values())
    for name, most, says in (("file.MAX_HELD_BYTES", held, "bytes to hold beside samples"),
                             ("reader.MAX_SAMPLE_BYTES", planes, f"found {planes} bytes of planes per sample")):
        with monkeypatch.context() as patched:
            patched.setattr(f"hwsim.trace.{name}", most)
            Trace.open(sound).close()
            patched.setattr(f"hwsim.trace.{name}", most - 1)
            with pytest.raises(TraceError, match=f"{says}, expected at most {most - 1}"):
                Trace.open(sound)
    with monkeypatch.context() as patched:
        patched.setattr("hwsim.trace.file.MAX_HELD_BYTES", 53)
        patched.setattr("hwsim.trace.file.TraceFile.array", lambda *_: pytest.fail("something was read"))
        with pytest.raises(TraceError, match=r"weights: found shape \(3, 2, 3, 3\): 54 bytes to hold"):
            Trace.open(sound)


AFTER_OPENING: dict[str, tuple[Surgery, str]] = {
    "logits not finite": (data("/logits", np.full((3, 2), np.nan), chunks=(1, 2)), r"/logits\[0\].*NaN"),
    "values beyond payload_bits": (data("/input/values", np.full((3, 1, 4, 4, 2), 200, np.uint8),
                                        chunks=(1, 1, 4, 4, 2)),
                                   r"/input/values\[0\].*found values from 200 to 200, expected 0 to 15"),
}


@pytest.mark.parametrize("name", AFTER_OPENING)
def test_wrong_numbers_are_refused_when_they_are_read(sound: Path, name: str) -> None:
    surgery, says = AFTER_OPENING[name]
    with Trace.open(altered(sound, surgery)) as trace:
        for read in (lambda: (trace.sample(0), trace.logits(0)), trace.check):
            with pytest.raises(TraceError, match=says) as error:
                read()
            assert_clear(error, sound)


@pytest.mark.parametrize(("path", "when"), [
    (f"{WIRE}/weights", "open"), ("/labels", "open"), (f"{A}/initial_potential", "open"), (f"{B}/bias", "open"),
    ("/row_hashes", "open"), (f"{A}/spikes", "check"), ("/input/values", "check"), ("/logits", "check"),
])
def test_data_that_do_not_match_their_sha256_are_refused(sound: Path, path: str, when: str) -> None:
    """Written through HDF5, so that Fletcher32 agrees and only the SHA-256 can tell."""
    with h5py.File(sound, "r+", libver=("v110", "v110")) as file:
        file[path][...] = file[path][...] ^ 1
    if when == "open":
        with pytest.raises(TraceError, match=f"{path}: found data with SHA-256"):
            Trace.open(sound)
        return
    with Trace.open(sound) as trace:
        trace.check(deep=False)
        says = rf"{path}\[0\]: found other data for sample 0 of "
        with pytest.raises(TraceError, match=says):
            trace.check()
        with pytest.raises(TraceError, match=says):
            trace.save(sound.with_name("copy.h5"))
    assert not sound.with_name("copy.h5").exists()


def test_an_altered_attribute_is_noticed_by_the_content_hash(sound: Path) -> None:
    with h5py.File(sound, "r+", libver=("v110", "v110")) as file:
        put(file[A], "thresholds", [31, 30])
    with pytest.raises(TraceError, match=r"'content_sha256'.*the file was altered"):
        Trace.open(sound)


def test_old_hdf5_structures_without_checksums_are_refused(sound: Path) -> None:
    old = sound.with_name("old.h5")
    with h5py.File(sound) as source, h5py.File(old, "w") as target:
        for name in source:
            source.copy(name, target)
        for name, value in source.attrs.items():
            target.attrs.create(name, value, dtype=source.attrs.get_id(name).dtype)
    with pytest.raises(TraceError, match=r"without checksums \(superblock version 0\)"):
        Trace.open(old)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + b"\xff" * 500])
def test_what_is_no_hdf5_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(TraceError) as error:
        Trace.open(tmp_path / "x.h5")
    assert_clear(error, tmp_path / "x.h5")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "none.h5", "no such file"), (tmp_path, "found a folder, expected a trace")):
        with pytest.raises(TraceError, match=says):
            Trace.open(path)


def test_all_problems_of_a_network_are_told_at_once(sound: Path) -> None:
    def several(file: Any) -> None:
        put(file[A], "potential_bits", 99)
        put(file[WIRE], "groups", 2)
        put(file[B], "thresholds", [0, 0])
    with pytest.raises(TraceError, match=r"(?s)3 problem\(s\).*potential_bits is 99.*groups is 2.*must be 1 or more"):
        Trace.open(altered(sound, several))


def test_a_refused_file_is_closed(sound: Path) -> None:
    altered(sound, attribute(A, "potential_bits", 99))
    with pytest.raises(TraceError):
        Trace.open(sound)
    with h5py.File(sound, "r+") as file:  # would fail while somebody holds it open for reading
        assert json.loads(file[A].attrs["neuron_parameters"])
