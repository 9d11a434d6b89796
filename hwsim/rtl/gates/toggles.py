"""A netlist of a core at work in Icarus Verilog, under the self-checking testbench of its export: toggles of every net.

The testbench compares every push, spike and word of the gates with the engine's answer, so that a netlist that computes
something else is an error and no number. Toggles count while the run is on.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hwsim.rtl.gates.core import CoreNetlist, simulation
from hwsim.rtl.gates.netlist import Bit, GateError

PERIOD_PS = 10_000
"""Of the testbench's clock, whose first edge comes after half of it."""
VARIABLE = re.compile(r"\$var \w+ 1 (\S+) (running|n\d+) \$end")
RUNNING = "2"
"""State of the testbench while the run is on (hwsim/rtl/testbench.v)."""
DUMP = """
module {top}_dump;
  initial begin
    $dumpfile("gates.vcd");
    $dumpvars(1, {top}_tb.dut);
    $dumpvars(1, {top}_tb.running);
  end
endmodule
"""


def run_gates(
    netlist: CoreNetlist, top: str, bench: str, data: str, data_file: str, folder: Path, iverilog: str = "iverilog",
    vvp: str = "vvp", toggle_fj: Mapping[Bit, list[tuple[str, float]]] | None = None,
) -> Toggles:
    """Toggles by net during the run; by cycle too, if `toggle_fj` says what one of each net takes. `bench`, `data`: the
    testbench's two files. Raises GateError if the answers differ."""
    marked = bench.replace("  reg clk = 1'b0;", f"  wire running = state == {RUNNING};\n  reg clk = 1'b0;", 1)
    (folder / "gates.v").write_text(simulation(netlist, top))
    (folder / "bench.v").write_text(marked + DUMP.format(top=top))
    (folder / data_file).write_text(data)
    for command in ([iverilog, "-g2012", "-o", "gates.vvp", "-s", f"{top}_tb", "-s", f"{top}_dump", "bench.v", "gates.v"],
                    [vvp, "-n", "gates.vvp"]):
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        except OSError as error:
            raise GateError(f"{command[0]}: cannot be run ({error.strerror}); give its path (Debian: apt install iverilog)"
                            ) from None
        if done.returncode:
            raise GateError(f"{top}: {command[0]} says: {(done.stdout + done.stderr).strip()[-500:]}")
    if "PASS" not in done.stdout:
        raise GateError(f"{top}: the gates do not answer as the engine does: {done.stdout.strip()[-500:]}")
    with (folder / "gates.vcd").open() as lines:
        return count_toggles(lines, set(netlist.enables), toggle_fj)


@dataclass(frozen=True)
class Toggles:
    """By net, how often it changed in all cycles of a run.

    settled   from one cycle's end to the next: at most once a cycle.
    all       glitches included, every gate as slow as any other.
    """

    settled: Counter[Bit]
    all: Counter[Bit]
    high: Counter[Bit]
    """Cycles at whose end it was 1."""
    cycles: dict[str, list[float]] = field(default_factory=dict)
    """By unit, what the settled toggles of each cycle take, fJ, from the first cycle in which `running` is 1; if it was asked."""


def count_toggles(
    lines: Iterable[str], watched: Collection[Bit] = (), toggle_fj: Mapping[Bit, list[tuple[str, float]]] | None = None
) -> Toggles:
    """Changes between 0 and 1 of nets `n7`, by 7, while `running` is 1, in a VCD file with times in ps.

    watched     nets whose cycles are counted.
    toggle_fj   by net, what a toggle takes in which units (`CoreNetlist.toggle_fj`).
    """
    nets: dict[str, Bit] = {}
    every, settled, high = Counter[str](), Counter[str](), Counter[str]()
    value, began = dict[str, str](), dict[str, str]()
    running, switch, cycle, looked_at = False, "", 0, list[str]()
    by_cycle: dict[int, dict[str, float]] = {}
    for line in lines:
        kind = line[0]
        if kind in "01xz":
            code = line[1:-1]
            before = value.get(code, "x")
            value[code] = kind
            if code == switch:
                running = kind == "1"
            elif running and before != kind:
                began.setdefault(code, before)
                every[code] += before != "x" != kind
        elif kind == "#":
            now = (int(line[1:]) + PERIOD_PS // 2) // PERIOD_PS  # edges are in the middle
            if now != cycle:
                moved = [code for code, before in began.items() if before != value[code] and before != "x"]
                settled.update(moved)
                if toggle_fj is not None and began:
                    by_cycle[cycle] = _taken(toggle_fj, (nets[code] for code in moved if code in nets))
                if running:
                    high.update(code for code in looked_at if value[code] == "1")
                began, cycle = {}, now
        elif found := VARIABLE.match(line):
            if found[2] == "running":
                switch = found[1]
                continue
            nets[found[1]] = int(found[2][1:])
            looked_at += [found[1]] * (nets[found[1]] in watched)
    units = {unit for taken in by_cycle.values() for unit in taken}
    span = range(min(by_cycle, default=0), max(by_cycle, default=-1) + 1)
    return Toggles(
        *(Counter({nets[code]: n for code, n in found.items() if code in nets}) for found in (settled, every, high)),
        {unit: [by_cycle.get(n, {}).get(unit, 0.0) for n in span] for unit in units})


def _taken(toggle_fj: Mapping[Bit, list[tuple[str, float]]], moved: Iterable[Bit]) -> dict[str, float]:
    """What one toggle of each net takes, by unit."""
    found: dict[str, float] = {}
    for net in moved:
        for unit, fj in toggle_fj.get(net, ()):
            found[unit] = found.get(unit, 0.0) + fj
    return found


def clock_fj(
    netlist: CoreNetlist, toggles: Toggles, cycles: int, supply_v: float, unit: str | None = None
) -> tuple[float, float]:
    """What clock pins take, of a unit or of all: where clocks are gated, their gates apart, and in every cycle. Both edges, pin
    and cell."""
    gated = free = 0.0
    for gate, enable, owner in zip(netlist.gates, netlist.enables, netlist.units, strict=True):
        if gate.cell.clock and unit in (None, owner):
            pin = gate.cell.pins[gate.cell.clock]
            edge = 2 * (pin.hidden_fj + pin.capacitance_ff * supply_v**2 / 2)
            free += edge * cycles
            gated += edge * (cycles if enable == "1" else toggles.high[enable])
    return gated, free


def energy_fj(netlist: CoreNetlist, toggles: Mapping[Bit, int], supply_v: float) -> dict[str, float]:
    """What the toggles take, by unit."""
    found: dict[str, float] = dict.fromkeys(netlist.names, 0.0)
    for net, parts in netlist.toggle_fj(supply_v).items():
        for unit, fj in parts:
            found[unit] += toggles.get(net, 0) * fj
    return found
