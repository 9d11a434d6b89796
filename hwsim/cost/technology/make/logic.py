"""Writes logic/nangate_45nm.yaml: `python -m hwsim.cost.technology.make.logic`.

Two files of measured rows lie beside it, both at 1.1 V: nangate45_core.csv (the event core, unit by unit, simulated gate by gate
on real layers) and nangate45_units.csv (units of other dataflows and of ODIN, made by `python -m hwsim.rtl.priced_units`). A
table holds at one supply, so all is taken to 0.9 V here, by rules that the table states. fJ, um2, nW in the files; pJ, um2, nW
in the table.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwsim.cost.technology.make.units import LEAKAGE_POWER, RATIO
from hwsim.cost.technology.sources import FOLDER

Row = dict[str, str]
ENERGY = RATIO**2 / 1e3
"""fJ at 1.1 V to pJ at 0.9 V."""

ADDRESSES = {"conv2, fashion_mnist_bit_serial_t4": 19}
"""Bits of a token by layer, where they are not 18."""


@dataclass(frozen=True)
class Unit:
    """A unit of nangate45_core.csv.

    sizes      whose product its area and flip-flops go with; a constant besides, if `constant`.
    energies   by operation: the event of the csv, and the terms (fJ at 0.9 V, sizes).
    """

    name: str
    rows: str
    sizes: tuple[str, ...]
    energies: dict[str, tuple[str, tuple[tuple[float, tuple[str, ...]], ...]]]
    constant: bool = True
    each: str = ""
    """A unit that has one energy for each of these: the csv has the whole."""


UNITS = (
    Unit("lane", "lane", ("potential_bits",), {
        "accumulate": ("accumulate", ((20.0, ("potential_bits",)),)), "fire": ("fire", ((3.3, ("potential_bits",)),))}, False),
    Unit("bypass", "membrane_bypass", ("lanes", "potential_bits"), {
        "lane": ("row", ((2.7, ("potential_bits",)),))}, each="lanes"),
    Unit("write_multiplexer", "glue_and_host_mux", ("lanes", "potential_bits"), {
        "lane": ("row", ((2.1, ("potential_bits",)),))}, each="lanes"),
    Unit("fifo", "fifo", ("token_bits", "fifo_depth"), {
        "token": ("token_pushed_and_popped", ((16.0, ("token_bits",)), (0.66, ("token_bits", "fifo_depth"))))}),
    Unit("address_generator", "address_generator", (), {
        "event": ("event", ((200.0, ()),)), "operation": ("operation", ((130.0, ()),))}),
    Unit("sequencer", "sequencer", (), {"cycle": ("cycle", ((10.0, ()),))}),
    Unit("issue", "issue", ("lanes",), {"operation": ("operation", ((21.0, ()),))}),
    Unit("serialiser", "serialiser", ("lanes",), {"spike": ("spike", ((64.0, ()), (2.2, ("lanes",))))}),
)

Fit = tuple[tuple[str, ...], ...]
"""Products of sizes that a least-squares sum is made of."""


@dataclass(frozen=True)
class Synthesised:
    """A unit of nangate45_units.csv: what its area, leakage and flip-flops go with, and its energies by operation.

    given   energies that are not fitted: terms in fJ at 0.9 V, and their source.
    """

    name: str
    size: Fit
    energies: dict[str, Fit]
    given: dict[str, tuple[tuple[tuple[float, tuple[str, ...]], ...], str]]
    registers: Fit = ()
    """What its flip-flops go with, where that is not the same."""


WORD, HELD = ("lanes", "potential_bits"), ("lanes", "potential_bits", "accumulators")
SUMS = ("lanes", "potential_bits", "accumulators", "planes")
SYNTHESISED = (
    Synthesised("register", (("bits",),), {"bits": (("bits",),)}, {}),
    Synthesised("entry_reader", ((),), {"entry": ((),)}, {}),
    Synthesised("row_scanner", (("scan_bits",), ()), {"row": (("scan_bits",),), "token": (("scan_bits",), ())}, {}),
    Synthesised("visits", ((),), {"word": ((),)}, {}),
    Synthesised("word_register", (WORD,), {"operation": (WORD,)}, {}),
    Synthesised("accumulator_file", (WORD, HELD), {"access": (WORD, HELD)}, {}),
    Synthesised("merged_lane", (("potential_bits",), ("adders",)), {}, {
        "accumulate": (((20.0, ("potential_bits",)),), "merged"), "fire": (((3.3, ("potential_bits",)),), "core")}),
    Synthesised("bit_slots", ((),), {"term": ((),)}, {}),
    Synthesised("word_writer", (("lanes",), ()), {"spike": ((),)}, {}),
    Synthesised("plane_sums", (SUMS, ("lanes", "potential_bits", "planes"), ("lanes", "potential_bits", "adders")),
                {"term": (("potential_bits",), ("potential_bits", "accumulators", "planes"), ("potential_bits", "adders")),
                 "sum": (("potential_bits",), ("potential_bits", "planes"))}, {}, (SUMS,)),
    Synthesised("decay", (("potential_bits",), ()), {"operation": (("potential_bits",), ())}, {}),
    Synthesised("mask_check", (("lanes",), ()), {"word": (("lanes",), ())}, {}),
    Synthesised("bank_select", (("banks",), ()), {"access": (("banks",), ())}, {}),
    Synthesised("odin_neuron", ((),), {"operation": ((),)}, {}),
    Synthesised("odin_controller", ((),), {"cycle": ((),)}, {}),
    Synthesised("odin_link", ((),), {"spike": ((),)}, {}),
    Synthesised("odin_signs", ((),), {"event": ((),)}, {}),
    Synthesised("odin_bistability", ((),), {"word": ((),)}, {}),
)


@dataclass(frozen=True)
class Variant:
    """A unit like one of UNITS, from which it differs by what two rows of nangate45_units.csv differ by, size by size.

    changed   the operation whose energy differs; other operations cost what they cost in `of`.
    """

    name: str
    of: str
    rows: tuple[str, str]
    changed: str


VARIANTS = (Variant("adding_lane", "lane", ("weighing_lane", "adding_lane"), "accumulate"),)
"""The lane of single planes without the shifter of the weight, as cores have it that double potentials, or that multiply."""

UNITS_SOURCES = """\
  unit:
    text: >-
      yosys 0.23 with Nangate 45 nm typical cells, gates of equal delay under random stimuli, with the toggles of real layers or,
      of ODIN's units, as hwsim/rtl/odin_benches.py says (`python -m hwsim.rtl.priced_units`, nangate45_units.csv,
      x (0.9 / 1.1)^2), least squares of relative errors
    confidence: computed
  unit_size:
    text: >-
      yosys 0.23 with Nangate 45 nm typical cells (`python -m hwsim.rtl.priced_units`, nangate45_units.csv), least squares of
      relative errors
    confidence: computed
  unit_leakage:
    text: >-
      yosys 0.23 with Nangate 45 nm typical cells (`python -m hwsim.rtl.priced_units`, nangate45_units.csv, 1.1 V and 25 C,
      x (0.9 / 1.1)^5, the power of McPAT's fit; used at every temperature), least squares of relative errors
    confidence: computed
  merged:
    text: >-
      as the lane of single planes: under equal stimuli a term of a merged lane takes 0.7 to 1.3 times what an accumulation of
      the plain one does, 1.0 in the mean (nangate45_units.csv, plain_lane and merged_lane)
    confidence: computed
  variant:
    text: >-
      as the lane that was measured on real layers, times what the same lane without the shifter of the weight takes of it under
      equal stimuli, plane by plane (nangate45_units.csv, weighing_lane and adding_lane: the mean ratio of all widths)
    confidence: computed
"""

HEAD = """\
# Logic of the cores, synthesised with the Nangate 45 nm library and simulated gate by gate, at 0.9 V.
# Made by `python -m hwsim.cost.technology.make.logic` from the two csv files beside it; change that script, not this file.
name: nangate_45nm
description: the golden hardware synthesised with the Nangate 45 nm open cell library, at 0.9 V
conditions: {node_nm: 45, vdd_v: 0.9, temperatures_k: [298], source: corner}
sources:
  corner:
    text: >-
      nangate45_typ.lib: typical corner, 1.1 V, 25 C; energies taken to 0.9 V by V^2 (the library's own 0.95 V corner agrees
      within 0.1 %), leakage and delays as their own sources say
    confidence: computed
  core:
    text: >-
      yosys 0.23 with Nangate 45 nm typical cells, simulated gate by gate on layers of the Fashion-MNIST traces
      (nangate45_core.csv, x (0.9 / 1.1)^2); one formula for all lanes, widths and layers, whose rows lie around it as
      docs/energy-model.md says
    confidence: computed
  core_size:
    text: >-
      yosys 0.23 with Nangate 45 nm typical cells (nangate45_core.csv), least squares of relative errors
    confidence: computed
  core_leakage:
    text: >-
      yosys 0.23 with Nangate 45 nm typical cells (nangate45_core.csv, 1.1 V and 25 C, x (0.9 / 1.1)^5, the power of McPAT's
      fit; used at every temperature), least squares of relative errors
    confidence: computed
  cell:
    text: >-
      an idle DFF_X1 of nangate45_typ.lib, its clock pin included, x (0.9 / 1.1)^2; the same cell by OpenSTA costs 4 % more
    confidence: computed
  tree:
    text: >-
      7 um of wire for each flip-flop and one CLKBUF_X3 for 20: nothing was placed, so the tree's size is assumed
    confidence: assumption
  gates:
    text: >-
      24 clock gates of 6 fJ, those that the event core needs
    confidence: computed
  synthesised_alone:
    text: arithmetic units synthesised one by one with the same library
    confidence: computed
  cacti_wire:
    text: >-
      CACTI 7, 45 nm, repeated semi-global wire with 30 % overhead of delay; from 0.11 pF a mm (Nangate's metal layers) to
      0.34 (an Accelergy plug-in) is found
    confidence: read in a file
  toggles:
    text: >-
      toggles per bit and access in the gate simulation of the event core on layers of the Fashion-MNIST traces
    confidence: computed
  toggles_other:
    text: >-
      between the toggles of weights and of potentials; with it a bit costs 49 fJ a mm, as in Noxim's power.yaml (48.8)
    confidence: assumption
  sta:
    text: >-
      OpenSTA on the synthesised core of 64 lanes and 24 bits at 1.1 V (potential to write after remapping the lane 1.4 ns,
      weight to write 1.7, registers to weight address 1.4), x 1.3 at 0.9 V; paths through a lane go with the width as an
      adder's do; broadcasting to the lanes, about 0.5 ns without buffers, is left out
    confidence: computed
{more_sources}arithmetic: nangate_45nm
arithmetic_source: synthesised_alone
flip_flop:
  cell_pj: {value: 0.0054, source: cell}
  tree_pj: {value: 0.0012, source: tree}
  gates_pj: {value: 0.144, source: gates}
wires:
  pf_per_mm: {value: 0.30, source: cacti_wire}
  toggles_per_bit:
    weight: {value: 0.45, source: toggles}
    membrane: {value: 0.33, source: toggles}
    other: {value: 0.40, source: toggles_other}
paths_ns:
  weight_to_write: {terms: [{value: 0.09208, times: [potential_bits]}], source: sta}
  potential_to_write: {terms: [{value: 0.07583, times: [potential_bits]}], source: sta}
  registers_to_address: {terms: [{value: 1.82}], source: sta}
units:
"""


def read(name: str, folder: Path = FOLDER) -> list[Row]:
    """The rows of a csv file of measured logic."""
    with (folder / "logic" / name).open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def sizes_of(row: Row) -> dict[str, int]:
    """The sizes of a core that a row was measured on."""
    bits = next((n for where, n in ADDRESSES.items() if where in row["how"]), 18)
    return {"lanes": int(row["lanes"]), "potential_bits": int(row["potential_bits"]), "fifo_depth": int(row["fifo_depth"]),
            "token_bits": bits}


def product(sizes: dict[str, int], names: Sequence[str]) -> float:
    found = 1.0
    for name in names:
        found *= sizes[name]
    return found


def fit(unit: Unit, rows: Sequence[Row], column: str) -> list[float]:
    """Coefficients of the product of the unit's sizes and, if it has one, of a constant: the least relative errors."""
    seen = {(*sizes_of(r).values(), r[column]): r for r in rows if r["unit"] == unit.rows}
    wanted = np.array([float(r[column]) for r in seen.values()])
    features = np.array([[product(sizes_of(r), unit.sizes)] * bool(unit.sizes) + [1.0] * (unit.constant or not unit.sizes)
                         for r in seen.values()])
    found, *_ = np.linalg.lstsq(features / wanted[:, None], np.ones(len(wanted)), rcond=None)
    return [float(x) for x in found]


def _size(unit: Unit, rows: Sequence[Row], column: str, convert: Callable[[float], float], source: str) -> str:
    values = [convert(x) for x in fit(unit, rows, column)]
    names = [unit.sizes] * bool(unit.sizes) + [()] * (len(values) - bool(unit.sizes))
    return _figure(list(zip(values, names, strict=True)), source)


def _figure(terms: Sequence[tuple[float, tuple[str, ...]]], source: str) -> str:
    terms = [(value, names) for value, names in terms if abs(value) > 1e-9]  # a fit's rounding is no term
    said = ", ".join(f"{{value: {value:.4g}" + (f", times: [{', '.join(names)}]}}" if names else "}") for value, names in terms)
    return f"{{terms: [{said}], source: {source}}}"


def _core_unit(unit: Unit, rows: Sequence[Row]) -> str:
    made = f"  {unit.name}:\n    energy_pj:\n"
    for operation, (_, terms) in unit.energies.items():
        made += f"      {operation}: {_figure([(fj / 1e3, names) for fj, names in terms], 'core')}\n"
    made += f"    area_um2: {_size(unit, rows, 'area_um2', lambda v: v, 'core_size')}\n"
    made += f"    leakage_nw: {_size(unit, rows, 'leakage_nw', lambda v: v * RATIO**LEAKAGE_POWER, 'core_leakage')}\n"
    if any(int(r["flip_flops"]) for r in rows if r["unit"] == unit.rows):
        made += f"    flip_flops: {_size(unit, rows, 'flip_flops', lambda v: v, 'core_size')}\n"
    return made


def least_squares(rows: Sequence[Row], column: str, features: Fit) -> list[float]:
    """Coefficients of products of sizes: the least relative errors."""
    wanted = np.array([float(r[column]) for r in rows])
    table = np.array([[product({n: int(r[n]) for n in names}, names) for names in features] for r in rows])
    found, *_ = np.linalg.lstsq(table / wanted[:, None], np.ones(len(wanted)), rcond=None)
    return [float(x) for x in found]


def _fitted(rows: Sequence[Row], column: str, features: Fit, scale: float, source: str) -> str:
    values = least_squares(rows, column, features)
    return _figure([(scale * value, names) for value, names in zip(values, features, strict=True)], source)


def _synthesised(unit: Synthesised, rows: Sequence[Row]) -> str:
    mine = [r for r in rows if r["unit"] == unit.name]
    once = [r for r in mine if r["event"] == mine[0]["event"]]
    made = f"  {unit.name}:\n    energy_pj:\n"
    for operation, features in unit.energies.items():
        of_it = [r for r in mine if r["event"] == operation]
        made += f"      {operation}: {_fitted(of_it, 'energy_fj', features, ENERGY, 'unit')}\n"
    for operation, (terms, source) in unit.given.items():
        made += f"      {operation}: {_figure([(fj / 1e3, names) for fj, names in terms], source)}\n"
    made += f"    area_um2: {_fitted(once, 'area_um2', unit.size, 1.0, 'unit_size')}\n"
    made += f"    leakage_nw: {_fitted(once, 'leakage_nw', unit.size, RATIO**LEAKAGE_POWER, 'unit_leakage')}\n"
    if any(int(r["flip_flops"]) for r in once):
        made += f"    flip_flops: {_fitted(once, 'flip_flops', unit.registers or unit.size, 1.0, 'unit_size')}\n"
    return made


def ratio(variant: Variant, rows: Sequence[Row], column: str) -> float:
    """What the variant has of a column, over what the unit beside it has: the mean of all sizes."""
    plain, other = ([float(r[column]) for r in rows if r["unit"] == name] for name in variant.rows)
    return float(np.mean([b / a for a, b in zip(plain, other, strict=True)]))


def _variant(variant: Variant, core: Sequence[Row], rows: Sequence[Row]) -> str:
    unit = next(unit for unit in UNITS if unit.name == variant.of)
    made = f"  {variant.name}:\n    energy_pj:\n"
    for operation, (_, terms) in unit.energies.items():
        times = ratio(variant, rows, "energy_fj") if operation == variant.changed else 1.0
        source = "variant" if operation == variant.changed else "core"
        made += f"      {operation}: {_figure([(times * fj / 1e3, names) for fj, names in terms], source)}\n"
    area, leakage = ratio(variant, rows, "area_um2"), ratio(variant, rows, "leakage_nw") * RATIO**LEAKAGE_POWER
    made += f"    area_um2: {_size(unit, core, 'area_um2', lambda v: v * area, 'variant')}\n"
    return made + f"    leakage_nw: {_size(unit, core, 'leakage_nw', lambda v: v * leakage, 'variant')}\n"


def text(folder: Path = FOLDER) -> str:
    """The whole file."""
    core, units = read("nangate45_core.csv", folder), read("nangate45_units.csv", folder)
    made = HEAD.replace("{more_sources}", UNITS_SOURCES)
    made += "".join(_core_unit(unit, core) for unit in UNITS)
    made += "".join(_variant(variant, core, units) for variant in VARIANTS)
    return made + "".join(_synthesised(unit, units) for unit in SYNTHESISED)


def main() -> None:
    (FOLDER / "logic" / "nangate_45nm.yaml").write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
