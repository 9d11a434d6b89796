"""Writes memory/cacti_*.yaml from a CACTI sweep: `python -m hwsim.cost.technology.make.memories tests/data/cacti45_ports.csv.gz`.

The csv holds what a CACTI 7 binary answered; here only its rows become profiles, one
for each kind of cell. Supply and temperatures are those of the rows. pJ, mW, ns, um2.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hwsim.cost.technology.sources import FOLDER

Row = dict[str, str]


@dataclass(frozen=True)
class Cell:
    """A kind of cell of the sweep and the profile that is made of it."""

    cell: str
    name: str
    title: str
    first_line: str
    subthreshold_power: int
    vdd_low: float
    vdd_high: float
    measured: str
    confidence: str
    repair: str = ""


REPAIR = """\
  repair:
    text: >-
      CACTI's row of gate leakage of LOP cells at 45 nm (3.24e-8 to 1.54e-7 A/um, rising with temperature) is the row of I_off of
      HP cells at 90 nm, in McPAT too; at 65 and 32 nm it is 9.6e-9 and 2.9e-9 at every temperature, so 5.3e-9 A/um is taken, the
      geometric mean: the printed value x 0.164 at 300 K, x 0.054 at 360 K (technology.gate_leakage: printed keeps it as printed)
    confidence: computed
"""

CELLS = (
    Cell("itrs-lop", "cacti_lop", "ITRS low operating power cells and periphery",
         "On-chip SRAM of low-power transistors: the default.", 6, 0.7, 0.9, "", "computed", REPAIR),
    Cell("itrs-hp", "cacti_hp", "ITRS high performance cells and periphery",
         "On-chip SRAM of high-performance transistors; its leakage swamps a sparse core.", 5, 0.9, 1.0,
         "; taken for these cells too", "assumption"),
    Cell("itrs-lstp", "cacti_lstp", "ITRS low standby power cells and periphery",
         "On-chip SRAM of low-standby-power transistors: hardly any leakage, slow, the most energy per access.", 5, 0.9, 1.1,
         "; taken for these cells too", "assumption"),
)

HEAD = """\
# {first_line}
# Made by `python -m hwsim.cost.technology.make.memories` from a CACTI 7 sweep; change that script, not this file.
name: {name}
kind: table
description: CACTI 7, 45 nm, {title}, by ports
conditions: {{node_nm: 45, vdd_v: {vdd}, temperatures_k: [300, 360], source: sweep}}
sources:
  sweep:
    text: >-
      CACTI 7, 45 nm, {cell} cells and periphery, scratchpad, 512 B to 512 KiB x 8 to 128 bits; one port (1rw) or a read and a
      write port (1r1w), organised for the least read energy (read) or the least mean of read and write energy (read_write)
    confidence: computed
  rerun:
    text: >-
      CACTI 7 run again with the low-power cells at 0.9 V instead of 0.7 V: read energy 1.44, write energy 1.64, access time 0.78
      times{measured}
    confidence: {confidence}
  mcpat:
    text: "McPAT, technology.cc: subthreshold power with V^6 (LOP) and V^5 (HP, LSTP), gate leakage with V"
    confidence: read in a file
{repair}supply_scaling:
  vdd_low: {vdd_low}
  vdd_high: {vdd_high}
  read: {{value: 1.45, source: rerun}}
  write: {{value: 1.97, source: rerun}}
  access: {{value: 0.99, source: rerun}}
  subthreshold: {{value: {subthreshold_power}, source: mcpat}}
  gate: {{value: 1, source: mcpat}}
{repaired}arrays:
"""

REPAIRED = """\
gate_leakage:
  repaired_over_printed: {300: 0.164, 360: 0.054}
  source: repair
"""

COLUMNS = {"read_pj": ("rd_nJ", 1e3), "write_pj": ("wr_nJ", 1e3), "access_ns": ("access_ns", 1.0), "area_um2": ("area_mm2", 1e6)}
LEAKAGE = {"subthreshold_mw": "leak_mW", "gate_mw": "gleak_mW"}


def read_sweep(path: str | Path) -> list[Row]:
    """The rows of a sweep's csv, which may be packed (.gz)."""
    opened = gzip.open if str(path).endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def profile(cell: Cell, rows: Sequence[Row]) -> str:
    """The YAML file of one kind of cell."""
    mine = [r for r in rows if r["cell"] == cell.cell]
    (vdd,) = {r["vdd_v"] for r in mine}
    made = HEAD.format(**vars(cell) | {"vdd": vdd, "repair": cell.repair, "repaired": REPAIRED if cell.repair else ""})
    kinds = dict.fromkeys((r["ports"], r["objective"]) for r in mine)
    for ports, objective in kinds:
        for bits in sorted({int(r["bits"]) for r in mine}):
            made += _array(ports, objective, bits, [
                r for r in mine if (r["ports"], r["objective"], int(r["bits"])) == (ports, objective, bits)])
    return made


def _array(ports: str, objective: str, bits: int, rows: Sequence[Row]) -> str:
    sizes = sorted({int(r["capacity_B"]) for r in rows})
    heats = sorted({int(r["temp_K"]) for r in rows})
    of = {(int(r["capacity_B"]), int(r["temp_K"])): r for r in rows}
    lines = [f"  - {{ports: {ports.lower()}, objective: {objective}, word_bits: {bits}, source: sweep,",
             f"     capacity_bytes: {_list(sizes)},"]
    for metric, (column, scale) in COLUMNS.items():
        lines.append(f"     {metric}: {_list(float(of[s, heats[0]][column]) * scale for s in sizes)},")
    for metric, column in LEAKAGE.items():
        by_heat = ",\n         ".join(f"{k}: {_list(float(of[s, k][column]) for s in sizes)}" for k in heats)
        lines.append(f"     {metric}: {{\n         {by_heat}}}{',' if metric == 'subthreshold_mw' else '}'}")
    return "\n".join(lines) + "\n"


def _list(values: object) -> str:
    assert not isinstance(values, str)
    return "[" + ", ".join(f"{v:.7g}" for v in values) + "]"  # type: ignore[attr-defined]


def main() -> None:
    rows = read_sweep(sys.argv[1])
    for cell in CELLS:
        (FOLDER / "memory" / f"{cell.name}.yaml").write_text(profile(cell, rows), encoding="utf-8")


if __name__ == "__main__":
    main()
