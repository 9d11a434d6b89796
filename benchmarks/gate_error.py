"""The model's energy of a core's logic against its gates, on one run of a trace that no price was fitted on.

    python -m benchmarks.gate_error nangate45_typ.lib [--trace T.h5] [--layer NAME] [--lanes P] [--eots N] [--sample S]

The core of the layer is exported as Verilog, synthesised unit by unit (yosys) and simulated gate by gate (Icarus Verilog) under
its own testbench, which checks every spike and word. Toggles times the library's energies, taken to 0.9 V, stand beside what the
model says of the same run's counts, with the sizes of this core. Memories, wires and the reader of events are in neither. The
default is a layer of another network than those that the prices were fitted on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.core_gates import ISSUED, AtWork, Programs, at_work, real_lanes, split
from hwsim.activity import EVENTS
from hwsim.arch import Architecture, dump_architecture, rebuild_architecture
from hwsim.cores.logic import CLOCK, WIRES
from hwsim.cost.logic import LogicPrices, logic_prices
from hwsim.cost.memory import macros
from hwsim.cost.technology.logic_tables import logic_table
from hwsim.cost.technology.make.logic import ENERGY
from hwsim.cost.technology.make.units import LEAKAGE_POWER, RATIO
from hwsim.record import CoreReplay
from hwsim.rtl.gates.core import CoreNetlist
from hwsim.rtl.gates.liberty import read_library
from hwsim.rtl.gates.toggles import Toggles, clock_fj, energy_fj

ROOT = Path(__file__).resolve().parents[1]
TRACE, LAYER = ROOT / "traces" / "methods" / "fashion_mnist_tiny_bit_serial_t4.h5", "conv3"
NOT_IN_GATES = {"entry_reader", WIRES}
"""Components of the model that the exported core does not have: it is given its tokens."""


def model_fj(design: Architecture, replay: CoreReplay) -> dict[str, float]:
    """fJ by component, 0.9 V."""
    prices = logic_prices(design, macros(design))
    assert prices is not None
    counts = dict(zip(EVENTS, replay.log.counts.sum(axis=0).tolist(), strict=True))
    found: dict[str, float] = {}
    charges = [(count, charge) for event, count in counts.items() if count for charge in prices.charges(event)]
    for count, charge in [*charges, *((replay.log.done + 1, charge) for charge in prices.every_cycle())]:
        found[charge.component] = found.get(charge.component, 0.0) + 1e3 * count * charge.pj
    return {name: fj for name, fj in found.items() if name not in NOT_IN_GATES}


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("liberty")
    options.add_argument("--trace", default=str(TRACE))
    options.add_argument("--layer", default=LAYER)
    options.add_argument("--lanes", type=int, default=8)
    options.add_argument("--eots", type=int, help="stop after so many (default: all)")
    options.add_argument("--sample", type=int, default=0)
    options.add_argument("--yosys", default="yosys")
    options.add_argument("--iverilog", default="iverilog")
    options.add_argument("--vvp", default="vvp")
    asked = options.parse_args()
    found = at_work(
        read_library(asked.liberty), asked.liberty, asked.trace, asked.layer, asked.lanes, eots=asked.eots, sample=asked.sample,
        programs=Programs(asked.yosys, asked.iverilog, asked.vvp))
    bits, tokens = found.replay.run.potential_bits, len(found.replay.tokens)
    print(f"{Path(asked.trace).stem}, {asked.layer}, sample {asked.sample}: {asked.lanes} lanes, {bits} bits, "
          f"{found.cycles:,} cycles, {tokens:,} tokens; every spike and word of the gates as the engine's\n")
    energies(found.design, found.replay, found.netlist, found.toggles, found.supply_v)
    prices = logic_prices(found.design, macros(found.design))
    assert prices is not None
    compare(prices, found.netlist)
    explain(found)


def energies(design: Architecture, replay: CoreReplay, netlist: CoreNetlist, toggles: Toggles, supply_v: float) -> None:
    """pJ at 0.9 V, by unit: the model's, that of settled values, and that with the glitches of gates of equal delay."""
    scale = ENERGY  # fJ at the library's supply to pJ at 0.9 V
    model, running = model_fj(design, replay), model_fj(free_running(design), replay)
    settled, every = (energy_fj(netlist, found, supply_v) for found in (toggles.settled, toggles.all))
    gated, free = clock_fj(netlist, toggles, replay.log.done + 1, supply_v)
    flip_flop = logic_table(design.technology.logic).flip_flop
    cell = flip_flop.cell_pj.value / (flip_flop.cell_pj.value + flip_flop.tree_pj.value)
    gates_fj = 1e3 * flip_flop.gates_pj.value * (replay.log.done + 1)
    names = [*netlist.names, *sorted(set(model) - set(netlist.names) - {CLOCK})]
    rows = [(name, model.get(name, 0.0) / 1e3, settled.get(name, 0.0) * scale, every.get(name, 0.0) * scale) for name in names]
    logic = ("logic", *(sum(row[i] for row in rows) for i in (1, 2, 3)))
    clock = ("clock pins, gated", (model[CLOCK] - gates_fj) * cell / 1e3, gated * scale, gated * scale)
    rows += [logic, clock, ("logic and gated clock", *(a + b for a, b in zip(logic[1:], clock[1:], strict=True))),
             ("clock pins, free-running", running[CLOCK] * cell / 1e3, free * scale, free * scale)]
    print("| pJ at 0.9 V | model | gates, settled | model / gates | gates, glitches | model / gates |\n|---|---|---|---|---|---|")
    for name, ours, calm, all_of_them in rows:
        print(f"| {name} | {ours:,.0f} | {calm:,.0f} | {ratio(ours, calm)} | {all_of_them:,.0f} | {ratio(ours, all_of_them)} |")
    for what, memory in (("potentials", max(netlist.memories, key=lambda m: m.width)),):
        moved = sum(toggles.settled[net] for net in memory.read_data) / len(memory.read_data)
        print(f"\ntoggles per bit of the {what} that are read, per operation: {moved / operations(replay):.2f}\n")


