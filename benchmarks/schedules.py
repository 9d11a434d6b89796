"""Layer by layer, step by step, pipelined or spread: latency, period, energy and memory of one network on 1, 4, 16 cores and
a core per layer.

    python benchmarks/schedules.py [--trace TRACE ...] [--cores 1 4 16 0] [--memory cores total] [--out rows.jsonl]

Prints Markdown tables: whole layers placed by hwsim and every layer spread over all cores, on a mesh of equal cores with 64 lanes
(those of event_core_64, of mac_core_64 for an ANN). `--memory cores`: each core has the memory that the whole network needs;
`total`: all cores together have twice that. Per sample, means over the samples. Beside each latency and energy stands what it
would be if links cost nothing; where that reverses an order, the order is called undecided. Closed forms come from the run cycles
on one core. Rows in `--out` are not measured again. `--cores 0` is a core per layer. `--figure FILE` draws latency and energy
against the number of cores.

`--speed` prints processor time per image instead, against the same trace on one core in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from itertools import combinations
from math import ceil, sqrt
from pathlib import Path
from statistics import median
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from hwsim.arch import SHORT_FORM, Architecture, dump_architecture, load_architecture, rebuild_architecture
from hwsim.chip.model import chip_model
from hwsim.chip.placement import shares_of, weight_bits
from hwsim.cost.energy import LEAKAGE
from hwsim.engine.fast.chip import FastEngine
from hwsim.errors import HwsimError
from hwsim.mapping import Share
from hwsim.program import Transfer
from hwsim.result import Result
from hwsim.schedules import schedule_by_name
from hwsim.simulation import make_program, placed_for, simulate
from hwsim.snn.network import Network
from hwsim.stream import MEASURED, back_to_back, lead_of
from hwsim.trace.reader import Trace

TRACES = ("fashion_mnist_rate_t4", "fashion_mnist_bit_serial_t4", "fashion_mnist_ann", "methods/cifar10_vgg16_bit_serial_t4",
          "methods/cifar10_resnet20_rate_t4", "methods/cifar10_resnet20_bit_serial_t4", "methods/cifar10_resnet20_ann_t4")
"""No rate-coded VGG-16 and no ANN of it are among the shipped traces."""
SCHEDULES = ("layer_by_layer", "step_by_step", "pipelined")
MEMORIES = {"cores": "equal cores, each with room for the whole network",
            "total": "equal memory in all, twice what the network needs, shared by the cores"}
COLUMNS = ("cores", "placement", "schedule", "latency", "free links", "period", "bound, by", "µJ alone", "free links",
           "µJ steady", "KiB weights, fullest core", "of all cores", "KB streamed", "kbit planes", "kbit copies",
           "MiB of all cores")
LONGEST = 12_000
"""Operations of a list of samples in a row that is still simulated; of a longer one only the bound of the period is given."""
BANK_BYTES = 256 << 10
"""Of a bank of a memory, at most; the tables end at 512 KiB."""


# --- chips -------------------------------------------------------------------------------------------------------------


def needs(network: Network, design: Any) -> dict[str, int]:
    """Bytes by memory that one core needs so that all weights and all states stay, and buffers hold two items of each source."""
    lanes, rows = design.pe_count, design.row_bits
    whole = [Share((0, layer.shape[0]), (0, layer.shape[1])) for layer in network]
    words = sum(layer.shape[1] * layer.shape[2] * ceil(layer.shape[0] / lanes) for layer in network)
    planes = sum(shape[0] * shape[1] * shape[2] * max(1, payload) * steps for shape, payload, steps in [
        (network.input.shape, network.input.payload_bits, network.input.timesteps),
        *((layer.shape, layer.payload_bits, layer.timesteps) for layer in network)])
    bits = {"weight": sum(weight_bits(layer, share, design) for layer, share in zip(network, whole, strict=True)),
            **{name: words * rows[name] for name in ("membrane", "current", "bias") if name in design.capacities},
            "spike": 6 * planes}
    return {name: ceil(value / 8) for name, value in bits.items()}


def chip(core: str, cores: int, network: Network, memory: str, flit_bits: int = 64, **links: object) -> Architecture:
    """Equal cores on a mesh as square as can be. `memory`: one of MEMORIES."""
    one = load_architecture(core)
    data = dump_architecture(one)
    entry = {name: data.pop(name) for name in SHORT_FORM}
    each = {name: max(4096, ceil(size * (1 if memory == "cores" else 2 / cores) / 1024) * 1024)
            for name, size in needs(network, one.only).items()}
    banks = {name: max(ceil(size / BANK_BYTES), ceil(one.only.row_bits[name] / 128)) for name, size in each.items()}
    entry["memories"] = {**entry["memories"], "banks": banks,
                         **{name: f"{size} B" for name, size in each.items() if name in entry["memories"] and name != "spike"}}
    entry["spike_buffer"] = {**entry["spike_buffer"], "capacity": f"{each['spike']} B"}
    width = ceil(sqrt(cores))
    fields = {"mesh": [width, ceil(cores / width)], "flit_bits": flit_bits, "hop_cycles": 1, "address_bits": 17,
              "header_bits": 8, "encoding": "smaller", "stream_weights": True, **links}
    return rebuild_architecture({**data, "name": f"{core}x{cores}", "cores": [{**entry, "count": cores}], "network": fields})


# --- rows --------------------------------------------------------------------------------------------------------------


def measured(trace: Trace, arch: Architecture, schedule: str, samples: int) -> dict[str, Any]:
    """Numbers of one replay; the reason where it does not run."""
    try:
        result = simulate(trace, arch, schedule=schedule, samples=samples, check=False)
        long = len(result.operations) * samples * (2 * lead_of(trace.network, schedule, samples) + MEASURED)
        stream = back_to_back(trace, result.architecture, samples, schedule=schedule) if long < LONGEST else None
    except HwsimError as error:
        return {"refused": str(error).splitlines()[-1].strip(" -")}
    network, design = trace.network, result.architecture
    program = make_program(network, design, schedule)
    moved = dict(zip(result.operations["op"], result.operations["bits"], strict=True))
    transfers = [op for op in program.operations if isinstance(op, Transfer) and not op.setup]
    sends = [(float(moved[op.id]), len(op.targets)) for op in transfers if op.kind == "send"]
    held: dict[str, int] = {}
    for layer, share in zip(network, shares_of(design, network), strict=True):
        for core, part in share.items():
            held[core] = held.get(core, 0) + weight_bits(layer, part, design.design_of(core))
    busy = result.busy_frame.sort_values(["cycles", "resource"], ascending=[False, True]).iloc[0]
    free = free_cycles(trace, design, schedule, samples) if stream is None else sum(stream.free) / len(stream.free)
    return {
        "latency": float(result.cycles.mean()), "free": free, "bound": float(busy["cycles"]), "by": str(busy["resource"]),
        "period": None if stream is None else stream.period_cycles,
        "core_uj": result.energy_pj["core"] / 1e6, "free_uj": free_energy_pj(result, free) / 1e6,
        "steady_uj": None if stream is None else stream.energy_pj(result)["core"] / 1e6,
        "weights_fullest_bytes": max(held.values()) / 8, "weights_bytes": sum(held.values()) / 8,
        "streamed_bytes": sum(int(op.bits) for op in transfers if op.memory == "weight") / 8,
        "plane_bits": sum(bits for bits, _ in sends), "copied_bits": sum(bits * (targets - 1) for bits, targets in sends),
        "memory_bytes": sum(sum(design.design_of(core).capacities.values()) for core in design.core_names) / 8,
        "run_cycles": {layer: float(cycles) for layer, cycles in run_cycles(result).items()},
    }


def free_cycles(trace: Trace, arch: Architecture, schedule: str, samples: int) -> float:
    """What a sample takes if links cost nothing."""
    machine = chip_model(arch).machine(trace.network, arch, schedule_by_name(schedule), "fast")
    assert machine.timing is not None
    assert machine.free is not None
    return sum(machine.free(machine.timing(trace.sample(n))) for n in range(samples)) / samples


def free_energy_pj(result: Result, free_cycles: float) -> float:
    """The core scope if links cost nothing: no link, no flit, and leakage over the shorter time."""
    frame = result.energy[result.energy["scope"] != "system"]
    leaks = float(frame.loc[frame["unit"] == LEAKAGE, "energy_pj"].sum())
    links = float(frame.loc[frame["event"].isin(["link_bits", "link_hops"]), "energy_pj"].sum())
    return result.energy_pj["core"] - links - leaks * (1 - free_cycles / float(result.cycles.mean()))


def run_cycles(result: Result) -> dict[str, float]:
    """By layer, the cycles of its runs on all cores together."""
    frame = result.cycles_frame
    frame = frame[(frame["layer"] != "") & (frame["cause"] != "wait") & (frame["resource"] != "channel")]
    return dict(frame.groupby("layer")["cycles"].sum())


def rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Every row of the tables, measured or read from `--out`."""
    path = None if options.out is None else Path(options.out)
    known = {} if path is None or not path.exists() else {
        key(row): row for row in map(json.loads, path.read_text().splitlines())}
    for source in options.trace:
        with Trace.open(source) as trace:
            core = "mac_core_64" if trace.network.is_ann else "event_core_64"
            samples = options.samples
            counts = dict.fromkeys(n or len(trace.network.layers) for n in options.cores)
            for memory in options.memory:
                for cores in counts:
                    for placement in ("auto", "spread") if cores > 1 else ("auto",):
                        for schedule in SCHEDULES:
                            row = {"trace": trace.name, "ann": trace.network.is_ann, "samples": samples, "memory": memory,
                                   "timesteps": trace.timesteps, "cores": cores, "placement": placement, "schedule": schedule}
                            if key(row) not in known:
                                arch = chip(core, cores, trace.network, memory, options.flit, placement=placement,
                                            tile_rows=options.rows)
                                known[key(row)] = row | measured(trace, arch, schedule, samples)
                                if path is not None:
                                    with path.open("a") as file:
                                        file.write(json.dumps(known[key(row)]) + "\n")
                            yield known[key(row)]


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("trace", "samples", "memory", "cores", "placement", "schedule"))


