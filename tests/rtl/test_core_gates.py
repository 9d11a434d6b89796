"""A netlist in Icarus Verilog and the same gates in Streams toggle alike; toggles are counted from a VCD file as by hand."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from hwsim.rtl.gates.core import REST, CoreNetlist, synthesise_core
from hwsim.rtl.gates.liberty import read_library
from hwsim.rtl.gates.netlist import GateError, Netlist, _ordered
from hwsim.rtl.gates.simulate import Streams
from hwsim.rtl.gates.toggles import clock_fj, count_toggles, energy_fj, run_gates
from tests.rtl.test_gates import LIBERTY

PROGRAMS = pytest.mark.skipif(shutil.which("yosys") is None or shutil.which("iverilog") is None,
                              reason="yosys or iverilog is not installed")
UNIT = """
module unit(input clk, input rst, input open, input [7:0] d, output [7:0] y, output reg [7:0] kept);
  reg [7:0] q = 0;
  always @(posedge clk) if (rst) q <= 0; else q <= q + d;
  always @(posedge clk) if (open) kept <= q;
  initial kept = 0;
  assign y = q ^ {d[3:0], d[7:4]};
endmodule
"""
BENCH = """
`timescale 1ns / 1ps
module unit_tb;
  reg clk = 1'b0;
  always #5 clk = ~clk;
  integer state = 2; reg open = 0; reg [7:0] d = 0; wire [7:0] y, kept;
  unit dut (.clk(clk), .rst(1'b0), .open(open), .d(d), .y(y), .kept(kept));
  initial begin
    #7;
STEPS
    $display("PASS %h %h", y, kept); $finish;
  end
endmodule
"""


@pytest.fixture
def liberty(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.lib"
    file.write_text(LIBERTY)
    return file


def test_toggles_of_a_vcd_file_by_hand() -> None:
    """Net 1 has a glitch in the second cycle, net 2 settles at another value in both, net 3 is high in one cycle."""
    text = ("$var wire 1 ! running $end\n$var wire 1 a n1 $end\n$var reg 1 b n2 $end\n$var wire 1 c n3 $end\n"
            "$var wire 8 d d [7:0] $end\n#0\n0!\n0a\n0b\nxc\n1b\n0b\n#5000\n1!\n#6000\n1b\n1c\n#15020\n1a\n#15040\n"
            "0a\n0c\n#16000\n0b\n#25000\n1a\n#26000\n0!\n#26500\n0a\n#35000\n1b\n")
    taken = {1: [("a", 100.0)], 2: [("a", 2.0)], 3: [("a", 1.0), ("b", 5.0)]}
    found = count_toggles(text.splitlines(keepends=True), {3}, taken)
    assert found.all == {1: 3, 2: 2, 3: 1}
    assert found.settled == {2: 2, 3: 1}
    assert found.high == {3: 1}
    assert found.cycles == {"a": [2.0, 3.0, 0.0], "b": [0.0, 5.0, 0.0]}, "what settles, by the cycle in which it does"


def both(netlist: CoreNetlist, folder: Path) -> tuple[float, float, str]:
    """fJ of 40 random steps by Icarus and by Streams, and what the testbench says at the end."""
    draw = random.Random(1)
    steps = [(draw.getrandbits(8), draw.getrandbits(1)) for _ in range(40)]
    text = "\n".join(f"    d = {d}; open = {o}; #10;" for d, o in steps)
    toggles = run_gates(netlist, "unit", BENCH.replace("STEPS", text), "", "none.mem", folder)
    gates = [gate for gate in netlist.gates if not gate.cell.clock]
    flip_flops = [gate for gate in netlist.gates if gate.cell.clock]
    known = {bit for bits in netlist.inputs.values() for bit in bits} | {"0", "1", "x"}
    known |= {net for gate in flip_flops for pin, net in gate.nets.items() if not gate.cell.pins[pin].is_input}
    streams = Streams(Netlist(netlist.inputs, netlist.outputs, _ordered(gates, known, "unit"), flip_flops), 1, 1.0)
    for d, o in steps:
        streams.step({"d": [d >> i & 1 for i in range(8)], "open": [o]})
    assert sum(energy_fj(netlist, toggles.settled, 1.0).values()) <= sum(energy_fj(netlist, toggles.all, 1.0).values())
    return sum(energy_fj(netlist, toggles.all, 1.0).values()), streams.energy_fj, str(streams.output("y"))


@PROGRAMS
def test_icarus_and_streams_count_the_same_toggles(liberty: Path, tmp_path: Path) -> None:
    """Two simulators of equal delays, glitches included. Without an enable, since Streams clocks every flip-flop."""
    verilog = UNIT.replace("if (open) kept", "kept")
    netlist = synthesise_core(verilog, "unit", read_library(liberty), liberty)
    assert set(netlist.units) == {REST}
    assert netlist.flip_flops() == 16
    ours, theirs, _ = both(netlist, tmp_path)
    assert ours == pytest.approx(theirs)


@PROGRAMS
def test_a_register_with_an_enable_is_clocked_when_it_is_open(liberty: Path, tmp_path: Path) -> None:
    netlist = synthesise_core(UNIT, "unit", read_library(liberty), liberty)
    enables = [bit for gate, bit in zip(netlist.gates, netlist.enables, strict=True) if gate.cell.clock]
    assert sorted(map(str, enables)) == sorted(["1"] * 8 + [str(netlist.inputs["open"][0])] * 8), "no gates hold it"
    steps = "\n".join(f"    d = 3; open = {int(n % 4 == 0)}; #10;" for n in range(40))
    toggles = run_gates(netlist, "unit", BENCH.replace("STEPS", steps), "", "none.mem", tmp_path)
    gated, free = clock_fj(netlist, toggles, 40, 1.0)
    assert gated / free == pytest.approx((8 * 40 + 8 * 10) / (16 * 40))


@PROGRAMS
def test_a_testbench_that_does_not_pass_and_a_program_that_is_missing_are_errors(liberty: Path, tmp_path: Path) -> None:
    library = read_library(liberty)
    netlist = synthesise_core(UNIT, "unit", library, liberty)
    with pytest.raises(GateError, match="(?s)the gates do not answer as the engine does: .*FAIL"):
        run_gates(netlist, "unit", BENCH.replace("STEPS", "").replace("PASS", "FAIL"), "", "none.mem", tmp_path)
    with pytest.raises(GateError, match=r"no-such-program: cannot be run .*iverilog"):
        run_gates(netlist, "unit", BENCH, "", "none.mem", tmp_path, iverilog="no-such-program")
    with pytest.raises(GateError, match=r"no-such-program: cannot be run .*yosys"):
        synthesise_core(UNIT, "unit", library, liberty, yosys="no-such-program")
