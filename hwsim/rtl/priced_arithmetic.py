"""Makes rows of units/nangate45.csv again: `python -m hwsim.rtl.priced_arithmetic LIBERTY [--check CSV] [--unit NAME]`.

Single arithmetic units in the cells of a Liberty library: energy of an operation (fJ at the library's supply, and at 0.9 V by
V^2), cells, area (um2), leakage (nW). Operands are drawn uniformly, both new in each operation; gates have equal delays. The
column of delays needs a timing analyser and stays empty. Ripple-carry adders and Booth multipliers (names with _) are not made:
no table uses them. --check says how far the rows are from those of a csv, as ratios.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from hwsim.rtl.gates.bench import STREAMS, Stimulus, per_operation
from hwsim.rtl.gates.liberty import Library, read_library
from hwsim.rtl.gates.netlist import synthesise
from hwsim.rtl.gates.simulate import Streams

SUPPLY_V = 0.9
COLUMNS = ("unit", "energy_fj_1v1", "energy_fj_0v9", "cells", "area_um2", "critical_path_ns", "leakage_nw")
COMPARED = ("energy_fj_0v9", "cells", "area_um2", "leakage_nw")
EXPRESSIONS: Mapping[str, tuple[str, str, str, tuple[int, ...]]] = {
    "add": ("[W-1:0] a, input [W-1:0] b", "[W-1:0]", "a + b", (8, 16, 32)),
    "cmp": ("[W-1:0] a, input [W-1:0] b", "", "$signed(a) >= $signed(b)", (8, 16, 32)),
    "shl": ("[W-1:0] a, input [S-1:0] b", "[W-1:0]", "a << b", (8, 16, 32)),
    "sar": ("[W-1:0] a, input [S-1:0] b", "[W-1:0]", "$signed(a) >>> b", (8, 16, 32)),
    "gatedsub": ("[W-1:0] a, input [W-1:0] b, input g", "[W-1:0]", "a - (g ? b : 0)", (8, 16, 32)),
    "inc": ("[W-1:0] a", "[W-1:0]", "a + 1", (16,)),
    "mul": ("[W-1:0] a, input [W-1:0] b", "[2*W-1:0]", "$signed(a) * $signed(b)", (8, 16, 32)),
}
"""By unit: inputs, width of the output, what it computes, and widths W; S bits count to W - 1."""


def verilog(name: str, bits: int) -> str:
    """One unit as a module."""
    given, width, made, _ = EXPRESSIONS[name]
    text = f"module unit(input {given}, output {width} y); assign y = {made}; endmodule\n"
    return text.replace("2*W", str(2 * bits)).replace("W-1", str(bits - 1)).replace("S-1", str((bits - 1).bit_length() - 1))


def row_of(name: str, bits: int, library: Library, liberty: str, yosys: str) -> dict[str, Any]:
    """The row of one unit. Raises GateError."""
    netlist = synthesise(verilog(name, bits), "unit", library, liberty, yosys)
    stimulus = Stimulus()
    ((_, energy),) = per_operation(Streams(netlist, STREAMS, library.supply_v), name, lambda: {
        port: stimulus.bits(0.5, len(nets)) for port, nets in netlist.inputs.items()})
    return {"unit": f"{name}{bits}", "energy_fj_1v1": f"{energy:.1f}",
            "energy_fj_0v9": f"{energy * (SUPPLY_V / library.supply_v) ** 2:.1f}", "cells": len(netlist.gates),
            "area_um2": f"{netlist.area_um2:.1f}", "critical_path_ns": "", "leakage_nw": f"{netlist.leakage_nw:.0f}"}


def rows(library: Library, liberty: str, yosys: str, units: list[str] | None) -> Iterator[dict[str, Any]]:
    """All rows, or those of some units (`add`) or widths of them (`add8`)."""
    for name, (*_, widths) in EXPRESSIONS.items():
        for bits in widths:
            if not units or name in units or f"{name}{bits}" in units:
                yield row_of(name, bits, library, liberty, yosys)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("liberty", help="a Liberty file, such as nangate45_typ.lib")
    options.add_argument("--yosys", default="yosys")
    options.add_argument("--unit", action="append", help="only this unit, of all widths (add) or of one (add8); repeatable")
    options.add_argument("--check", metavar="CSV", help="print ratios to the rows of this file instead")
    asked = options.parse_args()
    known: dict[str, dict[str, str]] = {}
    if asked.check:
        with open(asked.check, newline="", encoding="utf-8") as lines:
            known = {row["unit"]: row for row in csv.DictReader(lines)}
    writer = csv.DictWriter(sys.stdout, ("unit", *COMPARED) if asked.check else COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows(read_library(asked.liberty), asked.liberty, asked.yosys, asked.unit):
        if asked.check:
            old = known[row["unit"]]
            row = {"unit": row["unit"]} | {name: f"{float(row[name]) / float(old[name]):.2f}" for name in COMPARED}
        writer.writerow(row)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
