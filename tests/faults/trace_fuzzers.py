"""What is fuzzed of traces: bytes, HDF5 structures, and content whose hashes are made right again."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

from hwsim.trace.file import row_hash
from hwsim.trace.hdf5_writer import Hdf5Writer
from hwsim.trace.manifest import ManifestEntry, array_hash, content_hash
from hwsim.trace.reader import Trace
from hwsim.trace.schema import encode
from hwsim.trace.writer import TraceWriter
from tests.faults.worker import OTHER, SAME, WRONG, Fuzzer, damaged, mutate
from tests.snn.networks import CODINGS
from tests.snn.test_hdf5_scan import blocks_of, forged
from tests.snn.test_trace_fuzz import content
from tests.snn.test_trace_round_trip import record, seeds, small


def small_trace() -> Trace:
    rng = np.random.default_rng(3)
    layers = [
        {"name": "a", "weights": rng.integers(-5, 6, (3, 2, 3, 3)), "padding": 1, "thresholds": 30, "timesteps": 2,
         "bias": [1, 2, 3]},
        {"name": "out", "weights": rng.integers(-5, 6, (2, 12)), "pool": 2, "neuron": "read_out"},
    ]
    return Trace.from_arrays(rng.integers(0, 16, (3, 2, 4, 4)), layers, labels=[0, 1, 0], logits=rng.integers(0, 9, (3, 2)),
                             provenance={"origin": "fuzz"})


class TraceBytes(Fuzzer):
    """Any bytes of a trace file damaged: the same content, or a clear error."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "trace.h5"
        with small_trace() as trace:
            trace.save(self.path).close()
            self.expected = content(trace)
        self.data = self.path.read_bytes()

    def case(self, rng: np.random.Generator) -> str:
        self.path.write_bytes(self.changed(rng))
        with Trace.open(self.path) as trace:
            found = content(trace)
            trace.check()
        return SAME if found == self.expected else WRONG

    def changed(self, rng: np.random.Generator) -> bytes:
        return damaged(self.data, rng)


class TraceBlocks(TraceBytes):
    """HDF5 structures forged, their checksums made right again."""

    def changed(self, rng: np.random.Generator) -> bytes:
        data = self.data
        for _ in range(int(rng.integers(1, 4))):
            data = forged(data, blocks_of(self.data), rng)
        return data


