"""Units in the cells of a library: a tiny Liberty file is read, yosys maps to it, and toggles are counted as by hand."""

from __future__ import annotations

import csv
import io
import random
import shutil
from pathlib import Path

import pytest

from hwsim.rtl import priced_units
from hwsim.rtl.gates import bench
from hwsim.rtl.gates.liberty import LibertyError, Library, read_library
from hwsim.rtl.gates.netlist import GateError, synthesise
from hwsim.rtl.gates.simulate import Streams

YOSYS = pytest.mark.skipif(shutil.which("yosys") is None, reason="yosys is not installed: nothing is synthesised")

TEMPLATE = """
/* a few cells and a flip-flop */
library (tiny) {
  time_unit : "1ns"; leakage_power_unit : "1nW"; voltage_unit : "1V"; current_unit : "1mA";
  capacitive_load_unit (1,ff);
  nom_voltage : 1.0;
  cell (INV) { area : 1.0; cell_leakage_power : 2.0;
    pin (A) { direction : input; capacitance : 3.0; }
    pin (Z) { direction : output; function : "!A";
      internal_power () { related_pin : "A";
        rise_power (t) { index_1 ("0.01, 0.1"); index_2 ("0, 10"); values ("1.0, 2.0", "9, 9"); }
        fall_power (t) { index_1 ("0.01, 0.1"); index_2 ("0, 10"); values ("3.0, 4.0", "9, 9"); } } } }
{gates}  cell (DFF) { area : 10.0; cell_leakage_power : 20.0;
    ff (IQ, IQN) { next_state : "D"; clocked_on : "CK"; }
    pin (D) { direction : input; capacitance : 1.0; }
    pin (CK) { direction : input; capacitance : 1.0; clock : true;
      internal_power () { rise_power (t) { index_1 ("0.01"); values ("7.0"); }
                          fall_power (t) { index_1 ("0.01"); values ("5.0"); } } }
    pin (Q) { direction : output; function : "IQ"; internal_power () { rise_power (scalar) { values ("2.5"); } } } }
}
"""

GATE = """
  cell (NAME) { area : 2.0; cell_leakage_power : 4.0;
    pin (A) { direction : input; capacitance : 5.0; }
    pin (B) { direction : input; capacitance : 5.0; }
    pin (Z) { direction : output; function : "FUNCTION";
      internal_power () { rise_power (scalar) { values ("0.5"); } } } }
"""
GATES = {"NAND": "!(A & B)", "NOR": "!(A | B)", "AND": "A & B", "OR": "A | B", "XOR": "A ^ B"}
BUFFER = """
  cell (BUF) { area : 1.5; cell_leakage_power : 3.0;
    pin (A) { direction : input; capacitance : 2.0; }
    pin (Z) { direction : output; function : "A"; internal_power () { rise_power (scalar) { values ("0.5"); } } } }
"""
LIBERTY = TEMPLATE.replace("{gates}", BUFFER + "".join(
    GATE.replace("NAME", name).replace("FUNCTION", function) for name, function in GATES.items()))
"""yosys' abc wants more than a few kinds of cells."""


