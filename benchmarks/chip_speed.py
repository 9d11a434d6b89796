"""What 64 cores on a mesh cost to replay, against the same network on one core: processor time per image, in one run.

    python benchmarks/chip_speed.py [--trace TRACE] [--samples 8]

The network is placed by hand: its tiles one after the other on the cores, in the order of `pipelined` (rule C9), planes by sample
over the links. Whole layers use as many cores as there are layers; tiles of few weights use all. Beside each stands the same runs
on one core.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hwsim.arch import Architecture, load_architecture
from hwsim.engine.fast.chip import FastEngine
from hwsim.engine.fast.order import ListPack
from hwsim.links import CHANNEL, MeshSpec
from hwsim.program import Program
from hwsim.schedules.listing import PIPELINED
from hwsim.simulation import make_program
from hwsim.snn.sample import Sample
from hwsim.trace.reader import Trace
from tests.engine.network_programs import placed

CORES, SIDE = 64, 8


def roomy(lanes: int, weights: str) -> Architecture:
    """A core that holds all potentials; `weights` decides how large its tiles are."""
    core = load_architecture("event_core_16").with_core(lanes=lanes).with_spike_buffer(capacity="64 MiB")
    return core.with_memories(weight=weights, membrane="64 MiB", current="64 MiB", bias="4 MiB")


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds that `work` takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def replay(engine: FastEngine, program: Program, samples: list[Sample]) -> None:
    for sample in samples:
        engine.run_sample(program, sample, "trace")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trace", default="traces/methods/cifar10_resnet20_rate_t4.h5")
    options.add_argument("--samples", type=int, default=8)
    options.add_argument("--lanes", type=int, default=16)
    options.add_argument("--tile", default="10 KiB", help="weights of a tile: what makes several of a layer")
    chosen = options.parse_args()
    trace = Trace.open(chosen.trace)
    samples = [trace.sample(n) for n in range(chosen.samples)]
    one = make_program(trace.network, roomy(chosen.lanes, "64 MiB"), "step_by_step")
    nodes = (*((f"core{n}", (n % SIDE, n // SIDE)) for n in range(CORES)), (CHANNEL, (0, 0)))
    mesh = MeshSpec((SIDE, SIDE), 32, 1, 16, 8, nodes)
    tiled = make_program(trace.network, roomy(chosen.lanes, chosen.tile), "step_by_step")
    programs = {
        "one core, whole layers": one, "64 cores, whole layers": placed(one, CORES, mesh, PIPELINED, 2),
        "one core, tiles": tiled, "64 cores, tiles": placed(tiled, CORES, mesh, PIPELINED, 2)}
    engine = FastEngine()
    taken = dict.fromkeys(programs, float("inf"))
    for _ in range(6):  # the first one packs and compiles
        for name, program in programs.items():
            taken[name] = min(taken[name], seconds(lambda program=program: replay(engine, program, samples)))
    for name, program in programs.items():
        record = engine.run_sample(program, samples[0], "trace")
        runs = list(program.runs)
        order = ListPack(program)
        alone = min(seconds(lambda order=order, spent=record.end - record.start: order.times(spent, order.bits))
                    for _ in range(100))
        print(f"{name}: {len(runs)} runs on {len({run.on for run in runs})} cores, {len(program.operations)} operations; "
              f"{1e3 * taken[name] / len(samples):.2f} ms per image ({taken[name] / taken['one core, whole layers']:.2f} x), "
              f"of which {1e3 * alone:.3f} ms are their order; {int(record.end.max()):,} cycles")


if __name__ == "__main__":
    main()
