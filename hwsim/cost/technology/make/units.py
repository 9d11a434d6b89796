"""Writes units/nangate_45nm.yaml from units/nangate45.csv: `python -m hwsim.cost.technology.make.units`.

The csv is a synthesis at 1.1 V with the energies at 0.9 V beside it; its leakage and delays are those of 1.1 V. A table holds at
one supply, so both are taken to 0.9 V here, by rules that the table states.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from hwsim.cost.technology.sources import FOLDER

SUPPLY_V, MEASURED_V = 0.9, 1.1
LEAKAGE_POWER, DELAY_POWER = 5, -1.31
"""V^5: McPAT's fit of leakage. V^-1.31: the library's logic is 1.3 times slower at 0.9 V."""
WIDTHS = (8, 16, 32)
UNITS = {"add": ("add", "power"), "mult": ("mul", "product"), "shift": ("shl", "power"), "compare": ("cmp", "power"),
         "reset": ("gatedsub", "power")}
"""Operations of a units table: the unit of the csv, and the form of the curve between its widths."""

RATIO = SUPPLY_V / MEASURED_V
QUANTITIES: dict[str, tuple[str, Callable[[float], float], str]] = {
    "energy_pj": ("energy_fj_0v9", lambda v: v / 1e3, "csv"),
    "area_um2": ("area_um2", lambda v: v, "csv"),
    "leakage_nw": ("leakage_nw", lambda v: v * RATIO**LEAKAGE_POWER, "csv_leakage"),
    "path_ns": ("critical_path_ns", lambda v: v * RATIO**DELAY_POWER, "csv_delay"),
}

HEAD = """\
# Gates synthesised with the Nangate 45 nm library: every number is a cell of nangate45.csv beside this file, taken to 0.9 V.
# Made by `python -m hwsim.cost.technology.make.units`; change that script, not this file.
name: nangate_45nm
description: synthesis with the Nangate 45 nm open cell library, at 0.9 V
conditions: {node_nm: 45, vdd_v: 0.9, temperatures_k: [298], source: corner}
sources:
  corner:
    text: >-
      nangate45_typ.lib: typical corner, 1.1 V, 25 C; energies taken to 0.9 V by V^2 (the library's own 0.95 V corner agrees
      within 0.1 %), leakage and delays as their own sources say
    confidence: computed
  csv:
    text: >-
      synthesis with the Nangate 45 nm library (nangate45.csv: add, mul, shl, cmp, gatedsub; column energy_fj_0v9, the
      1.1 V column x (0.9 / 1.1)^2)
    confidence: read in a file
  csv_leakage:
    text: >-
      synthesis with the Nangate 45 nm library (nangate45.csv, column leakage_nw, 1.1 V and 25 C, x (0.9 / 1.1)^5, the power of
      McPAT's fit; used at every temperature)
    confidence: computed
  csv_delay:
    text: >-
      synthesis with the Nangate 45 nm library (nangate45.csv, column critical_path_ns, 1.1 V, x 1.3: logic is about 1.3 times
      slower at 0.9 V)
    confidence: computed
  between:
    text: >-
      power law between neighbouring points; an affine form through 8 and 16 bits would be negative below 2 bits
    confidence: computed
  cells:
    text: >-
      counted in nangate45.csv: add_rc8 is 8 cells for 8 bits, so each is an adder cell and none a flip-flop
    confidence: computed
includes_registers: false
includes_registers_source: cells
operations:
"""

BORROWED = """\
  {name}:
    energy_pj: &{name}
      borrow: aladdin_40nm
      because: {because}
      as_it_stands: 40 nm is half a node away, and its files name no supply to scale from
    area_um2: *{name}
    leakage_nw: *{name}
"""


def text(folder: Path = FOLDER) -> str:
    """The whole file."""
    with (folder / "units" / "nangate45.csv").open(newline="", encoding="utf-8") as lines:
        rows = {r["unit"]: r for r in csv.DictReader(lines)}
    made = HEAD
    for operation, (unit, form) in UNITS.items():
        made += f"  {operation}:\n"
        for quantity, (column, convert, source) in QUANTITIES.items():
            made += f"    {quantity}:\n      form: {form}\n      form_source: between\n      points:\n"
            for bits in WIDTHS:
                value = convert(float(rows[f"{unit}{bits}"][column]))
                made += f"        - {{bits: {bits}, value: {value:.6g}, source: {source}}}\n"
    made += BORROWED.format(name="clear", because='"the csv has no gating alone; a reset to zero is an AND of each bit"')
    return made + BORROWED.format(name="register", because="the csv has no register")


def main() -> None:
    (FOLDER / "units" / "nangate_45nm.yaml").write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
