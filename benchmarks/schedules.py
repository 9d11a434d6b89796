"""Layer by layer, step by step, pipelined or spread: latency, period, energy and memory of one network on 1, 4 and more cores.

    python benchmarks/schedules.py [--trace TRACE ...] [--cores 1 4 16 ...] [--samples 8] [--core event_core_64]

Prints Markdown tables: whole layers placed by hwsim and every layer spread over all cores, on a mesh of equal cores. Beside the
latency is the one of free links; the period is that of samples in a row, with what bounds it. Cores have the memory that is asked
for (`--membrane`), everything else is as in the shipped design. Per sample, means over the samples. `--speed` prints processor
time per image instead, against the same trace on one core in the same run.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from math import ceil, sqrt
from pathlib import Path
from statistics import median

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hwsim.arch import SHORT_FORM, Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.chip.placement import shares_of, weight_bits
from hwsim.engine.fast.chip import FastEngine
from hwsim.errors import HwsimError
from hwsim.program import Transfer
from hwsim.simulation import make_program, placed_for, simulate
from hwsim.stream import back_to_back
from hwsim.trace.reader import Trace
from hwsim.units import format_bits


def chip(core: str, cores: int, options: argparse.Namespace, **network: object) -> Architecture:
    """Equal cores on a mesh as square as can be."""
    data = dump_architecture(load_architecture(core))
    entry = {name: data.pop(name) for name in SHORT_FORM}
    entry["memories"] = {**entry["memories"], "membrane": options.membrane, "weight": options.weight}
    entry["spike_buffer"] = {**entry["spike_buffer"], "capacity": options.buffer}
    width = ceil(sqrt(cores))
    links = {"mesh": [width, ceil(cores / width)], "flit_bits": options.flit, "hop_cycles": 1, "address_bits": 17,
             "header_bits": 8, "encoding": "smaller", **network}
    return rebuild_architecture({**data, "name": f"{core}x{cores}", "cores": [{**entry, "count": cores}], "network": links})


def row(trace: Trace, arch: Architecture, schedule: str, samples: int) -> list[str]:
    """Numbers of one replay; the reason in a word where it does not run."""
    try:
        result = simulate(trace, arch, schedule=schedule, samples=samples, check=False)
        row = back_to_back(trace, arch, samples, schedule=schedule)
    except HwsimError as error:
        reason = str(error).splitlines()[-1].strip(" -")
        return [f"refused: {reason[:60]}..."]
    network, design = trace.network, result.architecture
    program = make_program(network, design, schedule)
    streamed = sum(int(op.bits) for op in program.operations
                   if isinstance(op, Transfer) and op.memory == "weight" and not op.setup)
    held: dict[str, int] = {}
    for layer, share in zip(network, shares_of(design, network), strict=True):
        for core, part in share.items():
            held[core] = held.get(core, 0) + weight_bits(layer, part, design.design_of(core))
    steady, (name, bound) = row.energy_pj(result), row.bound
    counts = result.activity.groupby("event")["count"].sum()
    free = sum(row.free) / len(row.free)
    return [f"{result.cycles.mean() / 1e3:,.1f}", f"{free / 1e3:,.1f}", f"{row.period_cycles / 1e3:,.1f}",
            f"{bound / 1e3:,.1f} {name}", f"{result.energy_pj['core'] / 1e6:,.1f}", f"{steady['core'] / 1e6:,.1f}",
            format_bits(max(held.values())), format_bits(sum(held.values())), f"{counts.get('link_bits', 0) / 1e3:,.0f}",
            f"{streamed / 8e3:,.0f}"]


def tables(options: argparse.Namespace) -> None:
    head = ["cores", "placement", "schedule", "latency, k cycles", "free links", "period", "bound, by", "core uJ alone",
            "core uJ steady", "weights of the fullest core", "of all", "k link bits", "KB weights streamed"]
    for path in options.trace:
        with Trace.open(path) as trace:
            print(f"\n{trace.name}, {options.samples} samples, cores like {options.core}\n")
            print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
            for cores in options.cores or [1, 4, 16, len(trace.network.layers)]:
                for placement in ("auto", "spread") if cores > 1 else ("auto",):
                    for schedule in ("layer_by_layer", "step_by_step", "pipelined"):
                        arch = chip(options.core, cores, options, placement=placement, tile_rows=options.rows,
                                    stream_weights=options.stream)
                        found = row(trace, arch, schedule, options.samples)
                        print(f"| {cores} | {placement} | {schedule} | " + " | ".join(found) + " |", flush=True)


def speed(options: argparse.Namespace) -> None:
    """Processor time per image of each placement, in turn with one core, which has the same memories and no network."""
    for path in options.trace:
        with Trace.open(path) as trace:
            samples = [trace.sample(n) for n in range(options.samples)]
            wide = argparse.Namespace(**{**vars(options), "membrane": "64 MiB", "weight": "64 MiB", "buffer": "64 MiB"})
            data = dump_architecture(chip(options.core, 1, wide))
            del data["network"]
            programs = {"one core": make_program(trace.network, rebuild_architecture(data), "layer_by_layer")}
            for cores in options.cores or [16, 64]:
                arch = placed_for(chip(options.core, cores, wide, tile_rows=options.rows), trace)
                programs[f"{cores} cores, pipelined"] = make_program(trace.network, arch, "pipelined")
            engine, spent = FastEngine(), {name: [] for name in programs}
            for turn in range(1 + options.rounds):
                for name, program in programs.items():
                    start = time.process_time()
                    for sample in samples:
                        engine.run_sample(program, sample, "trace")
                    if turn:
                        spent[name].append(time.process_time() - start)
            for name, program in programs.items():
                ratio = median(one / base for one, base in zip(spent[name], spent["one core"], strict=True))
                print(f"{trace.name}: {name}: {sum(1 for _ in program.runs)} runs, "
                      f"{1e3 * median(spent[name]) / len(samples):.1f} ms per image, {ratio:.2f} of one core")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shipped = [f"traces/fashion_mnist_{coding}_t4.h5" for coding in ("rate", "bit_serial")]
    options.add_argument("--trace", nargs="+", default=shipped)
    options.add_argument("--core", default="event_core_64")
    options.add_argument("--cores", nargs="+", type=int)
    options.add_argument("--samples", type=int, default=8)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--rows", type=int, help="rows of a tile when pipelined (network.tile_rows)")
    options.add_argument("--flit", type=int, default=64)
    options.add_argument("--membrane", default="288 KiB")
    options.add_argument("--weight", default="512 KiB")
    options.add_argument("--buffer", default="128 KiB")
    options.add_argument("--stream", action="store_true", help="weights that do not stay are streamed when pipelined")
    options.add_argument("--speed", action="store_true", help="processor time instead of the tables")
    given = options.parse_args()
    (speed if given.speed else tables)(given)


if __name__ == "__main__":
    main()
