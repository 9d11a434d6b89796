"""What it costs to compare every recorded row with its SHA-256, as ratios within one run.

Shipped traces are written anew in version 2 of the format. Then two things are measured in turn, pair by pair, with rows
compared and with rows believed: reading all samples, and replaying them on the fast engine. Beside it the bare cost of three
hashes over the same rows. One core; the first replay of each design compiles its kernels and does not count.

    python benchmarks/trace_hash.py [--pairs 20] [--samples 8]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np

import hwsim
from hwsim.trace.file import TraceFile
from hwsim.trace.reader import Trace
from hwsim.trace.writer import TraceWriter

TRACES = Path(__file__).parents[1] / "traces"
SHIPPED = ("fashion_mnist_rate_t4", "methods/cifar10_resnet20_bit_serial_t4", "methods/cifar10_vgg16_bit_serial_t4")
HASHES = ("sha256", "blake2b", "sha512")
compared = TraceFile.row


def believed(self: TraceFile, path: str, index: int) -> np.ndarray:
    """A row as version 1 gave it out: checksum only."""
    return self._rows[path].read(index)


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds, so that other people's work does not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def in_pairs(pairs: int, work: Callable[[], object]) -> tuple[float, float]:
    """Median seconds with rows believed, and the median ratio of compared to believed."""
    plain, ratios = [], []
    for k in range(pairs):
        taken: dict[object, float] = {}
        for row in (compared, believed) if k % 2 else (believed, compared):
            TraceFile.row = row  # type: ignore[method-assign]
            taken[row] = seconds(work)
        plain.append(taken[believed])
        ratios.append(taken[compared] / taken[believed])
    TraceFile.row = compared  # type: ignore[method-assign]
    return statistics.median(plain), statistics.median(ratios)


def as_version_2(source: Path, target: Path, samples: int) -> Path:
    with Trace.open(source) as old, TraceWriter(old.network, target, name=old.name) as writer:
        for index in range(min(samples, old.samples)):
            writer.append(old.sample(index), potentials=old.final_potentials(index))
    return target


def measure(path: Path, pairs: int) -> None:
    with Trace.open(path) as trace:
        rows = [trace._file.row(name, index) for index in range(trace.samples) for name in trace._file.row_paths]
        size = sum(row.nbytes for row in rows) / trace.samples
        reading, of_reading = in_pairs(pairs, lambda: [trace.sample(i) for i in range(trace.samples)])
        replay = lambda: hwsim.simulate(trace, "event_core_64_flags", samples=trace.samples)  # noqa: E731
        replay()
        replaying, of_replay = in_pairs(pairs, replay)
        print(f"{trace.name}: {size / 1024:.0f} KiB of rows per sample")
        print(f"  reading  {1e3 * reading / trace.samples:8.2f} ms per sample; with hashes {of_reading:.3f} times as long")
        print(f"  replay   {1e3 * replaying / trace.samples:8.2f} ms per sample; with hashes {of_replay:.3f} times as long")
        for name in HASHES:
            function = getattr(hashlib, name)
            bare = min(seconds(lambda: [function(row.data).digest() for row in rows]) for _ in range(5))  # noqa: B023
            print(f"  {name:8s} {1e3 * bare / trace.samples:8.3f} ms per sample, {bare / replaying:.4f} of the replay")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in SHIPPED:
            measure(as_version_2(TRACES / f"{name}.h5", Path(folder) / "trace.h5", options.samples), options.pairs)


if __name__ == "__main__":
    main()