@pytest.fixture
def liberty(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.lib"
    file.write_text(LIBERTY)
    return file


def test_a_library_is_read(liberty: Path) -> None:
    library = read_library(liberty)
    assert (library.name, library.supply_v, set(library.cells)) == ("tiny", 1.0, {"INV", "BUF", "DFF", *GATES})
    inverter, flip_flop = library.cells["INV"], library.cells["DFF"]
    assert (inverter.area_um2, inverter.leakage_nw, inverter.pins["A"].capacitance_ff) == (1.0, 2.0, 3.0)
    inside = [inverter.pins["Z"].internal_fj(load) for load in (0.0, 5.0, 10.0, 99.0)]
    assert inside == [2.0, 2.5, 3.0, 3.0], "the mean of both edges"
    assert (flip_flop.data, flip_flop.clock, flip_flop.pins["Q"].function) == ("D", "CK", "STATE")
    assert flip_flop.pins["CK"].hidden_fj == 6.0


@pytest.mark.parametrize(("text", "says"), [
    (LIBERTY.replace('"1nW"', '"1uW"'), "its units of time, leakage and load are 1ns, 1uW"),
    ("module m(); endmodule", "not a Liberty file"), ("library (x) { } }", "a brace too many"),
])
def test_another_file_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "wrong.lib"
    file.write_text(text)
    with pytest.raises(LibertyError, match=says):
        read_library(file)
    with pytest.raises(LibertyError, match="none.lib: cannot be read"):
        read_library(tmp_path / "none.lib")


def mapped(verilog: str, liberty: Path) -> tuple[Library, Streams]:
    library = read_library(liberty)
    return library, Streams(synthesise(verilog, "unit", library, liberty), 2, library.supply_v)


@YOSYS
def test_an_inverter_costs_its_load_and_itself(liberty: Path) -> None:
    _, streams = mapped("module unit(input a, output y); assign y = !a; endmodule", liberty)
    assert (streams.netlist.area_um2, streams.netlist.leakage_nw) == (1.0, 2.0)
    streams.step({"a": [0b01]})
    assert streams.output("y") == [0b10]
    assert streams.energy_fj == pytest.approx(3.0 / 2 + 2.0), "one stream toggles: its pin at 1 V, and the cell at no load"
    streams.step({"a": [0b01]})
    assert streams.energy_fj == pytest.approx(3.5), "nothing moves"


@YOSYS
def test_a_flip_flop_holds_and_its_clock_is_not_in_it(liberty: Path) -> None:
    _, streams = mapped("module unit(input clk, input d, output reg q = 0); always @(posedge clk) q <= d; endmodule", liberty)
    assert len(streams.netlist.flip_flops) == 1
    streams.step({"d": [0b11]}, clock=False)
    assert streams.output("q") == [0]
    streams.step({})
    assert streams.output("q") == [0b11]
    assert streams.energy_fj == pytest.approx(2 * (1.0 / 2) + 2 * 2.5), "D toggles and Q toggles, in two streams"


@YOSYS
def test_gates_compute_what_verilog_says(liberty: Path) -> None:
    """An adder of the tiny library against Python's."""
    library = read_library(liberty)
    adder = "module unit(input [5:0] a, input [5:0] b, output [5:0] y); assign y = a + b; endmodule"
    netlist = synthesise(adder, "unit", library, liberty)
    streams, draw = Streams(netlist, 16, 1.0), random.Random(0)
    for _ in range(20):
        a, b = ([draw.randrange(64) for _ in range(16)] for _ in "ab")
        streams.step({"a": sliced(a), "b": sliced(b)})
        assert numbers(streams.output("y"), 16) == [(x + y) % 64 for x, y in zip(a, b, strict=True)]


def sliced(values: list[int]) -> list[int]:
    return priced_units.sliced(values, 6)


def numbers(word: list[int], count: int) -> list[int]:
    return [sum((bits >> s & 1) << i for i, bits in enumerate(word)) for s in range(count)]


@YOSYS
def test_yosys_and_cells_that_are_not_there_are_said(liberty: Path, tmp_path: Path) -> None:
    library = read_library(liberty)
    with pytest.raises(GateError, match="nowhere: cannot be run"):
        synthesise("", "unit", library, liberty, str(tmp_path / "nowhere"))
    with pytest.raises(GateError, match="unit: yosys refuses it"):
        synthesise("module unit(input a; endmodule", "unit", library, liberty)


@YOSYS
@pytest.mark.parametrize("unit", [
    "register", "entry_reader", pytest.param("adding_lane", marks=pytest.mark.slow), "bit_slots", "word_writer", "odin_neuron",
    "odin_link"])
def test_the_script_makes_rows_of_this_trees_hardware(
    unit: str, liberty: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["priced_units", str(liberty), "--unit", unit])
    monkeypatch.setattr(priced_units, "STEPS", 4)
    monkeypatch.setattr(bench, "STEPS", 4)
    priced_units.main()
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    shipped = [r for r in csv.DictReader((Path(priced_units.__file__).parents[1] / "cost" / "technology" / "logic"
                                          / "nangate45_units.csv").read_text().splitlines()) if r["unit"] == unit]
    assert [(r["event"], r["flip_flops"], *(r[s] for s in priced_units.SIZES)) for r in rows] == [
        (r["event"], r["flip_flops"], *(r[s] for s in priced_units.SIZES)) for r in shipped], "whatever the library"
    assert all(float(r["energy_fj"]) > 0 and float(r["area_um2"]) >= 10 * int(r["flip_flops"]) for r in rows)
    assert {r["vdd_v"] for r in rows} == {"1"}