# --- tables ------------------------------------------------------------------------------------------------------------


def print_tables(options: argparse.Namespace) -> None:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows(options):
        if options.out:
            print(".", end="", file=sys.stderr, flush=True)
        groups.setdefault((row["trace"], row["memory"]), []).append(row)
    for (name, memory), members in groups.items():
        print(f"\n## {name}: {members[0]['samples']} samples, {MEMORIES[memory]}\n")
        print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
        for row in members:
            if "refused" not in row:
                print("| " + " | ".join(cells(row)) + " |")
        print_refused(members)
        print_undecided(members)
        if memory == "cores":
            print_closed_forms(members)
    for memory in options.memory:
        print_summary([row for (_, kind), members in groups.items() if kind == memory for row in members], memory)
    if options.figure:
        draw([row for (_, memory), members in groups.items() if memory == options.memory[0] for row in members], options.figure)


def cells(row: dict[str, Any]) -> list[str]:
    start = [str(row["cores"]), "one core" if row["cores"] == 1 else row["placement"], row["schedule"].replace("_", " ")]
    return [
        *start, *(number(row[name], 1e3) for name in ("latency", "free", "period")), f"{row['bound'] / 1e3:,.1f} {row['by']}",
        *(number(row[name], 1) for name in ("core_uj", "free_uj", "steady_uj")),
        *(f"{row[name] / 1024:,.0f}" for name in ("weights_fullest_bytes", "weights_bytes")),
        *(f"{row[name] / 1e3:,.0f}" for name in ("streamed_bytes", "plane_bits", "copied_bits")),
        f"{row['memory_bytes'] / 2**20:,.2f}"]


