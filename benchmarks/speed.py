"""How fast hwsim is, as ratios within one run: the machines that run this differ, their ratios do not (much).

The yardstick is plain NumPy: int16 additions of 4,096-element rows that stay in the cache. Everything runs on one core.

    python benchmarks/speed.py [--samples 8] [--rounds 7] [--only PART ...] [--skip-memory]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from statistics import median

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np

import hwsim
from hwsim.engine.fast import chip
from hwsim.engine.fast.kernels import arithmetic as ka
from hwsim.engine.fast.kernels.arithmetic import add_rows
from hwsim.trace.reader import Trace
from hwsim.trace.synth import synthesise

PARTS = ("kernel", "replay", "additions", "dataflows", "engines", "start", "memory")


def best_of(times: int, work: Callable[[], object]) -> float:
    """Processor seconds of the quickest of several runs: noise only adds, and other people's work does not count."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def numpy_additions_a_second() -> float:
    """int16 additions a second of plain NumPy, in cache."""
    a, b = np.zeros(4096, np.int16), np.ones(4096, np.int16)

    def work() -> None:
        for _ in range(20_000):
            np.add(a, b, out=a)

    return 20_000 * 4096 / best_of(5, work)


def vgg_architecture(potential_bits: int) -> hwsim.Architecture:
    """64 lanes, one run a layer: memories large enough for VGG-16, AER lists, so that cycles are the prototype's.

    Banks are as many as the memory tables need; they move no cycle.
    """
    core = hwsim.load_architecture("event_core_64").with_core(potential_bits=potential_bits)
    banks = dict.fromkeys(("weight", "membrane", "current", "spike"), 64)
    roomy = core.with_memories(weight=2**27, membrane=2**27, current=2**27, bias=2**23, banks=banks)
    listed = roomy.with_spike_buffer(kind="aer", capacity=2**27)
    return listed.model_copy(update={"name": f"vgg_{potential_bits}"})


