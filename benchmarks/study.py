"""What a study costs beyond its simulations, in one process: CPU per point, and memory as rows are made.

    python benchmarks/study.py 600

Points are designs over a tiny trace, one sample each, all different simulations. `alone` is `simulate(...).summary()` of the
same designs in a loop; `overhead` is what a study takes beyond it: the point, its Task and key, the row, and the disk.
"""

from __future__ import annotations

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import sys
import tempfile
from pathlib import Path
from time import process_time

from hwsim import Study, simulate
from hwsim.kept import forget
from hwsim.study import Point, study_rows
from hwsim.study.pools import Here
from hwsim.trace.kept import kept_trace

TRACE = Path(__file__).resolve().parents[1] / "traces" / "methods" / "fashion_mnist_tiny_bit_serial_t4.h5"


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def points(count: int) -> list[Point]:
    axes = {"core.lanes": {"from": 8, "to": 192, "step": 8}, "core.fifo_depth": {"from": 1, "to": 1000, "step": 1}}
    return [point for point, _ in zip(Study(TRACE, "event_core_64", set=axes, samples=1).points(), range(count), strict=False)]


def study(some: list[Point], skip_proven: bool) -> tuple[float, list[float]]:
    """CPU milliseconds per point, and MiB of the process at quarters of the study."""
    forget()
    held = []
    with tempfile.TemporaryDirectory() as folder:
        begun = process_time()
        for n, _ in enumerate(study_rows(some, folder, executor=Here(), skip_proven=skip_proven), 1):
            if n * 4 // len(some) > len(held):
                held.append(resident_mib())
        return (process_time() - begun) / len(some) * 1e3, held


def alone(some: list[Point]) -> float:
    """CPU milliseconds per point of the simulations by themselves."""
    designs = [point.design() for point in some]
    forget()
    begun = process_time()
    for design in designs:
        simulate(kept_trace(TRACE), design, samples=1).summary()
    return (process_time() - begun) / len(some) * 1e3


def main() -> None:
    some = points(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
    study(some[:8], False)  # kernels, tables and files are read
    by_itself = min(alone(some) for _ in range(3))
    whole, held = min((study(some, False) for _ in range(3)), key=lambda found: found[0])
    print(f"{len(some)} points, CPU per point: alone {by_itself:.1f} ms, in a study {whole:.1f} ms, overhead "
          f"{whole - by_itself:.1f} ms; sums not made again: {min(study(some, True)[0] for _ in range(3)):.1f} ms")
    print("MiB at quarters of the study: " + ", ".join(f"{mib:.0f}" for mib in held))


if __name__ == "__main__":
    main()