def print_summary(members: list[dict[str, Any]], memory: str) -> None:
    """A line for each network: latency, and if links cost nothing; core energy alone."""
    kinds = [("one core", 1, "auto"), ("core per layer", 0, "auto"), ("16 cores, spread", 16, "spread")]
    columns = [(f"{text}: {schedule.replace('_', ' ')}", cores, placement, schedule)
               for text, cores, placement in kinds for schedule in SCHEDULES if (text, schedule) != ("one core", "pipelined")]
    for title, what, free, unit in (("k cycles, and with free links", "latency", "free", 1e3), ("core µJ", "core_uj", None, 1)):
        print(f"\nAll networks, {MEMORIES[memory]}: {title}\n")
        print("| network | " + " | ".join(column[0] for column in columns) + " |\n|" + "---|" * (1 + len(columns)))
        for name in dict.fromkeys(row["trace"] for row in members):
            mine = {(row["cores"], row["placement"], row["schedule"]): row for row in members if row["trace"] == name}
            layers = max((len(row["run_cycles"]) for row in mine.values() if "refused" not in row), default=0)
            found = [mine.get((cores or layers, placement, schedule), {}) for _, cores, placement, schedule in columns]
            print(f"| {name} | " + " | ".join(
                "-" if what not in row else number(row[what], unit) + (f" ({number(row[free], unit)})" if free else "")
                for row in found) + " |")


def print_refused(members: list[dict[str, Any]]) -> None:
    """What does not run, by its reason; of reasons that name a core or a layer the first."""
    found: dict[str, tuple[str, list[str]]] = {}
    for row in members:
        if "refused" in row:
            kind = "weights" if "weight memory" in row["refused"] else row["refused"].split(";")[0]
            found.setdefault(kind, (row["refused"].split(";")[0], []))[1].append(f"{titled(row)} on {row['cores']}")
    for reason, places in found.values():
        print(f"\nRefused: {'; '.join(places)}: `{reason}`.")


def number(value: float | None, unit: float) -> str:
    return "-" if value is None else f"{value / unit:,.1f}"