def ratio(model: float, gates: float) -> str:
    return f"{model / gates:.2f}" if gates else ""


def operations(replay: CoreReplay) -> int:
    return int(replay.log.counts[:, EVENTS.index("addr_gen")].sum())


def compare(prices: LogicPrices, netlist: CoreNetlist) -> None:
    """Areas, leakage and flip-flops by unit."""
    area, leak = ({piece.component: piece.amount for piece in pieces} for pieces in (prices.areas(), prices.leaks()))
    print("| | um2, model | gates | model / gates | nW, model | gates | model / gates |\n|---|---|---|---|---|---|---|")
    power = RATIO**LEAKAGE_POWER
    for name in (*netlist.names, None):
        um2, nw = netlist.area_um2(name), netlist.leakage_nw(name) * power
        a, b = (sum(of.get(n, 0.0) for n in (netlist.names if name is None else (name,))) for of in (area, leak))
        print(f"| {name or 'together'} | {a:,.0f} | {um2:,.0f} | {ratio(a, um2)} | {b:,.0f} | {nw:,.0f} | {ratio(b, nw)} |")
    print(f"\nflip-flops: {prices.flip_flops:.0f} (model), {netlist.flip_flops()} (gates)")


def explain(found: AtWork) -> None:
    """Where a unit's energy goes by what the core did in a cycle: fJ of one at 0.9 V, and how many there were."""
    run, scale = found.replay.run, 1e3 * ENERGY
    groups = run.groups[1] - run.groups[0]
    adds = found.issued[found.issued[:, 1] == ISSUED["acc"]]
    # What moves after an operation is what the next one needs: another group's word, another position's, another event's.
    last = np.isin(adds[:, 0], found.replay.log.pop)
    stays = np.zeros(len(adds), bool)
    stays[:-1] = adds[1:, 2] // groups == adds[:-1, 2] // groups

    def at(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.bincount(rows[:, 0], minlength=found.cycles).astype(float)[: found.cycles]

    popped = np.bincount(found.replay.log.pop, minlength=found.cycles).astype(float)
    passes = found.happens("clear", "shift", "fire", "readout", "requant", "mask", "reinitialise")
    marks = np.searchsorted(found.issued[found.issued[:, 1] == ISSUED["eot"], 0], np.arange(found.cycles))
    lanes = real_lanes(found, "acc")
    classes = {
        "address_generator": {"event, its last operation included": popped, "to another position": at(adds[~last & ~stays]),
                              "to another group of the position": at(adds[~last & stays]), "pass or clear": passes},
        "bypass": {"lane that accumulates": lanes, "lane of a row of a pass or clear": passes * run.core.lanes},
        "write_multiplexer": {"lane that accumulates": lanes, "lane of a row of a pass or clear": passes * run.core.lanes},
        "lane": {**{f"accumulation after {n} EOTs": lanes * (marks == n) for n in range(run.table.planes)},
                 "neuron of a pass": real_lanes(found, "fire", "shift", "readout", "requant", "mask")},
    }
    print("\n| unit | what | how many | fJ of one | share of the unit |\n|---|---|---|---|---|")
    for unit, counts in classes.items():
        some = {name: each for name, each in counts.items() if each.sum()}
        fj, taken = found.fj_by_cycle(unit), split(found.fj_by_cycle(unit), some)
        for name, one in taken.items():
            share = one * some[name].sum() / fj.sum() if fj.sum() else 0.0
            print(f"| {unit} | {name} | {some[name].sum():,.0f} | {one * scale:.0f} | {share:.2f} |")


def free_running(design: Architecture) -> Architecture:
    data = dump_architecture(design)
    data["technology"]["clock_gating"] = "free_running"
    return rebuild_architecture(data)


if __name__ == "__main__":
    main()
