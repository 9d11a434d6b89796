"""The rows of nangate45_core.csv, made again: `python -m benchmarks.core_rows nangate45_typ.lib [--check CSV] [--only TEXT]`.

Each row is a unit of an event core of some lanes, potential bits and FIFO depth: its flip-flops, area (um2), leakage (nW), what
its clock pins take per cycle, free-running and gated (fJ), and the energy of one event (fJ), all at the library's supply; of a
lane, all of one. The core's Verilog is synthesised unit by unit (yosys) and simulated gate by gate (Icarus Verilog) on a layer of
a shipped trace, under its own testbench, which checks every spike and word. Toggles are settled ones: a net counts at most once
per cycle. Where a unit has two events, each cycle's energy is split between them by least squares over all cycles.

--check FILE   prints each value beside that of a file of such rows, and their ratio, in place of the rows.
--only TEXT    only cores whose name (`8 lanes, 16 bits, 16 deep, conv5, ...`) contains it.
--events N     so many of each plane, spread evenly (default 12): all of a layer takes hours.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.core_gates import AtWork, Programs, at_work, real_lanes, split
from hwsim.rtl.gates.liberty import read_library
from hwsim.rtl.gates.toggles import clock_fj, energy_fj

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("unit", "lanes", "potential_bits", "fifo_depth", "flip_flops", "area_um2", "clock_fj_per_cycle",
           "clock_gated_fj_per_cycle", "leakage_nw", "event", "energy_fj", "vdd_v", "corner", "how")
COMPARED = ("flip_flops", "area_um2", "clock_fj_per_cycle", "clock_gated_fj_per_cycle", "leakage_nw", "energy_fj")
NAMES = {"bypass": "membrane_bypass", "write_multiplexer": "glue_and_host_mux"}
"""What the csv calls a unit that is called otherwise in hwsim/rtl/gates/core.py."""
Row = dict[str, str]


@dataclass(frozen=True)
class Core:
    """A core whose rows are made, and what it works on."""

    lanes: int
    potential_bits: int
    fifo_depth: int
    layer: str
    trace: str

    @property
    def name(self) -> str:
        return f"{self.lanes} lanes, {self.potential_bits} bits, {self.fifo_depth} deep, {self.layer}, {self.trace}"


BIT_SERIAL, RATE = "fashion_mnist_bit_serial_t4", "fashion_mnist_rate_t4"
CORES = (
    *(Core(lanes, bits, 16, "conv5", BIT_SERIAL) for lanes in (1, 8, 16, 32, 64) for bits in (16, 24)),
    *(Core(8, 16, depth, "conv5", BIT_SERIAL) for depth in (4, 64)),
    *(Core(32, 20, 16, layer, BIT_SERIAL) for layer in ("conv2", "conv3", "conv5")), Core(32, 20, 16, "conv3", RATE))


def events_of(unit: str, core: AtWork) -> dict[str, NDArray[np.float64]]:
    """By event of a unit, how many happen in each cycle of the run; of a lane, how many lanes work."""
    log = core.replay.log
    popped = np.bincount(log.pop, minlength=core.cycles).astype(float)
    operations = core.happens("acc", "clear", "shift", "fire", "readout", "requant", "mask", "reinitialise")
    sent = np.bincount(log.spikes[:, 0], minlength=core.cycles).astype(float)
    every: dict[str, dict[str, NDArray[np.float64]]] = {
        "fifo": {"token_pushed_and_popped": popped},
        "address_generator": {"operation": core.happens("acc"), "event": popped},
        "sequencer": {"cycle": np.ones(core.cycles)},
        "issue": {"operation": operations},
        "lane": {"accumulate": real_lanes(core, "acc"), "fire": real_lanes(core, "fire", "shift", "readout", "requant")},
        "membrane_bypass": {"row": operations},
        "glue_and_host_mux": {"row": operations},
        "serialiser": {"spike": sent[: core.cycles]},
    }
    return {event: counts for event, counts in every[unit].items() if counts.sum()}


def rows_of(core: Core, found: AtWork) -> Iterator[Row]:
    """The rows of one core."""
    netlist, toggles = found.netlist, found.toggles
    settled = energy_fj(netlist, toggles.settled, found.supply_v)
    said = {"vdd_v": f"{found.supply_v:.1f}", "corner": "typical 25C", "lanes": str(core.lanes),
            "potential_bits": str(core.potential_bits), "fifo_depth": str(core.fifo_depth),
            "how": f"yosys, Nangate45; Icarus of {core.layer}, {core.trace}, sample 0"}
    for unit in netlist.names:
        each = core.lanes if unit == "lane" else 1
        gated, free = (fj / found.cycles / each for fj in clock_fj(netlist, toggles, found.cycles, found.supply_v, unit))
        sizes = {"unit": NAMES.get(unit, unit), "flip_flops": f"{netlist.flip_flops(unit) / each:.0f}",
                 "area_um2": f"{netlist.area_um2(unit) / each:.1f}", "clock_fj_per_cycle": f"{free:.1f}",
                 "clock_gated_fj_per_cycle": f"{gated:.1f}", "leakage_nw": f"{netlist.leakage_nw(unit) / each:.0f}"}
        fj = found.fj_by_cycle(unit)
        fj = fj * (settled.get(unit, 0.0) / fj.sum() if fj.sum() else 1.0)  # the first and the last cycle may lie outside
        for event, energy in split(fj, events_of(NAMES.get(unit, unit), found)).items():
            yield {**said, **sizes, "event": event, "energy_fj": f"{energy:.1f}"}
    gated, free = (fj / found.cycles for fj in clock_fj(netlist, toggles, found.cycles, found.supply_v))
    yield {**said, "unit": "core_without_memories", "flip_flops": str(netlist.flip_flops()),
           "area_um2": f"{netlist.area_um2():.0f}", "clock_fj_per_cycle": f"{free:.0f}",
           "clock_gated_fj_per_cycle": f"{gated:.0f}", "leakage_nw": f"{netlist.leakage_nw():.0f}",
           "event": "cycle_data_dependent", "energy_fj": f"{sum(settled.values()) / found.cycles:.0f}"}


def compare(made: Sequence[Row], path: Path) -> None:
    """Each value beside that of the file, as a table."""
    with path.open(newline="", encoding="utf-8") as lines:
        known = {key(row): row for row in csv.DictReader(lines)}
    print(f"| unit, event | core | {' | '.join(COMPARED)} |\n|---|---|{'---|' * len(COMPARED)}")
    for row in made:
        other = known.get(key(row))
        if other is None:
            print(f"| {row['unit']}, {row['event']} | {row['lanes']} x {row['potential_bits']} | not in {path.name} |")
            continue
        cells = []
        for column in COMPARED:
            ours, theirs = float(row[column]), float(other[column])
            cells.append(f"{ours:g} / {theirs:g} = {ours / theirs:.2f}" if theirs else f"{ours:g} / 0")
        layer = re.search(r"conv\d", row["how"])
        print(f"| {row['unit']}, {row['event']} | {row['lanes']} x {row['potential_bits']}, {row['fifo_depth']} deep, "
              f"{layer[0] if layer else ''} | {' | '.join(cells)} |")


def key(row: Row) -> tuple[str, ...]:
    where = re.search(r"of (\w+, \w+), sample", row["how"])
    return (*(row[name] for name in ("unit", "event", "lanes", "potential_bits", "fifo_depth")), where[1] if where else "")


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("liberty")
    options.add_argument("--check", type=Path)
    options.add_argument("--only", default="")
    options.add_argument("--events", type=int, default=12)
    options.add_argument("--yosys", default="yosys")
    options.add_argument("--iverilog", default="iverilog")
    options.add_argument("--vvp", default="vvp")
    asked = options.parse_args()
    library, programs = read_library(asked.liberty), Programs(asked.yosys, asked.iverilog, asked.vvp)
    made: list[Row] = []
    for core in CORES:
        if asked.only in core.name:
            print(core.name, file=sys.stderr)
            made += rows_of(core, at_work(
                library, asked.liberty, ROOT / "traces" / f"{core.trace}.h5", core.layer, core.lanes, fifo_depth=core.fifo_depth,
                potential_bits=core.potential_bits, events=asked.events, shift_at="weight", programs=programs))
    if asked.check:
        compare(made, asked.check)
        return
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(made)


if __name__ == "__main__":
    main()