def print_undecided(members: list[dict[str, Any]]) -> None:
    """Orders of latency and of energy, on equally many cores, that free links reverse."""
    for what, free in (("latency", "free"), ("core_uj", "free_uj")):
        found = []
        for one, other in combinations([row for row in members if "refused" not in row], 2):
            first, second = sorted((one, other), key=lambda row: row[what])
            if one["cores"] == other["cores"] and first[what] < second[what] and first[free] >= second[free]:
                found.append(f"{titled(first)} before {titled(second)} on {one['cores']}")
        label = "latency" if what == "latency" else "energy"
        print(f"\nUndecided in {label}: {'; '.join(found) or 'nothing'}.")


def titled(row: dict[str, Any]) -> str:
    return f"{row['schedule'].replace('_', ' ')}{'' if row['cores'] == 1 else ', ' + row['placement']}"


def print_closed_forms(members: list[dict[str, Any]]) -> None:
    """With t the run cycles of a layer in one timestep on one core: T sum(t); that over n; and a core per layer in a pipeline."""
    found = {(row["cores"], row["placement"], row["schedule"]): row for row in members if "refused" not in row}
    if (alone := found.get((1, "auto", "layer_by_layer"))) is None:
        return
    runs, steps = alone["run_cycles"].values(), members[0]["timesteps"]
    everything, largest, layers = sum(runs), max(runs), len(runs)
    print("\n| closed form | cycles | measured |\n|---|---|---|")
    forms = [("T sum(t), one core, layer by layer", everything, (1, "auto", "layer_by_layer")),
             ("T sum(t), one core, step by step", everything, (1, "auto", "step_by_step")),
             *((f"T sum(t) / {n}, spread", everything / n, (n, "spread", "layer_by_layer"))
               for n in sorted({row["cores"] for row in members} - {1})),
             ("T sum(t), a core per layer, layer by layer", everything, (layers, "auto", "layer_by_layer"))]
    if (layers, "auto", "step_by_step") in found and steps > 1:
        forms.append(("T max(t) + sum of the others, a core per layer, pipelined", largest + (everything - largest) / steps,
                      (layers, "auto", "pipelined")))
    else:
        forms.append(("T max(t) at least, a core per layer, pipelined by rows", largest, (layers, "auto", "pipelined")))
    for text, cycles, which in forms:
        if which in found:
            latency = found[which]["latency"]
            print(f"| {text} | {cycles / 1e3:,.1f} | {latency / 1e3:,.1f} ({latency / cycles:.2f}) |")


def draw(members: list[dict[str, Any]], path: str) -> None:
    """Latency and energy against the number of cores."""
    from hwsim.view.figure_file import write_figure  # matplotlib is only loaded for who asks for a figure
    from hwsim.view.scaling import SPREAD, WHOLE, CorePoint, cores_figure

    write_figure(cores_figure([
        CorePoint(row["trace"], row["schedule"], None if row["cores"] == 1 else SPREAD if row["placement"] == "spread" else WHOLE,
                  row["cores"], row["latency"], row["core_uj"] * 1e-6, row["free"])
        for row in members if "refused" not in row]), path)


# --- speed -------------------------------------------------------------------------------------------------------------


def speed(options: argparse.Namespace) -> None:
    """Processor time per image of each placement, in turn with one core, which has the same memories and no network."""
    for path in options.trace:
        with Trace.open(path) as trace:
            samples = [trace.sample(n) for n in range(options.samples)]
            core = "mac_core_64" if trace.network.is_ann else "event_core_64"
            data = dump_architecture(chip(core, 1, trace.network, "cores"))
            del data["network"]
            programs = {"one core": make_program(trace.network, rebuild_architecture(data), "layer_by_layer")}
            for cores in (16, 64):
                arch = placed_for(chip(core, cores, trace.network, "cores", tile_rows=options.rows), trace)
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
    options.add_argument("--trace", nargs="+", default=[str(ROOT / "traces" / f"{name}.h5") for name in TRACES])
    options.add_argument("--cores", nargs="+", type=int, default=[1, 4, 16, 0])
    options.add_argument("--memory", nargs="+", choices=tuple(MEMORIES), default=list(MEMORIES))
    options.add_argument("--samples", type=int, default=2, help="of each trace, at least 2")
    options.add_argument("--rows", type=int, help="rows of a tile when pipelined (network.tile_rows)")
    options.add_argument("--flit", type=int, default=64)
    options.add_argument("--out", metavar="FILE", help="rows as JSON, one a line; those that are there are not measured again")
    options.add_argument("--figure", metavar="FILE", help="a picture of latency and energy against the number of cores")
    options.add_argument("--speed", action="store_true", help="processor time instead of the tables")
    options.add_argument("--rounds", type=int, default=5, help="of --speed")
    given = options.parse_args()
    (speed if given.speed else print_tables)(given)


if __name__ == "__main__":
    main()