def drawn_traces(count: int) -> list[Trace]:
    """Traces over the whole schema, drawn by hypothesis: every coding, connections of all kinds, joins, and the one above."""
    found = [small_trace()]

    @hypothesis.seed(17)
    @hypothesis.settings(max_examples=count, database=None, deadline=None, phases=[hypothesis.Phase.generate],
                         suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(seeds, st.sampled_from(CODINGS))
    def draw(seed: int, coding: str) -> None:
        found.append(record(*small(seed, coding, samples=2), provenance={"origin": "fuzz"}))

    draw()
    return found


class TraceContent(Fuzzer):
    """What a trace says changed, and all hashes made right again: another sound trace, which can be written anew, or an error."""

    TRACES = 20

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "trace.h5"
        self.sound = []
        for trace in drawn_traces(self.TRACES):
            with trace:
                groups, arrays = encode(trace.network)
                groups["/"] = dict(trace._file.manifest["/"].attributes)
                rows = {path: [trace._file.row(path, i) for i in range(trace.samples)] for path in trace._file.row_paths}
                self.sound.append((groups, arrays | {"/labels": trace.labels}, rows, content(trace)))

    def case(self, rng: np.random.Generator) -> str:
        sound, arrays, rows, expected = self.sound[int(rng.integers(len(self.sound)))]
        groups, arrays, rows = json.loads(json.dumps(sound)), dict(arrays), dict(rows)
        kind = int(rng.integers(4))
        if kind in (0, 1):
            mutate(groups, rng)
        if kind in (1, 2):
            name = str(rng.choice(sorted(arrays)))
            arrays[name] = self.other_array(arrays[name], rng)
        if kind == 3:
            name = str(rng.choice(sorted(rows)))
            rows[name] = [self.other_array(row, rng, keep=rng.random() < 0.7) for row in rows[name]]
        if not self.write(groups, arrays, rows):
            return SAME  # the writer itself cannot put such a thing into a file
        with Trace.open(self.path) as trace:
            found = content(trace)
            with anew(trace) as again:
                if numbers(content(again)[1:-1]) != numbers(found[1:-1]):
                    return WRONG
        return SAME if found == expected else OTHER

    @staticmethod
    def other_array(array: Any, rng: np.random.Generator, keep: bool = False) -> Any:
        kind = int(rng.integers(2 if keep else 5))
        if kind == 0:
            limits = np.iinfo(array.dtype) if array.dtype.kind in "iu" else np.finfo(np.float64)
            return np.full_like(array, rng.choice([limits.min, limits.max]))
        if kind == 1:
            return rng.permuted(array.reshape(-1)).reshape(array.shape)
        if kind == 2:
            return array.astype(rng.choice(["u1", "i1", "<i2", "<u2", "<i4", "<i8", "<f8"]))
        if kind == 3:
            return array.reshape(-1)
        return np.concatenate([array, array])

    def write(self, groups: dict[str, Any], arrays: dict[str, Any], rows: dict[str, Any]) -> bool:
        """A file of exactly this, with every hash that it should have; False for what cannot be written at all."""
        try:
            arrays = {path: np.atleast_1d(np.ascontiguousarray(array)) for path, array in arrays.items()}
            names = sorted(rows)
            hashes = b"".join(row_hash(rows[path][i]) for i in range(len(rows[names[0]])) for path in names)
            arrays["/row_hashes"] = np.frombuffer(hashes, np.uint8).reshape(-1, len(names), 32)
            handle = io.BytesIO()
            writer = Hdf5Writer(handle)
            manifest = {path: ManifestEntry(dict(said)) for path, said in groups.items()}
            where: dict[str, int] = {}
            for path, array in arrays.items():
                manifest[path] = ManifestEntry({"sha256": array_hash(array)}, array.dtype.name, array.shape)
                said = manifest[path].attributes
                where[path] = writer.dataset(array.shape, array.dtype, array.shape, [writer.chunk(array)], said)
            for path, found in rows.items():
                row = np.asarray(found[0])
                manifest[path] = ManifestEntry({}, row.dtype.name, (len(found), *row.shape))
                chunks = [writer.chunk(one) for one in found]
                where[path] = writer.dataset((len(found), *row.shape), row.dtype, (1, *row.shape), chunks, {})
            manifest["/"].attributes["content_sha256"] = content_hash(manifest)
            for path in sorted(groups, key=lambda p: 0 if p == "/" else p.count("/"), reverse=True):
                links = {below.rpartition("/")[2]: at for below, at in where.items()
                         if below != "/" and (below.rpartition("/")[0] or "/") == path}
                where[path] = writer.group(manifest[path].attributes, links)
            writer.close(where["/"])
        except Exception:  # of whatever kind: it is this test's own writer
            return False
        self.path.write_bytes(handle.getvalue())
        return True


def numbers(value: Any) -> Any:
    """Content with arrays by their values: which of several types held them is the writer's choice."""
    if isinstance(value, tuple) and len(value) == 3 and isinstance(value[2], bytes):
        return value[1], np.frombuffer(value[2], value[0]).tolist()
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items()}
    return [numbers(item) for item in value] if isinstance(value, list) else value


def anew(trace: Trace) -> Trace:
    """The same content written by hwsim's own writer."""
    with TraceWriter(trace.network, name=trace.name, provenance=trace.provenance) as writer:
        for index, sample in enumerate(trace):
            writer.append(sample, label=None if trace.labels is None else int(trace.labels[index]),
                          logits=trace.logits(index) if "/logits" in trace._file else None,
                          potentials=trace.final_potentials(index))
        return writer.finish()
