"""Tables of synthesised logic: YAML files of hwsim/cost/technology/logic, read and checked.

A unit's energies (pJ per operation), area (um2), leakage (nW) and flip-flops are sums of terms, each a number times sizes that
the core model gives (lanes, bits, tokens). Paths are in ns, capacitance of wires in pF per mm. Arithmetic that was synthesised by
itself is in the units table that the logic table names.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Literal

from pydantic import Field

from hwsim.cost.technology.sources import Name, Positive, SourcedValue, Strict, Table, load

Size = Literal["lanes", "potential_bits", "token_bits", "fifo_depth", "scan_bits", "accumulators", "adders", "bits", "planes",
               "banks"]


class Term(Strict):
    """A number times the product of some sizes."""

    value: Positive
    times: tuple[Size, ...] = ()


class Figure(Strict):
    """A sum of terms with one source."""

    terms: tuple[Term, ...] = Field(min_length=1)
    source: str

    def at(self, sizes: Mapping[str, int]) -> float:
        """Its value at these sizes. KeyError for a size that is not given."""
        return sum(term.value * prod(sizes[name] for name in term.times) for term in self.terms)

    def formula(self, sizes: Mapping[str, int]) -> str:
        """The sum with its sizes filled in: `0.00066 x 16 tokens x 31 bit + 0.016 x 31 bit`."""
        return " + ".join(" x ".join([f"{t.value:.4g}", *(f"{sizes[n]} {_SAID[n]}" for n in t.times)]) for t in self.terms)


_SAID: dict[str, str] = {
    "lanes": "lanes", "potential_bits": "bit", "token_bits": "bit", "fifo_depth": "tokens", "scan_bits": "bit",
    "accumulators": "words", "adders": "adders", "bits": "bit", "planes": "planes", "banks": "banks",
}


class LogicUnit(Strict):
    """A synthesised unit. `energy_pj` by operation, its clock apart."""

    energy_pj: dict[str, Figure]
    area_um2: Figure
    leakage_nw: Figure
    flip_flops: Figure | None = None
    """None: it has none."""


class FlipFlops(Strict):
    """What a clocked flip-flop costs in a cycle: in its cell, and in the tree that leads to it; and a clock gate."""

    cell_pj: SourcedValue
    tree_pj: SourcedValue
    gates_pj: SourcedValue
    """All clock gates of a core, each cycle."""


class Wires(Strict):
    """Wires between memories and logic."""

    pf_per_mm: SourcedValue
    toggles_per_bit: dict[Literal["weight", "membrane", "other"], SourcedValue]


class LogicTable(Table):
    """Everything on a core but its memories."""

    arithmetic: Name
    arithmetic_source: str
    flip_flop: FlipFlops
    wires: Wires
    units: dict[str, LogicUnit]
    paths_ns: dict[str, Figure]


@lru_cache(maxsize=64)
def logic_table(name: str) -> LogicTable:
    """The logic table of that name (or the path of a YAML file). Raises TechnologyError."""
    return load("logic", name, LogicTable)