def replay_vgg(path: Path, samples: int, additions: float) -> None:
    """Milliseconds an image, trace reading and functional check included, and what opening and packing cost once.

    The ratio is to plain NumPy additions of as many synaptic operations.
    """
    few = max(1, samples // 4)
    for bits in (16, 32):
        arch = vgg_architecture(bits)
        result = hwsim.simulate(path, arch, samples=samples)  # compiles, too
        short, whole = (best_of(3, lambda n=n, arch=arch: hwsim.simulate(path, arch, samples=n)) for n in (few, samples))
        image = (whole - short) / (samples - few)
        operations = result.synaptic_operations
        print(f"VGG-16 replay, {bits}-bit potentials: {1e3 * image:.1f} ms an image "
              f"({operations / 1e6:.0f} M synaptic operations, {result.cycles.mean() / 1e6:.2f} M cycles), "
              f"{image * additions / operations:.2f} x plain NumPy int16 additions; "
              f"{1e3 * (short - few * image):.0f} ms once to open and pack; "
              f"mismatches {result.mismatches}, saturations {result.facts.saturations}")


def kernel_additions_a_second(lanes: int, table_rows: int, used_rows: int) -> float:
    """Additions a second of the kernel that replays plane tokens: random rows of a table of weights, of which some are used."""
    chosen = np.random.default_rng(0).integers(0, used_rows, 20_000)
    starts, flat, values = np.array([[0, chosen.size]], np.int64), chosen.astype(np.uint32), np.zeros(0, np.int64)
    window = np.zeros(14, np.int64)  # one position that sees one, of `table_rows` channels
    window[[ka.WIDTH, ka.POOL, ka.KERNEL_Y, ka.KERNEL_X, ka.STRIDE_Y, ka.STRIDE_X]] = 1
    window[[ka.IN_HEIGHT, ka.IN_WIDTH, ka.OUT_HEIGHT, ka.OUT_WIDTH]] = 1
    window[ka.CHANNELS] = table_rows
    weights = np.zeros((table_rows + 1, lanes), np.int8)
    weights[:-1] = np.random.default_rng(1).integers(-1, 2, (table_rows, lanes))
    state, limits, sums = np.zeros((1, lanes), np.int16), np.array([-(1 << 15), (1 << 15) - 1], np.int32), np.zeros(1, np.int16)
    rows, factors = np.zeros(chosen.size + 4, np.uint32), np.zeros(chosen.size + 4, np.int64)

    def work() -> None:
        state[:] = 0
        add_rows(state, weights, starts, flat, values, window, 1, 1, limits, sums, rows, factors)

    work()
    taken = best_of(7, work)
    if not state.any():
        raise RuntimeError("the kernel added nothing: this benchmark gives it another window than it reads")
    return chosen.size * lanes / taken


def what_holds_it(additions: float) -> None:
    """The kernel alone, its rows of weights in the first cache, in the second, and in all of a layer's table."""
    for lanes, table in ((64, 576), (256, 2304), (512, 4608)):
        small, whole = (kernel_additions_a_second(lanes, table, rows) for rows in (16, table))
        print(f"kernel, {lanes} channels: {whole / 1e9:.1f} G additions a second on a table of {table * lanes / 2**20:.2f} MiB, "
              f"{whole / additions:.2f} of plain NumPy; {small / whole:.2f} times as many on 16 of its rows")


def dataflows(path: Path, samples: int, rounds: int) -> None:
    """The same replay in other dataflows, as multiples of the event-driven one on bitmaps, and each of them timing only.

    All are measured in turn, round by round. The least of the rounds counts, for a few images and for all, and an image is what
    the others take: opening and packing are in the last ratio only, that of whole calls of all images.
    """
    plain = vgg_architecture(16).with_spike_buffer(kind="bitmap", scan_bits=64)
    gather = {"dataflow": {"type": "output_stationary", "accumulators": 8}, "writer": "word", "passes": "by_word"}
    designs = {
        "event driven, AER list": vgg_architecture(16),
        "event driven": plain,
        "output stationary": plain.with_core(**gather),
        "output stationary, merged planes": plain.with_core(**gather, token={"planes": "merged", "adders": 2, "sums": 4}),
    }
    few = max(1, samples // 4)
    least: dict[tuple[str, bool, int], float] = {}
    with Trace.open(path) as trace:

        def seconds(name: str, check: bool, n: int) -> float:
            return best_of(1, lambda: hwsim.simulate(trace, designs[name], samples=n, check=check))

        for name in designs:
            seconds(name, True, 1), seconds(name, False, 1)  # compiles
        for _ in range(rounds):
            for name, check, n in product(designs, (True, False), (few, samples)):
                least[name, check, n] = min(least.get((name, check, n), np.inf), seconds(name, check, n))
    image = {(name, check): (least[name, check, samples] - least[name, check, few]) / (samples - few)
             for name, check in product(designs, (True, False))}
    for name in designs:
        checked, timing = image[name, True], image[name, False]
        print(f"VGG-16 replay, {name}: {1e3 * checked:.1f} ms an image, {checked / image['event driven', True]:.2f} x the "
              f"event-driven replay; timing only {1e3 * timing:.1f} ms, {timing / checked:.2f} x its checked replay, "
              f"{least[name, False, samples] / least[name, True, samples]:.2f} x with opening and packing")


def share_of_additions(path: Path, samples: int, rounds: int, additions: float) -> None:
    """What of a checked replay the kernel of the additions takes, and how many it makes beside plain NumPy.

    Timesteps are done one at a time here: where many are done in a call, the additions are no call that could be timed.
    """
    listed = vgg_architecture(16)
    many = chip.steps.does
    chip.steps.does = lambda pack, state: False
    for name, design in (("AER list", listed), ("bitmap", listed.with_spike_buffer(kind="bitmap", scan_bits=64))):
        shares, rates = [], []
        for _ in range(rounds):
            taken = 0.0

            def timed(*arguments: object) -> int:
                nonlocal taken
                start = time.process_time()
                clipped = add_rows(*arguments)
                taken += time.process_time() - start
                return clipped

            ka.add_rows = timed
            start = time.process_time()
            result = hwsim.simulate(path, design, samples=samples)
            whole = time.process_time() - start
            ka.add_rows = add_rows
            shares.append(taken / whole)
            rates.append(result.synaptic_operations * samples / taken)
        print(f"event driven, {name}: additions take {median(shares):.2f} of the call, opening and packing included; at best "
              f"{max(rates) / 1e9:.1f} G a second, {max(rates) / additions:.2f} of plain NumPy's")
    chip.steps.does = many


def engines_on_the_same(samples: int) -> None:
    """Cycles a second of both engines on the same stimulus."""
    trace = synthesise("tiny", samples=samples, density=0.3, seed=1)
    for engine in ("reference", "fast"):
        hwsim.simulate(trace, "event_core_64", engine=engine, samples=1)
        start = time.process_time()
        result = hwsim.simulate(trace, "event_core_64", engine=engine)
        seconds = time.process_time() - start
        print(f"{engine} engine: {result.cycles.sum() / seconds:,.0f} cycles a second")


def streaming(folder: Path) -> None:
    """Peak memory of 1,000 small samples from disk, in a process of its own."""
    path = folder / "thousand.h5"
    synthesise("tiny", samples=1000).save(path)
    code = (f"import resource, hwsim; r = hwsim.simulate({str(path)!r}, 'event_core_64'); "
            "print(r.facts.samples, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)")
    count, mebibytes = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    print(f"streaming {count} samples of {path.stat().st_size / 2**20:.1f} MiB from disk: peak {float(mebibytes):.0f} MiB")


def start_up(folder: Path) -> None:
    """Seconds of the command line: help, a first run with an empty compilation cache, a later run."""
    trace = folder / "small.h5"
    synthesise("tiny", samples=2).save(trace)
    run = [sys.executable, "-m", "hwsim", "run", str(trace), "--arch", "event_core_64", "--json"]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache")}

    def timed(command: list[str]) -> float:
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=environment)
        return time.perf_counter() - start

    print(f"hwsim --help: {min(timed([sys.executable, '-m', 'hwsim', '--help']) for _ in range(3)):.2f} s")
    print(f"first run, compilation included: {timed(run):.1f} s; later runs: {min(timed(run) for _ in range(3)):.2f} s")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--samples", type=int, default=8, help="VGG-16 images")
    options.add_argument("--rounds", type=int, default=7, help="interleaved measurements of the dataflows")
    options.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    options.add_argument("--skip-memory", action="store_true", help="leave out the 1,000-sample stream")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        additions = numpy_additions_a_second()
        print(f"yardstick: plain NumPy, {additions / 1e9:.1f} G int16 additions a second")
        path = folder / "vgg16.h5"
        synthesise("vgg16-cifar10", timesteps=4, density=0.2, samples=chosen.samples, seed=0).save(path)
        parts = {
            "kernel": lambda: what_holds_it(additions), "replay": lambda: replay_vgg(path, chosen.samples, additions),
            "additions": lambda: share_of_additions(path, chosen.samples, chosen.rounds, additions),
            "dataflows": lambda: dataflows(path, chosen.samples, chosen.rounds), "engines": lambda: engines_on_the_same(4),
            "start": lambda: start_up(folder), "memory": lambda: streaming(folder)}
        for part in PARTS:
            if part in chosen.only and not (part == "memory" and chosen.skip_memory):
                parts[part]()


if __name__ == "__main__":
    main()
